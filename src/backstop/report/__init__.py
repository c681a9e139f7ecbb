"""The report of a run: one HTML page for those who were not there.

``Gathering`` takes the run's events and effects as they stream, or ``gather_journal`` reads them
from a journal; ``write_report`` writes the page, where ``checked_place`` lets it. Nothing here
holds a run in memory.
"""

from backstop.report.facts import RunFacts
from backstop.report.gathering import Gathering
from backstop.report.place import checked_place
from backstop.report.writing import facts_of_result, gather_journal, write_report

__all__ = ["Gathering", "RunFacts", "checked_place", "facts_of_result", "gather_journal", "write_report"]

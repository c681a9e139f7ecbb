"""The Python face: what ``from backstop import Venue, replay`` gives, for notebooks and scripts.

The same cases, engine and counts as the command line; only the way in and out differs. pyarrow
(extra ``data``) is needed for tables, matplotlib (extra ``plot``) for plots, each when it is first
asked for.
"""

from backstop.face.run import Run, replay
from backstop.face.venue import Venue

__all__ = ["Run", "Venue", "replay"]

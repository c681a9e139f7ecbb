"""All that the page shows, counted from a run's events and effects as they pass, batch by batch.

Each part is a reader of the run's fold with a module of its own. Memory depends on accounts,
positions and markets, not on how long the run is. A stage or an effect that is added later is
counted without a change in this room where it moves money or lots (POSTING, TRADE) or is a stage of
the venue (``Tally``); how it closes positions is one line of ``runs.defaults.closings``.
"""

from __future__ import annotations

from backstop.config import Venue
from backstop.core.events import EffectArray, EventArray
from backstop.report.adl import AdlRecord
from backstop.report.backers import ProviderRecords
from backstop.report.books import Books
from backstop.report.counts import Counts
from backstop.report.defaulters import Defaulters
from backstop.report.fund_record import FundRecord
from backstop.report.halts import Halts
from backstop.report.ladder import Ladder, ladder_of
from backstop.report.market_records import MarketRecords
from backstop.report.opening import Opening
from backstop.report.timeline import Timeline
from backstop.runs.rule_changes import RuleChanges
from backstop.runs.tally import Tally

__all__ = ["Gathering"]


class Gathering:
    """What a report is drawn from.

    ``tally.fold`` takes the run, here or as the tally of a replay.
    """

    def __init__(self, venue: Venue) -> None:
        """Raises ``SeveralAssetsError`` where the venue has several assets: a report adds up all markets."""
        venue.need_one_asset("a report")
        self.venue = venue
        self.tally = Tally(venue)
        join = self.tally.fold.join
        self.time = join(Timeline())
        grid = self.time.grid
        self.books = Books(len(venue.markets))
        # Both look at the books as they stood before a batch.
        self.providers = join(ProviderRecords(grid, self.books))
        self.opening = join(Opening(self.books))
        join(self.books)
        self.counts = join(Counts())
        self.markets = join(MarketRecords(grid))
        self.fund = join(FundRecord(grid))
        self.defaulters = join(Defaulters(grid))
        self.adl = join(AdlRecord())
        self.halts = join(Halts())
        self.rule_changes = join(RuleChanges())

    def add(self, events: EventArray, effects: EffectArray) -> None:
        """Take events and all their effects."""
        self.tally.fold.take(events, effects)

    @property
    def conserves(self) -> bool:
        """Whether nothing was made or lost: INV-01 and INV-02, recomputed from the effects."""
        return self.books.sum_atoms() == 0 and all(self.books.market_sums(number) == (0, 0) for number in self.markets)

    def ladder_now(self) -> Ladder:
        """Return the ladder of what is held after the last effect, by the rules in force then."""
        fold = self.tally.fold
        return ladder_of(fold.rules, self.books.holdings(), fold.mark.now)

"""Times during which markets, or the venue, were not open as usual."""

from __future__ import annotations

from dataclasses import dataclass

from backstop.core.events import NONE, BreakerState
from backstop.core.kinds import BreakerEffect, Columns
from backstop.report.kinds import BREAKER_CAUSES, BREAKER_STATES
from backstop.runs.fold import Fold, Reader, reads

__all__ = ["Halts", "Spell"]


@dataclass(slots=True)
class Spell:
    """A time during which a market, or the venue, was not open as usual."""

    #: ``NONE``: the venue.
    market: int
    #: As in ``BREAKER_STATES``.
    state: str
    start_ns: int
    #: What brought it about, in words.
    cause: str = ""
    #: None: to the end.
    end_ns: int | None = None


class Halts(Reader):
    """Follows every breaker."""

    def __init__(self) -> None:
        #: In order of time.
        self.spells: list[Spell] = []
        self._open: dict[int, Spell] = {}

    def of(self, market: int) -> list[Spell]:
        """Return the spells of a market, the venue's included."""
        return [spell for spell in self.spells if spell.market in (market, NONE)]

    @reads(BreakerEffect)
    def _add(self, rows: BreakerEffect[Columns], fold: Fold) -> None:
        for row, time_ns in zip(map(BreakerEffect[int], rows.rows), fold.time_ns(rows.seq).tolist(), strict=True):
            if row.market in self._open:
                self._open.pop(row.market).end_ns = time_ns
            if row.breaker_state != BreakerState.OPEN:
                spell = Spell(row.market, BREAKER_STATES[row.breaker_state], time_ns, BREAKER_CAUSES[row.cause])
                self._open[row.market] = spell
                self.spells.append(spell)

"""What the decisions about an account come to: when it was in default, and what was closed by which
stage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from backstop.core.events import Cause, EffectKind, Health
from backstop.core.kinds import NakedLegEffect
from backstop.explain.naked_legs import naked_text
from backstop.journal.rendering import Row, Speaker, time_text

__all__ = ["Brief"]


class _End(NamedTuple):
    """Where a time in default begins or ends."""

    seq: int
    time_ns: int
    health: Health
    #: The event in words.
    trigger: str

    def values(self) -> dict[str, Any]:
        """Return it by name."""
        return {
            "seq": self.seq,
            "time": time_text(self.time_ns),
            "time_ns": self.time_ns,
            "health": self.health.name.lower(),
            "trigger": self.trigger,
        }


@dataclass(slots=True)
class Brief:
    """Gathered from the effects of the decisions, in order."""

    #: (beginning, end) of each time in default; None: it is in default still.
    defaults: list[tuple[_End, _End | None]] = field(default_factory=list)
    #: Signed lots by (market, cause), of trades while in default and of others.
    closed: dict[tuple[int, Cause], int] = field(default_factory=dict)
    taken: dict[tuple[int, Cause], int] = field(default_factory=dict)
    #: What was left naked, with the seq of its event.
    naked: list[NakedLegEffect[int]] = field(default_factory=list)

    @property
    def in_default(self) -> bool:
        """Whether the account is in default after what was added last."""
        return bool(self.defaults) and self.defaults[-1][1] is None

    def add(self, seq: int, time_ns: int, trigger: str, mine: list[Row]) -> None:
        """Take the effects of one event on the account; trades are those that the engine
        decided.
        """
        for row in mine:
            if row["kind"] == EffectKind.HEALTH:
                self._turn(_End(seq, time_ns, Health(row["code"]), trigger))
            elif row["kind"] == EffectKind.TRADE:
                lots = self.closed if self.in_default else self.taken
                key = row["market"], Cause(row["code"])
                lots[key] = lots.get(key, 0) + row["lots"]
            elif row["kind"] == EffectKind.NAKED_LEG:
                self.naked.append(NakedLegEffect(row))

    def _turn(self, end: _End) -> None:
        is_default = end.health >= Health.DISTRESSED
        if is_default and not self.in_default:
            self.defaults.append((end, None))
        elif not is_default and self.in_default:
            self.defaults[-1] = (self.defaults[-1][0], end)

    def lines(self, speaker: Speaker) -> list[str]:
        """Return it as lines; none where nothing of the kind happened."""
        found = []
        for begun, ended in self.defaults:
            until = "to the end" if ended is None else f"to {time_text(ended.time_ns)} ({ended.health.name.lower()})"
            found.append(
                f"in default from {time_text(begun.time_ns)} ({begun.health.name.lower()}, at seq {begun.seq}: {begun.trigger}) {until}"
            )
        for what, lots in (("closed for it", self.closed), ("as counterparty", self.taken)):
            if lots:
                found.append(f"{what}: " + ", ".join(_dealt(speaker, *each) for each in lots.items()))
        found += [f"left naked: {naked_text(told, speaker)} (at seq {told.seq})" for told in self.naked]
        return found

    def values(self, speaker: Speaker) -> dict[str, Any]:
        """Return it by name."""
        return {
            "defaults": [{"from": begun.values(), "to": None if ended is None else ended.values()} for begun, ended in self.defaults],
            **{
                what: [
                    {"market": speaker.market(market), "cause": cause.name.lower(), "quantity": speaker.lots(market, lots), "lots": lots}
                    for (market, cause), lots in found.items()
                ]
                for what, found in (("closed", self.closed), ("taken", self.taken))
            },
            "left_naked": [{"seq": told.seq, **speaker.fields(told.rows, is_event=False)} for told in self.naked],
        }


def _dealt(speaker: Speaker, key: tuple[int, Cause], lots: int) -> str:
    market, cause = key
    return f"{speaker.lots(market, lots)} in {speaker.market(market)} by {cause.name.lower()}"

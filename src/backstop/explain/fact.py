"""One thing that happened to an account, and the comparisons of its numbers with the tape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Check", "Fact", "percent"]


@dataclass(frozen=True, slots=True)
class Check:
    """A number of the tape beside the same number worked out anew."""

    what: str
    recorded: str
    recomputed: str

    @property
    def agrees(self) -> bool:
        """Whether they are equal."""
        return self.recorded == self.recomputed


@dataclass(slots=True)
class Fact:
    """One thing that happened to the account, why, and what it was worked out from."""

    kind: str
    #: Place among the effects of its event; None: it is no effect of its own.
    place: int | None
    says: str
    #: How it comes about, a line each.
    because: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    def check(self, what: str, recorded: object, recomputed: object) -> None:
        """Add a comparison."""
        self.checks.append(Check(what, str(recorded), str(recomputed)))

    def correct(self, what: str, recomputed: object) -> None:
        """Put another number in place of the one that was worked out too early."""
        self.checks = [Check(what, each.recorded, str(recomputed)) if each.what == what else each for each in self.checks]


def percent(rate_ppm: int) -> str:
    """Return parts per million as per cent, exactly."""
    whole, part = divmod(rate_ppm, 10_000)
    return f"{whole}" + (f".{part:04d}".rstrip("0") if part else "") + " %"

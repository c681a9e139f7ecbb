"""A hold of the price guard, as its prints tell it: counted anew from all of them each time."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Hold"]


@dataclass(slots=True)
class Hold:
    """Prints of one hold in order, each with its time; 0 ticks stand for one that became the mark."""

    since_ns: int
    until_ns: int
    jump_ppm: int
    prints: list[tuple[int, int]] = field(default_factory=list)

    def note(self, time_ns: int, ticks: int) -> None:
        """Take a print."""
        self.prints.append((time_ns, ticks))

    def prolong(self, until_ns: int) -> None:
        """Go on: what was counted up to the first end stands."""
        self.prints.append((self.until_ns, self.prints[-1][1]))
        self.until_ns = until_ns

    def new_ns(self) -> int:
        """For how long, up to its end, the newest print was a held one."""
        ends = [time_ns for time_ns, _ in self.prints[1:]] + [self.until_ns]
        spans = zip(self.prints, ends, strict=True)
        return sum(max(0, min(end, self.until_ns) - begin) for (begin, ticks), end in spans if ticks)

    def levels(self, until_ns: int | None = None) -> tuple[int, int, int]:
        """Return the level held, the rival that is newest (0: none), and the lead, counted up to the
        last print, or to a time after it.
        """
        prints = self.prints if until_ns is None else [*self.prints, (until_ns, self.prints[-1][1])]
        level, rival, lead, newest, before = 0, 0, 0, 0, self.since_ns
        for time_ns, ticks in prints:
            if newest:
                lead += (before - time_ns) if rival else (time_ns - before)
            if lead < 0:
                level, rival, lead = rival, 0, -lead
            before, newest = time_ns, ticks
            is_near = not level or abs(ticks - level) * 1_000_000 // level < self.jump_ppm
            level, rival = (ticks if ticks and is_near else level), (ticks if ticks and not is_near else 0)
        return level, rival, lead

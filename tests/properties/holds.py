"""A hold of the price guard, as its prints tell it: counted anew from all of them each time."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Hold"]


@dataclass(slots=True)
class Hold:
    """Prints of one hold in order, each with its time; 0 ticks stand for one that became the mark."""

    until_ns: int
    jump_ppm: int
    prints: list[tuple[int, int]] = field(default_factory=list)
    #: Level, its first print, rival and its first print when the counting began.
    before: tuple[int, int, int, int] = (0, 0, 0, 0)
    is_continued: bool = False

    def note(self, time_ns: int, ticks: int) -> None:
        """Take a print."""
        self.prints.append((time_ns, ticks))

    def prolong(self, until_ns: int) -> None:
        """Go on with the level that is held at the first end; what was counted is forgotten."""
        self.before = self._follow([*self.prints, (self.until_ns, self.prints[-1][1])])[:4]
        self.prints = [(self.until_ns, self.prints[-1][1])]
        self.until_ns, self.is_continued = until_ns, True

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
        level, _, rival, _, lead = self._follow(prints)
        return level, rival, lead

    def _follow(self, prints: list[tuple[int, int]]) -> tuple[int, int, int, int, int]:
        """Return level and rival, each with its first print, and the lead."""
        level, first, rival, rival_first = self.before
        lead, newest, before = 0, 0, prints[0][0]
        for time_ns, ticks in prints:
            if newest:
                lead += (before - time_ns) if rival else (time_ns - before)
            if lead < 0:
                level, first, lead = rival, rival_first, -lead
                rival = rival_first = 0
            before, newest = time_ns, ticks
            if ticks and (not level or self._is_near(ticks, first)):
                level, first, rival, rival_first = ticks, first or ticks, 0, 0
            elif ticks:
                rival_first = rival_first if rival and self._is_near(ticks, rival_first) else ticks
                rival = ticks
            else:
                rival = rival_first = 0
        return level, first, rival, rival_first, lead

    def _is_near(self, ticks: int, other: int) -> bool:
        return abs(ticks - other) * 1_000_000 // other < self.jump_ppm

"""The effects of one event as rows by name, each made when it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from backstop.core.events import EffectArray
from backstop.journal.rendering import Row

__all__ = ["Rows"]


class Rows(Sequence[Row]):
    """Rows of an array of effects; a slice is a view of the same array."""

    def __init__(self, effects: EffectArray) -> None:
        """Look at these effects."""
        self._effects = effects
        self._names = effects.dtype.names or ()

    def __len__(self) -> int:
        """Return how many effects there are."""
        return len(self._effects)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> Rows: ...

    def __getitem__(self, place: int | slice) -> Row | Rows:
        """Return the row at a place, or a view of a slice."""
        if isinstance(place, slice):
            return Rows(self._effects[place])
        return dict(zip(self._names, self._effects[place].item(), strict=True))

    def __iter__(self) -> Iterator[Row]:
        """Go through the rows, a chunk of them made at once."""
        for first in range(0, len(self), _CHUNK):
            for values in self._effects[first : first + _CHUNK].tolist():
                yield dict(zip(self._names, values, strict=True))


#: Rows that are made at once.
_CHUNK = 1024

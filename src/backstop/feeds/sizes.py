"""How large a packed file may become: what it says of its size is looked at before anything is
unpacked.

A few kilobytes can hold gigabytes of the same value. A file that grows so far when it is read is
refused by its own figures: the lengths in the headers of its buffers, pages and rows, which the
reader goes by too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backstop.feeds.errors import FeedError

__all__ = ["GROWTH_MAX", "UNPACKED_FREE", "Allowance", "message_size"]

#: A file may hold so many bytes unpacked, whatever its own size, and so many times its own size
#: beyond that.
UNPACKED_FREE = 64 << 20
GROWTH_MAX = 100


class Allowance:
    """What one file may still take, in bytes, once it is unpacked."""

    def __init__(self, path: Path) -> None:
        """Look at the file's size. Raises ``OSError``."""
        self._path = path
        self._left = self._most = UNPACKED_FREE + GROWTH_MAX * path.stat().st_size

    def take(self, count: int) -> None:
        """Count bytes that are about to be unpacked; raise ``FeedError`` where they are too
        many.
        """
        self._left -= count
        if self._left < 0 or count < 0:
            expected = f"must unpack to at most {self._most:,} bytes: {UNPACKED_FREE >> 20} MiB and {GROWTH_MAX} times its size"
            raise FeedError(self._path, "grows beyond all measure when it is unpacked", expected)


# Arrow messages: a record batch says where its buffers lie, and a packed buffer begins with its
# length unpacked.
# <https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>

_RECORD_BATCH, _DICTIONARY_BATCH = 3, 2


def message_size(metadata: bytes, body: Any) -> int:
    """Return what the record batch of a message unpacks to: its buffers, or 8 bytes for each of its
    values, whichever is more.

    ``body`` is what stands behind the metadata. A message without rows is 0. Raises ``ValueError``
    where it is no message.
    """
    message = _Table.root(metadata)
    kind = message.byte(1)
    if kind not in (_RECORD_BATCH, _DICTIONARY_BATCH):
        return 0
    header = message.table(2)
    batch = header if kind == _RECORD_BATCH else header.table(1)
    sizes = [_unpacked_size(offset, length, body, is_packed=batch.has(3)) for offset, length in batch.structs(2)]
    columns = [rows for rows, _ in batch.structs(1)]
    values = max(batch.long(0), 0) + sum(columns)
    if min([0, *sizes, *columns]) < 0:
        raise ValueError("a length is negative")
    return max(sum(sizes), 8 * values)


def _unpacked_size(offset: int, length: int, body: Any, *, is_packed: bool) -> int:
    if offset < 0 or length < 0 or offset + length > len(body):
        raise ValueError("a buffer lies outside of its message")
    said = int.from_bytes(body[offset : offset + 8], "little", signed=True) if is_packed and length >= 8 else -1
    return length if said == -1 else said


class _Table:
    """A table of a FlatBuffer: fields by number, each absent or at an offset."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place
        self._fields = place - self._number(place, 4, signed=True)
        if not 0 <= self._fields < len(data):
            raise ValueError("a table lies outside of its message")

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, int.from_bytes(data[:4], "little"))

    def _number(self, place: int, size: int, *, signed: bool = False) -> int:
        if not 0 <= place <= len(self._data) - size:
            raise ValueError("a field lies outside of its message")
        return int.from_bytes(self._data[place : place + size], "little", signed=signed)

    def _at(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._number(self._fields, 2):
            return None
        offset = self._number(self._fields + entry, 2)
        return self._place + offset if offset else None

    def has(self, field: int) -> bool:
        return self._at(field) is not None

    def byte(self, field: int) -> int:
        place = self._at(field)
        return 0 if place is None else self._number(place, 1)

    def long(self, field: int) -> int:
        place = self._at(field)
        return 0 if place is None else self._number(place, 8, signed=True)

    def table(self, field: int) -> _Table:
        place = self._at(field)
        if place is None:
            raise ValueError("a table is missing")
        return _Table(self._data, place + self._number(place, 4))

    def structs(self, field: int) -> Sequence[tuple[int, int]]:
        """Return a vector of pairs of numbers."""
        place = self._at(field)
        if place is None:
            return ()
        start = place + self._number(place, 4)
        count = self._number(start, 4)
        if count > len(self._data) // 16:
            raise ValueError("a vector lies outside of its message")
        pairs = range(start + 4, start + 4 + 16 * count, 16)
        return [(self._number(pair, 8, signed=True), self._number(pair + 8, 8, signed=True)) for pair in pairs]

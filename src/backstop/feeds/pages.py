"""What the pages of a Parquet column unpack to, by their own headers: the figures by which a reader
allocates.

The file's footer has sums of them, and whoever wrote the file wrote those too. A header is a Thrift
struct in the compact protocol:
<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>,
``PageHeader``.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["page_sizes"]

#: Numbers of the fields of a page's header: bytes unpacked, bytes in the file.
_UNPACKED, _PACKED = 2, 3
_DEPTH_MAX = 16
#: Types of the compact protocol.
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 11, 12


def page_sizes(content: bytes | memoryview, first: int, length: int) -> Iterator[int]:
    """Yield what each page of a column unpacks to, from ``first`` on; it ends where no page
    follows, as a reader does.
    """
    place, end = first, min(first + length, len(content))
    while 0 <= place < end:
        header = _Header(content, place)
        try:
            fields = header.struct()
        except (IndexError, ValueError):
            return
        if _UNPACKED not in fields or fields.get(_PACKED, -1) < 0:
            return
        yield fields[_UNPACKED]
        place = header.place + fields[_PACKED]


class _Header:
    """A struct that is read from ``place`` on.

    Raises ``IndexError`` and ``ValueError`` where it is none.
    """

    def __init__(self, content: bytes | memoryview, place: int) -> None:
        self._content = content
        self.place = place

    def struct(self, depth: int = 0) -> dict[int, int]:
        """Return its whole numbers by number of the field; whatever else it has is passed over."""
        if depth > _DEPTH_MAX:
            raise ValueError("structs lie too deep in each other")
        found: dict[int, int] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            if kind in _INTEGERS:
                found[number] = self._signed()
            elif kind not in _BOOLEANS:
                self._skip(kind, depth)
        return found

    def _byte(self) -> int:
        self.place += 1
        return self._content[self.place - 1]

    def _number(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number of too many bytes")

    def _signed(self) -> int:
        value = self._number()
        return (value >> 1) ^ -(value & 1)

    def _skip(self, kind: int, depth: int) -> None:
        if kind in _INTEGERS:
            self._number()
        elif kind == _BINARY:
            length = self._number()
            self.place += length
        elif kind in (*_BOOLEANS, _BYTE, _DOUBLE):
            self.place += 8 if kind == _DOUBLE else 1
        elif kind == _STRUCT:
            self.struct(depth + 1)
        elif kind in _LISTS:
            head = self._byte()
            self._skip_all(self._number() if head >> 4 == 15 else head >> 4, (head & 15,), depth)
        elif kind == _MAP:
            count = self._number()
            kinds = self._byte() if count else 0
            self._skip_all(count, (kinds >> 4, kinds & 15), depth)
        else:
            raise ValueError("an unknown type")

    def _skip_all(self, count: int, kinds: tuple[int, ...], depth: int) -> None:
        if count > len(self._content) or depth > _DEPTH_MAX:
            raise ValueError("more values than bytes")
        for _ in range(count):
            for kind in kinds:
                self._skip(kind, depth + 1)

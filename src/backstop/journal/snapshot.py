"""The engine's state as bytes, and back: what lets a journal be taken up again without its whole
replay.

Arrays are written as ``State.FIELDS`` lists them, whatever they are, cut into blocks of 4096 bytes.
A block that is all zeros or all ones is not stored, so rows that were never used cost nothing. A
snapshot holds private rows too (triggers, waits, closed orders that late fills still find), so that
the engine that comes out of it does bit for bit what the one that went in would have done. That
binds it to the code that wrote it: another version passes over it and replays the events instead.

It knows nothing of files. A caller may keep arrays of its own beside the state (the simulated
venue's).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.core.state import State
from backstop.journal.format import PART_BYTES, is_digest, snapshot_hash
from backstop.journal.migration import MigrationError, column_numbers, migrated
from backstop.journal.source import source_hash

__all__ = [
    "Restored",
    "Shapes",
    "Snapshot",
    "SnapshotError",
    "header_is_foreign",
    "restore_snapshot",
    "shapes_of",
    "state_layout",
    "take_snapshot",
]

_BLOCK_BYTES = 4096
#: Bytes of the first part, and what an array of the caller's may grow to: so much, and so many
#: times its parts.
_HEADER_MAX = 1 << 20
_GROWTH_FREE, _GROWTH_MAX = 64 << 20, 100
#: What stands in a block: nothing but zeros, nothing but ones, anything.
_ZEROS, _ONES, _STORED = 0, 1, 2
#: Blocks that are looked at together: 1 MiB, so that they stay in the cache.
_BLOCKS_AT_ONCE = 256
#: Taken out of the state before a snapshot, as whoever reads the effects does.
_EMPTIED = ("effects_now", "effects_first")
#: Effects are not state: they were handed on.
_UNSTORED = ("effects",)
_ENGINE = "engine"

Bytes = NDArray[np.uint8]


class SnapshotError(ValueError):
    """A snapshot is not one of this code, or not one at all; the message says why."""


class Snapshot(NamedTuple):
    """A state as bytes. The first part says what the others are."""

    parts: tuple[memoryview, ...]
    #: SHA-256 of the parts.
    hash: bytes

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        return sum(map(len, self.parts))


class Restored(NamedTuple):
    """What a snapshot held."""

    state: State
    #: The caller's own arrays.
    extra: dict[str, NDArray[Any]]
    #: The state digest, as it was when the snapshot was taken.
    digest: str


def state_layout() -> str:
    """Return the SHA-256 (hex) of the names, row layouts and dimensions of the state's arrays."""
    fields = [[name, _described(np.dtype(dtype)), dimensions] for name, (dtype, dimensions) in State.FIELDS.items()]
    return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


def _described(dtype: np.dtype[Any]) -> Any:
    return [list(field) for field in dtype.descr] if dtype.names else dtype.str


def take_snapshot(state: State, digest: str, extra: Mapping[str, NDArray[Any]] | None = None) -> Snapshot:
    """Return a copy of the state (and of ``extra``) as bytes; ``digest`` is its state digest.

    The state must stand between two events; effects that nobody took yet are left out.
    """
    engine = state.engine.copy()
    for name in _EMPTIED:
        engine[name] = 0
    arrays: dict[str, NDArray[Any]] = {f"state.{name}": getattr(state, name) for name in State.FIELDS}
    arrays[f"state.{_ENGINE}"] = engine
    arrays |= dict(extra or {})
    stored: list[Bytes] = []
    entries = []
    for name, array in arrays.items():
        pieces = [] if name.removeprefix("state.") in _UNSTORED else list(_cut(_packed(array)))
        entries.append({"name": name, "dtype": _described(array.dtype), "shape": list(array.shape), "parts": len(pieces)})
        stored += pieces
    header = {**_ours(), "columns": column_numbers(), "digest": digest, "arrays": entries}
    first = memoryview(json.dumps(header, separators=(",", ":")).encode())
    parts = (first, *(piece.data for piece in stored))
    return Snapshot(parts, snapshot_hash(parts))


def _blocks(array: NDArray[Any]) -> tuple[Bytes, Bytes]:
    """Return the whole blocks of an array, and the bytes that are left."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = len(data) // _BLOCK_BYTES * _BLOCK_BYTES
    return data[:whole].reshape(-1, _BLOCK_BYTES), data[whole:]


def _packed(array: NDArray[Any]) -> Bytes:
    """Return the kind of each block, the blocks that are stored, and the bytes after the last whole
    block.
    """
    blocks, rest = _blocks(array)
    words = blocks.view(np.uint64)
    kinds = np.full(len(blocks), _STORED, dtype=np.uint8)
    for first in range(0, len(blocks), _BLOCKS_AT_ONCE):
        chunk = words[first : first + _BLOCKS_AT_ONCE]
        low, high = np.bitwise_and.reduce(chunk, axis=1), np.bitwise_or.reduce(chunk, axis=1)
        here = kinds[first : first + _BLOCKS_AT_ONCE]
        here[high == 0] = _ZEROS
        here[low == np.iinfo(np.uint64).max] = _ONES
    return np.concatenate([kinds, *_runs_of(blocks, kinds), rest])


def _runs_of(blocks: Bytes, kinds: Bytes) -> Iterator[Bytes]:
    """Yield the stored blocks, run by run: whole slices move much faster than single blocks."""
    for first, last in _stored_runs(kinds):
        yield blocks[first:last].reshape(-1)


def _stored_runs(kinds: Bytes) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (kinds == _STORED).astype(np.int8), [0]))))
    yield from zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True)


def _cut(data: Bytes) -> Iterator[Bytes]:
    for first in range(0, max(len(data), 1), PART_BYTES):
        yield data[first : first + PART_BYTES]


def _ours() -> dict[str, str]:
    return {"layout": state_layout(), "source_hash": source_hash()}


def header_is_foreign(part: bytes) -> bool:
    """Return whether the first part of a snapshot says that other code took it: it can then not be
    used, and is no fault.
    """
    try:
        header = _header_of(part)
    except SnapshotError:
        return False
    return any(header[key] != present for key, present in _ours().items())


def _header_of(part: bytes) -> dict[str, Any]:
    """Return what the first part of a snapshot says.

    Raises ``SnapshotError`` if it is not such a part.
    """
    if len(part) > _HEADER_MAX:
        raise SnapshotError("its first part is too long")
    try:
        header = json.loads(part)
        entries = header["arrays"]
        known = all(isinstance(header[key], str) for key in ("layout", "source_hash", "digest"))
        for entry in entries:
            sizes = (*entry["shape"], entry["parts"])
            known &= isinstance(entry["name"], str) and all(type(size) is int and size >= 0 for size in sizes)
    except (ValueError, KeyError, TypeError, RecursionError):
        known = False
    if not known or not is_digest(header["digest"]):
        raise SnapshotError("its first part does not say what it holds")
    return dict(header)


Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(state: State, extra: Mapping[str, NDArray[Any]] | None = None) -> Shapes:
    """Return the shape of each array that a snapshot of such a state, and of ``extra``, holds: by
    its name there.
    """
    return {f"state.{name}": getattr(state, name).shape for name in State.FIELDS} | {
        name: each.shape for name, each in (extra or {}).items()
    }


def restore_snapshot(parts: Sequence[bytes], shapes: Shapes | None = None, fresh: Callable[[], State] | None = None) -> Restored:
    """Return the state and the caller's arrays that ``take_snapshot`` wrote.

    ``shapes`` are those that a run of these rules has: an array of another shape is refused before
    it is unpacked, and one that is not among them where it grows beyond measure. A block that is
    not stored costs a byte, and 4096 in memory.

    ``fresh`` makes a state of the run's rules: with it, a snapshot of other code is read by names
    (``migration``), where it can be.

    Raises ``SnapshotError`` if other code wrote it, or the parts do not fit their header. The
    caller has compared their hash: what stands in the rows is not checked again.
    """
    header = _header_of(parts[0] if parts else b"")
    is_foreign = any(header[key] != present for key, present in _ours().items())
    for key, present in _ours().items():
        if header[key] != present and fresh is None:
            raise SnapshotError(f"it was taken by other code: `{key}` {header[key][:12]}, this is {present[:12]}")
    arrays: dict[str, NDArray[Any]] = {}
    place = 1
    for entry in header["arrays"]:
        following = place + entry["parts"]
        if is_foreign and not entry["parts"]:
            continue  # it is no state: made anew
        _check_size(entry, parts[place:following], shapes, is_foreign=is_foreign)
        arrays[entry["name"]] = _unpacked(entry, parts[place:following], is_foreign=is_foreign)
        place = following
    if place != len(parts):
        raise SnapshotError(f"it has {len(parts)} parts, its first part counts {place}")
    if len({entry["name"] for entry in header["arrays"]}) != len(header["arrays"]):
        raise SnapshotError("it holds an array twice")
    if is_foreign and fresh is not None:
        held = {name.removeprefix("state."): arrays.pop(name) for name in list(arrays) if name.startswith("state.")}
        try:
            return Restored(migrated(held, header.get("columns"), fresh()), arrays, header["digest"])
        except MigrationError as error:
            raise SnapshotError(f"it was taken by other code, and cannot be read by this: {error}") from None
    fields = {name: arrays.pop(f"state.{name}", None) for name in State.FIELDS}
    try:
        state = State(**{name: array for name, array in fields.items() if array is not None})
    except TypeError as error:
        raise SnapshotError(str(error)) from None
    return Restored(state, arrays, header["digest"])


def _check_size(entry: dict[str, Any], parts: Sequence[bytes], shapes: Shapes | None, *, is_foreign: bool = False) -> None:
    if shapes is None:
        return
    name, shape = entry["name"], tuple(entry["shape"])
    size = prod(shape) * _dtype_of(entry, is_foreign=is_foreign).itemsize
    if name in shapes and not is_foreign:
        if shape != shapes[name]:
            raise SnapshotError(f"`{name}` has the shape {shape}, in a run of these rules {shapes[name]}")
        return
    # Other code may have had other rows, but not of another order of size.
    is_known = name in shapes and name.removeprefix("state.") in State.FIELDS
    usual = prod(shapes[name]) * np.dtype(State.FIELDS[name.removeprefix("state.")][0]).itemsize if is_known else 0
    if size > _GROWTH_FREE + max(4 * usual, _GROWTH_MAX * sum(map(len, parts))):
        raise SnapshotError(f"`{name}` grows beyond all measure when it is unpacked")


def _dtype_of(entry: dict[str, Any], *, is_foreign: bool = False) -> Any:
    name = entry["name"].removeprefix("state.")
    if entry["name"].startswith("state.") and name in State.FIELDS and not is_foreign:
        return np.dtype(State.FIELDS[name][0])
    described = entry["dtype"]
    try:
        if isinstance(described, str):
            dtype: Any = np.dtype(described)
        else:
            dtype = np.dtype((np.record, [(field[0], field[1], *(tuple(shape) for shape in field[2:])) for field in described]))
    except (TypeError, ValueError, KeyError, IndexError, SyntaxError, OverflowError, MemoryError):
        dtype = None
    if dtype is None or dtype.hasobject or not dtype.itemsize:
        raise SnapshotError(f"`{entry['name']}` is of no known type")
    return dtype


def _unpacked(entry: dict[str, Any], parts: Sequence[bytes], *, is_foreign: bool = False) -> NDArray[Any]:
    """Return one array.

    What its header says of its size is only believed as far as its parts bear it out.
    """
    name, shape, dtype = entry["name"], tuple(entry["shape"]), _dtype_of(entry, is_foreign=is_foreign)
    field = name.removeprefix("state.")
    if not is_foreign and name.startswith("state.") and field in State.FIELDS and len(shape) != State.FIELDS[field][1]:
        raise SnapshotError(f"`{name}` has {len(shape)} dimensions")
    stream = _Stream(parts)
    if not parts and field in _UNSTORED:
        return _made(np.empty, name, shape, dtype)
    if prod(shape) * dtype.itemsize // _BLOCK_BYTES > stream.left:
        raise SnapshotError(f"`{name}` ends too early")
    array = _made(np.zeros, name, (prod(shape),), dtype)
    blocks, rest = _blocks(array)
    kinds = np.empty(len(blocks), dtype=np.uint8)
    stream.fill(kinds)
    if (kinds > _STORED).any():
        raise SnapshotError(f"`{name}` has a block of an unknown kind")
    blocks[kinds == _ONES] = 0xFF
    for first, last in _stored_runs(kinds):
        stream.fill(blocks[first:last].reshape(-1))
    stream.fill(rest)
    if stream.left:
        raise SnapshotError(f"`{entry['name']}` has {stream.left} bytes too many")
    return array.reshape(shape)


def _made(make: Callable[..., NDArray[Any]], name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    try:
        return make(shape, dtype=dtype)
    except (ValueError, MemoryError):
        raise SnapshotError(f"`{name}` is larger than any memory") from None


class _Stream:
    """Bytes of several parts, one after another."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = [np.frombuffer(part, dtype=np.uint8) for part in parts]
        self._part = self._place = 0
        self.left = sum(map(len, self._parts))

    def fill(self, target: Bytes) -> None:
        """Move the next bytes to ``target``, which they must fill."""
        if len(target) > self.left:
            raise SnapshotError(f"it ends {len(target) - self.left} bytes too early")
        self.left -= len(target)
        done = 0
        while done < len(target):
            part = self._parts[self._part]
            taken = part[self._place : self._place + len(target) - done]
            target[done : done + len(taken)] = taken
            done += len(taken)
            self._place += len(taken)
            if self._place == len(part):
                self._part, self._place = self._part + 1, 0

"""The format of a journal, byte for byte: tables, row layouts and what each hash covers.

docs/reference/journal.md says the same in prose. A change here is a new ``SCHEMA_VERSION``;
journals of every earlier one stay readable.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from backstop.core.events import EFFECT, EVENT

__all__ = [
    "APPLICATION_ID",
    "BATCH_ROWS_MAX",
    "CHAIN_BYTES",
    "DIGEST_ENCODING",
    "PAGE_BYTES",
    "PARTS_MAX",
    "PART_BYTES",
    "ROW_BYTES",
    "SCHEMA",
    "SCHEMAS",
    "SCHEMA_VERSION",
    "Position",
    "batch_chain",
    "end_chain",
    "is_digest",
    "names_hash",
    "record_chain",
    "row_layout",
    "sealed_chain",
    "snapshot_hash",
    "start_chain",
    "stranger_of",
    "unsynced_max",
]

#: "back": tells a journal from any other SQLite file.
APPLICATION_ID = 0x6261636B
SCHEMA_VERSION = 4
#: Number of the encoding that ``core.state.state_digest`` hashes: one more whenever R12
#: changes. Digests of another encoding are not compared; the effects are.
DIGEST_ENCODING = 12
#: Larger pages spill out of the processor's near caches, smaller ones are more to note; measured
#: with ``benchmarks.p5_durable``.
PAGE_BYTES = 16384
#: Bytes of one event, and of one effect.
ROW_BYTES = 64
#: Most events, and most effects, of one batch: SQLite holds at most 10^9 bytes in one row.
BATCH_ROWS_MAX = 15_000_000
CHAIN_BYTES = 32

#: Page size of the releases that synced each batch before the next was begun.
_PAGE_BYTES_OLD = 65536

#: A snapshot is stored in parts of at most so many bytes, and has at most so many.
PART_BYTES = 64 << 20
PARTS_MAX = 1 << 20

_MANIFEST = "CREATE TABLE manifest (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
_NAMES = "CREATE TABLE names (kind TEXT NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID"
#: ``batch`` is the one with which the name came, 0 where the segment begins with it.
_NAMES_BY_BATCH = (
    "CREATE TABLE names (batch INTEGER NOT NULL, kind TEXT NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL,"
    " PRIMARY KEY (batch, kind, id)) WITHOUT ROWID"
)
_BATCHES = (
    "CREATE TABLE batches (number INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,"
    " events_count INTEGER NOT NULL, effects_count INTEGER NOT NULL, events BLOB NOT NULL, effects BLOB NOT NULL,"
    " chain BLOB NOT NULL, digest TEXT{more})"
)
_MARKS = (
    "CREATE TABLE marks (place TEXT NOT NULL PRIMARY KEY, batches INTEGER NOT NULL, events INTEGER NOT NULL,"
    " effects INTEGER NOT NULL, chain BLOB NOT NULL, digest TEXT) WITHOUT ROWID"
)
_RECORDS = "CREATE TABLE records (number INTEGER PRIMARY KEY, batch INTEGER NOT NULL, text TEXT NOT NULL, chain BLOB NOT NULL)"
_STOPS = "CREATE TABLE stops (batch INTEGER PRIMARY KEY, events BLOB NOT NULL, error TEXT NOT NULL)"
_OLDEST = {"manifest": _MANIFEST, "names": _NAMES, "batches": _BATCHES.format(more=""), "marks": _MARKS}

_SECOND = {
    **_OLDEST,
    "batches": _BATCHES.format(more=", snapshot BLOB"),
    #: ``place`` is number of the batch x PARTS_MAX + number of the part.
    "snapshots": "CREATE TABLE snapshots (place INTEGER PRIMARY KEY, part BLOB NOT NULL)",
}

_THIRD = {
    **_SECOND,
    #: The state in which a later segment begins, part by part.
    "opening": "CREATE TABLE opening (place INTEGER PRIMARY KEY, part BLOB NOT NULL)",
    #: What happened to the journal itself; ``batch`` is the one after which it did.
    "records": _RECORDS,
    #: Events that an engine was given when it stopped, after a batch; in no chain.
    "stops": _STOPS,
}

#: By version: every table, by name, with the words that made it.
SCHEMAS = {
    1: _OLDEST,
    2: _SECOND,
    3: _THIRD,
    4: {
        **_THIRD,
        "names": _NAMES_BY_BATCH,
        #: ``names``: hash of the names that came with the batch.
        "batches": _BATCHES.format(more=", snapshot BLOB, names BLOB"),
    },
}
SCHEMA = SCHEMAS[SCHEMA_VERSION]


def unsynced_max(page_bytes: int) -> int:
    """Return how many batches may stand in the log before the first of them is synced: one that is
    being synced, one that is being written.

    One only in a journal that an earlier release began, by its page size: so it was then, and so it
    is kept.
    """
    return 1 if page_bytes == _PAGE_BYTES_OLD else 2


Seqs = np.ndarray[tuple[int], np.dtype[np.int64]]


def stranger_of(owners: Seqs, seqs: Seqs) -> int | None:
    """Return the first of ``owners`` (seqs of effects) that is not among the ``seqs`` of events;
    None if all are.
    """
    if not len(owners):
        return None
    # The numbers have no gap: each one between the first and the last is there.
    if int(seqs[-1]) - int(seqs[0]) == len(seqs) - 1 and np.all(seqs[1:] > seqs[:-1]):
        strange = (owners < seqs[0]) | (owners > seqs[-1])
    else:
        strange = ~np.isin(owners, seqs)
    return int(owners[np.argmax(strange)]) if strange.any() else None


_START = b"backstop journal start"
_END = b"backstop journal end"
_SEALED = b"backstop journal sealed"
_RECORD = b"backstop journal record"
_SNAPSHOT = b"backstop journal snapshot"
#: What is hashed without a copy: bytes, or a contiguous array of them.
Data = bytes | memoryview


class Position(NamedTuple):
    """How far a journal has come, over all its segments."""

    chain: bytes
    batches: int = 0
    events: int = 0
    effects: int = 0
    #: ``seq`` of the last event.
    last_seq: int | None = None


def row_layout(dtype: np.dtype[np.void]) -> str:
    """Return the fields of a row as JSON: ``[["seq", "<i8"], ...]``."""
    return json.dumps([list(field) for field in dtype.descr], separators=(",", ":"))


EVENT_LAYOUT = row_layout(EVENT)
EFFECT_LAYOUT = row_layout(EFFECT)


def is_digest(text: object) -> bool:
    """Return whether this is a SHA-256 in lower-case hex."""
    return isinstance(text, str) and len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)


_NUMBER = struct.Struct("<q")


def _number(value: int) -> bytes:
    return _NUMBER.pack(value)


def _prefixed(data: bytes) -> bytes:
    return _number(len(data)) + data


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def names_hash(names: Iterable[tuple[str | bytes, int, str | bytes]]) -> str:
    """Return the SHA-256 (hex) of (kind, id, name), which come ordered by kind and id; texts may
    come encoded.

    A journal has two names per account, so this is written for speed.
    """
    digest, kinds, number = hashlib.sha256(), dict[str | bytes, bytes](), _NUMBER.pack
    for kind, identifier, name in names:
        begin = kinds.get(kind)
        if begin is None:
            begin = kinds[kind] = _prefixed(_encoded(kind) if isinstance(kind, str) else kind)
        data = _encoded(name) if isinstance(name, str) else name
        digest.update(begin + number(identifier) + number(len(data)) + data)
    return digest.hexdigest()


def start_chain(entries: Mapping[str, str]) -> bytes:
    """Return the chain before the first batch: it covers every entry of the manifest, in order of
    key.
    """
    digest = hashlib.sha256(_prefixed(_START))
    for key, value in sorted((_encoded(key), _encoded(value)) for key, value in entries.items()):
        digest.update(_prefixed(key) + _prefixed(value))
    return digest.digest()


def batch_chain(
    previous: bytes,
    events: Data,
    effects: Data,
    digest: str | None,
    snapshot: bytes | None = None,
    names: bytes | None = None,
    *,
    schema: int,
) -> bytes:
    """Return the chain after a batch; ``snapshot`` is the hash of the one taken after it (from
    schema 2 on), ``names`` that of the names that came with it (from schema 4 on).
    """
    chain = hashlib.sha256(previous)
    parts: tuple[Data, ...] = (events, effects, _encoded(digest or ""), snapshot or b"", names or b"")
    for data in parts[: 3 if schema < 2 else 4 if schema < 4 else 5]:
        chain.update(_number(len(data)))
        chain.update(data)
    return chain.digest()


def snapshot_hash(parts: Iterable[Data]) -> bytes:
    """Return the SHA-256 of a snapshot's parts, in order."""
    digest = hashlib.sha256(_prefixed(_SNAPSHOT))
    for data in parts:
        digest.update(_number(len(data)))
        digest.update(data)
    return digest.digest()


def record_chain(previous: bytes, batch: int, text: str) -> bytes:
    """Return the chain after a record that stands behind a batch."""
    return hashlib.sha256(previous + _prefixed(_RECORD) + _number(batch) + _prefixed(_encoded(text))).digest()


def sealed_chain(held: Position, digest: str) -> bytes:
    """Return the chain of the mark that seals a segment; the next segment's manifest names it."""
    return _closing_chain(_SEALED, held.chain, (held.batches, held.events, held.effects), digest)


def end_chain(previous: bytes, batches: int, events: int, effects: int, digest: str | None) -> bytes:
    """Return the chain of the end mark: who keeps these 32 bytes elsewhere can tell any other
    journal from this one.
    """
    return _closing_chain(_END, previous, (batches, events, effects), digest)


def _closing_chain(word: bytes, previous: bytes, counts: tuple[int, ...], digest: str | None) -> bytes:
    said = b"".join(map(_number, counts))
    return hashlib.sha256(previous + _prefixed(word) + said + _prefixed(_encoded(digest or ""))).digest()

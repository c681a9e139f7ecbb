"""What happened to a journal itself, as records on its tape: events that stopped the engine, and
upgrades.

A record is a JSON object. It stands in the chain behind a batch, and replays nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from backstop.core.events import EVENT, EventArray
from backstop.journal.findings import Finding, FindingCode, JournalDamaged
from backstop.journal.reader import Record

__all__ = ["Quarantine", "Upgrade", "quarantine_text", "read_record", "upgrade_text"]

_QUARANTINE, _UPGRADE = "quarantine", "upgrade"


class Quarantine(NamedTuple):
    """An event that stopped the engine: it is on no batch, and replay does not meet it."""

    #: The batch behind which it stands.
    batch: int
    seq: int
    #: What the engine raised.
    error: str
    #: The event: one row.
    event: EventArray

    def __str__(self) -> str:
        return f"seq {self.seq} is in quarantine, behind batch {self.batch}: it stopped the engine ({self.error})"


class Upgrade(NamedTuple):
    """A segment that other code began than the one before."""

    batch: int
    #: Code and rules before, and since.
    code_version: tuple[str, str]
    rules_version: tuple[int, int]
    source_hash: tuple[str, str]

    def __str__(self) -> str:
        versions = " to ".join(f"version {code} with rules version {rules}" for code, rules in zip(self[1], self[2], strict=True))
        return f"upgrade behind batch {self.batch}: {versions}"


def quarantine_text(event: EventArray, error: str) -> str:
    """Return the record of an event (one row) that stopped the engine."""
    said = {"kind": _QUARANTINE, "seq": int(event["seq"][0]), "error": error, "event": event.tobytes().hex()}
    return json.dumps(said, separators=(",", ":"))


def upgrade_text(**pairs: tuple[object, object]) -> str:
    """Return the record of an upgrade: code_version, rules_version and source_hash, before and
    since.
    """
    return json.dumps({"kind": _UPGRADE, **pairs}, separators=(",", ":"))


def read_record(record: Record) -> Quarantine | Upgrade:
    """Return what a record says; raise ``JournalDamaged`` for one that says nothing known."""
    try:
        said = json.loads(record.text)
        if said["kind"] == _QUARANTINE:
            event = np.frombuffer(bytes.fromhex(said["event"]), EVENT).copy()
            if len(event) == 1 and int(event["seq"][0]) == said["seq"] and isinstance(said["error"], str):
                return Quarantine(record.batch, said["seq"], said["error"], event)
        if said["kind"] == _UPGRADE:
            return Upgrade(
                record.batch, _pair(said, "code_version", str), _pair(said, "rules_version", int), _pair(said, "source_hash", str)
            )
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise JournalDamaged(Finding(FindingCode.RECORD, f"record {record.number}", "it says nothing that this version knows"))


def _pair(said: Any, name: str, kind: type) -> Any:
    before, since = said[name]
    if not (isinstance(before, kind) and isinstance(since, kind)):
        raise TypeError(name)
    return before, since


def quarantined(records: Iterable[Record]) -> list[Quarantine]:
    """Return the events in quarantine; raise ``JournalDamaged`` as ``read_record``."""
    return [said for said in map(read_record, records) if isinstance(said, Quarantine)]

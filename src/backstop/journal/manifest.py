"""What a run was: code, rules, seed, command; and the names of its accounts and owners."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from backstop import __version__
from backstop.core.instruments import LimitRules
from backstop.journal.format import EFFECT_LAYOUT, EVENT_LAYOUT, SCHEMA_VERSION

__all__ = ["Manifest", "Names"]

#: Entries that the format itself needs.
_FORMAT_KEYS = ("schema_version", "event_row", "effect_row", "names_sha256")
_DETAIL = "detail_"


class Names(NamedTuple):
    """What people call the accounts and owners; the place in the sequence is the id."""

    accounts: Sequence[str] = ()
    owners: Sequence[str] = ()

    def rows(self) -> Iterator[tuple[str, int, str]]:
        """Yield (kind, id, name), ordered by kind and id."""
        for kind, names in (("account", self.accounts), ("owner", self.owners)):
            for identifier, name in enumerate(names):
                yield kind, identifier, name


class Manifest(NamedTuple):
    """The terms of a run. All that a replay needs stands here, so that a journal needs no other file."""

    #: The venue file as it was read, and the hash that ``backstop.config`` gives it.
    venue_text: str
    venue_hash: str
    #: Rows that the engine of the run held; they decide when an event is refused for want of a row.
    limits: LimitRules
    command: str = ""
    seed: int | None = None
    #: A state digest stands after every so many batches; 0: at the end only.
    digest_every: int = 64
    code_version: str = __version__
    #: UTC, ISO 8601; empty: when the journal is created.
    created: str = ""
    #: Whatever else should be kept with the run: scenario, hashes of its inputs.
    details: Mapping[str, str] = {}

    def entries(self, names_sha256: str) -> dict[str, str]:
        """Return the rows of table ``manifest``."""
        entries = {
            "schema_version": str(SCHEMA_VERSION),
            "event_row": EVENT_LAYOUT,
            "effect_row": EFFECT_LAYOUT,
            "names_sha256": names_sha256,
            "venue_text": self.venue_text,
            "venue_hash": self.venue_hash,
            "limits": json.dumps(self.limits._asdict(), separators=(",", ":")),
            "command": self.command,
            "digest_every": str(self.digest_every),
            "code_version": self.code_version,
            "created": self.created or datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if self.seed is not None:
            entries["seed"] = str(self.seed)
        return entries | {_DETAIL + key: value for key, value in self.details.items()}


def manifest_of(entries: Mapping[str, str]) -> Manifest:
    """Return the manifest that these rows hold.

    Raises ``ValueError`` naming the key that is missing or wrong.
    """
    for key in _FORMAT_KEYS:
        _entry(entries, key)
    for key, layout in (("event_row", EVENT_LAYOUT), ("effect_row", EFFECT_LAYOUT)):
        if entries[key] != layout:
            raise ValueError(f"`{key}` lays rows out in another way than this version reads")
    return Manifest(
        venue_text=_entry(entries, "venue_text"),
        venue_hash=_entry(entries, "venue_hash"),
        limits=_limits(_entry(entries, "limits")),
        command=_entry(entries, "command"),
        seed=_integer(entries, "seed") if "seed" in entries else None,
        digest_every=_integer(entries, "digest_every"),
        code_version=_entry(entries, "code_version"),
        created=_entry(entries, "created"),
        details={key.removeprefix(_DETAIL): value for key, value in entries.items() if key.startswith(_DETAIL)},
    )


def _entry(entries: Mapping[str, str], key: str) -> str:
    if key not in entries:
        raise ValueError(f"`{key}` is missing")
    return entries[key]


def _integer(entries: Mapping[str, str], key: str) -> int:
    text = _entry(entries, key)
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"`{key}` = {text[:40]!r}: must be a whole number") from None
    if value < 0 and key != "seed":
        raise ValueError(f"`{key}` = {value}: must not be negative")
    return value


def _limits(text: str) -> LimitRules:
    try:
        limits = json.loads(text)
    except (ValueError, RecursionError):
        limits = None
    if not isinstance(limits, dict) or set(limits) != set(LimitRules._fields) or any(type(value) is not int for value in limits.values()):
        raise ValueError(f"`limits` = {text[:80]!r}: must give a whole number for each of {', '.join(LimitRules._fields)}")
    return LimitRules(**limits)

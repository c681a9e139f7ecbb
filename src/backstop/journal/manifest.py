"""What a run was: code, rules, seed, command; and the names of its accounts and owners."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from backstop import __version__
from backstop.core.instruments import LimitRules
from backstop.journal.codes import present_codes
from backstop.journal.format import DIGEST_ENCODING, EFFECT_LAYOUT, EVENT_LAYOUT, SCHEMA_VERSION, is_digest
from backstop.journal.rules_version import RULES_VERSION
from backstop.journal.source import source_hash as present_source
from backstop.printing import NAME_MAX, shown_name

__all__ = ["ENGINE_COMMAND", "NAME_KINDS", "SEGMENT_BYTES", "Manifest", "Name", "Names", "Opening", "checked_names"]

#: What the journal of an ``Engine`` has as its command.
ENGINE_COMMAND = "backstop.Engine"

#: Bytes of events and effects after which a segment is sealed, unless a run says otherwise: 1 GiB.
SEGMENT_BYTES = 1 << 30

#: Entries that the format itself needs.
_FORMAT_KEYS = ("schema_version", "event_row", "effect_row", "names_sha256")
_DETAIL = "detail_"


class Name(NamedTuple):
    """What people call one account, owner, market or provider."""

    kind: str
    id: int
    name: str


#: Whatever can have a name on the tape.
NAME_KINDS = ("account", "market", "owner", "provider")


class Names(NamedTuple):
    """What people call the accounts and owners; the place in the sequence is the id.

    Markets and providers are called as the venue file has it, but for those that are named here, by
    id.
    """

    accounts: Sequence[str] = ()
    owners: Sequence[str] = ()
    markets: Mapping[int, str] = {}
    providers: Mapping[int, str] = {}

    def rows(self) -> Iterator[Name]:
        """Yield every name, ordered by kind and id."""
        for kind, names in (
            ("account", enumerate(self.accounts)),
            ("market", sorted(self.markets.items())),
            ("owner", enumerate(self.owners)),
            ("provider", sorted(self.providers.items())),
        ):
            for identifier, name in names:
                yield Name(kind, identifier, name)


def checked_names(names: Iterable[Name], accounts_max: int) -> tuple[Name, ...]:
    """Return names that come with one batch, ordered by kind and id; ``accounts_max`` is the venue's
    limit, of accounts and of owners.

    Raises ``ValueError`` for what is no name, and where one thing has two.
    """
    given = tuple(names)
    for each in given:
        if each.kind not in NAME_KINDS:
            raise ValueError(f"name of {each.kind!r} {each.id!r}: `kind` must be one of {', '.join(NAME_KINDS)}")
        most = (accounts_max if each.kind in ("account", "owner") else 1 << 31) - 1
        if type(each.id) is not int or not 0 <= each.id <= most:
            raise ValueError(f"name of {each.kind} {each.id!r}: `id` must be a whole number from 0 to {most}")
        if type(each.name) is not str or not 1 <= len(each.name) <= NAME_MAX or not _is_encodable(each.name):
            raise ValueError(
                f"name of {each.kind} {each.id}: {shown_name(ascii(each.name))}: must be text of 1 to {NAME_MAX} letters, in UTF-8"
            )
    found = tuple(sorted(given))
    for one, other in pairwise(found):
        if one[:2] == other[:2]:
            raise ValueError(f"{one.kind} {one.id} has two names in one batch: {shown_name(one.name)!r}, {shown_name(other.name)!r}")
    return found


def _is_encodable(text: str) -> bool:
    """Say whether text has no half of a surrogate pair, which no encoding writes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


class Opening(NamedTuple):
    """Where a later segment begins: what the ones before it came to, and the state that it goes on
    from.
    """

    #: Number of the segment, from 2.
    segment: int
    #: Chain of the start of the first segment: the same in all of one journal. Hex, as all below.
    origin: str
    #: Chain of the mark that seals the segment before.
    previous: str
    #: Totals of all segments before.
    batches: int
    events: int
    effects: int
    #: ``seq`` of the last event before; -1: there was none.
    last_seq: int
    #: Hash of the snapshot that it begins with, and the state digest that this was taken with.
    snapshot: str
    digest: str


class Manifest(NamedTuple):
    """The terms of a run.

    All that a replay needs stands here, so that a journal needs no other file.
    """

    #: The venue file as it was read, and the hash that ``backstop.config`` gives it.
    venue_text: str
    venue_hash: str
    #: Rows that the engine of the run held; they decide when an event is refused for want of a row.
    limits: LimitRules
    command: str = ""
    seed: int | None = None
    #: A state digest stands after every so many batches; 0: at the end only.
    digest_every: int = 64
    #: A snapshot stands after every so many batches; 0: none. Only the newest ``snapshots_kept``
    #: are kept.
    snapshot_every: int = 64
    snapshots_kept: int = 2
    code_version: str = __version__
    #: Hash of the code that decides what an event does; empty: a journal of schema 1, which does
    #: not say.
    source_hash: str = present_source()
    #: What the numbers in its rows stand for (``backstop.journal.codes``); empty: schema 1 does not
    #: say.
    codes: str = present_codes()
    #: Number of the encoding that its state digests hash.
    digest_encoding: int = DIGEST_ENCODING
    #: Version of the rules by which its effects came about; 0: schema 1 or 2, which do not say.
    rules_version: int = RULES_VERSION
    #: A segment is sealed at the first snapshot at which it has so many bytes of events and effects,
    #: or so many events; 0: no bound.
    segment_bytes: int = SEGMENT_BYTES
    segment_events: int = 0
    #: None: the first segment.
    opening: Opening | None = None
    #: UTC, ISO 8601; empty: when the journal is created.
    created: str = ""
    #: Whatever else should be kept with the run: scenario, hashes of its inputs.
    details: Mapping[str, str] = {}

    @property
    def segment(self) -> int:
        """Number of the segment, from 1."""
        return 1 if self.opening is None else self.opening.segment

    @property
    def is_of_engine(self) -> bool:
        """Whether an ``Engine`` writes it: it is taken up again and again, and is never ended."""
        return self.command == ENGINE_COMMAND

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
            "snapshot_every": str(self.snapshot_every),
            "snapshots_kept": str(self.snapshots_kept),
            "code_version": self.code_version,
            "source_hash": self.source_hash,
            "codes": self.codes,
            "digest_encoding": str(self.digest_encoding),
            "rules_version": str(self.rules_version),
            "segment_bytes": str(self.segment_bytes),
            "segment_events": str(self.segment_events),
            "created": self.created or datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if self.opening is not None:
            entries["opening"] = json.dumps(self.opening._asdict(), separators=(",", ":"))
        if self.seed is not None:
            entries["seed"] = str(self.seed)
        return entries | {_DETAIL + key: value for key, value in self.details.items()}


#: What a journal of schema 1 would have said of what it does not say.
_BEFORE_2 = {"snapshot_every": "0", "snapshots_kept": "0", "source_hash": "", "codes": "", "digest_encoding": "1"}
#: Likewise one of schema 2.
_BEFORE_3 = {"rules_version": "0", "segment_bytes": str(SEGMENT_BYTES), "segment_events": "0"}


def manifest_of(entries: Mapping[str, str], schema: int = SCHEMA_VERSION) -> Manifest:
    """Return the manifest that these rows of a journal of version ``schema`` hold.

    Raises ``ValueError`` naming the key that is missing or wrong.
    """
    for key in _FORMAT_KEYS:
        _entry(entries, key)
    if schema < 2:
        entries = {**_BEFORE_2, **entries}
    if schema < 3:
        entries = {**entries, **_BEFORE_3}
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
        snapshot_every=_integer(entries, "snapshot_every"),
        snapshots_kept=_integer(entries, "snapshots_kept"),
        code_version=_entry(entries, "code_version"),
        source_hash=_entry(entries, "source_hash"),
        codes=_entry(entries, "codes"),
        digest_encoding=_integer(entries, "digest_encoding"),
        rules_version=_integer(entries, "rules_version"),
        segment_bytes=_integer(entries, "segment_bytes"),
        segment_events=_integer(entries, "segment_events"),
        opening=_opening(entries["opening"]) if schema >= 3 and "opening" in entries else None,
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


#: Fields of an opening that are hashes; the others are numbers.
_NUMBER_MAX = 1 << 40
_HASHES = ("origin", "previous", "snapshot", "digest")


def _opening(text: str) -> Opening:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or set(said) != set(Opening._fields):
        raise ValueError(f"`opening` = {text[:80]!r}: must give each of {', '.join(Opening._fields)}")
    for name, value in said.items():
        is_hash = name in _HASHES
        least = 2 if name == "segment" else -1 if name == "last_seq" else 0
        if is_hash and not is_digest(value):
            raise ValueError(f"`opening`: `{name}` = {str(value)[:80]!r}: must be a SHA-256 in hex")
        most = _NUMBER_MAX if name in ("segment", "batches") else (1 << 63) - 1
        if not is_hash and (type(value) is not int or not least <= value <= most):
            raise ValueError(f"`opening`: `{name}` = {str(value)[:80]!r}: must be a whole number from {least} to {most}")
    return Opening(**said)


def _limits(text: str) -> LimitRules:
    try:
        limits = json.loads(text)
    except (ValueError, RecursionError):
        limits = None
    if not isinstance(limits, dict) or set(limits) != set(LimitRules._fields) or any(type(value) is not int for value in limits.values()):
        raise ValueError(f"`limits` = {text[:80]!r}: must give a whole number for each of {', '.join(LimitRules._fields)}")
    return LimitRules(**limits)

"""Choosing rows of a journal by account, market, kind and seq, and counting what it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.config import Venue, parse_venue
from backstop.core.events import EffectKind, EventKind, Reject
from backstop.core.kinds import AdlPlanEffect, Columns, RefusalEffect
from backstop.journal.codes import codes_agree
from backstop.journal.findings import Finding, FindingCode, JournalDamaged
from backstop.journal.manifest import Names
from backstop.journal.reader import Batch, Reader
from backstop.journal.rendering import EFFECTS, EVENTS, Row, Sentence, Speaker, kind_name, time_text

__all__ = ["Choice", "Line", "adl_policies", "chosen", "speaker_of", "stats"]

_ALL = (1 << 63) - 1


class Choice(NamedTuple):
    """Which rows; what is None is not asked for."""

    account: int | None = None
    market: int | None = None
    #: Names of kinds, of events or effects; empty: all.
    kinds: frozenset[str] = frozenset()
    first_seq: int = -_ALL
    last_seq: int = _ALL


class Line(NamedTuple):
    """One event or effect."""

    batch: int
    time_ns: int
    #: Place among the effects of its event, from 0; None: it is the event.
    place: int | None
    row: Row
    #: Of an effect of ADL: the policy of its plan, by which its weight is said.
    adl_policy: int | None = None

    @property
    def kind(self) -> str:
        """Name of its kind."""
        return kind_name(self.row["kind"], is_event=self.place is None)


def speaker_of(journal: Reader, *, with_names: bool = True) -> Speaker:
    """Return who knows the names and decimals of a journal's run.

    Raises ``JournalDamaged`` where its venue file cannot be read any more.
    """
    names = journal.names() if with_names else Names()
    return Speaker(venue_of(journal), names, knows_codes=codes_agree(journal.manifest.codes))


def venue_of(journal: Reader) -> Venue:
    """Read the venue file of a journal's manifest.

    Raises ``JournalDamaged`` where that is no longer possible.
    """
    try:
        return parse_venue(journal.manifest.venue_text, "venue file of the journal")
    except (ValueError, RecursionError) as error:
        raise JournalDamaged(Finding(FindingCode.CONFIG, "manifest", str(error))) from error


def chosen(journal: Reader, choice: Choice, speaker: Speaker | None = None) -> Iterator[Line]:
    """Yield the events and effects that were asked for, each event before its effects; ``speaker`` learns
    on the way what it needs to say them.
    """
    for batch in journal.batches():
        if speaker is not None:
            speaker.learn(batch.events, batch.effects)
        if int(batch.events["seq"].max(initial=-_ALL)) < choice.first_seq:
            continue
        if int(batch.events["seq"].min(initial=_ALL)) > choice.last_seq:
            return
        yield from _of_batch(batch, choice)


def _of_batch(batch: Batch, choice: Choice) -> Iterator[Line]:
    events, effects = batch.events, batch.effects
    wanted_events = _mask(events, choice, EVENTS, is_event=True)
    wanted_effects = _mask(effects, choice, EFFECTS, is_event=False)
    owners = _owners(events["seq"], effects["seq"])
    first_of = np.searchsorted(owners, np.arange(len(events)))
    effect_places = np.flatnonzero(wanted_effects)
    policies = adl_policies(effects)
    for place in sorted({*np.flatnonzero(wanted_events).tolist(), *owners[effect_places].tolist()}):
        time_ns = int(events["time_ns"][place])
        if wanted_events[place]:
            yield Line(batch.number, time_ns, None, _row(events, place))
        first = np.searchsorted(owners[effect_places], place)
        for effect in effect_places[first : np.searchsorted(owners[effect_places], place, side="right")].tolist():
            policy = int(policies[effect]) or None
            yield Line(batch.number, time_ns, effect - int(first_of[place]), _row(effects, effect), policy)


def adl_policies(effects: NDArray[np.void]) -> NDArray[np.int64]:
    """Return for each effect the policy of the plan of ADL that stands last before it, or is it; 0 where
    its event has none before it.
    """
    plans = np.flatnonzero(effects["kind"] == EffectKind.ADL_PLAN)
    if not len(plans):
        return np.zeros(len(effects), dtype=np.int64)
    before = np.searchsorted(plans, np.arange(len(effects)), side="right") - 1
    is_of_event = (before >= 0) & (effects["seq"][plans[before]] == effects["seq"])
    return np.where(is_of_event, AdlPlanEffect[Columns](effects).policy[before], 0)


def _owners(seqs: NDArray[np.int64], owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each effect the place of its event; a stale seq belongs to the next event with
    it.
    """
    order = np.argsort(seqs, kind="stable")
    found = order[np.minimum(np.searchsorted(seqs[order], owners), len(seqs) - 1)]
    return np.maximum.accumulate(found) if len(found) else found


def _row(rows: NDArray[np.void], place: int) -> Row:
    names = rows.dtype.names or ()
    return dict(zip(names, rows[place].item(), strict=True))


def _mask(rows: NDArray[np.void], choice: Choice, table: Mapping[Any, Sentence], *, is_event: bool) -> NDArray[np.bool_]:
    mask = np.asarray((rows["seq"] >= choice.first_seq) & (rows["seq"] <= choice.last_seq))
    if choice.market is not None:
        mask &= rows["market"] == choice.market
    if choice.kinds:
        kinds: Any = EventKind if is_event else EffectKind
        mask &= np.isin(rows["kind"], [int(kind) for kind in kinds if kind.name.lower() in choice.kinds])
    if choice.account is not None:
        named = np.zeros(len(rows), dtype=bool)
        for kind, sentence in table.items():
            for name in sentence.holder_columns:
                named |= (rows["kind"] == int(kind)) & (rows[name] == choice.account)
        mask &= named
    return mask


def stats(journal: Reader) -> dict[str, Any]:
    """Return what a journal is and holds, counted by one pass over its batches.

    ``digests`` are those that ``verify`` compares: of batches that have one, and of the end.
    """
    events: Counter[int] = Counter()
    effects: Counter[int] = Counter()
    refused: Counter[int] = Counter()
    sizes: list[int] = []
    digests, times, seqs = 0, [], []
    for batch in journal.batches():
        events.update(_counts(batch.events["kind"]))
        effects.update(_counts(batch.effects["kind"]))
        refused.update(_counts(RefusalEffect[Columns](batch.effects).reason))
        sizes.append(len(batch.events))
        digests += batch.digest is not None
        times += [int(batch.events["time_ns"][place]) for place in (0, -1) if len(batch.events)]
        seqs += [int(batch.events["seq"][place]) for place in (0, -1) if len(batch.events)]
    journal.check_end()
    manifest = journal.manifest
    log = Path(f"{journal.path}-wal")
    return {
        "path": str(journal.path),
        "schema": journal.schema,
        "is_closed": journal.is_closed,
        "command": manifest.command,
        "created": manifest.created,
        "code_version": manifest.code_version,
        "source_hash": manifest.source_hash,
        "seed": manifest.seed,
        "details": dict(manifest.details),
        "bytes": journal.path.stat().st_size,
        "log_bytes": log.stat().st_size if log.exists() else 0,
        "batches": len(sizes),
        "events": sum(sizes),
        "effects": sum(effects.values()),
        "events_a_batch": {"least": min(sizes, default=0), "median": int(np.median(sizes)) if sizes else 0, "most": max(sizes, default=0)},
        "first_time": time_text(min(times)) if times else None,
        "last_time": time_text(max(times)) if times else None,
        "first_seq": min(seqs, default=None),
        "last_seq": max(seqs, default=None),
        "digests": digests + (journal.is_closed and journal.digest is not None),
        "snapshots": journal.snapshots_held(),
        "events_by_kind": _named(events, is_event=True),
        "effects_by_kind": _named(effects, is_event=False),
        "refused": {
            Reject(code).name.lower() if code in list(Reject) else f"code {code}": count for code, count in sorted(refused.items())
        },
        "chain": journal.chain,
        "digest": journal.digest,
    }


def _counts(column: NDArray[Any]) -> dict[int, int]:
    values, counts = np.unique(column, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _named(counts: Counter[int], *, is_event: bool) -> dict[str, int]:
    return {kind_name(kind, is_event=is_event): counts[kind] for kind in sorted(counts)}

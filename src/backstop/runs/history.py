"""The engine's state at a place of its past, from a journal: everything up to a ``seq`` is applied
again.

What is read is compared with what was recorded only where a caller asks;
``backstop journal verify`` is the full check. A journal whose bytes are damaged is refused as soon
as the damage is met.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from backstop.config import Venue, parse_venue
from backstop.core.engine import step
from backstop.core.events import EFFECT, EVENT, EffectArray, EventArray
from backstop.core.instruments import VenueRules, check_rules
from backstop.core.rules_in_force import rules_in_force
from backstop.core.state import State
from backstop.journal import Batch, Finding, FindingCode, JournalDamaged, JournalError, Names, Reader, open_journal
from backstop.journal.codes import codes_agree
from backstop.runs.beginning import beginning_of

__all__ = ["Past", "apply_events", "read_batches", "replay_before", "state_at", "venue_of"]


class Past(NamedTuple):
    """A state, and what it is a state of."""

    venue: Venue
    #: In force in the state; those of the venue are of the journal's beginning.
    rules: VenueRules
    names: Names
    state: State
    #: The last event applied; -1: none was.
    seq: int
    time_ns: int
    #: The next event (one row) and its recorded effects; no rows at the end of the journal.
    next_event: EventArray
    next_effects: EffectArray

    def account_name(self, account: int) -> str:
        """Return what people call an account, or its number."""
        return self.names.accounts[account] if 0 <= account < len(self.names.accounts) else str(account)

    def account_id(self, name: str) -> int | None:
        """Return the account of a name; a number is an id where no account is called so."""
        if name in self.names.accounts:
            return list(self.names.accounts).index(name)
        opened = int(self.state.engine[0].accounts_now)
        return int(name) if name.isdecimal() and int(name) < opened else None


def apply_events(state: State, events: EventArray) -> EffectArray:
    """Apply all events and return their effects."""
    engine = state.engine[0]
    parts: list[EffectArray] = [np.empty(0, dtype=EFFECT)]
    first = 0
    while first < len(events):
        first = int(step(state, events, first))
        parts.append(state.effects[: int(engine.effects_now)].copy())
        engine.effects_now = 0
    return np.concatenate(parts)


def read_batches(journal: Reader, *, with_names: bool = True, needs_all: bool = True) -> Iterator[Batch]:
    """Yield the batches in order, those of all segments; raise ``JournalDamaged`` at the first
    fault.

    Names need no second check. ``needs_all``: raise ``JournalError`` where the first segments are
    not here.
    """
    if needs_all and journal.first_of_all != 1:
        message = f"begins with batch {journal.first_of_all}: put its earlier segments beside it"
        raise JournalError(f"journal `{journal.path}` {message}")
    if not journal.check_head(with_names=with_names):
        raise JournalDamaged(journal.findings[0])
    for batch in journal.batches():
        if journal.findings:
            raise JournalDamaged(journal.findings[0])
        yield batch


def venue_of(journal: Reader) -> Venue:
    """Return the venue of a journal.

    Raises ``JournalDamaged`` where it is not the one that was hashed, or where no engine has the
    run's limits, ``JournalError`` where the numbers in the rows mean other things today (whoever
    wants the venue is about to read them), and ``ConfigError`` where this version does not read it.
    """
    manifest = journal.manifest
    if not codes_agree(manifest.codes):
        raise JournalError(f"journal `{journal.path}` was written by a version whose numbers mean other things: read it with that one")
    venue = parse_venue(manifest.venue_text, "venue file of the journal")
    if venue.hash != manifest.venue_hash:
        message = f"venue file: journal has hash {manifest.venue_hash}, read again it is {venue.hash}"
        raise JournalDamaged(Finding(FindingCode.CONFIG, "manifest", message))
    try:
        check_rules(venue.rules._replace(limits=manifest.limits))
    except ValueError as error:
        raise JournalDamaged(Finding(FindingCode.CONFIG, "manifest", str(error))) from error
    return venue.renamed(*journal.renamed())


def replay_before(path: Path | str, seq: int | None) -> Past:
    """Return the state before the first event whose seq is ``seq`` or more; None: at the end of the
    journal.

    Raises ``JournalDamaged`` for a damaged journal, ``ConfigError`` for a venue that this version
    does not read, and ``FileNotFoundError`` or ``IsADirectoryError``.
    """
    with open_journal(path) as journal:
        venue = venue_of(journal)
        names = journal.names()
        begun = beginning_of(journal, venue.rules._replace(limits=journal.manifest.limits))
        state = begun.state
        if state is None or (seq is not None and seq <= begun.seq_before):
            raise JournalError(f"journal `{path}`, seq {seq}: {begun.says}")
        following, recorded = np.empty(0, dtype=EVENT), np.empty(0, dtype=EFFECT)
        for batch in read_batches(journal, needs_all=False):
            if batch.number < begun.first_batch:
                continue
            late = batch.events["seq"] >= seq if seq is not None else np.zeros(len(batch.events), dtype=np.bool_)
            count = int(np.argmax(late)) if late.any() else len(batch.events)
            apply_events(state, batch.events[:count])
            if count < len(batch.events):
                following = batch.events[count : count + 1]
                recorded = batch.effects[batch.effects["seq"] == following["seq"][0]]
                break
    engine = state.engine[0]
    return Past(venue, rules_in_force(begun.rules, state), names, state, int(engine.last_seq), int(engine.now_ns), following, recorded)


def state_at(path: Path | str, seq: int | None) -> Past:
    """Return the state after the event ``seq``; None: at the end of the journal.

    Raises as ``replay_before`` does.
    """
    return replay_before(path, None if seq is None else seq + 1)

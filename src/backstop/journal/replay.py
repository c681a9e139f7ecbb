"""Replaying a journal's events through a fresh engine and comparing every effect and digest
(INV-12).

It knows nothing of files; a batch comes in, what differs comes out as findings.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backstop.core.digest import state_digest
from backstop.core.engine import step
from backstop.core.events import EFFECT, EffectArray, EffectKind
from backstop.core.instruments import VenueRules
from backstop.core.state import State, new_state
from backstop.journal.findings import Finding, FindingCode
from backstop.journal.reader import Batch

__all__ = ["Replayer", "effects_difference"]


class Replayer:
    """An engine that is fed the batches of a journal in order, from the start or from a snapshot
    on.
    """

    def __init__(self, rules: VenueRules | None = None, *, state: State | None = None, with_digests: bool = True) -> None:
        """Take the rules of a fresh engine, or a state.

        ``with_digests`` is off for a journal whose digests have another encoding: they are then not
        compared.
        """
        if state is None:
            if rules is None:
                raise TypeError("Condition failed: neither rules nor a state")
            state = new_state(rules)
        self.state = state
        #: Whether recorded digests are compared.
        self.with_digests = with_digests
        self.batches = self.events = self.effects = self.digests = 0

    def replay(self, batch: Batch) -> list[Finding]:
        """Apply the batch's events; return what its effects and its digest differ in.

        Raises whatever the engine raises, which only a damaged event or a broken invariant makes it
        do.
        """
        effects = self._apply(batch)
        findings = effects_difference(batch, effects)
        self.batches += 1
        self.events += len(batch.events)
        self.effects += len(effects)
        if batch.digest is not None:
            findings += self.compare_digest(batch.digest, f"batch {batch.number}, after seq {int(batch.events['seq'][-1])}")
        return findings

    def compare_digest(self, recorded: str, place: str) -> list[Finding]:
        """Compare a recorded digest with that of the present state."""
        if not self.with_digests:
            return []
        self.digests += 1
        replayed = state_digest(self.state)
        if recorded == replayed:
            return []
        return [Finding(FindingCode.DIGEST_DIFFERS, place, f"state digest: journal {recorded}, replay {replayed}")]

    def _apply(self, batch: Batch) -> EffectArray:
        """Return the effects of a batch: a view that holds until the next."""
        engine = self.state.engine[0]
        parts: list[EffectArray] = []
        first = 0
        while first < len(batch.events):
            consumed = int(step(self.state, batch.events, first))
            held = int(engine.effects_now)
            engine.effects_now = 0
            if consumed == len(batch.events) and not parts:
                return self.state.effects[:held]
            parts.append(self.state.effects[:held].copy())
            if consumed <= first and not held:
                raise RuntimeError(f"the engine does not take seq {int(batch.events['seq'][first])}")
            first = consumed
        return np.concatenate(parts) if parts else np.empty(0, dtype=EFFECT)


def effects_difference(batch: Batch, replayed: EffectArray) -> list[Finding]:
    """Return the first effect of the batch that is not the replayed one, field by field; nothing if
    all agree.
    """
    recorded = batch.effects
    shared = min(len(recorded), len(replayed))
    if len(recorded) == len(replayed) and np.array_equal(_words(recorded), _words(replayed)):
        return []
    differ = _bytes(recorded[:shared]) != _bytes(replayed[:shared])
    if not differ.any():
        longer = recorded if len(recorded) > shared else replayed
        who = "journal" if longer is recorded else "replay"
        message = f"journal has {len(recorded)} effects, replay {len(replayed)}: only the {who} has {_shown(longer[shared])}"
        return [Finding(FindingCode.EFFECT_DIFFERS, _place(batch, longer, shared), message)]
    rows = np.flatnonzero(differ.any(axis=1))
    row = int(rows[0])
    fields = [name for name in EFFECT.names or () if recorded[name][row] != replayed[name][row]]
    said = "; ".join(f"`{name}`: journal {_value(name, recorded[row])}, replay {_value(name, replayed[row])}" for name in fields)
    more = f"; {len(rows) - 1} later effects of the batch differ too" if len(rows) > 1 else ""
    return [Finding(FindingCode.EFFECT_DIFFERS, _place(batch, replayed, row), f"{_kind(replayed[row])} {said}{more}")]


def _words(rows: EffectArray) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.ascontiguousarray(rows).view(np.uint64)


def _bytes(rows: EffectArray) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), EFFECT.itemsize)


def _place(batch: Batch, effects: EffectArray, row: int) -> str:
    """Name an effect by its idempotency key: the seq of its event and its place among that event's
    effects.
    """
    seqs = effects["seq"]
    first = row
    while first > 0 and seqs[first - 1] == seqs[row]:
        first -= 1
    return f"batch {batch.number}, seq {int(seqs[row])}, effect {row - first}"


def _kind(effect: Any) -> str:
    code = int(effect["kind"])
    return EffectKind(code).name if code in EffectKind._value2member_map_ else f"kind {code}"


def _value(name: str, effect: Any) -> str:
    return _kind(effect) if name == "kind" else str(int(effect[name]))


def _shown(effect: Any) -> str:
    fields = ", ".join(f"{name} {int(effect[name])}" for name in EFFECT.names or () if name not in ("seq", "kind"))
    return f"{_kind(effect)} ({fields})"

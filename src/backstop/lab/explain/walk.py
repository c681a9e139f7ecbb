"""Going through the tape: to each event that decided something about the account, and through its effects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backstop.core.events import Cause, EffectArray, EffectKind, EventArray, EventKind, Health
from backstop.core.instruments import VenueRules
from backstop.core.state import State, new_state
from backstop.journal import Batch, Finding, FindingCode, JournalDamaged, JournalError, Reader, open_journal
from backstop.journal.rendering import EFFECTS, Row, Speaker
from backstop.journal.showing import speaker_of
from backstop.journal.verify import rules_of
from backstop.lab.explain.facts import Fact, assessment_lines, assessment_values, fact_of
from backstop.lab.explain.mirror import Assessment, Mirror
from backstop.lab.explain.scene import Before, Scene
from backstop.lab.history import apply_events, read_batches

__all__ = ["Decision", "Explanation", "explain"]

#: Causes of trades and postings that somebody chose, or that are no decision of the engine.
_ORDINARY = (Cause.CASH, Cause.FUNDING, Cause.OPENING, Cause.FILL, Cause.TRADING_FEE)
#: Effects that act on an account in default: their first places give the order of the defaulters.
_ACTS = (EffectKind.RESTRICT, EffectKind.ORDER, EffectKind.OFFER, EffectKind.TAKEOVER, EffectKind.ADL_PLAN, EffectKind.TEAR_UP)
#: Defaulters whose ratios are worked out.
_ORDER_MAX = 200


class Standing(NamedTuple):
    """How the account stood: after a decision, or at the place asked for."""

    seq: int
    assessment: Assessment
    health: Health
    values: dict[str, Any]
    lines: list[str]


@dataclass(slots=True)
class Decision:
    """One event that decided something about the account."""

    seq: int
    time_ns: int
    event: Row
    #: The event in words, and what it changed.
    trigger: str
    facts: list[Fact] = field(default_factory=list)


@dataclass(slots=True)
class Explanation:
    """All decisions about an account, or those of one event."""

    journal: str
    account: int
    name: str
    speaker: Speaker
    decisions: list[Decision]
    #: After the last decision, or the event asked for.
    standing: Standing | None
    #: Atoms by cause of the decisions' postings: received (+) and paid (-).
    sums: dict[str, int]

    @property
    def checks_made(self) -> int:
        """How many numbers were worked out anew."""
        return sum(len(fact.checks) for decision in self.decisions for fact in decision.facts)

    @property
    def checks_failed(self) -> list[str]:
        """Say each number that did not come out as the tape has it."""
        return [
            f"seq {decision.seq}, {fact.kind}: {check.what}: tape {check.recorded}, worked out {check.recomputed}"
            for decision in self.decisions
            for fact in decision.facts
            for check in fact.checks
            if not check.agrees
        ]


def explain(path: Path | str, account: str, at: int | None = None) -> Explanation:
    """Explain every decision about an account (its name or number), or, with ``at``, the event of that seq.

    Raises ``FileNotFoundError`` or ``IsADirectoryError``, ``JournalDamaged`` for a file that is damaged or replays otherwise, and
    ``JournalError`` for an account or a seq that is not in it.
    """
    with open_journal(path) as journal:
        speaker = speaker_of(journal)
        if not speaker.knows_codes:
            raise JournalError(f"journal `{path}` was written by a version whose numbers mean other things: explain it with that one")
        rules = _rules(journal)
        try:
            number = speaker.account_number(account)
        except KeyError as error:
            raise JournalError(f"journal `{path}`: {error.args[0]}") from None
        wanted = {at} if at is not None else _decisions_of(journal, number)
    with open_journal(path) as journal:
        return _Walk(str(path), number, speaker, rules).through(journal, wanted, at)


def _rules(journal: Reader) -> VenueRules:
    rules, _ = rules_of(journal)
    if rules is None:
        raise JournalDamaged(journal.findings[-1])
    return rules


def _decisions_of(journal: Reader, account: int) -> set[int]:
    """Return the seqs of events whose effects decided something about the account."""
    found: set[int] = set()
    for batch in read_batches(journal):
        mask = _concerns(batch.effects, account) & _decides(batch.effects)
        found.update(batch.effects["seq"][mask].tolist())
    return found


def _concerns(effects: EffectArray, account: int) -> Any:
    mask = np.zeros(len(effects), dtype=bool)
    for kind, sentence in EFFECTS.items():
        for name in sentence.holder_fields:
            mask |= (effects["kind"] == int(kind)) & (effects[name] == account)
    return mask


def _decides(effects: EffectArray) -> Any:
    moves = np.isin(effects["kind"], (EffectKind.TRADE, EffectKind.POSTING))
    return ~moves | ~np.isin(effects["code"], _ORDINARY)


class _Walk:
    """Replays a journal and stops at the events that are wanted."""

    def __init__(self, path: str, account: int, speaker: Speaker, rules: VenueRules) -> None:
        self.path = path
        self.account = account
        self.speaker = speaker
        self.rules = rules
        self.state: State = new_state(rules)
        self.decisions: list[Decision] = []
        self.standing: Standing | None = None
        self.sums: dict[str, int] = {}

    def through(self, journal: Reader, wanted: set[int], at: int | None) -> Explanation:
        """Replay up to the last event that is wanted."""
        left = set(wanted)
        for batch in read_batches(journal):
            if not left:
                break
            self._through_batch(batch, left)
        if at is not None and at in left:
            raise JournalError(f"journal `{self.path}` has no event of seq {at}")
        opened = int(self.state.engine[0].accounts_now)
        if wanted and self.account >= opened:
            raise JournalError(f"journal `{self.path}`: account {self.speaker.holder(self.account)} is not open at seq {max(wanted)}")
        name = self.speaker.holder(self.account)
        return Explanation(self.path, self.account, name, self.speaker, self.decisions, self.standing, self.sums)

    def _through_batch(self, batch: Batch, left: set[int]) -> None:
        events, first = batch.events, 0
        for place in np.flatnonzero(np.isin(events["seq"], list(left))).tolist():
            seq = int(events["seq"][place])
            if seq not in left:
                continue  # a stale repeat of a seq: the first was it
            left.discard(seq)
            apply_events(self.state, events[first:place])
            self._look(events[place : place + 1], batch.effects[batch.effects["seq"] == seq])
            first = place + 1
            if not left:
                return
        apply_events(self.state, events[first:])

    def _look(self, event: EventArray, recorded: EffectArray) -> None:
        before = self._before(event, recorded)
        effects = apply_events(self.state, event)
        seq = int(event["seq"][0])
        if effects.tobytes() != recorded.tobytes():
            message = "its replay gives other effects than the tape has"
            raise JournalDamaged(Finding(FindingCode.EFFECT_DIFFERS, f"seq {seq}", message))
        row = dict(zip(event.dtype.names or (), event[0].item(), strict=True))
        rows: list[Row] = [dict(zip(effects.dtype.names or (), each, strict=True)) for each in effects.tolist()]
        scene = Scene(self.speaker, self.rules, self.account, row, effects, rows, before, self.state, before.mirror)
        if scene.is_mark:
            scene.mirror.marks = self.state.markets["mark_ticks"].tolist()
        decision = Decision(seq, row["time_ns"], row, self._trigger(scene))
        decision.facts += list(self._facts(scene))
        self._compare(scene, decision)
        self.decisions.append(decision)
        found = scene.mirror.assess()
        self.standing = Standing(seq, found, Health(scene.mirror.health), assessment_values(scene, found), assessment_lines(scene, found))

    def _before(self, event: EventArray, recorded: EffectArray) -> Before:
        state = self.state
        answers = int(event["kind"][0]) in (EventKind.ORDER_FILL, EventKind.ORDER_DONE)
        order = state.orders[int(event["other"][0]) % len(state.orders)].copy() if answers else None
        acted = recorded[np.isin(recorded["kind"], _ACTS)]["account"].tolist()
        others = dict.fromkeys(acted[:_ORDER_MAX] if self.account in acted else [])
        head = state.accounts[self.account]
        return Before(
            Mirror.of(self.rules, state, self.account),
            state.markets["mark_ticks"].tolist(),
            int(head.default_since_ns),
            state.breakers["state"].tolist(),
            order,
            {account: Mirror.of(self.rules, state, account) for account in others},
        )

    def _trigger(self, scene: Scene) -> str:
        said = self.speaker.event(scene.event)
        market = scene.event["market"]
        if scene.event["kind"] == EventKind.MARK:
            was = scene.before.marks[market]
            said += f", was {self.speaker.price(market, was)}" if was else ", the first"
            index = int(self.state.markets[market].index_ticks)
            said += f"; index {self.speaker.price(market, index)}" if index else ""
            said += "; held back by the price guard" if scene.is_held() else ""
        return said

    def _facts(self, scene: Scene) -> Iterator[Fact]:
        mine = _concerns(scene.effects, self.account)
        told_order = False
        for place, row in enumerate(scene.rows):
            scene.place = place
            if not mine[place]:
                continue
            if not told_order and row["kind"] in _ACTS and row["account"] == self.account:
                told_order = True
                order = self._order_of_defaulters(scene)
                if order is not None:
                    yield order
            fact = fact_of(scene)
            if fact is not None:
                self._add(row)
                yield fact

    def _add(self, row: Row) -> None:
        if row["kind"] == EffectKind.POSTING and row["code"] not in _ORDINARY:
            cause = Cause(row["code"]).name.lower()
            sign = 1 if row["account"] == self.account else -1
            self.sums[cause] = self.sums.get(cause, 0) + sign * row["amount"]

    def _order_of_defaulters(self, scene: Scene) -> Fact | None:
        """Say who else was acted on in this event, in order: the worst margin ratio first."""
        others = list(scene.before.others)
        if len(others) < 2:
            return None
        place = others.index(self.account)
        lines, ratios = [], []
        for account in others[: place + 1][-5:]:
            mirror = scene.before.others[account]
            mirror.marks = self.state.markets["mark_ticks"].tolist() if scene.is_mark else mirror.marks
            found = mirror.assess()
            ratio = f"{found.equity / found.maintenance:.6f}" if found.maintenance else "no margin"
            ratios.append({"account": self.speaker.holder(account), "margin_ratio": ratio})
            equity, margin = self.speaker.cash(found.equity), self.speaker.cash(found.maintenance)
            lines.append(f"{self.speaker.holder(account)}: equity {equity} over maintenance margin {margin} is {ratio}")
        more = " or more" if len(others) == _ORDER_MAX else ""
        says = f"its turn: number {place + 1} of {len(others)}{more} accounts acted on by this event"
        return Fact("order", None, says, ["as they stood before it; the lowest ratio comes first in its round", *lines], {"ahead": ratios})

    def _compare(self, scene: Scene, decision: Decision) -> None:
        """See that the account's own ledger ends the event as the engine's does."""
        after = Mirror.of(self.rules, self.state, self.account)
        fact = Fact("standing", None, "the account afterwards")
        fact.check("balance", after.balance, scene.mirror.balance)
        fact.check("health", after.health, scene.mirror.health)
        for market in sorted({*after.positions, *scene.mirror.positions}):
            fact.check(f"lots and cost in {self.speaker.market(market)}", after.held(market), scene.mirror.held(market))
        for cause, amount in scene.expected.items():
            if amount:
                fact.check(f"posting of cause {Cause(cause).name.lower()}", 0, amount)
        held = [market for market, (lots, _) in after.positions.items() if lots]
        parts = [f"{self.speaker.lots(market, after.held(market)[0])} in {self.speaker.market(market)}" for market in held]
        fact.says = f"afterwards: balance {self.speaker.cash(after.balance)}, {', '.join(parts) or 'no position'}"
        fact.values = {
            "balance": self.speaker.cash(after.balance),
            "positions": {self.speaker.market(market): self.speaker.lots(market, after.held(market)[0]) for market in held},
        }
        decision.facts.append(fact)

"""Going through the tape: to each event that decided something about the account, and through its
effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backstop.core.events import (
    NONE,
    Cause,
    EffectArray,
    EffectKind,
    EventArray,
    EventKind,
    Health,
    Reject,
    Stage,
    Transfer,
    is_clearing,
)
from backstop.core.instruments import VenueRules
from backstop.core.rules_in_force import rules_after, rules_in_force
from backstop.core.state import State, new_state
from backstop.explain.books import Account, Books, Held, read_account
from backstop.explain.brief import Brief
from backstop.explain.facts import Fact, assessment_lines, assessment_values, fact_of, waiting
from backstop.explain.gains import noted_before
from backstop.explain.losses import first_cuts, loss_at, those_who_lack
from backstop.explain.passed import DIFFERENCES
from backstop.explain.rows import Rows
from backstop.explain.scene import Before, Breaker, Scene, Shared
from backstop.explain.takeovers import follow_offers
from backstop.journal import Batch, Finding, FindingCode, JournalDamaged, JournalError, Reader, open_journal
from backstop.journal.rendering import Row, Speaker, kind_name
from backstop.journal.showing import adl_policies, speaker_of
from backstop.journal.verify import rules_of
from backstop.runs.beginning import Beginning, beginning_of
from backstop.runs.history import apply_events, read_batches

__all__ = ["Decision", "Explanation", "Walk", "decides", "explain", "known", "rules_at", "whom"]

#: Causes of trades and postings that somebody chose, or that are no decision of the engine.
_ORDINARY = (Cause.CASH, Cause.FUNDING, Cause.OPENING, Cause.FILL, Cause.TRADING_FEE, Cause.MOVE, Cause.CONTRIBUTION)
#: Effects on markets that are told to whoever holds lots there.
_OF_MARKETS = (EffectKind.BREAKER, EffectKind.DOUBT, EffectKind.SETTLEMENT)
#: Effects after which other rules may be in force.
_OF_RULES = (EffectKind.PARAMETER, EffectKind.LISTING, EffectKind.SETTLEMENT)
#: Effects that act on an account in default: their first places give the order of the defaulters.
_ACTS = (EffectKind.RESTRICT, EffectKind.ORDER, EffectKind.OFFER, EffectKind.TAKEOVER, EffectKind.ADL_PLAN, EffectKind.TEAR_UP)
#: Defaulters whose ratios are worked out.
_ORDER_MAX = 200
#: Of them, shown: the account and those right before it.
_SHOWN_MAX = 5


class Standing(NamedTuple):
    """How the account stood: after a decision, or at the place asked for."""

    seq: int
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
    #: What they come to; None where only one event was asked for.
    brief: Brief | None
    #: What was not worked out again, and why.
    notes: list[str] = field(default_factory=list)

    def add(self, account: int, decision: Decision, scene: Scene) -> None:
        """Take a decision, and how the account stands after it."""
        self.decisions.append(decision)
        self.speaker = scene.speaker
        mine = Rows(scene.effects[_concerns(scene.effects, account)])
        if self.brief is not None:
            chosen = (row for row in mine if not (row["kind"] == EffectKind.TRADE and row["code"] in _ORDINARY))
            self.brief.add(decision.seq, decision.time_ns, decision.trigger, [row for row in chosen if row["account"] == account])
        lines, values = assessment_lines(scene, scene.portfolio), assessment_values(scene, scene.portfolio)
        self.standing = Standing(decision.seq, Health(scene.mine.health), values, lines)
        for row in mine:
            by_index = row["code"] == Cause.FUNDING and row["market"] != NONE
            if row["kind"] == EffectKind.POSTING and (row["code"] not in _ORDINARY or by_index):
                cause = Cause(row["code"]).name.lower()
                is_trade = row["code"] != Cause.HAIRCUT and (is_clearing(row["account"]) or is_clearing(row["other"]))
                name = f"realised, {cause}" if is_trade else cause
                self.sums[name] = self.sums.get(name, 0) + (row["amount"] if row["account"] == account else -row["amount"])

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
    """Explain every decision about an account (its name or number), or, with ``at``, the event of
    that seq.

    Raises ``FileNotFoundError`` or ``IsADirectoryError``, ``JournalDamaged`` for a file that is
    damaged or replays otherwise, and ``JournalError`` for an account or a seq that is not in it.
    """
    with open_journal(path) as journal:
        speaker, rules = known(journal)
        try:
            number = speaker.account_number(account)
        except KeyError:
            raise JournalError(f"journal `{path}`: no account has the name or number {account!r}") from None
        wanted = {at} if at is not None else _decisions_of(journal, number, speaker)
        begun = beginning_of(journal, rules)
    found = Explanation(str(path), number, speaker.holder(number), speaker, [], None, {}, Brief() if at is None else None)
    recorded = {seq for seq in wanted if seq <= begun.seq_before}
    if recorded:
        found.notes.append(f"{begun.says}: shown as recorded, up to seq {max(recorded)}")
        with open_journal(path) as journal:
            found.decisions += _as_recorded(journal, speaker, number, recorded, begun.says)
    if begun.state is not None and (wanted - recorded or not recorded):
        with open_journal(path) as journal:
            walk = Walk(str(path), speaker, begun.rules, found.add, begun)
            walk.through(journal, {seq: [number] for seq in wanted - recorded}, with_names=at is not None)
    return found


def _as_recorded(journal: Reader, speaker: Speaker, account: int, wanted: set[int], says: str) -> Iterator[Decision]:
    """Yield what the tape has of the account in events that are not worked out again.

    Raises ``JournalError`` for a seq that is not there.
    """
    left = set(wanted)
    for batch in read_batches(journal, needs_all=False):
        if not left:
            return
        speaker.learn(batch.events, batch.effects)
        for place in np.flatnonzero(np.isin(batch.events["seq"], list(left))).tolist():
            row = dict(zip(batch.events.dtype.names or (), batch.events[place].item(), strict=True))
            left.discard(row["seq"])
            effects = batch.effects[batch.effects["seq"] == row["seq"]]
            decision = Decision(row["seq"], row["time_ns"], row, speaker.event(row))
            policies = adl_policies(effects)
            for number in np.flatnonzero(_concerns(effects, account)).tolist():
                teller = speaker.under(int(policies[number])) if policies[number] else speaker
                effect = dict(zip(effects.dtype.names or (), effects[number].item(), strict=True))
                decision.facts.append(Fact(kind_name(effect["kind"], is_event=False), number, teller.effect(effect), [says]))
            yield decision
    if left:
        raise JournalError(f"journal `{journal.path}` has no event of seq {min(left)}")


def known(journal: Reader) -> tuple[Speaker, VenueRules]:
    """Return the names and the rules of a journal's run; raise ``JournalError`` where its numbers
    mean other things today.
    """
    speaker = speaker_of(journal)
    if not speaker.knows_codes:
        raise JournalError(f"journal `{journal.path}` was written by a version whose numbers mean other things: explain it with that one")
    return speaker, _rules(journal)


def _rules(journal: Reader) -> VenueRules:
    rules, _ = rules_of(journal)
    if rules is None:
        raise JournalDamaged(journal.findings[-1])
    return rules


def _decisions_of(journal: Reader, account: int, speaker: Speaker) -> set[int]:
    """Return the seqs of events that decided something about the account, or stopped or opened what
    it waited for in default.
    """
    found: set[int] = set()
    held: dict[int, int] = {}
    in_default = False
    for batch in read_batches(journal, needs_all=False):
        effects = batch.effects
        speaker.learn(batch.events, effects)
        found.update(effects["seq"][_concerns(effects, account) & decides(effects)].tolist())
        mine = (effects["account"] == account) & np.isin(effects["kind"], (EffectKind.HEALTH, EffectKind.TRADE))
        for row in effects[mine | np.isin(effects["kind"], (EffectKind.BREAKER, EffectKind.SETTLEMENT))]:
            market = int(row["market"])
            if row["kind"] == EffectKind.HEALTH:
                in_default = bool(row["code"] >= Health.DISTRESSED)
            elif row["kind"] == EffectKind.TRADE:
                held[market] = held.get(market, 0) + int(row["lots"])
            elif row["kind"] == EffectKind.SETTLEMENT:
                if held.get(market):
                    found.add(int(row["seq"]))
            elif in_default and (any(held.values()) if market == NONE else held.get(market)):
                found.add(int(row["seq"]))
    return found


def _concerns(effects: EffectArray, account: int) -> Any:
    return (effects["account"] == account) | ((effects["kind"] == EffectKind.POSTING) & (effects["other"] == account))


def whom(effects: EffectArray) -> Any:
    """Return the account that each effect is about: of a debt that is returned, who pays."""
    is_return = (effects["kind"] == EffectKind.POSTING) & (effects["code"] == Cause.DEBT_RETURN)
    return np.where(is_return, effects["other"], effects["account"])


def decides(effects: EffectArray) -> Any:
    """Return which effects are decisions of the engine: all but what somebody's own trades and
    transfers bring.
    """
    moves = np.isin(effects["kind"], (EffectKind.TRADE, EffectKind.POSTING))
    return ~moves | ~np.isin(effects["code"], _ORDINARY)


def rules_at(path: Path | str, seq: int | None = None) -> VenueRules:
    """Return the rules in force after the event of a seq, or at the end of the journal.

    Where the first segments are not here, those of the snapshot with which it then begins are followed.

    Raises ``FileNotFoundError`` or ``IsADirectoryError``, ``JournalDamaged`` for a file that is
    damaged, and ``JournalError`` for a seq that is not in it.
    """
    with open_journal(path) as journal:
        _, rules = known(journal)
        first_batch = 1
        if journal.first_of_all != 1:
            begun = beginning_of(journal, rules)
            if begun.state is None or (seq is not None and seq <= begun.seq_before):
                raise JournalError(f"journal `{path}`, seq {seq}: {begun.says}")
            rules, first_batch = begun.rules, begun.first_batch
        is_there = seq is None
        for batch in read_batches(journal, needs_all=False):
            if batch.number < first_batch:
                continue
            rules = rules_after(rules, batch.effects if seq is None else batch.effects[batch.effects["seq"] <= seq])
            is_there = is_there or bool((batch.events["seq"] == seq).any())
            if seq is not None and is_there:
                return rules
    if not is_there:
        raise JournalError(f"journal `{path}` has no event of seq {seq}")
    return rules


class Walk:
    """Replays a journal and stops at the events that are wanted.

    ``told`` gets each decision, and the scene as it stood at its end.
    """

    def __init__(
        self,
        path: str,
        speaker: Speaker,
        rules: VenueRules,
        told: Callable[[int, Decision, Scene], None],
        begun: Beginning | None = None,
    ) -> None:
        self.path = path
        self.speaker = speaker
        self.rules = rules
        self.told = told
        self.state: State = begun.state if begun is not None and begun.state is not None else new_state(rules)
        self._first_batch = 1 if begun is None else begun.first_batch

    def through(self, journal: Reader, wanted: dict[int, list[int]], *, with_names: bool = True) -> None:
        """Replay up to the last event that is wanted; ``wanted`` names the accounts to look at, by
        seq.

        ``with_names`` False: names were checked when the journal was read before.

        Raises ``JournalError`` for a seq that is not there, or an account that is not open then.
        """
        left = dict(wanted)
        for batch in read_batches(journal, with_names=with_names, needs_all=False):
            if not left:
                return
            if batch.number < self._first_batch:
                continue
            self._through_batch(batch, left)
        if left:
            raise JournalError(f"journal `{self.path}` has no event of seq {min(left)}")

    def _through_batch(self, batch: Batch, left: dict[int, list[int]]) -> None:
        events, first = batch.events, 0
        # One that comes again with a seq that was used up is refused under that seq, out of order:
        # it is nobody's decision.
        stale = (batch.effects["kind"] == EffectKind.REFUSAL) & (batch.effects["code"] == Reject.SEQ_NOT_AFTER)
        effects = batch.effects[~stale] if stale.any() else batch.effects
        for place in np.flatnonzero(np.isin(events["seq"], list(left))).tolist():
            seq = int(events["seq"][place])
            if seq not in left:
                continue  # a stale repeat of a seq: the first was it
            accounts = left.pop(seq)
            apply_events(self.state, events[first:place])
            low, high = np.searchsorted(effects["seq"], [seq, seq + 1])
            self._look(accounts, events[place : place + 1], effects[low:high])
            first = place + 1
            if not left:
                return
        apply_events(self.state, events[first:])

    def _look(self, accounts: list[int], event: EventArray, recorded: EffectArray) -> None:
        """Take one event, and tell each account's decision of it."""
        if int(self.state.engine[0].rules_changed):
            self.rules = rules_in_force(self.rules, self.state)
        before, books = self._before(event), self._books(accounts, event, recorded)
        row = dict(zip(event.dtype.names or (), event[0].item(), strict=True))
        rows = Rows(recorded)
        shared = Shared(books, others=self._others(accounts, recorded))
        seq = int(event["seq"][0])
        if not np.array_equal(apply_events(self.state, event).view(np.int64), recorded.view(np.int64)):
            message = "its replay gives other effects than the tape has"
            raise JournalDamaged(Finding(FindingCode.EFFECT_DIFFERS, f"seq {seq}", message))
        opened = int(self.state.engine[0].accounts_now)
        for account in accounts:
            if account >= opened:
                raise JournalError(f"journal `{self.path}`: {self.speaker.holder(account)} is not open at seq {seq}")
        self.speaker.learn_assets(self.state.account_assets[: int(self.state.engine[0].accounts_now)])
        speaker = self.speaker.under(self.rules.adl_policy)
        scenes = [
            Scene(speaker.in_asset_of(account), self.rules, account, row, recorded, rows, before, self.state, shared)
            for account in accounts
        ]
        if scenes[0].is_mark:
            marks = self.state.markets["mark_ticks"].tolist()
            for settled in rows:
                if settled["kind"] == EffectKind.SETTLEMENT:
                    marks[settled["market"]] = settled["other"]
            books.take_mark(marks)
        decisions = [Decision(seq, row["time_ns"], row, self._trigger(scene)) for scene in scenes]
        self._follow(scenes, decisions)
        for scene, decision in zip(scenes, decisions, strict=True):
            self._end(scene, decision)
            self.told(scene.account, decision, scene)

    def _follow(self, scenes: list[Scene], decisions: list[Decision]) -> None:
        """Go through the effects: what each means for those whom it concerns, then what it
        changes.
        """
        rows, effects, shared = scenes[0].rows, scenes[0].effects, scenes[0].shared
        concerned = dict[int, list[tuple[Scene, Decision]]]()
        for scene, decision in zip(scenes, decisions, strict=True):
            mine = _concerns(effects, scene.account) | np.isin(effects["kind"], _OF_MARKETS)
            for place in np.flatnonzero(mine).tolist():
                concerned.setdefault(place, []).append((scene, decision))
        accounts = [scene.account for scene in scenes]
        firsts = first_cuts(effects, accounts)
        torn = np.flatnonzero((effects["kind"] == EffectKind.TEAR_UP) & np.isin(effects["account"], accounts))
        last = max([*firsts.values(), *torn.tolist()], default=-1)
        changes = np.flatnonzero(np.isin(effects["kind"], _OF_RULES)).tolist()
        for place in sorted({*shared.books.places_to_follow(effects, last), *concerned}):
            row = rows[place]
            while changes and changes[0] < place:
                self._turn(scenes, effects[changes[0] : changes.pop(0) + 1])
            if firsts.get(row["market"]) == place:
                shared.losses[row["market"]] = loss_at(shared.books, effects, place)
            for scene, decision in concerned.get(place, ()):
                scene.place = place
                decision.facts += self._facts_at(scene)
            shared.books.follow(row)
        for change in changes:
            self._turn(scenes, effects[change : change + 1])

    def _turn(self, scenes: list[Scene], change: EffectArray) -> None:
        """Let what follows in the event go by the rules after a change: what timers did before it went by
        those before.
        """
        self.rules = rules_after(self.rules, change)
        speaker = self.speaker.under(self.rules.adl_policy)
        for scene in scenes:
            scene.rules = scene.books.rules = self.rules
            scene.speaker = speaker

    def _books(self, accounts: list[int], event: EventArray, recorded: EffectArray) -> Books:
        """Read who took part: those who are looked at and, where they are torn up after ADL or a
        loss is socialised, all on the other side.
        """
        books = Books(self.rules, self.state, int(event["time_ns"][0]), accounts, recorded)
        if (int(event["kind"][0]), int(event["code"][0])) == (EventKind.TRANSFER, Transfer.FUNDING) and int(event["amount"][0]) < 0:
            books.take_charge(int(event["account"][0]), int(event["market"][0]))
        if int(event["kind"][0]) == EventKind.ORDER_FILL:
            books.take_fill(int(event["other"][0]), int(event["lots"][0]))
        torn = (recorded["kind"] == EffectKind.TEAR_UP) & np.isin(recorded["account"], accounts) & (Stage.ADL in self.rules.stages)
        defaulters, cuts = set(recorded["account"][torn].tolist()), first_cuts(recorded, accounts)
        if cuts:
            defaulters |= set(those_who_lack(recorded, min(cuts.values())))
        if defaulters:
            traded = recorded["account"][recorded["kind"] == EffectKind.TRADE].tolist()
            books.read_others(defaulters, traded, int(event["market"][0]), with_owners=bool(cuts))
        return books

    def _before(self, event: EventArray) -> Before:
        state = self.state
        answers = int(event["kind"][0]) in (EventKind.ORDER_FILL, EventKind.ORDER_DONE, EventKind.ANSWER)
        order = state.orders[int(event["other"][0]) % len(state.orders)].copy() if answers else None
        return Before(
            state.markets["mark_ticks"].tolist(),
            state.markets["depth_lots"].copy(),
            [Breaker.of(*row) for row in state.breakers[["state", "cause", "until_ns"]].tolist()],
            state.breakers["undoubted_ticks"].tolist(),
            state.breakers["settlement"].tolist(),
            state.breakers["given_ticks"].tolist(),
            order,
            noted_before(state, event),
        )

    def _others(self, accounts: list[int], recorded: EffectArray) -> dict[int, Account]:
        """Return who is acted on in this event, in that order, as they stand before it; nobody
        where nobody is looked at of them.
        """
        acted = recorded[np.isin(recorded["kind"], _ACTS)]["account"].tolist()
        is_looked_at = any(account in acted for account in accounts)
        return {number: read_account(self.state, number) for number in dict.fromkeys(acted[:_ORDER_MAX] if is_looked_at else [])}

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

    def _facts_at(self, scene: Scene) -> Iterator[Fact]:
        kind, market = scene.row["kind"], scene.row["market"]
        if kind in (EffectKind.BREAKER, EffectKind.DOUBT) and not scene.waits_for(market):
            return
        if kind == EffectKind.SETTLEMENT and not scene.mine.held(market):
            return
        if not scene.has_told_order and scene.row["kind"] in _ACTS:
            scene.has_told_order = True
            yield from self._order_of_defaulters(scene)
        follow_offers(scene)
        yield fact_of(scene)

    def _end(self, scene: Scene, decision: Decision) -> None:
        """Say what the account waits for, and compare what was followed with the engine's rows
        after the event.
        """
        scene.place = len(scene.rows)
        decision.facts += list(waiting(scene))
        for fact in decision.facts:
            if "passed_over" in fact.values:
                fact.correct(DIFFERENCES, "; ".join(scene.books.differences()) or "none")
        self._compare(scene, decision)

    def _order_of_defaulters(self, scene: Scene) -> Iterator[Fact]:
        """Say who else was acted on in this event, in order: the worst margin ratio first."""
        others = list(scene.shared.others)
        if len(others) < 2 or scene.account not in others:
            return
        place = others.index(scene.account)
        lines, ratios = [], []
        left_out = max(0, place + 1 - _SHOWN_MAX)
        marks = scene.books.marks if scene.is_mark else scene.before.marks
        for account in others[left_out : place + 1]:
            found = scene.books.portfolio_of(scene.shared.others[account], marks)
            ratio = f"{found.equity / found.maintenance:.6f}" if found.maintenance else "no margin"
            ratios.append({"account": self.speaker.holder(account), "margin_ratio": ratio})
            words = self.speaker.in_asset_of(account)
            equity, margin = words.cash(found.equity), words.cash(found.maintenance)
            lines.append(f"{self.speaker.holder(account)}: equity {equity} over maintenance margin {margin} is {ratio}")
        more = " or more" if len(others) == _ORDER_MAX else ""
        says = f"its turn: number {place + 1} of {len(others)}{more} accounts acted on by this event"
        head = "as they stood before it; the lowest ratio comes first in its round"
        head += f"; not shown: the first {left_out}" if left_out else ""
        yield Fact("order", None, says, [head, *lines], {"ahead": ratios, "left_out": left_out})

    def _compare(self, scene: Scene, decision: Decision) -> None:
        """See that what was followed of the account ends the event as the engine's rows do."""
        after, followed = read_account(self.state, scene.account), scene.mine
        fact = Fact("standing", None, "the account afterwards")
        fact.check("balance", after.balance, followed.balance)
        fact.check("health", after.health, followed.health)
        for market in sorted({*after.positions, *followed.positions}):
            rows = (account.positions.get(market, Held()) for account in (after, followed))
            fact.check(f"lots, cost and base of the result in {self.speaker.market(market)}", *rows)
        for cause, amount in scene.expected.items():
            if amount and cause != Cause.SUPPORT:  # a takeover by the vault of an account that no longer lacks anything
                fact.check(f"posting of cause {Cause(cause).name.lower()}", 0, amount)
        held = {self.speaker.market(market): self.speaker.lots(market, each.lots) for market, each in after.positions.items() if each.lots}
        parts = ", ".join(f"{quantity} in {market}" for market, quantity in held.items())
        fact.says = f"afterwards: balance {scene.speaker.cash(after.balance)}, {parts or 'no position'}"
        fact.values = {"balance": scene.speaker.cash(after.balance), "positions": held}
        decision.facts.append(fact)

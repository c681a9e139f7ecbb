"""One ADL wave under every policy: who gives how much, and whether each allocation is sound.

A wave is an event of a journal, run again from the state before it under each policy; or a table of
accounts with weights and caps, over which a budget of money is shared:
``h_i = min(cap_i, eta x w_i)``, summing to the budget.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backstop.comparison.budget import BudgetTable
from backstop.config import parse_venue
from backstop.core.changes import CHANGE_NUMBER, CHANGE_VALUE
from backstop.core.events import ADL_IN_ORDER, AdlPolicy, EffectArray, EventKind, Stage, error_inventory_of, outside_of
from backstop.core.kinds import AdlFillEffect, AdlPlanEffect
from backstop.core.parameter_table import PARAMETERS
from backstop.core.units import scramble
from backstop.core.waterfall.allocation import allocate, allocate_in_order
from backstop.core.waterfall.certificate import (
    Levelled,
    Share,
    check_allocation,
    check_certificate,
    check_levels,
    is_crossing,
    plan_starts,
)
from backstop.core.waterfall.water_filling import level_from_top
from backstop.journal import open_journal
from backstop.runs.fold import Fold, Reader
from backstop.runs.history import Past, apply_events, read_batches, replay_before

__all__ = ["Comparison", "NoWaveError", "Outcome", "Wave", "compare_table", "compare_wave", "waves_of"]

#: How many of the largest payers are summed up.
TOP = 10
#: Weights must leave their sum room in 64 bits.
_WEIGHTS_MAX = 1 << 62
_PPM = 1_000_000
#: Number of the rule that is compared.
_POLICY = next(number for number, rule in PARAMETERS.items() if rule.key == "venue.adl_policy")


class NoWaveError(ValueError):
    """There is no ADL where one was asked for."""


class Outcome(NamedTuple):
    """What one policy makes of a wave."""

    policy: AdlPolicy
    #: By payer: the notional at mark that it gives, or the money that it pays.
    parts: dict[str, int]
    #: By payer: the money that it pays; beyond mark, where positions are given.
    paid: dict[str, int]
    #: What was to be shared, in the unit of ``parts``.
    budget: int
    #: Whether what is given sums to what was to be shared, to the atom: lots and cash of each plan,
    #: or money.
    is_exact: bool
    #: What the check of the certificates found; nothing where they are sound.
    findings: tuple[str, ...]
    #: Certificates checked.
    plans: int

    @property
    def largest(self) -> tuple[str, int]:
        """Return who gives most, and how much."""
        return max(self.parts.items(), key=lambda item: item[1], default=("", 0))

    def top(self, count: int = TOP) -> int:
        """Return what the largest payers give together."""
        return sum(sorted(self.parts.values(), reverse=True)[:count])


class Comparison(NamedTuple):
    """A wave under every policy."""

    title: str
    #: Asset of the atoms, and its decimals.
    asset: str
    decimals: int
    outcomes: tuple[Outcome, ...]
    #: What ``parts`` count.
    measure: str
    notes: tuple[str, ...]
    #: Payers that could have paid, where that is known.
    candidates: int | None = None

    @property
    def is_sound(self) -> bool:
        """Whether every allocation is exact and every certificate without a finding."""
        return all(outcome.is_exact and not outcome.findings for outcome in self.outcomes)

    def text(self, atoms: int) -> str:
        """Return atoms as a decimal with its thousands apart."""
        sign = "-" if atoms < 0 else ""
        whole, rest = divmod(abs(atoms), 10**self.decimals)
        return f"{sign}{whole:,}.{rest:0{self.decimals}d}" if self.decimals else f"{sign}{whole:,}"

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as one object; money is a decimal text."""
        plain = {name: getattr(self, name) for name in ("title", "asset", "measure", "candidates")}
        return {**plain, "notes": list(self.notes), "sound": self.is_sound, "policies": [self._outcome(each) for each in self.outcomes]}

    def _outcome(self, outcome: Outcome) -> dict[str, Any]:
        def text(atoms: int) -> str:
            return self.text(atoms).replace(",", "")

        ranked = sorted(outcome.parts.items(), key=lambda item: -item[1])
        return {
            "policy": outcome.policy.name.lower(),
            "payers": len(outcome.parts),
            "budget": text(outcome.budget),
            "given": text(sum(outcome.parts.values())),
            "paid": text(sum(outcome.paid.values())),
            "largest": {"name": outcome.largest[0], "share": _share(outcome.largest[1], outcome.budget)},
            f"top_{TOP}_share": _share(outcome.top(), outcome.budget),
            "exact": outcome.is_exact,
            "certificates": outcome.plans,
            "findings": list(outcome.findings),
            "parts": [{"name": name, "part": text(part), "paid": text(outcome.paid.get(name, 0))} for name, part in ranked],
        }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


# A wave of a journal


class Wave(NamedTuple):
    """An event of a journal in which accounts were deleveraged."""

    seq: int
    plans: int
    #: Sum of notionals at mark.
    notional: int


class _Waves(Reader):
    """Finds the events with ADL of a run, from its recorded effects."""

    def __init__(self) -> None:
        #: By event: plans, and the sum of their notionals.
        self.found: dict[int, tuple[int, int]] = {}

    def take_batch(self, fold: Fold) -> None:
        """Take the plans of a batch."""
        for first, end in _asking(fold.effects):
            parts = list(AdlPlanEffect.each(fold.effects[first:end]))
            plans, notional = self.found.get(parts[0].seq, (0, 0))
            worth = fold.contracts[parts[0].market].notional(sum(part.lots for part in parts), parts[0].mark_ticks)
            self.found[parts[0].seq] = (plans + 1, notional + worth)


def waves_of(path: Path | str) -> list[Wave]:
    """Return the events with ADL of a journal, in order, from its recorded effects."""
    with open_journal(path) as journal:
        fold = Fold(parse_venue(journal.manifest.venue_text, "venue file of the journal"))
        waves = fold.join(_Waves())
        for batch in read_batches(journal):
            fold.take(batch.events, batch.effects)
    return [Wave(seq, plans, notional) for seq, (plans, notional) in waves.found.items()]


def compare_wave(path: Path | str, seq: int | None = None) -> Comparison:
    """Run the event ``seq`` of a journal under every policy; None: the one in which most notional
    was deleveraged.

    All policies start from the same state, so that the first plan of the event has the same lots,
    cash and caps in each; where an event holds several plans, what an earlier one changed is each
    policy's own. Raises ``NoWaveError`` where nobody was deleveraged, and as ``replay_before``
    does.
    """
    waves = waves_of(path)
    if not waves:
        raise NoWaveError(f"{path}: nobody was deleveraged in this journal")
    if seq is None:
        seq = max(waves, key=lambda wave: wave.notional).seq
    if seq not in {wave.seq for wave in waves}:
        near = ", ".join(str(wave.seq) for wave in sorted(waves, key=lambda wave: abs(wave.seq - (seq or 0)))[:5])
        raise NoWaveError(f"{path}: nobody was deleveraged at seq {seq}: near it are {near}")
    past = replay_before(path, seq)
    recorded = AdlPlanEffect(past.next_effects[_asking(past.next_effects)[0][0]]).policy
    notes = [f"recorded under {recorded.name.lower()}"]
    outcomes = []
    past.venue.need_one_asset("a comparison of policies")
    asset = past.venue.asset
    for policy in AdlPolicy:
        effects = _run_under(past, policy)
        if policy == recorded and not np.array_equal(effects, past.next_effects):
            notes.append("the journal's own effects differ from their replay: run backstop journal verify")
        outcomes.append(_outcome_of(past, policy, effects))
    plans = sorted({outcome.plans for outcome in outcomes})
    if plans != [1]:
        notes.append(f"the event holds {' to '.join(map(str, plans))} plans; only the first meets the same state under every policy")
    title = f"{past.venue.name}, seq {seq}"
    return Comparison(title, asset.name, asset.decimals, tuple(outcomes), "notional at mark", tuple(notes))


def _run_under(past: Past, policy: AdlPolicy) -> EffectArray:
    """Run the next event under a policy, also where a change of the policy takes effect in it."""
    state, event = past.state.copy_used(), past.next_event.copy()
    state.rules["adl_policy"] = policy
    state.stages["policy"][state.stages["kind"] == Stage.ADL] = policy
    waiting = state.changes[: int(state.engine[0].changes_now)]
    waiting[waiting[:, CHANGE_NUMBER] == _POLICY, CHANGE_VALUE] = policy
    event["amount"][(event["kind"] == EventKind.PARAMETER) & (event["code"] == _POLICY)] = policy
    return apply_events(state, event)


def _asking(effects: EffectArray) -> list[tuple[int, int]]:
    """Return where the plans begin and end that ask others: defaulters that are crossed with each
    other ask nobody.
    """
    starts = plan_starts(effects)
    ends = [*starts[1:], len(effects)][: len(starts)]
    return [(first, end) for first, end in zip(starts, ends, strict=True) if not is_crossing(effects, first)]


def _outcome_of(past: Past, policy: AdlPolicy, effects: EffectArray) -> Outcome:
    parts: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    findings: list[str] = []
    budget, is_exact = 0, True
    plans = _asking(effects)
    for first, end in plans:
        plan = AdlPlanEffect(effects[first])
        market = past.rules.markets[plan.market]
        contract = market.contract
        findings += map(str, check_certificate(effects, first, contract, market.settlement_asset))
        rows = effects[first:end]
        closed = list(AdlPlanEffect.each(rows))
        lots_closed, cash_received = sum(each.lots for each in closed), sum(each.cash for each in closed)
        budget += contract.notional(lots_closed, plan.mark_ticks)
        lots = cash = 0
        for fill in islice(AdlFillEffect.each(rows), plan.fills):
            name = _holder_name(past, plan.market, fill.account)
            parts[name] += contract.notional(fill.lots, plan.mark_ticks)
            paid[name] -= contract.beyond_mark(fill.lots, plan.mark_ticks, fill.cash)
            lots += fill.lots
            cash += fill.cash
        is_exact &= (lots, cash) == (-lots_closed, -cash_received)
    return Outcome(policy, dict(parts), dict(paid), budget, is_exact, tuple(findings), len(plans))


def _holder_name(past: Past, market: int, holder: int) -> str:
    house = {outside_of(market): "OUTSIDE", error_inventory_of(market): "error_inventory"}
    return house.get(holder) or past.account_name(holder)


# A table and a budget of money


def compare_table(table: BudgetTable, budget: int, seq: int = 0, title: str = "") -> Comparison:
    """Share a budget (atoms) over a table's accounts under every policy; ``seq`` draws the order of
    policy random.

    Raises ``NoWaveError`` where the caps do not suffice.
    """
    most = sum(table.caps.tolist())
    if not 0 < budget <= most:
        raise NoWaveError(f"a budget of {budget} atoms: must be 1 to {most}, the sum of the caps")
    outcomes, notes = [], list(table.notes)
    for policy in AdlPolicy:
        weights, stands_in = _weights(table, policy, seq)
        if policy not in ADL_IN_ORDER and sum(weights.tolist()) > _WEIGHTS_MAX:
            raise NoWaveError(f"{policy.name.lower()}: the weights sum to more than 2^62 atoms: give them in a larger unit")
        if stands_in:
            notes.append(f"{policy.name.lower()}: {stands_in}")
        if policy == AdlPolicy.WATER_FILLING:
            outcomes.append(_level_out(table, weights, budget))
        else:
            outcomes.append(_share_out(table, policy, weights.astype(np.int64), budget))
    candidates = int((table.caps > 0).sum())
    return Comparison(title, table.asset, table.decimals, tuple(outcomes), "money", tuple(notes), candidates)


def _weights(table: BudgetTable, policy: AdlPolicy, seq: int) -> tuple[Any, str]:
    """Return the weights of a policy, exact whatever their size, and what stands in for a column
    that the table does not have.
    """
    if policy == AdlPolicy.RANDOM:
        return np.array([scramble(seq, 0, place) for place in range(len(table.names))], dtype=np.int64), ""
    if policy == AdlPolicy.QUEUE:
        return (table.weights, "weight stands for score, which the table does not have") if table.scores is None else (table.scores, "")
    if policy == AdlPolicy.CAPPED_PRO_RATA:
        return table.weights, ""
    if policy == AdlPolicy.WATER_FILLING:
        # Equities, rounded up: size / leverage.
        if table.sizes is None or table.leverage_ppm is None:
            return table.weights, "without size and leverage everyone counts as having as much equity as weight"
        pairs = zip(table.sizes.tolist(), table.leverage_ppm.tolist(), strict=True)
        return np.array([min(_WEIGHTS_MAX, max(1, -(-size * _PPM // max(1, leverage)))) for size, leverage in pairs], dtype=object), ""
    sizes = table.weights if table.sizes is None else table.sizes
    wanted = "weight stands for size, which the table does not have" if table.sizes is None else ""
    if policy == AdlPolicy.PRO_RATA:
        return sizes, wanted
    if table.leverage_ppm is None:
        lacks = "size and leverage, which" if table.sizes is None else "size x leverage, which"
        return sizes, f"{'weight' if table.sizes is None else 'size'} stands for {lacks} the table does not have"
    scaled = [max(1, size * leverage // 1_000_000) for size, leverage in zip(sizes.tolist(), table.leverage_ppm.tolist(), strict=True)]
    return np.array(scaled, dtype=object), wanted


def _level_out(table: BudgetTable, equities: Any, budget: int) -> Outcome:
    """Level leverage from the top, an atom as one lot."""
    count = len(table.names)
    sizes = table.weights if table.sizes is None else table.sizes
    counted = np.maximum(equities.astype(np.int64), -(-(sizes + table.caps) // _PPM))
    parts, nexts, heap = np.zeros((3, count), dtype=np.int64)
    level = level_from_top(budget, table.caps, sizes, counted, 1, parts, nexts, heap, count)
    columns = (table.caps.tolist(), sizes.tolist(), counted.tolist(), parts.tolist())
    shares = [Levelled(place, *row) for place, row in enumerate(zip(*columns, strict=True)) if row[0] > 0]
    findings = check_levels("the allocation", shares, 1, 0, (int(level[0]), int(level[1])))
    given = {name: part for name, part in zip(table.names, parts.tolist(), strict=True) if part}
    exact = sum(given.values()) == budget
    return Outcome(AdlPolicy.WATER_FILLING, given, given, budget, exact, tuple(map(str, findings)), 1)


def _share_out(table: BudgetTable, policy: AdlPolicy, weights: Any, budget: int) -> Outcome:
    count = len(table.names)
    parts, remainders, heap = np.zeros((3, count), dtype=np.int64)
    if policy in ADL_IN_ORDER:
        eta_part, eta_weight = allocate_in_order(budget, table.caps, weights, parts, heap, count)
    else:
        eta_part, eta_weight = allocate(budget, table.caps, weights, parts, remainders, heap, count)
    shares = list(map(Share, range(count), table.caps.tolist(), weights.tolist(), parts.tolist()))
    findings = check_allocation(policy in ADL_IN_ORDER, budget, shares, (int(eta_part), int(eta_weight)))
    given = {name: part for name, part in zip(table.names, parts.tolist(), strict=True) if part}
    return Outcome(policy, given, given, budget, sum(given.values()) == budget, tuple(map(str, findings)), 1)

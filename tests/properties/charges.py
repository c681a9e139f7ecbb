"""What leaving beside the book costs: the charge is what the book would have been expected to cost,
and no more than there is.
"""

from __future__ import annotations

from backstop.core.events import AdlClass, Cause, EffectKind, fund_of
from backstop.core.state import State
from tests.properties.mirror import Mirror
from tests.properties.moment import Findings, Moment

__all__ = ["charges_are_due", "charges_scan", "note_depth"]

F, C = EffectKind, Cause
PPM = 1_000_000

#: Lots by market, side and band; -1: not known.
Depth = tuple[tuple[tuple[int, ...], ...], ...]


def note_depth(mirror: Mirror, state: State) -> None:
    """Take the depth before an event: the event may forget it behind a charge, and no effect says
    so.
    """
    mirror.depth_before = depth_of(state)


def depth_of(state: State) -> Depth:
    """Return the engine's depth, by market, side and band."""
    return tuple(tuple(tuple(side) for side in row) for row in state.markets["depth_lots"].tolist())


def _expected_cost(mirror: Mirror, depth: Depth, market: int, lots: int) -> int:
    """Slippage and fee of so many signed lots, by a depth, band by band."""
    rules = mirror.rules
    contract, left, cost, side = mirror.contract(market), abs(lots), 0, 0 if lots < 0 else 1
    tolerance = rules.markets[market].slippage_tolerance_ppm
    for offset, known in zip(rules.markets[market].band_offset_ppm, depth[market][side], strict=False):
        take = min(left, max(0, known)) if offset <= tolerance else 0
        cost, left = cost + contract.offset_cost(contract.notional_of(take), offset, is_sell=lots < 0), left - take
    cost += contract.offset_cost(contract.notional_of(left), tolerance, is_sell=lots < 0)
    return cost + contract.notional_of(lots) * rules.closeout.fee_ppm // PPM


def charges_are_due(moment: Moment) -> Findings:
    """INV-05: who leaves by takeover, ADL or tear-up and is solvent pays a charge to its market's
    fund: the expected cost of the book less what the taker gets, at most the equity that is left.
    """
    effect, mirror = moment.effect, moment.mirror
    is_crossed = effect.kind == F.ADL_FILL and effect.code == AdlClass.CROSSED
    if effect.kind in (F.ADL_PLAN, F.TEAR_UP, F.TAKEOVER) or is_crossed:
        equity = mirror.equity(effect.account)
        at_mark = mirror.holding(effect.account, effect.market).value_of(abs(effect.lots))
        taken = at_mark - effect.amount if effect.kind == F.TAKEOVER else 0
        depths = (mirror.depth_before, depth_of(moment.state)) if equity >= 0 else ()
        costs = [_expected_cost(mirror, depth, effect.market, effect.lots) for depth in depths]
        charges = {max(0, min(cost - max(0, taken), equity - taken)) for cost in costs}
        if any(charges):
            moment.charge_due.append((fund_of(mirror.group(effect.market)), effect.account, effect.market, charges))
    if effect.kind == F.POSTING and effect.code == C.CLOSING_CHARGE:
        # A plan has several defaulters: they pay in the order in which it tells them.
        paid = (effect.account, effect.other, effect.market)
        while moment.charge_due and 0 in moment.charge_due[0][3] and moment.charge_due[0][:3] != paid:
            del moment.charge_due[0]
        due = moment.charge_due.pop(0) if moment.charge_due else None
        if due is None or due[:3] != paid or effect.amount not in due[3] - {0}:
            yield f"{effect}: due is {due}"
        if mirror.equity(effect.other) < effect.amount:
            yield f"{effect}: equity is {mirror.equity(effect.other)}"


def charges_scan(moment: Moment) -> Findings:
    """INV-05: no charge that was due is missing."""
    missing = [due for due in moment.charge_due if 0 not in due[3]]
    if missing:
        yield f"not charged: {missing}"

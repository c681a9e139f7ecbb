"""What leaving beside the book costs: the charge is what the book would have been expected to cost,
and no more than there is.
"""

from __future__ import annotations

from backstop.core.events import AdlClass, Cause, EffectKind, fund_of
from backstop.reference.arithmetic import ceil_div
from tests.properties.moment import Findings, Moment

__all__ = ["charges_are_due", "charges_scan"]

F, C = EffectKind, Cause
PPM = 1_000_000


def _expected_cost(moment: Moment, market: int, lots: int) -> int:
    """Slippage and fee of so many signed lots, by the engine's depth, band by band."""
    row, rules = moment.state.markets[market], moment.mirror.rules
    unit, left, cost, side = moment.mirror.unit(market), abs(lots), 0, 0 if lots < 0 else 1
    tolerance = rules.markets[market].slippage_tolerance_ppm
    for offset, depth in zip(rules.markets[market].band_offset_ppm, row.depth_lots[side].tolist(), strict=False):
        take = min(left, max(0, depth)) if offset <= tolerance else 0
        cost, left = cost + ceil_div(take * unit * offset, PPM), left - take
    return cost + ceil_div(left * unit * tolerance, PPM) + abs(lots) * unit * rules.closeout.fee_ppm // PPM


def charges_are_due(moment: Moment) -> Findings:
    """INV-05: who leaves by takeover, ADL or tear-up and is solvent pays a charge to its market's
    fund: the expected cost of the book less what the taker gets, at most the equity that is left.
    """
    effect, mirror = moment.effect, moment.mirror
    is_crossed = effect.kind == F.ADL_FILL and effect.code == AdlClass.CROSSED
    if effect.kind in (F.ADL_PLAN, F.TEAR_UP, F.TAKEOVER) or is_crossed:
        equity = mirror.equity(effect.account)
        taken = -mirror.contract(effect.market).value_of(effect.lots) - effect.amount if effect.kind == F.TAKEOVER else 0
        cost = _expected_cost(moment, effect.market, effect.lots) if equity >= 0 else 0
        if min(cost - max(0, taken), equity - taken) > 0:
            fund = fund_of(mirror.group(effect.market))
            moment.charge_due.append((fund, effect.account, effect.market, min(cost - max(0, taken), equity - taken)))
    if effect.kind == F.POSTING and effect.code == C.CLOSING_CHARGE:
        # A plan has several defaulters: they pay in the order in which it tells them.
        due = moment.charge_due.pop(0) if moment.charge_due else None
        if due != (effect.account, effect.other, effect.market, effect.amount):
            yield f"{effect}: due is {due}"
        if mirror.equity(effect.other) < effect.amount:
            yield f"{effect}: equity is {mirror.equity(effect.other)}"


def charges_scan(moment: Moment) -> Findings:
    """INV-05: no charge that was due is missing."""
    if moment.charge_due:
        yield f"not charged: {moment.charge_due}"

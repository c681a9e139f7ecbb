"""The cash of a trade, worked out anew to the atom: a price need not fit an inverse contract, so who
takes the rounding is a rule (R11).
"""

from __future__ import annotations

import numpy as np

from backstop.core.events import NONE, Cause, EffectKind, EventKind
from backstop.core.kinds import AdlFillEffect, AdlPlanEffect, Columns, TearUpEffect, TradeEffect
from backstop.explain.scene import Scene
from backstop.reference.arithmetic import sign, split

__all__ = ["cash_due"]


def cash_due(scene: Scene, trade: TradeEffect[int]) -> int | None:
    """Return what a trade of the account must bring; None where its cash is told by an effect of its
    own alone.
    """
    if trade.cause == Cause.ADL:
        return _cash_of_plan(scene, trade)
    if not trade.price_ticks:
        return None
    if trade.cause == Cause.TEAR_UP:
        return _cash_torn(scene, trade)
    contract = scene.contract(trade.market)
    if trade.cause == Cause.FILL and scene.event["kind"] == EventKind.FILL and scene.event["account"] != trade.account:
        # Rounded for the taker, the account of the event; the other side gets minus that.
        return -contract.cash_of(-trade.lots, trade.price_ticks)
    return contract.cash_of(trade.lots, trade.price_ticks)


def _cash_of_plan(scene: Scene, trade: TradeEffect[int]) -> int:
    """Return what the account's own row of the plan says, which is checked where it is told.

    Who gives in two classes has two rows, and a trade for each.
    """
    effects = scene.effects[: scene.place]
    is_told = np.isin(effects["kind"], (EffectKind.ADL_PLAN, EffectKind.ADL_FILL))
    is_traded = (effects["kind"] == EffectKind.TRADE) & (effects["code"] == Cause.ADL)
    last = int(np.flatnonzero(is_told)[-1])
    before = np.flatnonzero(is_traded[:last])
    is_of_plan = np.arange(len(effects)) > (before[-1] if len(before) else -1)
    is_mine = (effects["account"] == trade.account) & (effects["market"] == trade.market) & is_of_plan
    row = effects[is_mine & is_told][int((is_mine & is_traded).sum())]
    return AdlPlanEffect[int](row).cash if row["kind"] == EffectKind.ADL_PLAN else AdlFillEffect[int](row).cash


def _cash_torn(scene: Scene, trade: TradeEffect[int]) -> int:
    """Return the account's part of a tear-up: that of a defaulter is told, the holders of the other side
    share minus the sum by lots (R11.3.3).
    """
    kind = scene.effects["kind"]
    places = np.flatnonzero(kind == EffectKind.TEAR_UP)
    last = int(places[places < scene.place][-1])
    # The rows of one market stand together, with what funds add to them.
    apart = np.flatnonzero(~np.isin(kind[:last], (EffectKind.TEAR_UP, EffectKind.SUPPORT)))
    torn = TearUpEffect[Columns](scene.effects[(apart[-1] + 1 if len(apart) else 0) : last + 1])
    if trade.counterpart == NONE:
        return int(torn.cash[torn.account == trade.account][0])
    following = places[places > last]
    trades = TradeEffect[Columns](scene.effects[last : following[0] if len(following) else None])
    given = trades.where((trades.cause == Cause.TEAR_UP) & (trades.counterpart != NONE))
    gives = dict(zip(given.account.tolist(), np.abs(given.lots).tolist(), strict=True))
    received = sum(torn.cash.tolist())
    return -sign(received) * split(abs(received), gives)[trade.account]

"""What bounded a closing order: the closeout plan of docs/rules.md, section 6, done again in plain integers."""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import BreakerState
from backstop.lab.explain.mirror import ceil_div
from backstop.lab.explain.scene import Plan, Scene

__all__ = ["Bounds", "Settled", "bounds_of", "expected_cost", "settled", "tolerance_ticks", "worst_support"]

_PPM = 1_000_000


class Bounds(NamedTuple):
    """How many lots an order could have, by what bounds it. ``None``: that does not bound."""

    whole: int
    #: The least that restores the account, at expected cost, with the least notional; None: no number does, or it is insolvent.
    restoring: int | None
    #: What one slice may take: a share of depth, of volume, less what is on its way.
    slice: int
    by_account_cap: int
    by_market_cap: int
    by_venue_cap: int
    throttled: bool

    @property
    def cap(self) -> int:
        """The least of what does not depend on the account's need."""
        return min(self.slice, self.by_account_cap, self.by_market_cap, self.by_venue_cap)

    @property
    def lots(self) -> int:
        """How many lots the order must have, the fund apart."""
        return min(self.whole if self.restoring is None else self.restoring, self.cap)

    def binding(self, lots: int) -> str:
        """Say what bounded an order of ``lots``."""
        if lots < self.lots:
            return "what the fund could reserve for it"
        if lots == self.restoring:
            return "the least that restores the account"
        if lots == self.whole:
            return "nothing: it is the whole position"
        names = {
            "the share of the visible depth and volume that one slice may take" + (", throttled" if self.throttled else ""): self.slice,
            "the account's cap on notional in the interval": self.by_account_cap,
            "the market's cap on notional in the interval": self.by_market_cap,
            "the venue's cap on notional in the interval": self.by_venue_cap,
        }
        return next(name for name, bound in names.items() if bound == self.cap)


def expected_cost(scene: Scene, market: int, lots: int, fee_ppm: int) -> int:
    """Return the slippage through the visible bands and the fee of closing ``lots`` (> 0)."""
    held, unit = scene.mirror.held(market)[0], scene.mirror.unit(market)
    left, cost = lots, 0
    for offset, visible in scene.depth(market, 0 if held > 0 else 1):
        take = min(left, max(0, visible))
        cost += ceil_div(take * unit * offset, _PPM)
        left -= take
    cost += ceil_div(left * unit * scene.rules.markets[market].slippage_tolerance_ppm, _PPM)
    return cost + lots * unit * fee_ppm // _PPM


def _least_lots(scene: Scene, plan: Plan, market: int, fee_ppm: int) -> int | None:
    mirror, whole = scene.mirror, abs(scene.mirror.held(market)[0])

    def restores(lots: int) -> bool:
        left = plan.expected_maintenance - mirror.released(market, lots)
        return plan.expected_equity - expected_cost(scene, market, lots, fee_ppm) >= mirror.release_of(left)

    low, high, cumulative = 0, 0, 0
    probes = []
    for _, visible in scene.depth(market, 0 if mirror.held(market)[0] > 0 else 1):
        cumulative += max(0, visible)
        probes.append(min(cumulative, whole))
    for probe in (*probes, whole):
        if probe > low and restores(probe):
            high = probe
            break
        low = max(low, probe)
    if high == 0:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if restores(middle) else (middle, high)
    return high


def bounds_of(scene: Scene, plan: Plan, market: int, lots: int) -> Bounds:
    """Return what bounds the order of signed ``lots`` that is looked at."""
    mirror, closeout = scene.mirror, scene.rules.closeout
    held, unit = mirror.held(market)[0], mirror.unit(market)
    whole = abs(held)
    restoring = None
    if plan.equity >= 0:
        least = _least_lots(scene, plan, market, closeout.fee_ppm)
        if least is not None:
            restoring = max(least, ceil_div(closeout.minimum_notional, unit))
            if restoring >= whole or (whole - restoring) * unit < closeout.minimum_notional:
                restoring = whole
    visible = sum(max(0, each) for _, each in scene.depth(market, 0 if held > 0 else 1))
    base = max(1, visible * closeout.depth_share_ppm // _PPM) if visible else 0
    volume = int(scene.state.markets[market].volume_lots)
    if volume >= 0:
        base = min(base, max(1, volume * closeout.volume_share_ppm // _PPM)) if volume else 0
    throttled = scene.breaker(market) in (BreakerState.THROTTLED, BreakerState.REOPENING)
    if throttled:
        base = max(1, base * scene.rules.breakers.throttle_share_ppm // _PPM)
    by_account, by_market, by_venue = scene.ordered_notional(market)
    return Bounds(
        whole,
        restoring,
        base - scene.pending_lots(market, lots),
        (closeout.account_notional_max - by_account) // unit,
        (scene.rules.markets[market].ordered_notional_max - by_market) // unit,
        (closeout.venue_notional_max - by_venue) // unit,
        throttled,
    )


def tolerance_ticks(scene: Scene, market: int, is_sell: bool, tolerance_ppm: int | None = None) -> int:
    """Return the worst price that a tolerance allows; by default the market's slippage tolerance."""
    rules, mark = scene.rules.markets[market], scene.mirror.marks[market]
    tolerance = rules.slippage_tolerance_ppm if tolerance_ppm is None else tolerance_ppm
    ticks = ceil_div(mark * (_PPM - tolerance), _PPM) if is_sell else mark * (_PPM + tolerance) // _PPM
    return min(max(ticks, 1), rules.price_ticks_max)


def worst_support(scene: Scene, plan: Plan, market: int, lots: int, limit_ticks: int) -> int:
    """Return what the fund may have to pay if an insolvent account's order fills at its limit, in any number of parts."""
    is_sell = scene.mirror.held(market)[0] > 0
    at_limit = lots * limit_ticks * scene.rules.markets[market].notional_factor * (1 if is_sell else -1)
    gap = scene.mirror.zero_cash(market, lots, plan.equity, plan.maintenance) - at_limit
    return gap + lots - 1 if gap > 0 else 0


class Settled(NamedTuple):
    """How a fill of a closing order was settled against its zero price."""

    lots: int
    cash: int
    zero: int
    fee: int
    support: int


def settled(scene: Scene, equity: int) -> Settled | None:
    """Return fee and support of the fill that the event is, or None where no open order expected it."""
    order, event = scene.before.order, scene.event
    if order is None or int(order.id) != event["other"] or int(order.is_open) != 1:
        return None
    whole, filled = abs(int(order.lots)), int(order.filled)
    lots = min(abs(event["lots"]), whole - filled)
    sign = -1 if event["lots"] > 0 else 1
    factor = scene.rules.markets[event["market"]].notional_factor
    cash = sign * lots * event["price_ticks"] * factor
    zero = ceil_div(int(order.zero_cash) * (filled + lots), whole) - ceil_div(int(order.zero_cash) * filled, whole)
    fee = 0
    if equity >= 0:
        at_limit = sign * lots * int(order.limit_ticks) * factor
        rate = lots * scene.mirror.unit(event["market"]) * scene.rules.closeout.fee_ppm // _PPM
        fee = max(0, min(rate, cash - zero, cash - at_limit))
    return Settled(lots, cash, zero, fee, min(max(0, zero - cash), int(order.reserved)))

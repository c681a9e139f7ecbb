"""What bounded a closing order: the closeout plan of docs/rules.md, section 6, done again in plain integers."""

from __future__ import annotations

from typing import NamedTuple

from backstop.core.events import BreakerState, EffectKind
from backstop.explain.fact import percent
from backstop.explain.mirror import ceil_div
from backstop.explain.scene import Plan, Scene

__all__ = [
    "Bounds",
    "Settled",
    "Share",
    "bounds_of",
    "caps_text",
    "expected_cost",
    "limit_ticks",
    "settled",
    "share_of",
    "share_text",
    "tolerance_ticks",
    "worst_support",
    "zero_text",
    "zero_ticks",
]

_PPM = 1_000_000


class Share(NamedTuple):
    """What one slice may take of a side of the book. Lots."""

    visible: int
    #: Whether some of it waits to be told.
    is_unknown: bool
    #: Traded of late; -1: not reported.
    volume: int
    throttled: bool
    #: Of all orders together, and what those on their way take of it.
    whole: int
    pending: int

    @property
    def left(self) -> int:
        """What is left for another order."""
        return self.whole - self.pending


class Cost(NamedTuple):
    """What closing lots is expected to cost. Atoms."""

    slippage: int
    fee: int
    #: (lots, offset in ppm): how deep in the book.
    takes: tuple[tuple[int, int], ...]

    @property
    def whole(self) -> int:
        """Both together."""
        return self.slippage + self.fee


class Bounds(NamedTuple):
    """How many lots an order could have, by what bounds it. ``None``: that does not bound."""

    whole: int
    #: The least that restores the account, at expected cost, with the least notional; None: no number does, or it is insolvent.
    restoring: int | None
    share: Share
    by_account_cap: int
    by_market_cap: int
    by_venue_cap: int

    @property
    def cap(self) -> int:
        """The least of what does not depend on the account's need."""
        return min(self.share.left, self.by_account_cap, self.by_market_cap, self.by_venue_cap)

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
            "what is left of one slice": self.share.left,
            "the account's cap on notional in the interval": self.by_account_cap,
            "the market's cap on notional in the interval": self.by_market_cap,
            "the venue's cap on notional in the interval": self.by_venue_cap,
        }
        return next(name for name, bound in names.items() if bound == self.cap)


def expected_cost(scene: Scene, market: int, lots: int, fee_ppm: int) -> Cost:
    """Return the slippage through the visible bands and the fee of closing ``lots`` (> 0)."""
    held, unit = scene.mirror.held(market)[0], scene.mirror.unit(market)
    left, takes = lots, []
    for offset, visible in scene.depth(market, 0 if held > 0 else 1):
        takes.append((min(left, max(0, visible)), offset))
        left -= takes[-1][0]
    takes.append((left, scene.rules.markets[market].slippage_tolerance_ppm))
    slippage = sum(ceil_div(take * unit * offset, _PPM) for take, offset in takes)
    return Cost(slippage, lots * unit * fee_ppm // _PPM, tuple(take for take in takes if take[0]))


def _least_lots(scene: Scene, plan: Plan, market: int, fee_ppm: int) -> int | None:
    mirror, whole = scene.mirror, abs(scene.mirror.held(market)[0])

    def restores(lots: int) -> bool:
        left = plan.expected_maintenance - mirror.released(market, lots)
        return plan.expected_equity - expected_cost(scene, market, lots, fee_ppm).whole >= mirror.release_of(left)

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
    by_account, by_market, by_venue = scene.ordered_notional(market)
    return Bounds(
        whole,
        restoring,
        share_of(scene, market, lots),
        (closeout.account_notional_max - by_account) // unit,
        (scene.rules.markets[market].ordered_notional_max - by_market) // unit,
        (closeout.venue_notional_max - by_venue) // unit,
    )


def share_of(scene: Scene, market: int, lots: int) -> Share:
    """Return what one slice may take of the side that an order of signed ``lots`` takes."""
    closeout, depth = scene.rules.closeout, scene.depth(market, 0 if lots < 0 else 1)
    visible = sum(max(0, each) for _, each in depth)
    base = max(1, visible * closeout.depth_share_ppm // _PPM) if visible else 0
    volume = int(scene.state.markets[market].volume_lots)
    if volume >= 0:
        base = min(base, max(1, volume * closeout.volume_share_ppm // _PPM)) if volume else 0
    throttled = scene.breaker(market).state in (BreakerState.THROTTLED, BreakerState.REOPENING)
    if throttled and base:
        base = max(1, base * scene.rules.breakers.throttle_share_ppm // _PPM)
    return Share(visible, any(each < 0 for _, each in depth), volume, throttled, base, scene.pending_lots(market, lots))


def share_text(scene: Scene, market: int, share: Share) -> str:
    """Say how much one slice may take, with its terms, and how much of that is on its way."""
    closeout, lots = scene.rules.closeout, scene.speaker.lots
    by_volume = share.volume >= 0 and share.volume * closeout.volume_share_ppm < share.visible * closeout.depth_share_ppm
    rate, of = (closeout.volume_share_ppm, share.volume) if by_volume else (closeout.depth_share_ppm, share.visible)
    said = f"one slice may take {percent(rate)} of {lots(market, of)} {'traded of late' if by_volume else 'visible'}"
    if share.throttled:
        said += f" x {percent(scene.rules.breakers.throttle_share_ppm)} ({scene.breaker(market).state.name.lower()})"
    said += f" = {lots(market, share.whole)}"
    return said + (f", less {lots(market, share.pending)} on their way = {lots(market, share.left)}" if share.pending else "")


def caps_text(scene: Scene, market: int, bounds: Bounds) -> str:
    """Say what is left of the tightest cap on what may be ordered in the interval, with its terms."""
    closeout, cash = scene.rules.closeout, scene.speaker.cash
    by_account, by_market, by_venue = scene.ordered_notional(market)
    caps = (
        (bounds.by_account_cap, "account", closeout.account_notional_max, by_account),
        (bounds.by_market_cap, "market", scene.rules.markets[market].ordered_notional_max, by_market),
        (bounds.by_venue_cap, "venue", closeout.venue_notional_max, by_venue),
    )
    left, whose, most, ordered = min(caps, key=lambda each: each[0])
    seconds = closeout.cap_interval_ns / 1e9
    return (
        f"the {whose}'s cap {cash(most)} each {seconds:g} s less {cash(ordered)} ordered leaves {scene.speaker.lots(market, max(0, left))}"
    )


def tolerance_ticks(scene: Scene, market: int, is_sell: bool, tolerance_ppm: int | None = None) -> int:
    """Return the worst price that a tolerance allows; by default the market's slippage tolerance."""
    rules, mark = scene.rules.markets[market], scene.mirror.marks[market]
    tolerance = rules.slippage_tolerance_ppm if tolerance_ppm is None else tolerance_ppm
    ticks = ceil_div(mark * (_PPM - tolerance), _PPM) if is_sell else mark * (_PPM + tolerance) // _PPM
    return min(max(ticks, 1), rules.price_ticks_max)


def zero_ticks(scene: Scene, market: int, is_sell: bool, lots: int, zero_cash: int) -> int:
    """Return the zero price of ``lots`` (> 0), rounded for the account."""
    rules = scene.rules.markets[market]
    by = lots * rules.notional_factor
    return min(max(ceil_div(zero_cash, by) if is_sell else -zero_cash // by, 1), rules.price_ticks_max)


def zero_text(scene: Scene, market: int, lots: int, equity: int, maintenance: int) -> str:
    """Say the zero cash of ``lots`` (> 0) with its terms."""
    mirror, words, cash = scene.mirror, scene.speaker, scene.speaker.venue.asset.text
    gross, is_long = lots * mirror.unit(market), mirror.held(market)[0] > 0
    zero = cash(mirror.zero_cash(market, lots, equity, maintenance))
    quantity, mark = words.lots(market, lots if is_long else -lots), words.price(market, mirror.marks[market])
    value = f"{cash(gross if is_long else -gross)} ({quantity} at mark {mark})"
    part, whole, what = mirror.released(market, lots), maintenance, "maintenance margin released / in all"
    if not maintenance:
        part, whole, what = gross, sum(abs(term.value) for term in mirror.assess().positions), "notional / in all"
    share = "" if part == whole else f" x {cash(part)} / {cash(whole)} ({what}), rounded up"
    return f"zero cash {zero} = {value} less equity {cash(equity)}{share}"


def limit_ticks(scene: Scene, market: int, is_sell: bool, tolerance_ppm: int | None = None) -> tuple[int, bool]:
    """Return the limit that the tolerance and the price breaker's band give, and whether the band is the stricter.

    The band is the price at which the order's own fill would halt the market; beyond the mark it forbids nothing.
    """
    rules, mark = scene.rules.markets[market], scene.mirror.marks[market]
    ticks = tolerance_ticks(scene, market, is_sell, tolerance_ppm)
    if rules.price_halt_ppm == 0:
        return ticks, False
    breaker = scene.state.breakers[market]
    if is_sell:
        band = ceil_div(int(max(breaker.high_ticks)) * (_PPM - rules.price_halt_ppm), _PPM)
        is_stricter = ticks < band <= mark
    else:
        band = int(min(breaker.low_ticks)) * (_PPM + rules.price_halt_ppm) // _PPM
        is_stricter = mark <= band < ticks
    return (min(max(band, 1), rules.price_ticks_max), True) if is_stricter else (ticks, False)


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
    earlier = scene.rows[: scene.place]  # what time alone brought before the fill may have cancelled the order
    if any(row["kind"] == EffectKind.CANCEL and row["other"] == event["other"] for row in earlier):
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

"""Closing orders, disposal and fills as facts: what bounded the size, what set the limit, what a
fill was settled at.
"""

from __future__ import annotations

from collections.abc import Callable

from backstop.core.events import Cause, EffectKind, Health, Stage
from backstop.core.instruments import PPM
from backstop.core.kinds import CancelEffect, OrderEffect, OrderFillEvent
from backstop.explain.closing import BINDING, caps_text, depth_text, room_text, zero_text
from backstop.explain.fact import Fact, percent
from backstop.explain.scene import Plan, Scene
from backstop.reference.book import Limit
from backstop.reference.book_first import two_ways
from backstop.reference.closing import Closing, OrderTerms, Settlement, settle

__all__ = ["add_order", "add_settled"]


def add_order(scene: Scene, fact: Fact) -> None:
    """Work out size, limit, zero cash and reservation of a closing order, or of one by which the
    vault or a stopped provider sells.
    """
    order, words = OrderEffect(scene.row), scene.speaker
    if order.account == scene.account and not scene.mine.in_default:
        _disposal(scene, fact)
        return
    market, lots, plan = order.market, abs(order.lots), _plan(scene)
    closing = _closing(scene, plan, lambda closing: closing.lots() if closing.is_solvent else lots)
    fact.check("zero cash", order.zero_cash, closing.zero_cash(lots).cash)
    if closing.is_solvent:
        fact.check("lots", lots, closing.lots())
    fact.because += _before_providers_lines(scene, closing, order)
    fact.because += _size_lines(scene, closing)
    fact.because += _limit_lines(scene, fact, closing)
    restoring = closing.restoring()
    fact.values |= {
        "equity": words.cash(plan.portfolio.equity),
        "maintenance_margin": words.cash(plan.portfolio.maintenance),
        "bounded_by": BINDING[closing.binding(lots)],
        "restoring": None if restoring is None else words.lots(market, restoring),
        "slice": words.lots(market, closing.left),
    }
    plan.expected = closing.expected_after(lots)
    fact.says = f"closeout: {fact.says} ({'sells' if order.lots < 0 else 'buys'} to close)"


def _plan(scene: Scene) -> Plan:
    """Return the closeout plan that the present order belongs to: orders follow each other without
    anything between.
    """
    ours = scene.plan
    between = scene.rows[ours.last_place + 1 : scene.place] if ours is not None else []
    if ours is None or any(row["kind"] != EffectKind.RESERVE for row in between):
        ours = scene.plan = scene.new_plan()
    ours.last_place = scene.place
    return ours


def _closing(scene: Scene, plan: Plan, lots_of: Callable[[Closing], int], *, behind: bool = False) -> Closing:
    """Return what bounds the order at the depth after the event or, where only that gives its lots,
    before it; ``behind``: as disposal sees it.
    """
    market, lots = scene.row["market"], abs(scene.row["lots"])
    after = scene.closing(market, plan, behind=behind)
    if lots_of(after) == lots:
        return after
    scene.sees_depth_before = True
    before = scene.closing(market, plan, behind=behind)
    scene.sees_depth_before = False
    return before if lots_of(before) == lots else after


def _disposal(scene: Scene, fact: Fact) -> None:
    """Work out an order by which the venue vault, or a provider that is stopped, sells a share of
    what it holds.
    """
    order, words, rules = OrderEffect(scene.row), scene.speaker, scene.rules.disposal
    market = order.market
    closing = _closing(scene, scene.new_plan(), lambda closing: closing.disposal_lots(rules), behind=True)
    limit, held = closing.book.limit(rules.tolerance_ppm), closing.everything
    fact.check("lots", abs(order.lots), closing.disposal_lots(rules))
    fact.check("zero cash", order.zero_cash, 0)
    fact.check("reserved", order.reserved, 0)
    fact.check("limit", order.limit_ticks, limit.ticks)
    part, price = words.lots(market, closing.disposal_share(rules)), words.price(market, limit.ticks)
    providers = zip(scene.state.providers, scene.rules.providers, strict=False)
    is_vault = any(each.is_vault for row, each in providers if int(row.account) == order.account)
    seller = "the vault sells what it took over" if is_vault else "the provider is stopped by its loss, and sells what it holds"
    band = "the band of the price breaker" if limit.is_banded else f"tolerance {percent(rules.tolerance_ppm)} from mark"
    fact.because += [
        f"{seller}: {percent(rules.share_ppm)} of {words.lots(market, held)} is {part}",
        f"  {room_text(scene, closing)}; limit {price}: {band}",
    ]
    if closing.cap() < closing.left:
        fact.because.append(f"  {caps_text(scene, closing)}")
    fact.says = f"disposal: {fact.says}"


def _before_providers_lines(scene: Scene, closing: Closing, order: OrderEffect[int]) -> list[str]:
    """Say why the order leaves before providers are asked, where they would be first otherwise."""
    stages, words, lots = scene.rules.stages, scene.speaker, abs(order.lots)
    is_behind = Stage.TAKEOVER in stages and stages.index(Stage.TAKEOVER) > stages.index(Stage.CLOSEOUT)
    if not is_behind or scene.mine.health < Health.CLOSE_OUT or scene.now_ns >= scene.deadline_ns:
        return []
    notional = closing.holding.contract.notional_of(lots)
    edges = scene.books.edges_ppm(scene.account, order.market, closing.holding.side, notional)
    ways = two_ways(closing, lots, order.limit_ticks, scene.rules.takeover.provider_share_ppm, edges)
    if ways.takeover is None or not ways.is_book_cheaper or not closing.is_all_needed(lots, order.limit_ticks):
        return []
    book, takeover, by = words.cash(ways.book), words.cash(ways.takeover), "providers" if closing.is_solvent else "the least edge"
    whom = "slippage and fee" if closing.is_solvent else "at its limit, which the fund would bear"
    return [f"before providers, though below close-out: the book takes all at once for {book} ({whom}), {by} would get {takeover}"]


def _size_lines(scene: Scene, closing: Closing) -> list[str]:
    words, market, lots = scene.speaker, scene.row["market"], abs(scene.row["lots"])
    holds, restoring = f"size: it holds {words.lots(market, closing.holding.lots)}", closing.restoring()
    if restoring is not None:
        lines = [f"{holds}, {words.lots(market, restoring)} restore it:", *_restored_lines(scene, closing, restoring)]
    else:
        lines = [f"{holds}, {'and no part of it would restore it' if closing.is_solvent else 'insolvent: all of it is to go'}"]
    lines += [f"  visible on that side of the mark: {depth_text(scene, market, closing.book)}"]
    lines += [f"  {room_text(scene, closing)}"]
    if closing.cap() < closing.left:
        lines.append(f"  {caps_text(scene, closing)}")
    return [*lines, f"  bounded by: {BINDING[closing.binding(lots)]}"]


def _restored_lines(scene: Scene, closing: Closing, lots: int) -> list[str]:
    """Show that closing so many lots is expected to bring the account to its release level."""
    market, words, cash = scene.row["market"], scene.speaker, scene.speaker.text
    cost, after = closing.cost(lots), closing.expected_after(lots)
    takes = " + ".join(f"{words.lots(market, band.lots)} x {percent(band.offset_ppm)}" for band in closing.book.takes(lots))
    mark, fee_rate = words.price(market, closing.holding.contract.mark_ticks), percent(closing.rules.fee_ppm)
    fee = f"fee {cash(cost.fee)} = {fee_rate} of {cash(closing.holding.contract.notional_of(lots))}, rounded down"
    return [
        f"    slippage {cash(cost.slippage)} = mark {mark} x ({takes}), rounded up; {fee}",
        f"    equity {cash(closing.expected.equity)} less both is {cash(after.equity)};"
        f" release level {percent(PPM + after.rules.exit_buffer_ppm)} of the {cash(after.maintenance)}"
        f" maintenance margin left is {cash(after.release)}",
    ]


def _limit_lines(scene: Scene, fact: Fact, closing: Closing) -> list[str]:
    order, words = OrderEffect(scene.row), scene.speaker
    market, lots = order.market, abs(order.lots)
    limit = _limit_of(closing, order)
    allowed = percent(scene.rules.markets[market].slippage_tolerance_ppm)
    lines = [f"limit: tolerance {allowed} from mark allows {words.price(market, limit.tolerance_ticks)}"]
    if limit.is_banded:
        band = words.price(market, limit.book_ticks)
        lines.append(f"  the band of the price breaker allows {band}: a fill beyond would halt the market")
    if limit.zero_ticks is not None:
        zero = words.price(market, limit.zero_ticks)
        lines.append(f"  {zero_text(scene, closing.portfolio, market, lots)}")
        lines.append(f"  zero price {zero}: zero cash by lot; filled there, equity over maintenance margin stays as it is")
    else:
        lines += _chosen_lines(scene, fact, closing, limit)
    fact.check("limit", order.limit_ticks, limit.ticks)
    return [*lines, f"  the strictest is {words.price(market, limit.ticks)}"]


def _limit_of(closing: Closing, order: OrderEffect) -> Limit:
    """Return the limit of an order: an insolvent account's is the candidate that it left with."""
    if closing.is_solvent:
        return closing.quote().limit
    limits = closing.candidates(abs(order.lots))
    return next((limit for limit in limits if limit.ticks == order.limit_ticks), closing.quote().limit)


def _chosen_lines(scene: Scene, fact: Fact, closing: Closing, limit: Limit) -> list[str]:
    """Say why an insolvent account's order has its limit, and what the fund reserves for it."""
    order, words = OrderEffect(scene.row), scene.speaker
    market, lots = order.market, abs(order.lots)
    worst, at_limit = closing.worst_support(lots, limit.ticks), closing.cash_at(lots, limit.ticks)
    fact.check("reserved", order.reserved, worst)
    reached = words.lots(market, sum(max(0, band.lots) for band in closing.book.reached(limit.ticks)))
    return [
        f"  insolvent: {zero_text(scene, closing.portfolio, market, lots)}",
        f"  of the visible bands and the zero price, {words.price(market, limit.ticks)} is where most lots can fill with"
        f" what the fund can reserve: {reached} are visible to there",
        f"  the fund reserves {words.cash(worst)}: that less cash at the limit {words.cash(at_limit)}, and {lots - 1:,} atoms for rounding",
    ]


def add_settled(scene: Scene, fact: Fact) -> None:
    """Work out fee and support of a fill."""
    words, market, closeout = scene.speaker, scene.row["market"], scene.rules.closeout
    fill = _settled(scene)
    if fill is None:
        fact.because.append("no open order expected this fill: it closes what is left of the position")
        return
    order = scene.before.order
    whole = f" (its part of the order's {words.cash(int(order.zero_cash))})" if fill.lots != abs(int(order.lots)) else ""
    lots = words.lots(market, fill.lots)
    fact.because.append(f"fill of {lots}: cash {words.cash(fill.cash)}, zero cash of it {words.cash(fill.zero)}{whole}")
    if fill.fee:
        rate = f"{percent(closeout.fee_ppm)} of {words.cash(scene.contract(market).notional_of(fill.lots))} at mark, rounded down"
        fact.because.append(f"  liquidation fee {words.cash(fill.fee)}: {rate}, at most what the fill is better than zero and limit")
    if fill.support:
        fact.because.append(f"  the fund pays {words.cash(fill.support)}: what the fill is worse than zero, within what was reserved")
    scene.expected |= {int(Cause.LIQUIDATION_FEE): -fill.fee, int(Cause.SUPPORT): fill.support}


def _settled(scene: Scene) -> Settlement | None:
    """Return fee and support of the fill that the event is, or None where no open order expected
    it.
    """
    order, fill = scene.before.order, OrderFillEvent(scene.event)
    if order is None or int(order.id) != fill.order_id or int(order.is_open) != 1:
        return None
    # What time alone brought before the fill may have cancelled the order.
    earlier = scene.rows[: scene.place]
    if any(row["kind"] == EffectKind.CANCEL and CancelEffect(row).order_id == fill.order_id for row in earlier):
        return None
    terms = OrderTerms(int(order.lots), int(order.limit_ticks), int(order.zero_cash), int(order.filled), int(order.reserved))
    lots = min(abs(fill.lots), abs(terms.lots) - terms.filled)
    fee_ppm = scene.rules.closeout.fee_ppm if scene.portfolio.equity >= 0 else None
    return settle(scene.contract(fill.market), terms, lots, fill.price_ticks, fee_ppm)

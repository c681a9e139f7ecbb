"""dYdX's fillable prices, insurance deltas and block limits, beside what the engine measures and
does.

The formulas are the venue's own (``tests.vectors.venues.dydx``). Where the engine has the same
notion it is asked too: equity and maintenance of every account (``assess``), the bankruptcy cash
(``zero_cash``), what the fund pays for a bad fill (SUPPORT), and what a cap on notional leaves of
an order.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from backstop.core.events import FUND, Cause, EffectKind, EventKind
from backstop.core.instruments import AssetRules, CloseoutRules, VenueRules
from backstop.reference.records import Effect
from tests.vectors.driving import SMALL, Drive, flat_market, still_rules
from tests.vectors.tables.dydx import Position
from tests.vectors.tables.dydx_liquidation import (
    BLOCK_LIMITS,
    DELTAS,
    EXPONENT,
    FILLABLE,
    MARKETS,
    ORDERS,
    POSITION_LIMITS,
    QUOTES,
    SUBTICKS,
    SUFFICIENCY,
    BlockLimit,
    Delta,
    Fillable,
    OrderSize,
    PositionLimit,
    Quote,
    Subticks,
    Sufficiency,
)
from tests.vectors.venues.dydx import (
    Account,
    BlockUsage,
    LiquidationRules,
    bankruptcy_cash,
    does_fund_suffice,
    fill_quote,
    fillable_price,
    insurance_delta,
    insurance_left,
    liquidation_delta,
    margins_of,
    notional_left,
    notional_of,
    position_notional_limits,
    subticks_of,
)

VENUE_MARKETS = tuple(venue.as_market() for venue in MARKETS)
BTC = VENUE_MARKETS[0]
LOTS_MAX = 1_000_000_000
#: Here a tick is a hundredth of a quote quantum, so that every fill price of the table is whole; so
#: is an atom.
FINE = 100


def _account(quote: int, positions: tuple[Position, ...]) -> Account:
    return Account(quote, {position.market: position.quantums for position in positions})


def _engine(quote: int, positions: tuple[Position, ...], rules: VenueRules | None = None) -> Drive:
    """Return an engine that holds the account: a lot is a base quantum, an atom a hundredth of a
    quote quantum.

    Where orders may leave, the fund has money and the book has depth, and an insolvent account
    sends its order as soon as quote and positions are both there.
    """
    markets = [flat_market(venue.initial_ppm, int(venue.maintenance_ppm), lots_max=LOTS_MAX, ticks_max=1_000 * FINE) for venue in MARKETS]
    drive = Drive((rules or still_rules())._replace(markets=tuple(markets)))
    drive.accept(EventKind.TRANSFER, account=FUND, amount=10**15)
    drive.open_account(0)
    for market, venue in enumerate(MARKETS):
        drive.mark(market, int(venue.quantum_value * FINE))
        drive.show_depth(market, LOTS_MAX)
    drive.fund(0, max(quote, 0) * FINE)
    for position in positions:
        drive.open_position(0, position.market, position.quantums, 0)
    drive.fund(0, min(quote, 0) * FINE)
    return drive


def _only_order(drive: Drive) -> Effect:
    [order] = [effect for effect in drive.effects if effect.kind == EffectKind.ORDER]
    return order


@pytest.mark.parametrize("case", [case for case in FILLABLE if case.price is not None], ids=lambda case: f"L{case.line}")
def test_a_liquidation_may_fill_down_to_this_price(case: Fillable) -> None:
    account = _account(case.quote, case.positions)
    rules = LiquidationRules(bankruptcy_adjustment_ppm=case.adjustment_ppm, spread_to_maintenance_ppm=case.spread_ppm)
    assert fillable_price(account, VENUE_MARKETS, case.market, case.delta, rules) == case.price
    # What the price is made of is what the engine measures.
    equity, _, maintenance = margins_of(account, VENUE_MARKETS)
    assert _engine(case.quote, case.positions).assess(0) == (equity * FINE, maintenance * FINE)


@pytest.mark.parametrize("case", [case for case in FILLABLE if case.price is None], ids=lambda case: f"L{case.line}")
def test_a_delta_that_closes_nothing_has_no_price(case: Fillable) -> None:
    with pytest.raises(ValueError, match="does not close a position"):
        fillable_price(_account(case.quote, case.positions), VENUE_MARKETS, case.market, case.delta, LiquidationRules())


@pytest.mark.parametrize("case", SUBTICKS, ids=lambda case: f"L{case.line}")
def test_a_price_becomes_a_whole_tick(case: Subticks) -> None:
    assert subticks_of(Fraction(case.price), case.is_long, case.exponent, case.subticks_per_tick) == case.subticks


def test_ticks_are_rounded_for_the_liquidated() -> None:
    # The source's table has one case that rounds, of a long; a short, and the upper end, are not in
    # it.
    assert subticks_of(Fraction(2_340), True, 1, 100) == 300
    assert subticks_of(Fraction(2_340), False, 1, 100) == 200
    assert subticks_of(Fraction(10) ** 30, True, 0, 100) == (1 << 64) - 1 - ((1 << 64) - 1) % 100


def test_the_spread_never_exceeds_its_bounds() -> None:
    # Equity above maintenance: the adjustment would be negative; no price is better than the
    # oracle's.
    account = Account(0, {0: 10_000_000})
    assert fillable_price(account, VENUE_MARKETS, 0, -10_000_000, LiquidationRules()) == BTC.quantum_value


@pytest.mark.parametrize("case", DELTAS, ids=lambda case: f"L{case.line}")
def test_a_fill_moves_this_into_the_fund(case: Delta) -> None:
    account = Account(case.quote, {0: case.quantums})
    cash = bankruptcy_cash(account, VENUE_MARKETS, 0, case.fill)
    worth = fill_quote(abs(case.fill), case.subticks, EXPONENT)
    assert insurance_delta(-worth if case.fill > 0 else worth, cash, case.fee_ppm) == case.delta
    assert _engine(case.quote, (Position(0, case.quantums),)).zero_cash(0, 0, abs(case.fill)) == cash * FINE


def _fill(case: Delta) -> list[Effect]:
    """Return the postings that follow when the engine's own order is filled at the price of the
    case.
    """
    closeout = CloseoutRules(fee_ppm=case.fee_ppm, depth_share_ppm=1_000_000)
    drive = _engine(case.quote, (Position(0, case.quantums),), VenueRules(markets=(), closeout=closeout, limits=SMALL))
    order = _only_order(drive)
    assert order.lots == case.fill
    ticks = int(case.subticks * Fraction(10) ** EXPONENT * FINE)
    found = drive.accept(EventKind.ORDER_FILL, other=order.other, market=0, lots=case.fill, price_ticks=ticks)
    return [effect for effect in found if effect.kind == EffectKind.POSTING]


@pytest.mark.parametrize("case", [case for case in DELTAS if case.subticks > 1], ids=lambda case: f"L{case.line}")
def test_the_engines_fund_pays_the_same_for_a_bad_fill(case: Delta) -> None:
    # All these accounts are insolvent: the engine asks no fee of them, so that a better fill pays
    # off what they owe first. Only the loss of the fund is the same notion in both. (A price of one
    # subtick is no tick here.)
    postings = _fill(case)
    assert all(effect.code != Cause.LIQUIDATION_FEE for effect in postings)
    assert sum(effect.amount for effect in postings if effect.code == Cause.SUPPORT) == max(0, -case.delta) * FINE


@pytest.mark.parametrize("case", SUFFICIENCY, ids=lambda case: f"L{case.line}")
def test_the_fund_suffices(case: Sufficiency) -> None:
    assert does_fund_suffice(case.balance, case.delta) == case.answer


@pytest.mark.parametrize("case", QUOTES, ids=lambda case: f"L{case.line}")
def test_the_quote_of_a_fill(case: Quote) -> None:
    assert fill_quote(case.quantums, case.subticks, case.exponent) == case.quote


@pytest.mark.parametrize("case", POSITION_LIMITS, ids=lambda case: f"L{case.line}")
def test_a_position_gives_between_these(case: PositionLimit) -> None:
    rules = LiquidationRules(position_notional_min=case.notional_min, position_portion_ppm=case.portion_ppm)
    assert position_notional_limits(rules, notional_of(BTC, case.quantums)) == (case.least, case.most)


def test_a_portion_is_never_less_than_the_least() -> None:
    # A tenth of 5 USD where at least 1 USD goes, and of 50 USD: the source's table has no such
    # pair.
    rules = LiquidationRules(position_notional_min=1_000_000, position_portion_ppm=100_000)
    assert position_notional_limits(rules, -5_000_000) == (1_000_000, 1_000_000)
    assert position_notional_limits(rules, 50_000_000) == (1_000_000, 5_000_000)


@pytest.mark.parametrize("case", BLOCK_LIMITS, ids=lambda case: f"L{case.line}")
def test_a_block_leaves_this(case: BlockLimit) -> None:
    rules = LiquidationRules(account_notional_max=case.notional_max, account_insurance_max=case.insurance_max)
    used = BlockUsage(frozenset((case.touched_market,)), case.notional, case.insurance)
    for left, limit in ((case.notional_left, notional_left), (case.insurance_left, insurance_left)):
        if left is None:
            with pytest.raises(ValueError, match="already liquidated" if case.market == case.touched_market else "beyond its maximum"):
                limit(rules, used, case.market)
        else:
            assert limit(rules, used, case.market) == left


@pytest.mark.parametrize("case", ORDERS, ids=lambda case: f"L{case.line}")
def test_one_order_closes_this_much(case: OrderSize) -> None:
    rules = LiquidationRules(position_notional_min=case.notional_min, position_portion_ppm=case.portion_ppm)
    assert liquidation_delta(rules, BTC, case.quantums, case.step, case.notional_max) == case.delta


@pytest.mark.parametrize("case", [case for case in ORDERS if case.notional_max < 10**18], ids=lambda case: f"L{case.line}")
def test_the_engines_cap_on_an_accounts_notional_leaves_the_same(case: OrderSize) -> None:
    # The engine's cap is the venue's on a whole account, in a market without other limits: it knows
    # no portion of a position, and here the account is insolvent, so that all of it would be closed
    # at once.
    closeout = CloseoutRules(depth_share_ppm=1_000_000)
    assets = (AssetRules(account_notional_max=case.notional_max * FINE),)
    quote = -notional_of(BTC, case.quantums) - 1_000_000
    drive = _engine(quote, (Position(0, case.quantums),), VenueRules(markets=(), closeout=closeout, assets=assets, limits=SMALL))
    assert _only_order(drive).lots == case.delta

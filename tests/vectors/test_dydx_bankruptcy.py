"""dYdX's cash at the bankruptcy price is this engine's zero cash, to the quantum.

A lot is a base quantum and an atom a quote quantum: BTC is marked at 500 ticks, ETH at 3. Positions
open at cost 0, since the venue's quote balance already holds what was paid for them.
"""

from __future__ import annotations

import pytest

from backstop.core.events import FUND, BookSide, EffectKind, EventKind, Health, Reject, Stage
from backstop.core.instruments import CloseoutRules, MarketRules, VenueRules
from tests.vectors.driving import SMALL, Drive, flat_market, map_quantums, still_rules
from tests.vectors.tables.dydx_bankruptcy import CASES, MARKETS, Closing
from tests.vectors.venues.dydx import Margins, UpdateResult, judge_update

ENGINE_REFUSES = [case for case in CASES if case.cash is None]
#: Of what a position may hold: more than any case, so that no refusal below is one of size.
LOTS_MAX = 1_000_000_000


def _markets() -> list[MarketRules]:
    return [flat_market(venue.initial_ppm, int(venue.maintenance_ppm), lots_max=LOTS_MAX, ticks_max=1_000) for venue in MARKETS]


def _set_up(case: Closing, rules: VenueRules, quote: int) -> Drive:
    drive = Drive(rules)
    drive.open_account(0)
    for market, venue in enumerate(MARKETS):
        mapping = map_quantums(venue, 1)
        assert mapping.lot_quantums == mapping.factor == mapping.atom == 1
        drive.mark(market, mapping.ticks)
    for position in case.positions:
        drive.show_depth(position.market)
        drive.open_position(0, position.market, position.quantums, 0)
    drive.fund(0, quote)
    return drive


def _margins(drive: Drive) -> Margins:
    equity, maintenance = drive.assess(0)
    return Margins(equity, drive.initial_margin(0), maintenance)


@pytest.mark.parametrize("case", [case for case in CASES if case.cash is not None], ids=lambda case: f"L{case.line}")
def test_zero_cash_is_the_venues_bankruptcy_cash(case: Closing) -> None:
    drive = _set_up(case, still_rules(*_markets()), case.quote)
    assert drive.lots(0, case.market) * case.delta < 0
    assert case.cash is not None
    assert drive.zero_cash(0, case.market, abs(case.delta)) == case.cash

    # The source also asks that closing at that cash passes its own rule for updates.
    ticks = map_quantums(MARKETS[case.market], 1).ticks
    before = _margins(drive)
    drive.fund(0, case.cash + case.delta * ticks)
    drive.trade(0, case.market, case.delta, ticks)
    assert judge_update(before, _margins(drive)) == UpdateResult.ALLOWED


@pytest.mark.parametrize("case", ENGINE_REFUSES, ids=lambda case: f"L{case.line}")
def test_a_delta_that_closes_nothing_finds_no_order(case: Closing) -> None:
    # The engine alone decides what closes, and only of accounts in default; from outside a delta
    # can only come as the fill of an order. None of these accounts has one.
    drive = _set_up(case, still_rules(*_markets()), case.quote)
    found = drive.send(EventKind.ORDER_FILL, other=1, market=case.market, lots=case.delta, price_ticks=500)
    assert [(effect.kind, effect.code) for effect in found] == [(EffectKind.REFUSAL, Reject.UNKNOWN_ORDER)]


def _with_an_order(case: Closing) -> Drive:
    """Set the case up with so little quote that the account is in default, and a book that takes an
    order.
    """
    rules = VenueRules(markets=tuple(_markets()), closeout=CloseoutRules(fee_ppm=0), limits=SMALL)
    drive = _set_up(case, rules, 0)
    drive.accept(EventKind.DEPTH, market=0, code=BookSide.BID, other=0, lots=LOTS_MAX)
    found = drive.fund(0, -46_000_000_000)
    assert drive.health(0) == Health.DISTRESSED
    assert [effect.other for effect in found if effect.kind == EffectKind.ORDER] == [1]
    return drive


def test_a_fill_on_the_wrong_side_is_refused() -> None:
    [case] = [case for case in CASES if case.line == 2811]
    found = _with_an_order(case).send(EventKind.ORDER_FILL, other=1, market=0, lots=case.delta, price_ticks=500)
    assert [(effect.kind, effect.code) for effect in found] == [(EffectKind.REFUSAL, Reject.LOTS_OUT_OF_RANGE)]


def test_a_fill_beyond_the_position_never_turns_it() -> None:
    # Where the venue refuses, this engine takes the fill as a fact: what the position cannot give
    # is set apart.
    [case] = [case for case in CASES if case.line == 2827]
    drive = _with_an_order(case)
    drive.accept(EventKind.ORDER_FILL, other=1, market=0, lots=case.delta, price_ticks=500)
    assert drive.lots(0, 0) == 0
    error_inventory = drive.state.positions[1]
    assert int(error_inventory.lots) == case.delta + case.positions[0].quantums == -1


def test_adl_of_an_insolvent_account_moves_the_same_cash() -> None:
    [case] = [case for case in CASES if case.line == 2610]
    assert case.cash is not None
    stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    drive = _set_up(case, VenueRules(markets=tuple(_markets()), stages=stages, limits=SMALL), 0)
    # The house takes lots at mark only: an account stands opposite, and bears what is beyond.
    drive.open_account(1)
    drive.fund(1, 10 * case.cash)
    drive.open_position(1, 0, case.delta, 0)
    drive.send(EventKind.DEPTH, market=0, code=BookSide.BID, other=0, lots=0)
    found = drive.fund(0, case.quote)
    [plan] = [effect for effect in found if effect.kind == EffectKind.ADL_PLAN]
    assert (plan.lots, plan.amount) == (case.delta, case.cash)
    assert (drive.lots(0, 0), drive.assess(0)) == (0, (0, 0))
    assert [(effect.account, effect.lots, effect.amount) for effect in found if effect.kind == EffectKind.ADL_FILL] == [
        (1, -case.delta, -case.cash)
    ]
    assert all(effect.other != FUND for effect in found if effect.kind == EffectKind.POSTING)

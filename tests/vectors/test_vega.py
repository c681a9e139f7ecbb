"""Vega's settlement, disposal and closeout prices, by the venue's formulas."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.vectors.tables.vega import (
    CLOSEOUTS,
    DISPOSALS,
    SETTLEMENTS,
    ChangeStep,
    CloseoutCase,
    DisposalCase,
    SettlementCase,
    TakeOver,
    Tick,
    Trade,
)
from tests.vectors.venues.vega import (
    BookView,
    Disposal,
    DisposalRules,
    Loser,
    NetworkOrder,
    closeout_price,
    settle,
    share_collected,
)

HIGHEST = 1 << 40


@pytest.mark.parametrize("case", SETTLEMENTS, ids=lambda case: case.name)
def test_a_settlement_pays_what_was_collected(case: SettlementCase) -> None:
    found = settle(case.losers, case.due, case.insurance)
    assert (found.collected, case.insurance - found.insurance_paid) == (case.collected, case.insurance_after)
    assert sum(found.paid.values()) == min(case.collected, sum(case.due.values()))
    if case.paid is not None:
        assert found.paid == case.paid


def test_insurance_pays_before_winners_get_less() -> None:
    # Gains of 60 and 40 of which 70 are collected (0002-STTL); the same with 20, then with all,
    # from insurance.
    losers, due = (Loser(100, 70),), {"a": 60, "b": 40}
    assert settle(losers, due, 0).paid == {"a": 42, "b": 28}
    assert settle(losers, due, 20).paid == {"a": 54, "b": 36}
    full = settle(losers, due, 1_000)
    assert (full.insurance_paid, full.paid) == (30, due)


def test_what_rounding_leaves_goes_to_the_last_winner() -> None:
    assert share_collected({"a": 1, "b": 1, "c": 1}, 2) == {"a": 0, "b": 0, "c": 2}
    assert share_collected({}, 0) == {}


def _run(case: DisposalCase) -> tuple[list[NetworkOrder | None], list[Tick]]:
    """Walk through a case; return what the network offered at each tick, and the ticks."""
    disposal = Disposal(case.rules)
    disposal.take_over(case.position, 0)
    offered, ticks = [], []
    for step in case.steps:
        if isinstance(step, TakeOver):
            disposal.take_over(step.size, step.now_s)
        elif isinstance(step, Trade):
            disposal.trade(-step.size, step.now_s)
        elif isinstance(step, ChangeStep):
            disposal.change_rules(disposal.rules._replace(step_s=step.step_s))
        else:
            view = BookView(case.mid, case.lowest_valid, HIGHEST, step.available)
            offered.append(disposal.order(step.now_s, view, is_in_auction=step.is_in_auction))
            ticks.append(step)
    return offered, ticks


@pytest.mark.parametrize("case", DISPOSALS, ids=lambda case: case.name)
def test_the_network_disposes_step_by_step(case: DisposalCase) -> None:
    offered, ticks = _run(case)
    assert [0 if order is None else -order.size for order in offered] == [tick.size for tick in ticks]
    for order, tick in zip(offered, ticks, strict=True):
        if tick.limit is not None:
            assert order is not None
            assert order.limit == tick.limit


RULES = DisposalRules(10, Fraction(1, 2), 50, Fraction(1), Fraction(1, 10))


def _view(available: int) -> BookView:
    return BookView(mid=200, lowest_valid=150, highest_valid=210, available=available)


def test_disposal_in_four_orders() -> None:
    # 280 contracts, half at a time, all at or below 50, of a book that gives 100 once (0012-POSR).
    disposal = Disposal(RULES)
    disposal.take_over(280, 0)
    sizes, now_s = [], 0
    while disposal.position:
        now_s += 10
        order = disposal.order(now_s, _view(100))
        assert order is not None
        assert order.limit == 180
        disposal.trade(order.size, now_s)
        sizes.append(-order.size)
    assert sizes == [100, 90, 45, 45]


def test_a_short_is_bought_back_below_the_price_that_halts() -> None:
    disposal = Disposal(RULES)
    disposal.take_over(-40, 0)
    assert disposal.order(10, _view(100)) == NetworkOrder(40, 210)
    disposal.trade(40, 10)
    assert disposal.order(20, _view(100)) is None
    disposal.take_over(7, 25)
    assert disposal.order(34, _view(100)) is None
    assert disposal.order(35, _view(100)) == NetworkOrder(-7, 180)


def test_an_empty_book_does_not_use_the_step_up() -> None:
    disposal = Disposal(RULES)
    disposal.take_over(40, 0)
    assert disposal.order(10, _view(0)) is None
    assert disposal.order(11, _view(5)) == NetworkOrder(-5, 180)
    assert disposal.order(12, _view(5)) is None


@pytest.mark.parametrize("case", CLOSEOUTS, ids=lambda case: case.name)
def test_the_price_of_a_closeout(case: CloseoutCase) -> None:
    if case.price is None:
        with pytest.raises(ValueError, match="not enough" if case.size else "must be positive"):
            closeout_price(case.levels, case.size)
    else:
        assert closeout_price(case.levels, case.size) == case.price

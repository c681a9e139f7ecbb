"""The closeout solver against every number of lots, one by one; limits and reservations of what
leaves.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import pytest

from backstop.core.events import FUND, EffectKind, EventKind, Health, Stage
from backstop.core.instruments import PPM, AssetRules, MarketRules, TierRules, VenueRules
from backstop.core.places import house_slot
from backstop.reference.arithmetic import ceil_div
from backstop.reference.margin import Contract
from backstop.reference.records import Effect
from tests.core.desk import Desk, make_rules

F = EffectKind
TIERS = (TierRules(0, 100_000, 50_000), TierRules(2_000, 200_000, 100_000), TierRules(7_000, 400_000, 300_000))
STAGES = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP)
BANDS = (0, 5_000, 12_000, 30_000)


class Case(NamedTuple):
    """One distressed, solvent account with one position, and the book in front of it."""

    rules: VenueRules
    lots: int
    mark: int
    equity: int
    depth: tuple[int, ...]

    @property
    def market(self) -> MarketRules:
        """The market."""
        return self.rules.markets[0]

    @property
    def notional(self) -> int:
        """Absolute value at the mark."""
        return abs(self.lots) * self.mark

    def cost(self, lots: int) -> int:
        """Expected slippage and fee, R6.4.4."""
        total, left = self.rules.closeout.fee_ppm * lots * self.mark // PPM, lots
        for depth, offset in zip(self.depth, self.market.band_offset_ppm, strict=True):
            if offset <= self.market.slippage_tolerance_ppm:
                take = min(left, depth)
                total += ceil_div(take * self.mark * offset, PPM)
                left -= take
        return total + ceil_div(left * self.mark * self.market.slippage_tolerance_ppm, PPM)

    def restores(self, lots: int) -> int:
        """Return by how many atoms closing so many lots restores the release level; negative where
        it does not.
        """
        maintenance = Contract(self.market, self.mark).margin_of(self.notional - lots * self.mark)
        return self.equity - self.cost(lots) - ceil_div(maintenance * (PPM + self.rules.levels.exit_buffer_ppm), PPM)

    def is_reached(self, lots: int) -> bool:
        """Return whether a band that shows lots takes an order at the zero price of so many lots,
        or at the tolerance.
        """
        contract = Contract(self.market, self.mark)
        whole = contract.margin_of(self.notional)
        lost = self.equity * (whole - contract.margin_of(self.notional - lots * self.mark)) // whole
        is_sell = self.lots > 0
        if is_sell:
            limit = max(ceil_div(lots * self.mark - lost, lots), ceil_div(self.mark * 98, 100))
        else:
            limit = min((lots * self.mark + lost) // lots, self.mark * 102 // 100)
        for depth, offset in zip(self.depth, BANDS, strict=True):
            price = self.mark * (PPM - offset) // PPM if is_sell else ceil_div(self.mark * (PPM + offset), PPM)
            if depth > 0 and offset <= self.market.slippage_tolerance_ppm and (price >= limit if is_sell else price <= limit):
                return True
        return False


def make_case(seed: int) -> Case:
    """Return a random case whose account is below maintenance and not below zero."""
    rng = Random(seed)
    rules = make_rules(STAGES, TIERS, bands=BANDS, lots_max=2_000, fee_ppm=rng.choice((0, 1_000, 5_000)))
    lots, mark = rng.randint(1, 160), rng.randint(50, 150)
    maintenance = Contract(rules.markets[0], mark).margin_of(lots * mark)
    equity = rng.randint(0, maintenance - 1)
    if rng.random() < 0.6:
        equity = rng.randint(maintenance * 3 // 4, maintenance - 1)
    depth = tuple(rng.choice((0, rng.randint(0, lots), rng.randint(0, 2 * lots))) for _ in BANDS)
    return Case(rules, lots * rng.choice((-1, 1)), mark, equity, depth)


def place(case: Case) -> tuple[Desk, list[Effect]]:
    """Bring the case about: the book first, then the charge that makes the account distressed."""
    desk = Desk(case.rules, case.mark)
    desk.open(case.notional)
    for band, lots in enumerate(case.depth):
        desk.send(EventKind.DEPTH, market=0, code=0 if case.lots > 0 else 1, other=band, lots=lots)
    desk.trade(0, case.lots, case.mark)
    return desk, desk.charge(0, case.notional - case.equity)


@pytest.mark.parametrize("block", range(4))
def test_solver_finds_the_least_that_restores(block: int) -> None:
    """Every smaller number fails; where none restores all is ordered; the slice bounds what
    leaves.
    """
    least_found = none_found = unreached = 0
    for seed in range(block * 250, block * 250 + 250):
        case = make_case(seed)
        _, effects = place(case)
        orders = [effect for effect in effects if effect.kind == F.ORDER]
        whole = abs(case.lots)
        visible = sum(depth for depth, offset in zip(case.depth, BANDS, strict=True) if offset <= case.market.slippage_tolerance_ppm)
        if visible == 0:
            assert orders == []
            continue
        good = [lots for lots in range(1, whole + 1) if case.restores(lots) >= 0]
        wanted = good[0] if good else whole
        if not case.is_reached(min(wanted, visible)):
            assert orders == [], f"seed {seed}: {case}"
            unreached += 1
            continue
        (order,) = orders
        assert order.lots == -min(wanted, visible) * (1 if case.lots > 0 else -1), f"seed {seed}: {case}"
        least_found += bool(good) and good[0] < whole
        none_found += not good
    assert least_found > 20
    assert none_found > 0
    assert unreached > 0


def test_solvent_order_never_leaves_beyond_the_zero_price_and_reserves_nothing() -> None:
    for seed in range(300):
        case = make_case(seed)
        desk, effects = place(case)
        for order in (effect for effect in effects if effect.kind == F.ORDER):
            at_limit = -order.lots * order.price_ticks
            assert at_limit >= order.amount
            assert order.value == int(desk.state.funds[0].reserved) == 0


def test_rest_below_the_minimum_notional_is_closed_too() -> None:
    """Two lots of ten would do; a minimum of 300 asks for four (336), one of 700 leaves a rest too
    small: all.
    """
    for minimum, lots in ((0, -2), (300, -4), (700, -10)):
        desk = Desk(make_rules(STAGES, asset=AssetRules(minimum_notional=minimum)))
        desk.open(200)
        desk.trade(0, 10, 100)
        desk.send(EventKind.DEPTH, market=0, lots=100)
        assert [effect.lots for effect in desk.mark(84) if effect.kind == F.ORDER] == [lots]


def insolvent(fund: int, depth: int = 100) -> tuple[Desk, list[Effect]]:
    """Long 10 bought at 100 with 100, at mark 85: E = -50, zero cash 900; a sell at the limit of 84
    needs 60.
    """
    desk = Desk(make_rules(STAGES))
    desk.open(100, 5_000)
    if fund:
        desk.send(EventKind.TRANSFER, account=FUND, amount=fund)
    desk.trade(0, 10, 100, other=1)
    desk.send(EventKind.DEPTH, market=0, lots=depth)
    return desk, desk.mark(85)


@pytest.mark.parametrize(("fund", "lots"), [(1_000, 10), (69, 10), (68, 9), (21, 3), (20, 2), (6, 1)])
def test_order_of_an_insolvent_account_is_what_the_fund_can_promise(fund: int, lots: int) -> None:
    """Beside the tick a lot to the limit: 50 by released maintenance, of 43, and one atom a lot
    beyond the first.
    """
    desk, effects = insolvent(fund)
    (order,) = [effect for effect in effects if effect.kind == F.ORDER]
    assert (order.lots, order.price_ticks) == (-lots, 84)
    released = 43 - ceil_div((10 - lots) * 85, 20)
    zero_cash = 85 * lots + ceil_div(50 * released, 43)
    assert order.amount == zero_cash
    assert order.value == zero_cash - 84 * lots + lots - 1 <= fund
    assert int(desk.state.funds[0].reserved) == order.value


def test_fund_that_cannot_promise_one_lot_sends_no_order() -> None:
    desk, effects = insolvent(5)
    assert [effect.kind for effect in effects if effect.kind in (F.ORDER, F.TEAR_UP)] == [F.TEAR_UP]
    assert int(desk.state.accounts[0].health) == Health.HEALTHY


@pytest.mark.parametrize("parts", [(10,), (1,) * 10, (3, 7), (9, 1)])
def test_support_of_parts_never_exceeds_what_was_reserved(parts: tuple[int, ...]) -> None:
    """However the venue cuts the order, fills at the limit bring the account to its zero cash."""
    desk, effects = insolvent(69)
    (order,) = [effect for effect in effects if effect.kind == F.ORDER]
    for lots in parts:
        desk.send(EventKind.ORDER_FILL, market=0, other=order.other, lots=-lots, price_ticks=84)
    assert desk.balance(0) == 0
    assert desk.row(0) == (0, 0)
    assert int(desk.state.house[int(house_slot(FUND))]) == 69 - 60


@pytest.mark.parametrize(("own", "left"), [(-4, -6), (-10, 0), (-15, None)])
def test_order_that_exceeds_what_is_left_of_the_position_is_cancelled(own: int, left: int | None) -> None:
    """The account closes 4, all 10 or more of its 10 lots while an order for 10 is out: what is
    promised is released first.
    """
    desk, effects = insolvent(1_000)
    (order,) = [effect for effect in effects if effect.kind == F.ORDER]
    effects = desk.trade(0, own, 85)
    (cancel,) = [effect for effect in effects if effect.kind == F.CANCEL]
    assert (cancel.other, cancel.lots) == (order.other, -10)
    release = next(effect for effect in effects if effect.kind == F.RESERVE)
    assert (release.other, release.amount, release.value) == (order.other, -order.value, 0)
    again = [effect.lots for effect in effects if effect.kind == F.ORDER]
    if left is not None:
        assert again == [left] * (left != 0)


@pytest.mark.parametrize("own", [-4, 4])
def test_order_that_still_fits_the_position_stays(own: int) -> None:
    """An order for 2 of 10 lots stays while the account closes 4 or opens 4 itself."""
    desk = Desk(make_rules(STAGES))
    desk.open(200)
    desk.trade(0, 10, 100)
    desk.send(EventKind.DEPTH, market=0, lots=2)
    (order,) = [effect for effect in desk.mark(84) if effect.kind == F.ORDER]
    assert order.lots == -2
    assert [effect for effect in desk.trade(0, own, 80 if own < 0 else 84) if effect.kind == F.CANCEL] == []

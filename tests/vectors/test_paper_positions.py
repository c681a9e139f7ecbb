"""The worked examples of "Autodeleveraging: Impossibilities and Optimization", section by section.

Driven through the engine: the five accounts, their funding (posted as transfers), equities,
maintenance, who is in default, liquidation prices (the first mark that is DISTRESSED), bankruptcy
prices (the zero price of a single position), what is missing when a default is closed late, and the
pro-rata row of the second example, which is one ADL of the built policy ``capped_pro_rata``.

Arithmetic of the tests, from equities and notionals that the engine gives: funding rates, effective
leverage, haircuts on equity. Arithmetic alone: the queue, whose policy the engine does not have
yet. The engine's ADL places lots against the opposite side; the paper's haircuts are money taken
from every winner, the money-budget form ``h_i = min(cap_i, eta x w_i)``, ``sum h_i = budget``.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest

from backstop.core.contracts import value_at_mark
from backstop.core.events import UNCOVERED, AdlClass, EffectKind, Health
from backstop.core.instruments import LimitRules, VenueRules
from backstop.core.margin import zero_price_ticks
from tests.vectors.driving import Drive, flat_market, still_rules
from tests.vectors.tables.paper_positions import BUDGET, FIVE, HAIRCUTS, MAINTENANCE_PPM, QUEUE, STEPS, TOTALS, Claim, Five, Share

#: An atom is a billionth of the unit of account, a tick a millionth, a lot a thousandth of a
#: contract.
ATOMS, TICKS, LOTS = 1_000_000_000, 1_000_000, 1_000
LOTS_MAX, TICKS_MAX = 1_000 * LOTS, 10 * TICKS


def _is_published(value: Fraction | int, published: str) -> bool:
    """Return whether ``value``, rounded to the published decimals, is the published figure."""
    places = -int(Decimal(published).as_tuple().exponent)
    return abs(Fraction(value) - Fraction(published)) <= Fraction(1, 2 * 10**places)


def _venue(maintenance_ppm: int = MAINTENANCE_PPM) -> VenueRules:
    return still_rules(flat_market(maintenance_ppm, maintenance_ppm, lots_max=LOTS_MAX, ticks_max=TICKS_MAX))


def _open(drive: Drive, account: int, five: Five) -> None:
    lots = five.quantity * LOTS
    drive.open_account(account)
    drive.fund(account, round(five.collateral * ATOMS))
    drive.open_position(account, 0, lots, lots * TICKS)


def _five(until_step: int) -> Drive:
    """Return the engine after that many steps.

    A step is one moment in the paper; here the funding of all five comes first, at the mark of the
    step, then the mark. (Mark first, E would be insolvent until its funding came.)
    """
    drive = Drive(_venue())
    drive.mark(0, TICKS)
    drive.show_depth(0)
    for account, five in enumerate(FIVE):
        _open(drive, account, five)
    for number in range(until_step):
        mark = STEPS[number].mark
        for account, five in enumerate(FIVE):
            drive.fund(account, round(_rate(number) * mark * five.quantity * ATOMS))
        drive.mark(0, int(mark * TICKS))
    return drive


def _rate(step: int) -> Fraction:
    """Return the funding rate that a long receives: longs / shorts - mark / reference."""
    longs = sum(five.quantity for five in FIVE if five.quantity > 0)
    shorts = -sum(five.quantity for five in FIVE if five.quantity < 0)
    return Fraction(longs, shorts) - STEPS[step].mark / STEPS[step].reference


def _notional(drive: Drive, account: int) -> int:
    unit = int(value_at_mark(drive.state, 0, 1))
    return abs(drive.lots(account, 0)) * unit


def _leverage(drive: Drive, account: int) -> Fraction:
    return Fraction(_notional(drive, account), abs(drive.assess(account)[0]))


@pytest.mark.parametrize("step", [0, 1])
def test_funding_equity_and_leverage_after_each_step(step: int) -> None:
    assert _is_published(_rate(step), STEPS[step].rate)
    drive = _five(step + 1)
    for account, five in enumerate(FIVE):
        assert _is_published(_rate(step) * STEPS[step].mark * five.quantity, five.funding[step])
        assert _is_published(Fraction(drive.assess(account)[0], ATOMS), five.equity[step]), five.name
        assert _is_published(_leverage(drive, account), five.leverage[step]), five.name


def test_only_d_is_liquidated_after_the_first_step() -> None:
    drive = _five(1)
    for account, five in enumerate(FIVE):
        assert drive.assess(account)[1] == abs(five.quantity) * int(Fraction(14, 100) * ATOMS)
    assert [FIVE[account].name for account in drive.restricted()] == ["D"]
    assert [drive.health(account) >= Health.DISTRESSED for account in range(len(FIVE))] == [False, False, False, True, False]


def test_after_the_second_step_b_and_d_are_insolvent() -> None:
    drive = _five(2)
    assert [FIVE[a].name for a in range(len(FIVE)) if drive.health(a) == Health.INSOLVENT] == ["B", "D"]


def _one(five: Five) -> Drive:
    drive = Drive(_venue())
    drive.mark(0, TICKS)
    drive.show_depth(0)
    _open(drive, 0, five)
    return drive


@pytest.mark.parametrize("five", FIVE, ids=lambda five: five.name)
def test_bankruptcy_price_is_the_zero_price_of_one_position(five: Five) -> None:
    drive = _one(five)
    lots = abs(five.quantity) * LOTS
    cash = drive.zero_cash(0, 0, lots)
    ticks = int(zero_price_ticks(drive.state, 0, five.quantity > 0, lots, cash))
    if five.bankruptcy_price == "0":
        # Its collateral exceeds its notional: it could pay to be rid of the position. A price stops
        # at one tick.
        assert cash < 0
        assert ticks == 1
    else:
        assert _is_published(Fraction(ticks, TICKS), five.bankruptcy_price)


def _first_distressed_ticks(drive: Drive, near: int, step: int) -> int:
    start = TICKS
    strides = [start + (near - 50 * step - start) * part // 32 for part in range(1, 33)]
    walk: list[int] = [*strides, *range(near - 49 * step, near + 50 * step, step)]
    for price in walk:
        drive.mark(0, price)
        if drive.health(0) >= Health.DISTRESSED:
            return price
    raise AssertionError("never distressed")


@pytest.mark.parametrize("five", FIVE, ids=lambda five: five.name)
def test_liquidation_price_is_the_first_distressed_mark(five: Five) -> None:
    drive = _one(five)
    if five.liquidation_price == "0":
        for price in (TICKS // 2, TICKS // 1_000, 1):
            drive.mark(0, price)
            assert drive.health(0) == Health.HEALTHY
        return
    near = int(Fraction(five.liquidation_price) * TICKS)
    first = _first_distressed_ticks(drive, near, -1 if five.quantity > 0 else 1)
    assert drive.health(0) == Health.DISTRESSED
    assert _is_published(Fraction(first, TICKS), five.liquidation_price)


def test_what_is_missing_when_a_default_closes_late() -> None:
    # E again, opened at 1.05 and closed at 1.55, beyond its bankruptcy price of 1.15101: 0.39899 is
    # missing.
    five = FIVE[4]
    drive = Drive(_venue())
    drive.open_account(0)
    drive.mark(0, 1_050_000)
    drive.show_depth(0)
    drive.fund(0, round(five.collateral * ATOMS))
    drive.open_position(0, 0, -LOTS, -LOTS * 1_050_000)
    assert _is_published(Fraction(-drive.zero_cash(0, 0, LOTS), ATOMS), "1.15101")
    drive.mark(0, 1_550_000)
    drive.trade(0, 0, LOTS, 1_550_000)
    assert (drive.lots(0, 0), drive.assess(0)) == (0, (0, 0))
    [residual] = [effect for effect in drive.effects if effect.kind == EffectKind.RESIDUAL]
    assert _is_published(Fraction(residual.amount, ATOMS), ".39899")
    assert [effect.other for effect in drive.effects if effect.kind == EffectKind.POSTING][-1] == UNCOVERED


def share_budget(budget: Fraction, weights: Sequence[Fraction], caps: Sequence[Fraction]) -> list[Fraction]:
    """Return ``min(cap, eta x weight)`` with the eta at which they sum to the budget."""
    parts: dict[int, Fraction] = {}
    while True:
        open_places = [place for place in range(len(weights)) if place not in parts]
        left = budget - sum(parts.values())
        eta = left / sum(weights[place] for place in open_places) if open_places else Fraction(0)
        full = [place for place in open_places if eta * weights[place] >= caps[place]]
        if not full:
            parts |= {place: eta * weights[place] for place in open_places}
            return [parts[place] for place in range(len(weights))]
        parts |= {place: caps[place] for place in full}


def queue_budget(budget: Fraction, places: Sequence[int], caps: Sequence[Fraction]) -> list[Fraction]:
    """Return whole caps in the order of the queue until the budget is met."""
    parts = [Fraction(0)] * len(caps)
    for index in sorted(range(len(caps)), key=lambda index: places[index]):
        parts[index] = min(caps[index], budget - sum(parts))
    return parts


def _winners_and_losers() -> tuple[Drive, list[int], list[int]]:
    drive = _five(2)
    winners = [account for account in range(len(FIVE)) if drive.assess(account)[0] > 0]
    return drive, winners, [account for account in range(len(FIVE)) if account not in winners]


def _deficit(drive: Drive, losers: list[int]) -> Fraction:
    return Fraction(-sum(drive.assess(account)[0] for account in losers), ATOMS)


def test_winners_losers_and_the_haircut_between_them() -> None:
    drive, winners, losers = _winners_and_losers()
    assert [FIVE[account].name for account in winners] == ["A", "C", "E"]
    equities = [Fraction(drive.assess(account)[0], ATOMS) for account in winners]
    deficit = _deficit(drive, losers)
    assert _is_published(sum(equities), TOTALS["winners"])
    assert _is_published(deficit, TOTALS["deficit"])
    parts = share_budget(deficit, equities, equities)
    assert all(_is_published(part / equity, TOTALS["haircut"]) for part, equity in zip(parts, equities, strict=True))


@pytest.mark.parametrize("case", HAIRCUTS, ids=lambda case: f"leverage^{case.power}")
def test_shares_of_a_haircut_weighted_by_leverage(case: Share) -> None:
    drive, winners, losers = _winners_and_losers()
    equities = [Fraction(drive.assess(account)[0], ATOMS) for account in winners]
    deficit = _deficit(drive, losers)
    weights = [equity * _leverage(drive, account) ** case.power for account, equity in zip(winners, equities, strict=True)]
    parts = share_budget(deficit, weights, equities)
    assert all(_is_published(part / deficit, share) for part, share in zip(parts, case.shares, strict=True)), parts


def test_the_queue_takes_whole_profits_in_order() -> None:
    profits = [claim.profit for claim in QUEUE]
    parts = queue_budget(BUDGET, [claim.queue_place for claim in QUEUE], profits)
    for claim, part in zip(QUEUE, parts, strict=True):
        assert part / claim.profit == Fraction(claim.queue_haircut)
        assert claim.equity - part == Fraction(claim.queue_equity)


def test_pro_rata_in_the_money_budget_form() -> None:
    profits = [claim.profit for claim in QUEUE]
    for claim, part in zip(QUEUE, share_budget(BUDGET, profits, profits), strict=True):
        assert part / claim.profit == Fraction(claim.pro_rata_haircut)
        assert claim.equity - part == Fraction(claim.pro_rata_equity)


def _open_winner(drive: Drive, account: int, claim: Claim, lots: int) -> None:
    """Give an account a short of ``lots`` whose P&L at the mark of 1 is the claim's."""
    profit = int(claim.profit * ATOMS)
    drive.open_account(account)
    drive.fund(account, int(claim.equity * ATOMS) - profit)
    drive.open_position(account, 0, -lots, -lots * TICKS - profit)
    assert drive.assess(account)[0] == int(claim.equity * ATOMS)


def test_pro_rata_is_what_adl_does() -> None:
    # One defaulter is long 12,500 lots and misses the budget, 7.5; the winners are short twice what
    # they will give. Lots go 8 : 4 : 0.5, as the P&L does, and cash by lots, so that everyone pays
    # 0.6 of the profit. The paper's fraction 1/2 of the losers' -3 and -12 has no place in the
    # engine: a defaulter is made whole.
    limits = LimitRules(accounts_max=8, positions_max=32, orders_max=16, effects_max=4096)
    market = flat_market(0, 0, lots_max=LOTS_MAX, ticks_max=TICKS_MAX)
    drive = Drive(VenueRules(markets=(market,), limits=limits))
    drive.mark(0, TICKS)
    given = [int(claim.profit * LOTS) for claim in QUEUE]
    for account, claim in enumerate(QUEUE):
        _open_winner(drive, account, claim, 2 * given[account])
    defaulter = len(QUEUE)
    drive.open_account(defaulter)
    drive.open_position(defaulter, 0, sum(given), sum(given) * TICKS)
    found = drive.fund(defaulter, -int(BUDGET * ATOMS))

    [plan] = [effect for effect in found if effect.kind == EffectKind.ADL_PLAN]
    assert plan.amount == sum(given) * TICKS + int(BUDGET * ATOMS)
    fills = [effect for effect in found if effect.kind == EffectKind.ADL_FILL]
    # The venue loads its positions at one mark: by result nobody has won anything since.
    assert [(fill.account, fill.code, fill.lots) for fill in fills] == [(a, AdlClass.REST, lots) for a, lots in enumerate(given)]
    for account, claim in enumerate(QUEUE):
        assert Fraction(drive.assess(account)[0], ATOMS) == Fraction(claim.pro_rata_equity)
    assert drive.assess(defaulter) == (0, 0)
    assert not any(effect.kind in (EffectKind.RESIDUAL, EffectKind.TEAR_UP) for effect in found)

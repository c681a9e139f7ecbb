"""BitMEX's queue: scores, percentiles and the deleveraging of the worked example, and what the
engine measures.

The engine gives what a score is made of: mark value, cost, and equity, which for an account of one
position is what lies between mark and bankruptcy.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from backstop.core.contracts import value_at_mark
from backstop.core.events import EffectKind
from tests.vectors.driving import Drive, flat_market, still_rules
from tests.vectors.tables.bitmex import BANKRUPTCY_PRICE, LONGS, MARK, SIZE, Long
from tests.vectors.venues.bitmex import (
    Position,
    deleverage,
    effective_leverage,
    lights_of,
    percentiles,
    pnl_share,
    queue_order,
    rank_score,
)

#: A lot is a contract, a tick a dollar, an atom a 60th of one: every bankruptcy price of the table
#: is then whole.
FACTOR = 60
QUANTITIES = [long.quantity for long in LONGS]
SCORES = [Fraction(long.score) for long in LONGS]


def _position(long: Long) -> Position:
    return Position(Fraction(long.quantity * MARK), long.quantity * long.bankruptcy, long.quantity * long.entry)


@pytest.mark.parametrize("long", LONGS, ids=lambda long: f"account{long.account}")
def test_the_formula_gives_the_score(long: Long) -> None:
    assert rank_score(_position(long)) == long.score


def _engine() -> Drive:
    market = flat_market(0, 0, lots_max=1_000, ticks_max=1_000, factor=FACTOR)
    drive = Drive(still_rules(market))
    drive.mark(0, MARK)
    drive.show_depth(0)
    for account, long in enumerate(LONGS):
        drive.open_account(account)
        cost = long.quantity * long.entry * FACTOR
        equity = long.quantity * (MARK - long.bankruptcy) * FACTOR
        assert cost.denominator == equity.denominator == 1
        profit = long.quantity * MARK * FACTOR - int(cost)
        drive.fund(account, max(0, int(equity) - profit))
        drive.open_position(account, 0, long.quantity, int(cost))
        drive.fund(account, min(0, int(equity) - profit))
    return drive


def test_the_engine_measures_what_the_scores_are_made_of() -> None:
    drive = _engine()
    unit = int(value_at_mark(drive.state, 0, 1))
    for account, long in enumerate(LONGS):
        row = drive.state.positions[drive.position_row(account, 0)]
        value = int(row.lots) * unit
        bankrupt = drive.zero_cash(account, 0, long.quantity)
        assert value - bankrupt == drive.assess(account)[0]
        assert rank_score(Position(Fraction(value), Fraction(bankrupt), Fraction(int(row.cost)))) == long.score
    assert not [effect for effect in drive.effects if effect.kind == EffectKind.RESTRICT]


def test_the_queue_is_by_score() -> None:
    assert [LONGS[place].account for place in queue_order(SCORES)] == [2, 5, 4, 1, 6, 3]


def test_percentiles_and_lights() -> None:
    found = percentiles(QUANTITIES, SCORES)
    assert found == [long.percentile for long in LONGS]
    assert [lights_of(percentile) for percentile in found] == [2, 5, 1, 3, 4, 2]


def test_a_short_of_20_is_taken_by_the_front_of_the_queue() -> None:
    given = deleverage(QUANTITIES, SCORES, SIZE)
    assert given == [long.given for long in LONGS]
    assert [quantity - part for quantity, part in zip(QUANTITIES, given, strict=True)] == [long.kept for long in LONGS]
    assert sum(given) == SIZE


def test_the_price_is_the_bankruptcy_price_of_the_short() -> None:
    # A short of 20 whose equity ran out at 650 while the mark is 700: the engine's zero cash is 20
    # x 650.
    drive = Drive(still_rules(flat_market(0, 0, lots_max=1_000, ticks_max=1_000)))
    drive.mark(0, MARK)
    drive.show_depth(0)
    drive.open_account(0)
    drive.fund(0, SIZE * BANKRUPTCY_PRICE)
    drive.open_position(0, 0, -SIZE, 0)
    assert drive.zero_cash(0, 0, SIZE) == -SIZE * BANKRUPTCY_PRICE


def test_what_the_side_does_not_have_is_left() -> None:
    assert deleverage(QUANTITIES, SCORES, 1_000) == QUANTITIES


def test_losers_come_after_winners_and_the_leveraged_first() -> None:
    # Two longs bought at 100, mark 80: twofold and fourfold leverage. Values of a short are
    # negative.
    two, four = Position(Fraction(80), Fraction(40), Fraction(100)), Position(Fraction(80), Fraction(60), Fraction(100))
    assert (rank_score(two), rank_score(four)) == (Fraction(-1, 10), Fraction(-1, 20))
    short = Position(Fraction(-80), Fraction(-120), Fraction(-100))
    assert (pnl_share(short), effective_leverage(short), rank_score(short)) == (Fraction(1, 5), Fraction(2), Fraction(2, 5))
    assert queue_order([rank_score(position) for position in (two, four, short)]) == [2, 1, 0]


def test_an_inverse_long_is_ranked_by_its_value_in_coins() -> None:
    # 1,000 contracts of 1 USD bought at 500, mark 1,000, bankrupt at 250: -2, -1 and -4 coins.
    position = Position(Fraction(-1_000, 1_000), Fraction(-1_000, 250), Fraction(-1_000, 500))
    assert (pnl_share(position), effective_leverage(position)) == (Fraction(1, 2), Fraction(1, 3))


def test_a_bankrupt_position_has_no_rank() -> None:
    with pytest.raises(ValueError, match="no effective leverage"):
        rank_score(Position(Fraction(80), Fraction(80), Fraction(100)))

"""dYdX's verdicts on accounts are this engine's: who is liquidated, who is collateralised, who
comes first.

Each verdict is read from what the engine does, not from a formula beside it:

- liquidated: RESTRICT, the first of the lot stages. A flat account with negative equity is
  INSOLVENT here, but it has nothing to liquidate and goes to the money stages alone;
- collateralised for maintenance: health better than DISTRESSED;
- collateralised initially: a withdrawal that leaves exactly that equity is accepted;
- riskier: the order in which one mark takes both into default. Only accounts in default have an
  order here, so both maintenance margins are four times the table's, which changes no comparison.

Update rules belong to the venue (``tests.vectors.venues.dydx``): the engine measures the account on
both sides of the update, the venue's function judges.
"""

from __future__ import annotations

import pytest

from backstop.core.events import EffectKind, EventKind, Health, Reject, Transfer
from tests.vectors.driving import Drive, flat_market, map_quantums, still_rules
from tests.vectors.tables.dydx_risk import ACCOUNTS, LEVELS, MARKETS, ORDERS, UPDATES, Account, Level, Order, Update
from tests.vectors.venues.dydx import Margins, UpdateResult, judge_update

#: With a mark of 10 and a rate of 10 %, the margin is the number of lots.
TICKS, TENTH_PPM = 10, 100_000
SPARE = 1_000


@pytest.mark.parametrize("case", ACCOUNTS, ids=lambda case: f"L{case.line}")
def test_an_account_is_liquidated_when_the_venue_would(case: Account) -> None:
    [venue] = MARKETS
    market = flat_market(venue.initial_ppm, int(venue.maintenance_ppm), lots_max=1_000_000_000, ticks_max=1_000)
    drive = Drive(still_rules(market))
    drive.open_account(0)
    drive.mark(0, map_quantums(venue, 1).ticks)
    drive.show_depth(0)
    for position in case.positions:
        drive.open_position(0, 0, position.quantums, 0)
    drive.fund(0, case.quote)
    assert (drive.restricted() == [0]) == case.is_liquidatable
    assert (drive.health(0) >= Health.DISTRESSED) == case.is_liquidatable


def _with_margin(margin: int, maintenance_ppm: int) -> Drive:
    drive = Drive(still_rules(flat_market(TENTH_PPM, maintenance_ppm, lots_max=1_000, ticks_max=TICKS)))
    drive.open_account(0)
    drive.mark(0, TICKS)
    drive.show_depth(0)
    drive.fund(0, SPARE)
    if margin:
        drive.open_position(0, 0, margin, margin * TICKS)
    return drive


def _is_collateralised_initially(case: Level) -> bool:
    drive = _with_margin(case.margin, TENTH_PPM // 2)
    drive.fund(0, max(case.equity, 0))
    equity, _ = drive.assess(0)
    assert drive.initial_margin(0) == case.margin
    found = drive.send(EventKind.TRANSFER, account=0, code=Transfer.CASH, amount=case.equity - equity)
    if any(effect.kind == EffectKind.REFUSAL for effect in found):
        assert [effect.code for effect in found] == [Reject.INSUFFICIENT_MARGIN]
        return False
    assert drive.assess(0)[0] == case.equity
    return True


@pytest.mark.parametrize("case", LEVELS, ids=lambda case: f"{case.question}-L{case.line}")
def test_a_level_is_held_when_the_venue_says_so(case: Level) -> None:
    if case.question == "initial":
        assert _is_collateralised_initially(case) == case.answer
        return
    drive = _with_margin(case.margin, TENTH_PPM)
    assert drive.assess(0) == (SPARE, case.margin)
    drive.fund(0, case.equity - SPARE)
    if case.question == "maintenance":
        assert (drive.health(0) < Health.DISTRESSED) == case.answer
    else:
        assert (drive.restricted() == [0]) == case.answer


def _defaults_in_order(accounts: tuple[tuple[int, int], ...]) -> list[int]:
    """Return the accounts that one mark takes into default, in the order in which the engine takes
    them.
    """
    drive = Drive(still_rules(flat_market(TENTH_PPM, TENTH_PPM, lots_max=1_000, ticks_max=2 * TICKS)))
    drive.mark(0, 2 * TICKS)
    drive.show_depth(0)
    for account, (equity, maintenance) in enumerate(accounts):
        drive.open_account(account)
        lots = 4 * maintenance
        if lots:
            drive.open_position(account, 0, lots, 0)
        drive.fund(account, equity - lots * TICKS)
    assert drive.restricted() == []
    drive.mark(0, TICKS)
    for account, (equity, maintenance) in enumerate(accounts):
        assert drive.assess(account) == (equity, 4 * maintenance)
    return drive.restricted()


@pytest.mark.parametrize("case", ORDERS, ids=lambda case: f"L{case.line}")
def test_the_riskier_account_is_taken_first(case: Order) -> None:
    # Once with each account first by id: equals go by id, so that the order then follows the ids.
    there, back = _defaults_in_order((case.first, case.second)), _defaults_in_order((case.second, case.first))
    if case.riskier == 0:
        assert there == back == [0, 1]
    else:
        assert there[0] == (0 if case.riskier == 1 else 1)
        assert back[0] == (1 if case.riskier == 1 else 0)


def _measured(equity: int, maintenance: int) -> Margins:
    """Return the margins, as the engine measures them, of an account with that equity and
    maintenance.

    Market 0 needs no margin and lets a flat account owe something; market 1 needs 100 % initially
    and half a percent for maintenance, so that initial margin stays above every equity of the
    table.
    """
    drive = Drive(still_rules(flat_market(0, 0, lots_max=1_000), flat_market(1_000_000, 5_000, lots_max=1_000)))
    drive.open_account(0)
    for market in range(2):
        drive.mark(market, 1)
        drive.show_depth(market)
    drive.open_position(0, 0, 1, 1)
    if maintenance:
        drive.open_position(0, 1, maintenance * 200, maintenance * 200)
    drive.fund(0, equity)
    held, needed = drive.assess(0)
    return Margins(held, drive.initial_margin(0), needed)


@pytest.mark.parametrize("case", UPDATES, ids=lambda case: f"L{case.line}")
def test_an_update_is_judged_as_the_venue_does(case: Update) -> None:
    before, after = _measured(case.before[0], case.before[2]), _measured(*case.after)
    assert (before.equity, before.maintenance) == (case.before[0], case.before[2])
    assert (after.equity, after.maintenance) == case.after
    assert judge_update(before, after) == case.result


def test_an_update_may_happen_where_it_helps() -> None:
    # The other branches of the rule, which the source's table does not walk.
    assert judge_update(Margins(5, 10, 5), Margins(10, 10, 5)) == UpdateResult.ALLOWED
    assert judge_update(Margins(-2, 0, 0), Margins(-1, 0, 0)) == UpdateResult.ALLOWED
    assert judge_update(Margins(4, 20, 10), Margins(2, 10, 5)) == UpdateResult.ALLOWED
    assert judge_update(Margins(4, 20, 10), Margins(1, 10, 5)) == UpdateResult.STILL_UNDERCOLLATERALIZED
    assert judge_update(Margins(20, 20, 10), Margins(19, 22, 11)) == UpdateResult.NEWLY_UNDERCOLLATERALIZED

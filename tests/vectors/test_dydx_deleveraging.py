"""dYdX's deleveraging: its own walk, and this engine on the same accounts.

The walk and its verdicts are the venue's formulas (``tests.vectors.venues.dydx``). The engine
gives, for the same accounts, equity, both margins and the bankruptcy cash; and where a defaulter of
the table is insolvent and somebody can take its position, one ADL of the engine ends with the same
two accounts.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backstop.core.events import AdlClass, BookSide, EffectKind, EventKind, Health
from tests.vectors.driving import Drive, flat_market, still_rules
from tests.vectors.tables.dydx import Venue
from tests.vectors.tables.dydx_deleveraging import (
    BTC,
    COIN,
    MARKETS,
    OPEN_INTEREST,
    PAIRS,
    PERMISSIONS,
    WALK_MARKETS,
    WALKS,
    OpenInterest,
    Pair,
    Permission,
    Walk,
)
from tests.vectors.venues.dydx import (
    Account,
    DeleveragePrice,
    Margins,
    UpdateResult,
    bankruptcy_cash,
    close_at_one_price,
    deleverage,
    deleverage_price,
    judge_update,
    margins_of,
    notional_of,
    open_interest_change,
)

LOTS_MAX = 20_000_000_000
#: A maintenance rate that the engine takes in the place of 100 %: it refuses more than 99.9 %.
HIGHEST_PPM = 999_000
VALID = [case for case in PAIRS if case.outcome.is_delta_valid]
#: Where a base quantum is worth a whole number of quote quantums, so that the engine counts in the
#: same units.
WHOLE = [case for case in VALID if case.markets is MARKETS]


def _engine(accounts: Sequence[Account], venues: Sequence[Venue], ask_lots: int = 1) -> Drive:
    """Return an engine that holds the accounts: a lot is a base quantum, an atom a quote quantum.

    No order leaves. An account in default waits, but for a short one that is insolvent where
    nothing is asked: it goes on to ADL.
    """
    markets = [
        flat_market(
            venue.initial_ppm,
            min(int(venue.maintenance_ppm), HIGHEST_PPM),
            lots_max=LOTS_MAX,
            ticks_max=1_000,
        )
        for venue in venues
    ]
    drive = Drive(still_rules(*markets))
    for market, venue in enumerate(venues):
        drive.mark(market, int(venue.quantum_value))
        drive.accept(EventKind.DEPTH, market=market, code=BookSide.BID, other=0, lots=1)
        drive.accept(EventKind.DEPTH, market=market, code=BookSide.ASK, other=0, lots=ask_lots)
    for number, account in enumerate(accounts):
        drive.open_account(number)
        drive.fund(number, max(account.quote, 0))
        for market, quantums in account.positions.items():
            drive.open_position(number, market, quantums, 0)
        drive.fund(number, min(account.quote, 0))
    return drive


def _measured(drive: Drive, account: int) -> Margins:
    equity, maintenance = drive.assess(account)
    return Margins(equity, drive.initial_margin(account), maintenance)


@pytest.mark.parametrize("case", PERMISSIONS, ids=lambda case: f"L{case.line}")
def test_who_may_be_deleveraged(case: Permission) -> None:
    venues = (MARKETS[BTC]._replace(price_raw=case.price_raw), MARKETS[1])
    equity = margins_of(case.account, [venue.as_market() for venue in venues]).equity
    assert deleverage_price(equity, case.is_in_final_settlement) == case.price
    drive = _engine((case.account,), venues)
    assert drive.assess(0)[0] == equity
    assert (drive.health(0) == Health.INSOLVENT) == (case.price is DeleveragePrice.BANKRUPTCY)


def test_a_solvent_account_is_deleveraged_only_in_final_settlement() -> None:
    # The branches that the source's table does not walk.
    assert deleverage_price(0, True) is DeleveragePrice.ORACLE
    assert deleverage_price(-1, True) is DeleveragePrice.BANKRUPTCY


@pytest.mark.parametrize("case", WALKS, ids=lambda case: f"L{case.line}")
def test_the_walk_takes_what_each_account_has(case: Walk) -> None:
    markets = [venue.as_market() for venue in WALK_MARKETS]
    found = deleverage(case.defaulter, case.others, markets, BTC, case.delta, DeleveragePrice.BANKRUPTCY)
    assert (found.fills, found.remaining) == (case.fills, case.remaining)
    before, after = (case.defaulter, *case.others), (found.defaulter, *found.others)
    if case.after is not None:
        assert after == case.after
    held = [account.positions.get(BTC, 0) for account in before]
    updates = [(old, new.positions.get(BTC, 0) - old) for old, new in zip(held, after, strict=True)]
    assert sum(max(size, 0) for size in held) == COIN
    assert COIN + open_interest_change(updates) == case.open_interest


@pytest.mark.parametrize("case", WALKS, ids=lambda case: f"L{case.line}")
def test_the_engines_zero_cash_is_the_walks(case: Walk) -> None:
    markets = [venue.as_market() for venue in WALK_MARKETS]
    drive = _engine((case.defaulter, *case.others), WALK_MARKETS)
    assert drive.zero_cash(0, BTC, abs(case.delta)) == bankruptcy_cash(case.defaulter, markets, BTC, case.delta)
    for number, account in enumerate((case.defaulter, *case.others)):
        assert drive.assess(number)[0] == margins_of(account, markets).equity


@pytest.mark.parametrize("case", VALID, ids=lambda case: f"L{case.line}")
def test_a_pair_ends_as_the_venue_says(case: Pair) -> None:
    markets = [venue.as_market() for venue in case.markets]
    found = close_at_one_price(case.defaulter, case.other, markets, BTC, case.delta, case.price)
    assert (found is not None) == case.outcome.is_accepted
    if case.outcome.accounts is not None:
        assert found == case.outcome.accounts
    if found is not None:
        # Nothing is made and nothing is lost between the two.
        assert sum(account.quote for account in found) == case.defaulter.quote + case.other.quote


@pytest.mark.parametrize("case", [case for case in PAIRS if not case.outcome.is_delta_valid], ids=lambda case: f"L{case.line}")
def test_a_delta_that_does_not_close_both_is_an_error(case: Pair) -> None:
    markets = [venue.as_market() for venue in case.markets]
    with pytest.raises(ValueError, match="does not close a position"):
        close_at_one_price(case.defaulter, case.other, markets, BTC, case.delta, case.price)


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: f"L{case.line}")
def test_the_engine_measures_and_prices_a_pair_the_same(case: Pair) -> None:
    markets = [venue.as_market() for venue in case.markets]
    drive = _engine((case.defaulter, case.other), case.markets)
    before = [_measured(drive, number) for number in range(2)]
    assert before == [margins_of(account, markets) for account in (case.defaulter, case.other)]
    cash = -notional_of(markets[BTC], case.delta)
    if case.price is DeleveragePrice.BANKRUPTCY:
        cash = drive.zero_cash(0, BTC, abs(case.delta))
        assert cash == bankruptcy_cash(case.defaulter, markets, BTC, case.delta)

    # The same trade put to the engine, which then measures both sides for the venue's rule. What it
    # pays beyond mark comes first: a trade at mark leaves equity as it is, but what a flat account
    # owes is covered at once.
    ticks, after = int(MARKETS[BTC].quantum_value), []
    for number, sign in enumerate((1, -1)):
        drive.fund(number, sign * (cash + case.delta * ticks))
        equity = drive.assess(number)[0]
        drive.trade(number, BTC, sign * case.delta, ticks)
        after.append(_measured(drive, number)._replace(equity=equity))
    verdicts = [judge_update(old, new) for old, new in zip(before, after, strict=True)]
    assert all(verdict is UpdateResult.ALLOWED for verdict in verdicts) == case.outcome.is_accepted


def _adl(case: Pair) -> Drive:
    """Return the engine after it found the defaulter: the book takes nothing, so that ADL is what
    is left.
    """
    return _engine((case.other, case.defaulter), MARKETS, ask_lots=0)


def test_one_adl_of_the_engine_ends_the_same() -> None:
    [case] = [case for case in PAIRS if case.line == 921]
    drive = _adl(case)
    [fill] = [effect for effect in drive.effects if effect.kind == EffectKind.ADL_FILL]
    # The venue loads its positions at one mark: nobody has won anything since.
    assert (fill.account, fill.code, fill.lots) == (0, AdlClass.REST, -case.delta)
    assert case.outcome.accounts is not None
    defaulter, other = case.outcome.accounts
    assert (drive.assess(1), drive.assess(0)) == ((defaulter.quote, 0), (other.quote, 0))


def test_nobody_is_deleveraged_into_default_by_the_engine_either() -> None:
    # The bankruptcy prices do not overlap: the venue rejects the pair. The engine's ADL passes over
    # accounts that are in default themselves; the last stage then closes the market against them at
    # mark.
    [case] = [case for case in PAIRS if case.line == 955]
    drive = _adl(case)
    kinds = [effect.kind for effect in drive.effects]
    assert EffectKind.ADL_FILL not in kinds
    assert EffectKind.TEAR_UP in kinds


@pytest.mark.parametrize("case", OPEN_INTEREST, ids=lambda case: f"L{case.line}")
def test_open_interest_changes_by_the_longs(case: OpenInterest) -> None:
    assert open_interest_change(case.updates) == case.change

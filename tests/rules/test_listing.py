"""Markets that are listed, end and are listed again while the venue runs (R10.6, R6.14.9)."""

from __future__ import annotations

import numpy as np
import pytest

from backstop.core.events import NEVER_NS, NONE, Cause, EffectKind, EventKind, Health, Reject, Settlement, fund_of
from backstop.core.initial_rows import breaker_rows, market_rows
from backstop.core.instruments import NOTIONAL_ATOMS_MAX, PRICE_TICKS_LIMIT, FundRules, VenueRules
from backstop.core.parameter_table import PARAMETERS
from backstop.core.rows import ALL_SETTLED
from backstop.reference.records import Effect
from tests.attacks.scene import FIRST_MARK, SECOND, SIDES, Scene, of, venue

F, K = EffectKind, EventKind
NUMBERS = {rule.key: number for number, rule in PARAMETERS.items()}
MINUTE = 60 * SECOND


def with_spare(groups: int = 1) -> VenueRules:
    """Two like markets, the second of which is not listed; an epoch is ten minutes."""
    rules = venue(markets=2)
    spare = rules.markets[1]._replace(is_listed=0)
    return rules._replace(markets=(rules.markets[0], spare), epoch_ns=10 * MINUTE, funds=(FundRules(),) * groups)


class Listing(Scene):
    """Scenes that start without a mark in markets that are not listed."""

    def __init__(self, rules: VenueRules, side: int = 1) -> None:
        super().__init__(rules, side)

    def at(self, time_ns: int) -> Listing:
        super().at(time_ns)
        return self

    def mark(self, ticks: int, market: int = 0) -> list[Effect]:
        if not self.mirror.rules.markets[market].is_listed:
            return []
        return super().mark(ticks, market)

    def rule(self, key: str, value: int, market: int = 1, entry: int = 0) -> list[Effect]:
        return self.send(K.PARAMETER, code=NUMBERS[key], market=market, other=entry, amount=value)

    def open_market(self, market: int = 1) -> list[Effect]:
        return self.send(K.LISTING, market=market)

    def end(self, ticks: int, market: int = 1) -> list[Effect]:
        return self.send(K.SETTLEMENT, market=market, price_ticks=self.price(ticks))


def refused(effects: list[Effect]) -> Reject:
    (effect,) = effects
    assert effect.kind == F.REFUSAL
    return Reject(effect.code)


def settled(effects: list[Effect]) -> list[tuple[int, int]]:
    return [(row.code, row.price_ticks) for row in of(effects, F.SETTLEMENT)]


# -- the venue ends a market -----------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_the_venue_ends_a_market_at_its_price(side: int) -> None:
    """Ten lots from 1,000 to 960 lose 400, whatever the mark was; the other side gets them."""
    scene = Scene(venue(), side)
    account, other = scene.open(2_000), scene.open(2_000)
    scene.trade(account, 10, 1_000, other)
    effects = scene.send(K.SETTLEMENT, market=0, price_ticks=scene.price(960))
    assert settled(effects) == [(Settlement.VENUE, scene.price(960))]
    effects = scene.send(K.CLOCK)
    assert settled(effects) == [(Settlement.DONE, scene.price(960))]
    assert {row.code for row in of(effects, F.TRADE)} == {Cause.SETTLEMENT}
    assert (scene.mirror.ledger[account], scene.mirror.ledger[other]) == (1_600, 2_400)
    assert refused(scene.send(K.SETTLEMENT, market=0, price_ticks=960)) == Reject.MARKET_SETTLED
    assert refused(scene.send(K.MARK, market=0, price_ticks=960)) == Reject.MARKET_SETTLED


@pytest.mark.parametrize("side", SIDES)
def test_who_lacks_at_the_venues_price_is_paid_for_before_the_winners_are_settled(side: int) -> None:
    """Ten lots from 1,000 to 800 lose 2,000 of 1,200: the fund pays 800, and the winner has all he won."""
    scene = Scene(venue(), side)
    scene.cash(fund_of(0), 10_000)
    account, other = scene.open(1_200), scene.open(5_000)
    scene.trade(account, 10, 1_000, other)
    scene.send(K.SETTLEMENT, market=0, price_ticks=scene.price(800))
    scene.send(K.CLOCK)
    scene.send(K.CLOCK)
    assert (scene.fund, scene.mirror.ledger[account], scene.mirror.ledger[other]) == (9_200, 0, 7_000)
    assert scene.mirror.accounts[account].health == Health.HEALTHY


def test_a_price_that_the_market_does_not_have_is_refused() -> None:
    scene = Scene(venue(), 1)
    for price in (0, -1, (1 << 20) + 1):
        assert refused(scene.send(K.SETTLEMENT, market=0, price_ticks=price)) == Reject.PRICE_OUT_OF_RANGE
    for market in (-1, 1):
        assert refused(scene.send(K.SETTLEMENT, market=market, price_ticks=5)) == Reject.UNKNOWN_MARKET


def test_a_market_without_a_mark_ends_too() -> None:
    scene = Listing(with_spare())
    scene.open_market()
    effects = scene.end(900) + scene.send(K.CLOCK)
    assert settled(effects) == [(Settlement.VENUE, 900), (Settlement.DONE, 900)]


# -- listing ---------------------------------------------------------------------------------------


def test_nothing_happens_in_a_market_that_is_not_listed() -> None:
    scene = Listing(with_spare())
    account = scene.open(1_000)
    for kind, fields in (
        (K.MARK, {"price_ticks": 5}),
        (K.INDEX, {"price_ticks": 5}),
        (K.VOLUME, {"lots": 5}),
        (K.DEPTH, {"lots": 5}),
        (K.HEARTBEAT, {}),
        (K.FUNDING, {"amount": 5}),
        (K.SETTLEMENT, {"price_ticks": 5}),
    ):
        assert refused(scene.send(kind, market=1, **fields)) == Reject.MARKET_NOT_LISTED
    # The first reason that holds: it has no mark.
    assert refused(scene.send(K.FILL, market=1, account=account, other=NONE, lots=1, price_ticks=5)) == Reject.NO_MARK


def test_while_it_is_not_listed_every_rule_can_change_and_then_no_fixed_one() -> None:
    scene = Listing(with_spare())
    for key, value in (("market.price_ticks_max", PRICE_TICKS_LIMIT), ("market.notional_factor", 7), ("market.position_lots_max", 1_000)):
        assert of(scene.rule(key, value), F.PARAMETER)
        assert refused(scene.rule(key, value, market=0)) in (Reject.RULE_IS_FIXED, Reject.AMOUNT_OUT_OF_RANGE)
    assert refused(scene.rule("market.is_listed", 1)) == Reject.RULE_IS_FIXED
    (told,) = scene.open_market()
    assert (told.kind, told.market, told.lots, told.price_ticks, told.amount) == (F.LISTING, 1, 1_000, PRICE_TICKS_LIMIT, 7)
    assert refused(scene.rule("market.notional_factor", 8)) == Reject.RULE_IS_FIXED
    assert of(scene.rule("market.slippage_tolerance_ppm", 5), F.PARAMETER)
    assert refused(scene.open_market()) == Reject.MARKET_LISTED
    # Prices far above those of the other market, and triggers there: 20 lots, a factor of 7.
    scene.send(K.MARK, market=1, price_ticks=2_000_000_000)
    account = scene.open(40_000_000_000)
    scene.send(K.FILL, market=1, account=account, other=NONE, lots=20, price_ticks=2_000_000_000)
    effects = scene.send(K.MARK, market=1, price_ticks=1_780_000_000)
    assert [row.account for row in of(effects, F.HEALTH)] == [account]


def test_what_is_listed_fits_64_bits_together() -> None:
    """Both sums of 2^59 fit; one more of the second does not."""
    rules = with_spare()
    most = NOTIONAL_ATOMS_MAX // 2
    first = rules.markets[0]._replace(price_ticks_max=1 << 20, position_lots_max=1 << 19, notional_factor=most >> 39)
    scene = Listing(rules._replace(markets=(first, rules.markets[1])))
    scene.rule("market.position_lots_max", 1 << 19)
    scene.rule("market.notional_factor", (most >> 39) + 1)
    assert refused(scene.open_market()) == Reject.RULES_CONTRADICT
    scene.rule("market.notional_factor", most >> 39)
    assert of(scene.open_market(), F.LISTING)


def test_a_settled_market_is_listed_anew_after_an_epoch() -> None:
    """The second market of the row knows nothing of the first: neither its result, nor its funding, depth
    or index. Bob won 500 in it; a loss in the second is not his to bear.
    """
    scene = Listing(with_spare())
    scene.open_market()
    scene.send(K.MARK, market=1, price_ticks=1_000)
    scene.send(K.INDEX, market=1, price_ticks=1_001)
    scene.send(K.FUNDING, market=1, amount=3_000_000)
    scene.send(K.VOLUME, market=1, lots=9)
    scene.depth(50, market=1)
    alice, bob = scene.open(2_000), scene.open(2_000)
    scene.trade(alice, 10, 1_000, bob, market=1)
    scene.end(950)
    done_ns = scene.time_ns + SECOND
    assert of(scene.send(K.CLOCK), F.SETTLEMENT)
    assert refused(scene.at(done_ns + 10 * MINUTE - 2).rule("market.notional_factor", 3)) == Reject.RULE_IS_FIXED
    assert refused(scene.at(done_ns + 10 * MINUTE - 1).open_market()) == Reject.MARKET_LISTED
    assert of(scene.at(done_ns + 10 * MINUTE).rule("market.notional_factor", 3), F.PARAMETER)
    assert refused(scene.send(K.MARK, market=1, price_ticks=1_000)) == Reject.MARKET_SETTLED
    assert of(scene.open_market(), F.LISTING)
    assert refused(scene.send(K.FILL, market=1, account=alice, other=bob, lots=1, price_ticks=5)) == Reject.NO_MARK
    scene.send(K.MARK, market=1, price_ticks=70)
    scene.trade(alice, 5, FIRST_MARK, bob, market=1)
    assert scene.mirror.position(alice, 1).settled_index == 0


def test_a_listed_market_has_the_rows_of_a_new_one() -> None:
    """All that is no rule stands as at the beginning, after a life with every kind of event."""
    rules = with_spare(groups=2)
    scene = Listing(rules)
    scene.open_market()
    for price in (1_000, 1_200, 900, 1_100):
        scene.send(K.MARK, market=1, price_ticks=price)
    scene.send(K.INDEX, market=1, price_ticks=2_000)
    scene.send(K.VOLUME, market=1, lots=1)
    scene.send(K.FUNDING, market=1, amount=5)
    scene.send(K.OPERATOR, code=1, market=1, amount=SECOND)
    account = scene.open(2_000)
    scene.send(K.FILL, market=1, account=account, other=NONE, lots=1, price_ticks=1_100)
    scene.send(K.OPERATOR, code=7, market=1, amount=1 << 53)
    scene.end(1_000)
    scene.send(K.CLOCK)
    state = scene.watch.state
    assert int(state.breakers[1].settlement) == ALL_SETTLED
    worn = state.breakers[1].copy(), state.markets[1].copy()
    scene.at(scene.time_ns + 11 * MINUTE).rule("market.group", 1)
    scene.open_market()
    fresh = rules.markets[1]._replace(is_listed=1, group=1)
    markets, _ = market_rows(rules._replace(markets=(rules.markets[0], fresh)))
    breaker, market = breaker_rows(rules)[1], markets[1]
    # Where the row stands, what it can hold, and what only says that there once was funding.
    kept = {"bucket_first", "price_ticks_most", "has_funding", "first_position", "last_position"}
    for name in set(state.markets.dtype.names or ()) - kept:
        assert np.array_equal(state.markets[1][name], market[name]), name
    for name in set(state.breakers.dtype.names or ()) - {"flow_window"}:  # settled in this event: no flow in the present one
        assert np.array_equal(state.breakers[1][name], breaker[name]), name
    changed = [name for name in state.breakers.dtype.names or () if not np.array_equal(worn[0][name], breaker[name])]
    assert len(changed) >= 10, changed
    assert int(state.markets[1].relief_ends_ns) == NEVER_NS != int(worn[1].relief_ends_ns)

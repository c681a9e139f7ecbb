"""ADL policies and the refusals of the new events, worked by hand from R5.2 and R6.6."""

from __future__ import annotations

import pytest

from backstop.core.events import (
    FEES,
    FUND,
    NONE,
    WORLD,
    AdlClass,
    AdlPolicy,
    Answer,
    EffectKind,
    EventKind,
    Operator,
    Reject,
    Stage,
    Transfer,
    error_inventory_of,
    fund_of,
    outside_of,
)
from backstop.core.instruments import (
    BreakerRules,
    CloseoutRules,
    CommitmentRules,
    FundRules,
    LimitRules,
    MarketRules,
    ProviderRules,
    TierRules,
    VenueRules,
    check_rules,
)
from backstop.reference.adl import asked_owners, drawn_for
from backstop.reference.allocation import DRAW, capped_pro_rata, in_order
from backstop.reference.engine import Effect, Event, ReferenceEngine
from backstop.reference.wave import rank_score, ratio, scramble
from tests.reference.invariants import findings

K, F = EventKind, EffectKind
FIVE_PERCENT = (TierRules(0, 100_000, 50_000),)
MARKET = MarketRules(1, 10_000, 1_000, FIVE_PERCENT, (1_000,), 20_000)


class Desk:
    """One market and a reference, driven event by event, a nanosecond apart; nothing may be broken
    after any.
    """

    def __init__(self, mark: int, policy: AdlPolicy = AdlPolicy.CAPPED_PRO_RATA) -> None:
        """ADL, and tear-up for the rest."""
        rules = VenueRules((MARKET,), stages=(Stage.ADL, Stage.TEAR_UP), adl_policy=policy, limits=LimitRules(accounts_max=16))
        check_rules(rules)
        self.reference, self.seq = ReferenceEngine(rules), 0
        self.mark(mark)

    def send(self, kind: EventKind, **fields: int) -> list[Effect]:
        """Apply the next event."""
        self.seq += 1
        effects = self.reference.apply(Event(self.seq, self.seq, int(kind), **fields))
        assert findings(self.reference.state) == []
        return effects

    def mark(self, price_ticks: int) -> list[Effect]:
        """Move the mark."""
        return self.send(K.MARK, market=0, price_ticks=price_ticks)

    def open(self, balance: int, lots: int, cost: int, owner: int | None = None) -> int:
        """Open an account with a position."""
        account = len(self.reference.state.accounts)
        self.send(K.ACCOUNT, account=account, other=account if owner is None else owner)
        self.send(K.TRANSFER, account=account, amount=balance)
        self.send(K.POSITION, account=account, market=0, lots=lots, amount=cost)
        # As if it had been opened in this epoch: its result is what it won since.
        self.reference.state.position(account, 0).base = cost
        return account

    def weights(self, side: int) -> dict[int, int]:
        """Return the weight of each owner that ADL of that side asks, in his first class, by his first
        account.
        """
        state, found = self.reference.state, {}
        for each in asked_owners(state, 0, side):
            adl_class, lots = next(iter(each.lots_in(is_linked=False).items()))
            found[each.first] = each.weight(state.rules.adl_policy, adl_class, lots, state.last_seq)
        state.asked_equity, state.asked_exposure = {}, {}
        return found

    def charge(self, account: int, amount: int) -> list[Effect]:
        """Take a funding payment."""
        return self.send(K.TRANSFER, account=account, code=int(Transfer.FUNDING), amount=-amount)


def owners(effects: list[Effect]) -> list[tuple[int, ...]]:
    """Account, class, lots, cap, weight and fills of ADL_OWNER."""
    return [(e.account, e.code, e.lots, e.price_ticks, e.value, e.other) for e in effects if e.kind == F.ADL_OWNER]


def fills(effects: list[Effect]) -> list[tuple[int, ...]]:
    """Account, lots, cap, cash and weight of ADL_FILL."""
    return [(e.account, e.lots, e.price_ticks, e.amount, e.value) for e in effects if e.kind == F.ADL_FILL]


def classes(effects: list[Effect]) -> list[tuple[int, ...]]:
    """Class, candidates, lots, full ones and eta of ADL_CLASS."""
    return [(e.code, e.other, e.lots, e.price_ticks, e.amount, e.value) for e in effects if e.kind == F.ADL_CLASS]


# -- the parts -------------------------------------------------------------------------------------


def test_ratio_is_in_ppm_and_at_most_a_million_times() -> None:
    """1 / 4 is 250,000 ppm; 10^12 and more, or over nothing, is 10^12."""
    assert ratio(1, 4) == 250_000
    assert ratio(2, 3) == 666_666
    assert ratio(3_999_999, 4) == 999_999_750_000
    assert ratio(4_000_000, 4) == 10**12
    assert ratio(5_000_000, 4) == 10**12
    assert ratio(10**18, 3) == 10**12
    assert ratio(0, 0) == 10**12
    assert ratio(0, 5) == 0


def test_scramble_is_the_published_generator() -> None:
    """With market and account -1 the word is seq x the golden gamma: the outputs of splitmix64 from
    seed 0, less two bits.
    """
    published = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    assert [scramble(seq, -1, -1) for seq in (1, 2, 3)] == [word >> 2 for word in published]
    drawn = {scramble(seq, market, account) for seq in range(20) for market in range(5) for account in range(20)}
    assert len(drawn) == 2_000
    assert all(0 <= word < 1 << 62 for word in drawn)


def test_two_plans_of_an_event_draw_apart() -> None:
    """Their first points lie in the same half of a draw half of the time."""
    same = 0
    for seq in range(1_000):
        one, other = (drawn_for((seq, 0, first), AdlClass.PROFITABLE) % DRAW for first in (5, 6))
        same += (one < DRAW // 2) == (other < DRAW // 2)
    assert 440 < same < 560


def test_in_order_takes_whole_caps_from_the_largest_weight() -> None:
    """Weights 5, 9, 5: account 1, then 0 (tie by id).

    The last that gave names eta, where someone kept lots.
    """
    weights, caps = {0: 5, 1: 9, 2: 5}, {0: 4, 1: 3, 2: 6}
    assert in_order(2, weights, caps) == ({0: 0, 1: 2, 2: 0}, (9, 0))
    assert in_order(3, weights, caps) == ({0: 0, 1: 3, 2: 0}, (9, 0))
    assert in_order(8, weights, caps) == ({0: 4, 1: 3, 2: 1}, (5, 0))
    assert in_order(13, weights, caps) == (caps, (0, 0))
    assert in_order(20, weights, caps) == (caps, (0, 0))
    assert in_order(1, {0: -7, 1: -3}, {0: 9, 1: 9}) == ({0: 0, 1: 1}, (-3, 0))


def test_proportional_policies_keep_to_caps() -> None:
    """No weight is worth more than its cap, and nobody's share is lost when a cap binds: 12 at 10 :
    1 : 1, caps 3, 8, 8.
    """
    assert capped_pro_rata(12, {0: 10, 1: 1, 2: 1}, {0: 3, 1: 8, 2: 8}) == ({0: 3, 1: 5, 2: 4}, (9, 2))


def test_rank_score_multiplies_gains_and_divides_losses() -> None:
    """40 % x 2.5 = 1; a loss of 12.5 % at leverage 2 is -6.25 %, at leverage 1/2 -25 %; at leverage
    0 it counts a million times.
    """
    assert rank_score(2_000, 5_000, 2_500_000) == 1_000_000
    assert rank_score(-2_000, 16_000, 2_000_000) == -62_500
    assert rank_score(2_000, -16_000, 500_000) == 62_500
    assert rank_score(-2_000, -16_000, 500_000) == -250_000
    assert rank_score(-1, 1, 0) == -(10**12)
    assert rank_score(0, 1, 5) == 0


# -- the BitMEX example ----------------------------------------------------------------------------

#: Account of the example: lots, cost, balance, score in ppm at mark 700, published rank (6 is
#: first).
BITMEX = {
    1: (10, 6_250, 2_750, 240_000, 3),  # 12 % x 7,000 / 3,500
    2: (10, 5_000, 800, 1_000_000, 6),  # 40 % x 7,000 / 2,800
    3: (20, 16_000, 9_000, -62_500, 1),  # -12.5 % / (14,000 / 7,000)
    4: (30, 18_750, 3_000, 480_000, 4),  # 12 % x 21,000 / 5,250
    5: (20, 11_200, 2_800, 625_000, 5),  # 25 % x 14,000 / 5,600
    6: (10, 7_500, 4_000, -33_333, 2),  # -6.67 % / (7,000 / 3,500)
}


def test_queue_ranks_as_bitmex_does() -> None:
    """Six longs of the published sizes and ranks; a short of 20 bankrupt at 650: account 2 gives 10
    of 10, account 5 10 of 20, at 650.

    The example names no prices; costs and balances here are such that its formula (P&L share x or
    over effective leverage, which is notional over equity) gives its ranks. The short sold 20 at
    600 with 1,000: at 700 it has -1,000, and its zero price is 650.
    """
    desk = Desk(600, AdlPolicy.QUEUE)
    short = desk.open(1_000, -20, -12_000)
    for lots, cost, balance, _, _ in BITMEX.values():
        desk.open(balance, lots, cost)
    desk.reference.state.markets[0].mark = 700
    scores = desk.weights(-1)
    assert scores == {account: row[3] for account, row in BITMEX.items()}
    assert sorted(scores, key=lambda account: scores[account]) == sorted(BITMEX, key=lambda account: BITMEX[account][4])
    desk.reference.state.markets[0].mark = 600

    effects = desk.mark(700)
    assert fills(effects) == [(2, -10, 10, 6_500, 1_000_000), (5, -10, 20, 6_500, 625_000)]
    assert classes(effects) == [(AdlClass.PROFITABLE, 4, 20, 1, 625_000, 0)]
    assert desk.reference.state.held_lots(5, 0) == 10
    assert desk.reference.state.equity(short) == 0


def gaining(policy: AdlPolicy) -> AdlClass:
    """Return the class of who gained: leverage and not profit decides where it is levelled."""
    return AdlClass.REST if policy == AdlPolicy.WATER_FILLING else AdlClass.PROFITABLE


# -- policies on one table -------------------------------------------------------------------------

#: What each policy makes of the table below: lots of accounts 1 to 3, their weights, full ones,
#: eta.
TABLE = {
    AdlPolicy.CAPPED_PRO_RATA: ((2, 5, 3), (150, 90, 60), 1, (8, 150)),
    AdlPolicy.PRO_RATA: ((2, 5, 3), (10, 6, 4), 1, (8, 10)),
    AdlPolicy.RISK_AWARE: ((2, 4, 4), (184, 2, 8), 2, (4, 2)),
    AdlPolicy.QUEUE: ((2, 4, 4), (2_771_739, 70_183, 318_750), 2, (70_183, 0)),
    AdlPolicy.WATER_FILLING: ((2, 4, 4), (18_478_260, 467_889, 2_125_000), 2, (425, 2_180)),
}


@pytest.mark.parametrize("policy", TABLE)
def test_policies_on_one_table(policy: AdlPolicy) -> None:
    """Long 10 at mark 85 with E = -50 against shorts of 10, 6, 4 sold at 100.

    | account | lots | P | N | E | leverage | cap |
    |---|---|---|---|---|---|---|
    | 1 | 10 | 150 | 850 | 46 | 18.478260 | 2: 46 - 34 - 10 = 2, with 3 lots 46 - 30 - 15 = 1 |
    | 2 | 6 | 90 | 510 | 1,090 | 0.467889 | 6 |
    | 3 | 4 | 60 | 340 | 160 | 2.125 | 4 |

    capped_pro_rata: 1 is full (2 x 300 <= 10 x 150), 8 at 90 : 60 are 4.8 and 3.2. pro_rata: 2 x 20
    <= 10 x 10, 8 at 6 : 4 the same.
    risk_aware: weights floor(184.8), floor(2.8), floor(8.5); 1 full, then 3 (4 x 10 <= 8 x 8), 4
    are left for 2.
    water_filling: 1 is full; 3 has (340 - 42.5) / 160 = 1.86, 1.33, 0.80 and 0.27, 2 has (510 - 42.5) /
    1,090 = 0.43, 0.35, 0.27 and 0.19: so the fourth of 3 is the ninth, and (1,020 - 595) / 2,180 the last.
    queue: 15 % of each; scores floor(150,000 x 18.478260) and so on: 1, 3, then 2 gives 4 of 6.
    """
    desk = Desk(100, policy)
    for balance, lots in ((300, 10), (100, -10), (1_000, -6), (100, -4)):
        desk.open(balance, lots, lots * 100)
    desk.mark(85)
    desk.charge(1, 204)
    effects = desk.charge(0, 200)
    lots_of, weights, full, eta = TABLE[policy]
    caps = (2, 6, 4)
    assert fills(effects) == [(1 + n, lots_of[n], caps[n], -90 * lots_of[n], weights[n]) for n in range(3)]
    assert classes(effects) == [(gaining(policy), 3, 10, full, *eta)]
    (plan,) = [effect for effect in effects if effect.kind == F.ADL_PLAN]
    assert plan.code == policy
    assert desk.reference.state.equity(0) == 0


def test_random_draws_from_seq_market_and_account() -> None:
    """The order is that of the numbers that anyone can work out from the event's seq."""
    orders = set()
    for skipped in range(12):
        desk = Desk(100, AdlPolicy.RANDOM)
        for balance, lots in ((300, 10), (1_000, -4), (1_000, -4), (1_000, -4)):
            desk.open(balance, lots, lots * 100)
        desk.mark(85)
        desk.seq += skipped
        effects = desk.charge(0, 200)
        drawn = {account: scramble(desk.seq, 0, account) for account in (1, 2, 3)}
        first, second, third = sorted(drawn, key=lambda account: -drawn[account])
        given = {account: (lots, weight) for account, lots, _, _, weight in fills(effects)}
        assert given == {first: (4, drawn[first]), second: (4, drawn[second]), third: (2, drawn[third])}
        assert classes(effects) == [(AdlClass.PROFITABLE, 3, 10, 2, drawn[third], 0)]
        orders.add((first, second, third))
    assert len(orders) > 2


@pytest.mark.parametrize("policy", AdlPolicy)
def test_classes_come_before_ranks(policy: AdlPolicy) -> None:
    """The defaulter's own loss-making short gives first, the house last and by lots, whatever the
    policy ranks.

    Long 12 at mark 85 owes 60, which the owner's other account pays. At mark: linked 3 (sold at 80:
    a loss), profitable 4, OUTSIDE 5.
    """
    desk = Desk(85, policy)
    desk.open(300, 12, 1_200, owner=7)
    desk.open(1_000, -3, -240, owner=7)
    desk.open(1_000, -4, -400, owner=8)
    effects = desk.charge(0, 180)
    assert [(account, lots) for account, lots, *_ in fills(effects)] == [(1, 3), (2, 4), (outside_of(0), 5)]
    assert [row[:4] for row in classes(effects)] == [
        (AdlClass.LINKED, 1, 3, 1),
        (gaining(policy), 1, 4, 1),
        (AdlClass.HOUSE, 1, 5, 1),
    ]
    assert fills(effects)[-1][4] == 5


def test_hedges_give_after_the_rest() -> None:
    """Owner 8 is long 4 in account 2 and short 4 in account 1, which gains: it gives only what
    account 3, which loses, cannot.
    """
    desk = Desk(85, AdlPolicy.QUEUE)
    desk.open(120, 6, 600, owner=7)
    desk.open(1_000, -4, -400, owner=8)
    desk.open(1_000, 4, 340, owner=8)
    desk.open(1_000, -5, -400, owner=9)
    effects = desk.charge(0, 60)
    assert [(row[0], row[2]) for row in classes(effects)] == [(AdlClass.REST, 5), (AdlClass.HEDGE, 1)]
    assert [(account, lots) for account, lots, *_ in fills(effects)] == [(3, 5), (1, 1)]


#: Lots and weights of accounts 1 to 3 by policy, where all of them lose.
LOSERS = {
    AdlPolicy.CAPPED_PRO_RATA: ((2, 1, 3), (4, 2, 6)),
    AdlPolicy.PRO_RATA: ((2, 1, 3), (4, 2, 6)),
    AdlPolicy.RISK_AWARE: ((2, 0, 4), (7, 1, 12)),
    AdlPolicy.QUEUE: ((0, 0, 6), (-33_088, -1_172_805, -31_250)),
}


@pytest.mark.parametrize("policy", LOSERS)
def test_policies_on_losers(policy: AdlPolicy) -> None:
    """Long 6 at mark 85 with E = -60 against shorts of 4, 2, 6 that lose.

    | account | lots | cost | P | E | leverage |
    |---|---|---|---|---|---|
    | 1 | 4 | -320 | -20 | 180 | 340 / 180 = 1.888888 |
    | 2 | 2 | -160 | -10 | 3,190 | 170 / 3,190 = 0.053291 |
    | 3 | 6 | -480 | -30 | 255 | 510 / 255 = 2 |

    By lots, 6 at 4 : 2 : 6. risk_aware: floor(7.55), floor(0.1) but at least 1, 12: 2.1, 0.3, 3.6.
    queue: 6.25 % over each leverage, the least loss first.
    """
    desk = Desk(85, policy)
    desk.open(300, 6, 600)
    for balance, lots in ((200, -4), (3_200, -2), (285, -6)):
        desk.open(balance, lots, lots * 80)
    lots_of, weights = LOSERS[policy]
    assert desk.weights(1) == dict(zip((1, 2, 3), weights, strict=True))
    effects = desk.charge(0, 270)
    assert {account: (lots, weight) for account, lots, _, _, weight in fills(effects)} == {
        1 + n: (lots_of[n], weights[n]) for n in range(3) if lots_of[n]
    }
    assert [row[0] for row in classes(effects)] == [AdlClass.REST]


def test_the_house_shares_by_lots_under_every_policy() -> None:
    """At mark, 6 lots of OUTSIDE and 6 of error_inventory give 5 as 2.5 each: the odd one is
    OUTSIDE's.
    """
    for policy in AdlPolicy:
        desk = Desk(85, policy)
        desk.open(250, 5, 500)
        desk.open(10_000, 7, 700)
        for holder in (outside_of(0), error_inventory_of(0)):
            row = desk.reference.state.position(holder, 0)
            row.lots, row.cost = -6, -600
        effects = desk.charge(0, 173)
        assert [(account, lots, weight) for account, lots, _, _, weight in fills(effects)] == [
            (outside_of(0), 3, 6),
            (error_inventory_of(0), 2, 6),
        ]


# -- refusals --------------------------------------------------------------------------------------

COMMITMENT = CommitmentRules(capacity=100_000)
PROVIDER = ProviderRules(((COMMITMENT, COMMITMENT), (COMMITMENT, COMMITMENT)))


class Door:
    """Two markets of two groups, two providers, three accounts; what an event is refused with."""

    def __init__(self, breakers: BreakerRules | None = None) -> None:
        """Account 0 is provider 0's; account 2 is long 10 and defaults at 84."""
        rules = VenueRules(
            (MARKET, MARKET._replace(group=1)),
            stages=(Stage.TAKEOVER, Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP),
            closeout=CloseoutRules(depth_share_ppm=1_000_000),
            funds=(FundRules(), FundRules()),
            providers=(PROVIDER, PROVIDER),
            breakers=breakers or BreakerRules(operator_hold_max_ns=1_000),
            limits=LimitRules(accounts_max=8),
        )
        check_rules(rules)
        self.reference, self.seq = ReferenceEngine(rules), 0
        self.send(K.MARK, market=0, price_ticks=100)
        for account, balance in enumerate((10_000, 1_000, 200)):
            self.send(K.ACCOUNT, account=account, other=account)
            self.send(K.TRANSFER, account=account, amount=balance)
        self.send(K.PROVIDER, account=0, other=0)
        self.send(K.POSITION, market=0, account=2, lots=10, amount=1_000)

    def send(self, kind: int, **fields: int) -> list[Effect]:
        """Apply the next event."""
        self.seq += 1
        effects = self.reference.apply(Event(self.seq, self.seq, int(kind), **fields))
        assert findings(self.reference.state) == []
        return effects

    def code(self, kind: int, **fields: int) -> int:
        """Why the event is refused, 0 where it is not."""
        effects = self.send(kind, **fields)
        return effects[0].code if effects and effects[0].kind == F.REFUSAL else 0


FEE = int(Transfer.TRADING_FEE)
R = Reject


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        (max(EventKind) + 1, {}, R.UNKNOWN_KIND),
        # TRADING_FEE: market or NONE, an account and no fund, more than 0.
        (K.TRANSFER, {"code": FEE, "account": 1, "market": 2, "amount": 5}, R.UNKNOWN_MARKET),
        (K.TRANSFER, {"code": FEE, "account": 9, "market": 2, "amount": 5}, R.UNKNOWN_MARKET),
        (K.TRANSFER, {"code": FEE, "account": 1, "market": -2, "amount": 5}, R.UNKNOWN_MARKET),
        (K.TRANSFER, {"code": FEE, "account": 9, "market": 1, "amount": 5}, R.UNKNOWN_ACCOUNT),
        (K.TRANSFER, {"code": FEE, "account": FUND, "amount": 5}, R.UNKNOWN_CODE),
        (K.TRANSFER, {"code": FEE, "account": 1, "amount": -5}, R.AMOUNT_OUT_OF_RANGE),
        (K.TRANSFER, {"code": FEE, "account": 1, "amount": 0}, R.AMOUNT_OUT_OF_RANGE),
        (K.TRANSFER, {"code": FEE, "account": 1, "market": 1, "amount": 5}, 0),
        (K.TRANSFER, {"code": FEE, "account": 1, "amount": 1 << 60}, 0),
        # Other transfers name no market, and a code must be one.
        (K.TRANSFER, {"account": 1, "market": 9, "amount": 5}, 0),
        (K.TRANSFER, {"code": 4, "account": 1, "market": 9, "amount": 5}, R.UNKNOWN_CODE),
        # Funds: as many as there are groups, CASH only, and no more out than is in.
        (K.TRANSFER, {"account": fund_of(1), "amount": 5}, 0),
        (K.TRANSFER, {"account": fund_of(2), "amount": 5}, R.UNKNOWN_ACCOUNT),
        (K.TRANSFER, {"account": WORLD, "amount": 5}, R.UNKNOWN_ACCOUNT),
        (K.TRANSFER, {"account": FEES, "amount": 5}, R.UNKNOWN_ACCOUNT),
        (K.TRANSFER, {"code": int(Transfer.FUNDING), "account": fund_of(1), "amount": 5}, R.UNKNOWN_CODE),
        (K.TRANSFER, {"account": fund_of(1), "amount": -1}, R.INSUFFICIENT_MARGIN),
        (K.FILL, {"market": 0, "account": FUND, "lots": 1, "price_ticks": 1}, R.UNKNOWN_ACCOUNT),
        # PROVIDER: an account and a provider, each of them once.
        (K.PROVIDER, {"account": 9, "other": 9}, R.UNKNOWN_ACCOUNT),
        (K.PROVIDER, {"account": FUND, "other": 1}, R.UNKNOWN_ACCOUNT),
        (K.PROVIDER, {"account": 1, "other": 2}, R.UNKNOWN_PROVIDER),
        (K.PROVIDER, {"account": 1, "other": -1}, R.UNKNOWN_PROVIDER),
        (K.PROVIDER, {"account": 1, "other": 0}, R.UNKNOWN_PROVIDER),
        (K.PROVIDER, {"account": 0, "other": 1}, R.UNKNOWN_PROVIDER),
        (K.PROVIDER, {"account": 1, "other": 1}, 0),
        # OPERATOR: a code; a market or the venue, or a provider that is bound; a time that is not
        # too long.
        (K.OPERATOR, {"code": 0, "market": 9, "other": 9}, R.UNKNOWN_CODE),
        (K.OPERATOR, {"code": 8, "market": 0, "amount": 5}, R.UNKNOWN_CODE),
        (K.OPERATOR, {"code": int(Operator.SETTLE_PRICE), "market": -1, "price_ticks": 5}, R.UNKNOWN_MARKET),
        (K.OPERATOR, {"code": int(Operator.SETTLE_PRICE), "market": 0, "price_ticks": 0}, R.PRICE_OUT_OF_RANGE),
        (K.OPERATOR, {"code": int(Operator.HALT), "market": 2, "amount": 0}, R.UNKNOWN_MARKET),
        (K.OPERATOR, {"code": int(Operator.REOPEN), "market": 2}, R.UNKNOWN_MARKET),
        (K.OPERATOR, {"code": int(Operator.HALT), "market": 1, "amount": 0}, R.AMOUNT_OUT_OF_RANGE),
        (K.OPERATOR, {"code": int(Operator.THROTTLE), "amount": 1_001}, R.AMOUNT_OUT_OF_RANGE),
        (K.OPERATOR, {"code": int(Operator.THROTTLE), "amount": 1_000}, 0),
        (K.OPERATOR, {"code": int(Operator.REOPEN), "amount": -7, "other": 9}, 0),
        (K.OPERATOR, {"code": int(Operator.PROVIDER_OFF), "other": 1}, R.UNKNOWN_PROVIDER),
        (K.OPERATOR, {"code": int(Operator.PROVIDER_ON), "other": 2}, R.UNKNOWN_PROVIDER),
        (K.OPERATOR, {"code": int(Operator.PROVIDER_ON), "other": -1}, R.UNKNOWN_PROVIDER),
        (K.OPERATOR, {"code": int(Operator.PROVIDER_OFF), "other": 0, "market": 9, "amount": -1}, 0),
        # ANSWER: no offer was made yet.
        (K.ANSWER, {"other": 0, "code": 9}, R.UNKNOWN_ORDER),
        (K.ANSWER, {"other": 1, "code": int(Answer.REFUSE)}, R.UNKNOWN_ORDER),
    ],
)
def test_refusals_of_the_new_events(kind: int, fields: dict[str, int], reason: int) -> None:
    """The first reason in the order of ``Reject``; 0 is none."""
    assert Door().code(kind, **fields) == reason


def test_answers_are_for_offers_and_fills_for_orders() -> None:
    """Order 1 is an offer to provider 0; order 2, after a refusal, goes to the book."""
    door = Door()
    effects = door.send(K.MARK, market=0, price_ticks=84)
    assert [(effect.kind, effect.other) for effect in effects if effect.kind in (F.OFFER, F.ORDER)] == [(F.OFFER, 1)]
    assert door.code(K.ORDER_FILL, market=0, other=1, lots=-1, price_ticks=84) == R.UNKNOWN_ORDER
    assert door.code(K.ORDER_DONE, other=1) == R.UNKNOWN_ORDER
    assert door.code(K.ANSWER, other=2, code=int(Answer.ACCEPT)) == R.UNKNOWN_ORDER
    assert door.code(K.ANSWER, other=1, code=2) == R.UNKNOWN_CODE
    door.send(K.DEPTH, market=0, code=0, other=0, lots=100)
    effects = door.send(K.ANSWER, other=1, code=int(Answer.REFUSE))
    assert [(effect.kind, effect.other) for effect in effects if effect.kind in (F.OFFER, F.ORDER)] == [(F.ORDER, 2)]
    assert door.code(K.ANSWER, other=2, code=int(Answer.ACCEPT)) == R.UNKNOWN_ORDER
    # A closed offer is known, and an answer to it changes nothing.
    assert door.send(K.ANSWER, other=1, code=int(Answer.ACCEPT)) == []
    assert door.code(K.ORDER_FILL, market=0, other=1, lots=-1, price_ticks=84) == R.UNKNOWN_ORDER


def test_fee_is_bounded_by_the_balances_that_it_moves() -> None:
    """2^61 is the most; FEES may not pass it, whatever will in fact be charged."""
    door = Door()
    door.reference.state.ledger[FEES] = (1 << 61) - 10
    door.reference.state.ledger[WORLD] -= (1 << 61) - 10
    assert door.code(K.TRANSFER, code=FEE, account=1, amount=11) == R.BALANCE_LIMIT
    assert door.code(K.TRANSFER, code=FEE, account=1, amount=10) == 0


def test_what_a_fund_has_promised_stays_in_it() -> None:
    """At 75 account 2 has -50, which its offer at mark needs: of 80 in the fund 30 may go."""
    door = Door()
    door.send(K.TRANSFER, account=FUND, amount=80)
    effects = door.send(K.MARK, market=0, price_ticks=75)
    assert [effect.amount for effect in effects if effect.kind == F.RESERVE] == [50]
    assert door.code(K.TRANSFER, account=FUND, amount=-31) == R.INSUFFICIENT_MARGIN
    assert door.code(K.TRANSFER, account=FUND, amount=-30) == 0


def test_halt_comes_before_the_limits_of_balances_and_after_those_of_positions() -> None:
    """In a halted market: too many lots is POSITION_LIMIT, any new risk MARKET_HALTED, the other
    market is open.
    """
    door = Door()
    door.send(K.MARK, market=1, price_ticks=100)
    door.send(K.OPERATOR, code=int(Operator.HALT), market=0, amount=1_000)
    assert door.code(K.FILL, market=0, account=1, other=1, lots=1, price_ticks=100) == R.SAME_ACCOUNT
    assert door.code(K.FILL, market=0, account=2, other=NONE, lots=991, price_ticks=100) == R.POSITION_LIMIT
    assert door.code(K.FILL, market=0, account=2, other=NONE, lots=1, price_ticks=100) == R.MARKET_HALTED
    assert door.code(K.FILL, market=0, account=2, other=NONE, lots=-1, price_ticks=100) == 0
    assert door.code(K.FILL, market=1, account=1, other=NONE, lots=1, price_ticks=100) == 0
    assert door.code(K.POSITION, market=0, account=1, lots=1, amount=100) == 0

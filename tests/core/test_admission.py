"""The door: an event that violates several rules is refused for the first of them, in the order of
``Reject``.

Each walk starts with an event that is wrong in every way its kind knows, and mends it one field at
a time: the reasons must come in ascending order, each exactly where it is due, and nothing but
``seq`` may change.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest

from backstop.core.columns import OWNER_PAID_NS
from backstop.core.debts import add_debt
from backstop.core.events import FUND, NONE, Answer, BreakerState, EffectKind, EventKind, Health, Operator, Reject, Stage, Transfer, fund_of
from backstop.core.instruments import BALANCE_ATOMS_MAX, DEPTH_LOTS_MAX, CommitmentRules, FundRules, LimitRules, ProviderRules
from backstop.core.parameter_table import PARAMETERS
from backstop.core.results import lower_base, result_of
from backstop.core.rows import ALL_SETTLED, TAKEOVER_OFFER
from backstop.reference.records import Event
from tests.core.desk import SECOND, Desk, make_rules

K = EventKind
#: What account 0 has above its initial margin.
FREE = 1_000_000 - 990 * 16 - 990 * 84 // 10
LIMITS = LimitRules(accounts_max=6, positions_max=7, orders_max=4, effects_max=4_096)
Step = tuple[Reject | None, dict[str, int]]


def make_desk() -> Desk:
    """Six accounts: 0 holds 990 of 1,000 lots, 1 is in default with an order out, 2 is rich, 3 is
    short, 4 and 5 are empty.

    Market 0 is traded, market 1 is halted, market 2 has no mark and is doubted, market 3 is settled. Account 3's second position fills
    the rows. There are two market groups and two providers, of which the first has account 5.
    """
    rules = make_rules((Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP), markets=5, limits=LIMITS)
    provider = ProviderRules(((CommitmentRules(), CommitmentRules()),) * 2)
    desk = Desk(rules._replace(funds=(FundRules(),) * 2, providers=(provider,) * 2), mark=0)
    desk.mark(100, 0)
    desk.mark(100, 1)
    desk.open(1_000_000, 200, 1 << 60, 500, 0, 1_000)
    desk.send(K.TRANSFER, account=2, amount=1 << 60)
    desk.send(K.PROVIDER, account=5, other=0)
    # Market 1 halts: account 4, without money, buys far above the mark and owes what nobody pays.
    desk.trade(5, -10, 100, market=1)
    desk.trade(3, -10, 100, market=1)
    desk.trade(4, 10, 120, market=1)
    desk.trade(0, 990, 100)
    desk.trade(3, 5, 100)
    desk.trade(2, -5, 100, market=0)
    desk.trade(1, 10, 100)
    desk.send(K.DEPTH, market=0, lots=2)
    desk.mark(84)
    # As if fund 0 had paid 5 for account 0, which holds lots and is in no default.
    add_debt(desk.state, 0, 0, 5)
    desk.state.columns[OWNER_PAID_NS, desk.state.accounts[0].owner] = desk.state.engine[0].now_ns
    # As if it had gained 7 in market 0, where an insolvent account lacks as much. What market 1 left
    # uncovered holds none of them: the gain came later.
    position = int(desk.state.accounts[0].first_position)
    lower_base(desk.state, position, 7 - int(result_of(desk.state, position)))
    desk.state.markets[0].gap_atoms, desk.state.engine[0].insolvent_now = 7, 1
    # As if it owed 2 for a fill.
    desk.state.fill_gauges[desk.state.accounts[0].owner, 1:3] = 2, desk.state.engine[0].now_ns
    desk.state.pocket_markets[4] = 1
    desk.state.markets[4].is_listed = 0
    # As if provider 1 were of another asset.
    desk.state.providers[1].asset = 1
    desk.state.breakers[2].undoubted_ticks, desk.state.breakers[3].settlement = 100, ALL_SETTLED
    return desk


def test_desk_is_what_it_says() -> None:
    desk = make_desk()
    state = desk.state
    assert [int(row.state) for row in state.breakers] == [
        BreakerState.OPEN,
        BreakerState.HALTED,
        BreakerState.OPEN,
        BreakerState.OPEN,
        BreakerState.OPEN,
        BreakerState.OPEN,
    ]
    assert int(state.accounts[1].health) >= Health.DISTRESSED
    assert int(state.engine[0].next_order_id) == 2
    assert int(state.engine[0].positions_now) == 2 * 5 + LIMITS.positions_max
    assert desk.row(0) == (990, 99_000)


#: Wrong in every field that any kind looks at.
NUMBERS = {rule.key: number for number, rule in PARAMETERS.items()}
WORST = {"seq": 1, "time_ns": -1, "kind": 99, "code": 9, "market": 7, "account": 77, "other": 77, "lots": 0, "price_ticks": 0, "amount": 0}
SOON = 1 << 50

WALKS: dict[str, list[Step]] = {
    "FILL": [
        (Reject.SEQ_NOT_AFTER, {}),
        (Reject.UNKNOWN_KIND, {"seq": SOON}),
        (Reject.TIME_OUT_OF_RANGE, {"kind": K.FILL}),
        (Reject.UNKNOWN_MARKET, {"time_ns": SOON}),
        (Reject.UNKNOWN_ACCOUNT, {"market": 2}),
        (Reject.UNKNOWN_ACCOUNT, {"account": 0}),
        (Reject.SAME_ACCOUNT, {"other": 0}),
        (Reject.LOTS_OUT_OF_RANGE, {"other": 2}),
        (Reject.LOTS_OUT_OF_RANGE, {"lots": 1_001}),
        (Reject.LOTS_OUT_OF_RANGE, {"lots": -1_001}),
        (Reject.PRICE_OUT_OF_RANGE, {"lots": 11}),
        (Reject.PRICE_OUT_OF_RANGE, {"price_ticks": 10_001}),
        (Reject.NO_MARK, {"price_ticks": 100}),
        (Reject.POSITION_LIMIT, {"market": 0}),
        (Reject.POSITION_LIMIT, {"market": 1, "lots": 10}),
        (Reject.MARKET_HALTED, {"account": 3, "other": 5}),
        (None, {"lots": -1, "account": 3, "other": NONE, "market": 0}),
    ],
    "POSITION": [
        (Reject.SEQ_NOT_AFTER, {"kind": K.POSITION}),
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON}),
        (Reject.UNKNOWN_MARKET, {"time_ns": SOON}),
        (Reject.UNKNOWN_ACCOUNT, {"market": 2, "amount": 1 << 40}),
        (Reject.LOTS_OUT_OF_RANGE, {"account": 0}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"lots": 11}),
        (Reject.NO_MARK, {"amount": 110_000}),
        (Reject.POSITION_EXISTS, {"market": 0}),
        (Reject.POSITION_LIMIT, {"market": 1}),
        (None, {"market": 1, "account": 4}),
    ],
    "ACCOUNT": [
        (Reject.SEQ_NOT_AFTER, {"kind": K.ACCOUNT}),
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON}),
        (Reject.UNKNOWN_MARKET, {"time_ns": SOON}),
        (Reject.UNKNOWN_OWNER, {"market": 1}),
        (Reject.UNKNOWN_CODE, {"other": 5}),
        (Reject.ACCOUNT_NOT_NEXT, {"code": 0}),
        (Reject.ACCOUNT_LIMIT, {"account": 6}),
    ],
    "TRANSFER of an account": [
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON, "kind": K.TRANSFER}),
        (Reject.UNKNOWN_ACCOUNT, {"time_ns": SOON}),
        (Reject.UNKNOWN_CODE, {"account": 2}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"code": 0}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"amount": (1 << 60) + 1}),
        (Reject.BALANCE_LIMIT, {"amount": 1 << 60}),
        (Reject.ACCOUNT_IN_DEFAULT, {"account": 1, "amount": -(1 << 60)}),
        (Reject.INSUFFICIENT_MARGIN, {"account": 0}),
        (Reject.INSUFFICIENT_MARGIN, {"amount": -FREE - 1}),
        (Reject.DEBT_TO_FUND, {"amount": -FREE}),
        (Reject.DEBT_TO_FUND, {"amount": -FREE + 4}),
        (Reject.GAIN_HELD, {"amount": -FREE + 5}),
        (Reject.GAIN_HELD, {"amount": -FREE + 11}),
        (Reject.FILL_HELD, {"amount": -FREE + 12}),
        (Reject.FILL_HELD, {"amount": -FREE + 13}),
        (None, {"amount": -FREE + 14}),
    ],
    "TRANSFER of the fund": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "kind": K.TRANSFER, "time_ns": SOON, "account": FUND, "code": 1}),
        (Reject.UNKNOWN_CODE, {"market": NONE}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"code": 0}),
        (Reject.INSUFFICIENT_MARGIN, {"amount": -1}),
        (None, {"amount": 1}),
    ],
    "TRANSFER of another group's fund": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "kind": K.TRANSFER, "time_ns": SOON, "account": fund_of(2), "code": 1}),
        (Reject.UNKNOWN_ACCOUNT, {"market": NONE}),
        (Reject.UNKNOWN_CODE, {"account": fund_of(1)}),
        (Reject.INSUFFICIENT_MARGIN, {"code": 0, "amount": -1}),
        (None, {"amount": 1}),
    ],
    "TRANSFER of a trading fee": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "kind": K.TRANSFER, "time_ns": SOON, "code": Transfer.TRADING_FEE}),
        (Reject.UNKNOWN_ACCOUNT, {"market": NONE}),
        (Reject.UNKNOWN_CODE, {"account": FUND}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"account": 0}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"amount": -1}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"amount": (1 << 60) + 1}),
        (None, {"amount": 1 << 60}),
    ],
    "TRANSFER of a move": [
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON, "kind": K.TRANSFER, "code": Transfer.MOVE}),
        (Reject.UNKNOWN_ACCOUNT, {"time_ns": SOON}),
        (Reject.UNKNOWN_ACCOUNT, {"account": FUND}),
        (Reject.UNKNOWN_CODE, {"other": 0}),
        (Reject.SAME_ACCOUNT, {"account": 0}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"other": 2}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"amount": -1}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"amount": (1 << 60) + 1}),
        (Reject.ACCOUNT_IN_DEFAULT, {"amount": 1 << 60, "account": 1}),
        (Reject.INSUFFICIENT_MARGIN, {"account": 0}),
        (Reject.INSUFFICIENT_MARGIN, {"amount": FREE + 1}),
        (Reject.GAIN_HELD, {"amount": FREE}),
        (Reject.OTHER_OWNER, {"amount": FREE - 7}),
    ],
    "PROVIDER": [
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON, "kind": K.PROVIDER}),
        (Reject.UNKNOWN_ACCOUNT, {"time_ns": SOON}),
        (Reject.UNKNOWN_PROVIDER, {"account": 0}),
        (Reject.UNKNOWN_PROVIDER, {"other": 0}),
        (Reject.UNKNOWN_PROVIDER, {"other": 1, "account": 5}),
        (Reject.ACCOUNT_ISOLATED, {"account": 4}),
        (Reject.WRONG_ASSET, {"account": 0}),
    ],
    "ANSWER": [
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON, "kind": K.ANSWER}),
        (Reject.UNKNOWN_ORDER, {"time_ns": SOON}),
        (Reject.UNKNOWN_ORDER, {"other": 1}),
    ],
    "OPERATOR of a market": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "kind": K.OPERATOR, "time_ns": SOON, "code": Operator.HALT}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"market": NONE}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"amount": 86_400 * SECOND + 1}),
        (None, {"amount": 86_400 * SECOND}),
    ],
    "OPERATOR that reopens": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "kind": K.OPERATOR, "time_ns": SOON, "code": Operator.REOPEN}),
        (None, {"market": 2}),
    ],
    "OPERATOR of a provider": [
        (Reject.UNKNOWN_PROVIDER, {"seq": SOON, "kind": K.OPERATOR, "time_ns": SOON, "code": Operator.PROVIDER_OFF}),
        (Reject.UNKNOWN_PROVIDER, {"other": 1}),
        (Reject.UNKNOWN_CODE, {"code": 99}),
        (None, {"code": Operator.PROVIDER_ON, "other": 0}),
    ],
    "OPERATOR of a settlement price": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "kind": K.OPERATOR, "time_ns": SOON, "code": Operator.SETTLE_PRICE}),
        (Reject.PRICE_OUT_OF_RANGE, {"market": 3}),
        (Reject.PRICE_OUT_OF_RANGE, {"price_ticks": 10_001}),
        (Reject.MARKET_SETTLED, {"price_ticks": 100}),
        (Reject.NOT_DOUBTED, {"market": 0}),
        (None, {"market": 2}),
    ],
    "DEPTH of a settled market": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "kind": K.DEPTH, "time_ns": SOON, "code": 0, "other": 0}),
        (Reject.LOTS_OUT_OF_RANGE, {"market": 3, "lots": -2}),
        (Reject.MARKET_SETTLED, {"lots": 1}),
        (None, {"market": 0}),
    ],
    "ORDER_FILL": [
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON, "kind": K.ORDER_FILL}),
        (Reject.UNKNOWN_MARKET, {"time_ns": SOON}),
        (Reject.UNKNOWN_ORDER, {"market": 2}),
        (Reject.UNKNOWN_ORDER, {"other": 0}),
        (Reject.UNKNOWN_ORDER, {"other": 2}),
        (Reject.UNKNOWN_ORDER, {"other": 1}),
        (Reject.LOTS_OUT_OF_RANGE, {"market": 0}),
        (Reject.LOTS_OUT_OF_RANGE, {"lots": 1}),
        (Reject.LOTS_OUT_OF_RANGE, {"lots": -1_001}),
        (Reject.PRICE_OUT_OF_RANGE, {"lots": -1}),
        (None, {"price_ticks": 84}),
    ],
    "ORDER_DONE": [
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON, "kind": K.ORDER_DONE}),
        (Reject.UNKNOWN_ORDER, {"time_ns": SOON}),
        (None, {"other": 1}),
    ],
    "DEPTH": [
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON, "kind": K.DEPTH}),
        (Reject.UNKNOWN_MARKET, {"time_ns": SOON, "lots": -1}),
        (Reject.UNKNOWN_CODE, {"market": 0}),
        (Reject.UNKNOWN_CODE, {"code": 1}),
        (Reject.UNKNOWN_CODE, {"other": 1}),
        (Reject.LOTS_OUT_OF_RANGE, {"other": 0}),
        (Reject.LOTS_OUT_OF_RANGE, {"lots": DEPTH_LOTS_MAX + 1}),
        (None, {"lots": DEPTH_LOTS_MAX}),
    ],
    "VOLUME": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "time_ns": SOON, "kind": K.VOLUME, "lots": -1}),
        (Reject.LOTS_OUT_OF_RANGE, {"market": 2}),
        (None, {"lots": 0}),
    ],
    "MARK": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "time_ns": SOON, "kind": K.MARK}),
        (Reject.PRICE_OUT_OF_RANGE, {"market": 2}),
        (Reject.PRICE_OUT_OF_RANGE, {"price_ticks": 10_001}),
        (None, {"price_ticks": 10_000}),
    ],
    "INDEX": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "time_ns": SOON, "kind": K.INDEX}),
        (Reject.PRICE_OUT_OF_RANGE, {"market": 2}),
        (None, {"price_ticks": 1}),
    ],
    "PARAMETER": [
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON, "time_ns": SOON, "kind": K.PARAMETER, "price_ticks": -1}),
        (Reject.TIME_OUT_OF_RANGE, {"price_ticks": 1 << 61}),
        (Reject.UNKNOWN_MARKET, {"price_ticks": 0, "code": NUMBERS["market.price_ticks_max"]}),
        (Reject.UNKNOWN_CODE, {"code": 0}),
        (Reject.AMOUNT_OUT_OF_RANGE, {"code": NUMBERS["market.price_ticks_max"], "market": 1, "amount": 0}),
        (Reject.RULE_IS_FIXED, {"amount": 5}),
        (Reject.RULES_CONTRADICT, {"code": NUMBERS["levels.exit_buffer_ppm"], "amount": 9_000_000}),
        (None, {"price_ticks": 1 << 51}),
    ],
    "HEARTBEAT": [
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON, "time_ns": -1, "kind": K.HEARTBEAT}),
        (Reject.UNKNOWN_MARKET, {"time_ns": SOON}),
        (Reject.MARKET_NOT_LISTED, {"market": 4}),
        (None, {"market": 1}),
    ],
    "SETTLEMENT": [
        (Reject.UNKNOWN_MARKET, {"seq": SOON, "time_ns": SOON, "kind": K.SETTLEMENT}),
        (Reject.PRICE_OUT_OF_RANGE, {"market": 4}),
        (Reject.MARKET_NOT_LISTED, {"price_ticks": 100}),
        (None, {"market": 0}),
    ],
    "LISTING": [
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON, "time_ns": -1, "kind": K.LISTING}),
        (Reject.UNKNOWN_MARKET, {"time_ns": SOON}),
        (Reject.MARKET_LISTED, {"market": 1}),
        (None, {"market": 4}),
    ],
    "CLOCK": [
        (Reject.SEQ_NOT_AFTER, {"kind": K.CLOCK}),
        (Reject.TIME_OUT_OF_RANGE, {"seq": SOON}),
        (None, {"time_ns": SOON}),
    ],
}


def refused(desk: Desk, event: Event) -> Reject | None:
    """Return why the desk refuses an event; check what a refusal says, and that it changes nothing
    else.
    """
    before, last_seq = desk.digest(), int(desk.state.engine[0].last_seq)
    effects = desk.put(event)
    if not effects or effects[0].kind != EffectKind.REFUSAL:
        return None
    (refusal,) = effects
    named = (event.seq, event.market, event.account, event.other, event.lots, event.price_ticks, event.amount)
    assert (refusal.seq, refusal.market, refusal.account, refusal.other, refusal.lots, refusal.price_ticks, refusal.amount) == named
    expected_seq = max(last_seq, event.seq)
    assert int(desk.state.engine[0].last_seq) == expected_seq
    desk.state.engine[0].last_seq = last_seq
    assert desk.digest() == before
    desk.state.engine[0].last_seq = expected_seq
    return Reject(refusal.code)


def reasons(desk: Desk, walk: Iterable[Step]) -> list[tuple[Reject | None, Reject | None]]:
    """Mend the worst event step by step; return what was expected and what was said at each."""
    fields, found = dict(WORST), []
    for place, (expected, change) in enumerate(walk):
        fields |= change
        seq = fields["seq"] + (place if fields["seq"] == SOON else 0)
        found.append((expected, refused(desk, Event(**{**fields, "seq": seq}))))
    return found


@pytest.mark.parametrize("name", WALKS)
def test_reasons_come_in_their_order(name: str) -> None:
    found = reasons(make_desk(), WALKS[name])
    assert [said for _, said in found] == [expected for expected, _ in found]
    said = [reason for reason, _ in found if reason is not None]
    assert said == sorted(said)


def test_every_reason_is_walked() -> None:
    # A venue has no 256 places here: ``test_so_many_changes_wait_and_no_more`` fills them.
    assert {expected for walk in WALKS.values() for expected, _ in walk} == {*Reject, None} - {Reject.CHANGE_LIMIT}
    assert sorted(Reject) == list(Reject)


def test_owner_comes_before_a_full_house() -> None:
    """ACCOUNT_LIMIT is the last: an id that is next, of a known owner, where no room is left."""
    desk = make_desk()
    assert refused(desk, Event(SOON, SOON, K.ACCOUNT, account=6, other=0)) == Reject.ACCOUNT_LIMIT


def test_first_seq_is_not_negative() -> None:
    desk = Desk(make_rules(), mark=0)
    assert refused(desk, Event(-1, 0, K.CLOCK)) == Reject.SEQ_NOT_AFTER
    assert refused(desk, Event(0, 0, K.CLOCK)) is None
    assert refused(desk, Event(0, 0, K.CLOCK)) == Reject.SEQ_NOT_AFTER


def test_withdrawal_may_take_exactly_what_initial_margin_leaves() -> None:
    """10 lots at 100 with 10 %: 100 of 300 must stay."""
    desk = Desk(make_rules())
    desk.open(300)
    desk.trade(0, 10, 100)
    event = Event(50, 50 * SECOND, K.TRANSFER, account=0, amount=-201)
    assert refused(desk, event) == Reject.INSUFFICIENT_MARGIN
    assert refused(desk, event._replace(seq=51, amount=-200)) is None


def test_balances_stay_within_their_limit() -> None:
    """Two deposits of 2^60 are the most; what WORLD owes counts as well."""
    desk = Desk(make_rules())
    desk.open(1 << 60, 0)
    desk.send(K.TRANSFER, account=0, amount=1 << 60)
    assert desk.balance(0) == BALANCE_ATOMS_MAX
    assert refused(desk, Event(90, 90 * SECOND, K.TRANSFER, account=1, amount=1)) == Reject.BALANCE_LIMIT


def test_fees_stay_within_their_limit() -> None:
    """What the venue may earn is bounded like every other balance, whatever of it would be
    charged.
    """
    desk = Desk(make_rules())
    desk.open(1 << 60)
    desk.send(K.TRANSFER, account=0, amount=1 << 60)
    fee = Event(90, 90 * SECOND, K.TRANSFER, code=Transfer.TRADING_FEE, account=0, amount=1 << 60)
    assert [refused(desk, fee._replace(seq=90 + turn)) for turn in range(3)] == [None, None, Reject.BALANCE_LIMIT]
    assert desk.balance(0) == 0


def test_an_answer_is_to_an_offer_and_a_fill_to_an_order() -> None:
    desk = make_desk()
    fill = Event(SOON, SOON, K.ORDER_FILL, market=0, other=1, lots=-1, price_ticks=84)
    done = Event(SOON + 1, SOON, K.ORDER_DONE, other=1)
    answer = Event(SOON + 2, SOON, K.ANSWER, other=1, code=Answer.ACCEPT)
    assert refused(desk, answer) == Reject.UNKNOWN_ORDER
    desk.state.orders[1].kind = TAKEOVER_OFFER
    assert [refused(desk, event) for event in (fill._replace(seq=SOON + 3), done._replace(seq=SOON + 4))] == [Reject.UNKNOWN_ORDER] * 2
    assert refused(desk, answer._replace(seq=SOON + 5, code=2)) == Reject.UNKNOWN_CODE


def test_fill_in_a_halted_market_may_only_reduce() -> None:
    desk = make_desk()
    rows = {holder: desk.row(holder, 1)[0] for holder in range(6)}
    holder = next(holder for holder, lots in rows.items() if lots)
    lots = -1 if rows[holder] > 0 else 1
    fill = {"kind": K.FILL, "market": 1, "account": holder, "other": NONE, "price_ticks": 100}
    assert refused(desk, Event(seq=SOON, time_ns=SOON, lots=-lots, **fill)) == Reject.MARKET_HALTED
    assert refused(desk, Event(seq=SOON + 1, time_ns=SOON, lots=lots, **fill)) is None


def test_row_holds_every_field_of_an_event() -> None:
    """An event is 64 bytes as the journal writes them: little-endian, no gaps."""
    event = Event(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    assert struct.calcsize("<qqhhiqqqqq") == 64
    assert Event(*struct.unpack("<qqhhiqqqqq", struct.pack("<qqhhiqqqqq", *event))) == event

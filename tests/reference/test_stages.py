"""The reference's funds, owners, takeover, disposal, socialise and fees: cases worked by hand from
R5, R6 and R9.
"""

from __future__ import annotations

import pytest

from backstop.core.events import (
    FEES,
    FUND,
    NEVER_NS,
    NONE,
    UNCOVERED,
    WORLD,
    Answer,
    Cause,
    EffectKind,
    EventKind,
    Health,
    Operator,
    ProviderStatus,
    SocialisePolicy,
    Stage,
    Transfer,
    clearing_of,
    fund_of,
    outside_of,
)
from backstop.core.instruments import AssetRules, BreakerRules, DisposalRules, FundRules, FundsRules, TakeoverRules, VenueRules
from backstop.reference.engine import Effect
from backstop.reference.fund import money_stages
from backstop.reference.offering import Gauge
from backstop.reference.state import Position
from tests.reference.desk import SECOND, Desk, brief, provider, venue

K, F, C = EventKind, EffectKind, Cause
OUTSIDE = outside_of(0)
REFUSE, ACCEPT = Answer.REFUSE, Answer.ACCEPT
FUND_ONLY = (Stage.FUND, Stage.TEAR_UP)


def postings(effects: list[Effect], *causes: Cause) -> list[tuple[int, int, int]]:
    """Receiver, payer and amount of the postings of some causes."""
    return [(e.account, e.other, e.amount) for e in effects if e.kind == F.POSTING and e.code in causes]


def kinds(effects: list[Effect]) -> list[int]:
    """Kinds of all effects but trades."""
    return [effect.kind for effect in effects if effect.kind != F.TRADE]


# -- owners and windows ----------------------------------------------------------------------------


def test_linked_accounts_pay_before_the_fund() -> None:
    """Account 0 owes 50.

    Account 2 (E = 100, M = 50, release 53) spares 47, flat account 1 its 2, then account 2 one
    more.
    """
    desk = Desk(venue(FUND_ONLY))
    desk.open(0, 2, 100, owner=7)
    desk.pay_in(FUND, 1_000)
    desk.trade(2, 10, 100)
    effects = desk.charge(0, 50)
    assert postings(effects, *C) == [(WORLD, 0, 50), (0, 2, 47), (0, 1, 2), (0, 2, 1)]
    assert [effect.market for effect in effects if effect.code == C.NETTING] == [NONE] * 3
    assert (desk.state.ledger[FUND], desk.state.ledger[0], desk.state.ledger[2]) == (1_000, 0, 52)
    assert desk.state.accounts[0].health == Health.HEALTHY


def test_netting_leaves_a_solvent_rest_to_the_waterfall() -> None:
    """Long 10 at mark 85 with E = -50 and a linked 20: 30 stay, and only those are torn up for: gap
    30.
    """
    desk = Desk(venue(FUND_ONLY))
    desk.open(100, 20, owner=3)
    desk.open(1_000)
    desk.trade(0, 10, 100, other=2)
    effects = desk.mark(85)
    assert postings(effects, C.NETTING) == [(0, 1, 20)]
    assert brief(effects, F.TEAR_UP) == [(0, 0, -10, 850, 30)]
    assert desk.state.ledger[UNCOVERED] == -30


def test_owner_cap_counts_all_accounts_until_a_window_without_payment() -> None:
    """Of at most 60: account 0 gets 50, account 1 of the same owner 10 and 40 stay uncovered;
    another owner gets its 30.

    The fund pays arrears as far as all that it paid in a window stays within 60, the smallest cap:
    20 of them when the 50 are over. For the owner they count, too.
    """
    window = 16 * SECOND
    desk = Desk(venue(FUND_ONLY, fund=FundsRules(window_ns=window), asset=AssetRules(owner_loss_max=60)))
    desk.open(0, 0, owner=5)
    desk.open(0)
    desk.pay_in(FUND, 1_000)
    paid = [(C.DEFICIT, FUND), (C.UNCOVERED, UNCOVERED), (C.ARREARS, FUND)]
    assert postings(desk.charge(0, 50), *dict(paid)) == [(0, FUND, 50)]
    assert postings(desk.charge(1, 50), *dict(paid)) == [(1, FUND, 10), (1, UNCOVERED, 40)]
    last = desk.time_ns
    assert postings(desk.charge(2, 30), *dict(paid)) == [(2, FUND, 30)]
    # A payment of one atom less than a window ago, exactly a window ago: it counts. Longer ago: all
    # begins anew.
    assert postings(desk.at(last + window).charge(0, 5), *dict(paid)) == [(UNCOVERED, FUND, 20), (0, UNCOVERED, 5)]
    assert postings(desk.at(last + window + 1).charge(0, 100), *dict(paid)) == [(0, FUND, 40), (0, UNCOVERED, 60)]
    assert desk.state.owner_paid(desk.state.owners[5]) == 40


def test_fund_that_paid_at_the_end_of_a_slot_waits_a_whole_window() -> None:
    """Slots of 1 s, window 16 s. 100 paid at 20.9 s leave 0 at 36.9 s, although a new tumbling
    window began at 32 s; 100 at 37 s, the 44 left uncovered before all else.
    """
    rules = venue(FUND_ONLY, fund=FundsRules(window_ns=16 * SECOND))._replace(funds=(FundRules(loss_per_window_max=100),))
    desk = Desk(rules)
    desk.open(0, 0, 0)
    desk.pay_in(FUND, 1_000)
    first = 20 * SECOND + 900_000_000
    assert postings(desk.at(first).charge(0, 130), C.DEFICIT, C.UNCOVERED) == [(0, FUND, 100), (0, UNCOVERED, 30)]
    assert postings(desk.at(32 * SECOND).charge(1, 7), C.DEFICIT, C.UNCOVERED) == [(1, UNCOVERED, 7)]
    assert postings(desk.at(first + 16 * SECOND).charge(1, 7), C.DEFICIT, C.UNCOVERED) == [(1, UNCOVERED, 7)]
    effects = desk.at(37 * SECOND).charge(2, 130)
    assert postings(effects, C.ARREARS, C.DEFICIT, C.UNCOVERED) == [(UNCOVERED, FUND, 44), (2, FUND, 56), (2, UNCOVERED, 74)]


def test_window_counts_slots_one_by_one() -> None:
    """60 in slot 20 and 30 in slot 30 of at most 100: 10 are left until slot 37, then 70, from slot
    47 all.
    """
    rules = venue(FUND_ONLY, fund=FundsRules(window_ns=16 * SECOND))._replace(funds=(FundRules(loss_per_window_max=100),))
    desk = Desk(rules)
    desk.open(0)
    desk.pay_in(FUND, 1_000)
    desk.at(20 * SECOND).charge(0, 60)
    desk.at(30 * SECOND).charge(0, 30)
    left = []
    for second in (31, 36, 37, 46, 47):
        desk.clock(second * SECOND)
        left.append(desk.state.fund_view(0, 0, 0).available)
    assert left == [10, 10, 70, 70, 100]


def test_each_group_has_its_fund() -> None:
    """A flat account of a default in both groups owes 50, 25 in each: fund 0 has 20, and the 5 that
    it lacks are group 0's. Fund 1 pays its own 25 and no more.
    """
    desk = Desk(venue(FUND_ONLY, groups=(0, 1)))
    desk.open(0)
    desk.pay_in(fund_of(0), 20)
    desk.pay_in(fund_of(1), 100)
    state = desk.state
    state.effects = []
    state.ledger[0], state.ledger[WORLD] = -50, state.ledger[WORLD] + 50
    state.positions[0] = {1: Position(closed_in_default=True), 0: Position(closed_in_default=True)}
    state.accounts[0].health, state.accounts[0].default_since = Health.INSOLVENT, state.now
    money_stages(state, 0)
    assert postings(state.effects, C.DEFICIT) == [(0, fund_of(0), 20), (0, fund_of(1), 25)]
    assert postings(state.effects, C.UNCOVERED) == [(0, UNCOVERED, 5)]
    assert [state.paid(group) for group in range(2)] == [20, 25]
    assert [state.paid_for(market) for market in range(2)] == [20, 25]
    assert state.owner_paid(state.owner(0)) == 45


def test_support_comes_from_the_fund_of_the_markets_group() -> None:
    """The insolvent long of market 1 (group 1) is supported by fund 1, and fund 0 keeps all."""
    desk = Desk(venue((Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP), groups=(0, 1)))
    desk.open(100)
    desk.pay_in(fund_of(0), 1_000)
    desk.pay_in(fund_of(1), 1_000)
    desk.trade(0, 10, 100, market=1)
    desk.send(K.DEPTH, market=1, lots=50)
    assert brief(desk.mark(85, market=1), F.RESERVE) == [(0, 1, 0, 69, 69)]
    assert [fund.reserved for fund in desk.state.funds] == [0, 69]
    effects = desk.send(K.ORDER_FILL, market=1, other=1, lots=-10, price_ticks=85)
    assert postings(effects, C.SUPPORT) == [(0, fund_of(1), 50)]


def test_trading_fee_is_charged_up_to_equity_and_shared() -> None:
    """A fee of 50 on E = 30 charges 30, of which floor(30 x 25 %) = 7 go to the fund of the
    market's group; with E <= 0 nothing moves.
    """
    desk = Desk(venue(FUND_ONLY, groups=(0, 1), fund=FundsRules(trading_fee_share_ppm=250_000)))
    desk.open(30)
    effects = desk.send(K.TRANSFER, account=0, code=int(Transfer.TRADING_FEE), amount=50, market=1)
    assert postings(effects, C.TRADING_FEE) == [(FEES, 0, 30), (fund_of(1), FEES, 7)]
    assert (desk.state.ledger[0], desk.state.ledger[FEES], desk.state.ledger[fund_of(1)]) == (0, 23, 7)
    assert desk.send(K.TRANSFER, account=0, code=int(Transfer.TRADING_FEE), amount=50) == []
    desk.pay_in(0, 8)
    effects = desk.send(K.TRANSFER, account=0, code=int(Transfer.TRADING_FEE), amount=4)
    assert postings(effects, C.TRADING_FEE) == [(FEES, 0, 4), (fund_of(0), FEES, 1)]


# -- takeover --------------------------------------------------------------------------------------

TAKEOVER = (Stage.TAKEOVER, Stage.TEAR_UP)


def without_charge(rules: VenueRules) -> VenueRules:
    """Return a venue whose empty book is expected to cost nothing, so that no way out is charged."""
    return rules._replace(markets=tuple(market._replace(slippage_tolerance_ppm=0) for market in rules.markets))


def distressed(rules: VenueRules, *, providers: int) -> Desk:
    """Account 0, long 10 at 100 with 200, against account 1; the providers' accounts come after
    them. The mark is still 100.
    """
    desk = Desk(rules)
    desk.open(200, 1_000)
    desk.trade(0, 10, 100, other=1)
    for number in range(providers):
        desk.open(1_000)
        desk.bind(number, 2 + number)
    return desk


def test_binding_reports_the_provider() -> None:
    """ON, no failure, full score, no end; its equity is the baseline, which CASH moves and a fee
    does not.
    """
    desk = Desk(venue(TAKEOVER, providers=(provider(),)))
    desk.open(500)
    (effect,) = desk.bind(0, 0)
    assert effect == Effect(desk.seq, F.PROVIDER, ProviderStatus.ON, account=0, other=0, amount=1_000_000, value=NEVER_NS)
    desk.pay_in(0, -100)
    desk.charge(0, 30)
    assert desk.state.providers[0].baseline == 400


def test_offers_split_the_way_from_mark_to_zero() -> None:
    """E = 40, M = 42.

    One lot costs floor(floor(160 / 42) / 2) = 1 and leaves 39 < 40; two cost 3: 37 >= release(34) =
    36.

    Both providers can take two; one each. Zero cash of two is 168 - 7 = 161: 81 and 80. Cash 84 -
    floor(3 / 2) and 84 - floor(4 / 2).
    """
    desk = distressed(venue(TAKEOVER, providers=(provider(), provider())), providers=2)
    effects = desk.mark(84)
    assert kinds(effects) == [F.HEALTH, F.OFFER, F.OFFER]
    assert [(e.price_ticks, *row) for e, row in zip(effects[1:], brief(effects, F.OFFER), strict=True)] == [
        (0, 0, 1, -1, 83, 0),
        (1, 0, 2, -1, 82, 0),
    ]
    assert [order.zero_cash for order in desk.state.open_orders.values()] == [81, 80]
    assert desk.state.accounts[0].wait_until == desk.time_ns + 5 * SECOND
    standing = desk.state.providers[0]
    assert (standing.pending_initial, standing.pending_notional, standing.commitments[0][0].used) == (9, 84, 84)


def test_offer_is_accepted_refused_redistributed_and_timed_out() -> None:
    """After one lot at 83: E = 39, M = 38, release 40.

    A refusal cools provider 1; one more lot, 84 - floor(4 / 2), goes to provider 0.
    """
    desk = distressed(without_charge(venue(TAKEOVER, providers=(provider(), provider()))), providers=2)
    desk.mark(84)
    effects = desk.answer(1, ACCEPT)
    assert brief(effects, F.TAKEOVER, F.TRADE) == [(0, 1, -1, 83, 0), (0, 2, -1, 83, -17), (2, 0, 1, -83, 0)]
    assert (desk.state.equity(0), desk.state.maintenance(0), desk.state.held_lots(2, 0)) == (39, 38, 1)

    effects = desk.answer(2, REFUSE)
    assert kinds(effects) == [F.PROVIDER, F.CANCEL, F.OFFER]
    (effect,) = [e for e in effects if e.kind == F.PROVIDER]
    assert (effect.code, effect.lots, effect.amount, effect.value) == (ProviderStatus.COOLING, 1, 750_000, desk.time_ns + 30 * SECOND)
    assert brief(effects, F.CANCEL, F.OFFER) == [(0, 2, -1, 0, 0), (0, 3, -1, 82, 0)]
    standing = desk.state.providers[1]
    assert (standing.pending_initial, standing.pending_notional, standing.commitments[0][0].used) == (0, 0, 0)

    # Nobody answers: provider 0 has failed too, nobody is left, and the least lots that restore are
    # torn up.
    effects = desk.clock(desk.time_ns + 5 * SECOND)
    assert kinds(effects)[:3] == [F.PROVIDER, F.CANCEL, F.TEAR_UP]
    assert brief(effects, F.TEAR_UP) == [(0, 0, -1, 84, 0)]
    assert desk.answer(3, ACCEPT) == []


def test_realised_loss_of_a_takeover() -> None:
    """A lot bought at 100 and taken over at 83 loses 17; the provider holds it at 83 and gains the
    one atom below the mark.
    """
    desk = distressed(venue(TAKEOVER, providers=(provider(),)), providers=1)
    desk.mark(84)
    effects = desk.answer(1, ACCEPT)
    # One provider takes both lots: zero cash 161, cash 168 - floor(7 / 2) = 165.
    assert brief(effects, F.TRADE) == [(0, 2, -2, 165, -35), (2, 0, 2, -165, 0)]
    assert postings(effects, C.TAKEOVER) == [(clearing_of(0), 0, 35)]
    assert desk.state.equity(2) == 1_003


def test_insolvent_takeover_is_supported_up_to_zero_cash() -> None:
    """E = -50: zero cash 900, at the edge of 2 % 850 - 17 = 833; 67 are reserved, paid, and E is
    0.
    """
    rules = venue((Stage.TAKEOVER, Stage.FUND, Stage.TEAR_UP), providers=(provider(edge_ppm=20_000),))
    desk = distressed(rules, providers=1)
    desk.pay_in(FUND, 68)
    desk.charge(0, 100)
    effects = desk.mark(85)
    assert kinds(effects) == [F.HEALTH, F.RESERVE, F.OFFER]
    assert brief(effects, F.RESERVE, F.OFFER) == [(0, 1, 0, 67, 67), (0, 1, -10, 833, 67)]
    effects = desk.answer(1, ACCEPT)
    assert [e.kind for e in effects] == [F.TAKEOVER, F.TRADE, F.POSTING, F.TRADE, F.POSTING, F.RESERVE, F.HEALTH]
    assert brief(effects, F.TAKEOVER, F.RESERVE) == [(0, 1, -10, 833, 67), (0, 1, 0, -67, 0)]
    assert postings(effects, C.SUPPORT) == [(0, FUND, 67)]
    assert (desk.state.equity(0), desk.state.accounts[0].health, desk.state.ledger[FUND]) == (0, Health.HEALTHY, 1)


def test_fund_bounds_what_an_insolvent_account_may_offer() -> None:
    """With 40: five lots need 25 + 8 + 1 (dM = 21, floor(-50 x 21 / 43) = -25), six 31 + 10 + 1; so
    five are offered.
    """
    rules = venue((Stage.TAKEOVER, Stage.FUND, Stage.TEAR_UP), providers=(provider(edge_ppm=20_000),))
    desk = distressed(rules, providers=1)
    desk.pay_in(FUND, 40)
    desk.charge(0, 100)
    assert brief(desk.mark(85), F.OFFER) == [(0, 1, -5, 417, 33)]


def test_takeover_comes_first_below_close_out() -> None:
    """M = 42 at 84: with E = 40 the book has its turn, with E = 20 (below 28) the provider is
    asked, though closeout stands first: with a fee the book costs more (R6.15).
    """
    for charge, kind in ((0, F.ORDER), (20, F.OFFER)):
        rules = venue((Stage.CLOSEOUT, *TAKEOVER), providers=(provider(),))
        rules = rules._replace(closeout=rules.closeout._replace(fee_ppm=200_000))
        desk = distressed(rules, providers=1)
        desk.send(K.DEPTH, market=0, lots=100)
        if charge:
            desk.charge(0, charge)
        assert kinds(desk.mark(84)) == [F.HEALTH, kind]


def test_capacity_refills_with_time() -> None:
    """Capacity 84 is one lot where two are wanted (83 for it, then E = 39 of M = 38).

    At 84 a second it is free again in halves.
    """
    rules = without_charge(venue((Stage.TAKEOVER, Stage.CLOSEOUT, Stage.TEAR_UP), providers=(provider(84, refill_per_s=84),)))
    desk = distressed(rules, providers=1)
    assert brief(desk.mark(84), F.OFFER) == [(0, 1, -1, 83, 0)]
    offered, gauges = desk.time_ns, desk.state.providers[0].commitments[0]
    assert kinds(desk.at(offered).answer(1, ACCEPT)) == [F.TAKEOVER, F.POSTING]
    assert gauges[0] == (84, offered)
    # Each charge of one gives the account its turn: E = 38 and 37 of M = 38 want one lot.
    assert F.OFFER not in kinds(desk.at(offered + SECOND // 2).charge(0, 1))
    assert gauges[0] == (42, offered + SECOND // 2)
    assert [row[2] for row in brief(desk.at(offered + SECOND).charge(0, 1), F.OFFER)] == [-1]
    assert gauges[0] == (84, offered + SECOND)


def test_cap_respects_margin_leverage_and_pending_offers() -> None:
    """A provider with 20 can hold two lots of 84 at 10 %: im(1) = 9, im(2) = 17, im(3) = 26.

    At leverage 5 only one lot: 168 > 100.
    """
    for leverage_ppm, lots in ((10_000_000, -2), (5_000_000, -1)):
        desk = Desk(venue(TAKEOVER, providers=(provider(leverage_ppm=leverage_ppm),)))
        desk.open(200, 1_000, 20)
        desk.trade(0, 10, 100, other=1)
        desk.bind(0, 2)
        desk.charge(0, 20)
        assert [row[2] for row in brief(desk.mark(84), F.OFFER)] == [lots]


def test_provider_that_cannot_keep_its_word_has_failed() -> None:
    """It had 1,000 when it was asked and has 10 when it accepts two lots of 165: E' = 13 is below
    im(2) = 17.
    """
    desk = distressed(venue(TAKEOVER, providers=(provider(),)), providers=1)
    desk.mark(84)
    desk.charge(2, 990)
    effects = desk.answer(1, ACCEPT)
    assert kinds(effects)[:2] == [F.PROVIDER, F.CANCEL]
    assert desk.state.held_lots(2, 0) == 0


def test_repeated_failures_switch_off_and_time_brings_back() -> None:
    """Two failures in a row: OFF for off_ns; then ON with none, which the next pass reports before
    it asks.
    """
    takeover = TakeoverRules(failures_max=2, retry_ns=SECOND, off_ns=60 * SECOND)
    rules = venue((Stage.TAKEOVER, Stage.CLOSEOUT, Stage.TEAR_UP), providers=(provider(),))._replace(takeover=takeover)
    desk = distressed(without_charge(rules), providers=1)
    desk.mark(84)
    (effect,) = [e for e in desk.answer(1, REFUSE) if e.kind == F.PROVIDER]
    assert (effect.code, effect.lots, effect.amount) == (ProviderStatus.COOLING, 1, 750_000)
    effects = desk.clock(desk.state.accounts[0].wait_until)
    assert kinds(effects) == [F.PROVIDER, F.OFFER]
    assert [e.code for e in effects if e.kind == F.PROVIDER] == [ProviderStatus.ON]
    (effect,) = [e for e in desk.answer(2, REFUSE) if e.kind == F.PROVIDER]
    assert (effect.code, effect.lots, effect.amount, effect.value) == (ProviderStatus.OFF, 2, 562_500, desk.time_ns + 60 * SECOND)
    off_until, waits = effect.value, desk.state.accounts[0]
    while waits.wait_until < off_until:
        # The account waits for a book; when its deadline comes, 30 s after it began, one lot is
        # torn up.
        assert F.OFFER not in kinds(desk.clock(waits.wait_until))
    assert (waits.health, desk.state.equity(0), desk.state.maintenance(0)) == (Health.WARNED, 40, 38)
    assert kinds(desk.at(off_until).charge(0, 5)) == [F.POSTING, F.HEALTH, F.PROVIDER, F.OFFER]
    assert (desk.state.providers[0].failures, desk.state.providers[0].status) == (0, ProviderStatus.ON)


def test_operator_switches_a_provider() -> None:
    """OFF until an operator says ON, which forgets failures and what was lost."""
    desk = distressed(venue(TAKEOVER, providers=(provider(),)), providers=1)
    (effect,) = desk.send(K.OPERATOR, code=int(Operator.PROVIDER_OFF), other=0)
    assert (effect.kind, effect.code, effect.value) == (F.PROVIDER, ProviderStatus.OFF, NEVER_NS)
    desk.charge(2, 10)
    assert F.OFFER not in kinds(desk.mark(84))
    desk.send(K.OPERATOR, code=int(Operator.PROVIDER_ON), other=0)
    assert (desk.state.providers[0].baseline, desk.state.providers[0].status) == (990, ProviderStatus.ON)


def test_loss_stop_and_its_end() -> None:
    """A loss of 100 stops the provider; at 51 it stays stopped, at 50 it is ON again."""
    rules = venue(TAKEOVER, providers=(provider(loss_stop=100),))
    codes = []
    desk = distressed(rules, providers=1)
    desk.charge(2, 100)
    for regain, lots in ((0, 10), (49, 5), (1, 2)):
        if regain:
            desk.send(K.TRANSFER, account=2, code=int(Transfer.FUNDING), amount=regain)
        account = len(desk.state.accounts)
        desk.open(200)
        desk.trade(account, lots, 100, other=1)
        effects = desk.charge(account, 200)
        codes.append([e.code for e in effects if e.kind in (F.PROVIDER, F.OFFER)])
    assert codes == [[ProviderStatus.STOPPED], [], [ProviderStatus.ON, 0]]


def test_provider_does_not_take_over_from_its_own_owner() -> None:
    """Owner 9 has both the account in default and the provider's: nobody else is asked, and nothing
    is offered.
    """
    desk = Desk(venue(TAKEOVER, providers=(provider(),)))
    desk.open(200, 1_000, owner=9)
    desk.open(1_000)
    desk.trade(0, 10, 100, other=2)
    desk.bind(0, 1)
    assert kinds(desk.mark(84))[:2] == [F.HEALTH, F.TEAR_UP]


def test_trade_that_leaves_less_than_was_offered_cancels_all_offers() -> None:
    """One lot each is offered of ten; a sale of nine leaves one, and both offers go, their capacity
    with them.
    """
    desk = distressed(venue(TAKEOVER, providers=(provider(), provider())), providers=2)
    desk.mark(84)
    effects = desk.trade(0, -9, 84, other=1)
    assert brief(effects, F.CANCEL) == [(0, 1, -1, 0, 0), (0, 2, -1, 0, 0)]
    assert [(row.pending_notional, row.commitments[0][0].used) for row in desk.state.providers] == [(0, 0), (0, 0)]


# -- vault and disposal ----------------------------------------------------------------------------


def test_vault_takes_over_at_once_and_disposes() -> None:
    """Two lots at 168 - floor(7 / 2) = 165. The book would have cost 1 of slippage and 3 of fee, so
    1 more is charged. Then a tenth of them, at least one, each 10 s, no worse than
    ceil(84 x 0.99) = 84.
    """
    rules = venue(TAKEOVER, providers=(provider(is_vault=True),), fee_ppm=20_000)
    desk = distressed(rules, providers=1)
    desk.send(K.DEPTH, market=0, lots=100)
    effects = desk.mark(84)
    assert kinds(effects) == [F.HEALTH, F.TAKEOVER, F.POSTING, F.POSTING, F.HEALTH]
    assert brief(effects, F.TAKEOVER) == [(0, 0, -2, 165, 0)]
    assert postings(effects, C.CLOSING_CHARGE) == [(FUND, 0, 1)]
    vault = desk.state.accounts[2]
    assert vault.wait_until == desk.time_ns + 10 * SECOND

    for order, left in ((1, 1), (2, 0)):
        effects = desk.clock(vault.wait_until)
        assert [(e.kind, e.other, e.lots, e.price_ticks, e.amount, e.value) for e in effects] == [(F.ORDER, order, -1, 84, 0, 0)]
        effects = desk.send(K.ORDER_FILL, market=0, other=order, lots=-1, price_ticks=84)
        assert {e.code for e in effects} == {C.DISPOSAL}
        assert desk.state.held_lots(2, 0) == left
        desk.send(K.ORDER_DONE, other=order)
    assert (desk.state.ledger[FUND], desk.state.ledger[2]) == (1, 1_003)
    assert desk.state.breakers[0].flow == [168, 0]
    assert desk.clock(vault.wait_until) == []
    assert vault.wait_until == NEVER_NS


def test_disposal_is_not_ordered_in_a_halted_market() -> None:
    """The vault waits a turn longer."""
    rules = venue(TAKEOVER, providers=(provider(is_vault=True),))._replace(disposal=DisposalRules(interval_ns=20 * SECOND))
    desk = distressed(rules, providers=1)
    desk.send(K.DEPTH, market=0, lots=100)
    desk.mark(84)
    vault = desk.state.accounts[2]
    desk.send(K.OPERATOR, code=int(Operator.HALT), market=0, amount=30 * SECOND)
    assert kinds(desk.clock(vault.wait_until)) == []
    assert vault.wait_until == desk.time_ns + 20 * SECOND


def test_vault_takes_what_the_fund_supports_of_an_insolvent_account() -> None:
    """As with an offer of five lots for 417, but at once: zero cash 450, support 33; the rest is
    torn up with what is left of 40.
    """
    rules = venue((Stage.TAKEOVER, Stage.FUND, Stage.TEAR_UP), providers=(provider(edge_ppm=20_000, is_vault=True),))
    desk = distressed(rules, providers=1)
    desk.pay_in(FUND, 40)
    desk.charge(0, 100)
    effects = desk.mark(85)
    assert brief(effects, F.TAKEOVER) == [(0, 0, -5, 417, 33)]
    assert brief(effects, F.TEAR_UP) == [(0, 0, -5, 425, 25)]
    assert postings(effects, C.SUPPORT, C.TEAR_UP, C.UNCOVERED)[:1] == [(0, FUND, 33)]
    assert (desk.state.ledger[FUND], desk.state.ledger[UNCOVERED]) == (0, -18)


# -- socialise -------------------------------------------------------------------------------------

SOCIALISE = (Stage.SOCIALISE, Stage.TEAR_UP)


def winners(rules: VenueRules) -> Desk:
    """Long 10 at 100 with 100 against shorts of 6 and 4: at 85 they gain 90 and 60, and account 0
    has E = -50.
    """
    desk = Desk(rules)
    desk.open(100, 1_000, 1_000)
    desk.trade(1, -6, 100)
    desk.trade(2, -4, 100)
    desk.trade(0, 10, 100)
    return desk


def test_gains_haircut_splits_the_deficit_by_gains() -> None:
    """The 50 that are left once all lots have ended go 90 : 60, so 30 and 20, from what the trades
    realised; nothing is uncovered.
    """
    desk = winners(venue(SOCIALISE))
    effects = desk.mark(85)
    cut = [F.HAIRCUT, F.POSTING, F.CLAIM]
    assert kinds(effects) == [F.HEALTH, F.TEAR_UP, F.SUPPORT, F.POSTING, F.POSTING, F.POSTING, *cut, *cut, F.POSTING, F.HEALTH]
    assert [(e.account, e.other, e.lots, e.amount, e.value) for e in effects if e.kind == F.HAIRCUT] == [
        (1, 0, 90, 30, 90),
        (2, 0, 60, 20, 60),
    ]
    assert brief(effects, F.CLAIM) == [(1, 0, 0, 30, 30), (2, 0, 0, 20, 20)]
    assert postings(effects, C.HAIRCUT) == [(clearing_of(0), 1, 30), (clearing_of(0), 2, 20), (0, clearing_of(0), 50)]
    assert [row[4] for row in brief(effects, F.TRADE)] == [-150, 90, 60]
    assert [desk.state.ledger[holder] for holder in (0, 1, 2, UNCOVERED)] == [0, 1_060, 1_040, 0]


def test_claims_come_back_from_a_surplus() -> None:
    """A fund of 140 above its target of 100 pays 24 and 16 of 30 and 20 after an hour, and the rest
    from 50 more an hour later.
    """
    desk = winners(venue(SOCIALISE)._replace(funds=(FundRules(target=100),)))
    desk.mark(85)
    issued = desk.time_ns
    desk.pay_in(FUND, 140)
    assert desk.clock(issued + 3_600 * SECOND - 1) == []
    effects = desk.clock(issued + 3_600 * SECOND)
    assert postings(effects, C.RECOVERY) == [(1, FUND, 24), (2, FUND, 16)]
    assert brief(effects, F.CLAIM) == [(1, 0, 0, -24, 6), (2, 0, 0, -16, 4)]
    assert desk.state.recovery_ns == desk.time_ns + 3_600 * SECOND
    desk.pay_in(FUND, 50)
    effects = desk.clock(desk.state.recovery_ns)
    assert postings(effects, C.RECOVERY) == [(1, FUND, 6), (2, FUND, 4)]
    assert (desk.state.ledger[FUND], desk.state.claims, desk.state.recovery_ns) == (140, 0, NEVER_NS)


def test_open_interest_charge_stops_at_what_a_payer_can_spare() -> None:
    """By notional 510 : 340, but account 2 has E = 17, and M = 0 once it is torn up: it bears its 17,
    account 1 the other 33.
    """
    desk = Desk(venue(SOCIALISE)._replace(socialise_policy=SocialisePolicy.OPEN_INTEREST))
    desk.open(300, 1_000, 17)
    desk.trade(0, 10, 100)
    desk.trade(1, -6, 100)
    desk.mark(85)
    desk.trade(2, -4, 85)
    effects = desk.charge(0, 200)
    assert [(e.account, e.lots, e.amount, e.value) for e in effects if e.kind == F.HAIRCUT] == [(1, 1_090, 33, 510), (2, 17, 17, 340)]
    assert brief(effects, F.CLAIM) == [(1, 0, 0, 33, 33), (2, 0, 0, 17, 17)]


def test_fund_pays_before_the_others_and_what_they_cannot_pay_is_uncovered() -> None:
    """Of 50 the fund has 20; account 1 sold at 85 and gains nothing, account 2 sold 5 at 86 and
    gains 5: so 25 stay.
    """
    desk = Desk(venue((Stage.FUND, *SOCIALISE)))
    desk.open(300, 1_000, 1_000)
    desk.pay_in(FUND, 20)
    desk.trade(0, 10, 100)
    desk.mark(85)
    desk.trade(1, -6, 85)
    desk.trade(2, -5, 86)
    effects = desk.charge(0, 200)
    assert postings(effects, C.TEAR_UP)[0] == (0, FUND, 20)
    assert brief(effects, F.CLAIM) == [(2, 0, 0, 5, 5)]
    assert brief(effects, F.RESIDUAL) == [(0, 0, 0, 25, 0)]


# -- closing orders and breakers -------------------------------------------------------------------


def test_order_stays_inside_the_band_that_would_halt_the_market() -> None:
    """From a high of 100, 16.5 % down is 83.5: the limit is 84 instead of 83.

    At 16 % the fall to 84 halts the market itself.
    """
    for halt_ppm, limits in ((165_000, [84]), (500_000, [83])):
        rules = venue((Stage.CLOSEOUT, Stage.TEAR_UP))
        market = rules.markets[0]._replace(price_halt_ppm=halt_ppm, price_exit_ppm=1, band_offset_ppm=(0,))
        desk = Desk(rules._replace(markets=(market,)))
        desk.open(200)
        desk.trade(0, 10, 100)
        desk.send(K.DEPTH, market=0, lots=100)
        assert [e.price_ticks for e in desk.mark(84) if e.kind == F.ORDER] == limits


def test_slices_are_smaller_in_a_throttled_market_and_none_leave_in_a_halted_one() -> None:
    """Of 8 visible lots a quarter: 2.

    HALTED: nothing until the deadline of 30 s, then the next stage.
    """
    for code, lots in ((Operator.THROTTLE, [-2]), (Operator.HALT, [])):
        rules = venue((Stage.CLOSEOUT, Stage.TEAR_UP))._replace(breakers=BreakerRules(throttle_share_ppm=250_000))
        desk = Desk(rules._replace(markets=(rules.markets[0]._replace(band_offset_ppm=(0,)),)))
        desk.open(100)
        desk.trade(0, 10, 100)
        desk.send(K.DEPTH, market=0, lots=8)
        desk.send(K.OPERATOR, code=int(code), market=0, amount=3_600 * SECOND)
        effects = desk.mark(90)
        assert [e.lots for e in effects if e.kind == F.ORDER] == lots
    deadline = desk.time_ns + 30 * SECOND
    while desk.state.accounts[0].wait_until < deadline:
        assert kinds(desk.clock(desk.state.accounts[0].wait_until)) == []
    assert kinds(desk.clock(deadline - 1)) == []
    assert F.TEAR_UP in kinds(desk.clock(deadline))


@pytest.mark.parametrize("groups", [(0,), (0, 1)])
def test_digest_changes_with_what_only_its_new_blocks_see(groups: tuple[int, ...]) -> None:
    """Payment, claim, provider, gauge, owner: each alone is seen."""
    desk = Desk(venue(TAKEOVER, groups=groups, providers=(provider(groups=len(groups)),)))
    desk.open(10)
    desk.bind(0, 0)
    state = desk.state
    seen = {desk.reference.digest()}
    state.funds[-1].paid[state.pay_slot()] = 1
    seen.add(desk.reference.digest())
    state.accounts[0].claims[0] = 1
    seen.add(desk.reference.digest())
    state.accounts[0].charge_market = 0
    seen.add(desk.reference.digest())
    state.funds[-1].arrears[state.pay_slot()] = 1
    seen.add(desk.reference.digest())
    state.markets[-1].paid[state.pay_slot()] = 1
    seen.add(desk.reference.digest())
    state.owner(0).paid, state.owner(0).paid_ns = 1, state.now
    seen.add(desk.reference.digest())
    state.providers[0].failures = 1
    seen.add(desk.reference.digest())
    state.providers[0].commitments[-1][1] = Gauge(1, 0)
    seen.add(desk.reference.digest())
    assert len(seen) == 9

"""ADL by every policy, on books made row by row: classes, weights and order, from the rules alone.

What each candidate gives, and eta, is for ``check_certificate``; here its inputs are compared with
a second reckoning, and so is who was passed over.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import numpy as np
import pytest

from backstop.core.columns import OWNER_FIRST
from backstop.core.contract_terms import LinearContract
from backstop.core.events import ADL_IN_ORDER, FUND, HOUSE_FIRST_MARKET, NEVER_NS, NONE, AdlClass, AdlPolicy, EffectKind, Health, Stage
from backstop.core.instruments import LimitRules, TierRules
from backstop.core.margin import assess, raw_health
from backstop.core.places import house_slot
from backstop.core.position_rows import open_position_row, position_of
from backstop.core.state import State, new_state
from backstop.core.units import scramble
from backstop.core.waterfall.adl_plan import make_plan
from backstop.core.waterfall.certificate import check_certificate
from backstop.core.waterfall.defaulters import enter_defaulter
from backstop.core.waterfall.netting import net_linked
from backstop.core.waterfall.ranking import rank_positions, rank_score
from backstop.reference.arithmetic import sign
from backstop.reference.records import Effect, effects_list
from tests.core.desk import make_rules

pytestmark = [pytest.mark.bounds, pytest.mark.interpreted]

F = EffectKind
MARK, FACTOR, SEQ = 100, 10, 77
TIERS = (TierRules(0, 100_000, 50_000), TierRules(50_000, 200_000, 100_000))
LIMITS = LimitRules(accounts_max=64, positions_max=128, orders_max=4, effects_max=1_024)
RATIO_MAX = 10**12
WORD = (1 << 64) - 1


class Holding(NamedTuple):
    """An account with one position in market 0."""

    owner: int
    balance: int
    lots: int
    cost: int


def book_state(policy: AdlPolicy, holdings: list[Holding], fund: int = 0) -> State:
    """Return a state that holds these accounts, ids as they stand; OUTSIDE takes what does not
    net.
    """
    rules = make_rules((Stage.FUND, Stage.ADL, Stage.TEAR_UP), TIERS, factor=FACTOR, markets=2, limits=LIMITS)
    state = new_state(rules._replace(adl_policy=policy))
    state.house[int(house_slot(FUND))] = fund
    state.engine[0].last_seq = SEQ
    state.markets[0].mark_ticks = state.markets[1].mark_ticks = MARK
    state.engine[0].accounts_now = len(holdings)
    for account, holding in enumerate(holdings):
        head = state.accounts[account]
        head.owner, head.balance, head.first_position = holding.owner, holding.balance, NONE
        head.next_of_owner = state.columns[OWNER_FIRST, holding.owner]
        head.default_since_ns = head.wait_until_ns = NEVER_NS
        state.columns[OWNER_FIRST, holding.owner] = account
    for account, holding in enumerate(holdings):
        row = state.positions[open_position_row(state, account, 0)]
        row.lots, row.cost = holding.lots, holding.cost
        kept = state.results[position_of(state, account, 0)]
        kept.base_atoms, kept.epoch = holding.cost, state.engine[0].now_ns // state.rules[0].epoch_ns
        head = state.accounts[account]
        head.health = raw_health(state, *assess(state, account))
    outside = state.positions[0]
    outside.lots = -sum(holding.lots for holding in holdings)
    outside.cost = outside.lots * MARK * FACTOR
    clearing = -int(outside.cost) - sum(holding.cost for holding in holdings)
    state.house[int(house_slot(HOUSE_FIRST_MARKET))] = clearing
    return state


def random_book(rng: Random) -> list[Holding]:
    """Return an insolvent long and a crowd on both sides, some of one owner, some with next to no
    equity.
    """
    lots = rng.randint(20, 60)
    holdings = [Holding(0, rng.randint(-3_000, -1), lots, lots * MARK * FACTOR)]
    for _ in range(rng.randint(2, 12)):
        lots = rng.choice([-1, -1, -1, 1]) * rng.randint(1, 30)
        entry = rng.choice([MARK, rng.randint(50, 150), rng.randint(95, 105)])
        value, cost = lots * MARK * FACTOR, lots * entry * FACTOR + rng.randint(-3, 3)
        least = abs(value) // 20 + cost - value
        holdings.append(Holding(rng.randint(0, 6), least + rng.choice([0, 3, rng.randint(0, 20_000)]), lots, cost))
    return holdings


def netted(policy: AdlPolicy, holdings: list[Holding]) -> list[Holding]:
    """Return the book once the owner's other accounts have paid for account 0: before any stage
    they pay what they can.
    """
    state = book_state(policy, holdings)
    net_linked(state, 0)
    return [holding._replace(balance=int(state.accounts[account].balance)) for account, holding in enumerate(holdings)]


def ratio_ppm(part: int, whole: int) -> int:
    return RATIO_MAX if part // 10**6 >= whole else part * 10**6 // whole


def expected(state: State, policy: AdlPolicy, holdings: list[Holding], account: int, given: int = 0) -> dict[AdlClass, int]:
    """Return the weight of a counterparty's owner in each of his classes, from the words of the rules;
    ``given``: what he gives in the first of them.
    """
    own = holdings[account]
    mine = [each for number, each in enumerate(holdings) if each.owner == own.owner and state.accounts[number].health < Health.DISTRESSED]
    result = sum(each.lots * MARK * FACTOR - each.cost for each in mine)
    equity = sum(each.balance for each in mine) + result
    held = sum(abs(each.lots) for each in mine if each.lots * own.lots > 0)
    hedged = min(held, sum(abs(each.lots) for each in mine if each.lots * own.lots < 0))
    if own.owner == holdings[0].owner:
        lots_of = {AdlClass.LINKED: held}
    else:
        gains = result > 0 and policy != AdlPolicy.WATER_FILLING
        lots_of = {AdlClass.PROFITABLE if gains else AdlClass.REST: held - hedged, AdlClass.HEDGE: hedged}
    weights = {}
    for adl_class, lots in lots_of.items():
        value = (1 if own.lots > 0 else -1) * lots * MARK * FACTOR
        leverage, ratio = ratio_ppm(abs(value), max(0, equity)), ratio_ppm(abs(result), abs(value - result))
        net = sum(each.lots for each in mine) * (1 if own.lots > 0 else -1)
        exposure = (net - (given if adl_class == AdlClass.HEDGE else 0)) * MARK * FACTOR
        of_policy = {
            AdlPolicy.CAPPED_PRO_RATA: result if adl_class == AdlClass.PROFITABLE else lots,
            AdlPolicy.PRO_RATA: lots,
            AdlPolicy.RISK_AWARE: max(1, lots * leverage // 10**6),
            AdlPolicy.QUEUE: ratio * leverage // 10**6 if result > 0 else -(ratio * 10**6 // max(1, leverage)),
            AdlPolicy.RANDOM: drawn(SEQ, 0, own.owner),
            AdlPolicy.WATER_FILLING: exposure * 10**6 // max(equity, -(-(abs(exposure) + abs(value)) // 10**6)),
        }
        if lots:
            weights[adl_class] = of_policy[policy]
    return weights


def drawn(seq: int, market: int, account: int) -> int:
    word = (seq * 0x9E3779B97F4A7C15 + (market + 1) * 0xBF58476D1CE4E5B9 + (account + 1) * 0x94D049BB133111EB) & WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & WORD
    return (word ^ (word >> 31)) >> 2


def wave(policy: AdlPolicy, holdings: list[Holding], fund: int = 0) -> tuple[State, list[Effect]]:
    """Deleverage account 0 with so much in the fund; return the state before, and what was
    emitted.
    """
    state, before = book_state(policy, holdings, fund), book_state(policy, holdings, fund)
    position = position_of(state, 0, 0)
    enter_defaulter(state, 0, position)
    make_plan(state, policy, 0, sign(int(state.positions[position].lots)), 1)
    rows = state.effects[: int(state.engine[0].effects_now)]
    if len(rows):
        assert [str(finding) for finding in check_certificate(rows, 0, LinearContract(FACTOR))] == []
    for account in range(1, len(holdings)):
        assert state.accounts[account].health < Health.DISTRESSED or before.accounts[account].health >= Health.DISTRESSED
    lots = state.positions["lots"][state.positions["market"] == 0]
    assert int(lots.sum()) == 0
    assert sum(state.house.tolist()) + sum(state.accounts["balance"].tolist()) == sum(before.house.tolist()) + sum(
        before.accounts["balance"].tolist()
    )
    return before, effects_list(rows)


@pytest.mark.parametrize("policy", list(AdlPolicy))
def test_classes_and_weights_are_those_of_the_rules(policy: AdlPolicy) -> None:
    seen: set[tuple[int, bool]] = set()
    for seed in range(60):
        holdings = netted(policy, random_book(Random(seed)))
        state, effects = wave(policy, holdings, fund=seed % 3 * 2_000)
        heads = {effect.code: effect for effect in effects if effect.kind == F.ADL_CLASS}
        givers: dict[int, list[Effect]] = {}
        for effect in effects:
            if effect.kind != F.ADL_FILL:
                continue
            givers.setdefault(effect.code, []).append(effect)
            if effect.account >= 0:
                owner = holdings[effect.account].owner
                before = sum(
                    abs(each.lots) for each in givers.get(AdlClass.REST, ()) if each.account >= 0 and holdings[each.account].owner == owner
                )
                assert expected(state, policy, holdings, effect.account, before)[AdlClass(effect.code)] == effect.value, (seed, effect)
        for code, head in heads.items():
            seen.add((code, head.other != head.price_ticks))
            if policy in ADL_IN_ORDER and code != AdlClass.HOUSE and head.amount:
                check_passed_over(state, policy, holdings, givers[code], head)
    never = {AdlClass.CROSSED, AdlClass.PROFITABLE} if policy == AdlPolicy.WATER_FILLING else {AdlClass.CROSSED}
    assert {code for code, _ in seen} == set(AdlClass) - never
    assert any(kept for _, kept in seen)


def check_passed_over(state: State, policy: AdlPolicy, holdings: list[Holding], fills: list[Effect], head: Effect) -> None:
    """Nobody of the class who could give and did not has a larger weight than the last who gave."""
    gave = {holdings[fill.account].owner for fill in fills}
    for account, holding in enumerate(holdings):
        if account == 0 or holding.owner in gave or holding.lots >= 0 or state.accounts[account].health >= Health.DISTRESSED:
            continue
        weights = expected(state, policy, holdings, account)
        # A cap of 0 leaves a candidate out, whatever its weight: it stands within two atoms of its
        # maintenance margin.
        equity, maintenance = assess(state, account)
        if head.code in weights and equity - maintenance > 20_000:
            assert weights[AdlClass(head.code)] <= head.amount, (account, weights, head)


def test_only_the_largest_scores_give_under_queue_and_everyone_under_pro_rata() -> None:
    """The same wave: one account takes it all where a queue decides, all share where lots do."""
    crowd = [Holding(account, 30_000, -10, -10 * (MARK + 2 * account) * FACTOR) for account in range(1, 6)]
    holdings = [Holding(0, -500, 10, 10 * MARK * FACTOR), *crowd]
    gives = {}
    for policy in AdlPolicy:
        fills = [effect for effect in wave(policy, holdings)[1] if effect.kind == F.ADL_FILL]
        gives[policy] = {fill.account: fill.lots for fill in fills}
    assert gives[AdlPolicy.QUEUE] == {5: 10}
    assert gives[AdlPolicy.PRO_RATA] == dict.fromkeys(range(1, 6), 2)
    assert gives[AdlPolicy.CAPPED_PRO_RATA] == {1: 1, 2: 1, 3: 2, 4: 3, 5: 3}
    assert list(gives[AdlPolicy.RANDOM]) == [max(range(1, 6), key=lambda account: drawn(SEQ, 0, account))]
    assert sum(gives[AdlPolicy.RISK_AWARE].values()) == 10


def test_rank_is_the_order_in_which_queue_takes_them() -> None:
    """Asked of a state at rest: classes first, then the score; the order of a wave of a
    stranger.
    """
    for seed in range(20):
        defaulter, *others = random_book(Random(seed))
        holdings = [defaulter, *(holding._replace(owner=holding.owner + 1) for holding in others)]
        state, effects = wave(AdlPolicy.QUEUE, holdings)
        shorts = [account for account, holding in enumerate(holdings) if holding.lots < 0]
        positions = np.array([position_of(state, account, 0) for account in shorts], dtype=np.int64)
        classes, scores, leverages = np.zeros_like(positions), np.zeros_like(positions), np.zeros_like(positions)
        digest = state.positions.tobytes(), state.accounts.tobytes()
        rank_positions(state, 0, positions, classes, scores, leverages, len(positions))
        assert digest == (state.positions.tobytes(), state.accounts.tobytes())
        for account, position, adl_class, score in zip(shorts, positions.tolist(), classes.tolist(), scores.tolist(), strict=True):
            assert (adl_class, score) == next(iter(expected(state, AdlPolicy.QUEUE, holdings, account).items()))
            assert score == rank_score(state, position)
        fills = {effect.account: (effect.code, effect.value) for effect in effects if effect.kind == F.ADL_FILL and effect.account >= 0}
        ranks = dict(zip(shorts, zip(classes.tolist(), scores.tolist(), strict=True), strict=True))
        assert all(ranks[account] == told for account, told in fills.items() if told[0] != AdlClass.HEDGE)


def test_a_score_is_of_accounts_that_are_not_in_default() -> None:
    """Those in default count neither for nor against their owner, whose score is that of the others."""
    others = [Holding(0, 0, -1, -1_050), Holding(1, 100, -1, -950)]
    state = book_state(AdlPolicy.QUEUE, [*others, Holding(0, -10_000, -10, -10 * 110 * FACTOR)])
    for account in (0, 2):
        assert rank_score(state, position_of(state, account, 0)) == (50 * 10**6 // 1_050) * (1_000 * 10**6 // 50) // 10**6
    assert rank_score(state, position_of(state, 1, 0)) == -((50 * 10**6 // 950) * 10**6 // (1_000 * 10**6 // 50))


def test_the_draw_is_the_published_one() -> None:
    """In words that wrap; over all places from which arguments come."""
    for seq in (0, 1, 77, (1 << 62) - 1, (1 << 63) - 1):
        for market in (0, 1, 4_095):
            for account in (0, 5, (1 << 28) - 1):
                assert scramble(seq, market, account) == drawn(seq, market, account)

"""What an insolvent account's positions bear of its gap, over portfolios that no scene would have.

The kernel and the reference are asked the same. What is closed, in whatever parts and order, never
brings more than the gap, and moves nothing to others.
"""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.core.events import NONE, Health
from backstop.core.instruments import LimitRules, MarketRules, TierRules, VenueRules
from backstop.core.margin import assess, gap_borne, zero_cash
from backstop.core.state import State, new_state
from backstop.reference.margin import Contract, Holding, Portfolio

MARKETS = 5
TIERS = (
    (TierRules(0, 100_000, 50_000),),
    (TierRules(0, 10_000, 0),),
    (TierRules(0, 20_000, 10_000), TierRules(10_000, 100_000, 50_000), TierRules(200_000, 500_000, 400_000)),
)


def rules_of(tiers: list[int]) -> VenueRules:
    markets = tuple(MarketRules(1, 1 << 20, 1 << 20, TIERS[number], (1_000,), 20_000) for number in tiers)
    return VenueRules(markets, limits=LimitRules(4, 16, 16, 1 << 10))


class Case(NamedTuple):
    """An insolvent account."""

    rules: VenueRules
    gap: int
    holdings: tuple[Holding, ...]

    @property
    def portfolio(self) -> Portfolio:
        profit = sum(holding.profit for holding in self.holdings)
        return Portfolio(-self.gap - profit, self.holdings, self.rules.levels)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rules = rules_of(draw(st.lists(st.integers(0, len(TIERS) - 1), min_size=MARKETS, max_size=MARKETS)))
    holdings = list[Holding]()
    for market in draw(st.lists(st.integers(0, MARKETS - 1), min_size=1, unique=True).map(sorted)):
        lots = draw(st.integers(-40, 40)) if holdings else draw(st.integers(1, 40))
        contract = Contract(rules.markets[market], draw(st.integers(1, 20_000)))
        value = contract.value_of(lots)
        base, settled = value + draw(st.integers(-3_000, 3_000)), draw(st.sampled_from((0, 0, 1, 700, -50)))
        most = abs(lots) + draw(st.sampled_from((0, 0, 1, 30)))
        cost = draw(st.integers(-9_000, 9_000)) if lots else 0
        holdings.append(Holding(market, contract, lots, cost, base, settled, most))
    return Case(rules, draw(st.integers(1, 5_000)), tuple(holdings))


def state_of(case: Case) -> State:
    """Return the engine's rows of a case; its account is 0."""
    state = new_state(case.rules)
    head, first = state.accounts[0], int(state.engine[0].positions_now)
    state.engine[0].accounts_now = 1
    head.health, head.balance, head.first_position = Health.INSOLVENT, case.portfolio.balance, first
    for place, holding in enumerate(case.holdings, first):
        state.markets[holding.market].mark_ticks = holding.contract.mark_ticks
        row, kept = state.positions[place], state.results[place]
        row.account, row.market, row.lots, row.cost = 0, holding.market, holding.lots, holding.cost
        row.next_of_account = place + 1 if place + 1 < first + len(case.holdings) else NONE
        row.order_slot = NONE
        kept.base_atoms, kept.settled_loss, kept.bearing_lots = holding.base, holding.settled, holding.most_lots
    return state


@settings(max_examples=150, deadline=None)
@given(cases())
def test_kernel_and_reference_agree(case: Case) -> None:
    state, portfolio = state_of(case), case.portfolio
    equity, maintenance = assess(state, 0)
    first = int(state.accounts[0].first_position)
    for place, holding in enumerate(case.holdings, first):
        if holding.lots:
            assert int(gap_borne(state, place, equity)) == portfolio.borne(holding.market).whole
            for lots in {1, abs(holding.lots) // 2 or 1, abs(holding.lots)}:
                assert int(zero_cash(state, place, lots, equity, maintenance)) == portfolio.zero_cash(holding.market, lots).cash


@settings(max_examples=300, deadline=None)
@given(cases())
def test_the_parts_are_within_the_gap_and_never_fall_with_the_lots(case: Case) -> None:
    portfolio, total, losses = case.portfolio, 0, sum(holding.loss for holding in case.holdings)
    for holding in portfolio.held:
        beyond = [portfolio.zero_cash(holding.market, lots).beyond_mark for lots in range(1, abs(holding.lots) + 1)]
        borne = portfolio.borne(holding.market)
        assert all(0 <= low <= high for low, high in zip([0, *beyond], beyond, strict=False))
        assert beyond[-1] == borne.whole
        assert borne.by_loss <= holding.loss
        assert not borne.rest or losses < case.gap
        total += beyond[-1]
    assert total <= case.gap
    if all(holding.bearing_lots == abs(holding.lots) for holding in case.holdings):
        assert total == case.gap  # nothing was closed without its part


@settings(max_examples=300, deadline=None)
@given(cases(), st.data())
def test_closing_at_zero_cash_in_parts_moves_nothing_to_others(case: Case, data: st.DataObject) -> None:
    """Whether the counterparties or a fund bring what is beyond mark, the others bear what they
    did, but for an atom for each position and part. (Not where an account closed lots itself: the
    parts that these keep are counted by lots, those that are brought by margin.)
    """
    before = {holding.market: case.portfolio.borne(holding.market).whole for holding in case.portfolio.held}
    brought: dict[int, int] = dict.fromkeys(before, 0)
    is_whole = all(holding.bearing_lots == abs(holding.lots) for holding in case.holdings)
    steps = 0
    while case.portfolio.held and case.gap > 0 and steps < 12:
        market = data.draw(st.sampled_from([holding.market for holding in case.portfolio.held]))
        holding = case.portfolio.holding(market)
        lots = data.draw(st.integers(1, abs(holding.lots)))
        zero = case.portfolio.zero_cash(market, lots)
        cash = zero.cash if data.draw(st.booleans()) else zero.at_mark
        after, _ = holding.after_closing(-holding.side * lots, cash, lots)
        brought[market] += zero.beyond_mark
        holdings = tuple(after if each.market == market else each for each in case.holdings)
        case = case._replace(gap=case.gap - zero.beyond_mark, holdings=holdings)
        steps += 1
        left = {each.market: case.portfolio.borne(each.market).whole for each in case.portfolio.held} if case.gap else {}
        assert case.gap >= sum(left.values()) >= 0
        if is_whole and case.gap:
            for each, part in left.items():
                assert abs(brought[each] + part - before[each]) <= steps * (len(before) + 1)

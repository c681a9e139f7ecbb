"""An inverse contract: what lots are worth in bitcoin, and where an account falls."""

from desk import VENUE
from rules_desk import MARKET, K, RulesDesk

from backstop.core.contract_terms import ContractKind
from backstop.core.events import Health
from backstop.core.instruments import TierRules

XBTUSD = MARKET._replace(
    notional_factor=200_000_000,
    contract_kind=ContractKind.INVERSE,
    price_ticks_min=10_000,
    price_ticks_max=2_000_000,
    position_lots_max=10_000_000,
    tiers=(TierRules(0, 20_000, 10_000),),
)
desk = RulesDesk(market=XBTUSD, venue=VENUE)
state = desk.rules_state
desk.send(K.MARK, market=0, price_ticks=120_000)
alice, bob = desk.open("alice", 5_000_000), desk.open("bob", 50_000_000)
desk.send(K.FILL, market=0, account=alice, other=bob, lots=20_000, price_ticks=120_000)


def show(ticks: int) -> None:
    """Print how Alice stands at a mark, and what a dollar of her lots then brings."""
    desk.send(K.MARK, market=0, price_ticks=ticks)
    portfolio = state.portfolio(alice)
    holding = portfolio.holding(0)
    health = Health(state.accounts[alice].health).name
    print(
        f"mark {ticks / 2:,.1f}: lots {holding.lots:,}, value {holding.value:,}, cost {holding.cost:,}",
        f"equity {portfolio.equity:,}, maintenance {portfolio.maintenance:,}: {health}",
        sep="\n    ",
    )


print("atoms of bitcoin")
for mark in (120_000, 110_000, 140_000, 105_300):
    show(mark)
contract = state.contract(0)
for lots in (1, 3, -3):
    print(f"{lots} lots at 52,650.0: value {contract.value_of(lots):,}, notional {contract.notional_of(lots):,}")

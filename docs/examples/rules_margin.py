"""Margin over two tiers, and the levels of an account as its mark falls."""

from rules_desk import MARKET, K, RulesDesk, money

from backstop.core.events import Health
from backstop.core.instruments import TierRules

tiers = (TierRules(0, 100_000, 50_000), TierRules(1_000_00, 200_000, 100_000))
desk = RulesDesk(market=MARKET._replace(tiers=tiers))
contract = desk.rules_state.contract(0)
for notional in (900_00, 1_000_00, 1_500_00):
    print(f"notional {money(notional):>8}: maintenance {money(contract.margin_of(notional)):>6}", end=", ")
    print(f"initial {money(contract.margin_of(notional, initial=True)):>6}")
alice = desk.open("alice", 200_00, m0=10)
for ticks in (870, 860, 842, 844, 845):
    desk.send(K.MARK, market=0, price_ticks=ticks)
    standing = desk.rules_state.standing(alice)
    health = Health(desk.rules_state.accounts[alice].health).name
    print(
        f"mark {ticks / 10}: equity {money(standing.equity):>5}, maintenance {money(standing.maintenance)}",
        f"warning {money(standing.warning)}, release {money(standing.release)}: {health}",
        sep=", ",
    )

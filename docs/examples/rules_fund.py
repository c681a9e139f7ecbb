"""A fund pays the gap of an account that leaves by ADL, as far as its caps allow."""

from rules_desk import VENUE, K, RulesDesk, money

from backstop.core.instruments import AssetRules, FundRules

venue = VENUE._replace(funds=(FundRules(loss_per_window_max=30_00),), assets=(AssetRules(owner_loss_max=12_00),))
desk = RulesDesk(venue=venue, fund=100_00)
alice = desk.open("alice", 200_00, m0=10)
desk.open("bob", 500_00, m0=-10)
view = desk.rules_state.fund_view(0, alice, 0)
for limit, left in view.left.items():
    print(f"{limit.name.lower():<8} leaves {money(left) if left < 1 << 40 else 'no bound'}")
print(f"available {money(view.available)}")
desk.tell("mark 78.0", desk.send(K.MARK, market=0, price_ticks=780))

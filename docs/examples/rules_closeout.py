"""How many lots restore an account, how many the book may take, and at which limit."""

from rules_desk import K, RulesDesk, money

from backstop.reference.closeout import closing_of

desk = RulesDesk(fee_ppm=2_500)
alice = desk.open("alice", 2_000_00, m0=100)
desk.open("bob", 9_000_00, m0=-100)
desk.depth(8, 16)
effects = desk.send(K.MARK, market=0, price_ticks=840)
portfolio = desk.rules_state.portfolio(alice)
closing = closing_of(desk.rules_state, alice, 0, portfolio)
print(f"equity {money(portfolio.equity)}, maintenance {money(portfolio.maintenance)}")
for lots in (10, 11):
    standing = closing.expected_after(lots)
    print(f"{lots} lots cost {money(closing.cost(lots).whole)}: equity {money(standing.equity)}, release {money(standing.release)}")
desk.tell("mark 84.0", effects)

"""A winner's gain is held while the insolvency on the other side waits for the book."""

from rules_desk import K, RulesDesk, money

from backstop.reference.shortfalls import held_gains

desk = RulesDesk(fund=5_00)
alice = desk.open("alice", 200_00, m0=10)
bob = desk.open("bob", 500_00, m0=-10)
desk.send(K.DEPTH, market=0, code=0, other=0, lots=1)
desk.tell("mark 78.0", desk.send(K.MARK, market=0, price_ticks=780))
print(f"held of bob: {money(held_gains(desk.rules_state, bob))}")
for amount in (624_91, 624_90):
    desk.tell(f"bob withdraws {money(amount)}", desk.send(K.TRANSFER, account=bob, amount=-amount))

"""A gain is held while an insolvency waits, and leaves at one rate while something is uncovered."""

from rules_desk import K, RulesDesk, money

from backstop.core.events import NONE, Transfer
from backstop.reference.leaving import share_of
from backstop.reference.shortfalls import held_gains

desk = RulesDesk(fund=5_00)
alice = desk.open("alice", 200_00, m0=10)
bob = desk.open("bob", 500_00, m0=-10)
desk.send(K.DEPTH, market=0, code=0, other=0, lots=1)
desk.tell("mark 78.0", desk.send(K.MARK, market=0, price_ticks=780))
print(f"held of bob: {money(held_gains(desk.rules_state, bob))}")
for amount in (624_91, 624_90):
    desk.tell(f"bob withdraws {money(amount)}", desk.send(K.TRANSFER, account=bob, amount=-amount))

# Gains leave at one rate while something is uncovered.
desk = RulesDesk()
bob, carol = desk.open("bob", 100_00, m0=-10), desk.open("carol", 100_00, m0=-5)
dave = desk.open("dave", 30_00)
desk.send(K.MARK, market=0, price_ticks=900)
for account, lots in ((bob, 10), (carol, 5)):
    desk.send(K.FILL, market=0, account=account, other=NONE, lots=lots, price_ticks=900)
desk.tell("dave pays 45.00 of funding", desk.send(K.TRANSFER, account=dave, code=Transfer.FUNDING, amount=-45_00))
erin = desk.open("erin", 100_00, m0=-10)
desk.send(K.MARK, market=0, price_ticks=800)
desk.send(K.FILL, market=0, account=erin, other=NONE, lots=10, price_ticks=800)
desk.tell("erin won 100.00, and dave pays 0.01 more", desk.send(K.TRANSFER, account=dave, code=Transfer.FUNDING, amount=-1))
for name, account in (("bob", bob), ("carol", carol), ("erin", erin)):
    print(f"share of {name}: {money(share_of(desk.rules_state, 0, account))}")
for name, account, amount in (("bob", bob, 190_00), ("bob", bob, 189_99), ("carol", carol, 145_00)):
    desk.tell(f"{name} withdraws {money(amount)}", desk.send(K.TRANSFER, account=account, amount=-amount))

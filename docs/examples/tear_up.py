"""Lots that nobody can take are torn up at mark; the fund paid what it had, the rest is
uncovered.
"""

from desk import Desk, K

from backstop.core.events import Transfer

desk = Desk(fund=5_00)
alice = desk.open("alice", 300_00, m0=10)
bob = desk.open("bob", 100_00, m0=-5)
carol = desk.open("carol", 1_000_00, m0=-5)
desk.send(K.MARK, market=0, price_ticks=850)
desk.send(K.TRANSFER, account=bob, code=Transfer.FUNDING, amount=-153_70)
desk.tell("alice pays 200.00 of funding", desk.send(K.TRANSFER, account=alice, code=Transfer.FUNDING, amount=-200_00))
desk.tell("carol buys 1 from bob", desk.send(K.FILL, market=0, account=carol, other=bob, lots=1, price_ticks=850))

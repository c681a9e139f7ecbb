"""An insolvent account leaves against two counterparties; the fund pays what it can, they the rest.

One of them was hedged in another market: he is told which leg is left naked.
"""

from rules_desk import K, RulesDesk

desk = RulesDesk(markets=2, fund=5_00)
alice = desk.open("alice", 200_00, m0=10)
bob = desk.open("bob", 500_00, m0=-8, m1=8)
carol = desk.open("carol", 100_00, m0=-4)
desk.tell("mark 78.0", desk.send(K.MARK, market=0, price_ticks=780))

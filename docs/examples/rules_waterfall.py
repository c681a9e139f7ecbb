"""An insolvent account with an empty book: from the restriction to the last payer, in one event."""

from rules_desk import K, RulesDesk

desk = RulesDesk(fund=5_00)
alice = desk.open("alice", 200_00, m0=10)
bob = desk.open("bob", 500_00, m0=-10)
desk.tell("mark 78.0", desk.send(K.MARK, market=0, price_ticks=780))

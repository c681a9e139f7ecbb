"""ADL takes a short that hedged a long: its owner is told which leg is left naked."""

from rules_desk import K, RulesDesk

desk = RulesDesk(markets=2, fund=5_00)
alice = desk.open("alice", 200_00, m1=10)
bob = desk.open("bob", 500_00, m0=8, m1=-8)
carol = desk.open("carol", 100_00, m1=-4)
effects = desk.send(K.MARK, market=1, price_ticks=780)
desk.tell("mark of market 1 78.0, of its effects:", effects[[5, 6, -1]])

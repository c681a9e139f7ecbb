"""A solvent account that no book takes leaves by ADL at mark, and pays what a book would have cost."""

from rules_desk import K, RulesDesk

desk = RulesDesk(fee_ppm=2_500)
alice = desk.open("alice", 2_000_00, m0=100)
bob = desk.open("bob", 9_000_00, m0=-100)
desk.send(K.MARK, market=0, price_ticks=840)
effects = desk.clock()
while not len(effects):
    effects = desk.clock()
desk.tell("at the deadline", effects)

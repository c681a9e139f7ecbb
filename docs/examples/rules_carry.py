"""A solvent account that the book does not take is carried: its fund reserves what a move would cost."""

from rules_desk import SECOND_NS, K, RulesDesk

desk = RulesDesk(fund=1_000_00, carry_max_ns=300 * SECOND_NS, carry_move_ppm=100_000)
alice = desk.open("alice", 2_000_00, m0=100)
bob = desk.open("bob", 9_000_00, m0=-100)
desk.send(K.MARK, market=0, price_ticks=840)
effects = desk.clock()
while not len(effects):
    effects = desk.clock()
desk.tell_when("at the deadline", effects)
desk.tell_when("the book shows 200 lots", desk.send(K.DEPTH, market=0, code=0, other=0, lots=200))
desk.tell_when("order 1 fills 11 at 84.0", desk.send(K.ORDER_FILL, market=0, other=1, lots=-11, price_ticks=840))

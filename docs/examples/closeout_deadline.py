"""An order that the book does not reach is not sent for ever: after the deadline the next stage has
its turn.
"""

from desk import SECOND_NS, Desk, K

desk = Desk(interval_ns=5 * SECOND_NS, deadline_ns=8 * SECOND_NS)
alice = desk.open("alice", 165_00, m0=10)
bob = desk.open("bob", 1_000_00, m0=-10)
desk.depth(0, 40)
desk.tell_when("mark 84.0", desk.send(K.MARK, market=0, price_ticks=840))
desk.tell_when("order 1 is done", desk.send(K.ORDER_DONE, other=1))
desk.depth(0, 40)
desk.tell_when("the clock", desk.clock())
desk.tell_when("order 2 is done", desk.send(K.ORDER_DONE, other=2))
desk.depth(0, 40)
desk.tell_when("the clock", desk.clock())

"""An order that the book does not reach does not leave, and an account waits for a book until its
deadline.
"""

from desk import SECOND_NS, Desk, K


def market(deposit: int) -> Desk:
    """Open Alice, long 10 with a deposit, against Bob."""
    desk = Desk(interval_ns=5 * SECOND_NS, deadline_ns=8 * SECOND_NS)
    desk.open("alice", deposit, m0=10)
    desk.open("bob", 1_000_00, m0=-10)
    return desk


print("-- a book that is too far away")
desk = market(165_00)
desk.depth(0, 40)
desk.tell_when("mark 84.0", desk.send(K.MARK, market=0, price_ticks=840))
print("-- no book")
desk = market(190_00)
desk.tell_when("mark 84.0", desk.send(K.MARK, market=0, price_ticks=840))
desk.tell_when("the clock", desk.clock())
desk.tell_when("the clock", desk.clock())

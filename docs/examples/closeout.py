"""A solvent account is brought back to its release level by slices on the book."""

from desk import Desk, K

desk = Desk(fee_ppm=2_500)
alice = desk.open("alice", 2_000_00, m0=100)
desk.depth(8, 16)
desk.tell("mark 84.0", desk.send(K.MARK, market=0, price_ticks=840))
desk.tell("order 1 fills 6 at 83.9", desk.send(K.ORDER_FILL, market=0, other=1, lots=-6, price_ticks=839))
desk.depth(8, 16)
desk.tell("order 1 is done", desk.send(K.ORDER_DONE, other=1))
desk.tell("order 2 fills 4 at 83.9", desk.send(K.ORDER_FILL, market=0, other=2, lots=-4, price_ticks=839))

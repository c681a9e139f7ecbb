"""The fund supports the closing orders of an insolvent account, and pays the deficit of a flat
one.
"""

from desk import Desk, K, money

from backstop.core.events import FUND, Transfer
from backstop.core.ledger import balance_of

desk = Desk(fund=100_00)
alice = desk.open("alice", 200_00, m0=10)
flora = desk.open("flora", 5_00)
desk.depth(6, 60)
desk.tell("mark 78.0", desk.send(K.MARK, market=0, price_ticks=780))
desk.tell("order 1 fills 6 at 77.5", desk.send(K.ORDER_FILL, market=0, other=1, lots=-6, price_ticks=775))
desk.tell("order 1 fills 4 at 77.2", desk.send(K.ORDER_FILL, market=0, other=1, lots=-4, price_ticks=772))
desk.tell("flora pays 17.34 of funding", desk.send(K.TRANSFER, account=flora, code=Transfer.FUNDING, amount=-17_34))
print(f"the fund has {money(balance_of(desk.state, FUND))}")

"""A venue without ADL: two insolvent accounts on two sides of a market are torn up at mark together."""

from rules_desk import VENUE, K, RulesDesk

from backstop.core.events import Stage

stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP)
desk = RulesDesk(venue=VENUE._replace(stages=stages), markets=2, fund=9_00)
alice = desk.open("alice", 200_00, m0=6, m1=10)
dora = desk.open("dora", 210_00, m0=-4, m1=10)
bob = desk.open("bob", 900_00, m0=-1, m1=-20)
carol = desk.open("carol", 500_00, m0=-1)
desk.tell("mark of market 1 78.0", desk.send(K.MARK, market=1, price_ticks=780))

"""A venue without ADL: an insolvent account is torn up at mark, the fund and then nobody pays its gap."""

from rules_desk import VENUE, K, RulesDesk

from backstop.core.events import Stage

stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP)
desk = RulesDesk(venue=VENUE._replace(stages=stages), fund=5_00)
alice = desk.open("alice", 200_00, m0=10)
bob = desk.open("bob", 500_00, m0=-6)
carol = desk.open("carol", 500_00, m0=-4)
desk.tell("mark 78.0", desk.send(K.MARK, market=0, price_ticks=780))

"""What the fund lacks is cut from open gains, in proportion; the claims are paid back from surplus."""

from rules_desk import SECOND_NS, VENUE, K, RulesDesk

from backstop.core.events import FUND, Stage
from backstop.core.instruments import FundRules, FundsRules

stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP)
venue = VENUE._replace(stages=stages, funds=(FundRules(target=10_00),), fund=FundsRules(recovery_interval_ns=60 * SECOND_NS))
desk = RulesDesk(venue=venue, fund=5_00)
alice = desk.open("alice", 200_00, m0=10)
bob = desk.open("bob", 100_00, m0=-6)
carol = desk.open("carol", 100_00, m0=-4)
desk.tell("mark 78.0", desk.send(K.MARK, market=0, price_ticks=780))
desk.send(K.TRANSFER, account=FUND, amount=13_00)
desk.tell("a minute later, with 13.00 in the fund", desk.clock())

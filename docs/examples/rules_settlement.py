"""A feed dies; an hour later every position of the market ends at the price that an operator gave."""

from rules_desk import SECOND_NS, VENUE, K, RulesDesk

from backstop.core.events import Operator
from backstop.core.instruments import BreakerRules

MINUTE_NS = 60 * SECOND_NS
desk = RulesDesk(venue=VENUE._replace(breakers=BreakerRules(stale_ns=5 * MINUTE_NS, hold_max_ns=5 * MINUTE_NS)))
alice, bob = desk.open("alice", 200_00, m0=10), desk.open("bob", 900_00, m0=-10)
desk.tell_when("mark 90.0", desk.send(K.MARK, market=0, price_ticks=900))
while not desk.rules_state.breakers[0].undoubted:
    effects = desk.clock()
desk.tell_when("the clock", effects)
desk.tell_when("an operator gives 83.0", desk.send(K.OPERATOR, code=Operator.SETTLE_PRICE, market=0, price_ticks=830))
while not desk.rules_state.breakers[0].settlement:
    effects = desk.clock()
desk.tell_when("the clock", effects)
desk.tell_when("the clock again", desk.clock())

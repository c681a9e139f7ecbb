"""Two groups bear their own parts of one deficit; what a cap keeps back is paid later."""

from rules_desk import MARKET, SECOND_NS, VENUE, K, RulesDesk

from backstop.core.events import FUND, Transfer, fund_of
from backstop.core.instruments import CloseoutRules, FundRules, FundsRules, LimitRules
from backstop.reference.engine import ReferenceEngine

funds = (FundRules(loss_per_window_max=6_00), FundRules())
venue = VENUE._replace(funds=funds, fund=FundsRules(window_ns=16 * SECOND_NS))


class Groups(RulesDesk):
    """A desk whose second market is a group of its own."""

    def __init__(self) -> None:
        """Pay 100.00 into each fund."""
        super().__init__(markets=2, venue=venue)
        limits = LimitRules(accounts_max=16, positions_max=64, orders_max=64, effects_max=1024)
        rules = venue._replace(markets=(MARKET, MARKET._replace(group=1)), closeout=CloseoutRules(), limits=limits)
        self.engine = ReferenceEngine(rules)
        for market in range(2):
            self.send(K.MARK, market=market, price_ticks=1_000)
        for fund in (FUND, fund_of(1)):
            self.send(K.TRANSFER, account=fund, amount=100_00)


desk = Groups()
alice, bob = desk.open("alice", 200_00, m0=2, m1=1), desk.open("bob", 900_00, m0=-2, m1=-1)
for market, ticks in ((0, 900), (1, 900)):
    desk.send(K.MARK, market=market, price_ticks=ticks)
    lots = -desk.rules_state.held_lots(alice, market)
    desk.send(K.FILL, market=market, account=alice, other=bob, lots=lots, price_ticks=ticks)
print(f"alice is flat; her results: {[result / 100 for result in desk.rules_state.results(alice).values()]}")
desk.tell("alice pays 185.00 of funding", desk.send(K.TRANSFER, account=alice, code=Transfer.FUNDING, amount=-185_00))
effects = desk.clock()
while not len(effects):
    effects = desk.clock()
desk.tell("as the window frees", effects)

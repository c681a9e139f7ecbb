"""One provider is asked for what it can carry, at a price that stands before it is asked."""

from rules_desk import SECOND_NS, VENUE, K, RulesDesk, money

from backstop.core.events import Answer, Stage
from backstop.core.instruments import CommitmentRules, ProviderRules

stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
longs = CommitmentRules(capacity=600_00, refill_per_s=1_00, edge_ppm=10_000)
provider = ProviderRules(commitments=((longs, CommitmentRules()),))
desk = RulesDesk(venue=VENUE._replace(stages=stages, providers=(provider,)), interval_ns=30 * SECOND_NS)
desk.send(K.PROVIDER, account=desk.open("north", 1_000_00), other=0)
alice = desk.open("alice", 120_00, m0=10)
bob = desk.open("bob", 900_00, m0=-10)
desk.tell("mark 91.0", desk.send(K.MARK, market=0, price_ticks=910))
gauge = desk.rules_state.providers[0].commitments[0][0]
print(f"used of 600.00: {money(gauge.used)}")
desk.tell("north accepts", desk.send(K.ANSWER, other=1, code=Answer.ACCEPT))

"""Below close-out: the book goes first where it takes all at once and costs less than providers."""

from rules_desk import VENUE, K, RulesDesk, money

from backstop.core.events import Stage
from backstop.core.instruments import CommitmentRules, ProviderRules
from backstop.reference.closeout import closing_of
from backstop.reference.takeover import offering_of

stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
longs = CommitmentRules(capacity=5_000_00, edge_ppm=10_000)
provider = ProviderRules(commitments=((longs, CommitmentRules()),))
for shown in (40, 0):
    desk = RulesDesk(venue=VENUE._replace(stages=stages, providers=(provider,)), fee_ppm=5_000)
    desk.send(K.PROVIDER, account=desk.open("north", 1_000_00), other=0)
    alice = desk.open("alice", 120_00, m0=10)
    desk.open("bob", 900_00, m0=-10)
    desk.depth(shown, 0)
    effects = desk.send(K.MARK, market=0, price_ticks=900)
    portfolio = desk.rules_state.portfolio(alice)
    closing = closing_of(desk.rules_state, alice, 0, portfolio)
    offering = offering_of(desk.rules_state, alice, 0, [], portfolio)
    lots, wanted = closing.wanted(), offering.wanted
    print(f"{shown} lots bid, a slice of {closing.slice.whole}; on the book {lots} lots for {money(closing.cost(lots).whole)}")
    print(f"providers get {money(offering.share_cost(lots))} of {lots}, and {money(offering.share_cost(wanted))} of the {wanted} they need")
    desk.tell("mark 90.0", effects)
    if shown:
        desk.tell("order 1 fills 7 at 89.9", desk.send(K.ORDER_FILL, market=0, other=1, lots=-7, price_ticks=899))

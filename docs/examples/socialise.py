"""What the fund lacks is cut from open gains, against claims that it later pays back; or charged on
open interest.
"""

from desk import SECOND_NS, VENUE, Desk, K, money

from backstop.core.events import FUND, SocialisePolicy, Stage, Transfer
from backstop.core.instruments import FundRules, FundsRules
from backstop.core.ledger import balance_of


def make_desk(policy: SocialisePolicy) -> Desk:
    """Return a desk without ADL, whose fund has 5.00 and pays claims back every minute from what it
    has above 10.00.
    """
    stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.SOCIALISE, Stage.TEAR_UP)
    shared = FundsRules(recovery_interval_ns=60 * SECOND_NS)
    venue = VENUE._replace(stages=stages, socialise_policy=policy, funds=(FundRules(target=10_00),), fund=shared)
    return Desk(venue=venue, fund=5_00)


print("-- gains haircut")
desk = make_desk(SocialisePolicy.GAINS_HAIRCUT)
alice = desk.open("alice", 200_00, m0=10)
bob = desk.open("bob", 100_00, m0=-6)
carol = desk.open("carol", 100_00, m0=-4)
desk.tell_when("mark 78.0", desk.send(K.MARK, market=0, price_ticks=780))
desk.tell_when("13.00 are paid into the fund", desk.send(K.TRANSFER, account=FUND, amount=13_00))
desk.tell_when("the clock", desk.clock())
print(f"claims that are left: {money(int(desk.state.engine[0].claims))}, the fund has {money(balance_of(desk.state, FUND))}")

print("-- open interest, and not enough of it")
desk = make_desk(SocialisePolicy.OPEN_INTEREST)
alice = desk.open("alice", 200_00, m0=10)
bob = desk.open("bob", 100_00, m0=-6)
carol = desk.open("carol", 100_00, m0=-4)
desk.send(K.MARK, market=0, price_ticks=900)
desk.send(K.TRANSFER, account=bob, code=Transfer.FUNDING, amount=-126_00)
desk.send(K.TRANSFER, account=carol, code=Transfer.FUNDING, amount=-118_00)
desk.tell_when("alice pays 120.00 of funding", desk.send(K.TRANSFER, account=alice, code=Transfer.FUNDING, amount=-120_00))

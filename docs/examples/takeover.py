"""Providers take over from a solvent account; from an insolvent one the venue's vault does, and
sells what it took.
"""

from desk import SECOND_NS, VENUE, Desk, K

from backstop.core.events import Answer, Stage
from backstop.core.instruments import CommitmentRules, DisposalRules, ProviderRules


def takes(capacity: int, edge_ppm: int, *, is_vault: bool = False) -> ProviderRules:
    """Return a provider that takes over longs of so much notional, and nothing else; 1.00 comes
    back a second.
    """
    longs = CommitmentRules(capacity=capacity, refill_per_s=1_00, edge_ppm=edge_ppm)
    return ProviderRules(commitments=((longs, CommitmentRules()),), is_vault=is_vault)


def make_desk(north: ProviderRules, second: tuple[str, ProviderRules], fund: int = 0) -> Desk:
    """Return a desk with two providers, each with 1,000.00; a slice is due only at the deadline."""
    stages = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.TAKEOVER, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    venue = VENUE._replace(stages=stages, providers=(north, second[1]), disposal=DisposalRules(share_ppm=200_000))
    desk = Desk(venue=venue, fund=fund, interval_ns=30 * SECOND_NS)
    for number, name in enumerate(("north", second[0])):
        desk.send(K.PROVIDER, account=desk.open(name, 1_000_00), other=number)
    return desk


print("-- a solvent account and two providers")
desk = make_desk(takes(600_00, 10_000), ("south", takes(300_00, 10_000)))
alice = desk.open("alice", 120_00, m0=10)
desk.tell_when("mark 91.0", desk.send(K.MARK, market=0, price_ticks=910))
desk.tell_when("south refuses offer 2", desk.send(K.ANSWER, other=2, code=Answer.REFUSE))
desk.tell_when("north accepts offer 1", desk.send(K.ANSWER, other=1, code=Answer.ACCEPT))
desk.wait(28)
desk.tell_when("the clock", desk.send(K.CLOCK))
desk.tell_when("north accepts offer 3", desk.send(K.ANSWER, other=3, code=Answer.ACCEPT))

print("-- an insolvent account, one provider, and the vault")
desk = make_desk(takes(300_00, 10_000), ("vault", takes(1_000_00, 20_000, is_vault=True)), fund=100_00)
bella = desk.open("bella", 120_00, m0=10)
desk.tell_when("mark 87.0", desk.send(K.MARK, market=0, price_ticks=870))
desk.tell_when("the clock: north did not answer", desk.clock())
desk.depth(20)
desk.tell_when("the clock", desk.clock())
desk.tell_when("order 2 fills 2 at 86.9", desk.send(K.ORDER_FILL, market=0, other=2, lots=-2, price_ticks=869))

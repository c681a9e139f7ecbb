"""One owner with many pockets: a free option against the fund, losses stay in the pocket and gains leave.

What bounds him is his cap over all of his accounts, and that what was paid for him stays with the venue
for as long as it is remembered.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.core.events import FUND, WORLD, Cause, EffectKind, Reject, Stage
from backstop.core.instruments import AssetRules, FundRules, FundsRules, VenueRules
from backstop.reference.records import Effect
from tests.attacks.scene import FIRST_MARK, SIDES, Scene, of, venue

OWNER_CAP = 5_000
MONEY = 1_000_000


def rules_of(*, netted: bool = False, contribution_ppm: int = 0) -> VenueRules:
    """Return a venue of two markets with a rich fund and a cap per owner; contracts are torn up at once."""
    fund = FundsRules(pockets_are_netted=netted, trading_fee_share_ppm=500_000)
    made = venue((Stage.FUND, Stage.TEAR_UP), markets=2, fund=fund, asset=AssetRules(owner_loss_max=OWNER_CAP))
    return made._replace(funds=(FundRules(contribution_ppm=contribution_ppm),))


def refusal(effects: list[Effect]) -> Reject | None:
    """Return why an event was refused, if it was."""
    return Reject(effects[0].code) if effects and effects[0].kind == EffectKind.REFUSAL else None


def free_option(side: int, pockets: int) -> tuple[int, int, int]:
    """Play both sides with as many pockets a side; return what the funds paid, what was taken out at once,
    and what was put in.
    """
    scene = Scene(rules_of(), side)
    scene.cash(FUND, MONEY)
    main, share = scene.open(1), 33_000 // pockets
    mine = [(scene.open(share, owner=main, pocket=0), scene.open(share, owner=main, pocket=0)) for _ in range(pockets)]
    for longs, shorts in mine:
        scene.trade(longs, 300 // pockets, FIRST_MARK, other=shorts)
    scene.mark(FIRST_MARK - 150)
    taken = 0
    for _, shorts in mine:
        most = scene.mirror.equity(shorts) - scene.mirror.portfolio(shorts).initial
        assert refusal(scene.move_money(shorts, main, most)) is None
    most = scene.mirror.ledger[main]
    assert refusal(scene.cash(main, -most)) == Reject.DEBT_TO_FUND
    owed = scene.mirror.owner_debt(main)
    spare = sum(max(0, scene.mirror.equity(number) - scene.mirror.portfolio(number).initial) for number in range(1, 1 + 2 * pockets))
    taken = min(most, most + spare - owed)
    assert refusal(scene.cash(main, -taken)) is None
    return MONEY - scene.fund, taken, 2 * share * pockets + 1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("pockets", [1, 3, 10, 30])
def test_many_pockets_get_no_more_than_one_owner(side: int, pockets: int) -> None:
    """Of the 12,000 that his losing pockets lack the funds pay what they may for him, whatever their number;
    and what they paid does not leave.
    """
    paid, taken, put_in = free_option(side, pockets)
    assert paid == OWNER_CAP
    assert taken <= put_in + 12_000 - OWNER_CAP


@pytest.mark.parametrize("side", SIDES)
def test_a_pocket_that_is_emptied_by_moves_of_its_owner_keeps_its_margin(side: int) -> None:
    """What the owner takes out of a pocket before it falls was above its initial margin."""
    scene = Scene(rules_of(), side)
    scene.cash(FUND, MONEY)
    main = scene.open(50_000)
    pocket = scene.open(50_000, owner=main, pocket=0)
    scene.trade(pocket, 100, FIRST_MARK)
    assert refusal(scene.move_money(pocket, main, 40_001)) == Reject.INSUFFICIENT_MARGIN
    scene.move_money(pocket, main, 40_000)
    scene.mark(FIRST_MARK - 100)
    assert (scene.fund, scene.mirror.owner_debt(main)) == (MONEY, 0)


STEPS = st.lists(
    st.tuples(st.sampled_from(("move", "trade", "mark", "cash", "charge", "fee")), *[st.integers(0, 5)] * 2, st.integers(1, 12_000)),
    min_size=5,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(side=st.sampled_from(SIDES), steps=STEPS, contribution_ppm=st.sampled_from((0, 500_000)))
def test_whatever_an_owner_does_his_accounts_do_not_pay_for_his_pockets(
    side: int, steps: list[tuple[str, int, int, int]], contribution_ppm: int
) -> None:
    """Money is kept, no account is netted for or by a pocket that is apart, and no span of a window sees
    more than the owner's cap. Accounts 0 and 1 are his own, 2 to 4 his pockets, 5 is a stranger's.
    """
    scene = Scene(rules_of(contribution_ppm=contribution_ppm), side)
    scene.cash(FUND, MONEY)
    for account in range(6):
        scene.open(20_000, owner=0 if account < 5 else 5, pocket=account % 2 if 2 <= account < 5 else -1)
    paid = 0
    for what, one, two, number in steps:
        before = list(scene.mirror.ledger.items())
        effects = act(scene, what, one, two, number)
        if effects and effects[0].kind == EffectKind.REFUSAL:
            assert list(scene.mirror.ledger.items()) == before
        rows = of(effects, EffectKind.POSTING)
        assert not [row for row in rows if row.code == Cause.NETTING and {row.account, row.other} & {2, 3, 4}]
        moved = [row for row in rows if row.code == Cause.MOVE]
        assert not moved or (what, len(moved)) == ("move", 1)
        paid += sum(row.amount for row in rows if row.other == FUND and row.account in range(5))
        assert sum(scene.mirror.ledger.values()) == 0
    assert paid <= OWNER_CAP
    assert scene.mirror.ledger[WORLD] < 0


def act(scene: Scene, what: str, one: int, two: int, number: int) -> list[Effect]:
    """Do one thing; times stay within a window, so that a cap never frees."""
    if what == "mark":
        return scene.mark(FIRST_MARK + number % 400 - 200, market=one % 2)
    if what == "move":
        return scene.move_money(one, two, number)
    if what == "cash":
        return scene.cash(one, number if two % 2 else -number)
    if what == "charge":
        return scene.charge(one, number)
    if what == "fee":
        return scene.fee(one, number)
    return scene.trade(one, number % 300 - 150, FIRST_MARK, other=two, market=number % 2)

"""No strategy of one owner in two markets takes more out than he put in and earned: what funds paid
for him stays, or goes back.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.core.events import FUND, UNCOVERED, EffectKind, Health, Stage
from backstop.reference.state import CLOSING_ORDER
from tests.attacks.scene import Scene, of, venue

OWNER = 7
#: What happens, to which of the owner's accounts, in which market, how much.
Step = tuple[str, int, int, int]
STEPS = st.tuples(
    st.sampled_from(("mark", "mark", "mark", "trade", "answer", "withdraw", "deposit", "charge")),
    st.integers(0, 2),
    st.integers(0, 1),
    st.integers(-20, 20),
)


def play(scene: Scene, accounts: list[int], step: Step) -> int:
    """Do one step; return what it put in, less what it took out."""
    what, number, market, size = step
    account = accounts[number]
    if what == "mark":
        ticks = scene.mirror.marks[market]
        scene.mark(max(200, min(1_800, ticks + 20 * size)), market)
    elif what == "trade" and size and scene.mirror.health[account] < Health.DISTRESSED:
        scene.trade(account, size, scene.mirror.marks[market], market=market)
    elif what == "answer":
        for order in scene.open_ids(CLOSING_ORDER):
            sent = scene.mirror.orders[order]
            if sent.is_open:
                scene.fill(order, sent.remaining, sent.limit_ticks)
                scene.done(order)
        for each in (0, 1):
            scene.depth(1_000, market=each)
    elif what == "deposit" and size > 0:
        scene.cash(account, 50 * size)
        return 50 * size
    elif what == "charge" and size > 0:
        scene.charge(account, 50 * size)
        return -50 * size
    elif what == "withdraw":
        return -take_out(scene, account)
    return 0


def take_out(scene: Scene, account: int) -> int:
    """Withdraw the most that one account can."""
    low, high = 0, max(0, scene.mirror.equity(account))
    while high > low:
        amount = (low + high + 1) // 2
        if of(scene.cash(account, -amount), EffectKind.REFUSAL):
            high = amount - 1
        else:
            return amount + take_out(scene, account)
    return 0


def earned(scene: Scene, accounts: list[int]) -> int:
    """Return the cash of the accounts' trades, and what their positions are worth."""
    traded = [row for effects in scene.watch.effects for row in of(effects, EffectKind.TRADE) if row.account in accounts]
    held = sum(scene.mirror.held_lots(account, market) * scene.mirror.marks[market] for account in accounts for market in (0, 1))
    return sum(row.amount for row in traded) + held


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=30), st.lists(st.integers(0, 3_000), min_size=3, max_size=3))
def test_nobody_takes_out_what_a_fund_paid(steps: list[Step], deposits: list[int]) -> None:
    scene = Scene(venue((Stage.CLOSEOUT, Stage.FUND, Stage.TEAR_UP), markets=2), 1)
    scene.cash(FUND, 10_000_000)
    for market in (0, 1):
        scene.depth(1_000, market=market)
    accounts = [scene.open(deposit, OWNER) for deposit in deposits]
    put_in, out = sum(deposits), 0
    for step in steps:
        change = play(scene, accounts, step)
        if step[0] != "withdraw":
            put_in += change
        elif change:
            out -= change
            assert out <= put_in + earned(scene, accounts)
    assert scene.mirror.ledger[UNCOVERED] == 0

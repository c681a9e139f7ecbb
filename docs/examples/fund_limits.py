"""What a fund pays for an owner and in a window, what its linked accounts pay first, and its
statement.
"""

from collections import Counter

from desk import SECOND_NS, VENUE, Desk, K, money

from backstop.core.events import FUND, Cause, EffectArray, EffectKind, Transfer
from backstop.core.instruments import AssetRules, FundRules, FundsRules
from backstop.core.ledger import balance_of

shared = FundsRules(
    window_ns=16 * SECOND_NS,
    trading_fee_share_ppm=250_000,
    drawdown_enter_ppm=250_000,
    drawdown_exit_ppm=100_000,
)
desk = Desk(venue=VENUE._replace(funds=(FundRules(loss_per_window_max=40_00),), fund=shared, assets=(AssetRules(owner_loss_max=30_00),)))
statement: Counter[str] = Counter()


def tell(what: str, account: int, code: Transfer, amount: int) -> None:
    """Send a transfer, say what it did, and take the fund's postings into its statement."""
    effects: EffectArray = desk.send(K.TRANSFER, account=account, code=code, amount=amount)
    desk.tell_when(what, effects)
    for effect in effects[effects["kind"] == EffectKind.POSTING]:
        if FUND in (effect["account"], effect["other"]):
            statement[Cause(effect["code"]).name] += effect["amount"] if effect["account"] == FUND else -effect["amount"]


alice = desk.open("alice", 100_00)
bob_left = desk.open("bob 1", 5_00)
bob_right = desk.open("bob 2", 80_00, owner=bob_left, m0=10)
carol, dave = desk.open("carol", 5_00), desk.open("dave", 5_00)
tell("the venue pays 100.00 in", FUND, Transfer.CASH, 100_00)
tell("alice pays 2.00 of trading fees", alice, Transfer.TRADING_FEE, 2_00)
tell("bob 1 pays 17.00 of funding", bob_left, Transfer.FUNDING, -17_00)
tell("carol pays 45.00 of funding", carol, Transfer.FUNDING, -45_00)
tell("dave pays 20.00 of funding", dave, Transfer.FUNDING, -20_00)
desk.wait(20)
tell("dave pays 8.00 of funding", dave, Transfer.FUNDING, -8_00)
print("the fund's statement")
for cause, amount in statement.items():
    print(f"  {cause:<12} {money(amount):>8}")
print(f"  {'balance':<12} {money(balance_of(desk.state, FUND)):>8}")

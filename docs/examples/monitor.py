"""Who is looked at when a mark moves, and what then becomes of an account's health."""

from desk import Desk, K, money, price

from backstop.core.events import Health
from backstop.core.margin import assess

desk = Desk(markets=2)
state = desk.state
alice = desk.open("alice", 200_00, m0=10)
bella = desk.open("bella", 400_00, m0=10, m1=-8)


def triggers(account: int) -> str:
    """Return the trigger prices of an account, by market, the one below the mark and the one above
    it.
    """
    rows = [row for row in state.positions if row.account == account and row.lots != 0]
    pairs = [[price(int(ticks)) if ticks else "-" for ticks in row.trigger_ticks] for row in rows]
    return "   ".join(f"{down:>5} {up:>5}" for down, up in pairs)


print("mark   judged | alice equity  maintenance      health     triggers | bella triggers: market 0      market 1")
for ticks in (1000, 950, 900, 865, 864, 843, 842, 844, 845):
    before = int(state.engine[0].judged)
    desk.send(K.MARK, market=0, price_ticks=ticks)
    judged = int(state.engine[0].judged) - before
    equity, maintenance = assess(state, alice)
    health = Health(int(state.accounts[alice].health)).name
    left = f"{price(ticks):<6} {judged:>6} | {money(equity):>12} {money(maintenance):>12} {health:>11} {triggers(alice):>12}"
    print(f"{left} | {triggers(bella):>38}")

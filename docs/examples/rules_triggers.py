"""Which marks make the engine look at an account: the triggers stand where its health may change."""

from desk import Desk, K, price

from backstop.core.events import Health

desk = Desk()
alice = desk.open("alice", 200_00, m0=10)
bob = desk.open("bob", 900_00, m0=10)
for ticks in (1_000, 950, 900, 860, 842, 843):
    before = int(desk.state.engine[0].judged)
    desk.send(K.MARK, market=0, price_ticks=ticks)
    judged = int(desk.state.engine[0].judged) - before
    row = next(row for row in desk.state.positions if row.account == alice and row.lots != 0)
    below, above = (price(int(trigger)) if trigger else "none" for trigger in row.trigger_ticks)
    health = Health(int(desk.state.accounts[alice].health)).name
    print(f"mark {price(ticks):>5}: {judged} judged; alice {health}, looked at again below {below} and above {above}")

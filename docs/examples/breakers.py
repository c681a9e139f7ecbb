"""A market that falls is throttled, halted and opened again; a jump without volume is held."""

from desk import MARKET, VENUE, Desk, K

from backstop.core.events import NONE
from backstop.core.instruments import BreakerRules

market = MARKET._replace(
    price_throttle_ppm=100_000, price_halt_ppm=200_000, price_exit_ppm=50_000, guard_jump_ppm=150_000, guard_volume_lots=50
)
venue = VENUE._replace(breakers=BreakerRules(halt_wait_max_ns=300_000_000_000))
desk = Desk(market=market, venue=venue, deadline_ns=300_000_000_000, depth_share_ppm=100_000)
alice = desk.open("alice", 220_00, m0=10)
bella = desk.open("bella", 1000_00, m0=-10)


def tell(what: str, kind: K, **fields: int) -> None:
    """Send an event to market 0 and say when."""
    effects = desk.send(kind, market=0, **fields)
    desk.tell(f"second {desk.now_ns // 1_000_000_000}: {what}", effects)


desk.depth(20, 20)
tell("mark 88.0", K.MARK, price_ticks=880)
tell("mark 81.0", K.MARK, price_ticks=810)
tell("order 1 fills 1 at 81.0", K.ORDER_FILL, other=1, lots=-1, price_ticks=810)
tell("mark 80.0", K.MARK, price_ticks=800)
tell("order 1 is done", K.ORDER_DONE, other=1)
tell("bella sells 1 more", K.FILL, account=bella, other=NONE, lots=-1, price_ticks=800)
tell("bella buys 1 back", K.FILL, account=bella, other=NONE, lots=1, price_ticks=800)
desk.wait(60)
tell("mark 79.5", K.MARK, price_ticks=795)
desk.wait(120)
tell("mark 83.4", K.MARK, price_ticks=834)
effects = desk.clock()
desk.tell(f"second {desk.now_ns // 1_000_000_000}: the clock", effects)
tell("10 lots traded in the last minute", K.VOLUME, lots=10)
tell("mark 110.0", K.MARK, price_ticks=1_100)
tell("mark 83.5", K.MARK, price_ticks=835)

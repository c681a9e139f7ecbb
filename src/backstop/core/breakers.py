"""Circuit breakers: one machine a market and one for the venue (R8).

A machine has a level for each cause: 0 none, 1 throttle, 2 halt. ``settle`` is the only way from
one state to the next. Every stop ends by itself: a state that lasted the longest hold spends the
causes that it answered, and a spent cause asks for nothing before its level was 0. A cause that
began to ask in another's hold was not answered: it gets a hold of its own, once a stop.

A machine knows its own deadline (``next_hold_ns``) and notes it (``waits.wake_by``); ``timers``
finds what is due among all machines.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.assets import has_one_asset, rules_of_market
from backstop.core.columns import DIRTY
from backstop.core.events import NEVER_NS, NONE, BreakerCause, BreakerState, EventKind, Operator
from backstop.core.outbox import emit_breaker
from backstop.core.state import State
from backstop.core.units import add_checked, div_ceil, div_floor, mul_div_floor
from backstop.core.waits import wake_by

__all__ = [
    "HALT_LEVEL",
    "THROTTLE_LEVEL",
    "add_flow",
    "after_index",
    "after_mark",
    "apply_operator",
    "band_ticks",
    "check_outage",
    "effective_state",
    "end_holds",
    "index_is_dead",
    "make_dirty",
    "next_hold_ns",
    "next_outage_ns",
    "raise_deficit",
    "set_drawdown",
    "settle",
    "settle_dirty",
    "settle_with_venue",
]

#: Levels of a cause; 0 is none.
THROTTLE_LEVEL, HALT_LEVEL = 1, 2

_PPM = 1_000_000
#: Kinds of events that only a market that lives brings.
_SIGNS_OF_LIFE = (
    int(EventKind.MARK),
    int(EventKind.INDEX),
    int(EventKind.DEPTH),
    int(EventKind.VOLUME),
    int(EventKind.FILL),
    int(EventKind.ORDER_FILL),
    int(EventKind.HEARTBEAT),
)
#: In their order of precedence.
_CAUSES = tuple(int(cause) for cause in BreakerCause)
#: The bits of all causes.
_ALL_CAUSES = (1 << len(_CAUSES)) - 1


# -- states ----------------------------------------------------------------------------------------


@inlined
def _severity(breaker_state: int) -> int:
    """Return the rank of a state by what it stops: OPEN, THROTTLED, REOPENING, HALTED."""
    if breaker_state == BreakerState.OPEN:
        return 0
    if breaker_state == BreakerState.THROTTLED:
        return 1
    return 2 if breaker_state == BreakerState.REOPENING else 3


@inlined
def _bit(cause: int) -> int:
    """Return the bit of a cause in ``spent`` and ``answered``: ``2^(cause - 1)``, as the digest has
    it.
    """
    return 1 << (cause - 1)


@inlined
def effective_state(state: State, market: int) -> int:
    """Return the ``BreakerState`` that binds a market: the severer of its own and the venue's."""
    own = state.breakers[market].state
    venue = state.breakers[state.rules[0].markets].state
    return own if _severity(own) >= _severity(venue) else venue


@kernel
def make_dirty(state: State, row: int) -> None:
    """Let a machine be settled at the end of this event; its place is that of the first time."""
    breaker = state.breakers[row]
    if breaker.is_dirty == 0:
        engine = state.engine[0]
        breaker.is_dirty = 1
        state.columns[DIRTY, engine.dirty_now] = row
        engine.dirty_now += 1


@kernel
def _demand(state: State, row: int, over: int) -> tuple[int, int, int]:
    """Return the highest level of the causes not spent, the first cause that has it (0: none), and
    the bits of all that have it.

    Of the bits ``over``, what has a level is spent first. Nothing but that ends DEFICIT, so its
    level goes instead.
    """
    breaker = state.breakers[row]
    if over & _bit(BreakerCause.DEFICIT) != 0:
        breaker.levels[BreakerCause.DEFICIT] = 0
    spent = breaker.spent | over
    level, cause, askers = 0, 0, 0
    for each in _CAUSES:
        held = breaker.levels[each]
        bit = _bit(each)
        if held == 0:
            spent &= ~bit
        elif spent & bit == 0 and held > level:
            level, cause, askers = held, each, bit
        elif spent & bit == 0 and held == level:
            askers |= bit
    breaker.spent = spent
    return level, cause, askers


@inlined
def _next_state(old: int, level: int, is_over: bool) -> int:
    """Return the state after ``old`` where the causes ask for ``level``; ``is_over``: its time has
    come.

    THROTTLED or HALTED after itself is the same state until its time has come, then a new hold of
    it.
    """
    if level == HALT_LEVEL:
        return BreakerState.HALTED
    if old == BreakerState.HALTED:
        return BreakerState.REOPENING
    if old == BreakerState.REOPENING and not is_over:
        return BreakerState.REOPENING
    return BreakerState.THROTTLED if level == THROTTLE_LEVEL else BreakerState.OPEN


@kernel
def _enter(state: State, row: int, new: int, cause: int, askers: int) -> None:
    """Make a transition and report it; ``cause`` 0 keeps the cause that it had.

    A stop answers the causes whose level it was entered for. A new hold of the same stop adds to
    them, so there are at most as many holds in it as causes, whatever the signals do.
    """
    breaker, rules, now = state.breakers[row], state.rules[0], state.engine[0].now_ns
    old = breaker.state
    breaker.state = new
    if new == BreakerState.OPEN or new == BreakerState.REOPENING:
        breaker.answered = 0
    else:
        breaker.answered = askers | (breaker.answered if new == old else 0)
    if cause != 0:
        breaker.cause = cause
    if new == BreakerState.OPEN:
        breaker.until_ns = NEVER_NS
    else:
        breaker.until_ns = now + (rules.reopen_ns if new == BreakerState.REOPENING else rules.hold_max_ns)
        wake_by(state, breaker.until_ns)
    signal = 0
    if breaker.cause == BreakerCause.PRICE:
        signal = breaker.price_signal_ppm
    elif breaker.cause == BreakerCause.FLOW:
        signal = add_checked(breaker.flow[0], breaker.flow[1])
    elif breaker.cause == BreakerCause.INDEX:
        signal = breaker.index_signal_ppm
    market = NONE if row == rules.markets else row
    emit_breaker(state, market=market, breaker_state=new, old_state=old, cause=breaker.cause, signal=signal, until_ns=breaker.until_ns)


@kernel
def settle(state: State, row: int) -> None:
    """Evaluate FLOW and take at most one transition.

    ``row`` is a market's id, or the number of markets for the venue.

    Settling twice at one time, with nothing changed between, is settling once.
    """
    breaker = state.breakers[row]
    _judge_flow(state, row)
    old = breaker.state
    is_over = breaker.until_ns <= state.engine[0].now_ns
    level, cause, askers = _demand(state, row, breaker.answered if is_over else 0)
    new = _next_state(old, level, is_over)
    if new != old or is_over:
        _enter(state, row, new, cause, askers)


@inlined
def _is_quiet(state: State, row: int) -> bool:
    """Return whether a machine is OPEN and nothing asks for anything, so that settling it would do
    nothing.

    Its flow cannot have risen to a threshold: what adds to it makes the machine dirty.
    """
    breaker = state.breakers[row]
    if breaker.state != BreakerState.OPEN or breaker.spent != 0:
        return False
    level = 0
    for cause in _CAUSES:
        level |= breaker.levels[cause]
    return level == 0


@kernel
def settle_with_venue(state: State, market: int) -> None:
    """Settle what a mark or an index may move: the market's machine, and the venue's where it is
    not OPEN.
    """
    if not _is_quiet(state, market):
        settle(state, market)
    venue = state.rules[0].markets
    if state.breakers[venue].state != BreakerState.OPEN:
        settle(state, venue)


@unit
def settle_dirty(state: State) -> None:
    """Settle the machines that this event made dirty, in the order in which they became so."""
    engine = state.engine[0]
    for place in range(engine.dirty_now):
        row = state.columns[DIRTY, place]
        state.breakers[row].is_dirty = 0
        settle(state, row)
    engine.dirty_now = 0


# -- signals ---------------------------------------------------------------------------------------


@inlined
def _graded(old: int, signal: int, throttle: int, halt: int, leave: int) -> int:
    """Return the level that a signal gives: up at a threshold (0 is off), down only below
    ``leave``, or where both thresholds are off.
    """
    if halt == 0 and throttle == 0:
        return 0
    if halt > 0 and signal >= halt:
        return HALT_LEVEL
    if throttle > 0 and signal >= throttle:
        return max(old, THROTTLE_LEVEL)
    return 0 if signal < leave else old


@inlined
def _set_level(state: State, row: int, cause: int, level: int) -> None:
    """Set the level of a cause; a halt after a throttle asks for more than what the cause was spent
    for.
    """
    breaker = state.breakers[row]
    if level == HALT_LEVEL and breaker.levels[cause] == THROTTLE_LEVEL:
        breaker.spent &= ~_bit(cause)
    breaker.levels[cause] = level


@kernel
def _roll_flow(state: State, row: int) -> None:
    """Move the two windows of a machine's flow to the present."""
    breaker, now, window_ns = state.breakers[row], state.engine[0].now_ns, state.rules[0].flow_window_ns
    if now - breaker.flow_window * window_ns < window_ns:
        return
    present = now // window_ns
    breaker.flow[1] = breaker.flow[0] if present == breaker.flow_window + 1 else 0
    breaker.flow[0] = 0
    breaker.flow_window = present


@kernel
def _judge_flow(state: State, row: int) -> None:
    """Set the level of FLOW from what was liquidated in the present and the last window."""
    breaker = state.breakers[row]
    throttle, halt = breaker.flow_throttle, breaker.flow_halt
    _roll_flow(state, row)
    old = breaker.levels[BreakerCause.FLOW]
    if throttle == 0 and halt == 0 and old == 0:
        return
    flow = add_checked(breaker.flow[0], breaker.flow[1])
    if flow == 0 and old == 0:
        return
    leave = max(1, mul_div_floor(throttle if throttle > 0 else halt, state.rules[0].flow_exit_ppm, _PPM))
    _set_level(state, row, BreakerCause.FLOW, _graded(old, flow, throttle, halt, leave))


@kernel
def _count_flow(state: State, row: int, notional: int) -> None:
    breaker, window_ns = state.breakers[row], state.rules[0].flow_window_ns
    if state.engine[0].now_ns - breaker.flow_window * window_ns >= window_ns:
        # A new wave: what the old one left may be over, though nothing settled the machine since.
        _judge_flow(state, row)
        if breaker.levels[BreakerCause.FLOW] == 0:
            breaker.spent &= ~_bit(BreakerCause.FLOW)
    breaker.flow[0] = add_checked(breaker.flow[0], notional)
    make_dirty(state, row)


@kernel
def add_flow(state: State, market: int, notional: int) -> None:
    """Count ``notional`` atoms as liquidated, in a market and, where all of it is of one asset, in the
    venue.
    """
    if notional > 0:
        _count_flow(state, market, notional)
        if has_one_asset(state):
            _count_flow(state, state.rules[0].markets, notional)


@kernel
def raise_deficit(state: State, market: int, amount: int) -> None:
    """Count a loss of a market that nobody paid; ask for a halt where there was too much of them.

    The count begins anew then: the halt is for what was counted.
    """
    breaker, rules = state.breakers[market], state.rules[0]
    present = state.engine[0].now_ns // rules.deficit_window_ns
    if present != breaker.deficit_window:
        breaker.deficit[1] = breaker.deficit[0] if present == breaker.deficit_window + 1 else 0
        breaker.deficit[0] = 0
        breaker.deficit_window = present
    breaker.deficit[0] = add_checked(breaker.deficit[0], amount)
    if add_checked(breaker.deficit[0], breaker.deficit[1]) <= rules_of_market(state, market).deficit_halt:
        return
    breaker.deficit[0] = 0
    breaker.deficit[1] = 0
    if breaker.levels[BreakerCause.DEFICIT] != HALT_LEVEL:
        breaker.levels[BreakerCause.DEFICIT] = HALT_LEVEL
        make_dirty(state, market)


@kernel
def set_drawdown(state: State, market: int, level: int, was_over: bool) -> None:
    """Set the level of DRAWDOWN; ``was_over``: it was 0 in between, so that it is not spent."""
    breaker = state.breakers[market]
    breaker.levels[BreakerCause.DRAWDOWN] = level
    if was_over:
        breaker.spent &= ~_bit(BreakerCause.DRAWDOWN)
    make_dirty(state, market)


@inlined
def _grace_ns(state: State, silence_ns: int) -> int:
    """Return for how long nobody is closed after a silence has ended."""
    rules = state.rules[0]
    return min(rules.outage_grace_max_ns, mul_div_floor(silence_ns, rules.outage_grace_ppm, _PPM))


@inlined
def _is_outage(state: State, time_ns: int) -> bool:
    """Return whether no market gave a sign of life for so long that it counts as an outage."""
    engine, gap_ns = state.engine[0], state.rules[0].outage_gap_ns
    return gap_ns != 0 and engine.life_ns != NONE and time_ns - engine.life_ns >= gap_ns


@kernel
def check_outage(state: State, kind: int, time_ns: int) -> None:
    """Ask for a halt of the venue where the event at ``time_ns`` comes long after the last sign of
    life, and note where it is one.

    The halt stands until a sign of life comes, and for a grace that grows with the silence.
    """
    engine, venue = state.engine[0], state.breakers[state.rules[0].markets]
    is_life = kind in _SIGNS_OF_LIFE
    if _is_outage(state, time_ns) and (is_life or venue.levels[BreakerCause.OUTAGE] == 0):
        venue.levels[BreakerCause.OUTAGE] = HALT_LEVEL
        venue.spent &= ~_bit(BreakerCause.OUTAGE)
        venue.grace_until_ns = time_ns + _grace_ns(state, time_ns - engine.life_ns) if is_life else NEVER_NS
        # Before this event brings anything, the timers settle the venue.
        wake_by(state, time_ns)
        make_dirty(state, state.rules[0].markets)
    if is_life:
        engine.life_ns = time_ns
        if state.rules[0].outage_gap_ns != 0:
            wake_by(state, time_ns + state.rules[0].outage_gap_ns)


@inlined
def _lowest(state: State, market: int) -> int:
    """Return the lowest mark of the present and the last window, as of the last accepted mark."""
    low = state.breakers[market].low_ticks
    return min(low[0], low[1])


@inlined
def _highest(state: State, market: int) -> int:
    """Return the highest mark of the present and the last window, as of the last accepted mark."""
    high = state.breakers[market].high_ticks
    return max(high[0], high[1])


@inlined
def _is_calm(state: State, market: int) -> bool:
    """Return whether a market is OPEN, and neither PRICE nor INDEX has a level."""
    breaker = state.breakers[market]
    return breaker.state == BreakerState.OPEN and breaker.levels[BreakerCause.PRICE] == breaker.levels[BreakerCause.INDEX] == 0


@kernel
def _judge_price(state: State, market: int) -> None:
    """Set the levels of PRICE, how far the mark came from the ends of both windows, and of INDEX,
    how far it stands from the index.

    Two causes: an index that died far from the mark is spent by itself, and a crash behind it halts
    as ever.
    """
    place, breaker = state.markets[market], state.breakers[market]
    mark, index = place.mark_ticks, place.index_ticks
    throttle, halt, leave = place.price_throttle_ppm, place.price_halt_ppm, place.price_exit_ppm
    if mark == 0 or (throttle == 0 and halt == 0 and _is_calm(state, market)):
        return
    low, high = _lowest(state, market), _highest(state, market)
    breaker.price_signal_ppm = max((mark - low) * _PPM // low, (high - mark) * _PPM // high)
    level = _graded(breaker.levels[BreakerCause.PRICE], breaker.price_signal_ppm, throttle, halt, leave)
    _set_level(state, market, BreakerCause.PRICE, level)
    if index > 0:
        breaker.index_signal_ppm = abs(mark - index) * _PPM // index
        level = _graded(breaker.levels[BreakerCause.INDEX], breaker.index_signal_ppm, throttle, halt, leave)
        _set_level(state, market, BreakerCause.INDEX, level)


@kernel
def _end_grace(state: State, row: int) -> None:
    """End what a silence asked for: OUTAGE of the venue, STALE of a market."""
    breaker = state.breakers[row]
    breaker.levels[BreakerCause.OUTAGE if row == state.rules[0].markets else BreakerCause.STALE] = 0
    breaker.grace_until_ns = NEVER_NS


@kernel
def _begin_grace(state: State, market: int) -> None:
    """Let STALE end, now that the feed is back: after a grace that grows with its silence; a grace
    that stands already ends as it would.
    """
    breaker, now = state.breakers[market], state.engine[0].now_ns
    if breaker.grace_until_ns == NEVER_NS:
        breaker.grace_until_ns = now + _grace_ns(state, now - breaker.mark_time_ns)
        breaker.spent &= ~_bit(BreakerCause.STALE)
        wake_by(state, breaker.grace_until_ns)
    if breaker.grace_until_ns <= now:
        _end_grace(state, market)


@kernel
def after_mark(state: State, market: int, old_ticks: int) -> None:
    """Take a mark that was just accepted into the windows, and settle; ``old_ticks`` is the mark
    before, 0 for the first.
    """
    breaker, rules, now = state.breakers[market], state.rules[0], state.engine[0].now_ns
    mark = state.markets[market].mark_ticks
    if old_ticks == 0 or now - breaker.price_window * rules.price_window_ns >= rules.price_window_ns:
        window = now // rules.price_window_ns
        begin = mark if old_ticks == 0 else old_ticks
        is_next = old_ticks != 0 and window == breaker.price_window + 1
        breaker.low_ticks[1] = breaker.low_ticks[0] if is_next else begin
        breaker.high_ticks[1] = breaker.high_ticks[0] if is_next else begin
        breaker.low_ticks[0] = begin
        breaker.high_ticks[0] = begin
        breaker.price_window = window
    breaker.low_ticks[0] = min(breaker.low_ticks[0], mark)
    breaker.high_ticks[0] = max(breaker.high_ticks[0], mark)
    if breaker.levels[BreakerCause.STALE] != 0:
        _begin_grace(state, market)
    breaker.mark_time_ns = now
    if rules.stale_ns > 0:
        wake_by(state, now + rules.stale_ns)
    _judge_price(state, market)
    settle_with_venue(state, market)


@kernel
def index_is_dead(state: State, market: int) -> bool:
    """Return whether a market has no index, or none that came lately."""
    age_ns, since_ns = state.rules[0].stale_ns, state.breakers[market].index_time_ns
    return state.markets[market].index_ticks == 0 or (age_ns > 0 and state.engine[0].now_ns - since_ns > age_ns)


@kernel
def after_index(state: State, market: int) -> None:
    """Look at the mark's distance from an index that was just set, and settle."""
    _judge_price(state, market)
    settle_with_venue(state, market)


@kernel
def band_ticks(state: State, market: int, is_sell: bool) -> int:
    """Return the price at which a closing order's own fill would halt the market, or 0 where
    nothing forbids any price.

    A sell's limit is at least that price, a buy's at most. Where the mark is already beyond it, the
    band forbids nothing.
    """
    place = state.markets[market]
    if place.price_halt_ppm == 0 or place.mark_ticks == 0:
        return 0
    if is_sell:
        band = div_ceil(_highest(state, market) * (_PPM - place.price_halt_ppm), _PPM)
        return band if band <= place.mark_ticks else 0
    band = div_floor(_lowest(state, market) * (_PPM + place.price_halt_ppm), _PPM)
    return band if band >= place.mark_ticks else 0


# -- operators and time ----------------------------------------------------------------------------


@kernel
def apply_operator(state: State, market: int, code: int, hold_ns: int) -> None:
    """Obey an operator's HALT, THROTTLE (both for ``hold_ns``) or REOPEN of a market, or of the
    venue (``NONE``).
    """
    row = state.rules[0].markets if market == NONE else market
    breaker = state.breakers[row]
    if code == Operator.REOPEN:
        breaker.levels[BreakerCause.OPERATOR] = 0
        breaker.operator_until_ns = NEVER_NS
        _demand(state, row, _ALL_CAUSES)
    else:
        breaker.levels[BreakerCause.OPERATOR] = HALT_LEVEL if code == Operator.HALT else THROTTLE_LEVEL
        breaker.operator_until_ns = state.engine[0].now_ns + hold_ns
        breaker.spent &= ~_bit(BreakerCause.OPERATOR)
        wake_by(state, breaker.operator_until_ns)
    make_dirty(state, row)


@inlined
def _stale_at_ns(state: State, row: int) -> int:
    """Return when a market's newest mark is too old, or NEVER_NS: no mark, no limit, or it is so
    already.
    """
    breaker, stale_ns = state.breakers[row], state.rules[0].stale_ns
    is_silent = breaker.levels[BreakerCause.STALE] != 0 and breaker.grace_until_ns == NEVER_NS
    if stale_ns == 0 or breaker.mark_time_ns == NONE or is_silent:
        return NEVER_NS
    return breaker.mark_time_ns + stale_ns


@unit
def end_holds(state: State, row: int) -> None:
    """Do what time alone brings to a machine: STALE begins, OPERATOR ends, the grace after STALE or
    OUTAGE, or its state's time is over.
    """
    breaker, now = state.breakers[row], state.engine[0].now_ns
    # Dirty before the event did anything: an outage began with it.
    is_due = breaker.until_ns <= now or breaker.is_dirty != 0
    if _stale_at_ns(state, row) <= now:
        if breaker.levels[BreakerCause.STALE] != 0:
            # The feed died again in its grace.
            breaker.spent &= ~_bit(BreakerCause.STALE)
        breaker.levels[BreakerCause.STALE] = HALT_LEVEL
        breaker.grace_until_ns = NEVER_NS
        is_due = True
    if breaker.operator_until_ns <= now:
        breaker.levels[BreakerCause.OPERATOR] = 0
        breaker.operator_until_ns = NEVER_NS
        is_due = True
    if breaker.grace_until_ns <= now:
        _end_grace(state, row)
        is_due = True
    if is_due:
        settle(state, row)


@inlined
def next_hold_ns(state: State, row: int) -> int:
    """Return when ``end_holds`` next has something to do at a machine, or NEVER_NS."""
    breaker = state.breakers[row]
    return min(breaker.until_ns, breaker.operator_until_ns, breaker.grace_until_ns, _stale_at_ns(state, row))


@inlined
def next_outage_ns(state: State) -> int:
    """Return when the silence of all markets counts as an outage, or NEVER_NS."""
    engine, rules = state.engine[0], state.rules[0]
    if rules.outage_gap_ns == 0 or engine.life_ns == NONE or state.breakers[rules.markets].levels[BreakerCause.OUTAGE] != 0:
        return NEVER_NS
    return engine.life_ns + rules.outage_gap_ns

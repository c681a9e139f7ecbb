"""Price guard, signals, timers and operators around the machines of ``machine``: R7.2
(guard), R8, and R9 (drawdown).
"""

from __future__ import annotations

from collections.abc import Iterable

from backstop.core.events import NEVER_NS, NONE, BreakerCause, BreakerState, EffectKind, EventKind, Guard, Operator, fund_of
from backstop.core.instruments import PPM
from backstop.reference.arithmetic import ceil_div
from backstop.reference.machine import HALT, THROTTLE, Breaker, graded, set_level, settle, severest, spend
from backstop.reference.providers import switch_off, switch_on
from backstop.reference.records import Event
from backstop.reference.state import State

__all__ = [
    "accept_mark",
    "add_flow",
    "after_index",
    "after_mark",
    "apply_operator",
    "breaker_digest",
    "check_outage",
    "effective_state",
    "end_event",
    "hold_mark",
    "index_is_dead",
    "judge_holders",
    "let_go",
    "next_timer_ns",
    "peak_digest",
    "raise_deficit",
    "run_timers",
    "shift_peaks",
    "venue_number",
]

OPEN, THROTTLED, HALTED, REOPENING = BreakerState

# -- the machines ----------------------------------------------------------------------------------


def venue_number(state: State) -> int:
    """Number of the venue's breaker, after those of the markets."""
    return len(state.markets)


def effective_state(state: State, market: int) -> BreakerState:
    """The severer of the market's own state and the venue's."""
    return severest(state.breakers[market].state, state.breakers[venue_number(state)].state)


def mark_dirty(state: State, number: int) -> None:
    """The machine is settled at the end of the event; its place is that of the first time."""
    if number not in state.dirty:
        state.dirty.append(number)


def signal_of(state: State, number: int) -> int:
    """Present signal of the cause of the last transition: PRICE ppm, FLOW atoms, else 0."""
    breaker = state.breakers[number]
    if breaker.cause == BreakerCause.PRICE:
        return breaker.price_signal
    if breaker.cause == BreakerCause.INDEX:
        return breaker.index_signal
    return sum(flow_now(state, breaker)) if breaker.cause == BreakerCause.FLOW else 0


def settle_breaker(state: State, number: int) -> None:
    """Evaluate FLOW, take at most one transition, and report it."""
    breaker, rules = state.breakers[number], state.rules.breakers
    evaluate_flow(state, number)
    old = breaker.state
    if not settle(breaker, state.now, rules.hold_max_ns, rules.reopen_ns):
        return
    state.emit(
        EffectKind.BREAKER,
        code=breaker.state,
        market=NONE if number == venue_number(state) else number,
        other=old,
        lots=breaker.cause,
        amount=breaker.until,
        value=signal_of(state, number),
    )


def settle_with_venue(state: State, market: int) -> None:
    """What MARK and INDEX do: the market's machine, and the venue's where it is not OPEN."""
    settle_breaker(state, market)
    venue = venue_number(state)
    if state.breakers[venue].state != OPEN:
        settle_breaker(state, venue)


def end_event(state: State) -> None:
    """Drawdown of the funds that changed, then the dirty machines in the order in which they became
    dirty.
    """
    for group in range(len(state.rules.funds)):
        end_fund(state, group)
    dirty, state.dirty = state.dirty, []
    for number in dirty:
        settle_breaker(state, number)


# -- flow, deficit ---------------------------------------------------------------------------------


def windows_now(sums: list[int], age: int) -> tuple[int, int]:
    """Sums of the present and the last window, from those of ``age`` windows ago."""
    if age == 0:
        return sums[0], sums[1]
    return 0, sums[0] if age == 1 else 0


def flow_now(state: State, breaker: Breaker) -> tuple[int, int]:
    """Liquidated notional of the present and the last window, as of ``now``."""
    return windows_now(breaker.flow, state.now // state.rules.breakers.flow_window_ns - breaker.flow_window)


def deficit_now(state: State, breaker: Breaker) -> tuple[int, int]:
    """Losses that nobody paid in the present and the last window, as of ``now``."""
    return windows_now(breaker.deficit, state.now // state.rules.breakers.deficit_window_ns - breaker.deficit_window)


def add_flow(state: State, market: int, notional: int) -> None:
    """Count liquidated notional in the market and, where all of it is of one asset, the venue."""
    if notional == 0:
        return
    for number in (market, venue_number(state)) if len(state.rules.assets) == 1 else (market,):
        breaker = state.breakers[number]
        window = state.now // state.rules.breakers.flow_window_ns
        if window != breaker.flow_window:
            # A new wave: what the old one left may be over, though nothing looked.
            evaluate_flow(state, number)
            if breaker.levels[BreakerCause.FLOW] == 0:
                breaker.spent.discard(BreakerCause.FLOW)
        present, last = flow_now(state, breaker)
        breaker.flow_window = window
        breaker.flow = [present + notional, last]
        mark_dirty(state, number)


def evaluate_flow(state: State, number: int) -> None:
    """Level of FLOW; its exit is a share of the throttle, or of the halt where there is no
    throttle.
    """
    breaker, shared = state.breakers[number], state.rules.breakers
    rules = shared if number == venue_number(state) else state.rules.markets[number]
    leave = max(1, (rules.flow_throttle or rules.flow_halt) * shared.flow_exit_ppm // PPM)
    old = breaker.levels[BreakerCause.FLOW]
    flow = sum(flow_now(state, breaker))
    set_level(breaker, BreakerCause.FLOW, graded(old, flow, rules.flow_throttle, rules.flow_halt, leave))


def raise_deficit(state: State, market: int, amount: int) -> None:
    """Losses of a market that nobody paid halt it for the longest hold where there are too many of
    them; then they are counted anew.
    """
    breaker, rules = state.breakers[market], state.rules.breakers
    present, last = deficit_now(state, breaker)
    breaker.deficit_window = state.now // rules.deficit_window_ns
    breaker.deficit = [present + amount, last]
    if sum(breaker.deficit) <= state.rules.of_market(market).deficit_halt:
        return
    breaker.deficit = [0, 0]
    levels = breaker.levels
    if levels[BreakerCause.DEFICIT] != HALT:
        levels[BreakerCause.DEFICIT] = HALT
        mark_dirty(state, market)


# -- marks: guard, price, age ----------------------------------------------------------------------


def move_ppm(price: int, reference: int) -> int:
    """Distance of a price from another, in parts per million of the other."""
    return abs(price - reference) * PPM // reference


def emit_guard(state: State, market: int, guard: Guard, held: int, until: int) -> None:
    """GUARD: the held price, how far it is from the reference, and until when it is held."""
    reference = state.breakers[market].reference
    move = move_ppm(held, reference)
    state.emit(EffectKind.GUARD, code=guard, market=market, other=reference, price_ticks=held, amount=until, value=move)


def is_near(state: State, market: int, price: int, reference: int) -> bool:
    """A price is less than a jump from another."""
    return move_ppm(price, reference) < state.rules.markets[market].guard_jump_ppm


def hold_mark(state: State, market: int, price_ticks: int) -> bool:
    """Price guard: hold a jump on little volume. A mark on volume enough ends what was held."""
    row, rules, breaker = state.markets[market], state.rules.markets[market], state.breakers[market]
    if rules.guard_jump_ppm == 0:
        return False
    if breaker.held:
        bring_up(breaker, state.now)
    is_thin = 0 <= row.volume < rules.guard_volume_lots
    if row.mark and is_thin and not is_near(state, market, price_ticks, breaker.reference):
        hold_print(state, market, price_ticks)
        return True
    if breaker.held and is_thin:
        breaker.is_held_newest, breaker.rival, breaker.rival_first = False, 0, 0
    elif breaker.held:
        near = is_near(state, market, price_ticks, breaker.held_first)
        let_go(state, market, Guard.CONFIRMED if near else Guard.DROPPED)
    is_old = state.now - breaker.reference_at >= state.rules.breakers.guard_hold_ns
    if not row.mark or not is_thin or is_old:
        breaker.reference, breaker.reference_at = price_ticks, state.now
    return False


def hold_print(state: State, market: int, price_ticks: int) -> None:
    """Hold a print: the first of a hold, one of the level held, or a rival of it."""
    breaker = state.breakers[market]
    if not breaker.held:
        begin_hold(breaker, price_ticks, state.now, state.now + state.rules.breakers.guard_hold_ns)
    elif is_near(state, market, price_ticks, breaker.held_first):
        breaker.held, breaker.rival, breaker.rival_first = price_ticks, 0, 0
    else:
        is_new = not breaker.rival or not is_near(state, market, price_ticks, breaker.rival_first)
        breaker.rival, breaker.rival_first = price_ticks, price_ticks if is_new else breaker.rival_first
    breaker.is_held_newest = True
    emit_guard(state, market, Guard.HELD, price_ticks, breaker.held_until)


def begin_hold(breaker: Breaker, price_ticks: int, since_ns: int, until_ns: int) -> None:
    """Hold a print, the newest, where none is held."""
    breaker.held = breaker.held_first = price_ticks
    breaker.held_at, breaker.held_until = since_ns, until_ns
    breaker.is_held_newest = True


def bring_up(breaker: Breaker, until_ns: int) -> None:
    """Count `new` and `lead` up to a time; a rival that was newest for longer takes the place of the
    level held.
    """
    passed, breaker.held_at = until_ns - breaker.held_at, until_ns
    if not breaker.is_held_newest:
        return
    breaker.held_for += passed
    breaker.lead += -passed if breaker.rival else passed
    if breaker.lead < 0:
        breaker.held, breaker.held_first, breaker.lead = breaker.rival, breaker.rival_first, -breaker.lead
        breaker.rival = breaker.rival_first = 0


def let_go(state: State, market: int, guard: Guard) -> None:
    """End a hold."""
    breaker = state.breakers[market]
    emit_guard(state, market, guard, breaker.held, 0)
    breaker.held = breaker.held_until = breaker.held_for = breaker.held_at = breaker.lead = 0
    breaker.held_first = breaker.rival = breaker.rival_first = 0
    breaker.is_held_newest = breaker.is_continued = False


def index_is_dead(state: State, market: int) -> bool:
    """The market has no index, or none that came lately."""
    age, since = state.rules.breakers.stale_ns, state.breakers[market].index_time
    return state.markets[market].index == 0 or (age > 0 and state.now - since > age)


def is_near_index(state: State, market: int) -> bool:
    """A living index stands nearer to the level held than to the mark, and less than a jump from it."""
    breaker, row = state.breakers[market], state.markets[market]
    if index_is_dead(state, market) or abs(breaker.held - row.index) >= abs(row.mark - row.index):
        return False
    return is_near(state, market, breaker.held, row.index)


def verdict(state: State, market: int) -> Guard:
    """What becomes of a hold whose time is over, `new` and `lead` up to its end."""
    breaker, length = state.breakers[market], state.rules.breakers.guard_hold_ns
    near = is_near_index(state, market)
    if 2 * breaker.held_for < length or (2 * breaker.held_for == length and not near):
        return Guard.DROPPED
    alone = breaker.lead == length and index_is_dead(state, market)
    return Guard.RELEASED if near or alone or breaker.is_continued else Guard.CONTINUED


def end_hold(state: State, market: int) -> None:
    """The time of a hold is over: the level is dropped, becomes the mark, or is held once more; a held
    print that is the newest, and no mark, is held on.
    """
    breaker, end = state.breakers[market], state.breakers[market].held_until
    bring_up(breaker, end)
    guard, held, until = verdict(state, market), breaker.held, end + state.rules.breakers.guard_hold_ns
    if guard == Guard.CONTINUED:
        breaker.held_until, breaker.held_for, breaker.lead, breaker.is_continued = until, 0, 0, True
        emit_guard(state, market, guard, held, until)
        return
    left = (breaker.rival or held) if breaker.is_held_newest else 0
    let_go(state, market, guard)
    if guard == Guard.RELEASED:
        breaker.reference, breaker.reference_at = held, state.now
        accept_mark(state, market, held)
        left = 0 if is_near(state, market, left, held) else left
    if left:
        begin_hold(breaker, left, end, until)
        emit_guard(state, market, Guard.RENEWED, left, until)


def accept_mark(state: State, market: int, price_ticks: int) -> None:
    """Set the mark, judge every holder (only those whose health changed are looked at further),
    settle.
    """
    row = state.markets[market]
    old, row.mark = row.mark, price_ticks
    row.epoch_mark = row.epoch_mark or price_ticks
    judge_holders(state, market)
    after_mark(state, market, old)


def judge_holders(state: State, market: int) -> None:
    """Judge every account with lots in a market."""
    judge_accounts(state, [number for number in range(len(state.accounts)) if state.held_lots(number, market)])


def judge_accounts(state: State, accounts: Iterable[int]) -> None:
    """Judge accounts, in the order given; only those whose health changed are looked at further."""
    for number in accounts:
        before = state.accounts[number].health
        state.judge(number)
        if state.accounts[number].health != before:
            state.touched.add(number)


def after_mark(state: State, market: int, old_mark_ticks: int) -> None:
    """The windows take the new mark in; PRICE; a feed that spoke is not stale; settle."""
    breaker, mark = state.breakers[market], state.markets[market].mark
    window = state.now // state.rules.breakers.price_window_ns
    old = old_mark_ticks or mark
    if old_mark_ticks == 0 or window != breaker.price_window:
        follows = old_mark_ticks != 0 and window == breaker.price_window + 1
        breaker.low = [old, breaker.low[0] if follows else old]
        breaker.high = [old, breaker.high[0] if follows else old]
        breaker.price_window = window
    breaker.low[0] = min(breaker.low[0], mark)
    breaker.high[0] = max(breaker.high[0], mark)
    if breaker.levels[BreakerCause.STALE]:
        if breaker.grace_until == NEVER_NS:
            breaker.grace_until = state.now + grace_ns(state, state.now - breaker.mark_time)
            breaker.spent.discard(BreakerCause.STALE)
        end_grace(state, breaker, BreakerCause.STALE)
    breaker.mark_time = state.now
    evaluate_price(state, market)
    settle_with_venue(state, market)


def after_index(state: State, market: int) -> None:
    """PRICE, where there is a mark; settle."""
    if state.markets[market].mark:
        evaluate_price(state, market)
    settle_with_venue(state, market)


def evaluate_price(state: State, market: int) -> None:
    """Levels of PRICE, how far the mark came from the extremes of both windows, and of INDEX, how
    far it stands from the index.
    """
    breaker, row, rules = state.breakers[market], state.markets[market], state.rules.markets[market]
    low, high = min(breaker.low), max(breaker.high)
    breaker.price_signal = max((row.mark - low) * PPM // low, (high - row.mark) * PPM // high)
    breaker.index_signal = move_ppm(row.mark, row.index) if row.index else 0
    thresholds = (rules.price_throttle_ppm, rules.price_halt_ppm, rules.price_exit_ppm)
    for cause, signal in ((BreakerCause.PRICE, breaker.price_signal), (BreakerCause.INDEX, breaker.index_signal)):
        set_level(breaker, cause, graded(breaker.levels[cause], signal, *thresholds))


# -- time ------------------------------------------------------------------------------------------


#: Only a market that lives brings them.
SIGNS_OF_LIFE = (
    EventKind.MARK,
    EventKind.INDEX,
    EventKind.DEPTH,
    EventKind.VOLUME,
    EventKind.FILL,
    EventKind.ORDER_FILL,
    EventKind.HEARTBEAT,
)


def grace_ns(state: State, silence_ns: int) -> int:
    """For how long nobody is closed after a silence: longer the longer it was."""
    rules = state.rules.breakers
    return min(rules.outage_grace_max_ns, silence_ns * rules.outage_grace_ppm // PPM)


def check_outage(state: State, event: Event) -> None:
    """A long silence of all markets halts the venue until one of them gives a sign of life, and for
    a grace.
    """
    venue, alive = state.breakers[venue_number(state)], event.kind in SIGNS_OF_LIFE
    venue.accepted = True
    if outage_at(state) <= event.time_ns or (alive and silence_is_outage(state, event.time_ns)):
        venue.levels[BreakerCause.OUTAGE] = HALT
        venue.spent.discard(BreakerCause.OUTAGE)
        venue.grace_until = event.time_ns + grace_ns(state, event.time_ns - state.life_ns) if alive else NEVER_NS
        mark_dirty(state, venue_number(state))
    if alive:
        state.life_ns = event.time_ns


def silence_is_outage(state: State, time_ns: int) -> bool:
    """No market gave a sign of life for long; before the first sign there is no silence."""
    gap_ns = state.rules.breakers.outage_gap_ns
    return gap_ns > 0 and state.life_ns != NONE and time_ns - state.life_ns >= gap_ns


def outage_at(state: State) -> int:
    """Time at which silence becomes an outage: NEVER where none may, or where it is one already."""
    gap_ns = state.rules.breakers.outage_gap_ns
    if gap_ns == 0 or state.life_ns == NONE or state.breakers[venue_number(state)].levels[BreakerCause.OUTAGE]:
        return NEVER_NS
    return state.life_ns + gap_ns


def end_operator(state: State, breaker: Breaker) -> bool:
    """An order's time is over; return whether one was."""
    if breaker.operator_until > state.now:
        return False
    breaker.levels[BreakerCause.OPERATOR], breaker.operator_until = 0, NEVER_NS
    return True


def end_grace(state: State, breaker: Breaker, cause: BreakerCause) -> bool:
    """The grace after an outage, or after a stale feed, is over; return whether one was."""
    if breaker.grace_until > state.now:
        return False
    breaker.levels[cause], breaker.grace_until = 0, NEVER_NS
    return True


def stale_at(state: State, breaker: Breaker) -> int:
    """Time at which the feed is stale: NEVER without a mark, or where it is and did not return."""
    age = state.rules.breakers.stale_ns
    is_silent = breaker.levels[BreakerCause.STALE] and breaker.grace_until == NEVER_NS
    if age == 0 or breaker.mark_time == NONE or is_silent:
        return NEVER_NS
    return breaker.mark_time + age


def find_stale(state: State, breaker: Breaker) -> bool:
    """The newest mark is too old; return whether that is new."""
    if stale_at(state, breaker) > state.now:
        return False
    if breaker.levels[BreakerCause.STALE]:
        # It died again in its grace.
        breaker.spent.discard(BreakerCause.STALE)
    breaker.levels[BreakerCause.STALE], breaker.grace_until = HALT, NEVER_NS
    return True


def run_timers(state: State) -> None:
    """What time alone brings, before the kind of the event."""
    for market in range(len(state.markets)):
        breaker = state.breakers[market]
        while breaker.held and breaker.held_until <= state.now:
            end_hold(state, market)
        due = [find_stale(state, breaker), end_operator(state, breaker), end_grace(state, breaker, BreakerCause.STALE)]
        due.append(is_over(state, breaker))
        if any(due):
            settle_breaker(state, market)
    venue = state.breakers[venue_number(state)]
    due = [end_operator(state, venue), end_grace(state, venue, BreakerCause.OUTAGE), is_over(state, venue)]
    due.append(venue_number(state) in state.dirty)
    if any(due):
        settle_breaker(state, venue_number(state))


def is_over(state: State, breaker: Breaker) -> bool:
    """The state has lasted as long as it may; OPEN lasts for ever."""
    return breaker.state != OPEN and breaker.until <= state.now


def next_timer_ns(state: State) -> int:
    """Earliest time at which ``run_timers`` has something to do."""
    times = [state.recovery_ns, outage_at(state)]
    for breaker in state.breakers:
        times += [breaker.until, breaker.operator_until, breaker.grace_until, stale_at(state, breaker)]
        if breaker.held:
            times.append(breaker.held_until)
    return min(times)


# -- operators -------------------------------------------------------------------------------------


def apply_operator(state: State, event: Event) -> None:
    """OPERATOR: a stop that ends by itself, its early end, or a provider."""
    if event.code == Operator.PROVIDER_OFF:
        switch_off(state, event.other)
    elif event.code == Operator.PROVIDER_ON:
        switch_on(state, event.other)
    else:
        number = venue_number(state) if event.market == NONE else event.market
        breaker = state.breakers[number]
        if event.code == Operator.REOPEN:
            breaker.levels[BreakerCause.OPERATOR], breaker.operator_until = 0, NEVER_NS
            for cause in BreakerCause:
                spend(breaker, cause)
        else:
            breaker.levels[BreakerCause.OPERATOR] = HALT if event.code == Operator.HALT else THROTTLE
            breaker.operator_until = state.now + event.amount
            breaker.spent.discard(BreakerCause.OPERATOR)
        mark_dirty(state, number)


# -- drawdown of the funds -------------------------------------------------------------------------


def peak_slot(state: State) -> int:
    """Number of the present slot of the peaks."""
    return state.now // ceil_div(state.rules.fund.drawdown_window_ns, 16)


def shift_peaks(state: State, group: int, amount: int) -> None:
    """CASH of a fund is neither loss nor gain: every balance that is remembered moves with it."""
    peaks = state.peaks[group]
    peaks.is_shifted = True
    peaks.shifted += amount
    peaks.slots = {slot: balance + amount for slot, balance in peaks.slots.items()}


def end_fund(state: State, group: int) -> None:
    """Where the event changed the balance, or had CASH: the present slot's peak, then the level
    DRAWDOWN of the group's markets.
    """
    peaks, balance, slot = state.peaks[group], state.ledger[fund_of(group)], peak_slot(state)
    begin, shifted, peaks.shifted, peaks.is_shifted = peaks.before + peaks.shifted, peaks.is_shifted, 0, False
    if balance == peaks.before and not shifted:
        return
    peaks.slots.setdefault(slot, begin)
    levels = [peaks.level]
    # Time alone may have ended it, though nothing looked.
    if drawdown_level(state, group, begin) == 0:
        peaks.level = 0
    levels.append(peaks.level)
    peaks.slots[slot] = max(peaks.slots[slot], balance)
    peaks.before = balance
    peaks.level = drawdown_level(state, group, balance)
    levels.append(peaks.level)
    if len(set(levels)) == 1:
        return
    for market, rules in enumerate(state.rules.markets):
        if rules.group == group:
            breaker = state.breakers[market]
            if 0 in levels[:2]:
                breaker.spent.discard(BreakerCause.DRAWDOWN)
            breaker.levels[BreakerCause.DRAWDOWN] = peaks.level
            mark_dirty(state, market)


def drawdown_level(state: State, group: int, balance: int) -> int:
    """Fall of a balance from the peak, with hysteresis."""
    rules, peaks = state.rules.fund, state.peaks[group]
    peak = peaks.peak(peak_slot(state))
    drawdown = (peak - balance) * PPM // peak if peak > 0 else 0
    return graded(peaks.level, drawdown, rules.drawdown_enter_ppm, 0, rules.drawdown_exit_ppm)


# -- digest ----------------------------------------------------------------------------------------


def peak_digest(state: State, group: int) -> tuple[int, int]:
    """Level DRAWDOWN and peak of a fund, as of ``now``."""
    return state.peaks[group].level, state.peaks[group].peak(peak_slot(state))


def breaker_digest(state: State) -> list[tuple[int, ...]]:
    """Rows of block 9: the markets' breakers, then the venue's."""
    return [breaker_row(state, number) for number in range(len(state.breakers))]


def breaker_row(state: State, number: int) -> tuple[int, ...]:
    """One breaker; the venue has no price and no held mark."""
    breaker = state.breakers[number]
    levels = sum(breaker.levels[cause] * 3 ** (cause - 1) for cause in BreakerCause)
    spent, answered = (sum(1 << (cause - 1) for cause in causes) for causes in (breaker.spent, breaker.answered))
    counts = (breaker.held_for, breaker.held_at, int(breaker.is_held_newest), int(breaker.is_continued), breaker.lead)
    firsts = (breaker.rival, breaker.held_first, breaker.rival_first, breaker.reference, breaker.reference_at)
    hold = (breaker.held, breaker.held_until, *counts, *firsts)
    price = (min(breaker.low), max(breaker.high), breaker.mark_time, *hold)
    times = (breaker.operator_until, breaker.grace_until)
    return (
        int(breaker.state),
        int(breaker.cause),
        breaker.until,
        levels,
        spent,
        *times,
        *flow_now(state, breaker),
        *price,
        answered,
        *deficit_now(state, breaker),
        breaker.undoubted,
        int(breaker.has_cancelled),
        int(breaker.is_awaited),
        breaker.doubted_ns,
        breaker.doubt_at,
        breaker.index_time,
        breaker.given_ticks,
        breaker.settlement,
        breaker.settle_next,
        breaker.settled_ns,
    )

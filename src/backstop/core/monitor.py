"""Who is distressed: exact verdicts, what follows from them, and triggers that say where to look
again.

``judge`` reaches a verdict and changes nothing; ``update_health`` is the only place that acts on
one.

An account's buffer above its next level is shared among its positions; each share becomes a trigger
price, in a list of its market's price bucket. A new mark sweeps the buckets between the old mark
and the new one and judges only the accounts found there. Why none is missed: R4.

Floating point chooses shares and prices of triggers here and nothing else: any choice within the
bound is sound, and every verdict is reached in integers by ``judge``.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.carries import end_carry
from backstop.core.columns import CROSSED_ACCOUNT, CROSSED_MERGE, CROSSED_ORDER, NETTED_EVENT, NETTED_REST, NETTED_SPARE, TOUCHED
from backstop.core.contracts import is_inverse, notional_at_mark, slope_of
from backstop.core.debts import return_debts
from backstop.core.events import NEVER_NS, NONE, Health
from backstop.core.funding import move_index, place_ticks
from backstop.core.ledger import settle_all_funding
from backstop.core.margin import assess, exit_buffer, raw_health, release_level, release_without_returns, relieved_margin, tier_of
from backstop.core.orders import cancel_orders_of, has_closing_order
from backstop.core.outbox import emit_funding, emit_health
from backstop.core.places import bucket_of
from backstop.core.position_rows import hold_rows_of, note_flat
from backstop.core.relief import end_all_relief
from backstop.core.results import begin_insolvency, keep_epoch_mark
from backstop.core.rows import DOWN, UP
from backstop.core.shortfalls import forget_gaps, note_gaps
from backstop.core.sorting import sort_places
from backstop.core.state import State
from backstop.core.triggers import set_trigger
from backstop.core.units import mul_div_ceil, mul_div_floor
from backstop.core.waits import has_lots, wait_for_disposal, wait_until

__all__ = [
    "apply_funding",
    "apply_mark",
    "gather_holders",
    "judge",
    "judge_everyone",
    "judge_gathered",
    "note_spare",
    "start_round",
    "touch",
    "touch_defaulters",
    "update_health",
]

_PPM = 1_000_000
#: Moves beyond this many ticks reach no price.
_FAR_TICKS = float(1 << 31)
#: Shares are cut by this much, so that their rounding never sums above the buffer.
_SAFE = 1.0 - 1e-11
#: Beyond every notional.
_BEYOND = float(1 << 61)
#: A buffer that no mark can use up: there is no level on that side.
_NO_LEVEL = 1 << 62


@inlined
def _slope(state: State, market: int, lots: int, ratio_ppm: int, notional: float, relieved_ppm: int) -> float:
    """Return the change of the buffer a unit of notional, in the tier at ``notional``.

    One less (long) or plus (short) ratio x rate; the difference is taken in integers, which lose
    nothing.
    """
    rate_ppm = state.tiers[tier_of(state, market, int(notional))].maintenance_rate_ppm
    if relieved_ppm != 0 and lots > 0:
        # A long one loses faster the less margin falls with it; without relief a short one does.
        rate_ppm = rate_ppm * (_PPM - relieved_ppm) // _PPM
    product = ratio_ppm * rate_ppm
    return float(_PPM * _PPM - product if lots > 0 else _PPM * _PPM + product) * 1e-12


@inlined
def _ticks_of_notional(state: State, market: int, lots: int, change: float, grows: bool) -> float:
    """Return by how many ticks the mark of an inverse market may move before the notional of ``lots``
    has changed by so much, a little fewer; beyond all prices where it cannot shrink so far.
    """
    row = state.markets[market]
    mark = float(row.mark_ticks)
    notional = float(abs(lots)) * float(row.notional_factor) / mark
    after = notional + change if grows else notional - change
    return mark * change / after * (1.0 - 1e-9) if after > 0.0 else _FAR_TICKS


@kernel
def _safe_ticks(state: State, market: int, lots: int, ratio_ppm: int, share: float, side: int, relieved_ppm: int) -> int:
    """Return by how many ticks the mark may move to ``side`` before a buffer of ``share`` atoms is
    used up.

    The buffer is equity above (or below) ``ratio_ppm`` of maintenance; ``share`` is what this
    position may use of it by that move, whether the move hurts (adverse) or helps (favourable). A
    bound from below: the slope taken is the steepest on the way.

    An inverse position of some lots loses by the growth of its notional what a linear one of minus as
    many does: with the sides exchanged, and by notional in place of ticks (``_ticks_of_notional``).
    """
    if share < 0.0:
        return 0
    inverse = is_inverse(state, market)
    base = 1.0 if inverse else float(slope_of(state, market, lots))
    notional = float(notional_at_mark(state, market, lots))
    grows = (side == UP) != inverse
    lots = -lots if inverse else lots
    adverse = (lots > 0) != grows
    slope = base * _slope(state, market, lots, ratio_ppm, notional, relieved_ppm)
    if adverse and lots > 0:
        # Falling: buffer falls by base x (1 - ratio x rate), steepest at the lowest rate, far down.
        # Rising: it grows by at most base x (1 - ratio x rate) at the lowest rate, which is the
        # present one.
        reach = notional - share / slope * base
        slope = base * _slope(state, market, lots, ratio_ppm, max(reach * (1.0 - 1e-9) - 2.0, 0.0), relieved_ppm)
    elif adverse:
        reach = min(notional + share / slope * base, _BEYOND)
        slope = base * _slope(state, market, lots, ratio_ppm, reach * (1.0 + 1e-9) + 2.0, relieved_ppm)
    ticks = share / slope
    if inverse:
        ticks = _ticks_of_notional(state, market, lots, ticks, grows)
    return int(ticks) if ticks < _FAR_TICKS else int(_FAR_TICKS)


@inlined
def _levels_of(state: State, account: int, health: int, equity: int, maintenance: int) -> tuple[int, int, int, int]:
    """Return the equity to lose before the level below ``health``, and to gain before the one
    above, with both levels' ratios.

    Ratios are ppm of maintenance margin. A side without a level has the buffer _NO_LEVEL and the
    ratio 0.
    """
    rules = state.rules[0]
    warning, close_out = rules.warning_ratio_ppm, rules.close_out_ratio_ppm
    if health == Health.HEALTHY:
        return equity - mul_div_ceil(maintenance, warning, _PPM), _NO_LEVEL, warning, 0
    if health == Health.WARNED:
        # One with relief is HEALTHY where it needs none.
        full = maintenance + relieved_margin(state, account) if state.engine[0].reliefs_now > 0 else maintenance
        return equity - maintenance, mul_div_ceil(full, warning, _PPM) - equity - 1, _PPM, warning
    if health == Health.DISTRESSED:
        below = equity - mul_div_floor(maintenance, close_out, _PPM)
        return below, release_level(state, account, maintenance) - equity - 1, close_out, _PPM + exit_buffer(state, account)
    if health == Health.CLOSE_OUT:
        return equity, mul_div_floor(maintenance, close_out, _PPM) - equity - 1, 0, close_out
    return _NO_LEVEL, -equity - 1, 0, 0


@inlined
def _weight(state: State, position: int) -> float:
    """Return by what a position shares in its account's buffers: exposure times volatility."""
    row = state.positions[position]
    return float(notional_at_mark(state, row.market, row.lots)) * float(state.markets[row.market].volatility_ppm)


@inlined
def _sum_weights(state: State, account: int) -> tuple[int, int, float]:
    """Return how many positions with lots an account has, how many of them have values that are
    rounded, and the sum of their weights.
    """
    weights = 0.0
    count = rounded = 0
    position = state.accounts[account].first_position
    while position != NONE:
        if state.positions[position].lots != 0:
            count += 1
            rounded += 1 if is_inverse(state, state.positions[position].market) else 0
            weights += _weight(state, position)
        position = state.positions[position].next_of_account
    return count, rounded, weights


@inlined
def _ticks_to(state: State, position: int, buffer: int, kept: int, part: float, ratio_ppm: int, side: int) -> int:
    """Return how many ticks to ``side`` a position's trigger stands for its ``part`` of a buffer;
    beyond all prices without a level.
    """
    if buffer == _NO_LEVEL:
        return int(_FAR_TICKS)
    row = state.positions[position]
    relieved = state.relieved[position] if state.engine[0].reliefs_now > 0 else 0
    return _safe_ticks(state, row.market, row.lots, ratio_ppm, float(buffer - kept) * part, side, relieved) + 1


@kernel
def _place_triggers(state: State, account: int, health: int, equity: int, maintenance: int) -> None:
    """Share the buffers of an account, to the level below and to the level above, among its
    positions.
    """
    below, above, ratio_below, ratio_above = _levels_of(state, account, health, equity, maintenance)
    count, rounded, weights = _sum_weights(state, account)
    # Every maintenance margin is rounded up (an atom per position, two with relief, times the ratio),
    # unpaid funding down (an atom per position), every level once more. Of an inverse position its value
    # is rounded, too, and its notional, which moves its margin by an atom and by the rounding of that.
    roundings = 1 if state.engine[0].reliefs_now == 0 else 2
    ratio = max(ratio_below, ratio_above) // _PPM + 1
    kept = count * (roundings * ratio + 1) + rounded * (2 * ratio + 2) + 2
    is_tight = below < kept or above < kept
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        down, up = 0, 0
        if row.lots != 0:
            market = state.markets[row.market]
            to_down, to_up = 1, 1
            if not is_tight:
                part = _weight(state, position) / weights * _SAFE
                if row.lots > 0:
                    to_down = _ticks_to(state, position, below, kept, part, ratio_below, DOWN)
                    to_up = _ticks_to(state, position, above, kept, part, ratio_above, UP)
                else:
                    to_up = _ticks_to(state, position, below, kept, part, ratio_below, UP)
                    to_down = _ticks_to(state, position, above, kept, part, ratio_above, DOWN)
            down = max(0, place_ticks(state, row.market, DOWN) - to_down)
            up = place_ticks(state, row.market, UP) + to_up
            if up > market.price_ticks_max:
                up = 0
        set_trigger(state, position, DOWN, down)
        set_trigger(state, position, UP, up)
        position = row.next_of_account


@kernel
def _clear_marks(state: State, account: int) -> None:
    """Forget which positions were closed in a default."""
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        row.closed_in_default = 0
        position = row.next_of_account


@kernel
def _note_flat_rows(state: State, account: int) -> None:
    """Note which rows of an account the end of its default leaves without anything that holds them."""
    position = state.accounts[account].first_position
    while position != NONE:
        note_flat(state, position)
        position = state.positions[position].next_of_account


@kernel
def _lives_by_relief(state: State, account: int, equity: int, maintenance: int) -> bool:
    """Return whether an account would not be HEALTHY without the relief that it has."""
    relieved = relieved_margin(state, account)
    return relieved > 0 and equity < mul_div_ceil(maintenance + relieved, state.rules[0].warning_ratio_ppm, _PPM)


@kernel
def judge(state: State, account: int) -> tuple[int, int, int, int]:
    """Return the verdict on an account at the accepted marks: its health before and now, equity,
    maintenance margin.

    An account in default stays in it until its equity reaches the release level.
    """
    equity, maintenance = assess(state, account)
    before, now = state.accounts[account].health, raw_health(state, equity, maintenance)
    if before >= Health.DISTRESSED and now < Health.DISTRESSED and equity < release_level(state, account, maintenance):
        now = Health.DISTRESSED
    if now == Health.HEALTHY and state.engine[0].reliefs_now > 0 and _lives_by_relief(state, account, equity, maintenance):
        now = Health.WARNED
    return before, now, equity, maintenance


@inlined
def _forget_doubts(state: State, account: int) -> None:
    """Let an account have waited for no doubt."""
    row = state.defaults[account]
    row.doubt_ns = 0
    row.doubt_since_ns = NONE


@kernel
def _enter_default(state: State, account: int) -> None:
    head = state.accounts[account]
    head.default_since_ns = state.engine[0].now_ns
    head.next_slice_ns = 0
    row = state.defaults[account]
    is_return = row.ended_ns != NONE and state.engine[0].now_ns - row.ended_ns <= state.rules[0].return_memory_ns
    row.returns = row.returns + 1 if is_return else 0
    _forget_doubts(state, account)
    settle_all_funding(state, account)
    hold_rows_of(state, account)
    _clear_marks(state, account)


@kernel
def _leave_default(state: State, account: int) -> None:
    cancel_orders_of(state, account)
    end_carry(state, account)
    state.defaults[account].carry_until_ns = 0
    head = state.accounts[account]
    head.restricted = 0
    head.wait_until_ns = NEVER_NS
    wait_for_disposal(state, account)
    head.default_since_ns = NEVER_NS
    # Whoever is flat begins anew with the next position.
    has_lots = _sum_weights(state, account)[0] != 0
    state.defaults[account].ended_ns = state.engine[0].now_ns if has_lots else NONE
    head.next_slice_ns = 0
    _forget_doubts(state, account)
    _clear_marks(state, account)
    _note_flat_rows(state, account)


@kernel
def _note_spare(state: State, account: int, equity: int, maintenance: int) -> None:
    """Let netting find an account again that it passed over in this event, and that now can
    give.
    """
    engine, owner = state.engine[0], state.accounts[account].owner
    # Most events net nobody: then no owner's numbers are looked at.
    if equity <= 0 or engine.netted_event != engine.accepted or state.columns[NETTED_EVENT, owner] != engine.accepted:
        return
    state.columns[NETTED_REST, owner] = max(state.columns[NETTED_REST, owner], account)
    # At the level without returns, which is never above its own.
    if equity > release_without_returns(state, maintenance):
        state.columns[NETTED_SPARE, owner] = max(state.columns[NETTED_SPARE, owner], account)


@kernel
def note_spare(state: State, account: int) -> None:
    """Let netting find an account again that a rounding gave something since it was judged."""
    equity, maintenance = assess(state, account)
    _note_spare(state, account, equity, maintenance)


@kernel
def _returns_debts(state: State, account: int, before: int, now: int, equity: int, maintenance: int) -> bool:
    """Let an account that is flat, or that leaves default, return what funds paid for it; say
    whether it did.
    """
    leaves = now < Health.DISTRESSED <= before
    if not leaves and (maintenance != 0 or equity <= 0 or _sum_weights(state, account)[0] != 0):
        return False
    return return_debts(state, account, equity - release_level(state, account, maintenance))


@unit
def update_health(state: State, account: int) -> bool:
    """Judge an account and act on the verdict; return whether its health changed.

    Its triggers are placed again. A change is reported; one into or out of default begins or ends
    all that belongs to a default.
    """
    state.engine[0].judged += 1
    before, now, equity, maintenance = judge(state, account)
    if _returns_debts(state, account, before, now, equity, maintenance):
        before, now, equity, maintenance = judge(state, account)
    _note_spare(state, account, equity, maintenance)
    _place_triggers(state, account, now, equity, maintenance)
    if now == before:
        return False
    state.accounts[account].health = now
    emit_health(state, account=account, health=now, old_health=before, equity=equity, maintenance_margin=maintenance)
    if now == Health.HEALTHY and state.engine[0].reliefs_now > 0 and end_all_relief(state, account):
        equity, maintenance = assess(state, account)
        _place_triggers(state, account, now, equity, maintenance)
    if before < Health.DISTRESSED <= now:
        _enter_default(state, account)
    elif now < Health.DISTRESSED <= before:
        _leave_default(state, account)
    if before < now and now >= Health.CLOSE_OUT and has_closing_order(state, account):
        # What left for a better standing is planned anew, once an interval.
        head = state.accounts[account]
        wait_until(state, account, min(head.wait_until_ns, max(state.engine[0].now_ns, head.next_slice_ns)))
    if now == Health.INSOLVENT:
        end_carry(state, account)
        begin_insolvency(state, account)
        state.engine[0].insolvent_now += 1
        note_gaps(state, account, -equity)
    elif before == Health.INSOLVENT:
        state.engine[0].insolvent_now -= 1
        forget_gaps(state, account)
    return True


@kernel
def start_round(state: State) -> None:
    """Begin to gather the accounts of the next round."""
    engine = state.engine[0]
    engine.round_number += 1
    engine.touched_now = 0


@kernel
def _gather(state: State, account: int) -> None:
    engine = state.engine[0]
    head = state.accounts[account]
    if head.round_stamp != engine.round_number:
        head.round_stamp = engine.round_number
        state.columns[TOUCHED, engine.touched_now] = account
        engine.touched_now += 1


@kernel
def touch(state: State, account: int) -> None:
    """Settle the funding of an account that an event or a stage changed, judge it, and give it a
    place in the next round.
    """
    settle_all_funding(state, account)
    has_changed = update_health(state, account)
    health = state.accounts[account].health
    if health == Health.INSOLVENT and not has_changed:
        equity, _ = assess(state, account)
        note_gaps(state, account, -equity)
    if health >= Health.DISTRESSED:
        _gather(state, account)
    else:
        wait_for_disposal(state, account)


@kernel
def _crossed(state: State, market: int, side: int, old_ticks: int, new_ticks: int) -> int:
    """Gather the accounts whose triggers lie between two marks; return how many."""
    first = state.markets[market].bucket_first
    step = -1 if side == DOWN else 1
    bucket, last = bucket_of(old_ticks), bucket_of(new_ticks)
    found = 0
    accounts = state.columns[CROSSED_ACCOUNT]
    while True:
        position = state.buckets[side, first + bucket]
        while position != NONE:
            row = state.positions[position]
            ticks = row.trigger_ticks[side]
            if (side == DOWN and ticks >= new_ticks) or (side == UP and ticks <= new_ticks):
                accounts[found] = row.account
                found += 1
            position = row.trigger_next[side]
        if bucket == last:
            return found
        bucket += step


@kernel
def _holders(state: State, market: int) -> int:
    """Gather the accounts with lots in a market; return how many."""
    accounts, found = state.columns[CROSSED_ACCOUNT], 0
    position = state.markets[market].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0:
            accounts[found] = row.account
            found += 1
        position = row.next_of_market
    return found


@kernel
def gather_holders(state: State, market: int) -> int:
    """Gather the accounts with lots in a market, in order of id: CROSSED_ACCOUNT, by CROSSED_ORDER;
    return how many.
    """
    found = _holders(state, market)
    sort_places(state.columns[CROSSED_ACCOUNT], state.columns[CROSSED_ORDER], state.columns[CROSSED_MERGE], found)
    return found


@kernel
def judge_gathered(state: State, found: int) -> None:
    """Judge the accounts of ``gather_holders``."""
    for place in range(found):
        account = state.columns[CROSSED_ACCOUNT, state.columns[CROSSED_ORDER, place]]
        if update_health(state, account) and state.accounts[account].health >= Health.DISTRESSED:
            _gather(state, account)


@kernel
def _judge_crossed(state: State, found: int) -> None:
    """Judge the accounts that were gathered, in order of id."""
    state.engine[0].crossed += found
    accounts = state.columns[CROSSED_ACCOUNT]
    order = state.columns[CROSSED_ORDER]
    sort_places(accounts, order, state.columns[CROSSED_MERGE], found)
    for place in range(found):
        account = accounts[order[place]]
        if update_health(state, account) and state.accounts[account].health >= Health.DISTRESSED:
            _gather(state, account)


@kernel
def _sweep(state: State, market: int, side: int, old_ticks: int) -> None:
    """Judge every account that it can have moved to another health that a market stands elsewhere
    among its triggers than at ``old_ticks``.

    Where funding has carried that place beyond all prices, every holder is judged, and the triggers
    begin anew from the mark.
    """
    row = state.markets[market]
    if place_ticks(state, market, DOWN) < 1 or place_ticks(state, market, UP) > row.price_ticks_max:
        row.shift_ticks[DOWN] = row.shift_ticks[UP] = 0
        found = _holders(state, market)
    else:
        found = _crossed(state, market, side, old_ticks, place_ticks(state, market, side))
    if found > 0:
        _judge_crossed(state, found)


@unit
def apply_mark(state: State, market: int, price_ticks: int) -> None:
    """Set a mark and judge every account that it can have moved to another health, in order of id
    (keeps INV-04).

    Cost: one step a bucket between the marks and one judgement a crossed trigger; neither depends
    on how many accounts there are.
    """
    row = state.markets[market]
    old = row.mark_ticks
    keep_epoch_mark(state, market, price_ticks)
    side = DOWN if price_ticks < old else UP
    before = place_ticks(state, market, side)
    row.mark_ticks = price_ticks
    if old != 0 and old != price_ticks:
        _sweep(state, market, side, before)


@unit
def judge_everyone(state: State) -> None:
    """Judge every account with lots, in order of id: the levels are others now.

    Cost: one judgement an account with lots.
    """
    for account in range(state.engine[0].accounts_now):
        if has_lots(state, account) and update_health(state, account) and state.accounts[account].health >= Health.DISTRESSED:
            _gather(state, account)


@unit
def apply_funding(state: State, market: int, step: int) -> None:
    """Move a market's funding index and judge every account that it can have moved to another
    health, in order of id (keeps INV-04).

    Nobody pays now. Cost: as of a mark that moves by as many ticks.
    """
    row = state.markets[market]
    before_down, before_up = place_ticks(state, market, DOWN), place_ticks(state, market, UP)
    side = move_index(state, market, step)
    emit_funding(state, market=market, step=step, index=row.funding_index)
    if row.mark_ticks == 0:
        row.shift_ticks[DOWN] = row.shift_ticks[UP] = 0
    else:
        _sweep(state, market, side, before_down if side == DOWN else before_up)


@kernel
def touch_defaulters(state: State, market: int) -> None:
    """Touch the accounts in default that have lots in a market, in order of id.

    Costs one step a row in the market.
    """
    found = 0
    accounts, order = state.columns[CROSSED_ACCOUNT], state.columns[CROSSED_ORDER]
    position = state.markets[market].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and state.accounts[row.account].health >= Health.DISTRESSED:
            accounts[found] = row.account
            found += 1
        position = row.next_of_market
    sort_places(accounts, order, state.columns[CROSSED_MERGE], found)
    for place in range(found):
        touch(state, accounts[order[place]])

"""Rules that change while the venue runs: what waits for its time, and what a change moves at once
(R10).

A change that waits is a row of ``State.changes``: number, market, entry, part, value, from when.
The rows are in order of time, then of the events that asked for them.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.breakers import make_dirty
from backstop.core.columns import CROSSED_ACCOUNT, CROSSED_ORDER, RELIEF_MARGIN
from backstop.core.contracts import notional_at_mark
from backstop.core.events import NEVER_NS, NONE, Change, EventArray, Health, Reject
from backstop.core.instruments import PPM, TIME_NS_MAX, TIME_STEP_NS_MAX
from backstop.core.margin import assess, maintenance_margin, position_margin
from backstop.core.monitor import gather_holders, judge_everyone, judge_gathered
from backstop.core.outbox import emit_parameter
from backstop.core.parameter_table import CHANGES_MAX, Scope
from backstop.core.position_rows import position_of
from backstop.core.relief import set_kept
from backstop.core.rule_rows import (
    IS_OF_FLOW,
    MOVES_LEVELS,
    MOVES_MARGIN,
    SCOPES,
    change_refusal,
    may_change,
    set_rule,
    update_derived,
)
from backstop.core.state import State
from backstop.core.units import mul_div_floor
from backstop.core.waits import wake_by

__all__ = [
    "CHANGE_ENTRY",
    "CHANGE_FROM_NS",
    "CHANGE_MARKET",
    "CHANGE_NUMBER",
    "CHANGE_PART",
    "CHANGE_VALUE",
    "apply_parameter",
    "give_notice",
    "next_change_ns",
    "parameter_refusal",
    "run_changes",
]

#: Columns of ``State.changes``.
CHANGE_NUMBER, CHANGE_MARKET, CHANGE_ENTRY, CHANGE_PART, CHANGE_VALUE, CHANGE_FROM_NS = 0, 1, 2, 3, 4, 5
_COLUMNS = 6


@kernel
def _place(number: int, market: int, entry: int, part: int) -> tuple[int, int, int]:
    """Return market, entry and part, without what the rule's scope does not look at."""
    scope = SCOPES[number]
    is_of_market = scope == Scope.MARKET or scope == Scope.TIER
    is_indexed = scope != Scope.VENUE and scope != Scope.MARKET
    return market if is_of_market else NONE, entry if is_indexed else 0, part if scope == Scope.COMMITMENT else 0


@kernel
def _find(state: State, number: int, market: int, entry: int, part: int) -> int:
    """Return the row of the change that waits for a place, or NONE."""
    for row in range(state.engine[0].changes_now):
        change = state.changes[row]
        if (
            change[CHANGE_NUMBER] == number
            and change[CHANGE_MARKET] == market
            and change[CHANGE_ENTRY] == entry
            and change[CHANGE_PART] == part
        ):
            return row
    return NONE


@kernel
def _move(state: State, source: int, target: int) -> None:
    for column in range(_COLUMNS):
        state.changes[target, column] = state.changes[source, column]


@kernel
def _remove(state: State, row: int) -> None:
    last = state.engine[0].changes_now - 1
    for place in range(row, last):
        _move(state, place + 1, place)
    state.engine[0].changes_now = last


@kernel
def _insert(state: State, number: int, market: int, entry: int, part: int, value: int, from_ns: int) -> None:
    """Let a change wait behind those of its time and before."""
    place = state.engine[0].changes_now
    while place > 0 and state.changes[place - 1, CHANGE_FROM_NS] > from_ns:
        _move(state, place - 1, place)
        place -= 1
    change = state.changes[place]
    change[CHANGE_NUMBER], change[CHANGE_MARKET], change[CHANGE_ENTRY], change[CHANGE_PART] = number, market, entry, part
    change[CHANGE_VALUE], change[CHANGE_FROM_NS] = value, from_ns
    state.engine[0].changes_now += 1


@kernel
def parameter_refusal(state: State, events: EventArray, row: int) -> int:
    """Return why a change of a rule is refused, or 0."""
    event = events[row]
    from_ns = event.price_ticks
    if not 0 <= from_ns <= TIME_NS_MAX or from_ns - event.time_ns > TIME_STEP_NS_MAX:
        return Reject.TIME_OUT_OF_RANGE
    is_at_once = from_ns <= event.time_ns
    number = event.code
    reason = change_refusal(state, number, event.market, event.other, event.lots, event.amount, event.time_ns, is_at_once)
    if reason != 0 or is_at_once or state.engine[0].changes_now < CHANGES_MAX:
        return reason
    market, entry, part = _place(number, event.market, event.other, event.lots)
    return Reject.CHANGE_LIMIT if _find(state, number, market, entry, part) == NONE else 0


@kernel
def _note_margins(state: State, market: int, found: int) -> None:
    """Note the margin of each holder's position before the tiers change."""
    for place in range(found):
        account = state.columns[CROSSED_ACCOUNT, place]
        position = position_of(state, account, market)
        notional = notional_at_mark(state, market, state.positions[position].lots)
        state.columns[RELIEF_MARGIN, account] = position_margin(state, position, notional)


@kernel
def _keep_notice(state: State, market: int) -> None:
    """Let a notice that waits be one of relief that begins now, too."""
    least_ns = state.engine[0].now_ns + state.rules[0].relief_notice_ns
    row = state.markets[market]
    if row.relief_ends_ns < least_ns:
        row.relief_ends_ns = least_ns


@kernel
def _relieve(state: State, market: int, found: int) -> None:
    """Let positions keep the margin that they had where the new one would sink their accounts
    (R10.5.2).
    """
    for place in range(found):
        account = state.columns[CROSSED_ACCOUNT, state.columns[CROSSED_ORDER, place]]
        position = position_of(state, account, market)
        notional = notional_at_mark(state, market, state.positions[position].lots)
        kept, full = state.columns[RELIEF_MARGIN, account], maintenance_margin(state, market, notional)
        has_relief = state.relieved[position] != 0
        if not has_relief and full <= kept:
            continue
        equity, maintenance = assess(state, account)
        needed = maintenance - position_margin(state, position, notional) + full
        if has_relief or state.accounts[account].health >= Health.DISTRESSED or equity < needed:
            set_kept(state, position, PPM if full <= kept else mul_div_floor(kept, PPM, full))
            if full > kept:
                _keep_notice(state, market)


@kernel
def _end_notice(state: State, market: int) -> None:
    """End all relief in a market, and judge those who had it."""
    state.markets[market].relief_ends_ns = NEVER_NS
    relieved = 0
    found = gather_holders(state, market)
    order = state.columns[CROSSED_ORDER]
    for place in range(found):
        position = position_of(state, state.columns[CROSSED_ACCOUNT, order[place]], market)
        if state.relieved[position] != 0:
            set_kept(state, position, PPM)
            order[relieved] = order[place]
            relieved += 1
    judge_gathered(state, relieved)


@kernel
def give_notice(state: State, market: int, notice_ns: int) -> None:
    """Let the relief in a market end after a notice; it takes the place of one that waits."""
    ends_ns = state.engine[0].now_ns + notice_ns
    state.markets[market].relief_ends_ns = ends_ns
    wake_by(state, ends_ns)


@kernel
def _take_effect(state: State, number: int, market: int, entry: int, part: int, value: int, from_ns: int) -> None:
    """Change a rule, and what follows from it at once."""
    found = 0
    if MOVES_MARGIN[number] != 0:
        found = gather_holders(state, market)
        _note_margins(state, market, found)
    set_rule(state, number, market, entry, part, value)
    update_derived(state, number, market, entry)
    state.engine[0].rules_changed += 1
    emit_parameter(state, number=number, market=market, entry=entry, part=part, status=Change.APPLIED, new_value=value, from_ns=from_ns)
    if IS_OF_FLOW[number] != 0:
        make_dirty(state, state.rules[0].markets if market == NONE else market)
    if MOVES_MARGIN[number] != 0:
        _relieve(state, market, found)
        judge_gathered(state, found)
    if MOVES_LEVELS[number] != 0:
        judge_everyone(state)
    # A timer, or a settlement, may be due earlier by it.
    wake_by(state, state.engine[0].now_ns)
    state.engine[0].settle_ns = min(state.engine[0].settle_ns, state.engine[0].now_ns)


@unit
def apply_parameter(state: State, number: int, market: int, entry: int, part: int, value: int, from_ns: int) -> None:
    """Change a rule, or let the change wait for its time. The last word on a place counts."""
    market, entry, part = _place(number, market, entry, part)
    waiting = _find(state, number, market, entry, part)
    if waiting != NONE:
        _remove(state, waiting)
    if from_ns <= state.engine[0].now_ns:
        _take_effect(state, number, market, entry, part, value, from_ns)
        return
    emit_parameter(state, number=number, market=market, entry=entry, part=part, status=Change.WAITING, new_value=value, from_ns=from_ns)
    _insert(state, number, market, entry, part, value, from_ns)
    wake_by(state, from_ns)


@kernel
def next_change_ns(state: State) -> int:
    """Return when the next change, or the end of a notice, is due, or ``NEVER_NS``."""
    first = _next_due_ns(state)
    for market in range(state.rules[0].markets):
        first = min(first, state.markets[market].relief_ends_ns)
    return first


@inlined
def _next_due_ns(state: State) -> int:
    return state.changes[0, CHANGE_FROM_NS] if state.engine[0].changes_now > 0 else NEVER_NS


@unit
def run_changes(state: State) -> None:
    """Let the changes that are due take effect; one that would contradict another rule is dropped. Then
    relief ends where notice was given.
    """
    while _next_due_ns(state) <= state.engine[0].now_ns:
        change = state.changes[0]
        number, market, entry, part = change[CHANGE_NUMBER], change[CHANGE_MARKET], change[CHANGE_ENTRY], change[CHANGE_PART]
        value, from_ns = change[CHANGE_VALUE], change[CHANGE_FROM_NS]
        _remove(state, 0)
        if may_change(state, number, market, entry, part, value):
            _take_effect(state, number, market, entry, part, value, from_ns)
        else:
            emit_parameter(
                state, number=number, market=market, entry=entry, part=part, status=Change.DROPPED, new_value=value, from_ns=from_ns
            )
    for market in range(state.rules[0].markets):
        if state.markets[market].relief_ends_ns <= state.engine[0].now_ns:
            _end_notice(state, market)

"""Rules that change while the venue runs (R10): the door, changes that wait, and what a change moves
at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from backstop.core.events import NEVER_NS, NONE, Change, EffectKind, Reject
from backstop.core.instruments import VenueRules, check_rules
from backstop.core.parameter_table import CHANGES_MAX, PARAMETERS, Scope, changed
from backstop.core.parameters import PPM, Moves
from backstop.reference.breakers import judge_accounts, mark_dirty, venue_number
from backstop.reference.listing import is_closed
from backstop.reference.margin import Standing
from backstop.reference.records import Event
from backstop.reference.state import State, WaitingChange

__all__ = ["apply_parameter", "next_change_ns", "place_of", "run_changes", "wrong_change"]

#: Rules that a machine's state follows from.
_OF_FLOW = ("flow_throttle", "flow_halt")


def place_of(event: Event) -> tuple[int, int, int, int]:
    """Return number, market, entry and part; what the scope does not look at is NONE or 0."""
    scope = PARAMETERS[event.code].scope
    market = event.market if scope in (Scope.MARKET, Scope.TIER) else NONE
    entry = event.other if scope not in (Scope.VENUE, Scope.MARKET) else 0
    return event.code, market, entry, event.lots if scope == Scope.COMMITMENT else 0


def wrong_change(state: State, event: Event) -> Iterator[tuple[bool, Reject]]:
    """Yield the checks of R10.2.2."""
    yield not 0 <= event.price_ticks <= 1 << 62 or event.price_ticks > event.time_ns + (1 << 53), Reject.TIME_OUT_OF_RANGE
    rule = PARAMETERS.get(event.code)
    scope = rule.scope if rule else None
    rules = state.rules
    yield scope in (Scope.MARKET, Scope.TIER) and not 0 <= event.market < len(rules.markets), Reject.UNKNOWN_MARKET
    yield scope in (Scope.PROVIDER, Scope.COMMITMENT) and not 0 <= event.other < len(rules.providers), Reject.UNKNOWN_PROVIDER
    yield rule is None, Reject.UNKNOWN_CODE
    assert rule is not None
    yield scope == Scope.TIER and not 0 <= event.other < len(rules.markets[event.market].tiers), Reject.UNKNOWN_CODE
    yield scope == Scope.ASSET and not 0 <= event.other < len(rules.assets), Reject.UNKNOWN_CODE
    yield scope == Scope.GROUP and not 0 <= event.other < len(rules.funds), Reject.UNKNOWN_CODE
    yield scope == Scope.COMMITMENT and not 0 <= event.lots < 2 * len(rules.funds), Reject.UNKNOWN_CODE
    yield not rule.parameter.low <= event.amount <= rule.parameter.high, Reject.AMOUNT_OUT_OF_RANGE
    is_price = rule.parameter.name == "price_ticks_max"
    yield is_price and event.amount > state.price_most[event.market], Reject.AMOUNT_OUT_OF_RANGE
    yield is_frozen(state, event.code, event.market, event.time_ns), Reject.RULE_IS_FIXED
    is_at_once = event.price_ticks <= event.time_ns
    yield is_at_once and not _holds(_with(rules, WaitingChange(*place_of(event), event.amount, 0))), Reject.RULES_CONTRADICT
    others = [change for change in state.changes if change.place != place_of(event)]
    yield not is_at_once and len(others) >= CHANGES_MAX, Reject.CHANGE_LIMIT


def is_frozen(state: State, number: int, market: int, time_ns: int) -> bool:
    """The rule stays as it is: a fixed one, but not of a market that is closed (R10.6.3)."""
    rule = PARAMETERS[number]
    is_of_market = rule.scope in (Scope.MARKET, Scope.TIER) and rule.parameter.name != "is_listed"
    return rule.parameter.is_fixed and not (is_of_market and is_closed(state, market, time_ns))


def _with(rules: VenueRules, change: WaitingChange) -> VenueRules:
    return changed(rules, change.number, market=change.market, entry=change.entry, part=change.part, value=change.value)


def _holds(rules: VenueRules) -> bool:
    try:
        check_rules(rules)
    except ValueError:
        return False
    return True


def apply_parameter(state: State, event: Event) -> None:
    """PARAMETER: the last word on a place counts."""
    change = WaitingChange(*place_of(event), event.amount, event.price_ticks)
    state.changes = [other for other in state.changes if other.place != change.place]
    if change.from_ns > state.now:
        _tell(state, change, Change.WAITING)
        state.changes.append(change)
        state.changes.sort(key=lambda other: other.from_ns)  # of one time: the one that was asked for first
    else:
        _take_effect(state, change)


def _standings(state: State, market: int) -> dict[int, tuple[Standing, int]]:
    """Return the standing of each account with lots in a market, and the margin of its position there."""
    holders = [number for number in range(len(state.accounts)) if state.held_lots(number, market)]
    return {number: (state.standing(number), state.holding(number, market).margin) for number in holders}


def relieve(state: State, market: int, before: dict[int, tuple[Standing, int]]) -> None:
    """Let positions keep the margin that they had where the new one would sink their accounts (R10.5.2)."""
    for number, (standing, kept) in before.items():
        holding = state.holding(number, market)
        has_relief = holding.kept_ppm < PPM
        sinks = state.accounts[number].in_default or standing.equity < standing.maintenance - kept + holding.full_margin
        if has_relief or (holding.full_margin > kept and sinks):
            state.keep(number, market, PPM if holding.full_margin <= kept else kept * PPM // holding.full_margin)
            if holding.full_margin > kept and market in state.notices:
                state.notices[market] = max(state.notices[market], state.now + state.rules.levels.relief_notice_ns)
    judge_accounts(state, before)


def give_notice(state: State, event: Event) -> None:
    """OPERATOR END_RELIEF: the relief in a market ends, later."""
    state.notices[event.market] = state.now + event.amount


def _end_notices(state: State) -> None:
    """End all relief in the markets whose notice is over."""
    for market in sorted(market for market, ends_ns in state.notices.items() if ends_ns <= state.now):
        del state.notices[market]
        relieved = [number for number in range(len(state.accounts)) if state.kept_ppm(number, market) < PPM]
        for number in relieved:
            state.end_relief(number, [market])
        judge_accounts(state, relieved)


def run_changes(state: State) -> None:
    """Let the changes that are due take effect, or drop them; then let relief end whose notice is over."""
    while state.changes and state.changes[0].from_ns <= state.now:
        change = state.changes.pop(0)
        if not is_frozen(state, change.number, change.market, state.now) and _holds(_with(state.rules, change)):
            _take_effect(state, change)
        else:
            _tell(state, change, Change.DROPPED)
    _end_notices(state)


def next_change_ns(state: State) -> int:
    """Return when the next change, or the end of a notice, is due."""
    return min([*(change.from_ns for change in state.changes[:1]), *state.notices.values()], default=NEVER_NS)


def _tell(state: State, change: WaitingChange, status: Change) -> None:
    state.emit(
        EffectKind.PARAMETER,
        code=change.number,
        market=change.market,
        other=change.entry,
        lots=change.part,
        price_ticks=status,
        amount=change.value,
        value=change.from_ns,
    )


def _take_effect(state: State, change: WaitingChange) -> None:
    rule = PARAMETERS[change.number]
    before = _standings(state, change.market) if rule.parameter.moves == Moves.MARGIN else {}
    state.rules = _with(state.rules, change)
    _tell(state, change, Change.APPLIED)
    if rule.parameter.name in _OF_FLOW:
        mark_dirty(state, change.market if rule.scope == Scope.MARKET else venue_number(state))
    if rule.parameter.moves == Moves.MARGIN:
        relieve(state, change.market, before)
    if rule.parameter.moves == Moves.LEVELS:
        judge_accounts(state, [number for number in range(len(state.accounts)) if state.held_markets(number)])

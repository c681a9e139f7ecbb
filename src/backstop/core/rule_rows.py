"""The rules in force, where kernels read them: one rule by number and place, and whether rules fit
each other (R10).
"""

from __future__ import annotations

import numpy as np
from numba import literal_unroll

from backstop.compiled import inlined, kernel
from backstop.core.contract_terms import ContractKind
from backstop.core.events import FUNDING_PARTS, InitialMargin, Reject, Stage
from backstop.core.instruments import FUNDING_ATOMS_MAX, NO_CAP, NOTIONAL_ATOMS_MAX, PPM
from backstop.core.parameter_table import PARAMETERS, Scope, listed
from backstop.core.parameters import Moves
from backstop.core.places import commitment_row
from backstop.core.rows import TRADED
from backstop.core.state import State
from backstop.core.units import compare_products, mul_div_floor

__all__ = [
    "IS_OF_FLOW",
    "MOVES_LEVELS",
    "MOVES_MARGIN",
    "SCOPES",
    "change_refusal",
    "is_closed",
    "may_change",
    "rule_value",
    "set_rule",
    "update_derived",
    "would_hold",
]

_COUNT = max(PARAMETERS) + 1
_ALL = tuple(PARAMETERS.values())
_VENUE_FIELDS = tuple(each.field for each in listed(Scope.VENUE))
_ASSET_FIELDS = tuple(each.field for each in listed(Scope.ASSET))
_MARKET_FIELDS = tuple(each.field for each in listed(Scope.MARKET))
_TIER_FIELDS = tuple(each.field for each in listed(Scope.TIER))
_GROUP_FIELDS = tuple(each.field for each in listed(Scope.GROUP))
_PROVIDER_FIELDS = tuple(each.field for each in listed(Scope.PROVIDER))
_COMMITMENT_FIELDS = tuple(each.field for each in listed(Scope.COMMITMENT))


def _by_number(values: dict[int, int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    table = np.zeros(_COUNT, dtype=np.int64)
    for number, value in values.items():
        table[number] = value
    return table


#: By number of a rule: its scope (0: no rule has the number), its place among the fields of that
#: scope, its bounds, and what it is besides.
SCOPES = _by_number({each.number: int(each.scope) for each in _ALL})
_FIELDS = _by_number({each.number: place for scope in Scope for place, each in enumerate(listed(scope))})
_LOW = _by_number({each.number: each.parameter.low for each in _ALL})
_HIGH = _by_number({each.number: each.parameter.high for each in _ALL})
_IS_FIXED = _by_number({each.number: int(each.parameter.is_fixed) for each in _ALL})
#: Numbers of the rules whether a market is listed, and of its highest price.
IS_LISTED = next(each.number for each in _ALL if each.parameter.name == "is_listed")
PRICE_TICKS_MAX = next(each.number for each in _ALL if each.parameter.name == "price_ticks_max")
MOVES_LEVELS = _by_number({each.number: int(each.parameter.moves == Moves.LEVELS) for each in _ALL})
MOVES_MARGIN = _by_number({each.number: int(each.parameter.moves == Moves.MARGIN) for each in _ALL})
IS_OF_FLOW = _by_number({each.number: int(each.parameter.name in ("flow_throttle", "flow_halt")) for each in _ALL})

_MARGIN_MOST = 999 * PPM * PPM // 1000


@kernel
def _tier_row(state: State, market: int, tier: int) -> int:
    return state.markets[market].tier_first + tier


@kernel
def _commitment_place(provider: int, part: int) -> int:
    return commitment_row(provider, part // 2, part % 2)


@kernel
def rule_value(state: State, number: int, market: int, entry: int, part: int) -> int:
    """Return a rule in force. The place must be known (``change_refusal``)."""
    scope, wanted = SCOPES[number], _FIELDS[number]
    place, value = 0, 0
    if scope == Scope.VENUE:
        for name in literal_unroll(_VENUE_FIELDS):
            if place == wanted:
                value = state.rules[0][name]
            place += 1
    elif scope == Scope.ASSET:
        for name in literal_unroll(_ASSET_FIELDS):
            if place == wanted:
                value = state.assets[entry][name]
            place += 1
    elif scope == Scope.MARKET:
        for name in literal_unroll(_MARKET_FIELDS):
            if place == wanted:
                value = state.markets[market][name]
            place += 1
    elif scope == Scope.TIER:
        for name in literal_unroll(_TIER_FIELDS):
            if place == wanted:
                value = state.tiers[_tier_row(state, market, entry)][name]
            place += 1
    elif scope == Scope.GROUP:
        for name in literal_unroll(_GROUP_FIELDS):
            if place == wanted:
                value = state.funds[entry][name]
            place += 1
    elif scope == Scope.PROVIDER:
        for name in literal_unroll(_PROVIDER_FIELDS):
            if place == wanted:
                value = state.providers[entry][name]
            place += 1
    else:
        for name in literal_unroll(_COMMITMENT_FIELDS):
            if place == wanted:
                value = state.commitments[_commitment_place(entry, part)][name]
            place += 1
    return value


@kernel
def set_rule(state: State, number: int, market: int, entry: int, part: int, value: int) -> None:
    """Write a rule; what follows from it is left to ``update_derived``."""
    scope, wanted = SCOPES[number], _FIELDS[number]
    place = 0
    if scope == Scope.VENUE:
        for name in literal_unroll(_VENUE_FIELDS):
            if place == wanted:
                state.rules[0][name] = value
            place += 1
    elif scope == Scope.ASSET:
        for name in literal_unroll(_ASSET_FIELDS):
            if place == wanted:
                state.assets[entry][name] = value
            place += 1
    elif scope == Scope.MARKET:
        for name in literal_unroll(_MARKET_FIELDS):
            if place == wanted:
                state.markets[market][name] = value
            place += 1
    elif scope == Scope.TIER:
        for name in literal_unroll(_TIER_FIELDS):
            if place == wanted:
                state.tiers[_tier_row(state, market, entry)][name] = value
            place += 1
    elif scope == Scope.GROUP:
        for name in literal_unroll(_GROUP_FIELDS):
            if place == wanted:
                state.funds[entry][name] = value
            place += 1
    elif scope == Scope.PROVIDER:
        for name in literal_unroll(_PROVIDER_FIELDS):
            if place == wanted:
                state.providers[entry][name] = value
            place += 1
    else:
        for name in literal_unroll(_COMMITMENT_FIELDS):
            if place == wanted:
                state.commitments[_commitment_place(entry, part)][name] = value
            place += 1


# -- what holds between rules ----------------------------------------------------------------------


@kernel
def _thresholds_hold(enter: int, worse: int, leave: int) -> bool:
    if enter != 0 and worse != 0 and enter > worse:
        return False
    first = enter if enter != 0 else worse
    return first == 0 or 0 < leave <= first


@kernel
def _is_whole(floor_atoms: int, rate_step_ppm: int) -> bool:
    """Return whether a step of the rate at a floor gives a whole deduction."""
    return (floor_atoms % PPM) * rate_step_ppm % PPM == 0


@kernel
def _highest_level_ppm(state: State) -> int:
    rules = state.rules[0]
    returned = rules.return_buffer_max_ppm if rules.return_buffer_ppm != 0 else 0
    return max(rules.warning_ratio_ppm, PPM + max(rules.exit_buffer_ppm, returned))


@kernel
def _top_rate_ppm(state: State, market: int) -> int:
    row = state.markets[market]
    top = 0
    for tier in range(row.tier_first, row.tier_first + row.tier_count):
        top = max(top, state.tiers[tier].maintenance_rate_ppm)
    return top


@kernel
def _tiers_hold(state: State, market: int) -> bool:
    row = state.markets[market]
    is_marginal = row.initial_margin == InitialMargin.MARGINAL
    if state.tiers[row.tier_first].floor_atoms != 0:
        return False
    for number in range(row.tier_count):
        tier = state.tiers[row.tier_first + number]
        if tier.maintenance_rate_ppm > tier.initial_rate_ppm:
            return False
        if number == 0:
            continue
        last = state.tiers[row.tier_first + number - 1]
        maintenance = tier.maintenance_rate_ppm - last.maintenance_rate_ppm
        initial = tier.initial_rate_ppm - last.initial_rate_ppm
        if tier.floor_atoms <= last.floor_atoms or maintenance < 0 or initial < 0:
            return False
        if not _is_whole(tier.floor_atoms, maintenance) or (is_marginal and not _is_whole(tier.floor_atoms, initial)):
            return False
    return _top_rate_ppm(state, market) * _highest_level_ppm(state) <= _MARGIN_MOST


@kernel
def is_closed(state: State, market: int, time_ns: int) -> bool:
    """Return whether nothing can happen in a market: it is not listed, and where it was settled, that is
    an epoch ago (R10.6.3).
    """
    if state.markets[market].is_listed != 0:
        return False
    breaker = state.breakers[market]
    return breaker.settlement == TRADED or time_ns - breaker.settled_ns >= state.rules[0].epoch_ns


@inlined
def _is_frozen(state: State, number: int, market: int, time_ns: int) -> bool:
    """Return whether a rule stays as it is: a fixed one, but not of a market that is closed."""
    if _IS_FIXED[number] == 0:
        return False
    is_of_market = SCOPES[number] == Scope.MARKET or SCOPES[number] == Scope.TIER
    return not is_of_market or number == IS_LISTED or not is_closed(state, market, time_ns)


@kernel
def _market_holds(state: State, market: int) -> bool:
    row = state.markets[market]
    if row.price_ticks_min > row.price_ticks_max or (row.contract_kind == ContractKind.LINEAR and row.price_ticks_min != 1):
        return False
    if row.group >= state.rules[0].groups or row.position_lots_max > ((1 << 62) - 1) // state.rules[0].accounts_max:
        return False
    if row.settlement_asset != state.funds[row.group].asset:
        return False
    if not _thresholds_hold(row.price_throttle_ppm, row.price_halt_ppm, row.price_exit_ppm):
        return False
    if not _thresholds_hold(row.flow_throttle, row.flow_halt, 1) or row.factor_loading_ppm == 0:
        return False
    lower, upper = row.interest_lower, row.interest_upper
    return lower < upper or lower == upper == 0


@kernel
def _venue_holds(state: State) -> bool:
    rules = state.rules[0]
    if PPM + rules.exit_buffer_ppm > rules.warning_ratio_ppm:
        return False
    if rules.drawdown_enter_ppm != 0 and not 0 < rules.drawdown_exit_ppm <= rules.drawdown_enter_ppm:
        return False
    if rules.assets > 1 and (rules.flow_throttle != 0 or rules.flow_halt != 0 or rules.venue_notional_max != NO_CAP):
        return False
    return _thresholds_hold(rules.flow_throttle, rules.flow_halt, 1)


@kernel
def _commitment_holds(state: State, provider: int, part: int) -> bool:
    """Return whether a provider commits itself to a group of its asset, or to nothing."""
    return (
        state.providers[provider].asset == state.funds[part // 2].asset
        or state.commitments[_commitment_place(provider, part)].capacity == 0
    )


@kernel
def _rules_hold(state: State, number: int, market: int, entry: int, part: int) -> bool:
    """Return whether the rules fit each other as far as one of them is concerned (R10.3)."""
    scope = SCOPES[number]
    if scope == Scope.MARKET:
        return _market_holds(state, market) and _tiers_hold(state, market)
    if scope == Scope.TIER:
        return _tiers_hold(state, market)
    if scope == Scope.COMMITMENT:
        return _commitment_holds(state, entry, part)
    if scope != Scope.VENUE:
        return True
    if not _venue_holds(state):
        return False
    if MOVES_LEVELS[number] == 0:
        return True
    top = 0
    for each in range(state.rules[0].markets):
        top = max(top, _top_rate_ppm(state, each))
    return top * _highest_level_ppm(state) <= _MARGIN_MOST


@kernel
def would_hold(state: State, number: int, market: int, entry: int, part: int, value: int) -> bool:
    """Return whether the rules would fit each other with one changed; all is as before afterwards."""
    old = rule_value(state, number, market, entry, part)
    set_rule(state, number, market, entry, part, value)
    holds = _rules_hold(state, number, market, entry, part)
    set_rule(state, number, market, entry, part, old)
    return holds


@kernel
def may_change(state: State, number: int, market: int, entry: int, part: int, value: int) -> bool:
    """Return whether a change that waited may take effect now."""
    if _is_frozen(state, number, market, state.engine[0].now_ns):
        return False
    return would_hold(state, number, market, entry, part, value)


@kernel
def change_refusal(state: State, number: int, market: int, entry: int, part: int, value: int, time_ns: int, is_at_once: bool) -> int:
    """Return why a rule cannot change so at a time, or later; its time and the number of changes apart."""
    scope = SCOPES[number] if 0 <= number < _COUNT else 0
    is_of_market = scope == Scope.MARKET or scope == Scope.TIER
    if is_of_market and not 0 <= market < state.rules[0].markets:
        return Reject.UNKNOWN_MARKET
    is_of_provider = scope == Scope.PROVIDER or scope == Scope.COMMITMENT
    if is_of_provider and not 0 <= entry < state.rules[0].providers:
        return Reject.UNKNOWN_PROVIDER
    if scope == 0:
        return Reject.UNKNOWN_CODE
    groups = state.rules[0].groups
    if scope == Scope.TIER and not 0 <= entry < state.markets[market].tier_count:
        return Reject.UNKNOWN_CODE
    if scope == Scope.ASSET and not 0 <= entry < state.rules[0].assets:
        return Reject.UNKNOWN_CODE
    if (scope == Scope.GROUP and not 0 <= entry < groups) or (scope == Scope.COMMITMENT and not 0 <= part < 2 * groups):
        return Reject.UNKNOWN_CODE
    if not _LOW[number] <= value <= _HIGH[number]:
        return Reject.AMOUNT_OUT_OF_RANGE
    if number == PRICE_TICKS_MAX and value > state.markets[market].price_ticks_most:
        return Reject.AMOUNT_OUT_OF_RANGE
    if _is_frozen(state, number, market, time_ns):
        return Reject.RULE_IS_FIXED
    return Reject.RULES_CONTRADICT if is_at_once and not would_hold(state, number, market, entry, part, value) else 0


# -- what follows from rules -----------------------------------------------------------------------


@kernel
def _update_stages(state: State) -> None:
    """Give the turns of the waterfall their times and policies."""
    rules = state.rules[0]
    for turn in range(len(state.stages)):
        row = state.stages[turn]
        row.interval_ns, row.deadline_ns = rules.interval_ns, rules.deadline_ns
        if row.kind == Stage.CLOSEOUT:
            row.answer_timeout_ns = rules.order_timeout_ns
        elif row.kind == Stage.TAKEOVER:
            row.deadline_ns, row.answer_timeout_ns = 2 * rules.deadline_ns, rules.answer_timeout_ns
        elif row.kind == Stage.ADL:
            row.policy = rules.adl_policy
        elif row.kind == Stage.SOCIALISE:
            row.policy = rules.socialise_policy
    rules.forced_ns = rules.deadline_ns + max(rules.deadline_ns, rules.carry_max_ns)


@kernel
def _update_caps(state: State, group: int) -> None:
    """Find the smallest cap on a fund's payments."""
    fund = state.funds[group]
    least = min(fund.loss_per_window_max, state.assets[fund.asset].owner_loss_max)
    for market in range(state.rules[0].markets):
        if state.markets[market].group == group:
            least = min(least, state.markets[market].loss_per_window_max)
    fund.least_cap = least


@kernel
def _update_tiers(state: State, market: int) -> None:
    """Work out a market's deductions, and what its funding means for triggers."""
    row = state.markets[market]
    for tier in range(row.tier_first, row.tier_first + row.tier_count):
        here = state.tiers[tier]
        here.initial_deduction = here.maintenance_deduction = 0
        if tier == row.tier_first:
            continue
        last = state.tiers[tier - 1]
        floor = here.floor_atoms
        here.maintenance_deduction = last.maintenance_deduction + _deduction(floor, here.maintenance_rate_ppm - last.maintenance_rate_ppm)
        if row.initial_margin == InitialMargin.MARGINAL:
            here.initial_deduction = last.initial_deduction + _deduction(floor, here.initial_rate_ppm - last.initial_rate_ppm)
    left_ppm = (PPM * PPM - _top_rate_ppm(state, market) * _highest_level_ppm(state)) // PPM
    if row.contract_kind == ContractKind.INVERSE:
        # A tick moves least at the highest price.
        squared = row.price_ticks_max * row.price_ticks_max
        is_more = compare_products(row.notional_factor, left_ppm, NO_CAP, squared) > 0
        row.funding_per_tick = NO_CAP if is_more else mul_div_floor(row.notional_factor, left_ppm, squared)
    else:
        # A market that is not listed may have any factor; less of it is on the safe side.
        row.funding_per_tick = min(row.notional_factor, NO_CAP // max(1, left_ppm)) * left_ppm


@kernel
def _deduction(floor_atoms: int, rate_step_ppm: int) -> int:
    """Return ``floor x step / 1e6``, which is whole, without a product that does not fit."""
    return floor_atoms // PPM * rate_step_ppm + floor_atoms % PPM * rate_step_ppm // PPM


@kernel
def update_derived(state: State, number: int, market: int, entry: int) -> None:
    """Bring up to date what follows from a rule that changed."""
    scope = SCOPES[number]
    if scope == Scope.VENUE:
        _update_stages(state)
        venue = state.breakers[state.rules[0].markets]
        venue.flow_throttle, venue.flow_halt = state.rules[0].flow_throttle, state.rules[0].flow_halt
        if MOVES_LEVELS[number] != 0:
            for each in range(state.rules[0].markets):
                _update_tiers(state, each)
    elif scope == Scope.ASSET:
        for group in range(state.rules[0].groups):
            _update_caps(state, group)
    elif scope == Scope.GROUP:
        _update_caps(state, entry)
    elif scope == Scope.MARKET:
        row, breaker = state.markets[market], state.breakers[market]
        breaker.flow_throttle, breaker.flow_halt = row.flow_throttle, row.flow_halt
        row.funding_index_max = FUNDING_PARTS * min(FUNDING_ATOMS_MAX, NOTIONAL_ATOMS_MAX // 2 // row.position_lots_max)
        _update_tiers(state, market)
        # The market may have left another group.
        for group in range(state.rules[0].groups):
            _update_caps(state, group)
    elif scope == Scope.TIER:
        _update_tiers(state, market)

"""Equity and margin of an account, exactly, and the zero price (R2 and R3)."""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.contracts import capped_value, closing, closing_cash, notional_at_mark, notional_of, ticks_for, worth_at_mark
from backstop.core.events import NONE, Health
from backstop.core.funding import unpaid_funding
from backstop.core.instruments import NO_CAP
from backstop.core.interest import initial_scale_ppm, others_lots
from backstop.core.results import bearing_lots, loss_to_bear
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_ceil, mul_div_floor, mul_mod

__all__ = [
    "assess",
    "equity_share",
    "exit_buffer",
    "gap_borne",
    "gross_notional",
    "initial_after",
    "initial_margin",
    "initial_margin_of",
    "maintenance_margin",
    "margin_after",
    "position_margin",
    "raw_health",
    "release_level",
    "release_without_returns",
    "relieved_margin",
    "released_margin",
    "restores",
    "tier_of",
    "zero_cash",
    "zero_price_ticks",
]

_PPM = 1_000_000
#: What the gap of an insolvent account is split by.
_BY_LOSS, _BY_MARGIN, _BY_NOTIONAL = 0, 1, 2
#: Notionals up to this may be multiplied by a rate in 63 bits.
_SMALL_NOTIONAL = 9_000_000_000_000


@inlined
def _rate_ceil(atoms: int, rate_ppm: int) -> int:
    """Return ``atoms x rate`` rounded up; ``atoms >= 0``."""
    if atoms <= _SMALL_NOTIONAL and rate_ppm <= _PPM:
        return (atoms * rate_ppm + (_PPM - 1)) // _PPM
    return mul_div_ceil(atoms, rate_ppm, _PPM)


@inlined
def tier_of(state: State, market: int, notional: int) -> int:
    """Return the row of the tier that holds ``notional``: the last whose floor is not above it."""
    row = state.markets[market]
    tier = row.tier_first
    last = tier + row.tier_count - 1
    while tier < last and state.tiers[tier + 1].floor_atoms <= notional:
        tier += 1
    return tier


@inlined
def maintenance_margin(state: State, market: int, notional: int) -> int:
    """Return the maintenance margin of a position of ``notional`` atoms, rounded up."""
    tier = state.tiers[tier_of(state, market, notional)]
    return _rate_ceil(notional, tier.maintenance_rate_ppm) - tier.maintenance_deduction


@kernel
def _kept(state: State, position: int, full: int) -> int:
    """Return the part of a margin that a position with relief needs, rounded up."""
    return mul_div_ceil(full, _PPM - state.relieved[position], _PPM)


@inlined
def position_margin(state: State, position: int, notional: int) -> int:
    """Return the maintenance margin of a position if it were worth ``notional`` atoms, rounded up;
    relief (R10.5) counts.
    """
    full = maintenance_margin(state, state.positions[position].market, notional)
    return full if state.engine[0].reliefs_now == 0 else _kept(state, position, full)


@kernel
def relieved_margin(state: State, account: int) -> int:
    """Return what an account need not have of its maintenance margin."""
    total = 0
    position = state.accounts[account].first_position
    while position != NONE:
        if state.relieved[position] != 0:
            row = state.positions[position]
            notional = notional_at_mark(state, row.market, row.lots)
            total += maintenance_margin(state, row.market, notional) - position_margin(state, position, notional)
        position = state.positions[position].next_of_account
    return total


@kernel
def initial_margin_of(state: State, market: int, lots: int, others: int, ticks: int) -> int:
    """Return the initial margin of ``lots`` of either sign at a price, rounded up.

    ``others`` are the lots by which the tier is higher: those of the owner's other accounts.
    """
    notional = notional_of(state, market, lots, ticks)
    size = notional if others == 0 else capped_value(state, market, abs(lots) + others, ticks, NO_CAP)
    tier = state.tiers[tier_of(state, market, size)]
    margin = _rate_ceil(notional, tier.initial_rate_ppm) - tier.initial_deduction
    scale = initial_scale_ppm(state, market)
    return margin if scale == 0 else margin + _rate_ceil(notional - margin, scale)


@kernel
def initial_margin(state: State, account: int) -> int:
    """Return the initial margin of an account, each position rounded up."""
    total = 0
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0:
            others = others_lots(state, account, row.market, row.lots)
            total += initial_margin_of(state, row.market, row.lots, others, state.markets[row.market].mark_ticks)
        position = row.next_of_account
    return total


@kernel
def assess(state: State, account: int) -> tuple[int, int]:
    """Return (equity, maintenance margin) of an account at the accepted marks.

    Notionals fit by the bound proved at load (``check_rules``), so only equity's sums are checked.
    """
    head = state.accounts[account]
    equity = head.balance
    maintenance = 0
    position = head.first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0:
            value, notional = worth_at_mark(state, row.market, row.lots)
            equity = add_checked(equity, value - row.cost)
            equity = add_checked(equity, unpaid_funding(state, position))
            maintenance += position_margin(state, position, notional)
        position = row.next_of_account
    return equity, maintenance


@inlined
def exit_buffer(state: State, account: int) -> int:
    """Return by how many ppm of its maintenance margin an account must exceed that to leave default.

    While it is in default each return adds to it, up to a highest.
    """
    rules = state.rules[0]
    buffer = rules.exit_buffer_ppm
    if rules.return_buffer_ppm == 0 or state.accounts[account].health < Health.DISTRESSED:
        return buffer
    most = max(buffer, rules.return_buffer_max_ppm)
    return min(buffer + min(state.defaults[account].returns, most) * rules.return_buffer_ppm, most)


@inlined
def release_level(state: State, account: int, maintenance: int) -> int:
    """Return the equity at which an account leaves default."""
    return _rate_ceil_wide(maintenance, _PPM + exit_buffer(state, account))


@inlined
def release_without_returns(state: State, maintenance: int) -> int:
    """Return the equity at which an account that never came back leaves default."""
    return _rate_ceil_wide(maintenance, _PPM + state.rules[0].exit_buffer_ppm)


@inlined
def _rate_ceil_wide(atoms: int, ratio_ppm: int) -> int:
    if atoms <= _SMALL_NOTIONAL // 10 and ratio_ppm <= 10 * _PPM:
        return (atoms * ratio_ppm + (_PPM - 1)) // _PPM
    return mul_div_ceil(atoms, ratio_ppm, _PPM)


@kernel
def raw_health(state: State, equity: int, maintenance: int) -> int:
    """Return the health that equity and maintenance margin give, without regard to what was
    before.
    """
    rules = state.rules[0]
    if equity < 0:
        return Health.INSOLVENT
    if equity >= maintenance:
        return Health.WARNED if equity < _rate_ceil_wide(maintenance, rules.warning_ratio_ppm) else Health.HEALTHY
    if equity < mul_div_floor(maintenance, rules.close_out_ratio_ppm, _PPM):
        return Health.CLOSE_OUT
    return Health.DISTRESSED


@kernel
def gross_notional(state: State, account: int) -> int:
    """Return the sum of an account's notionals at mark."""
    total = 0
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        total += notional_at_mark(state, row.market, row.lots)
        position = row.next_of_account
    return total


@inlined
def margin_after(state: State, position: int, change: int, maintenance: int) -> int:
    """Return the maintenance margin of an account after it trades signed ``change`` lots of a
    position.

    ``maintenance`` is the account's before: now, or after what a plan has closed of its other
    positions. Tiers are summed by position, so only this position's own margin changes.
    """
    row = state.positions[position]
    before = position_margin(state, position, notional_at_mark(state, row.market, row.lots))
    return maintenance - before + position_margin(state, position, notional_at_mark(state, row.market, row.lots + change))


@kernel
def initial_after(state: State, market: int, held: int, change: int, initial: int, others: int) -> int:
    """Return the initial margin of an account after it trades signed ``change`` lots of a market.

    It holds ``held`` lots there before, which are included in ``initial``, its initial margin then;
    ``others`` as ``initial_margin_of`` has them.
    """
    ticks = state.markets[market].mark_ticks
    before = initial_margin_of(state, market, held, others, ticks)
    return initial - before + initial_margin_of(state, market, held + change, others, ticks)


@inlined
def released_margin(state: State, position: int, lots: int, maintenance: int) -> int:
    """Return the maintenance margin that closing ``lots`` (> 0) releases: what there is less what
    is left.

    A sum over tiers never releases less than 0. Zero cash and the order of positions are defined by
    this number; everything else uses ``margin_after``.
    """
    return maintenance - margin_after(state, position, closing(state.positions[position].lots, lots), maintenance)


@inlined
def restores(state: State, position: int, lots: int, cost: int, equity: int, maintenance: int) -> bool:
    """Return whether closing ``lots`` (> 0) at ``cost`` atoms beyond mark restores the release
    level.
    """
    change = closing(state.positions[position].lots, lots)
    return equity - cost >= release_level(state, state.positions[position].account, margin_after(state, position, change, maintenance))


@kernel
def equity_share(state: State, position: int, lots: int, equity: int, maintenance: int) -> int:
    """Return the part of an account's equity that ``lots`` (> 0) of a position bear, rounded down.

    It is in proportion to released maintenance margin, or to notional where there is no margin.
    """
    if maintenance > 0:
        return mul_div_floor(equity, released_margin(state, position, lots, maintenance), maintenance)
    row = state.positions[position]
    return mul_div_floor(equity, notional_at_mark(state, row.market, lots), gross_notional(state, row.account))


@inlined
def _weight_of(state: State, position: int, kind: int) -> int:
    """Return by what a position takes part in the split of a gap."""
    if kind == _BY_LOSS:
        return loss_to_bear(state, position)
    row = state.positions[position]
    notional = notional_at_mark(state, row.market, row.lots)
    return position_margin(state, position, notional) if kind == _BY_MARGIN else notional


@kernel
def _weights(state: State, account: int, kind: int) -> int:
    """Return the sum of the weights of an account's positions."""
    total = 0
    position = state.accounts[account].first_position
    while position != NONE:
        total = add_checked(total, _weight_of(state, position, kind))
        position = state.positions[position].next_of_account
    return total


@kernel
def _part_of(state: State, position: int, total: int, weights: int, kind: int) -> int:
    """Return one position's part of ``total`` split over its account's positions, by largest
    remainder, tie by market.
    """
    own = _weight_of(state, position, kind)
    remainder = mul_mod(total, own, weights)
    left, ahead, is_before = total, 0, True
    other = state.accounts[state.positions[position].account].first_position
    while other != NONE:
        weight = _weight_of(state, other, kind)
        left -= mul_div_floor(total, weight, weights)
        if other == position:
            is_before = False
        else:
            theirs = mul_mod(total, weight, weights)
            if theirs > remainder or (theirs == remainder and is_before):
                ahead += 1
        other = state.positions[other].next_of_account
    return mul_div_floor(total, own, weights) + (1 if ahead < left else 0)


@kernel
def gap_borne(state: State, position: int, equity: int) -> int:
    """Return what a position bears of the gap of its insolvent account, ``-equity``. Atoms.

    Those that lost bear it, each at most its own loss; the rest goes by maintenance margin, or by
    notional where there is none.
    """
    row = state.positions[position]
    rest, by_loss = -equity, 0
    losses = _weights(state, row.account, _BY_LOSS)
    if losses > 0:
        split = min(rest, losses)
        by_loss = _part_of(state, position, split, losses, _BY_LOSS)
        by_loss = mul_div_floor(by_loss, abs(row.lots), max(1, bearing_lots(state, position)))
        rest -= split
    if rest == 0:
        return by_loss
    margins = _weights(state, row.account, _BY_MARGIN)
    if margins > 0:
        return by_loss + _part_of(state, position, rest, margins, _BY_MARGIN)
    return by_loss + _part_of(state, position, rest, gross_notional(state, row.account), _BY_NOTIONAL)


@kernel
def _part_borne(state: State, position: int, lots: int, equity: int) -> int:
    """Return what ``lots`` (> 0) of a position bear of the gap, rounded up: by maintenance margin
    released, or by lots where the position has none.
    """
    row, borne = state.positions[position], gap_borne(state, position, equity)
    whole = position_margin(state, position, notional_at_mark(state, row.market, row.lots))
    if whole == 0:
        return mul_div_ceil(borne, lots, abs(row.lots))
    return mul_div_ceil(borne, released_margin(state, position, lots, whole), whole)


@kernel
def zero_cash(state: State, position: int, lots: int, equity: int, maintenance: int) -> int:
    """Return the cash that closing ``lots`` (> 0) of a position gives its account at the zero
    price, rounded toward plus infinity. ``equity`` and ``maintenance`` are the account's.

    Of a solvent account, closing there leaves equity / maintenance unchanged. Of an insolvent one
    it brings the part of its gap that the lots bear, so that closing all leaves none.
    """
    row = state.positions[position]
    at_mark = closing_cash(state, row.market, row.lots, lots)
    if equity < 0:
        return add_checked(at_mark, _part_borne(state, position, lots, equity))
    return add_checked(at_mark, -equity_share(state, position, lots, equity, maintenance))


@kernel
def zero_price_ticks(state: State, market: int, is_sell: bool, lots: int, cash: int) -> int:
    """Return the zero price for ``cash`` over ``lots`` (> 0), rounded for the account and
    clamped.
    """
    ticks = ticks_for(state, market, -lots if is_sell else lots, cash)
    return min(max(ticks, state.markets[market].price_ticks_min), state.markets[market].price_ticks_max)

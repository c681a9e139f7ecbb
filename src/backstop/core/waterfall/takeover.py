"""Takeover: backstop providers assume positions at a price between mark and zero price; the venue
vault comes last.

Positions move, margin does not. Providers are offered lots, pro rata to what each can carry and its
score, and answer; the vault takes over at once. Where the account is insolvent the fund supports
the gap to zero cash, reserved before an offer leaves. Rules: R6.7.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, unit
from backstop.core.breakers import add_flow
from backstop.core.columns import OFFER_CAP, OFFER_LOTS, OFFER_PROVIDER, OFFER_WEIGHT, SPLIT_HEAP, SPLIT_REMAINDER, TURN_ACCOUNT
from backstop.core.contracts import closing, closing_cash, notional_at_mark
from backstop.core.doubt import may_force
from backstop.core.events import NEVER_NS, NONE, Answer, Cause, Health
from backstop.core.ledger import close_lots, trade
from backstop.core.margin import assess, margin_after, restores, zero_cash
from backstop.core.monitor import touch, update_health
from backstop.core.orders import cancel_excess, cancel_order, close_order, is_place_free, join_offers, open_order, order_side, reserve
from backstop.core.outbox import emit_offer, emit_takeover
from backstop.core.position_rows import open_position_row
from backstop.core.rows import TAKEOVER_OFFER
from backstop.core.search import largest_that
from backstop.core.stages import Outcome
from backstop.core.state import State
from backstop.core.units import add_checked, mul_div_ceil, mul_div_floor
from backstop.core.waits import wait_until
from backstop.core.waterfall.allocation import allocate
from backstop.core.waterfall.book_first import book_goes_first, is_before_book, share_atoms
from backstop.core.waterfall.charge import closing_charge, exit_cost, least_at_corners, pay_charge
from backstop.core.waterfall.cover import outcome_after_closing
from backstop.core.waterfall.fund import available_for_orders, pay, worst_support
from backstop.core.waterfall.providers import (
    can_take_over,
    cap_lots,
    carries,
    commitment_of,
    haste_ppm,
    initial_increase,
    provider_failed,
    provider_took,
    update_status,
)
from backstop.core.waterfall.turns import answer, deadline_ns, wait_interval

__all__ = ["apply_answer", "fail_offers", "take_over"]

_PPM = 1_000_000


@kernel
def _cost_atoms(state: State, position: int, lots: int, equity: int, maintenance: int) -> int:
    """Return what a solvent account pays for a takeover of ``lots``, the closing charge included: the
    providers' share of the way to zero, at least what the book would cost.
    """
    return max(share_atoms(state, position, lots, equity, maintenance), exit_cost(state, position, lots))


@kernel
def _restores_by_takeover(state: State, lots: int, terms: tuple[int, int, int, int, int]) -> bool:
    position, equity, maintenance, left_equity, left_maintenance = terms
    cost = _cost_atoms(state, position, lots, equity, maintenance)
    return restores(state, position, lots, cost, left_equity, left_maintenance)


@kernel
def _least_lots(state: State, position: int, equity: int, maintenance: int, left_equity: int, left_maintenance: int) -> int:
    """Return the least lots whose takeover restores the account, or 0 where none does."""
    return least_at_corners(_restores_by_takeover, state, position, (position, equity, maintenance, left_equity, left_maintenance))


@inlined
def _cash_at_mark(state: State, position: int, lots: int) -> int:
    row = state.positions[position]
    return closing_cash(state, row.market, row.lots, lots)


@kernel
def _transfer_cash(state: State, position: int, lots: int, zero: int, edge_ppm: int, solvent: bool) -> int:
    """Return the cash that the account gets for ``lots``, rounded toward plus infinity for it."""
    at_mark = _cash_at_mark(state, position, lots)
    if solvent:
        return max(zero, at_mark - mul_div_floor(at_mark - zero, state.rules[0].provider_share_ppm, _PPM))
    return at_mark - mul_div_floor(abs(at_mark), edge_ppm, _PPM)


@kernel
def _is_supported(state: State, lots: int, terms: tuple[int, int, int, int, int, int]) -> bool:
    """Return whether a fund can pay what ``lots`` may cost it if they are taken over in ``parts``
    at the largest edge.
    """
    position, edge_ppm, parts, available, equity, maintenance = terms
    at_mark = _cash_at_mark(state, position, lots)
    cash = at_mark - mul_div_floor(abs(at_mark), edge_ppm, _PPM)
    return worst_support(zero_cash(state, position, lots, equity, maintenance) - cash, parts) <= available


@kernel
def _supported_lots(state: State, position: int, lots: int, edge_ppm: int, parts: int, equity: int, maintenance: int) -> int:
    """Return the most lots, up to ``lots``, whose takeover the fund can support."""
    row = state.positions[position]
    available = available_for_orders(state, row.account, row.market)
    return largest_that(_is_supported, state, (position, edge_ppm, parts, available, equity, maintenance), lots)


@kernel
def _gather_providers(state: State, position: int, lots: int) -> int:
    """Gather the providers that can carry some of a position, the vault left out: number, cap,
    weight; return how many.
    """
    account = state.positions[position].account
    found = 0
    for provider in range(state.rules[0].providers):
        if provider == state.rules[0].vault:
            continue
        update_status(state, provider)
        if not can_take_over(state, provider, account):
            continue
        cap = cap_lots(state, provider, position, lots)
        if cap > 0:
            state.columns[OFFER_PROVIDER, found] = provider
            state.columns[OFFER_CAP, found] = cap
            state.columns[OFFER_WEIGHT, found] = max(1, mul_div_floor(cap, state.providers[provider].score_ppm, _PPM))
            found += 1
    return found


@kernel
def _offerable_lots(state: State, position: int, lots: int, found: int, equity: int, maintenance: int) -> int:
    """Return how many of ``lots`` the providers gathered can carry and the fund can support."""
    caps, edge = 0, 0
    for place in range(found):
        caps = add_checked(caps, state.columns[OFFER_CAP, place])
        commitment = commitment_of(state, state.columns[OFFER_PROVIDER, place], position)
        edge = max(edge, state.commitments[commitment].edge_ppm)
    most = min(lots, caps)
    if most > 0 and equity < 0:
        most = _supported_lots(state, position, most, edge, found, equity, maintenance)
    return most


@kernel
def _offer(state: State, position: int, provider: int, lots: int, zero: int, solvent: bool, expires_ns: int) -> None:
    """Offer ``lots`` (> 0) of a position to one provider; what it may use of its limits is held
    until it answers.
    """
    row = state.positions[position]
    commitment = commitment_of(state, provider, position)
    cash = _transfer_cash(state, position, lots, zero, state.commitments[commitment].edge_ppm, solvent)
    slot = open_order(state, position, TAKEOVER_OFFER, -lots if row.lots > 0 else lots, 0, zero)
    order = state.orders[slot]
    order.provider = provider
    order.commitment = commitment
    order.cash = cash
    order.expires_ns = expires_ns
    order.notional = notional_at_mark(state, row.market, lots)
    order.pending_initial = initial_increase(state, provider, position, lots)
    state.commitments[commitment].used += order.notional
    state.providers[provider].pending_initial += order.pending_initial
    state.providers[provider].pending_notional += order.notional
    state.offered[2 * provider + order_side(order.lots), row.market] += lots
    join_offers(state, slot)
    if not solvent:
        reserve(state, slot, max(0, zero - cash))
    emit_offer(
        state,
        offer_id=order.id,
        provider=provider,
        lots=order.lots,
        account=row.account,
        market=row.market,
        cash=cash,
        reserved=order.reserved,
    )


@kernel
def _offer_all(state: State, position: int, lots: int, found: int, equity: int, maintenance: int, expires_ns: int) -> int:
    """Offer ``lots`` of a position to the providers gathered, by cap and score, until a time; return
    how many lots left: fewer for want of a place.
    """
    parts = state.columns[OFFER_LOTS]
    allocate(
        lots,
        state.columns[OFFER_CAP],
        state.columns[OFFER_WEIGHT],
        parts,
        state.columns[SPLIT_REMAINDER],
        state.columns[SPLIT_HEAP],
        found,
    )
    total = zero_cash(state, position, lots, equity, maintenance)
    taken = 0
    for place in range(found):
        part = parts[place]
        if part > 0:
            if not is_place_free(state):
                return taken
            zero = mul_div_ceil(total, taken + part, lots) - mul_div_ceil(total, taken, lots)
            _offer(state, position, state.columns[OFFER_PROVIDER, place], part, zero, equity >= 0, expires_ns)
            taken += part
    return taken


@kernel
def _offer_takeover(state: State, turn: int, account: int) -> bool:
    """Offer what closing an account needs to the providers; return whether it now waits, for
    answers or for a place.

    No offer leaves after the turn's deadline: providers that take a little at a time keep nobody
    from the next stages for ever.
    """
    now = state.engine[0].now_ns
    if now >= deadline_ns(state, turn, account):
        return False
    equity, maintenance = assess(state, account)
    lacks_place = False
    left_equity, left_maintenance = equity, maintenance
    first_end_ns = NEVER_NS
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and may_force(state, account, row.market):
            least = _least_lots(state, position, equity, maintenance, left_equity, left_maintenance) if equity >= 0 else 0
            wanted = least if least > 0 else abs(row.lots)
            found = _gather_providers(state, position, wanted)
            lots = _offerable_lots(state, position, wanted, found, equity, maintenance)
            if lots > 0:
                expires_ns = now + max(1, mul_div_floor(state.stages[turn].answer_timeout_ns, _PPM, haste_ppm(state, row.market)))
                taken = _offer_all(state, position, lots, found, equity, maintenance, expires_ns)
                if taken > 0:
                    first_end_ns = min(first_end_ns, expires_ns)
                if taken < lots:
                    lacks_place = True
                    break
                left_equity -= _cost_atoms(state, position, lots, equity, maintenance) if equity >= 0 else 0
                left_maintenance = margin_after(state, position, closing(row.lots, lots), left_maintenance)
                if least > 0 and lots == wanted:
                    break
        position = row.next_of_account
    if first_end_ns != NEVER_NS:
        wait_until(state, account, first_end_ns)
    elif lacks_place:
        wait_interval(state, turn, account)
    return first_end_ns != NEVER_NS or lacks_place


@kernel
def _transfer(state: State, position: int, provider: int, lots: int, cash: int, order_id: int, support: int) -> None:
    """Move ``lots`` (> 0) of a position to a provider for exact ``cash``, with the fund's support
    in the same entry.
    """
    row = state.positions[position]
    taker = state.providers[provider].account
    change = -lots if row.lots > 0 else lots
    emit_takeover(
        state,
        provider=provider,
        lots=change,
        account=row.account,
        market=row.market,
        offer_id=order_id,
        cash=cash,
        support=support,
    )
    equity, _ = assess(state, row.account)
    charge = closing_charge(state, position, lots, _cash_at_mark(state, position, lots) - cash, equity)
    inventory = open_position_row(state, taker, row.market)
    close_lots(state, position, change, cash, 0, Cause.TAKEOVER, taker, lots)
    trade(state, inventory, -change, -cash, 0, Cause.TAKEOVER, row.account)
    pay_charge(state, row.account, row.market, charge)
    pay(state, row.account, state.markets[row.market].group, support, Cause.SUPPORT, row.market)


@kernel
def _settle_transfer(state: State, position: int, provider: int, lots: int) -> None:
    row = state.positions[position]
    taker = state.providers[provider].account
    row.closed_in_default = 1
    add_flow(state, row.market, notional_at_mark(state, row.market, lots))
    cancel_excess(state, open_position_row(state, taker, row.market))
    touch(state, row.account)
    touch(state, taker)


@kernel
def _take_position(state: State, position: int, equity: int, maintenance: int) -> None:
    """Let the vault take over what it can of one position, at once."""
    row, vault = state.positions[position], state.rules[0].vault
    least = _least_lots(state, position, equity, maintenance, equity, maintenance) if equity >= 0 else 0
    wanted = least if least > 0 else abs(row.lots)
    lots = cap_lots(state, vault, position, wanted)
    commitment = commitment_of(state, vault, position)
    edge = state.commitments[commitment].edge_ppm
    if lots > 0 and equity < 0:
        lots = _supported_lots(state, position, lots, edge, 1, equity, maintenance)
    if lots == 0:
        return
    zero = zero_cash(state, position, lots, equity, maintenance)
    cash = _transfer_cash(state, position, lots, zero, edge, equity >= 0)
    state.commitments[commitment].used += notional_at_mark(state, row.market, lots)
    _transfer(state, position, vault, lots, cash, 0, max(0, zero - cash) if equity < 0 else 0)
    _settle_transfer(state, position, vault, lots)


@kernel
def _take_over_by_vault(state: State, account: int) -> None:
    """Let the venue vault take over what it can of an account's positions, in order of market,
    while it is in default.
    """
    vault = state.rules[0].vault
    if vault == NONE:
        return
    position = state.accounts[account].first_position
    while position != NONE:
        row = state.positions[position]
        if row.lots != 0 and may_force(state, account, row.market):
            update_health(state, account)
            if state.accounts[account].health < Health.DISTRESSED:
                return
            update_status(state, vault)
            if can_take_over(state, vault, account):
                equity, maintenance = assess(state, account)
                _take_position(state, position, equity, maintenance)
        position = row.next_of_account


@kernel
def _take_over_account(state: State, turn: int, account: int) -> int:
    if is_before_book(state, turn) and book_goes_first(state, turn, account):
        return Outcome.NEXT
    if _offer_takeover(state, turn, account):
        return Outcome.WAIT
    _take_over_by_vault(state, account)
    return outcome_after_closing(state, account)


@unit
def take_over(state: State, turn: int, first: int, count: int) -> int:
    """Offer lots of the accounts of the turn to providers, else to the vault (see ``turns``)."""
    going = 0
    for place in range(first, first + count):
        going += answer(state, place, _take_over_account(state, turn, state.columns[TURN_ACCOUNT, place]))
    return going


@kernel
def _fail_joint(state: State, joint: int) -> None:
    """Count what is open of a joint offer as one failure of its provider, and cancel it."""
    slot = joint % state.rules[0].orders_max
    provider_failed(state, state.orders[slot].provider, state.orders[slot].market)
    while slot != NONE:
        order = state.orders[slot]
        if order.is_open != 0:
            cancel_order(state, slot)
            touch(state, order.account)
        slot = order.next_of_joint


@kernel
def fail_offers(state: State, account: int) -> None:
    """Count every joint offer that an account has an open offer of, and whose time to answer is over,
    as a failure of its provider.
    """
    now = state.engine[0].now_ns
    position = state.accounts[account].first_position
    while position != NONE and state.accounts[account].orders_open > 0:
        slot = state.positions[position].order_slot
        # What was offered of one position left at once, and expires at once.
        while slot != NONE and state.orders[slot].kind == TAKEOVER_OFFER and state.orders[slot].expires_ns <= now:
            _fail_joint(state, state.orders[slot].joint)
            slot = state.positions[position].order_slot
        position = state.positions[position].next_of_account


@kernel
def _accept(state: State, joint: int) -> None:
    """Transfer what a provider that accepts a joint offer can carry of it."""
    slot = joint % state.rules[0].orders_max
    update_status(state, state.orders[slot].provider)
    while slot != NONE:
        order = state.orders[slot]
        lots = abs(order.lots)
        if order.is_open != 0 and carries(state, order.provider, order.position, lots, order.cash):
            close_order(state, slot)
            _transfer(state, order.position, order.provider, lots, order.cash, order.id, order.reserved)
            reserve(state, slot, -order.reserved)
            _settle_transfer(state, order.position, order.provider, lots)
        slot = order.next_of_joint


@unit
def apply_answer(state: State, order_id: int, code: int) -> None:
    """Take a provider's answer to a joint offer, by one of its offers: the transfers, or a failure;
    nothing where none of it is open.
    """
    orders_max = state.rules[0].orders_max
    order = state.orders[order_id % orders_max]
    if order.id != order_id or order.joint == 0:
        return
    joint = order.joint
    first = state.orders[joint % orders_max]
    if first.id != joint or first.members == 0:
        return
    if code == Answer.ACCEPT:
        _accept(state, joint)
        if first.members == 0:
            provider_took(state, first.provider)
            return
    _fail_joint(state, joint)

"""Where effects leave: one row appended for everything the outside must do or know.

There is one emitter per kind of effect; its parameters are the fields that ``core/kinds.py``
declares for the kind, in that order. A test holds each emitter against the declaration. An emitter
is compiled as a part of its caller, so it costs no more than ``emit`` itself.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel, merged
from backstop.core.events import NONE, EffectKind
from backstop.core.state import State

__all__ = [
    "effects_left",
    "emit_adl_class",
    "emit_adl_fill",
    "emit_adl_line",
    "emit_adl_owner",
    "emit_adl_pick",
    "emit_adl_plan",
    "emit_adl_scale",
    "emit_breaker",
    "emit_cancel",
    "emit_carry",
    "emit_claim",
    "emit_doubt",
    "emit_fill_debt",
    "emit_funding",
    "emit_guard",
    "emit_haircut",
    "emit_health",
    "emit_naked_leg",
    "emit_offer",
    "emit_order",
    "emit_parameter",
    "emit_posting",
    "emit_provider",
    "emit_refusal",
    "emit_relief",
    "emit_reserve",
    "emit_residual",
    "emit_restrict",
    "emit_settlement",
    "emit_takeover",
    "emit_support",
    "emit_tear_up",
    "emit_trade",
    "has_room_for_event",
    "has_room_to_tell",
    "is_crowded",
    "is_filling",
]


@kernel
def emit(
    state: State, kind: int, code: int, market: int, account: int, other: int, lots: int, price_ticks: int, amount: int, value: int
) -> None:
    """Append one effect of the present event, column by column. Only the emitters below call it."""
    engine = state.engine[0]
    place = engine.effects_now
    if place - engine.effects_first >= state.rules[0].effects_max:
        raise OverflowError("Invariant: one event's effects fit in limits.effects_max")
    row = state.effects[place]
    row.seq = engine.last_seq
    row.kind = kind
    row.code = code
    row.market = market
    row.account = account
    row.other = other
    row.lots = lots
    row.price_ticks = price_ticks
    row.amount = amount
    row.value = value
    engine.effects_now = place + 1


@merged
def emit_refusal(state: State, reason: int, account: int, market: int, other: int, lots: int, price_ticks: int, amount: int) -> None:
    """Refuse an event."""
    emit(
        state,
        EffectKind.REFUSAL,
        code=reason,
        market=market,
        account=account,
        other=other,
        lots=lots,
        price_ticks=price_ticks,
        amount=amount,
        value=0,
    )


@merged
def emit_health(state: State, account: int, health: int, old_health: int, equity: int, maintenance_margin: int) -> None:
    """Report a new health of an account."""
    emit(
        state,
        EffectKind.HEALTH,
        code=health,
        market=NONE,
        account=account,
        other=old_health,
        lots=0,
        price_ticks=0,
        amount=equity,
        value=maintenance_margin,
    )


@merged
def emit_restrict(state: State, account: int) -> None:
    """Have an account's own open orders cancelled."""
    emit(state, EffectKind.RESTRICT, code=0, market=NONE, account=account, other=0, lots=0, price_ticks=0, amount=0, value=0)


@merged
def emit_order(state: State, order_id: int, account: int, market: int, lots: int, limit_ticks: int, zero_cash: int, reserved: int) -> None:
    """Send a closing order."""
    emit(
        state,
        EffectKind.ORDER,
        code=0,
        market=market,
        account=account,
        other=order_id,
        lots=lots,
        price_ticks=limit_ticks,
        amount=zero_cash,
        value=reserved,
    )


@merged
def emit_cancel(state: State, order_id: int, account: int, market: int, lots: int) -> None:
    """Cancel what is open of a closing order."""
    emit(state, EffectKind.CANCEL, code=0, market=market, account=account, other=order_id, lots=lots, price_ticks=0, amount=0, value=0)


@merged
def emit_trade(
    state: State, account: int, market: int, lots: int, price_ticks: int, counterpart: int, cause: int, cash: int, realised: int
) -> None:
    """Report the change of a position."""
    emit(
        state,
        EffectKind.TRADE,
        code=cause,
        market=market,
        account=account,
        other=counterpart,
        lots=lots,
        price_ticks=price_ticks,
        amount=cash,
        value=realised,
    )


@merged
def emit_posting(state: State, receiver: int, amount: int, payer: int, cause: int, market: int, asset: int) -> None:
    """Report money that moved."""
    emit(
        state,
        EffectKind.POSTING,
        code=cause,
        market=market,
        account=receiver,
        other=payer,
        lots=0,
        price_ticks=0,
        amount=amount,
        value=asset,
    )


@merged
def emit_reserve(state: State, change: int, order_id: int, account: int, market: int, reserved: int) -> None:
    """Report a change of the fund's reservations."""
    emit(
        state,
        EffectKind.RESERVE,
        code=0,
        market=market,
        account=account,
        other=order_id,
        lots=0,
        price_ticks=0,
        amount=change,
        value=reserved,
    )


@merged
def emit_adl_plan(
    state: State, account: int, lots: int, market: int, mark_ticks: int, policy: int, fills: int, cash: int, equity: int
) -> None:
    """Report an ADL as a whole."""
    emit(
        state,
        EffectKind.ADL_PLAN,
        code=policy,
        market=market,
        account=account,
        other=fills,
        lots=lots,
        price_ticks=mark_ticks,
        amount=cash,
        value=equity,
    )


@merged
def emit_adl_scale(state: State, account: int, wanted_lots: int, market: int) -> None:
    """Report how many lots of an account an ADL plan that closes fewer should have closed."""
    emit(state, EffectKind.ADL_SCALE, code=0, market=market, account=account, other=0, lots=wanted_lots, price_ticks=0, amount=0, value=0)


@merged
def emit_adl_class(
    state: State, account: int, adl_class: int, candidates: int, lots: int, market: int, full: int, eta_lots: int, eta_weight: int
) -> None:
    """Report what one class of counterparties gave to an ADL."""
    emit(
        state,
        EffectKind.ADL_CLASS,
        code=adl_class,
        market=market,
        account=account,
        other=candidates,
        lots=lots,
        price_ticks=full,
        amount=eta_lots,
        value=eta_weight,
    )


@merged
def emit_adl_line(
    state: State, account: int, members: int, lots: int, market: int, adl_class: int, least_lots: int, point: int, length: int
) -> None:
    """Report the line of those in a class whose shares are below the least; who is picked follows."""
    emit(
        state,
        EffectKind.ADL_LINE,
        code=adl_class,
        market=market,
        account=account,
        other=members,
        lots=lots,
        price_ticks=least_lots,
        amount=point,
        value=length,
    )


@merged
def emit_adl_pick(state: State, account: int, defaulter: int, market: int, share_lots: int, adl_class: int, begins: int) -> None:
    """Report one who is picked from the line of a class."""
    emit(
        state,
        EffectKind.ADL_PICK,
        code=adl_class,
        market=market,
        account=account,
        other=defaulter,
        lots=share_lots,
        price_ticks=0,
        amount=begins,
        value=0,
    )


@merged
def emit_adl_owner(
    state: State, account: int, fills: int, market: int, lots: int, adl_class: int, cap_lots: int, equity: int, weight: int
) -> None:
    """Report what an owner of several accounts gave to an ADL, or one whose leverage was levelled; his
    fills follow.
    """
    emit(
        state,
        EffectKind.ADL_OWNER,
        code=adl_class,
        market=market,
        account=account,
        other=fills,
        lots=lots,
        price_ticks=cap_lots,
        amount=equity,
        value=weight,
    )


@merged
def emit_adl_fill(
    state: State, account: int, defaulter: int, market: int, lots: int, adl_class: int, cash: int, cap_lots: int, weight: int
) -> None:
    """Report what one counterparty gave to an ADL."""
    emit(
        state,
        EffectKind.ADL_FILL,
        code=adl_class,
        market=market,
        account=account,
        other=defaulter,
        lots=lots,
        price_ticks=cap_lots,
        amount=cash,
        value=weight,
    )


@merged
def emit_tear_up(state: State, account: int, lots: int, market: int, mark_ticks: int, cash: int, gap: int) -> None:
    """Report a tear-up."""
    emit(
        state,
        EffectKind.TEAR_UP,
        code=0,
        market=market,
        account=account,
        other=0,
        lots=lots,
        price_ticks=mark_ticks,
        amount=cash,
        value=gap,
    )


@merged
def emit_support(state: State, account: int, market: int, support: int, gap: int, limit: int, cause: int, available: int) -> None:
    """Report what a fund pays of a gap, and what kept back the rest."""
    emit(
        state,
        EffectKind.SUPPORT,
        code=limit,
        market=market,
        account=account,
        other=cause,
        lots=available,
        price_ticks=0,
        amount=support,
        value=gap,
    )


@merged
def emit_residual(state: State, account: int, group: int, amount: int) -> None:
    """Report a deficit that nobody paid."""
    emit(state, EffectKind.RESIDUAL, code=0, market=NONE, account=account, other=group, lots=0, price_ticks=0, amount=amount, value=0)


@merged
def emit_breaker(state: State, market: int, breaker_state: int, old_state: int, cause: int, signal: int, until_ns: int) -> None:
    """Report a transition of a circuit breaker."""
    emit(
        state,
        EffectKind.BREAKER,
        code=breaker_state,
        market=market,
        account=NONE,
        other=old_state,
        lots=cause,
        price_ticks=0,
        amount=until_ns,
        value=signal,
    )


@merged
def emit_offer(state: State, offer_id: int, provider: int, lots: int, account: int, market: int, cash: int, reserved: int) -> None:
    """Offer a position to a backstop provider."""
    emit(
        state,
        EffectKind.OFFER,
        code=0,
        market=market,
        account=account,
        other=offer_id,
        lots=lots,
        price_ticks=provider,
        amount=cash,
        value=reserved,
    )


@merged
def emit_takeover(state: State, provider: int, lots: int, account: int, market: int, offer_id: int, cash: int, support: int) -> None:
    """Report a takeover."""
    emit(
        state,
        EffectKind.TAKEOVER,
        code=0,
        market=market,
        account=account,
        other=offer_id,
        lots=lots,
        price_ticks=provider,
        amount=cash,
        value=support,
    )


@merged
def emit_provider(state: State, provider: int, account: int, status: int, failures: int, score_ppm: int, until_ns: int) -> None:
    """Report the status and record of a backstop provider."""
    emit(
        state,
        EffectKind.PROVIDER,
        code=status,
        market=NONE,
        account=account,
        other=provider,
        lots=failures,
        price_ticks=0,
        amount=score_ppm,
        value=until_ns,
    )


@merged
def emit_haircut(state: State, payer: int, amount: int, defaulter: int, market: int, policy: int, weight: int, cap: int) -> None:
    """Report what one account pays of a socialised loss."""
    emit(
        state,
        EffectKind.HAIRCUT,
        code=policy,
        market=market,
        account=payer,
        other=defaulter,
        lots=cap,
        price_ticks=0,
        amount=amount,
        value=weight,
    )


@merged
def emit_claim(state: State, account: int, group: int, change: int, claim: int) -> None:
    """Report a change of a recovery claim."""
    emit(state, EffectKind.CLAIM, code=0, market=NONE, account=account, other=group, lots=0, price_ticks=0, amount=change, value=claim)


@merged
def emit_guard(state: State, price_ticks: int, market: int, action: int, accepted_ticks: int, move_ppm: int, until_ns: int) -> None:
    """Report what the price guard did with a mark price."""
    emit(
        state,
        EffectKind.GUARD,
        code=action,
        market=market,
        account=NONE,
        other=accepted_ticks,
        lots=0,
        price_ticks=price_ticks,
        amount=until_ns,
        value=move_ppm,
    )


@merged
def emit_doubt(state: State, market: int, reason: int, undoubted_ticks: int, mark_ticks: int) -> None:
    """Report that doubt about a mark price began, or ended."""
    emit(
        state,
        EffectKind.DOUBT,
        code=reason,
        market=market,
        account=NONE,
        other=mark_ticks,
        lots=0,
        price_ticks=undoubted_ticks,
        amount=0,
        value=0,
    )


@merged
def emit_settlement(state: State, market: int, source: int, price_ticks: int, mark_ticks: int) -> None:
    """Report that the settlement of a market began, or is done."""
    emit(
        state,
        EffectKind.SETTLEMENT,
        code=source,
        market=market,
        account=NONE,
        other=mark_ticks,
        lots=0,
        price_ticks=price_ticks,
        amount=0,
        value=0,
    )


@merged
def emit_funding(state: State, market: int, step: int, index: int) -> None:
    """Report that the funding index of a market moved."""
    emit(
        state,
        EffectKind.FUNDING,
        code=0,
        market=market,
        account=NONE,
        other=0,
        lots=0,
        price_ticks=0,
        amount=step,
        value=index,
    )


@merged
def emit_parameter(state: State, number: int, market: int, entry: int, part: int, status: int, new_value: int, from_ns: int) -> None:
    """Report that a change of a rule waits, took effect, or was dropped."""
    emit(
        state,
        EffectKind.PARAMETER,
        code=number,
        market=market,
        account=NONE,
        other=entry,
        lots=part,
        price_ticks=status,
        amount=new_value,
        value=from_ns,
    )


@merged
def emit_relief(state: State, account: int, market: int, kept_ppm: int, margin: int, full_margin: int) -> None:
    """Report that a position needs another part of its margin."""
    emit(
        state,
        EffectKind.RELIEF,
        code=0,
        market=market,
        account=account,
        other=0,
        lots=kept_ppm,
        price_ticks=0,
        amount=margin,
        value=full_margin,
    )


@merged
def emit_naked_leg(state: State, account: int, owner: int, naked_market: int, lots: int, market: int, before: int, after: int) -> None:
    """Report that what others' defaults took of an owner's positions left him with a larger exposure."""
    emit(
        state,
        EffectKind.NAKED_LEG,
        code=0,
        market=market,
        account=account,
        other=naked_market,
        lots=lots,
        price_ticks=owner,
        amount=before,
        value=after,
    )


@merged
def emit_carry(state: State, account: int, need: int, until_ns: int) -> None:
    """Report that a solvent account is carried."""
    emit(state, EffectKind.CARRY, code=0, market=NONE, account=account, other=0, lots=0, price_ticks=0, amount=need, value=until_ns)


@merged
def emit_fill_debt(state: State, account: int, winner: int, market: int, price_ticks: int, owed: int, mark_ticks: int) -> None:
    """Report what the winner of a fill owes its loser."""
    emit(
        state,
        EffectKind.FILL_DEBT,
        code=0,
        market=market,
        account=account,
        other=winner,
        lots=0,
        price_ticks=price_ticks,
        amount=owed,
        value=mark_ticks,
    )


@inlined
def has_room_for_event(state: State) -> bool:
    """Return whether the buffer has room for all effects that one more event may bring.

    Ask before an event, never within one: how large the buffer is decides nothing else.
    """
    return len(state.effects) - state.engine[0].effects_now >= state.rules[0].effects_max


@kernel
def effects_left(state: State) -> int:
    """Return how many effects the present event may still bring."""
    engine = state.engine[0]
    return state.rules[0].effects_max - (engine.effects_now - engine.effects_first)


@kernel
def is_crowded(state: State) -> bool:
    """Return whether the present event has brought more than half of the effects that it may
    bring.
    """
    engine = state.engine[0]
    return engine.effects_now - engine.effects_first > state.rules[0].effects_max // 2


@kernel
def is_filling(state: State) -> bool:
    """Return whether the present event has brought more than a quarter of the effects that it may
    bring: some may have to wait for the next.
    """
    engine = state.engine[0]
    return engine.effects_now - engine.effects_first > state.rules[0].effects_max // 4


@kernel
def has_room_to_tell(state: State) -> bool:
    """Return whether the present event has brought at most three quarters of the effects that it may
    bring: only then does it tell what moves nothing.
    """
    return 4 * effects_left(state) >= state.rules[0].effects_max

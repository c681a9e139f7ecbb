"""Backstop providers: who may be asked, how much each can carry, and how it stands after it failed.

A provider is an account of the engine, margined like any other, with standing commitments by market
group and direction. Rules: R6.7.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.contracts import closing, notional_at_mark, value_at_mark
from backstop.core.events import NEVER_NS, NONE, Health, Operator, ProviderStatus
from backstop.core.interest import others_lots
from backstop.core.margin import assess, gross_notional, initial_after, initial_margin
from backstop.core.outbox import emit_provider
from backstop.core.places import commitment_row
from backstop.core.position_rows import has_rows, needs_row, position_of
from backstop.core.search import largest_that
from backstop.core.state import State
from backstop.core.units import compare_products, mul_div_floor
from backstop.core.waits import wait_for_disposal

__all__ = [
    "bind_provider",
    "can_take_over",
    "carries",
    "cap_lots",
    "commitment_of",
    "haste_ppm",
    "initial_increase",
    "provider_failed",
    "provider_took",
    "shift_baseline",
    "switch_provider",
    "update_status",
]

_PPM = 1_000_000
_SECOND_NS = 1_000_000_000
_SCORE_MIN_PPM = 1_000


@kernel
def _set_status(state: State, provider: int, status: int, until_ns: int) -> None:
    row = state.providers[provider]
    row.status = status
    row.until_ns = until_ns
    emit_provider(
        state,
        provider=provider,
        account=row.account,
        status=status,
        failures=row.failures,
        score_ppm=row.score_ppm,
        until_ns=until_ns,
    )


@kernel
def bind_provider(state: State, account: int, provider: int) -> None:
    """Make an account that of a provider."""
    row = state.providers[provider]
    row.account = account
    row.score_ppm = _PPM
    row.failures = 0
    row.baseline, _ = assess(state, account)
    _set_status(state, provider, ProviderStatus.ON, NEVER_NS)
    if state.accounts[account].health < Health.DISTRESSED:
        wait_for_disposal(state, account)


@kernel
def shift_baseline(state: State, account: int, amount: int) -> None:
    """Count cash that a provider brought or took neither as gain nor as loss."""
    for provider in range(state.rules[0].providers):
        if state.providers[provider].account == account:
            state.providers[provider].baseline += amount


@kernel
def switch_provider(state: State, provider: int, code: int) -> None:
    """Switch a provider off until an operator switches it on, or on with a clean slate."""
    row = state.providers[provider]
    if code == Operator.PROVIDER_OFF:
        _set_status(state, provider, ProviderStatus.OFF, NEVER_NS)
        return
    row.failures = 0
    row.baseline, _ = assess(state, row.account)
    _set_status(state, provider, ProviderStatus.ON, NEVER_NS)


@kernel
def update_status(state: State, provider: int) -> None:
    """Bring a provider's status up to date: its time out is over, its loss stop is reached, or it
    recovered.
    """
    row = state.providers[provider]
    if row.account == NONE:
        return
    if (row.status == ProviderStatus.OFF or row.status == ProviderStatus.COOLING) and row.until_ns <= state.engine[0].now_ns:
        if row.status == ProviderStatus.OFF:
            row.failures = 0
        _set_status(state, provider, ProviderStatus.ON, NEVER_NS)
    if row.status == ProviderStatus.OFF:
        return
    equity, _ = assess(state, row.account)
    loss = row.baseline - equity
    if row.status != ProviderStatus.STOPPED and loss >= row.loss_stop:
        _set_status(state, provider, ProviderStatus.STOPPED, NEVER_NS)
    elif row.status == ProviderStatus.STOPPED and loss <= row.loss_stop // 2:
        _set_status(state, provider, ProviderStatus.ON, NEVER_NS)


@kernel
def can_take_over(state: State, provider: int, account: int) -> bool:
    """Return whether a provider may be asked to take over from an account; its status must be up to
    date.

    Never from its own owner: who gains on both sides would be paid by the fund (R6.7).
    """
    row = state.providers[provider]
    if row.account == NONE or row.status != ProviderStatus.ON:
        return False
    head = state.accounts[row.account]
    return head.health < Health.DISTRESSED and head.owner != state.accounts[account].owner


@inlined
def commitment_of(state: State, provider: int, position: int) -> int:
    """Return the row of a provider's commitment for a position: its market's group and its
    direction.
    """
    row = state.positions[position]
    return commitment_row(provider, state.markets[row.market].group, 0 if row.lots > 0 else 1)


@kernel
def _free_atoms(state: State, commitment: int) -> int:
    """Return what is free of a commitment now: what was used comes back at its refill, atom by
    atom.

    ``used_ns`` stays behind by the time of the part of an atom that was not given back.
    """
    row, now = state.commitments[commitment], state.engine[0].now_ns
    elapsed = now - row.used_ns
    row.used_ns = now
    if row.used > 0 and row.refill_per_s > 0:
        # Enough seconds to refill it all, or a product that fits.
        if elapsed // _SECOND_NS > row.used // row.refill_per_s:
            row.used = 0
        else:
            row.used = max(0, row.used - mul_div_floor(row.refill_per_s, elapsed, _SECOND_NS))
            if row.used > 0:
                part = (row.refill_per_s % _SECOND_NS) * (elapsed % _SECOND_NS) % _SECOND_NS
                row.used_ns = now - part // row.refill_per_s
    return max(0, row.capacity - row.used)


@kernel
def _fits(state: State, lots: int, terms: tuple[int, int, int, int, int, int, int, int]) -> bool:
    """Return whether a provider can carry ``lots`` more of a position; ``promised`` as
    ``_promised_lots`` says.
    """
    provider, position, promised, free, limit, equity, initial, others = terms
    market, place = state.positions[position].market, state.providers[provider]
    change = -closing(state.positions[position].lots, lots)
    after = notional_at_mark(state, market, promised + change)
    if notional_at_mark(state, market, lots) > free or after > limit:
        return False
    if abs(promised + change) > state.markets[market].position_lots_max:
        return False
    if equity < initial_after(state, market, promised, change, initial, others) + place.pending_initial:
        return False
    gross = gross_notional(state, place.account) - notional_at_mark(state, market, promised) + after + place.pending_notional
    return compare_products(gross, _PPM, equity, place.leverage_ppm) <= 0


@kernel
def _held_lots(state: State, account: int, market: int) -> int:
    position = position_of(state, account, market)
    return 0 if position == NONE else state.positions[position].lots


@kernel
def _others_lots(state: State, provider: int, market: int) -> int:
    """Return the lots of a provider's owner's other accounts in a market, where they count."""
    account = state.providers[provider].account
    return others_lots(state, account, market, _held_lots(state, account, market))


@kernel
def _promised_lots(state: State, provider: int, position: int) -> int:
    """Return the lots that a provider would hold if it took all that it was offered in a position's
    market and direction.
    """
    row = state.positions[position]
    held = _held_lots(state, state.providers[provider].account, row.market)
    if row.lots > 0:
        return held + state.offered[2 * provider, row.market]
    return held - state.offered[2 * provider + 1, row.market]


@kernel
def _has_row(state: State, account: int, market: int) -> bool:
    return not needs_row(state, account, market) or has_rows(state, 1)


@kernel
def cap_lots(state: State, provider: int, position: int, most: int) -> int:
    """Return the most lots, up to ``most``, of a position that a provider can carry within its
    commitment and its margin.
    """
    row, place = state.positions[position], state.providers[provider]
    commitment = commitment_of(state, provider, position)
    free = _free_atoms(state, commitment)
    limit = state.commitments[commitment].position_notional_max
    if free == 0 or not _has_row(state, place.account, row.market):
        return 0
    promised = _promised_lots(state, provider, position)
    equity, _ = assess(state, place.account)
    initial = initial_margin(state, place.account)
    terms = (provider, position, promised, free, limit, equity, initial, _others_lots(state, provider, row.market))
    return largest_that(_fits, state, terms, most) if most > 0 and _fits(state, 0, terms) else 0


@kernel
def initial_increase(state: State, provider: int, position: int, lots: int) -> int:
    """Return by how much ``lots`` (> 0) of a position, beside what it was offered there, raise a
    provider's initial margin, at least 0.
    """
    row = state.positions[position]
    promised, change = _promised_lots(state, provider, position), -closing(row.lots, lots)
    return max(0, initial_after(state, row.market, promised, change, 0, _others_lots(state, provider, row.market)))


@kernel
def carries(state: State, provider: int, position: int, lots: int, cash: int) -> bool:
    """Return whether a provider that accepts ``lots`` (> 0) of a position for ``cash`` can carry
    them, exactly.
    """
    row, place = state.positions[position], state.providers[provider]
    if (
        place.status == ProviderStatus.OFF
        or place.status == ProviderStatus.STOPPED
        or state.accounts[place.account].health >= Health.DISTRESSED
    ):
        return False
    if not _has_row(state, place.account, row.market):
        return False
    held = _held_lots(state, place.account, row.market)
    change = -closing(row.lots, lots)
    if abs(held + change) > state.markets[row.market].position_lots_max:
        return False
    equity, _ = assess(state, place.account)
    value = value_at_mark(state, row.market, held + change) - value_at_mark(state, row.market, held)
    others = _others_lots(state, provider, row.market)
    return equity + value - cash >= initial_after(state, row.market, held, change, initial_margin(state, place.account), others)


@kernel
def provider_took(state: State, provider: int) -> None:
    """Raise the score of a provider that did what it accepted."""
    row = state.providers[provider]
    row.score_ppm += (_PPM - row.score_ppm) // 8
    row.failures = 0


@kernel
def haste_ppm(state: State, market: int) -> int:
    """Return how much faster than usual a market moves by the range of its marks, 1 to 4 [ppm]: so
    much shorter its offers live, and so much more a failure costs.
    """
    usual, row = state.rules[0].offer_range_ppm, state.breakers[market]
    if usual == 0:
        return _PPM
    low, high = min(row.low_ticks[0], row.low_ticks[1]), max(row.high_ticks[0], row.high_ticks[1])
    return max(_PPM, min(4 * _PPM, mul_div_floor(mul_div_floor(high - low, _PPM, low), _PPM, usual)))


@kernel
def provider_failed(state: State, provider: int, market: int) -> None:
    """Lower the score of a provider that refused, did not answer, or could not carry what it
    accepted in a market; switch it off.
    """
    row, rules, haste = state.providers[provider], state.rules[0], haste_ppm(state, market)
    cut_ppm = min(750_000, 250_000 * haste // _PPM)
    row.score_ppm = max(_SCORE_MIN_PPM, row.score_ppm - row.score_ppm * cut_ppm // _PPM)
    status, until_ns = row.status, row.until_ns
    if status == ProviderStatus.ON:  # what else is missing in one silence is the same failure
        row.failures += 1
        if row.failures >= rules.failures_max:
            status, until_ns = ProviderStatus.OFF, state.engine[0].now_ns + rules.off_ns
        else:
            status, until_ns = ProviderStatus.COOLING, state.engine[0].now_ns + mul_div_floor(rules.retry_ns, haste, _PPM)
    _set_status(state, provider, status, until_ns)

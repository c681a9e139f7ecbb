"""How a backstop provider stands with the engine: switched on and off, failing, stopped, asked
again (R6.7.2).
"""

from __future__ import annotations

from backstop.core.events import NEVER_NS, NONE, EffectKind, ProviderStatus
from backstop.core.instruments import PPM
from backstop.reference.offering import LossStop, changes_due, haste, refusal_to_ask, score_after_failure
from backstop.reference.records import Event
from backstop.reference.state import State

__all__ = ["bind", "bring_up_to_date", "fail", "haste_of", "is_able", "switch_off", "switch_on"]


def report(state: State, number: int) -> None:
    """PROVIDER: how the provider stands now."""
    provider = state.providers[number]
    state.emit(
        EffectKind.PROVIDER,
        code=provider.status,
        account=provider.account,
        other=number,
        lots=provider.failures,
        amount=provider.score,
        value=provider.until,
    )


def enter(state: State, number: int, status: ProviderStatus, until: int = NEVER_NS) -> None:
    """Change the status and report it."""
    provider = state.providers[number]
    provider.status, provider.until = status, until
    report(state, number)


def bind(state: State, event: Event) -> None:
    """PROVIDER: an account becomes a provider's."""
    provider = state.providers[event.other]
    provider.account, provider.score, provider.failures = event.account, PPM, 0
    provider.baseline = state.equity(event.account)
    enter(state, event.other, ProviderStatus.ON)
    state.await_disposal(event.account)


def switch_off(state: State, number: int) -> None:
    """OPERATOR PROVIDER_OFF."""
    enter(state, number, ProviderStatus.OFF)


def switch_on(state: State, number: int) -> None:
    """OPERATOR PROVIDER_ON."""
    provider = state.providers[number]
    provider.failures, provider.baseline = 0, state.equity(provider.account)
    enter(state, number, ProviderStatus.ON)


def bring_up_to_date(state: State, number: int) -> None:
    """End what time ended; stop a provider that lost too much, and let it go on when it has
    recovered half of it.
    """
    provider = state.providers[number]
    if provider.account == NONE:
        return
    loss = LossStop(state.rules.providers[number].loss_stop, provider.baseline, state.equity(provider.account))
    for status in changes_due(ProviderStatus(provider.status), provider.until, state.now, loss):
        if provider.status == ProviderStatus.OFF:
            provider.failures = 0
        enter(state, number, status)


def haste_of(state: State, market: int) -> int:
    """How much faster than usual the market moves."""
    breaker = state.breakers[market]
    return haste(min(breaker.low), max(breaker.high), state.rules.takeover.offer_range_ppm)


def fail(state: State, number: int, market: int) -> None:
    """The provider refused, was silent, or accepted what it could not take."""
    provider, rules, haste_ppm = state.providers[number], state.rules.takeover, haste_of(state, market)
    provider.score = score_after_failure(provider.score, haste_ppm)
    if provider.status != ProviderStatus.ON:
        report(state, number)
        return
    provider.failures += 1
    if provider.failures >= rules.failures_max:
        enter(state, number, ProviderStatus.OFF, state.now + rules.off_ns)
    else:
        enter(state, number, ProviderStatus.COOLING, state.now + rules.retry_ns * haste_ppm // PPM)


def is_able(state: State, number: int, defaulter: int) -> bool:
    """The provider, brought up to date, may be asked to take over from this account."""
    provider = state.providers[number]
    if provider.account == NONE:
        return False
    account = state.accounts[provider.account]
    is_linked = account.owner == state.accounts[defaulter].owner
    return refusal_to_ask(ProviderStatus(provider.status), in_default=account.in_default, is_linked=is_linked) is None

"""The takeover stage (section 6): offers to backstop providers, their answers, the venue vault and its disposal."""

from __future__ import annotations

from dataclasses import dataclass

from backstop.core.events import NEVER_NS, NONE, Answer, Cause, EffectKind, ProviderStatus
from backstop.core.instruments import PPM, CommitmentRules, ProviderRules
from backstop.reference.allocation import capped_pro_rata
from backstop.reference.arithmetic import ceil_div, largest_that, least_that, sign
from backstop.reference.breakers import add_flow
from backstop.reference.closeout import Closing, send
from backstop.reference.records import Event
from backstop.reference.state import DISPOSAL_ORDER, TAKEOVER_OFFER, Order, Provider, State, margin_atoms

__all__ = ["answer", "bind", "dispose", "fail", "switch_off", "switch_on", "takeover_waits"]

NS_PER_S = 1_000_000_000
#: A score never falls below this.
SCORE_MIN_PPM = 1_000


# -- standing of a provider --------------------------------------------------------------------


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
    account = state.accounts[event.account]
    if state.is_vault(event.account) and state.held_markets(event.account) and not account.in_default and account.wait_until == NEVER_NS:
        account.wait_until = state.now + state.rules.disposal.interval_ns


def switch_off(state: State, number: int) -> None:
    """OPERATOR PROVIDER_OFF."""
    enter(state, number, ProviderStatus.OFF)


def switch_on(state: State, number: int) -> None:
    """OPERATOR PROVIDER_ON."""
    provider = state.providers[number]
    provider.failures, provider.baseline = 0, state.equity(provider.account)
    enter(state, number, ProviderStatus.ON)


def bring_up_to_date(state: State, number: int) -> None:
    """End what time ended; stop a provider that lost too much, and let it go on when it has recovered half of it."""
    provider, loss_stop = state.providers[number], state.rules.providers[number].loss_stop
    if provider.account == NONE:
        return
    if provider.status in (ProviderStatus.OFF, ProviderStatus.COOLING) and provider.until <= state.now:
        if provider.status == ProviderStatus.OFF:
            provider.failures = 0
        enter(state, number, ProviderStatus.ON)
    loss = provider.baseline - state.equity(provider.account)
    if provider.status in (ProviderStatus.ON, ProviderStatus.COOLING) and loss >= loss_stop:
        enter(state, number, ProviderStatus.STOPPED)
    if provider.status == ProviderStatus.STOPPED and loss <= loss_stop // 2:
        enter(state, number, ProviderStatus.ON)


def fail(state: State, number: int) -> None:
    """The provider refused, was silent, or accepted what it could not take."""
    provider, rules = state.providers[number], state.rules.takeover
    provider.score = max(SCORE_MIN_PPM, provider.score - provider.score // 4)
    if provider.status != ProviderStatus.ON:
        report(state, number)
        return
    provider.failures += 1
    if provider.failures >= rules.failures_max:
        enter(state, number, ProviderStatus.OFF, state.now + rules.off_ns)
    else:
        enter(state, number, ProviderStatus.COOLING, state.now + rules.retry_ns)


def is_able(state: State, number: int, defaulter: int) -> bool:
    """The provider may be asked to take over from this account."""
    provider = state.providers[number]
    if provider.account == NONE or provider.status != ProviderStatus.ON:
        return False
    account = state.accounts[provider.account]
    return account.owner != state.accounts[defaulter].owner and not account.in_default


# -- how much ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taker:
    """A provider as one position's taker; ``closing`` is that position."""

    closing: Closing
    number: int

    @property
    def state(self) -> State:
        """Everything."""
        return self.closing.state

    @property
    def provider(self) -> Provider:
        """Its standing."""
        return self.state.providers[self.number]

    @property
    def rules(self) -> ProviderRules:
        """Its rules."""
        return self.state.rules.providers[self.number]

    @property
    def commitment(self) -> CommitmentRules:
        """What it takes of this group and direction."""
        return self.rules.commitments[self.state.group(self.closing.market)][0 if self.closing.held > 0 else 1]

    @property
    def held(self) -> int:
        """Signed lots that it has in the market."""
        return self.state.held_lots(self.provider.account, self.closing.market)

    @property
    def promised(self) -> int:
        """Signed lots that it would have, if it took all that it was offered in this market and direction."""
        side = sign(self.closing.held)
        offers = (order for order in self.state.open_orders.values() if order.kind == TAKEOVER_OFFER and order.provider == self.number)
        return self.held + side * sum(abs(offer.lots) for offer in offers if offer.market == self.closing.market and offer.lots * side < 0)

    def promised_after(self, lots: int) -> int:
        """The same, with these lots."""
        return self.promised + sign(self.closing.held) * lots

    def free(self) -> int:
        """Capacity left, after what time has refilled."""
        gauge = self.state.commitment(self.number, self.closing.market, sign(self.closing.held))
        refilled = self.commitment.refill_per_s * (self.state.now - gauge.used_ns) // NS_PER_S
        part = self.commitment.refill_per_s * (self.state.now - gauge.used_ns) % NS_PER_S
        gauge.used, gauge.used_ns = max(0, gauge.used - refilled), self.state.now
        if gauge.used and self.commitment.refill_per_s:
            gauge.used_ns -= part // self.commitment.refill_per_s
        return self.commitment.capacity - gauge.used

    def initial_rise(self, lots: int) -> int:
        """Change of its initial margin if it took these lots beside what it was offered here."""
        rules, unit = self.state.rules.markets[self.closing.market], self.closing.unit
        before = margin_atoms(rules, abs(self.promised) * unit, initial=True)
        return margin_atoms(rules, abs(self.promised_after(lots)) * unit, initial=True) - before

    def is_sound(self, lots: int, free: int) -> bool:
        """Whether it could take these lots beside everything that it was already offered."""
        state, account, unit = self.state, self.provider.account, self.closing.unit
        after = abs(self.promised_after(lots))
        notionals = sum(state.notional(account, market) for market in state.positions[account])
        gross = notionals + (after - abs(self.promised)) * unit + self.provider.pending_notional
        equity = state.equity(account)
        return (
            lots * unit <= free
            and after * unit <= self.commitment.position_notional_max
            and after <= state.rules.markets[self.closing.market].position_lots_max
            and equity >= state.initial_margin(account) + self.initial_rise(lots) + self.provider.pending_initial
            and PPM * gross <= self.rules.leverage_ppm * equity
        )

    def cap(self, most: int) -> int:
        """Most lots, up to ``most``, that it can take."""
        free = self.free()
        if not self.state.row_is_free(self.provider.account, self.closing.market) or not self.is_sound(0, free):
            return 0
        return most if self.is_sound(most, free) else largest_that(lambda lots: self.is_sound(lots, free), 0, most)

    def cash(self, lots: int, zero: int) -> int:
        """Cash that the account gets for these lots."""
        closing = self.closing
        value = lots * closing.unit
        at_mark = sign(closing.held) * value
        if closing.equity < 0:
            return at_mark - value * self.commitment.edge_ppm // PPM
        share_ppm = closing.state.rules.takeover.provider_share_ppm
        return max(zero, at_mark - (at_mark - zero) * share_ppm // PPM)


def share_cost(closing: Closing, lots: int) -> int:
    """What a solvent account loses to providers: their share of the way from mark to zero price."""
    at_mark = sign(closing.held) * lots * closing.unit
    return (at_mark - closing.zero_cash(lots)) * closing.state.rules.takeover.provider_share_ppm // PPM


def lots_to_offer(closing: Closing, equity: int, maintenance: int) -> tuple[int, bool]:
    """Least lots that restore the release level, and whether any number does; an insolvent account offers all."""
    everything = abs(closing.held)

    def restores(lots: int) -> bool:
        return equity - share_cost(closing, lots) >= closing.state.release_level(maintenance - closing.released(lots))

    if closing.equity < 0 or not restores(everything):
        return everything, False
    return least_that(restores, 0, everything), True


def lots_supported(closing: Closing, takers: list[Taker], lots: int) -> int:
    """Most of these lots for which the fund can pay the gap to zero cash, an atom a taker for rounding."""
    if closing.equity >= 0:
        return lots
    state, edge_ppm = closing.state, max(taker.commitment.edge_ppm for taker in takers)
    budget = state.available(state.group(closing.market), closing.account) if state.fund_supports else 0

    def fits(some: int) -> bool:
        value = some * closing.unit
        gap = closing.zero_cash(some) - (sign(closing.held) * value - value * edge_ppm // PPM)
        return (gap + len(takers) if gap > 0 else 0) <= budget

    return lots if fits(lots) else largest_that(fits, 0, lots)


# -- offers ------------------------------------------------------------------------------------


def takeover_waits(state: State, account: int) -> bool:
    """Offer the account's positions to providers; the vault takes over where nobody was asked. Return whether it waits."""
    end = state.deadline(account) + state.rules.closeout.deadline_ns
    if state.now < end:
        offered, lacks_place = make_offers(state, account)
        if offered:
            state.accounts[account].wait_until = state.now + state.rules.takeover.answer_timeout_ns
        elif lacks_place:
            state.accounts[account].wait_until = min(end, state.now + state.rules.closeout.interval_ns)
        if offered or lacks_place:
            return True
    vault = next((number for number, rules in enumerate(state.rules.providers) if rules.is_vault), None)
    if vault is not None:
        vault_takes(state, account, vault)
    return False


def make_offers(state: State, account: int) -> tuple[bool, bool]:
    """Go through the positions; return whether any offer was made, and whether one was not for want of a place."""
    equity, maintenance = state.equity(account), state.maintenance(account)
    equity_then, maintenance_then, first_id, lacks_place = equity, maintenance, state.next_order, False
    for market in state.held_markets(account):
        closing = Closing(state, account, market, equity, maintenance)
        wanted, found = lots_to_offer(closing, equity_then, maintenance_then)
        caps = {taker.number: (taker, taker.cap(wanted)) for taker in takers_of(closing)}
        caps = {number: (taker, cap) for number, (taker, cap) in caps.items() if cap}
        lots = min(wanted, sum(cap for _, cap in caps.values()))
        if lots:
            lots = lots_supported(closing, [taker for taker, _ in caps.values()], lots)
        if lots == 0:
            continue
        weights = {number: max(1, cap * taker.provider.score // PPM) for number, (taker, cap) in caps.items()}
        given, _ = capped_pro_rata(lots, weights, {number: cap for number, (_, cap) in caps.items()})
        shares = [(caps[number][0], given[number]) for number in sorted(given) if given[number]]
        lacks_place = not offer_all(closing, shares, lots)
        if lacks_place or (found and lots == wanted):
            break
        equity_then -= share_cost(closing, lots) if equity >= 0 else 0
        maintenance_then -= closing.released(lots)
    return state.next_order > first_id, lacks_place


def takers_of(closing: Closing) -> list[Taker]:
    """Providers, no vault, that are able to take over from this account, all brought up to date."""
    state = closing.state
    numbers = [number for number, rules in enumerate(state.rules.providers) if not rules.is_vault]
    for number in numbers:
        bring_up_to_date(state, number)
    return [Taker(closing, number) for number in numbers if is_able(state, number, closing.account)]


def offer_all(closing: Closing, shares: list[tuple[Taker, int]], lots: int) -> bool:
    """Offer each taker its lots; return whether there was a place for all."""
    state, taken, whole = closing.state, 0, closing.zero_cash(lots)
    for taker, part in shares:
        if state.place_held():
            return False
        zero = ceil_div(whole * (taken + part), lots) - ceil_div(whole * taken, lots)
        offer(taker, part, zero)
        taken += part
    return True


def offer(taker: Taker, lots: int, zero: int) -> None:
    """RESERVE, OFFER; the taker's gauges hold it."""
    closing, state, provider = taker.closing, taker.state, taker.provider
    cash = taker.cash(lots, zero)
    order = Order(
        id=state.next_order,
        account=closing.account,
        market=closing.market,
        lots=-sign(closing.held) * lots,
        limit_ticks=0,
        zero_cash=zero,
        reserved=max(0, zero - cash) if closing.equity < 0 else 0,
        kind=TAKEOVER_OFFER,
        provider=taker.number,
        cash=cash,
        pending_initial=max(0, taker.initial_rise(lots)),
        notional=lots * closing.unit,
        offered_ns=state.now,
    )
    state.open_order(order)
    state.commitment(taker.number, closing.market, sign(closing.held)).used += order.notional
    provider.pending_initial += order.pending_initial
    provider.pending_notional += order.notional
    state.reserve(order, order.reserved)
    state.emit(
        EffectKind.OFFER,
        market=order.market,
        account=order.account,
        other=order.id,
        lots=order.lots,
        price_ticks=taker.number,
        amount=cash,
        value=order.reserved,
    )


def answer(state: State, event: Event) -> None:
    """ANSWER: the provider takes the position over, or it failed."""
    order = state.orders[event.other] if state.remembers(event.other) else None
    if order is None or not order.is_open:
        return
    if event.code == Answer.ACCEPT:
        bring_up_to_date(state, order.provider)
        if may_accept(state, order):
            accept(state, order)
            return
    fail(state, order.provider)
    state.cancel(order)
    state.touch(order.account)


def may_accept(state: State, order: Order) -> bool:
    """Whether the provider can keep its word: it stands above initial margin afterwards, other offers left out."""
    provider = state.providers[order.provider]
    account, market = provider.account, order.market
    rules, unit = state.rules.markets[market], state.unit(market)
    before = state.held_lots(account, market)
    after = before - order.lots
    if state.accounts[account].in_default or provider.status in (ProviderStatus.OFF, ProviderStatus.STOPPED):
        return False
    if abs(after) > rules.position_lots_max or not state.row_is_free(account, market):
        return False
    equity = state.equity(account) - order.cash - order.lots * unit
    initial = state.initial_margin(account) - margin_atoms(rules, abs(before) * unit, initial=True)
    return equity >= initial + margin_atoms(rules, abs(after) * unit, initial=True)


def accept(state: State, order: Order) -> None:
    """The offer is closed and the lots change hands; a provider that keeps its word gains standing."""
    provider = state.providers[order.provider]
    support = state.close_order(order)
    transfer(state, order.account, order.market, order.provider, order.lots, order.cash, support, order)
    provider.score += (PPM - provider.score) // 8
    provider.failures = 0


def transfer(
    state: State, account: int, market: int, number: int, lots: int, cash: int, support: int, offered: Order | None = None
) -> None:
    """Move lots from the account to the provider's, for cash and what the fund adds to it."""
    taker = state.providers[number].account
    order_id = offered.id if offered else 0
    state.emit(
        EffectKind.TAKEOVER,
        market=market,
        account=account,
        other=order_id,
        lots=lots,
        price_ticks=number,
        amount=cash,
        value=support,
    )
    state.trade(account, taker, market, lots, cash, 0, Cause.TAKEOVER)
    state.trade(taker, account, market, -lots, -cash, 0, Cause.TAKEOVER)
    state.post(account, state.fund_id(market), support, Cause.SUPPORT, market)
    if offered:
        state.reserve(offered, -support)
    state.position(account, market).closed_in_default = True
    add_flow(state, market, abs(lots) * state.unit(market))
    state.cancel_excess(taker, market)
    state.touch(account)
    state.touch(taker)


# -- the venue's vault -------------------------------------------------------------------------


def vault_takes(state: State, account: int, number: int) -> None:
    """The vault takes over at once, position by position, while the account is in default."""
    for market in state.held_markets(account):
        state.judge(account)
        if not state.accounts[account].in_default:
            return
        bring_up_to_date(state, number)
        if is_able(state, number, account):
            vault_takes_position(state, account, market, number)


def vault_takes_position(state: State, account: int, market: int, number: int) -> None:
    """Take what the vault can, and what the fund supports, of one position."""
    closing = Closing(state, account, market, state.equity(account), state.maintenance(account))
    taker = Taker(closing, number)
    wanted, _ = lots_to_offer(closing, closing.equity, closing.maintenance)
    lots = taker.cap(wanted)
    if lots:
        lots = lots_supported(closing, [taker], lots)
    if lots == 0:
        return
    zero = closing.zero_cash(lots)
    cash = taker.cash(lots, zero)
    support = max(0, zero - cash) if closing.equity < 0 else 0
    side = sign(closing.held)
    state.commitment(number, market, side).used += lots * closing.unit
    transfer(state, account, market, number, -side * lots, cash, support)
    vault = state.accounts[taker.provider.account]
    if vault.wait_until == NEVER_NS:
        vault.wait_until = state.now + state.rules.disposal.interval_ns


def dispose(state: State, account: int) -> None:
    """The vault sends a slice of each of its positions to the book, and waits for its next turn."""
    rules = state.rules.disposal
    for market in state.held_markets(account):
        closing = Closing(state, account, market, state.equity(account), state.maintenance(account))
        if not closing.may_order():
            continue
        if state.place_held():
            break
        everything = abs(closing.held)
        lots = min(closing.cap(), max(1, ceil_div(everything * rules.share_ppm, PPM)), everything)
        order = Order(
            id=state.next_order,
            account=account,
            market=market,
            lots=-sign(closing.held) * lots,
            limit_ticks=closing.book_limit(rules.tolerance_ppm),
            zero_cash=0,
            kind=DISPOSAL_ORDER,
        )
        send(state, order)
    if state.held_markets(account):
        state.accounts[account].wait_until = state.now + rules.interval_ns

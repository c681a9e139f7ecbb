"""Full scans of the reference's state; each returns findings in words, so that one run shows all
faults at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from backstop.core.events import FUNDING_PARTS, NEVER_NS, NONE, clearing_of, fund_of, funding_of
from backstop.core.instruments import VenueRules
from backstop.reference.arithmetic import sign
from backstop.reference.state import CLOSING_ORDER, DISPOSAL_ORDER, TAKEOVER_OFFER, State

__all__ = ["findings"]


def findings(state: State, caps: VenueRules | None = None) -> list[str]:
    """Return everything that is wrong, nothing when all is well; ``caps`` are the rules with the highest
    caps that were in force, where a change may have lowered one.
    """
    caps = caps or state.rules
    return [
        *_money(state),
        *_markets(state),
        *_funds(state, caps),
        *_owners(state, caps),
        *_claims(state),
        *_providers(state, caps),
        *_accounts(state),
        *_orders(state),
    ]


def _money(state: State) -> Iterator[str]:
    for asset, total in enumerate(sums_by_asset(state)):
        if total:
            yield f"INV-01: ledger accounts in asset {asset} sum to {total}"


def sums_by_asset(state: State) -> list[int]:
    """Return the sum of all balances in each asset."""
    sums = [0] * len(state.rules.assets)
    for ledger_id, balance in state.ledger.items():
        sums[state.asset_of(ledger_id) or 0] += balance
    for (asset, _), balance in state.further.items():
        sums[asset] += balance
    return sums


def _markets(state: State) -> Iterator[str]:
    for market in range(len(state.markets)):
        rows = [held[market] for held in state.positions.values() if market in held]
        lots, cost = sum(row.lots for row in rows), sum(row.cost for row in rows)
        if lots:
            yield f"INV-02: lots of market {market} sum to {lots}"
        if state.ledger[clearing_of(market)] + cost:
            yield f"clearing of market {market} {state.ledger[clearing_of(market)]} and costs {cost} do not cancel"
        owed = -sum(row.lots * (state.markets[market].funding_index - row.settled_index) for row in rows)
        if state.ledger[funding_of(market)] * FUNDING_PARTS < owed:
            yield f"funding of market {market} {state.ledger[funding_of(market)]} is less than what is owed, {owed} parts"
        if any(row.cost and not row.lots for row in rows):
            yield f"a position of market {market} has a cost and no lots"


def _funds(state: State, caps: VenueRules) -> Iterator[str]:
    for group, fund in enumerate(state.funds):
        balance, most = state.ledger[fund_of(group)], caps.funds[group].loss_per_window_max
        orders = [order for order in state.open_orders.values() if state.group(order.market) == group]
        if not 0 <= fund.reserved <= balance:
            yield f"INV-05: reserved {fund.reserved} of fund {group} with {balance}"
        if sum(order.reserved for order in orders) + state.carried_in(group) != fund.reserved:
            yield f"fund {group} reserves {fund.reserved}, its open orders and carries say otherwise"
        if state.paid(group) + fund.reserved > most:
            yield f"fund {group} paid {state.paid(group)} and reserves {fund.reserved} of at most {most} in a window"


def _owners(state: State, caps: VenueRules) -> Iterator[str]:
    for number, owner in state.owners.items():
        of_orders = sum(order.reserved for order in state.open_orders.values() if state.accounts[order.account].owner == number)
        carried = sum(state.carried_by(each) for each in state.accounts_of(number))
        if of_orders + carried != owner.reserved:
            yield f"owner {number} has {owner.reserved} reserved, open orders say {of_orders}, carries {carried}"
        if state.owner_paid(owner) + owner.reserved > caps.assets[state.accounts[state.accounts_of(number)[0]].asset].owner_loss_max:
            yield f"owner {number} was paid {state.owner_paid(owner)} and has {owner.reserved} reserved"


def _claims(state: State) -> Iterator[str]:
    claims = [account.claim for account in state.accounts]
    if min(claims, default=0) < 0 or sum(claims) != state.claims:
        yield f"claims {claims} are not {state.claims}"
    if (state.claims > 0) != (state.recovery_ns != NEVER_NS):
        yield f"claims {state.claims}, but recovery at {state.recovery_ns}"


def _providers(state: State, caps: VenueRules) -> Iterator[str]:
    for number, provider in enumerate(state.providers):
        offers = [order for order in state.open_orders.values() if order.kind == TAKEOVER_OFFER and order.provider == number]
        if provider.pending_initial != sum(order.pending_initial for order in offers):
            yield f"provider {number}: pending margin {provider.pending_initial}"
        if provider.pending_notional != sum(order.notional for order in offers):
            yield f"provider {number}: pending notional {provider.pending_notional}"
        for gauges, pair in zip(provider.commitments, caps.providers[number].commitments, strict=True):
            for gauge, rules in zip(gauges, pair, strict=True):
                if not 0 <= gauge.used <= rules.capacity:
                    yield f"provider {number} used {gauge.used} of {rules.capacity}"


def _accounts(state: State) -> Iterator[str]:
    for number, account in enumerate(state.accounts):
        standing = state.standing(number)
        if standing.health_from(account.health) != account.health:
            yield f"INV-04: account {number} has health {account.health}: {standing}"
        waits = account.wait_until != NEVER_NS
        if account.in_default != (account.default_since != NEVER_NS) or (account.in_default and not waits):
            yield f"account {number} health {account.health}: since {account.default_since}, waits until {account.wait_until}"
        if waits and not account.in_default and state.provider_of(number) == NONE:
            yield f"account {number} is not in default and waits until {account.wait_until}"
        if account.wait_until <= state.now:
            yield f"account {number} still waits for {account.wait_until} at {state.now}"
        for market, row in state.positions[number].items():
            if abs(row.lots) > state.rules.markets[market].position_lots_max:
                yield f"account {number} holds {row.lots} lots of market {market}"


def _orders(state: State) -> Iterator[str]:
    positions = {(order.account, order.market) for order in state.open_orders.values()}
    for account, market in sorted(positions):
        orders, lots = state.orders_at(account, market), state.held_lots(account, market)
        remaining = sum(order.remaining for order in orders)
        if remaining and (any(sign(order.lots) != -sign(lots) for order in orders) or remaining > abs(lots)):
            yield f"INV-03: orders of {account} would still trade {remaining} against a position of {lots}"
        kinds = [order.kind for order in orders]
        if len(kinds) > 1 and set(kinds) != {TAKEOVER_OFFER}:
            yield f"position {account, market} has orders of kinds {kinds}"
    for order in state.open_orders.values():
        in_default = state.accounts[order.account].in_default
        wrong = order.kind == CLOSING_ORDER and not in_default
        wrong |= order.kind == TAKEOVER_OFFER and (not in_default or order.filled > 0)
        wrong |= order.kind == DISPOSAL_ORDER and state.provider_of(order.account) == NONE
        if wrong or not order.is_open or not state.remembers(order.id):
            yield f"order {order.id} should not be open"
        if order.reserved < 0 or order.remaining < 0:
            yield f"order {order.id}: remaining {order.remaining}, reserved {order.reserved}"

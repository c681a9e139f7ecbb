"""Full scans of the oracle's state; each returns findings in words, so that one run shows all faults at once."""

from __future__ import annotations

from collections.abc import Iterator

from backstop.core.events import FUND, NEVER_NS, clearing_of
from tests.oracle.arithmetic import sign
from tests.oracle.state import State, fresh_health

__all__ = ["findings"]


def findings(state: State) -> list[str]:
    """Return everything that is wrong, nothing when all is well."""
    return [*_money(state), *_markets(state), *_fund(state), *_accounts(state), *_orders(state)]


def _money(state: State) -> Iterator[str]:
    total = sum(state.ledger.values())
    if total:
        yield f"INV-01: ledger accounts sum to {total}"


def _markets(state: State) -> Iterator[str]:
    for market in range(len(state.markets)):
        rows = [held[market] for held in state.positions.values() if market in held]
        lots, cost = sum(row.lots for row in rows), sum(row.cost for row in rows)
        if lots:
            yield f"INV-02: lots of market {market} sum to {lots}"
        if state.ledger[clearing_of(market)] + cost:
            yield f"clearing of market {market} {state.ledger[clearing_of(market)]} and costs {cost} do not cancel"
        if any(row.cost and not row.lots for row in rows):
            yield f"a position of market {market} has a cost and no lots"


def _fund(state: State) -> Iterator[str]:
    if not 0 <= state.reserved <= state.ledger[FUND]:
        yield f"INV-05: reserved {state.reserved} of a fund of {state.ledger[FUND]}"
    of_orders = sum(order.reserved for order in state.open_orders.values())
    if of_orders != state.reserved:
        yield f"reserved {state.reserved}, the open orders say {of_orders}"
    if state.paid_in_interval + state.reserved > state.rules.fund.loss_per_interval_max:
        yield f"fund paid {state.paid_in_interval} of at most {state.rules.fund.loss_per_interval_max} in the interval"


def _accounts(state: State) -> Iterator[str]:
    for number, account in enumerate(state.accounts):
        equity, maintenance = state.equity(number), state.maintenance(number)
        if fresh_health(state.rules, account.health, equity, maintenance) != account.health:
            yield f"INV-04: account {number} has health {account.health}, equity {equity}, maintenance {maintenance}"
        if account.in_default != (account.default_since != NEVER_NS) or account.in_default != (account.wait_until != NEVER_NS):
            yield f"account {number} health {account.health}: since {account.default_since}, waits until {account.wait_until}"
        if account.wait_until <= state.now:
            yield f"account {number} still waits for {account.wait_until} at {state.now}"
        for market, row in state.positions[number].items():
            if abs(row.lots) > state.rules.markets[market].position_lots_max:
                yield f"account {number} holds {row.lots} lots of market {market}"


def _orders(state: State) -> Iterator[str]:
    seen = set()
    for order in state.open_orders.values():
        lots = state.held_lots(order.account, order.market)
        if order.remaining and (sign(order.lots) != -sign(lots) or order.remaining > abs(lots)):
            yield f"INV-03: order {order.id} would still trade {order.remaining} against a position of {lots}"
        if (order.account, order.market) in seen:
            yield f"position {order.account, order.market} has two open orders"
        seen.add((order.account, order.market))
        if not order.is_open or not state.remembers(order.id) or not state.accounts[order.account].in_default:
            yield f"order {order.id} should not be open"
        if order.reserved < 0 or order.remaining < 0:
            yield f"order {order.id}: remaining {order.remaining}, reserved {order.reserved}"

"""Events that an engine should refuse, one recipe for each reason; some need a state that is not
always there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from random import Random

from backstop.core.events import FUND, NONE, WORLD, BreakerState, EventKind, Operator, Reject
from backstop.core.instruments import DEPTH_LOTS_MAX, NOTIONAL_ATOMS_MAX, VenueRules
from backstop.reference.breakers import effective_state
from backstop.reference.doubt import is_settling
from backstop.reference.leaving import plan_of
from backstop.reference.records import Event
from backstop.reference.refusals import after_withdrawal
from backstop.reference.shortfalls import held_gains
from backstop.reference.state import State

__all__ = ["RECIPES", "held_withdrawal", "indebted_withdrawal", "owing_withdrawal", "refused_event"]

K = EventKind
#: Reasons to refuse that any stream may meet. Those of changes of rules come with such changes.
OF_CHANGES = (Reject.RULE_IS_FIXED, Reject.RULES_CONTRADICT, Reject.CHANGE_LIMIT)
#: Those of listings, of pockets and of assets come with these.
OF_LISTINGS = (Reject.MARKET_NOT_LISTED, Reject.MARKET_LISTED)
OF_POCKETS = (Reject.ACCOUNT_ISOLATED, Reject.OTHER_OWNER)
OF_ASSETS = (Reject.WRONG_ASSET,)
REASONS = [reason for reason in Reject if reason not in (*OF_CHANGES, *OF_LISTINGS, *OF_POCKETS, *OF_ASSETS)]
#: States in which nobody may open lots.
STOPPED = (BreakerState.HALTED, BreakerState.REOPENING)
Fields = dict[str, int]
Recipe = Callable[[Random, VenueRules, State], Fields | None]


def refused_event(rng: Random, rules: VenueRules, state: State, seq: int, time_ns: int) -> Event | None:
    """Return an event that should be refused for a random reason, or nothing where the state does
    not allow it.
    """
    reason = rng.choice(REASONS)
    if state.ledger[WORLD] <= -NOTIONAL_ATOMS_MAX and rng.random() < 0.2:
        reason = Reject.BALANCE_LIMIT
    if reason == Reject.SEQ_NOT_AFTER:
        return Event(rng.choice((seq, seq - 1, 0, -5)), time_ns, int(K.CLOCK))
    if reason == Reject.TIME_OUT_OF_RANGE:
        return Event(seq + 1, rng.choice((state.now - 1, state.now - 10**15, (1 << 62) + 1, (1 << 63) - 1)), int(K.CLOCK))
    fields = RECIPES[reason](rng, rules, state)
    return None if fields is None else Event(seq + 1, time_ns, **fields)


def _valid_fill(rng: Random, rules: VenueRules, state: State) -> Fields:
    market = rng.randrange(len(rules.markets))
    mark = max(1, state.markets[market].mark)
    return {"kind": K.FILL, "market": market, "account": 0, "other": NONE, "lots": 1, "price_ticks": mark}


def _any_kind(rng: Random, rules: VenueRules, state: State) -> Fields:
    return {**_valid_fill(rng, rules, state), "kind": rng.choice((K.FILL, K.POSITION, K.MARK, K.INDEX, K.DEPTH, K.VOLUME))}


def _unknown_kind(rng: Random, rules: VenueRules, state: State) -> Fields:
    return {**_valid_fill(rng, rules, state), "kind": rng.choice((0, -1, 64, 99, 32_767))}


def _unknown_market(rng: Random, rules: VenueRules, state: State) -> Fields:
    return {**_any_kind(rng, rules, state), "market": rng.choice((-1, len(rules.markets), 4_096))}


def _unknown_account(rng: Random, rules: VenueRules, state: State) -> Fields:
    bad = rng.choice((-1, -2, len(state.accounts), 10**9))
    fill = _valid_fill(rng, rules, state)
    return rng.choice(
        (
            {**fill, "account": rng.choice((bad, FUND))},
            {**fill, "other": rng.choice((-2, FUND, len(state.accounts)))},
            {"kind": int(K.TRANSFER), "account": bad, "amount": 5},
            {**fill, "kind": int(K.POSITION), "account": bad},
        )
    )


def _unknown_order(rng: Random, rules: VenueRules, state: State) -> Fields:
    known = [order for order in state.orders.values() if state.remembers(order.id)]
    if known and len(rules.markets) > 1 and rng.random() < 0.5:
        order = rng.choice(known)
        market = (order.market + 1) % len(rules.markets)
        return {"kind": K.ORDER_FILL, "market": market, "other": order.id, "lots": order.lots, "price_ticks": 1}
    bad = rng.choice((-1, state.next_order, state.next_order + 7))
    if known and rng.random() < 0.5:
        # An order is not answered like an offer, nor the other way round.
        order = rng.choice(known)
        kind = K.ORDER_DONE if order.kind == 1 else K.ANSWER
        return {"kind": int(kind), "other": order.id, "code": 1}
    return {"kind": rng.choice((K.ORDER_FILL, K.ORDER_DONE, K.ANSWER)), "market": 0, "other": bad, "lots": 1, "price_ticks": 1}


def _unknown_owner(rng: Random, rules: VenueRules, state: State) -> Fields:
    bad = rng.choice((-1, rules.limits.accounts_max, 10**9))
    return {"kind": K.ACCOUNT, "account": len(state.accounts), "other": bad}


def _unknown_code(rng: Random, rules: VenueRules, state: State) -> Fields:
    band = len(rules.markets[0].band_offset_ppm)
    return rng.choice(
        (
            {"kind": int(K.TRANSFER), "account": 0, "code": rng.choice((4, -1)), "amount": 5},
            {"kind": int(K.TRANSFER), "account": FUND, "code": rng.choice((1, 2)), "amount": 5},
            {"kind": int(K.OPERATOR), "market": NONE, "code": rng.choice((0, 6, -1)), "amount": 1},
            {"kind": int(K.DEPTH), "market": 0, "code": rng.choice((2, -1)), "lots": 5},
            {"kind": int(K.DEPTH), "market": 0, "code": 0, "other": rng.choice((band, -1)), "lots": 5},
        )
    )


def _unknown_provider(rng: Random, rules: VenueRules, state: State) -> Fields:
    bound = [number for number, provider in enumerate(state.providers) if provider.account != NONE]
    bad = rng.choice((-1, len(rules.providers), *bound))
    free = [-1, len(rules.providers), *(number for number in range(len(rules.providers)) if number not in bound)]
    return rng.choice(
        (
            {"kind": int(K.PROVIDER), "account": 0, "other": bad},
            {"kind": int(K.OPERATOR), "market": NONE, "code": rng.choice((4, 5)), "other": rng.choice(free)},
        )
    )


def _not_next(rng: Random, _: VenueRules, state: State) -> Fields:
    return {"kind": K.ACCOUNT, "account": len(state.accounts) + rng.choice((-1, 1, 5)), "other": 0}


def _account_limit(_: Random, __: VenueRules, state: State) -> Fields:
    # Opens the one spare account first; the next time there is no room.
    return {"kind": K.ACCOUNT, "account": len(state.accounts), "other": 0}


def _same_account(rng: Random, rules: VenueRules, state: State) -> Fields:
    return {**_valid_fill(rng, rules, state), "other": 0}


def _lots(rng: Random, rules: VenueRules, state: State) -> Fields:
    too_many = rules.markets[0].position_lots_max + 1
    fill = {**_valid_fill(rng, rules, state), "market": 0}
    known = [order for order in state.orders.values() if state.remembers(order.id)]
    if known and rng.random() < 0.4:
        order = rng.choice(known)
        return {"kind": K.ORDER_FILL, "market": order.market, "other": order.id, "lots": -order.lots, "price_ticks": 1}
    return rng.choice(
        (
            {**fill, "lots": rng.choice((0, too_many, -too_many))},
            {**fill, "kind": int(K.POSITION), "lots": rng.choice((0, too_many))},
            {"kind": int(K.VOLUME), "market": 0, "lots": rng.choice((-1, DEPTH_LOTS_MAX + 1))},
            {"kind": int(K.DEPTH), "market": 0, "lots": rng.choice((-1, DEPTH_LOTS_MAX + 1))},
        )
    )


def _price(rng: Random, rules: VenueRules, state: State) -> Fields:
    fill = _valid_fill(rng, rules, state)
    bad = rng.choice((0, -1, rules.markets[fill["market"]].price_ticks_max + 1))
    return {**fill, "kind": rng.choice((K.FILL, K.MARK, K.INDEX)), "price_ticks": bad}


def _amount(rng: Random, rules: VenueRules, state: State) -> Fields:
    market = rules.markets[0]
    too_much = market.contract.bound(3, market.price_ticks_min, market.price_ticks_max) + 1
    return rng.choice(
        (
            {"kind": int(K.TRANSFER), "account": 0, "amount": rng.choice((0, NOTIONAL_ATOMS_MAX + 1, -NOTIONAL_ATOMS_MAX - 1))},
            {"kind": int(K.TRANSFER), "market": NONE, "account": 0, "code": 2, "amount": -1},
            {"kind": int(K.OPERATOR), "market": NONE, "code": 1, "amount": rng.choice((0, rules.breakers.operator_hold_max_ns + 1))},
            {**_valid_fill(rng, rules, state), "kind": int(K.POSITION), "market": 0, "lots": 3, "amount": rng.choice((-1, 1)) * too_much},
        )
    )


def _no_mark(rng: Random, rules: VenueRules, state: State) -> Fields | None:
    blank = [number for number, market in enumerate(state.markets) if market.mark == 0]
    if not blank:
        return None
    return {**_valid_fill(rng, rules, state), "kind": rng.choice((K.FILL, K.POSITION)), "market": rng.choice(blank)}


def _position_exists(rng: Random, rules: VenueRules, state: State) -> Fields | None:
    held = [(account, market) for account in range(len(state.accounts)) for market in state.held_markets(account)]
    if not held:
        return None
    account, market = rng.choice(held)
    return {**_valid_fill(rng, rules, state), "kind": K.POSITION, "account": account, "market": market}


def _position_limit(rng: Random, rules: VenueRules, state: State) -> Fields | None:
    held = [(account, market) for account in range(len(state.accounts)) for market in state.held_markets(account)]
    fill = _valid_fill(rng, rules, state)
    if not held:
        return None
    account, market = rng.choice(held)
    lots = state.held_lots(account, market)
    room = rules.markets[market].position_lots_max - abs(lots) + 1
    return {**fill, "account": account, "market": market, "lots": room if lots > 0 else -room}


def _halted(rng: Random, rules: VenueRules, state: State) -> Fields | None:
    halted = [number for number in range(len(state.markets)) if effective_state(state, number) in STOPPED]
    if not halted or not state.accounts:
        return None
    market, account = rng.choice(halted), rng.randrange(len(state.accounts))
    lots = 1 if state.held_lots(account, market) >= 0 else -1
    return {**_valid_fill(rng, rules, state), "market": market, "account": account, "lots": lots}


def _balance_limit(rng: Random, _: VenueRules, state: State) -> Fields | None:
    # Two of these are taken, the third is not. They make one account rich, so a stream has many of
    # them or none.
    if state.ledger[WORLD] > -NOTIONAL_ATOMS_MAX and rng.random() < 0.8:
        return None
    return {"kind": K.TRANSFER, "account": 0, "amount": NOTIONAL_ATOMS_MAX}


def _in_default(rng: Random, _: VenueRules, state: State) -> Fields | None:
    accounts = [number for number, account in enumerate(state.accounts) if account.in_default]
    return {"kind": K.TRANSFER, "account": rng.choice(accounts), "amount": -1} if accounts else None


def _margin(rng: Random, _: VenueRules, state: State) -> Fields | None:
    account = rng.choice((FUND, rng.randrange(len(state.accounts)))) if state.accounts else FUND
    if account == FUND:
        free = state.ledger[FUND] - state.funds[0].reserved
    else:
        free = state.equity(account) - state.portfolio(account).initial
    return {"kind": K.TRANSFER, "account": account, "amount": -max(free, 0) - 1}


def indebted_withdrawal(rng: Random, _: VenueRules, state: State) -> Fields | None:
    """Withdraw, of an owner whom funds paid for, as much as may leave, or an atom more."""
    free = {number: state.equity(number) - state.portfolio(number).initial for number in range(len(state.accounts))}
    able = [number for number, account in enumerate(state.accounts) if free[number] > 0 and not account.in_default]
    able = [number for number in able if state.owner_debt(state.accounts[number].owner)]
    if not able:
        return None
    account = rng.choice(able)
    owner = state.accounts[account].owner
    most = sum(max(0, free[number]) for number in state.accounts_of(owner)) - state.owner_debt(owner)
    return {"kind": K.TRANSFER, "account": account, "amount": -max(1, min(free[account], most + rng.randint(0, 1)))}


def held_withdrawal(rng: Random, _: VenueRules, state: State) -> Fields | None:
    """Withdraw, of an owner whose gains are held, as much as may leave, or an atom more."""
    free = {number: state.equity(number) - state.portfolio(number).initial for number in range(len(state.accounts))}
    able = [number for number, account in enumerate(state.accounts) if free[number] > 0 and not account.in_default]
    able = [number for number in able if held_gains(state, state.accounts[number].owner)]
    if not able:
        return None
    account = rng.choice(able)
    owner = state.accounts[account].owner
    most = sum(max(0, free[number]) for number in state.accounts_of(owner)) - state.owner_debt(owner) - held_gains(state, owner)
    return {"kind": K.TRANSFER, "account": account, "amount": -max(1, min(free[account], most + rng.randint(0, 1)))}


def leaving_withdrawal(rng: Random, _: VenueRules, state: State) -> Fields | None:
    """Withdraw, of an owner whose gains are noted, as much as may leave, an atom more, or a part."""
    able = [number for number, account in enumerate(state.accounts) if not account.in_default]
    noted = [{owner for owner, gain in fund.noted.items() if gain} for fund in state.funds]
    able = [number for number in able if any(state.accounts[number].owner in owners for owners in noted)]
    able = [number for number in able if after_withdrawal(state, number, 0)[0] > 0]
    if not able:
        return None
    account = rng.choice(able)
    most = bisect_left(range(1, 1 << 60), True, key=lambda amount: not _may_leave(state, account, amount))
    return {"kind": K.TRANSFER, "account": account, "amount": -max(1, rng.choice((most, most, most + 1, most // 2, most - 1)))}


def _may_leave(state: State, account: int, amount: int) -> bool:
    """A withdrawal leaves what must stay, what is lent for gains among it."""
    left, rest = after_withdrawal(state, account, amount)
    plan = plan_of(state, state.accounts[account].owner, amount, rest)
    return min(left, rest) >= sum(plan.lent.values()) and not plan.stays


def owing_withdrawal(rng: Random, _: VenueRules, state: State) -> Fields | None:
    """Withdraw, of an owner who owes for fills, as much as may leave, or an atom more."""
    free = {number: state.equity(number) - state.portfolio(number).initial for number in range(len(state.accounts))}
    able = [number for number, account in enumerate(state.accounts) if free[number] > 0 and not account.in_default]
    able = [number for number in able if state.fill_debt(state.accounts[number].owner)]
    if not able:
        return None
    account = rng.choice(able)
    owner = state.accounts[account].owner
    held = state.owner_debt(owner) + held_gains(state, owner) + state.fill_debt(owner)
    most = sum(max(0, free[number]) for number in state.accounts_of(owner)) - held
    return {"kind": K.TRANSFER, "account": account, "amount": -max(1, min(free[account], most + rng.randint(0, 1)))}


def _settled(rng: Random, rules: VenueRules, state: State) -> Fields | None:
    """Something in a market whose settlement has begun."""
    markets = [market for market in range(len(rules.markets)) if is_settling(state, market)]
    if not markets:
        return None
    market = rng.choice(markets)
    price = {**_settle_price(rng, rules, state), "market": market}
    traded = {**_any_kind(rng, rules, state), "market": market, "lots": rng.randint(0, 2), "other": 0 if rng.random() < 0.5 else NONE}
    ended = {"kind": K.SETTLEMENT, "market": market, "price_ticks": 1}
    return rng.choice((price, traded, ended, {"kind": K.FUNDING, "market": market, "amount": 1}))


def _settle_price(rng: Random, rules: VenueRules, state: State) -> Fields:
    """A price for a market that may be doubted or not."""
    market = rng.randrange(len(rules.markets))
    mark = max(1, state.markets[market].mark)
    return {"kind": K.OPERATOR, "code": Operator.SETTLE_PRICE, "market": market, "price_ticks": mark}


RECIPES: dict[Reject, Recipe] = {
    Reject.UNKNOWN_KIND: _unknown_kind,
    Reject.UNKNOWN_MARKET: _unknown_market,
    Reject.UNKNOWN_ACCOUNT: _unknown_account,
    Reject.UNKNOWN_ORDER: _unknown_order,
    Reject.UNKNOWN_OWNER: _unknown_owner,
    Reject.UNKNOWN_PROVIDER: _unknown_provider,
    Reject.UNKNOWN_CODE: _unknown_code,
    Reject.ACCOUNT_NOT_NEXT: _not_next,
    Reject.ACCOUNT_LIMIT: _account_limit,
    Reject.SAME_ACCOUNT: _same_account,
    Reject.LOTS_OUT_OF_RANGE: _lots,
    Reject.PRICE_OUT_OF_RANGE: _price,
    Reject.AMOUNT_OUT_OF_RANGE: _amount,
    Reject.NO_MARK: _no_mark,
    Reject.POSITION_EXISTS: _position_exists,
    Reject.POSITION_LIMIT: _position_limit,
    Reject.MARKET_HALTED: _halted,
    Reject.BALANCE_LIMIT: _balance_limit,
    Reject.ACCOUNT_IN_DEFAULT: _in_default,
    Reject.INSUFFICIENT_MARGIN: _margin,
    Reject.DEBT_TO_FUND: indebted_withdrawal,
    Reject.GAIN_HELD: held_withdrawal,
    Reject.FILL_HELD: owing_withdrawal,
    Reject.MARKET_SETTLED: _settled,
    Reject.NOT_DOUBTED: _settle_price,
}

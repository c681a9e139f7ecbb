"""The state digest: SHA-256 over the economic state, as R12 encodes it.

Two engines that agree on it agree on everything that a later effect can depend on. Private rows
(triggers, buckets, scratch columns, closed orders) are not in it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.core.carries import CARRY_ATOMS, CARRY_BEFORE, CARRY_NUMBER
from backstop.core.columns import OWNER_PAID, OWNER_PAID_NS, OWNER_RESERVED
from backstop.core.contract_terms import ContractKind, contracts_of
from backstop.core.events import (
    FEES,
    FUND,
    HOUSE_FIRST_MARKET,
    NEVER_NS,
    NONE,
    REMAINDER,
    UNCOVERED,
    WORLD,
    BreakerCause,
    Health,
    fund_of,
    uncovered_of,
)
from backstop.core.instruments import PPM
from backstop.core.parameter_table import Scope, digested, listed, venue_digested
from backstop.core.places import arrears_gauge, commitment_row, fund_gauge, house_slot, market_gauge
from backstop.core.results import epoch_mark_ticks, present_epoch, result_bases
from backstop.core.rows import FUND_SLOTS, GONE, GONE_EPOCH, NOTED, OWED
from backstop.core.state import State, places_of

__all__ = ["state_digest"]


def _block(*columns: NDArray[Any]) -> bytes:
    table = np.column_stack([np.asarray(column, dtype="<i8") for column in columns])
    return np.int64(len(table)).astype("<i8").tobytes() + table.tobytes()


def _gauge(used: NDArray[Any], interval: NDArray[Any], present: int) -> NDArray[Any]:
    return np.where(interval == present, used, 0)


def _row_of(values: list[int]) -> bytes:
    return _block(*(np.array([int(value)]) for value in values))


def _head_bytes(state: State, present: int) -> bytes:
    engine = state.engine[0]
    ordered = engine.ordered_notional if int(engine.interval) == present else 0
    return _row_of(
        [
            engine.now_ns,
            engine.last_seq,
            engine.accounts_now,
            engine.next_order_id,
            present,
            ordered,
            engine.claims,
            engine.recovery_ns,
            engine.life_ns,
            engine.next_fill_debt,
        ]
    )


def _market_bytes(state: State, present: int) -> bytes:
    out = np.int64(len(state.markets)).astype("<i8").tobytes()
    for number, market in enumerate(state.markets):
        bands = int(market.band_count)
        outside, error = state.positions[2 * number], state.positions[2 * number + 1]
        fields = [market.mark_ticks, market.index_ticks, market.volume_lots]
        fields.append(market.ordered_notional if int(market.ordered_interval) == present else 0)
        fields += list(market.depth_lots[0, :bands]) + list(market.depth_lots[1, :bands])
        fields += [outside.lots, outside.cost, error.lots, error.cost]
        fields += [_paid_in_window(state, market_gauge(number)), epoch_mark_ticks(state, number), market.funding_index]
        for row, kept in ((outside, state.results[2 * number]), (error, state.results[2 * number + 1])):
            fields.append(kept.settled_index if row.lots != 0 else 0)
        out += np.array([int(value) for value in fields], dtype="<i8").tobytes()
    return out


def _ledger_bytes(state: State) -> bytes:
    ids = [WORLD, FUND, REMAINDER, UNCOVERED, FEES, *(fund_of(group) for group in range(1, len(state.funds)))]
    slots = [int(house_slot(ledger_id)) for ledger_id in ids]
    slots += range(int(house_slot(HOUSE_FIRST_MARKET)), len(state.house))
    return _block(state.house[slots + [int(house_slot(uncovered_of(group))) for group in range(1, len(state.funds))]])


def _account_bytes(state: State, present: int) -> bytes:
    count = int(state.engine[0].accounts_now)
    accounts = state.accounts[:count]
    defaults = state.defaults[:count]
    ordered = _gauge(defaults["ordered_notional"], defaults["ordered_interval"], present)
    names = ("owner", "balance", "health", "default_since_ns", "wait_until_ns", "next_slice_ns", "restricted")
    more = accounts["claim"], state.charge_markets[:count], defaults["doubt_ns"], defaults["doubt_since_ns"], state.pocket_markets[:count]
    return _block(*(accounts[name] for name in names), ordered, *more)


def _order_bytes(state: State) -> bytes:
    orders = state.orders[state.orders["is_open"] == 1]
    orders = orders[np.argsort(orders["id"])]
    remaining = np.abs(orders["lots"]) - orders["filled"]
    first = [orders[name] for name in ("id", "account", "market", "lots")]
    last = [orders[name] for name in ("limit_ticks", "zero_cash", "reserved", "kind", "provider", "cash", "joint", "expires_ns")]
    return _block(*first, remaining, *last)


def _slots(now_ns: int, window_ns: int, newest: int, ring: NDArray[Any]) -> NDArray[Any]:
    """Return the slots of a fund's gauge that count at ``now_ns``: the ring holds those up to slot
    ``newest``.
    """
    present = now_ns // -(-window_ns // (FUND_SLOTS - 1))
    kept = range(max(present, newest) - FUND_SLOTS + 1, newest + 1)
    return np.array([ring[slot % FUND_SLOTS] for slot in kept if slot >= 0], dtype=np.int64)


def _paid_in_window(state: State, row: int) -> int:
    """Return what a row of the gauges counts as of now."""
    gauge = state.gauges[row]
    slots = _slots(int(state.engine[0].now_ns), int(state.rules[0].window_ns), int(gauge[FUND_SLOTS]), gauge)
    return sum(int(atoms) for atoms in slots)


def _fund_bytes(state: State) -> bytes:
    engine, rules = state.engine[0], state.rules[0]
    now_ns = int(engine.now_ns)
    rows = []
    for group, fund in enumerate(state.funds):
        paid, arrears = _paid_in_window(state, fund_gauge(group)), _paid_in_window(state, arrears_gauge(group))
        peak = _slots(now_ns, int(rules.drawdown_window_ns), int(fund.peak_slot), fund.peak)
        rows.append([int(fund.reserved), paid, int(fund.drawdown_level), max((int(value) for value in peak), default=0), arrears])
    return _block(*np.array(rows, dtype="<i8").T)


def _owner_bytes(state: State) -> bytes:
    engine, rules = state.engine[0], state.rules[0]
    owners = int(rules.accounts_max)
    paid, last_ns, reserved = state.columns[OWNER_PAID : OWNER_RESERVED + 1, :owners]
    paid = np.where(int(engine.now_ns) - last_ns > int(rules.window_ns), 0, paid)
    kept = np.flatnonzero((paid != 0) | (reserved != 0))
    return _block(kept, paid[kept], reserved[kept])


def _windows(age: int, sums: NDArray[Any]) -> list[int]:
    """Return the sums of the present and the last window; the rows hold those of ``age`` windows
    ago.
    """
    return [int(value) for value in sums] if age == 0 else [0, int(sums[0]) if age == 1 else 0]


def _breaker_bytes(state: State) -> bytes:
    rules, now_ns = state.rules[0], int(state.engine[0].now_ns)
    rows = []
    for row in state.breakers:
        levels = sum(int(row.levels[cause]) * 3**place for place, cause in enumerate(BreakerCause))
        flow = _windows(now_ns // int(rules.flow_window_ns) - int(row.flow_window), row.flow)
        low, high = (int(value) for value in (min(row.low_ticks), max(row.high_ticks)))
        rows.append(
            [
                *(int(value) for value in (row.state, row.cause, row.until_ns, levels, row.spent)),
                *(int(value) for value in (row.operator_until_ns, row.grace_until_ns)),
                *flow,
                low,
                high,
                *(int(value) for value in (row.mark_time_ns, row.held_ticks, row.held_until_ns)),
                *(int(value) for value in (row.held_for_ns, row.held_at_ns, row.is_held_newest)),
                *(int(value) for value in (row.is_continued, row.held_lead_ns, row.rival_ticks)),
                *(int(value) for value in (row.held_first_ticks, row.rival_first_ticks)),
                *(int(value) for value in (row.reference_ticks, row.reference_at_ns, row.answered)),
                *_windows(now_ns // int(rules.deficit_window_ns) - int(row.deficit_window), row.deficit),
                *(int(value) for value in (row.undoubted_ticks, row.has_cancelled, row.is_awaited)),
                *(int(value) for value in (row.doubted_ns, row.doubt_at_ns, row.index_time_ns)),
                *(int(value) for value in (row.given_ticks, row.settlement, row.settle_next, row.settled_ns)),
            ]
        )
    rows[-1][9:11] = [0, 0]
    return _block(*np.array(rows, dtype="<i8").T)


def _provider_bytes(state: State) -> bytes:
    rows = state.providers[: int(state.rules[0].providers)]
    names = ("account", "status", "until_ns", "failures", "score_ppm", "baseline", "pending_initial", "pending_notional")
    kept = state.commitments[(state.commitments["capacity"] > 0) | (state.commitments["used"] > 0)]
    return _block(*(rows[name] for name in names)) + _block(kept["used"], kept["used_ns"])


def _claim_bytes(state: State) -> bytes:
    accounts, groups = np.nonzero(state.claims.T)
    return _block(accounts, groups, state.claims[groups, accounts])


def _result_bytes(state: State) -> bytes:
    """What the results of accounts are measured from, and what insolvent ones bear by."""
    rows = state.positions[: int(state.engine[0].positions_now)]
    base = result_bases(state, np.arange(len(rows)), int(state.engine[0].now_ns))
    insolvent = (rows["account"] >= 0) & (state.accounts["health"][np.maximum(rows["account"], 0)] == Health.INSOLVENT)
    settled, most = (np.where(insolvent, state.results[name][: len(rows)], 0) for name in ("settled_loss", "bearing_lots"))
    has_result = (rows["lots"] != 0) | (base != 0) | (settled != 0) | (most != 0)
    kept = np.flatnonzero((rows["account"] >= 0) & has_result)
    kept = kept[np.lexsort((rows["market"][kept], rows["account"][kept]))]
    return _block(rows["account"][kept], rows["market"][kept], base[kept], settled[kept], most[kept])


def _debt_bytes(state: State) -> bytes:
    """Return the debts that are not forgotten, by account and group."""
    engine, count = state.engine[0], int(state.engine[0].accounts_now)
    owners = state.accounts["owner"][:count]
    paid_ns = state.columns[OWNER_PAID_NS][owners]
    is_kept = int(engine.now_ns) - paid_ns <= int(state.rules[0].owner_memory_ns)
    account, group = np.nonzero((state.debts[:count] != 0) & is_kept[:, np.newaxis])
    return _block(account, group, state.debts[account, group], paid_ns[account])


def _gap_bytes(state: State) -> bytes:
    """Return the noted gaps of insolvent accounts at the present marks, by account and market."""
    count = int(state.engine[0].positions_now)
    rows = state.positions[:count]
    kept = np.flatnonzero((state.gaps[:count] != 0).any(axis=1))
    kept = kept[np.lexsort((rows["market"][kept], rows["account"][kept]))]
    atoms, lots = state.gaps[kept].T
    markets = rows["market"][kept]
    contracts = contracts_of(state.markets)
    values = contracts.values(markets, lots, state.markets["mark_ticks"][markets])
    return _block(rows["account"][kept], markets, atoms - values, lots)


def _return_bytes(state: State) -> bytes:
    """Return the accounts that left a default with lots, how often they came back, and when they left."""
    defaults = state.defaults[: int(state.engine[0].accounts_now)]
    kept = np.flatnonzero(defaults["ended_ns"] != NONE)
    return _block(kept, defaults["returns"][kept], defaults["ended_ns"][kept])


def _carry_bytes(state: State) -> bytes:
    """Return the accounts that were carried in their default, and what is reserved for that, in the order
    in which it began.
    """
    carry_until = state.defaults["carry_until_ns"]
    accounts = np.flatnonzero(carry_until)
    rows = list[tuple[int, int, int, int]]()
    for fund in state.funds:
        position = int(fund.carry_last)
        while position != NONE:
            row, carry = state.positions[position], state.carries[position]
            rows.append((int(carry[CARRY_NUMBER]), int(row.account), int(row.market), int(carry[CARRY_ATOMS])))
            position = int(carry[CARRY_BEFORE])
    in_order = [row[1:] for row in sorted(rows)]
    return _block(accounts, carry_until[accounts]) + _block(*np.array(in_order, dtype="<i8").reshape(-1, 3).T)


def _fill_debt_bytes(state: State) -> bytes:
    """Return what is owed for fills, by number, and what owners owe for fills."""
    engine = state.engine[0]
    rows, (_, owed, last_ns, first) = state.fill_debts, state.fill_gauges.T
    counts = (owed > 0) & (int(engine.now_ns) - last_ns <= int(state.rules[0].owner_memory_ns))
    kept = rows[(rows[:, 0] > 0) & (rows[:, 3] > 0) & counts[rows[:, 2]] & (rows[:, 0] >= first[rows[:, 2]])]
    kept = kept[np.argsort(kept[:, 0])]
    owners = np.flatnonzero(counts)
    return _block(*kept[:, :4].T) + _block(owners, owed[owners], last_ns[owners])


def _of_scope(rows: NDArray[np.void], scope: Scope, *first: NDArray[Any]) -> bytes:
    """Return the rules of a scope, a row for each of ``rows``, in order of number."""
    return _block(*first, *(rows[each.field] for each in digested(scope)))


#: Rules of a market that say nothing where it is linear.
_NOT_OF_LINEAR = ("contract_kind", "price_ticks_min")


def _rule_bytes(state: State) -> bytes:
    """Return the rules in force, and the changes that wait."""
    rules, groups = state.rules[0], int(state.rules[0].groups)
    markets = np.int64(len(state.markets)).astype("<i8").tobytes()
    for row in state.markets:
        # Of a linear contract its kind and lowest price, which is 1, are left out.
        is_linear = row["contract_kind"] == ContractKind.LINEAR
        values = [int(row[each.field]) for each in digested(Scope.MARKET) if not (is_linear and each.field in _NOT_OF_LINEAR)]
        bands = (int(offset) for offset in row.band_offset_ppm[: int(row.band_count)])
        markets += np.array([*values, *bands], dtype="<i8").tobytes()
    providers = state.providers[: int(rules.providers)]
    places = [commitment_row(number, group, side) for number in range(len(providers)) for group in range(groups) for side in (0, 1)]
    of_tiers = np.repeat(np.arange(len(state.markets)), state.markets["tier_count"])
    return (
        _block(*((state.rules if each.scope == Scope.VENUE else state.assets[:1])[each.field] for each in venue_digested()))
        + markets
        + _of_scope(state.tiers, Scope.TIER, of_tiers)
        + _of_scope(state.funds, Scope.GROUP)
        + _of_scope(providers, Scope.PROVIDER)
        + _of_scope(state.commitments[[int(place) for place in places]], Scope.COMMITMENT)
        + _block(*state.changes[: int(state.engine[0].changes_now)].T)
        + _relief_bytes(state)
    )


def _relief_bytes(state: State) -> bytes:
    """Return the positions with relief, by account and market, and the markets whose relief ends."""
    kept = np.flatnonzero(state.relieved)
    rows = state.positions[kept]
    order = np.lexsort((rows["market"], rows["account"]))
    ends_ns = state.markets["relief_ends_ns"]
    ending = np.flatnonzero(ends_ns != NEVER_NS)
    parts = PPM - state.relieved[kept][order]
    return _block(rows["account"][order], rows["market"][order], parts) + _block(ending, ends_ns[ending])


def _asset_bytes(state: State) -> bytes:
    """Return what a venue of several assets has besides."""
    if len(state.assets) == 1:
        return b""
    accounts, others = int(state.engine[0].accounts_now), state.assets[1:]
    providers = state.providers[: int(state.rules[0].providers)]
    told = _block(state.account_assets[:accounts]) + _block(state.markets["settlement_asset"])
    told += _block(state.funds["asset"]) + _block(providers["asset"])
    return told + _block(*state.other_balances.T) + _block(*(others[each.field] for each in listed(Scope.ASSET)))


def _noted_bytes(state: State) -> bytes:
    """Return the sum of noted gains and all parts of the hole by group, noted gains, parts that are owed and
    gains that left, by group and owner, and own money of those who have noted gains.
    """
    epoch, sums = int(present_epoch(state)), state.funds["noted_gains"]
    rows, own = state.noted[:-1], state.noted[-1]
    noted = np.where(sums[:, np.newaxis] > 0, rows[NOTED::4], 0)
    owed = np.where(noted > 0, rows[OWED::4], 0)
    gone = np.where(rows[GONE_EPOCH::4] == epoch, rows[GONE::4], 0)
    groups, owners = np.nonzero((noted > 0) | (gone > 0))
    kept, able = np.flatnonzero(sums), np.flatnonzero(noted.any(axis=0))
    told = _block(kept, sums[kept], state.funds["owed_sum"][kept])
    told += _block(groups, owners, noted[groups, owners], owed[groups, owners], gone[groups, owners])
    return told + _block(able, own[able])


def state_digest(state: State) -> str:
    """Return the SHA-256 (hex) of the economic state, as R12 encodes it."""
    present = int(state.engine[0].now_ns) // int(state.rules[0].cap_interval_ns)
    places = places_of(state)
    positions, results = state.positions[places], state.results[places]
    digest = hashlib.sha256()
    digest.update(_head_bytes(state, present))
    digest.update(_market_bytes(state, present))
    digest.update(_ledger_bytes(state))
    digest.update(_account_bytes(state, present))
    names = ("account", "market", "lots", "cost", "closed_in_default")
    digest.update(_block(*(positions[name] for name in names), results["settled_index"]))
    digest.update(_order_bytes(state))
    digest.update(_fund_bytes(state))
    digest.update(_owner_bytes(state))
    digest.update(_breaker_bytes(state))
    digest.update(_provider_bytes(state))
    digest.update(_claim_bytes(state))
    digest.update(_result_bytes(state))
    digest.update(_debt_bytes(state))
    digest.update(_gap_bytes(state))
    digest.update(_carry_bytes(state))
    digest.update(_fill_debt_bytes(state))
    digest.update(_return_bytes(state))
    digest.update(_noted_bytes(state))
    digest.update(_rule_bytes(state))
    digest.update(_asset_bytes(state))
    return digest.hexdigest()

"""What the engine remembers: rows of accounts, positions, markets and orders.

One ``State`` is a bundle of flat arrays that the kernels hand to each other as one pointer. Which
row a position stands in, and every trigger, bucket and scratch array, is private to the process: no
effect and no digest depends on it. ``rows`` has the layouts, ``columns`` the columns of numbers,
``places`` says which row is whose.

Arrays are sized once, by ``LimitRules``; memory that is never touched is never committed.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backstop.bundle import Bundle, bundle
from backstop.compiled import declare_rows
from backstop.core.columns import COLUMNS, NETTED_EVENT, OWNER_CARRY_LAST, OWNER_FIRST
from backstop.core.events import EFFECT, EVENT, GROUPS_MAX, NONE, clearing_of
from backstop.core.initial_rows import (
    breaker_rows,
    engine_row,
    fund_rows,
    market_rows,
    owner_lots_rows,
    position_rows,
    provider_rows,
    rules_row,
    stage_rows,
)
from backstop.core.instruments import VenueRules, check_rules
from backstop.core.parameter_table import CHANGES_MAX
from backstop.core.places import bucket_of, house_slot
from backstop.core.rows import (
    ACCOUNT,
    BREAKER,
    COMMITMENT,
    ENGINE,
    FILL_DEBT_COLUMNS,
    FILL_GAUGE_COLUMNS,
    FUND_ROW,
    FUND_SLOTS,
    MARKET,
    ORDER,
    POSITION,
    PROVIDER,
    RESULT,
    RULES,
    STAGE,
    TIER,
)

__all__ = ["State", "new_state", "places_of", "positions_of"]


class State(Bundle):
    """The engine's arrays. Kernels take it whole and change its arrays in place."""

    FIELDS: ClassVar[dict[str, tuple[Any, int]]] = {
        "engine": (ENGINE, 1),
        "rules": (RULES, 1),
        "stages": (STAGE, 1),
        "markets": (MARKET, 1),
        "tiers": (TIER, 1),
        "house": (np.int64, 1),
        "other_balances": (np.int64, 2),
        "gauges": (np.int64, 2),
        "claims": (np.int64, 2),
        "noted": (np.int64, 2),
        "charge_markets": (np.int64, 1),
        "doubts": (np.int64, 2),
        "accounts": (ACCOUNT, 1),
        "positions": (POSITION, 1),
        "results": (RESULT, 1),
        "gaps": (np.int64, 2),
        "carries": (np.int64, 2),
        "left_parts": (np.int64, 1),
        "relieved": (np.int64, 1),
        "torn_lots": (np.int64, 2),
        "event_gains": (np.int64, 2),
        "better_first": (np.int64, 2),
        "carry_until": (np.int64, 1),
        "returns": (np.int64, 2),
        "orders": (ORDER, 1),
        "changes": (np.int64, 2),
        "funds": (FUND_ROW, 1),
        "breakers": (BREAKER, 1),
        "providers": (PROVIDER, 1),
        "commitments": (COMMITMENT, 1),
        "offered": (np.int64, 2),
        "joints": (np.int64, 2),
        "debts": (np.int64, 2),
        "owner_lots": (np.int64, 2),
        "fill_debts": (np.int64, 2),
        "fill_gauges": (np.int64, 2),
        "buckets": (np.int32, 2),
        "columns": (np.int64, 2),
        "effects": (EFFECT, 1),
    }

    engine: NDArray[np.void]
    rules: NDArray[np.void]
    #: One row per turn of the waterfall.
    stages: NDArray[np.void]
    markets: NDArray[np.void]
    tiers: NDArray[np.void]
    #: Balances of the house's ledger accounts, by ``house_slot``.
    house: NDArray[np.int64]
    #: Balances in the assets beside the venue's: row ``asset - 1``, accounts by id, then the house
    #: by ``house_slot``.
    other_balances: NDArray[np.int64]
    #: What funds paid in the latest slots of time, by ``fund_gauge``, ``arrears_gauge`` and
    #: ``market_gauge``: slot ``n`` at ``n % FUND_SLOTS``, then the number of the newest slot.
    gauges: NDArray[np.int64]
    #: Recovery claims: row of a group, by account.
    claims: NDArray[np.int64]
    #: Gains that are noted, and that left: three rows of a group, by owner; then a row of his own money
    #: (see ``noted_gains``).
    noted: NDArray[np.int64]
    #: By account: market of the last funding payment that it had to make, or NONE.
    charge_markets: NDArray[np.int64]
    #: By account: for how long it waited for doubt in this default, and since when it does now, or
    #: NONE (see ``doubt``).
    doubts: NDArray[np.int64]
    accounts: NDArray[np.void]
    positions: NDArray[np.void]
    #: By row of ``positions``.
    results: NDArray[np.void]
    #: By row of ``positions``: the gap that it has of its insolvent account, see ``shortfalls``.
    gaps: NDArray[np.int64]
    #: By row of ``positions``: what its fund reserves to carry its account, see ``carries``.
    carries: NDArray[np.int64]
    #: By row of ``positions``: what its account's fund left of a part of its deficit, while that stands
    #: at socialise; else 0 (see ``cover``).
    left_parts: NDArray[np.int64]
    #: By row of ``positions``: the part of its margin that it need not have, in ppm (see ``relief``).
    relieved: NDArray[np.int64]
    #: By row of ``positions``: lots (> 0) that others' tear-up took of it, and in which event
    #: (``engine.accepted``).
    torn_lots: NDArray[np.int64]
    #: By row of ``positions``: P&L that ADL and tear-up realised of it, less cuts that it paid from
    #: money, and in which event (``engine.accepted``).
    event_gains: NDArray[np.int64]
    #: Per row of ``positions``, while a joint turn runs: see ``waterfall.leaving``.
    better_first: NDArray[np.int64]
    #: By account: until when it may be carried in this default; 0: it was not carried yet.
    carry_until: NDArray[np.int64]
    #: By account: how often it came back to default, and when its last default ended, or NONE.
    returns: NDArray[np.int64]
    orders: NDArray[np.void]
    #: Changes of rules that wait for their time (see ``changes``).
    changes: NDArray[np.int64]
    #: One a market group.
    funds: NDArray[np.void]
    #: One a market, then the venue's.
    breakers: NDArray[np.void]
    providers: NDArray[np.void]
    commitments: NDArray[np.void]
    #: Lots (> 0) of a provider's open offers: row ``provider x 2 + direction``, by market.
    offered: NDArray[np.int64]
    #: Likewise: the first of its last joint offer.
    joints: NDArray[np.int64]
    #: What an account owes each group's fund: row by account, column by group (see ``debts``).
    debts: NDArray[np.int64]
    #: Lots that all accounts of an owner hold in a market, of either sign: rows (key, lots) of a
    #: hash table (see ``interest``).
    owner_lots: NDArray[np.int64]
    #: What is owed for the latest fills, number ``n`` at ``n % orders_max`` (see ``fill_debts``).
    fill_debts: NDArray[np.int64]
    #: By account the newest of them that is owed to it; by owner what he owes (see ``fill_debts``).
    fill_gauges: NDArray[np.int64]
    #: First position of each price bucket: row 0 the triggers below the mark, row 1 those above.
    buckets: NDArray[np.int32]
    #: Columns of numbers that are no rows: see the names below.
    columns: NDArray[np.int64]
    effects: NDArray[np.void]


bundle(State)
declare_rows("EventArray", EVENT)
declare_rows("EffectArray", EFFECT)


def new_state(rules: VenueRules) -> State:
    """Return the state before the first event.

    Raises ``ValueError`` (from ``check_rules``) where the rules cannot be run safely.
    """
    check_rules(rules)
    count, limits = len(rules.markets), rules.limits
    house_slots = house_slot(clearing_of(count))
    markets, tiers = market_rows(rules)
    stages = stage_rows(rules)
    positions = position_rows(rules)
    providers, commitments = provider_rows(rules)
    buckets = int(markets[-1].bucket_first) + int(bucket_of(markets[-1].price_ticks_most)) + 1
    columns = np.zeros((COLUMNS, 2 * limits.accounts_max + count + 16), dtype=np.int64)
    for column in (OWNER_FIRST, OWNER_CARRY_LAST, NETTED_EVENT):
        columns[column, : limits.accounts_max] = NONE
    return State(
        engine=engine_row(count),
        rules=rules_row(rules, stages),
        stages=stages,
        markets=markets,
        tiers=tiers,
        house=np.zeros(house_slots, dtype=np.int64),
        other_balances=np.zeros((rules.assets - 1, limits.accounts_max + house_slots) if rules.assets > 1 else (1, 1), dtype=np.int64),
        gauges=np.zeros((2 * GROUPS_MAX + count, FUND_SLOTS + 1), dtype=np.int64),
        claims=np.zeros((len(rules.funds), limits.accounts_max), dtype=np.int64),
        noted=np.zeros((3 * len(rules.funds) + 1, limits.accounts_max), dtype=np.int64),
        charge_markets=np.full(limits.accounts_max, NONE, dtype=np.int64),
        doubts=np.zeros((limits.accounts_max, 2), dtype=np.int64),
        accounts=np.zeros(limits.accounts_max, dtype=ACCOUNT),
        positions=positions,
        results=np.zeros(len(positions), dtype=RESULT),
        gaps=np.zeros((len(positions), 2), dtype=np.int64),
        carries=np.zeros((len(positions), 7), dtype=np.int64),
        left_parts=np.zeros(len(positions), dtype=np.int64),
        relieved=np.zeros(len(positions), dtype=np.int64),
        torn_lots=np.zeros((len(positions), 2), dtype=np.int64),
        event_gains=np.zeros((len(positions), 2), dtype=np.int64),
        better_first=np.zeros((len(positions), 3), dtype=np.int64),
        carry_until=np.zeros(limits.accounts_max, dtype=np.int64),
        returns=np.full((limits.accounts_max, 2), NONE, dtype=np.int64),
        orders=np.zeros(limits.orders_max, dtype=ORDER),
        changes=np.zeros((CHANGES_MAX, 6), dtype=np.int64),
        funds=fund_rows(rules),
        breakers=breaker_rows(rules),
        providers=providers,
        commitments=commitments,
        offered=np.zeros((2 * len(providers), count), dtype=np.int64),
        joints=np.zeros((2 * len(providers), count), dtype=np.int64),
        debts=np.zeros((limits.accounts_max, len(rules.funds)), dtype=np.int64),
        owner_lots=owner_lots_rows(rules),
        fill_debts=np.zeros((limits.orders_max, FILL_DEBT_COLUMNS), dtype=np.int64),
        fill_gauges=np.zeros((limits.accounts_max, FILL_GAUGE_COLUMNS), dtype=np.int64),
        buckets=np.full((2, buckets), NONE, dtype=np.int32),
        columns=columns,
        effects=np.empty(2 * limits.effects_max, dtype=EFFECT),
    )


def places_of(state: State) -> NDArray[np.intp]:
    """Return the rows of the accounts' positions with lots, ordered by (account, market)."""
    rows = state.positions[: int(state.engine[0].positions_now)]
    places = np.flatnonzero((rows["lots"] != 0) & (rows["account"] >= 0))
    return places[np.lexsort((rows["market"][places], rows["account"][places]))]


def positions_of(state: State) -> NDArray[np.void]:
    """Return a copy of the accounts' positions with lots, ordered by (account, market)."""
    return state.positions[places_of(state)]

"""What the engine remembers: rows of accounts, positions, markets and orders.

One ``State`` is a bundle of flat arrays that the kernels hand to each other as one pointer. Which
row a position stands in, and every trigger, bucket and scratch array, is private to the process: no
effect and no digest depends on it. ``rows`` has the layouts, ``columns`` the columns of numbers,
``places`` says which row is whose.

Arrays are sized once, by ``LimitRules``; memory that is never touched is never committed, and never
copied (``used``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backstop.bundle import Bundle, bundle
from backstop.compiled import declare_rows
from backstop.core.columns import COLUMNS
from backstop.core.events import EFFECT, EVENT, GROUPS_MAX, clearing_of
from backstop.core.initial_rows import (
    asset_rows,
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
from backstop.core.instruments import LimitRules, VenueRules, check_rules
from backstop.core.parameter_table import CHANGES_MAX
from backstop.core.places import OTHER_SLOTS, bucket_of, house_slot
from backstop.core.rows import (
    ACCOUNT,
    ASSET,
    BREAKER,
    COMMITMENT,
    DEFAULT,
    ENGINE,
    FILL_DEBT_COLUMNS,
    FILL_GAUGE_COLUMNS,
    FUND_ROW,
    FUND_SLOTS,
    LINK_COLUMNS,
    MARKET,
    ORDER,
    POSITION,
    PROVIDER,
    RESULT,
    RULES,
    STAGE,
    TIER,
)
from backstop.core.used import Part, blank_array, used_parts

__all__ = ["State", "effects_rows", "new_state", "places_of", "positions_of"]

#: Rows of effects that a call of ``step`` gathers from several events, 4 MiB; an event may bring more.
_EFFECTS_A_STEP = 1 << 16


class State(Bundle):
    """The engine's arrays. Kernels take it whole and change its arrays in place."""

    FIELDS: ClassVar[dict[str, tuple[Any, int]]] = {
        "engine": (ENGINE, 1),
        "rules": (RULES, 1),
        "stages": (STAGE, 1),
        "assets": (ASSET, 1),
        "markets": (MARKET, 1),
        "tiers": (TIER, 1),
        "house": (np.int64, 1),
        "other_balances": (np.int64, 2),
        "gauges": (np.int64, 2),
        "claims": (np.int64, 2),
        "noted": (np.int64, 2),
        "charge_markets": (np.int64, 1),
        "pocket_markets": (np.int64, 1),
        "account_assets": (np.int64, 1),
        "accounts": (ACCOUNT, 1),
        "defaults": (DEFAULT, 1),
        "positions": (POSITION, 1),
        "results": (RESULT, 1),
        "links": (np.int64, 2),
        "gaps": (np.int64, 2),
        "carries": (np.int64, 2),
        "left_parts": (np.int64, 1),
        "relieved": (np.int64, 1),
        "torn_lots": (np.int64, 2),
        "taken_lots": (np.int64, 2),
        "event_gains": (np.int64, 2),
        "better_first": (np.int64, 2),
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
    #: One row per asset.
    assets: NDArray[np.void]
    markets: NDArray[np.void]
    tiers: NDArray[np.void]
    #: Balances of the house's ledger accounts, by ``house_slot``.
    house: NDArray[np.int64]
    #: Balances of WORLD, REMAINDER and FEES in all assets but the first: row ``asset - 1``, columns by
    #: ``other_slot``. Every other ledger account is in one asset.
    other_balances: NDArray[np.int64]
    #: What funds paid in the latest slots of time, by ``fund_gauge``, ``arrears_gauge`` and
    #: ``market_gauge``: slot ``n`` at ``n % FUND_SLOTS``, then the number of the newest slot.
    gauges: NDArray[np.int64]
    #: Recovery claims: row of a group, by account.
    claims: NDArray[np.int64]
    #: Gains that are noted, and that left: four rows of a group, by owner; then a row of his own money
    #: (see ``noted_gains``).
    noted: NDArray[np.int64]
    #: By account: market of the last funding payment that it had to make, or NONE.
    charge_markets: NDArray[np.int64]
    #: By account: the one market of a pocket, or NONE (see ``pockets``).
    pocket_markets: NDArray[np.int64]
    #: By account: the number of its asset.
    account_assets: NDArray[np.int64]
    accounts: NDArray[np.void]
    #: By account.
    defaults: NDArray[np.void]
    positions: NDArray[np.void]
    #: By row of ``positions``.
    results: NDArray[np.void]
    #: By row of ``positions``: its neighbours in lists that rows leave, see ``position_rows``.
    links: NDArray[np.int64]
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
    #: Likewise: signed lots that others' defaults took of it, by ADL or tear-up (see ``naked_legs``).
    taken_lots: NDArray[np.int64]
    #: By row of ``positions``: P&L that ADL and tear-up realised of it, less cuts that it paid from
    #: money, and in which event (``engine.accepted``).
    event_gains: NDArray[np.int64]
    #: Per row of ``positions``, while a joint turn runs: see ``waterfall.leaving``.
    better_first: NDArray[np.int64]
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

    def copy_used(self) -> State:
        """Return an independent state of the same capacity that goes on as this one would.

        Only rows in use are copied (``used``), untaken effects too; scratch is not. This state must
        stand between two events, and may be read by several threads at once.
        """
        return _restored(self._shapes(), [(part, getattr(self, part.name)[part.index]) for part in used_parts(self)])

    def reset_from(self, other: State) -> None:
        """Make this state go on as ``other`` would: untaken effects, rules in force, everything.

        Only rows that one of the two uses are written: a run of a few events from a large opening
        costs the opening's rows, not the capacity. Both must stand between two events; a state
        whose ``step`` raised is thrown away instead. ``other`` is only read, so several threads may
        go back to it at once.

        Raises ``ValueError`` where the two were made for other limits or other markets.
        """
        if self is other:
            return
        if self._shapes() != other._shapes():
            different = [name for name, shape in self._shapes().items() if getattr(other, name).shape != shape]
            raise ValueError(f"a state goes back to one of the same limits, markets and groups: {', '.join(different)} differ in shape")
        for name, index in used_parts(self, other):
            getattr(self, name)[index] = getattr(other, name)[index]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what is in use, and the shapes: capacity is made anew."""
        return _restored, (self._shapes(), [(part, getattr(self, part.name)[part.index]) for part in used_parts(self)])

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: getattr(self, name).shape for name in self.FIELDS}


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
    accounts, groups, rows = limits.accounts_max, len(rules.funds), len(positions)
    buckets = int(markets[-1].bucket_first) + int(bucket_of(markets[-1].price_ticks_most)) + 1
    made: dict[str, NDArray[Any]] = {
        "engine": engine_row(count),
        "rules": rules_row(rules, stages),
        "stages": stages,
        "assets": asset_rows(rules),
        "markets": markets,
        "tiers": tiers,
        "positions": positions,
        "funds": fund_rows(rules),
        "breakers": breaker_rows(rules),
        "providers": providers,
        "commitments": commitments,
        "owner_lots": owner_lots_rows(rules),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "house": (house_slots,),
        "other_balances": (max(1, len(rules.assets) - 1), OTHER_SLOTS),
        "gauges": (2 * GROUPS_MAX + count, FUND_SLOTS + 1),
        "claims": (groups, accounts),
        "noted": (4 * groups + 1, accounts),
        "charge_markets": (accounts,),
        "pocket_markets": (accounts,),
        "account_assets": (accounts,),
        "accounts": (accounts,),
        "defaults": (accounts,),
        "results": (rows,),
        "links": (rows, LINK_COLUMNS),
        "gaps": (rows, 2),
        "carries": (rows, 7),
        "left_parts": (rows,),
        "relieved": (rows,),
        "torn_lots": (rows, 2),
        "taken_lots": (rows, 2),
        "event_gains": (rows, 2),
        "better_first": (rows, 3),
        "orders": (limits.orders_max,),
        "changes": (CHANGES_MAX, 6),
        "offered": (2 * len(providers), count),
        "joints": (2 * len(providers), count),
        "debts": (accounts, groups),
        "fill_debts": (limits.orders_max, FILL_DEBT_COLUMNS),
        "fill_gauges": (accounts, FILL_GAUGE_COLUMNS),
        "buckets": (2, buckets),
        "columns": (COLUMNS, 2 * accounts + count + 16),
        "effects": (effects_rows(limits),),
    }
    return State(**made, **_blank_arrays(shapes))


def effects_rows(limits: LimitRules) -> int:
    """Return how many rows the buffer of effects has: room for all that one event may bring, and for
    those of the events before it in a call of ``step``.
    """
    return limits.effects_max + min(limits.effects_max, _EFFECTS_A_STEP)


def _blank_arrays(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """Return arrays of which nothing was used."""
    accounts_max = shapes["accounts"][0]
    return {name: blank_array(name, shape, State.FIELDS[name][0], accounts_max) for name, shape in shapes.items()}


def _restored(shapes: Mapping[str, tuple[int, ...]], contents: list[tuple[Part, NDArray[Any]]]) -> State:
    """Return a state of these shapes in which only ``contents`` is in use."""
    arrays = _blank_arrays(shapes)
    for (name, index), content in contents:
        arrays[name][index] = content
    return State(**arrays)


def places_of(state: State) -> NDArray[np.intp]:
    """Return the rows of the accounts' positions with lots, ordered by (account, market)."""
    rows = state.positions[: int(state.engine[0].positions_now)]
    places = np.flatnonzero((rows["lots"] != 0) & (rows["account"] >= 0))
    return places[np.lexsort((rows["market"][places], rows["account"][places]))]


def positions_of(state: State) -> NDArray[np.void]:
    """Return a copy of the accounts' positions with lots, ordered by (account, market)."""
    return state.positions[places_of(state)]

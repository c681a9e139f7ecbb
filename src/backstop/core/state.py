"""What the engine remembers: rows of accounts, positions, markets and orders, and the state digest.

One ``State`` is a bundle of flat arrays that the kernels hand to each other as one pointer. Rows that the hot
path touches are 64 bytes, one cache line. Which row a position stands in, and every trigger, bucket
and scratch array, is private to the process: no effect and no digest depends on it.

Arrays are sized once, by ``LimitRules``; memory that is never touched is never committed.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from backstop.bundle import Bundle, bundle
from backstop.compiled import inlined
from backstop.core.events import EFFECT, HOUSE_FIRST_MARKET, NONE, Stage
from backstop.core.instruments import BANDS_MAX, STAGES_MAX, VenueRules, check_rules, deductions_atoms

__all__ = [
    "ACCOUNT",
    "BUCKET_BITS",
    "ENGINE",
    "MARKET",
    "ORDER",
    "POSITION",
    "RULES",
    "TIER",
    "AccountRow",
    "State",
    "bucket_of",
    "house_slot",
    "new_state",
    "positions_of",
    "state_digest",
]

#: Bits of mantissa of a price bucket: a bucket is 1/4096 to 1/8192 of the price wide.
BUCKET_BITS = 12


def _row(*fields: tuple[str, str] | tuple[str, str, tuple[int, ...]]) -> Any:
    return np.dtype((np.record, list(fields)))


#: One account, 64 bytes. ``balance`` is the ledger's own storage of it.
ACCOUNT = _row(
    ("balance", "<i8"),
    ("default_since_ns", "<i8"),
    ("wait_until_ns", "<i8"),
    ("next_slice_ns", "<i8"),
    ("spare", "<i8"),
    ("round_stamp", "<i8"),  # the last round that holds this account
    ("owner", "<i4"),
    ("first_position", "<i4"),
    ("next_of_owner", "<i4"),
    ("health", "<i1"),
    ("restricted", "<i1"),
    ("orders_open", "<i2"),
)

#: One position of an account (or of OUTSIDE, error_inventory: ``account`` is then their ledger id), 64 bytes.
#: A row stays when its lots are gone; an account's rows hang together in order of market. The two triggers stand
#: below (DOWN) and above (UP) the mark, each in the list of its price bucket; a trigger of 0 is in no list.
POSITION = _row(
    ("lots", "<i8"),
    ("cost", "<i8"),
    ("account", "<i4"),
    ("market", "<i4"),
    ("next_of_account", "<i4"),
    ("next_of_market", "<i4"),
    ("order_slot", "<i4"),  # place of its open closing order, or NONE
    ("closed_in_default", "<i4"),
    ("trigger_ticks", "<i4", (2,)),
    ("trigger_next", "<i4", (2,)),
    ("trigger_prev", "<i4", (2,)),
)

#: One market: its rules, its prices, its gauges.
MARKET = _row(
    ("mark_ticks", "<i8"),
    ("index_ticks", "<i8"),
    ("volume_lots", "<i8"),  # NONE until reported
    ("notional_factor", "<i8"),
    ("price_ticks_max", "<i8"),
    ("position_lots_max", "<i8"),
    ("slippage_tolerance_ppm", "<i8"),
    ("volatility_ppm", "<i8"),
    ("ordered_notional_max", "<i8"),
    ("ordered_notional", "<i8"),
    ("ordered_interval", "<i8"),
    ("bucket_first", "<i8"),
    ("pending_lots", "<i8", (2,)),  # lots open in closing orders that take BID, ASK
    ("first_position", "<i4"),
    ("last_position", "<i4"),
    ("tier_first", "<i4"),
    ("tier_count", "<i4"),
    ("band_count", "<i4"),
    ("halted", "<i4"),
    ("band_offset_ppm", "<i8", (BANDS_MAX,)),
    ("depth_lots", "<i8", (2, BANDS_MAX)),  # visible lots by book side and band
)

#: One margin tier, its deductions worked out.
TIER = _row(
    ("floor_atoms", "<i8"),
    ("initial_rate_ppm", "<i8"),
    ("initial_deduction", "<i8"),
    ("maintenance_rate_ppm", "<i8"),
    ("maintenance_deduction", "<i8"),
)

#: One closing order. A closed one stays until its place is needed: a late fill still finds it.
ORDER = _row(
    ("id", "<i8"),
    ("lots", "<i8"),  # signed change of the position
    ("filled", "<i8"),  # lots > 0
    ("limit_ticks", "<i8"),
    ("zero_cash", "<i8"),
    ("reserved", "<i8"),
    ("account", "<i4"),
    ("position", "<i4"),
    ("market", "<i4"),
    ("is_open", "<i4"),
)

#: The engine's own scalars, one row.
ENGINE = _row(
    ("now_ns", "<i8"),
    ("last_seq", "<i8"),
    ("accounts_now", "<i8"),
    ("positions_now", "<i8"),  # rows used, the house's included
    ("next_order_id", "<i8"),
    ("reserved", "<i8"),
    ("paid_in_interval", "<i8"),
    ("ordered_notional", "<i8"),
    ("interval", "<i8"),  # number of the tumbling interval of the two gauges above
    ("round_number", "<i8"),
    ("waits_now", "<i8"),
    ("effects_now", "<i8"),
    ("effects_first", "<i8"),  # where those of the present event begin
    ("touched_now", "<i8"),
    ("refused", "<i8"),
    ("judged", "<i8"),
    ("crossed", "<i8"),
)

#: The venue's rules that are not a market's, one row.
RULES = _row(
    ("warning_ratio_ppm", "<i8"),
    ("exit_buffer_ppm", "<i8"),
    ("close_out_ratio_ppm", "<i8"),
    ("fee_ppm", "<i8"),
    ("depth_share_ppm", "<i8"),
    ("volume_share_ppm", "<i8"),
    ("interval_ns", "<i8"),
    ("deadline_ns", "<i8"),
    ("order_timeout_ns", "<i8"),
    ("minimum_notional", "<i8"),
    ("cap_interval_ns", "<i8"),
    ("account_notional_max", "<i8"),
    ("venue_notional_max", "<i8"),
    ("fund_loss_max", "<i8"),
    ("has_fund", "<i8"),
    ("fund_supports", "<i8"),
    ("adl_policy", "<i8"),
    ("accounts_max", "<i8"),
    ("orders_max", "<i8"),
    ("markets", "<i8"),
    ("stage_count", "<i8"),
    ("stages", "<i8", (STAGES_MAX,)),
)


class AccountRow(Protocol):
    """Fields of an ``ACCOUNT`` row."""

    balance: int
    default_since_ns: int
    wait_until_ns: int
    next_slice_ns: int
    round_stamp: int
    owner: int
    first_position: int
    next_of_owner: int
    health: int
    restricted: int
    orders_open: int


class State(Bundle):
    """The engine's arrays. Kernels take it whole and change its arrays in place."""

    FIELDS: ClassVar[dict[str, tuple[Any, int]]] = {
        "engine": (ENGINE, 1),
        "rules": (RULES, 1),
        "markets": (MARKET, 1),
        "tiers": (TIER, 1),
        "house": (np.int64, 1),
        "accounts": (ACCOUNT, 1),
        "positions": (POSITION, 1),
        "orders": (ORDER, 1),
        "buckets": (np.int32, 2),
        "columns": (np.int64, 2),
        "effects": (EFFECT, 1),
    }

    engine: NDArray[np.void]
    rules: NDArray[np.void]
    markets: NDArray[np.void]
    tiers: NDArray[np.void]
    #: Balances of the house's ledger accounts, by ``house_slot``.
    house: NDArray[np.int64]
    accounts: NDArray[np.void]
    positions: NDArray[np.void]
    orders: NDArray[np.void]
    #: First position of each price bucket: row 0 the triggers below the mark, row 1 those above.
    buckets: NDArray[np.int32]
    #: Columns of numbers that are no rows: see the names below.
    columns: NDArray[np.int64]
    effects: NDArray[np.void]


bundle(State)

#: Columns of ``State.columns``. By account: ordered notional, the number of its interval; by owner: its last account, or NONE.
ORDERED_NOTIONAL, ORDERED_INTERVAL, OWNER_FIRST = range(3)
#: Heap of waits: time and account; an entry counts while it equals the account's own wait.
WAIT_TIME, WAIT_ACCOUNT = 3, 4
#: Accounts of the round that gathers; then the running round, with two columns for its order.
TOUCHED, ROUND_ACCOUNT, ROUND_EQUITY, ROUND_MAINTENANCE, ROUND_ORDER, ROUND_MERGE = range(5, 11)
#: What one stage weighs up: positions of an account, or counterparties in a market.
PLAN_POSITION, PLAN_CAP, PLAN_WEIGHT, PLAN_CLASS, PLAN_LOTS, PLAN_REMAINDER, PLAN_CASH, PLAN_ORDER, PLAN_MERGE = range(11, 20)
#: By ADL class: eta of the allocation, as lots over weight (0 / 0: everyone gave the whole cap).
CLASS_ETA_LOTS, CLASS_ETA_WEIGHT = 20, 21
COLUMNS = 22

#: Visible depth of a band that proved wrong and has not been told anew.
UNKNOWN_DEPTH = -1

#: Index of a position's two triggers.
DOWN, UP = 0, 1


@inlined
def house_slot(ledger_id: int) -> int:
    """Return the place of a house ledger account in ``State.house``."""
    return -2 - ledger_id


@inlined
def bucket_of(price_ticks: int) -> int:
    """Return the bucket of a price: exact below 2^13 ticks, then 12 bits of mantissa."""
    shift = 0
    value = price_ticks >> (BUCKET_BITS + 1)
    if value >= 1 << 16:
        shift += 16
        value >>= 16
    if value >= 1 << 8:
        shift += 8
        value >>= 8
    if value >= 1 << 4:
        shift += 4
        value >>= 4
    if value >= 1 << 2:
        shift += 2
        value >>= 2
    if value >= 1 << 1:
        shift += 1
        value >>= 1
    shift += value
    return (shift << BUCKET_BITS) + (price_ticks >> shift)


def _market_rows(rules: VenueRules) -> tuple[NDArray[np.void], NDArray[np.void]]:
    markets = np.zeros(len(rules.markets), dtype=MARKET)
    tiers = np.zeros(sum(len(market.tiers) for market in rules.markets), dtype=TIER)
    tier_first = bucket_first = 0
    for row, market in zip(markets, rules.markets, strict=True):
        row.volume_lots = NONE
        row.notional_factor = market.notional_factor
        row.price_ticks_max = market.price_ticks_max
        row.position_lots_max = market.position_lots_max
        row.slippage_tolerance_ppm = market.slippage_tolerance_ppm
        row.volatility_ppm = market.volatility_ppm
        row.ordered_notional_max = market.ordered_notional_max
        row.first_position = row.last_position = NONE
        row.band_count = len(market.band_offset_ppm)
        row.band_offset_ppm[: len(market.band_offset_ppm)] = market.band_offset_ppm
        row.bucket_first = bucket_first
        bucket_first += int(bucket_of(market.price_ticks_max)) + 1
        row.tier_first, row.tier_count = tier_first, len(market.tiers)
        floors = tuple(tier.floor_atoms for tier in market.tiers)
        initial = tuple(tier.initial_rate_ppm for tier in market.tiers)
        maintenance = tuple(tier.maintenance_rate_ppm for tier in market.tiers)
        block = tiers[tier_first : tier_first + len(market.tiers)]
        block["floor_atoms"], block["initial_rate_ppm"], block["maintenance_rate_ppm"] = floors, initial, maintenance
        block["initial_deduction"] = deductions_atoms(floors, initial)
        block["maintenance_deduction"] = deductions_atoms(floors, maintenance)
        tier_first += len(market.tiers)
    return markets, tiers


def _rules_row(rules: VenueRules) -> NDArray[np.void]:
    rows = np.zeros(1, dtype=RULES)
    row = rows[0]
    for group in (rules.levels, rules.closeout):
        for name, value in group._asdict().items():
            row[name] = value
    row.fund_loss_max = rules.fund.loss_per_interval_max
    row.has_fund = Stage.FUND in rules.stages
    row.fund_supports = Stage.FUND in rules.stages and (
        Stage.ADL not in rules.stages or rules.stages.index(Stage.FUND) < rules.stages.index(Stage.ADL)
    )
    row.adl_policy = rules.adl_policy
    row.accounts_max, row.orders_max = rules.limits.accounts_max, rules.limits.orders_max
    row.markets = len(rules.markets)
    row.stage_count = len(rules.stages)
    row.stages[: len(rules.stages)] = rules.stages
    return rows


def new_state(rules: VenueRules) -> State:
    """Return the state before the first event.

    Raises ``ValueError`` (from ``check_rules``) where the rules cannot be run safely.
    """
    check_rules(rules)
    count, limits = len(rules.markets), rules.limits
    markets, tiers = _market_rows(rules)
    buckets = int(markets[-1].bucket_first) + int(bucket_of(rules.markets[-1].price_ticks_max)) + 1
    engine = np.zeros(1, dtype=ENGINE)
    engine[0].positions_now = 2 * count
    engine[0].next_order_id = 1
    engine[0].last_seq = NONE
    positions = np.zeros(2 * count + limits.positions_max, dtype=POSITION)
    for market in range(count):
        for place in range(2):
            row = positions[2 * market + place]
            row.account, row.market = HOUSE_FIRST_MARKET - 3 * market - 1 - place, market
            row.next_of_account = row.next_of_market = row.order_slot = NONE
    columns = np.zeros((COLUMNS, 2 * limits.accounts_max + count + 16), dtype=np.int64)
    columns[OWNER_FIRST, : limits.accounts_max] = NONE
    return State(
        engine=engine,
        rules=_rules_row(rules),
        markets=markets,
        tiers=tiers,
        house=np.zeros(house_slot(HOUSE_FIRST_MARKET) + 3 * count, dtype=np.int64),
        accounts=np.zeros(limits.accounts_max, dtype=ACCOUNT),
        positions=positions,
        orders=np.zeros(limits.orders_max, dtype=ORDER),
        buckets=np.full((2, buckets), NONE, dtype=np.int32),
        columns=columns,
        effects=np.empty(2 * limits.effects_max, dtype=EFFECT),
    )


def positions_of(state: State) -> NDArray[np.void]:
    """Return a copy of the accounts' positions with lots, ordered by (account, market)."""
    first = 2 * len(state.markets)
    rows = state.positions[first : int(state.engine[0].positions_now)]
    rows = rows[rows["lots"] != 0]
    return rows[np.lexsort((rows["market"], rows["account"]))]


def _block(*columns: NDArray[Any]) -> bytes:
    table = np.column_stack([np.asarray(column, dtype="<i8") for column in columns])
    return np.int64(len(table)).astype("<i8").tobytes() + table.tobytes()


def _gauge(used: NDArray[Any], interval: NDArray[Any], present: int) -> NDArray[Any]:
    return np.where(interval == present, used, 0)


def state_digest(state: State) -> str:
    """Return the SHA-256 (hex) of the economic state, as docs/rules.md section 12 encodes it."""
    engine, rules, markets = state.engine[0], state.rules[0], state.markets
    present = int(engine.now_ns) // int(rules.cap_interval_ns)
    is_present = int(engine.interval) == present
    digest = hashlib.sha256()
    head = [
        engine.now_ns,
        engine.last_seq,
        engine.accounts_now,
        engine.next_order_id,
        engine.reserved,
        engine.paid_in_interval if is_present else 0,
        present,
        engine.ordered_notional if is_present else 0,
    ]
    digest.update(_block(*(np.array([int(value)]) for value in head)))
    count = len(markets)
    digest.update(np.int64(count).astype("<i8").tobytes())
    for number in range(count):
        market = markets[number]
        bands = int(market.band_count)
        outside, error = state.positions[2 * number], state.positions[2 * number + 1]
        fields = [market.mark_ticks, market.index_ticks, market.volume_lots, market.halted]
        fields.append(market.ordered_notional if int(market.ordered_interval) == present else 0)
        fields += list(market.depth_lots[0, :bands]) + list(market.depth_lots[1, :bands])
        fields += [outside.lots, outside.cost, error.lots, error.cost]
        digest.update(np.array([int(value) for value in fields], dtype="<i8").tobytes())
    slots = [0, 1, 2, 3, *range(house_slot(HOUSE_FIRST_MARKET), len(state.house))]
    digest.update(_block(state.house[slots]))
    accounts = state.accounts[: int(engine.accounts_now)]
    used, interval = state.columns[ORDERED_NOTIONAL : ORDERED_INTERVAL + 1, : int(engine.accounts_now)]
    digest.update(
        _block(
            accounts["owner"],
            accounts["balance"],
            accounts["health"],
            accounts["default_since_ns"],
            accounts["wait_until_ns"],
            accounts["next_slice_ns"],
            accounts["restricted"],
            _gauge(used, interval, present),
        )
    )
    rows = positions_of(state)
    digest.update(_block(rows["account"], rows["market"], rows["lots"], rows["cost"], rows["closed_in_default"]))
    orders = state.orders[state.orders["is_open"] == 1]
    orders = orders[np.argsort(orders["id"])]
    digest.update(
        _block(
            orders["id"],
            orders["account"],
            orders["market"],
            orders["lots"],
            np.abs(orders["lots"]) - orders["filled"],
            orders["limit_ticks"],
            orders["zero_cash"],
            orders["reserved"],
        )
    )
    return digest.hexdigest()

"""What the engine remembers: rows of accounts, positions, markets and orders.

One ``State`` is a bundle of flat arrays that the kernels hand to each other as one pointer. Rows
that the hot path touches are 64 bytes, one cache line. Which row a position stands in, and every
trigger, bucket and scratch array, is private to the process: no effect and no digest depends on it.

Arrays are sized once, by ``LimitRules``; memory that is never touched is never committed.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from backstop.bundle import Bundle, bundle
from backstop.compiled import declare_rows, inlined
from backstop.core.events import (
    EFFECT,
    EVENT,
    GROUPS_MAX,
    NEVER_NS,
    NONE,
    UNCOVERED_FIRST_GROUP,
    BreakerCause,
    Health,
    Stage,
    clearing_of,
    error_inventory_of,
    fund_of,
    outside_of,
    uncovered_of,
)
from backstop.core.instruments import BANDS_MAX, VenueRules, check_rules, deductions_atoms
from backstop.core.stages import JOINT

__all__ = [
    "ACCOUNT",
    "BREAKER",
    "BUCKET_BITS",
    "COMMITMENT",
    "ENGINE",
    "FUND_ROW",
    "MARKET",
    "ORDER",
    "POSITION",
    "PROVIDER",
    "RESULT",
    "RULES",
    "STAGE",
    "TIER",
    "AccountRow",
    "State",
    "bucket_of",
    "clearing_id",
    "commitment_row",
    "error_inventory_row",
    "arrears_gauge",
    "fund_gauge",
    "fund_id",
    "house_slot",
    "market_gauge",
    "outside_row",
    "new_state",
    "positions_of",
    "uncovered_id",
]

#: Bits of mantissa of a price bucket: a bucket is 1/4096 to 1/8192 of the price wide.
BUCKET_BITS = 12


_GROUPS_MAX = GROUPS_MAX


def _row(*fields: tuple[str, str] | tuple[str, str, tuple[int, ...]]) -> Any:
    return np.dtype((np.record, list(fields)))


#: One account, 64 bytes. ``balance`` is the ledger's own storage of it.
ACCOUNT = _row(
    ("balance", "<i8"),
    ("default_since_ns", "<i8"),
    ("wait_until_ns", "<i8"),
    ("next_slice_ns", "<i8"),
    ("claim", "<i8"),  # recovery claims on all groups
    ("round_stamp", "<i8"),  # the last round that holds this account
    ("owner", "<i4"),
    ("first_position", "<i4"),
    ("next_of_owner", "<i4"),
    ("health", "<i1"),
    ("restricted", "<i1"),
    ("orders_open", "<i2"),
)

#: One position of an account (or of OUTSIDE, error_inventory: ``account`` is then their ledger id),
#: 64 bytes. A row stays when its lots are gone; an account's rows hang together in order of market.
#: The two triggers stand below (DOWN) and above (UP) the mark, each in the list of its price
#: bucket; a trigger of 0 is in no list.
POSITION = _row(
    ("lots", "<i8"),
    ("cost", "<i8"),
    ("account", "<i4"),
    ("market", "<i4"),
    ("next_of_account", "<i4"),
    ("next_of_market", "<i4"),
    ("order_slot", "<i4"),  # place of its first open order (the rest hang on it), or NONE
    ("closed_in_default", "<i4"),
    ("trigger_ticks", "<i4", (2,)),
    ("trigger_next", "<i4", (2,)),
    ("trigger_prev", "<i4", (2,)),
)

#: The result of the position in the same row of ``positions``: what it is measured from, and the
#: epoch of that number (see ``results``). Then, of an insolvent account, the part of the loss that
#: lots closed at zero cash took with them, and most lots of which the rest is the loss.
RESULT = _row(
    ("base_atoms", "<i8"),
    ("epoch", "<i8"),
    ("settled_loss", "<i8"),
    ("bearing_lots", "<i8"),
)

#: One market: its rules, its prices, its gauges.
MARKET = _row(
    ("mark_ticks", "<i8"),
    ("index_ticks", "<i8"),
    ("epoch", "<i8"),  # number of the epoch of ``epoch_mark_ticks``, or NONE
    ("epoch_mark_ticks", "<i8"),  # the mark when that epoch began
    ("volume_lots", "<i8"),  # NONE until reported
    ("notional_factor", "<i8"),
    ("contract", "<i8"),  # ContractKind
    ("price_ticks_max", "<i8"),
    ("position_lots_max", "<i8"),
    ("slippage_tolerance_ppm", "<i8"),
    ("volatility_ppm", "<i8"),
    ("ordered_notional_max", "<i8"),
    ("ordered_notional", "<i8"),
    ("ordered_interval", "<i8"),
    ("loss_max", "<i8"),  # most that its fund pays for it in a window
    ("reserved", "<i8"),  # by its fund, for its orders
    ("bucket_first", "<i8"),
    ("price_throttle_ppm", "<i8"),
    ("price_halt_ppm", "<i8"),
    ("price_exit_ppm", "<i8"),
    ("guard_jump_ppm", "<i8"),
    ("guard_volume_lots", "<i8"),
    ("pending_lots", "<i8", (2,)),  # lots open in closing orders that take BID, ASK
    ("first_position", "<i4"),
    ("last_position", "<i4"),
    ("tier_first", "<i4"),
    ("tier_count", "<i4"),
    ("band_count", "<i4"),
    ("group", "<i4"),
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

#: One market group's insurance fund: its rules, and its peaks by slot of time (slot ``n`` stands at
#: ``n % FUND_SLOTS``). What it paid stands in ``State.gauges``.
FUND_ROW = _row(
    ("loss_max", "<i8"),
    ("target", "<i8"),
    ("reserved", "<i8"),
    ("least_cap", "<i8"),  # the smallest of the caps on its payments
    ("claims", "<i8"),  # recovery claims on the group, of all accounts
    ("peak_slot", "<i8"),
    ("balance_before", "<i8"),  # as of the end of the last event
    ("is_shifted", "<i8"),  # this event had CASH or RECOVERY of the fund
    ("shifted", "<i8"),  # the sum of both
    ("drawdown_level", "<i8"),
    ("peak", "<i8", (17,)),
)

#: One circuit breaker: a market's, or the venue's (the last row).
BREAKER = _row(
    ("state", "<i8"),
    ("cause", "<i8"),
    ("until_ns", "<i8"),
    ("levels", "<i8", (max(BreakerCause) + 1,)),  # by BreakerCause
    ("spent", "<i8"),  # sum of 2^(cause - 1)
    ("answered", "<i8"),  # likewise: whom the present stop is for
    ("is_dirty", "<i8"),
    ("operator_until_ns", "<i8"),
    ("outage_until_ns", "<i8"),
    ("flow_throttle", "<i8"),
    ("flow_halt", "<i8"),
    ("flow_window", "<i8"),  # number of the window of ``flow[0]``
    ("flow", "<i8", (2,)),  # notional liquidated in the present and the last window
    ("price_window", "<i8"),
    ("low_ticks", "<i8", (2,)),  # of the present and the last window
    ("high_ticks", "<i8", (2,)),
    ("price_signal_ppm", "<i8"),
    ("index_signal_ppm", "<i8"),
    ("mark_time_ns", "<i8"),  # of the last accepted mark, or NONE
    ("held_ticks", "<i8"),  # a mark that the price guard holds, or 0
    ("held_until_ns", "<i8"),
)

#: One backstop provider: its rules and its standing.
PROVIDER = _row(
    ("account", "<i8"),
    ("status", "<i8"),
    ("until_ns", "<i8"),  # when the status ends
    ("failures", "<i8"),
    ("score_ppm", "<i8"),
    ("baseline", "<i8"),  # equity without which there is neither gain nor loss
    ("pending_initial", "<i8"),  # initial margin of offers that it has not answered
    ("pending_notional", "<i8"),
    ("leverage_ppm", "<i8"),
    ("loss_stop", "<i8"),
    ("is_vault", "<i8"),
)

#: What a provider takes over of one group and direction: row ``(provider x GROUPS_MAX + group) x 2
#: + direction``.
COMMITMENT = _row(
    ("capacity", "<i8"),
    ("refill_per_s", "<i8"),
    ("position_notional_max", "<i8"),
    ("edge_ppm", "<i8"),
    ("used", "<i8"),
    ("used_ns", "<i8"),
)

#: One closing order, offer or order of disposal (``kind``). A closed one stays until its place is
#: needed: a late fill still finds it.
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
    ("kind", "<i4"),
    ("provider", "<i4"),
    ("next_of_position", "<i4"),
    ("commitment", "<i4"),
    ("cash", "<i8"),  # of an offer: what the account gets
    ("pending_initial", "<i8"),
    ("notional", "<i8"),
    ("sent_ns", "<i8"),
)

#: The engine's own scalars, one row.
ENGINE = _row(
    ("now_ns", "<i8"),
    ("last_seq", "<i8"),
    ("accepted", "<i8"),  # events that were not refused
    ("accounts_now", "<i8"),
    ("positions_now", "<i8"),  # rows used, the house's included
    ("next_order_id", "<i8"),
    ("ordered_notional", "<i8"),
    ("interval", "<i8"),  # number of the tumbling interval of the gauge above
    ("claims", "<i8"),  # sum of all recovery claims
    ("recovery_ns", "<i8"),  # when claims are paid back next
    ("uncovered", "<i8"),  # what nobody paid of all groups' losses
    ("arrears_slot", "<i8"),  # slot of the funds at the last event, while something is uncovered
    ("timer_ns", "<i8"),  # no timer of a breaker, a guard or recovery is due before this
    ("dirty_now", "<i8"),  # breakers to settle at the end of the event
    ("round_number", "<i8"),
    ("waits_now", "<i8"),
    ("effects_now", "<i8"),
    ("effects_first", "<i8"),  # where those of the present event begin
    ("touched_now", "<i8"),
    ("parked_now", "<i8"),
    ("refused", "<i8"),
    ("judged", "<i8"),
    ("crossed", "<i8"),
)

#: What stands in rows of its own: the times of turns in ``STAGE``, thresholds in ``BREAKER``.
_IN_OTHER_ROWS = {
    "interval_ns",
    "deadline_ns",
    "order_timeout_ns",
    "answer_timeout_ns",
    "flow_throttle",
    "flow_halt",
}


def _venue_values(rules: VenueRules) -> dict[str, int]:
    """Return the venue's rules that kernels read, by name: every field of its groups of rules."""
    values: dict[str, int] = {}
    for group in (rules.levels, rules.closeout, rules.fund, rules.takeover, rules.breakers):
        values |= {name: value for name, value in group._asdict().items() if name not in _IN_OTHER_ROWS}
    values |= {f"disposal_{name}": value for name, value in rules.disposal._asdict().items()}
    return values | {"epoch_ns": rules.epoch_ns}


#: The venue's rules that are not a market's, one row: those of the venue file, then what follows
#: from them.
RULES = _row(
    *((name, "<i8") for name in _venue_values(VenueRules(markets=()))),
    ("fund_turn", "<i8"),  # row of ``fund`` in ``State.stages``, or NONE
    ("socialise_turn", "<i8"),  # row of ``socialise``, or NONE
    ("fund_supports", "<i8"),  # it stands before ADL: it supports the closing of insolvent accounts
    ("groups", "<i8"),
    ("providers", "<i8"),
    ("vault", "<i8"),  # number of the venue vault, or NONE
    ("accounts_max", "<i8"),
    ("orders_max", "<i8"),
    ("markets", "<i8"),
)

#: One turn of the waterfall, in the venue's order. A stage may have more than one.
STAGE = _row(
    ("kind", "<i8"),
    ("policy", "<i8"),  # of ADL and of socialise: which of their policies
    ("is_joint", "<i8"),  # the stage takes all accounts of the event at once
    ("from_health", "<i8"),  # the turn is for accounts between these two levels of health
    ("until_health", "<i8"),
    ("deadline_ns", "<i8"),  # after a default began: from then on nobody waits in this turn
    ("interval_ns", "<i8"),  # between two attempts
    ("answer_timeout_ns", "<i8"),  # how long its orders or offers stand
)


class AccountRow(Protocol):
    """Fields of an ``ACCOUNT`` row."""

    balance: int
    default_since_ns: int
    wait_until_ns: int
    next_slice_ns: int
    claim: int
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
        "stages": (STAGE, 1),
        "markets": (MARKET, 1),
        "tiers": (TIER, 1),
        "house": (np.int64, 1),
        "other_balances": (np.int64, 2),
        "gauges": (np.int64, 2),
        "claims": (np.int64, 2),
        "charge_markets": (np.int64, 1),
        "accounts": (ACCOUNT, 1),
        "positions": (POSITION, 1),
        "results": (RESULT, 1),
        "orders": (ORDER, 1),
        "funds": (FUND_ROW, 1),
        "breakers": (BREAKER, 1),
        "providers": (PROVIDER, 1),
        "commitments": (COMMITMENT, 1),
        "offered": (np.int64, 2),
        "debts": (np.int64, 2),
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
    #: By account: market of the last funding payment that it had to make, or NONE.
    charge_markets: NDArray[np.int64]
    accounts: NDArray[np.void]
    positions: NDArray[np.void]
    #: By row of ``positions``.
    results: NDArray[np.void]
    orders: NDArray[np.void]
    #: One a market group.
    funds: NDArray[np.void]
    #: One a market, then the venue's.
    breakers: NDArray[np.void]
    providers: NDArray[np.void]
    commitments: NDArray[np.void]
    #: Lots (> 0) of a provider's open offers: row ``provider x 2 + direction``, by market.
    offered: NDArray[np.int64]
    #: What an account owes each group's fund: row by account, column by group (see ``debts``).
    debts: NDArray[np.int64]
    #: First position of each price bucket: row 0 the triggers below the mark, row 1 those above.
    buckets: NDArray[np.int32]
    #: Columns of numbers that are no rows: see the names below.
    columns: NDArray[np.int64]
    effects: NDArray[np.void]


bundle(State)
declare_rows("EventArray", EVENT)
declare_rows("EffectArray", EFFECT)

# ---- Columns of ``State.columns``: who owns each, and while what
# ------------------------------------
#
# owner                columns                      they mean something
# closeout             ORDERED_*                    always; by account
# engine               OWNER_FIRST                  always; by owner
# waits                WAIT_*                       always
# fund, orders         OWNER_PAID*, OWNER_RESERVED  always; by owner
# debts                OWNER_DEBT                   always; by owner
# debts                DEBT_PART                    while one account returns its debts
# netting, claims,     NETTED_*                     while NETTED_EVENT is the event's number; by
# monitor                                           owner
# breakers             DIRTY                        to the end of the event
# monitor, run         TOUCHED                      to the beginning of the next round
# run                  ROUND_*                      while a round is sorted
# run, turns           TURN_*                       while a round runs
# run                  PARKED, PARKED_TURN          to the end of the event
# monitor              CROSSED_*                    in ``apply_mark``
# closeout             SLICE_*                      while the slice of one account is planned
# takeover             OFFER_*                      while one position is offered
# counterparties       COUNTERPARTY_*               while adl or tear_up closes one position
# adl                  ADL_*, CLASS_ETA_*           while it closes one position
# tear_up              TEAR_UP_WEIGHT               while it closes one position
# ranking OWNER_HEDGE from ``sum_hedges`` to the last ``class_of``; by owner
# cover                PART_*, GROUP_*              in ``cover_deficit``
# socialise            FOUND_*, PAYER_*             in ``socialise``
# socialise            CLAIM*                       in ``run_recovery``
# whoever calls SPLIT_*, SORT_* from the call of a split or a sort to the use of its result
#
# A room writes to its own columns only. ``apply_mark``, a slice, an offer and the closing of a
# position never run inside each other, so they share memory; so do ``socialise`` and
# ``run_recovery``. Nothing else does.

#: By account: ordered notional, the number of its interval. By owner: its last account, or NONE.
ORDERED_NOTIONAL, ORDERED_INTERVAL, OWNER_FIRST = 0, 1, 2
#: Heap of waits: time and account; an entry counts while it equals the account's own wait.
WAIT_TIME, WAIT_ACCOUNT = 3, 4
#: By owner: what funds paid for it, when last, what they reserve for it.
OWNER_PAID, OWNER_PAID_NS, OWNER_RESERVED = 5, 6, 7

#: From here on, nothing outlives an event.
SCRATCH_FIRST = 8
#: Breakers to settle at the end of the event, in the order in which they became dirty.
DIRTY = 8
#: Accounts of the round that gathers; then the running round, with two columns for its order.
TOUCHED, ROUND_ACCOUNT, ROUND_EQUITY, ROUND_MAINTENANCE, ROUND_ORDER, ROUND_MERGE = 9, 10, 11, 12, 13, 14
#: By place of the running round: its accounts, the most urgent first, and what their stage answers.
TURN_ACCOUNT, TURN_OUTCOME = 15, 16
#: Accounts that stand at a joint turn; by account: which one, zero outside of an event (see
#: ``waterfall.run``).
PARKED, PARKED_TURN = 17, 18

#: Accounts whose trigger a mark crossed, and the order of their ids.
CROSSED_ACCOUNT, CROSSED_ORDER, CROSSED_MERGE = 19, 20, 21
#: Positions of an account that the book can take: row, most lots, margin released, cost.
SLICE_POSITION, SLICE_CAP, SLICE_RELEASE, SLICE_COST = 19, 20, 21, 22
#: Providers that can carry some of a position: number, most lots, weight, lots offered.
OFFER_PROVIDER, OFFER_CAP, OFFER_WEIGHT, OFFER_LOTS = 19, 20, 21, 22
#: Counterparties of a position: row, lots closed, the size of the cash for them.
COUNTERPARTY_POSITION, COUNTERPARTY_LOTS, COUNTERPARTY_CASH = 19, 20, 21
#: The same counterparties in ADL: most lots, weight, class, lots that the class at hand gives.
ADL_CAP, ADL_WEIGHT, ADL_CLASS, ADL_PART = 22, 23, 24, 25
#: The same counterparties in tear-up: weight.
TEAR_UP_WEIGHT = 22

#: By owner: lots on the other side of the market at hand.
OWNER_HEDGE = 26
#: By ADL class: eta of the allocation, as lots over weight (0 / 0: everyone gave the whole cap).
CLASS_ETA_LOTS, CLASS_ETA_WEIGHT = 27, 28
#: By account, zero outside of ``socialise``: weight. Then the accounts that have one.
FOUND_WEIGHT, FOUND_ACCOUNT = 29, 30
#: Payers of a socialised deficit, by id: account, most atoms, weight, atoms cut.
PAYER_ACCOUNT, PAYER_CAP, PAYER_WEIGHT, PAYER_CUT = 31, 32, 33, 34
#: Accounts with claims, by id: account, claim, atoms paid back.
CLAIMANT, CLAIM, CLAIM_PART = 31, 32, 33

#: Scratch of ``allocate`` and ``split_by_largest_remainder``.
SPLIT_REMAINDER, SPLIT_HEAP = 35, 36
#: Keys, result and scratch of ``sort_places``.
SORT_KEY, SORT_ORDER, SORT_MERGE = 37, 38, 39
#: Parts of a deficit, in order of group and market, and their split in one group.
PART_GROUP, PART_MARKET, PART_ATOMS, PART_WEIGHT, PART_SHARE = 40, 41, 42, 43, 44
#: By group: its weight in the split of a deficit, its share, what is left of it.
GROUP_WEIGHT, GROUP_SHARE, GROUP_LEFT = 45, 46, 47
#: By owner: the sum of the debts of its accounts.
OWNER_DEBT = 48
#: By group: atoms that an account returns.
DEBT_PART = 49
#: By owner: the event in which it was last netted (``engine.accepted``), and where each walk over
#: its accounts goes on: those opened later have nothing above their release level (SPARE), no
#: equity above zero (REST), no claim (CLAIM).
NETTED_EVENT, NETTED_SPARE, NETTED_REST, NETTED_CLAIM = 50, 51, 52, 53
COLUMNS = 54

#: Positions of the house per market, before all others: OUTSIDE, then error_inventory.
_HOUSE_ROWS = 2

#: Slots of a fund's gauges: any span of 16 of them is covered by 17.
FUND_SLOTS = 17

#: Kinds of ORDER rows.
CLOSING_ORDER, TAKEOVER_OFFER, DISPOSAL_ORDER = 0, 1, 2

#: Visible depth of a band that proved wrong and has not been told anew.
UNKNOWN_DEPTH = -1

#: Index of a position's two triggers.
DOWN, UP = 0, 1


@inlined
def house_slot(ledger_id: int) -> int:
    """Return the place of a house ledger account in ``State.house``: UNCOVERED of the groups above
    0 first, then the others in the order of their ids.
    """
    if ledger_id < UNCOVERED_FIRST_GROUP:
        return UNCOVERED_FIRST_GROUP - 1 - ledger_id
    return _GROUPS_MAX - 3 - ledger_id


#: Ledger ids, for kernels: ``events.fund_of`` and its kin are plain, for rooms without kernels.
fund_id, clearing_id, uncovered_id = inlined(fund_of), inlined(clearing_of), inlined(uncovered_of)


@inlined
def fund_gauge(group: int) -> int:
    """Return the row of ``State.gauges`` of all that a group's fund paid."""
    return group


@inlined
def arrears_gauge(group: int) -> int:
    """Return the row of ``State.gauges`` of what a group's fund paid as arrears."""
    return _GROUPS_MAX + group


@inlined
def market_gauge(market: int) -> int:
    """Return the row of ``State.gauges`` of what its fund paid for a market."""
    return 2 * _GROUPS_MAX + market


@inlined
def outside_row(market: int) -> int:
    """Return the row of ``State.positions`` that OUTSIDE has in a market."""
    return _HOUSE_ROWS * market


@inlined
def error_inventory_row(market: int) -> int:
    """Return the row of ``State.positions`` that error_inventory has in a market."""
    return _HOUSE_ROWS * market + 1


@inlined
def commitment_row(provider: int, group: int, direction: int) -> int:
    """Return the row of a commitment; ``direction`` 0 takes over longs, 1 shorts."""
    return (provider * _GROUPS_MAX + group) * 2 + direction


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


_MARKET_RULES = (
    "group",
    "price_throttle_ppm",
    "price_halt_ppm",
    "price_exit_ppm",
    "guard_jump_ppm",
    "guard_volume_lots",
)


def _market_rows(rules: VenueRules) -> tuple[NDArray[np.void], NDArray[np.void]]:
    markets = np.zeros(len(rules.markets), dtype=MARKET)
    tiers = np.zeros(sum(len(market.tiers) for market in rules.markets), dtype=TIER)
    tier_first = bucket_first = 0
    for row, market in zip(markets, rules.markets, strict=True):
        row.volume_lots = row.epoch = NONE
        row.notional_factor = market.contract.notional_factor
        row.contract = market.contract.kind
        row.price_ticks_max = market.price_ticks_max
        row.position_lots_max = market.position_lots_max
        row.slippage_tolerance_ppm = market.slippage_tolerance_ppm
        row.volatility_ppm = market.volatility_ppm
        row.ordered_notional_max = market.ordered_notional_max
        row.loss_max = market.loss_per_window_max
        for name in _MARKET_RULES:
            row[name] = getattr(market, name)
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


def _stands_behind(rules: VenueRules, stage: Stage, other: Stage) -> bool:
    stages = rules.stages
    return stage in stages and other in stages and stages.index(stage) > stages.index(other)


def _stage_row(rules: VenueRules, stage: int, from_health: Health = Health.DISTRESSED) -> NDArray[np.void]:
    """Return the row of one turn. Stages without times of their own have those of closeout."""
    rows = np.zeros(1, dtype=STAGE)
    row, closeout = rows[0], rules.closeout
    row.kind, row.is_joint = stage, stage in JOINT
    row.from_health, row.until_health = from_health, Health.INSOLVENT
    row.interval_ns, row.deadline_ns = closeout.interval_ns, closeout.deadline_ns
    if stage == Stage.CLOSEOUT:
        row.answer_timeout_ns = closeout.order_timeout_ns
    elif stage == Stage.TAKEOVER:
        # As long again as closeout.
        row.deadline_ns, row.answer_timeout_ns = 2 * closeout.deadline_ns, rules.takeover.answer_timeout_ns
    elif stage == Stage.ADL:
        row.policy = rules.adl_policy
    elif stage == Stage.SOCIALISE:
        row.policy = rules.socialise_policy
    return rows


def _stage_rows(rules: VenueRules) -> NDArray[np.void]:
    """Return the turns of the waterfall. Below close-out, takeover has one before closeout, too."""
    rows = []
    for stage in rules.stages:
        if stage == Stage.CLOSEOUT and _stands_behind(rules, Stage.TAKEOVER, Stage.CLOSEOUT):
            rows.append(_stage_row(rules, Stage.TAKEOVER, from_health=Health.CLOSE_OUT))
        rows.append(_stage_row(rules, stage))
    return np.concatenate(rows)


def _turn_of(stages: NDArray[np.void], stage: Stage) -> int:
    """Return the first turn of a stage, or NONE."""
    return next(iter(np.flatnonzero(stages["kind"] == stage).tolist()), NONE)


def _rules_row(rules: VenueRules, stages: NDArray[np.void]) -> NDArray[np.void]:
    rows = np.zeros(1, dtype=RULES)
    row = rows[0]
    for name, value in _venue_values(rules).items():
        row[name] = value
    row.fund_turn, row.socialise_turn = _turn_of(stages, Stage.FUND), _turn_of(stages, Stage.SOCIALISE)
    row.fund_supports = Stage.FUND in rules.stages and not _stands_behind(rules, Stage.FUND, Stage.ADL)
    row.groups, row.providers = len(rules.funds), len(rules.providers)
    row.vault = next((number for number, provider in enumerate(rules.providers) if provider.is_vault), NONE)
    row.accounts_max, row.orders_max = rules.limits.accounts_max, rules.limits.orders_max
    row.markets = len(rules.markets)
    return rows


def _fund_rows(rules: VenueRules) -> NDArray[np.void]:
    rows = np.zeros(len(rules.funds), dtype=FUND_ROW)
    rows["loss_max"] = [fund.loss_per_window_max for fund in rules.funds]
    rows["target"] = [fund.target for fund in rules.funds]
    for group, row in enumerate(rows):
        of_markets = (market.loss_per_window_max for market in rules.markets if market.group == group)
        row.least_cap = min(row.loss_max, rules.fund.owner_loss_max, *of_markets)
    return rows


def _breaker_rows(rules: VenueRules) -> NDArray[np.void]:
    rows = np.zeros(len(rules.markets) + 1, dtype=BREAKER)
    rows["until_ns"] = rows["operator_until_ns"] = rows["outage_until_ns"] = NEVER_NS
    rows["mark_time_ns"] = NONE
    rows["flow_throttle"] = [market.flow_throttle for market in rules.markets] + [rules.breakers.flow_throttle]
    rows["flow_halt"] = [market.flow_halt for market in rules.markets] + [rules.breakers.flow_halt]
    return rows


def _provider_rows(rules: VenueRules) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return the rows of providers and commitments, at least one each: a kernel never meets an
    array without rows.
    """
    providers = np.zeros(max(1, len(rules.providers)), dtype=PROVIDER)
    commitments = np.zeros(2 * GROUPS_MAX * len(providers), dtype=COMMITMENT)
    providers["account"] = NONE
    providers["until_ns"] = NEVER_NS
    for number, provider in enumerate(rules.providers):
        row = providers[number]
        row.leverage_ppm, row.loss_stop, row.is_vault = provider.leverage_ppm, provider.loss_stop, provider.is_vault
        for group, pair in enumerate(provider.commitments):
            for direction, commitment in enumerate(pair):
                place = commitments[commitment_row(number, group, direction)]
                for name, value in commitment._asdict().items():
                    place[name] = value
    return providers, commitments


def new_state(rules: VenueRules) -> State:
    """Return the state before the first event.

    Raises ``ValueError`` (from ``check_rules``) where the rules cannot be run safely.
    """
    check_rules(rules)
    count, limits = len(rules.markets), rules.limits
    house_slots = house_slot(clearing_of(count))
    markets, tiers = _market_rows(rules)
    stages = _stage_rows(rules)
    providers, commitments = _provider_rows(rules)
    buckets = int(markets[-1].bucket_first) + int(bucket_of(rules.markets[-1].price_ticks_max)) + 1
    engine = np.zeros(1, dtype=ENGINE)
    engine[0].positions_now = _HOUSE_ROWS * count
    engine[0].next_order_id = 1
    engine[0].last_seq = NONE
    engine[0].recovery_ns = engine[0].timer_ns = NEVER_NS
    positions = np.zeros(_HOUSE_ROWS * count + limits.positions_max, dtype=POSITION)
    for market in range(count):
        for place, holder in enumerate((outside_of(market), error_inventory_of(market))):
            row = positions[_HOUSE_ROWS * market + place]
            row.account, row.market = holder, market
            row.next_of_account = row.next_of_market = row.order_slot = NONE
    columns = np.zeros((COLUMNS, 2 * limits.accounts_max + count + 16), dtype=np.int64)
    columns[OWNER_FIRST, : limits.accounts_max] = NONE
    return State(
        engine=engine,
        rules=_rules_row(rules, stages),
        stages=stages,
        markets=markets,
        tiers=tiers,
        house=np.zeros(house_slots, dtype=np.int64),
        other_balances=np.zeros((rules.assets - 1, limits.accounts_max + house_slots) if rules.assets > 1 else (1, 1), dtype=np.int64),
        gauges=np.zeros((2 * GROUPS_MAX + count, FUND_SLOTS + 1), dtype=np.int64),
        claims=np.zeros((len(rules.funds), limits.accounts_max), dtype=np.int64),
        charge_markets=np.full(limits.accounts_max, NONE, dtype=np.int64),
        accounts=np.zeros(limits.accounts_max, dtype=ACCOUNT),
        positions=positions,
        results=np.zeros(len(positions), dtype=RESULT),
        orders=np.zeros(limits.orders_max, dtype=ORDER),
        funds=_fund_rows(rules),
        breakers=_breaker_rows(rules),
        providers=providers,
        commitments=commitments,
        offered=np.zeros((2 * len(providers), count), dtype=np.int64),
        debts=np.zeros((limits.accounts_max, len(rules.funds)), dtype=np.int64),
        buckets=np.full((2, buckets), NONE, dtype=np.int32),
        columns=columns,
        effects=np.empty(2 * limits.effects_max, dtype=EFFECT),
    )


def positions_of(state: State) -> NDArray[np.void]:
    """Return a copy of the accounts' positions with lots, ordered by (account, market)."""
    first = _HOUSE_ROWS * len(state.markets)
    rows = state.positions[first : int(state.engine[0].positions_now)]
    rows = rows[rows["lots"] != 0]
    return rows[np.lexsort((rows["market"], rows["account"]))]

"""The rows with which a run begins, by the venue's rules."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.core.contract_terms import ContractKind
from backstop.core.events import GROUPS_MAX, NEVER_NS, NONE, Health, Stage, error_inventory_of, outside_of
from backstop.core.instruments import (
    NO_CAP,
    PPM,
    PRICE_TICKS_LIMIT,
    MarketRules,
    VenueRules,
    deductions_atoms,
    funding_index_max,
    highest_level_ppm,
    initial_deductions,
    joint_most,
)
from backstop.core.parameter_table import Scope, listed, values_of, venue_values
from backstop.core.places import HOUSE_ROWS, bucket_of, commitment_row, error_inventory_row, outside_row
from backstop.core.rows import (
    ASSET,
    BREAKER,
    COMMITMENT,
    ENGINE,
    FUND_ROW,
    MARKET,
    POSITION,
    PROVIDER,
    RULES,
    STAGE,
    TIER,
    UNKNOWN_DEPTH,
)
from backstop.core.stages import JOINT, LAST_RESORT

__all__ = [
    "asset_rows",
    "BREAKER_AT_FIRST",
    "breaker_rows",
    "engine_row",
    "fund_rows",
    "market_rows",
    "owner_lots_rows",
    "position_rows",
    "price_ticks_most",
    "provider_rows",
    "rules_row",
    "stage_rows",
]


def _fill_rules(row: Any, group: Any, scope: Scope) -> None:
    for each, value in zip(listed(scope), values_of(group, scope), strict=True):
        row[each.field] = value


def _fill_tiers(rows: NDArray[np.void], market: MarketRules) -> None:
    floors = tuple(tier.floor_atoms for tier in market.tiers)
    maintenance = tuple(tier.maintenance_rate_ppm for tier in market.tiers)
    for row, tier in zip(rows, market.tiers, strict=True):
        _fill_rules(row, tier, Scope.TIER)
    rows["initial_deduction"] = initial_deductions(market)
    rows["maintenance_deduction"] = deductions_atoms(floors, maintenance)


def _funding_per_tick(rules: VenueRules, market: MarketRules) -> int:
    """Return how much funding a lot, in parts of an atom, uses up at most the buffer that a move of
    the mark by a tick does: that of a long position in its highest tier, at the highest level.
    """
    top = max(tier.maintenance_rate_ppm for tier in market.tiers)
    ratio = highest_level_ppm(rules.levels)
    left_ppm = (PPM * PPM - top * ratio) // PPM
    if market.contract_kind == ContractKind.INVERSE:
        # A tick moves least at the highest price.
        return min(NO_CAP, market.notional_factor * left_ppm // market.price_ticks_max**2)
    # A market that is not listed may have any factor; less of it is on the safe side.
    return min(market.notional_factor, NO_CAP // max(1, left_ppm)) * left_ppm


def price_ticks_most(market: MarketRules) -> int:
    """Return how high the highest price of a market can ever be: there are buckets up to it."""
    return market.price_ticks_max if market.is_listed else PRICE_TICKS_LIMIT


def market_rows(rules: VenueRules) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return one row per market, and the margin tiers of all markets."""
    markets = np.zeros(len(rules.markets), dtype=MARKET)
    tiers = np.zeros(sum(len(market.tiers) for market in rules.markets), dtype=TIER)
    tier_first = bucket_first = 0
    for row, market in zip(markets, rules.markets, strict=True):
        row.volume_lots = row.epoch = NONE
        row.relief_ends_ns = NEVER_NS
        row.funding_index_max, row.funding_per_tick = funding_index_max(market), _funding_per_tick(rules, market)
        _fill_rules(row, market, Scope.MARKET)
        row.first_position = row.last_position = NONE
        row.band_count = len(market.band_offset_ppm)
        row.band_offset_ppm[: len(market.band_offset_ppm)] = market.band_offset_ppm
        row.depth_lots[:, : len(market.band_offset_ppm)] = UNKNOWN_DEPTH if market.reports_depth else 0
        row.bucket_first = bucket_first
        row.price_ticks_most = price_ticks_most(market)
        bucket_first += int(bucket_of(row.price_ticks_most)) + 1
        row.tier_first, row.tier_count = tier_first, len(market.tiers)
        _fill_tiers(tiers[tier_first : tier_first + len(market.tiers)], market)
        tier_first += len(market.tiers)
    return markets, tiers


def _stands_behind(rules: VenueRules, stage: Stage, other: Stage) -> bool:
    stages = rules.stages
    return stage in stages and other in stages and stages.index(stage) > stages.index(other)


def _stage_row(rules: VenueRules, stage: int, from_health: Health = Health.DISTRESSED) -> NDArray[np.void]:
    """Return the row of one turn. Stages without times of their own have those of closeout."""
    rows = np.zeros(1, dtype=STAGE)
    row, closeout = rows[0], rules.closeout
    row.kind, row.is_joint, row.is_last_resort = stage, stage in JOINT, stage in LAST_RESORT
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


def stage_rows(rules: VenueRules) -> NDArray[np.void]:
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


def rules_row(rules: VenueRules, stages: NDArray[np.void]) -> NDArray[np.void]:
    """Return the one row of rules that are not a market's."""
    rows = np.zeros(1, dtype=RULES)
    row = rows[0]
    for name, value in venue_values(rules).items():
        row[name] = value
    row.fund_turn, row.socialise_turn = _turn_of(stages, Stage.FUND), _turn_of(stages, Stage.SOCIALISE)
    row.forced_ns = rules.closeout.deadline_ns + max(rules.closeout.deadline_ns, rules.closeout.carry_max_ns)
    row.has_restrict = Stage.RESTRICT in rules.stages
    row.fund_supports = Stage.FUND in rules.stages and not _stands_behind(rules, Stage.FUND, Stage.ADL)
    row.groups, row.providers = len(rules.funds), len(rules.providers)
    row.vault = next((number for number, provider in enumerate(rules.providers) if provider.is_vault), NONE)
    row.markets, row.joint_most = len(rules.markets), joint_most(rules.limits)
    row.assets = len(rules.assets)
    return rows


def engine_row(markets: int) -> NDArray[np.void]:
    """Return the one row of the engine's scalars."""
    rows = np.zeros(1, dtype=ENGINE)
    row = rows[0]
    row.positions_now, row.next_order_id, row.next_fill_debt = HOUSE_ROWS * markets, 1, 1
    row.last_seq = row.life_ns = row.netted_event = NONE
    row.recovery_ns = row.timer_ns = row.settle_ns = NEVER_NS
    return rows


def position_rows(rules: VenueRules) -> NDArray[np.void]:
    """Return the house's positions in each market, and empty rows for the accounts'."""
    markets = range(len(rules.markets))
    rows = np.zeros(HOUSE_ROWS * len(markets) + rules.limits.positions_max, dtype=POSITION)
    for market in markets:
        house = (outside_row(market), outside_of(market)), (error_inventory_row(market), error_inventory_of(market))
        for place, holder in house:
            row = rows[int(place)]
            row.account, row.market = holder, market
            row.next_of_account = row.next_of_market = row.order_slot = NONE
    return rows


def asset_rows(rules: VenueRules) -> NDArray[np.void]:
    """Return one row per asset."""
    rows = np.zeros(len(rules.assets), dtype=ASSET)
    for asset, row in enumerate(rows):
        _fill_rules(row, rules.assets[asset], Scope.ASSET)
        row.first_group = rules.groups_of(asset)[0]
    return rows


def fund_rows(rules: VenueRules) -> NDArray[np.void]:
    """Return one row per market group."""
    rows = np.zeros(len(rules.funds), dtype=FUND_ROW)
    rows["carry_last"] = NONE
    for group, row in enumerate(rows):
        _fill_rules(row, rules.funds[group], Scope.GROUP)
        of_markets = (market.loss_per_window_max for market in rules.markets if market.group == group)
        row.least_cap = min(row.loss_per_window_max, rules.of_group(group).owner_loss_max, *of_markets)
    return rows


def _breaker_at_first() -> NDArray[np.void]:
    row = np.zeros(1, dtype=BREAKER)
    row["until_ns"] = row["operator_until_ns"] = row["grace_until_ns"] = NEVER_NS
    row["mark_time_ns"] = row["index_time_ns"] = NONE
    return row


#: One row: the machine of any market at the beginning, but for its thresholds of flow.
BREAKER_AT_FIRST = _breaker_at_first()


def breaker_rows(rules: VenueRules) -> NDArray[np.void]:
    """Return one row per market, then the venue's."""
    rows = np.repeat(BREAKER_AT_FIRST, len(rules.markets) + 1)
    rows["flow_throttle"] = [market.flow_throttle for market in rules.markets] + [rules.breakers.flow_throttle]
    rows["flow_halt"] = [market.flow_halt for market in rules.markets] + [rules.breakers.flow_halt]
    return rows


def provider_rows(rules: VenueRules) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return the rows of providers and commitments, at least one each: a kernel never meets an
    array without rows.
    """
    providers = np.zeros(max(1, len(rules.providers)), dtype=PROVIDER)
    commitments = np.zeros(2 * GROUPS_MAX * len(providers), dtype=COMMITMENT)
    providers["account"] = NONE
    providers["until_ns"] = NEVER_NS
    for number, provider in enumerate(rules.providers):
        row = providers[number]
        _fill_rules(row, provider, Scope.PROVIDER)
        for group, pair in enumerate(provider.commitments):
            for direction, commitment in enumerate(pair):
                _fill_rules(commitments[commitment_row(number, group, direction)], commitment, Scope.COMMITMENT)
    return providers, commitments


def owner_lots_rows(rules: VenueRules) -> NDArray[np.int64]:
    """Return the empty hash table of owners' lots: a power of two of rows, at least twice as many
    as there are positions. A market may ask for them later, so it is never left out.
    """
    return np.zeros((1 << (2 * rules.limits.positions_max).bit_length(), 2), dtype=np.int64)

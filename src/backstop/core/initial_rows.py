"""The rows with which a run begins, by the venue's rules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import GROUPS_MAX, NEVER_NS, NONE, Health, Stage
from backstop.core.instruments import VenueRules, deductions_atoms
from backstop.core.places import bucket_of, commitment_row
from backstop.core.rows import BREAKER, COMMITMENT, FUND_ROW, MARKET, PROVIDER, RULES, STAGE, TIER, venue_values
from backstop.core.stages import JOINT

__all__ = ["breaker_rows", "fund_rows", "market_rows", "provider_rows", "rules_row", "stage_rows"]

_MARKET_RULES = (
    "group",
    "price_throttle_ppm",
    "price_halt_ppm",
    "price_exit_ppm",
    "guard_jump_ppm",
    "guard_volume_lots",
)


def market_rows(rules: VenueRules) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return one row per market, and the margin tiers of all markets."""
    markets = np.zeros(len(rules.markets), dtype=MARKET)
    tiers = np.zeros(sum(len(market.tiers) for market in rules.markets), dtype=TIER)
    tier_first = bucket_first = 0
    for row, market in zip(markets, rules.markets, strict=True):
        row.volume_lots = NONE
        row.notional_factor = market.contract.notional_factor
        row.contract = market.contract.kind
        row.price_ticks_max = market.price_ticks_max
        row.position_lots_max = market.position_lots_max
        row.slippage_tolerance_ppm = market.slippage_tolerance_ppm
        row.volatility_ppm = market.volatility_ppm
        row.ordered_notional_max = market.ordered_notional_max
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
    row.fund_supports = Stage.FUND in rules.stages and not _stands_behind(rules, Stage.FUND, Stage.ADL)
    row.groups, row.providers = len(rules.funds), len(rules.providers)
    row.vault = next((number for number, provider in enumerate(rules.providers) if provider.is_vault), NONE)
    row.accounts_max, row.orders_max = rules.limits.accounts_max, rules.limits.orders_max
    row.markets = len(rules.markets)
    return rows


def fund_rows(rules: VenueRules) -> NDArray[np.void]:
    """Return one row per market group."""
    rows = np.zeros(len(rules.funds), dtype=FUND_ROW)
    rows["loss_max"] = [fund.loss_per_window_max for fund in rules.funds]
    rows["target"] = [fund.target for fund in rules.funds]
    return rows


def breaker_rows(rules: VenueRules) -> NDArray[np.void]:
    """Return one row per market, then the venue's."""
    rows = np.zeros(len(rules.markets) + 1, dtype=BREAKER)
    rows["until_ns"] = rows["operator_until_ns"] = rows["outage_until_ns"] = NEVER_NS
    rows["mark_time_ns"] = NONE
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
        row.leverage_ppm, row.loss_stop, row.is_vault = provider.leverage_ppm, provider.loss_stop, provider.is_vault
        for group, pair in enumerate(provider.commitments):
            for direction, commitment in enumerate(pair):
                place = commitments[commitment_row(number, group, direction)]
                for name, value in commitment._asdict().items():
                    place[name] = value
    return providers, commitments

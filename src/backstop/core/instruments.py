"""The venue's rules as the engine reads them: markets, tiers, levels, stages, limits.

Plain integers only. Names, decimals and files belong to ``backstop.config``, which builds these and
is the place where a person's mistake gets its explanation. ``check_rules`` proves once, at load, the
bounds that let the kernels add notionals without looking.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from backstop.core.events import AdlPolicy, Stage

__all__ = [
    "BANDS_MAX",
    "BALANCE_ATOMS_MAX",
    "DEPTH_LOTS_MAX",
    "LevelRules",
    "CloseoutRules",
    "FundRules",
    "LimitRules",
    "MarketRules",
    "NO_CAP",
    "NOTIONAL_ATOMS_MAX",
    "PPM",
    "PRICE_TICKS_LIMIT",
    "STAGES_MAX",
    "TierRules",
    "VenueRules",
    "check_rules",
    "deductions_atoms",
]

#: Parts per million in one.
PPM = 1_000_000
#: Most bands of visible depth a side.
BANDS_MAX = 8
#: Most stages of a waterfall.
STAGES_MAX = 8
#: Most lots that one band may show.
DEPTH_LOTS_MAX = 1 << 40
#: Sum over markets of the largest position's notional: leaves room to add cost and balance in 63 bits.
NOTIONAL_ATOMS_MAX = 1 << 60
#: Largest ledger balance that a transfer may leave.
BALANCE_ATOMS_MAX = 1 << 61
#: Latest time of an event: leaves room to add a duration.
TIME_NS_MAX = 1 << 62
#: Trigger prices are stored in 32 bits.
PRICE_TICKS_LIMIT = (1 << 31) - 2
#: Most effects of one event: two such events fit in one blob of a journal.
EFFECTS_MAX = 1 << 22
#: A cap that never binds.
NO_CAP = 1 << 62


class TierRules(NamedTuple):
    """One bracket of notional: from ``floor_atoms`` up these rates hold."""

    floor_atoms: int
    initial_rate_ppm: int
    maintenance_rate_ppm: int


class MarketRules(NamedTuple):
    """One linear perpetual."""

    #: Atoms a tick a lot: tick x lot x contract size in atoms of the settlement asset.
    notional_factor: int
    price_ticks_max: int
    position_lots_max: int
    tiers: tuple[TierRules, ...]
    #: Offsets of the bands of visible depth from the mark, ascending.
    band_offset_ppm: tuple[int, ...]
    slippage_tolerance_ppm: int
    #: Weight of this market when an account's buffer is shared among its triggers.
    volatility_ppm: int = 10_000
    #: Most notional that may be ordered to the book in one cap interval.
    ordered_notional_max: int = NO_CAP


class LevelRules(NamedTuple):
    """Levels of health, as multiples of maintenance margin."""

    warning_ratio_ppm: int = 1_500_000
    exit_buffer_ppm: int = 50_000
    close_out_ratio_ppm: int = 666_667


class CloseoutRules(NamedTuple):
    """Parameters of the closeout stage."""

    fee_ppm: int = 5_000
    depth_share_ppm: int = 250_000
    volume_share_ppm: int = PPM
    interval_ns: int = 1_000_000_000
    deadline_ns: int = 30_000_000_000
    order_timeout_ns: int = 10_000_000_000
    minimum_notional: int = 0
    cap_interval_ns: int = 60_000_000_000
    account_notional_max: int = NO_CAP
    venue_notional_max: int = NO_CAP


class FundRules(NamedTuple):
    """Parameters of the insurance fund."""

    loss_per_interval_max: int = NO_CAP


class LimitRules(NamedTuple):
    """How many rows the engine holds."""

    accounts_max: int = 1 << 16
    positions_max: int = 1 << 18
    orders_max: int = 1 << 16
    #: Most effects of one event; the buffer holds twice as many.
    effects_max: int = 1 << 22


class VenueRules(NamedTuple):
    """Everything that the engine must know before its first event."""

    markets: tuple[MarketRules, ...]
    levels: LevelRules = LevelRules()
    stages: tuple[int, ...] = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    closeout: CloseoutRules = CloseoutRules()
    fund: FundRules = FundRules()
    adl_policy: int = AdlPolicy.CAPPED_PRO_RATA
    limits: LimitRules = LimitRules()
    solvent_pay_first: bool = False


def deductions_atoms(floors: tuple[int, ...], rates_ppm: tuple[int, ...]) -> tuple[int, ...]:
    """Return the deduction of each tier, which makes margin continuous at every floor.

    Raises ``ValueError`` where a deduction is not a whole number of atoms.
    """
    deductions = [0]
    for tier in range(1, len(floors)):
        step = floors[tier] * (rates_ppm[tier] - rates_ppm[tier - 1])
        if step % PPM:
            raise ValueError(
                f"tier {tier}: floor {floors[tier]} x rate step {rates_ppm[tier] - rates_ppm[tier - 1]} ppm"
                f" = {step / PPM} atoms: the deduction must be a whole number of atoms"
            )
        deductions.append(deductions[-1] + step // PPM)
    return tuple(deductions)


def _check(good: bool, message: str) -> None:
    if not good:
        raise ValueError(message)


def _check_market(place: str, market: MarketRules) -> None:
    _check(market.notional_factor >= 1, f"{place}.notional_factor = {market.notional_factor}: must be at least 1 atom")
    _check(
        1 <= market.price_ticks_max <= PRICE_TICKS_LIMIT,
        f"{place}.price_ticks_max = {market.price_ticks_max}: must be 1 to {PRICE_TICKS_LIMIT}",
    )
    _check(market.position_lots_max >= 1, f"{place}.position_lots_max = {market.position_lots_max}: must be at least 1")
    _check(market.volatility_ppm >= 1, f"{place}.volatility_ppm = {market.volatility_ppm}: must be at least 1")
    _check(
        0 <= market.slippage_tolerance_ppm < PPM,
        f"{place}.slippage_tolerance_ppm = {market.slippage_tolerance_ppm}: must be 0 to {PPM - 1}",
    )
    bands = market.band_offset_ppm
    _check(1 <= len(bands) <= BANDS_MAX, f"{place}.band_offset_ppm has {len(bands)} bands: must have 1 to {BANDS_MAX}")
    _check(
        bands[0] >= 0 and all(low < high for low, high in pairwise(bands)) and bands[-1] < PPM,
        f"{place}.band_offset_ppm = {list(bands)}: must ascend, from 0 to {PPM - 1}",
    )
    _check(market.ordered_notional_max >= 0, f"{place}.ordered_notional_max = {market.ordered_notional_max}: must not be negative")
    _check(len(market.tiers) >= 1, f"{place}.tiers: must have at least one tier")
    _check(market.tiers[0].floor_atoms == 0, f"{place}.tiers[0].floor = {market.tiers[0].floor_atoms}: the first tier must start at 0")
    for number, tier in enumerate(market.tiers):
        here = f"{place}.tiers[{number}]"
        _check(
            0 <= tier.maintenance_rate_ppm <= tier.initial_rate_ppm <= PPM,
            f"{here}: maintenance {tier.maintenance_rate_ppm} ppm and initial {tier.initial_rate_ppm} ppm:"
            f" must be 0 <= maintenance <= initial <= {PPM}",
        )
        if number:
            before = market.tiers[number - 1]
            _check(tier.floor_atoms > before.floor_atoms, f"{here}.floor = {tier.floor_atoms}: must be above {before.floor_atoms}")
            _check(
                tier.maintenance_rate_ppm >= before.maintenance_rate_ppm and tier.initial_rate_ppm >= before.initial_rate_ppm,
                f"{here}: rates must not fall from tier to tier",
            )
    floors = tuple(tier.floor_atoms for tier in market.tiers)
    for rates in (
        tuple(tier.initial_rate_ppm for tier in market.tiers),
        tuple(tier.maintenance_rate_ppm for tier in market.tiers),
    ):
        try:
            deductions_atoms(floors, rates)
        except ValueError as error:
            raise ValueError(f"{place}.tiers: {error}") from None


def check_rules(rules: VenueRules) -> None:
    """Raise ``ValueError`` naming the field, its value and what would be right, if a bound does not hold."""
    _check(1 <= len(rules.markets) <= 4096, f"markets: {len(rules.markets)}: must be 1 to 4096")
    levels, closeout, limits = rules.levels, rules.closeout, rules.limits
    for number, market in enumerate(rules.markets):
        _check_market(f"markets[{number}]", market)
        top = max(tier.maintenance_rate_ppm for tier in market.tiers)
        ratio = max(levels.warning_ratio_ppm, PPM + levels.exit_buffer_ppm)
        _check(
            top * ratio <= 999 * PPM * PPM // 1000,
            f"markets[{number}]: maintenance rate {top} ppm x level ratio {ratio} ppm: must be at most 0.999 of the notional",
        )
        _check(
            market.position_lots_max * limits.accounts_max < 1 << 62,
            f"markets[{number}].position_lots_max = {market.position_lots_max} x accounts_max {limits.accounts_max}: must stay below 2^62",
        )
    total = sum(market.position_lots_max * market.price_ticks_max * market.notional_factor for market in rules.markets)
    _check(
        total <= NOTIONAL_ATOMS_MAX,
        "markets: sum of position_lots_max x price_ticks_max x notional_factor = "
        + " + ".join(f"{m.position_lots_max} x {m.price_ticks_max} x {m.notional_factor}" for m in rules.markets[:4])
        + (" + ..." if len(rules.markets) > 4 else "")
        + f" = {total} atoms: must be at most {NOTIONAL_ATOMS_MAX} (2^60)",
    )
    _check(levels.exit_buffer_ppm >= 0, f"levels.exit_buffer_ppm = {levels.exit_buffer_ppm}: must not be negative")
    _check(
        PPM + levels.exit_buffer_ppm <= levels.warning_ratio_ppm <= 10 * PPM,
        f"levels.warning_ratio_ppm = {levels.warning_ratio_ppm}: must be {PPM + levels.exit_buffer_ppm} (release) to {10 * PPM}",
    )
    _check(
        0 <= levels.close_out_ratio_ppm <= PPM,
        f"levels.close_out_ratio_ppm = {levels.close_out_ratio_ppm}: must be 0 to {PPM}",
    )
    for name in ("fee_ppm", "depth_share_ppm", "volume_share_ppm"):
        value = getattr(closeout, name)
        _check(0 <= value <= PPM, f"closeout.{name} = {value}: must be 0 to {PPM}")
    for name in ("interval_ns", "deadline_ns", "order_timeout_ns", "cap_interval_ns"):
        value = getattr(closeout, name)
        _check(1 <= value <= 1 << 60, f"closeout.{name} = {value}: must be 1 to 2^60")
    for name in ("minimum_notional", "account_notional_max", "venue_notional_max"):
        value = getattr(closeout, name)
        _check(0 <= value <= NO_CAP, f"closeout.{name} = {value}: must be 0 to 2^62")
    _check(
        0 <= rules.fund.loss_per_interval_max <= NO_CAP,
        f"fund.loss_per_interval_max = {rules.fund.loss_per_interval_max}: must be 0 to 2^62",
    )
    for name in ("accounts_max", "positions_max", "orders_max", "effects_max"):
        value = getattr(limits, name)
        most = EFFECTS_MAX if name == "effects_max" else 1 << 28
        _check(1 <= value <= most, f"limits.{name} = {value}: must be 1 to {most}")
    _check_stages(rules)


def _check_stages(rules: VenueRules) -> None:
    stages = rules.stages
    built = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    for stage in stages:
        _check(stage in built, f"waterfall: stage {stage}: must be one of {[int(s) for s in built]}")
    _check(len(set(stages)) == len(stages), f"waterfall: {[int(stage) for stage in stages]}: a stage may stand once")
    _check(bool(stages) and stages[-1] == Stage.TEAR_UP, f"waterfall: {[int(stage) for stage in stages]}: tear_up must be last")
    _check(rules.adl_policy == AdlPolicy.CAPPED_PRO_RATA, f"adl_policy = {rules.adl_policy}: must be {int(AdlPolicy.CAPPED_PRO_RATA)}")
    if Stage.FUND in stages and Stage.ADL in stages and stages.index(Stage.ADL) < stages.index(Stage.FUND):
        _check(
            rules.solvent_pay_first,
            "waterfall: adl stands before fund, so that solvent accounts pay first: put fund before adl, or set solvent_pay_first = true",
        )

"""The venue's rules as the engine reads them: markets, tiers, levels, stages, limits.

Plain integers only. Names, decimals and files belong to ``backstop.config``, which builds these and
is the place where a person's mistake gets its explanation. ``check_rules`` proves once, at load,
the bounds that let the kernels add notionals without looking.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from backstop.core.contract_terms import Contract, Contracts, LinearContract
from backstop.core.events import FUNDING_PARTS, GROUPS_MAX, AdlPolicy, InitialMargin, SocialisePolicy, Stage
from backstop.core.stages import misplaced, paid_first

__all__ = [
    "BANDS_MAX",
    "BALANCE_ATOMS_MAX",
    "DEPTH_LOTS_MAX",
    "AdlRules",
    "BreakerRules",
    "CloseoutRules",
    "CommitmentRules",
    "DisposalRules",
    "LevelRules",
    "FundRules",
    "FundsRules",
    "LimitRules",
    "MarketRules",
    "NO_CAP",
    "NOTIONAL_ATOMS_MAX",
    "PPM",
    "PRICE_TICKS_LIMIT",
    "PROVIDERS_MAX",
    "ProviderRules",
    "TakeoverRules",
    "TierRules",
    "VenueRules",
    "check_rules",
    "deductions_atoms",
    "highest_level_ppm",
    "funding_index_max",
    "joint_most",
    "initial_deductions",
]

#: Parts per million in one.
PPM = 1_000_000
#: Most bands of visible depth a side.
BANDS_MAX = 8
#: Most lots that one band may show.
DEPTH_LOTS_MAX = 1 << 40
#: Sum over markets of the largest position's notional: leaves room to add cost and balance in 63
#: bits.
NOTIONAL_ATOMS_MAX = 1 << 60
#: Largest ledger balance that a transfer may leave.
BALANCE_ATOMS_MAX = 1 << 61
#: Most atoms a lot that a market's funding index may count.
FUNDING_ATOMS_MAX = 1 << 40
#: Latest time of an event: leaves room to add a duration.
TIME_NS_MAX = 1 << 62
#: No event comes later than this after the one before, some hundred days: a single bad stamp must
#: not carry the engine to the end of time.
TIME_STEP_NS_MAX = 1 << 53
#: Trigger prices are stored in 32 bits.
PRICE_TICKS_LIMIT = (1 << 31) - 2
#: Most effects of one event: two such events fit in one blob of a journal.
EFFECTS_MAX = 1 << 22
#: A cap that never binds.
NO_CAP = 1 << 62
#: Most assets in which balances are kept.
ASSETS_MAX = 64
#: Most backstop providers.
PROVIDERS_MAX = 64


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
    #: Market group: whose fund, and whose commitments of providers.
    group: int = 0
    #: Breaker on the price: its move within two windows, or its distance from the index; 0 is off.
    price_throttle_ppm: int = 0
    price_halt_ppm: int = 0
    price_exit_ppm: int = 0
    #: Breaker on the flow: notional liquidated within two windows; 0 is off.
    flow_throttle: int = 0
    flow_halt: int = 0
    #: Price guard: a jump of so much on less volume than that is held; 0 is off.
    guard_jump_ppm: int = 0
    guard_volume_lots: int = 0
    #: Most that the fund of its group pays for this market within any span of the funds' window.
    loss_per_window_max: int = NO_CAP
    #: How its tiers give the initial margin.
    initial_margin: int = InitialMargin.MARGINAL
    #: Value of the open interest above which initial margin rises, and from which on it is the
    #: whole notional; an upper value of 0 is off.
    interest_lower: int = 0
    interest_upper: int = 0
    #: What a fill costs its loser beyond this distance from the mark, its winner owes; 0 is off.
    fill_band_ppm: int = 0
    #: How much its notional moves with the factor that all markets share; only ratios matter.
    factor_loading_ppm: int = PPM
    #: The venue reports the visible depth: until it has, nothing is known of it. Otherwise there is
    #: none until some is told.
    reports_depth: int = 0

    @property
    def contract(self) -> Contract:
        """Return the formulas of its value."""
        return LinearContract(self.notional_factor)


class LevelRules(NamedTuple):
    """Levels of health, as multiples of maintenance margin."""

    warning_ratio_ppm: int = 1_500_000
    exit_buffer_ppm: int = 50_000
    close_out_ratio_ppm: int = 666_667
    #: What each return to default adds to the exit buffer, and how large that may become by it.
    return_buffer_ppm: int = 0
    return_buffer_max_ppm: int = 1_000_000
    #: A default that begins no longer than this after the one before ended is a return.
    return_memory_ns: int = 86_400_000_000_000


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
    #: For how long in one default a solvent account is carried instead of deleveraged; 0: not.
    carry_max_ns: int = 0
    #: The move against all its positions for which its fund then stands.
    carry_move_ppm: int = 20_000


class AdlRules(NamedTuple):
    """Parameters of the ADL stage."""

    #: Least notional that an owner is asked for; 0: any.
    parts_min_notional: int = 0
    #: Owners that a plan asks at most, where their caps suffice; 0: any number.
    counterparties_max: int = 0


class FundRules(NamedTuple):
    """Parameters of one market group's insurance fund."""

    #: Most that it pays within any span of ``window_ns``.
    loss_per_window_max: int = NO_CAP
    #: Balance above which it pays back recovery claims.
    target: int = NO_CAP


class FundsRules(NamedTuple):
    """What all funds share."""

    window_ns: int = 60_000_000_000
    #: Most that all funds together pay for one owner until it was not paid for during a whole
    #: window.
    owner_loss_max: int = NO_CAP
    trading_fee_share_ppm: int = 0
    recovery_interval_ns: int = 3_600_000_000_000
    #: For how long after the latest payment for an owner what it paid limits his withdrawals.
    owner_memory_ns: int = 86_400_000_000_000
    #: For how long after its default began the gap of an insolvent account holds gains back.
    hold_withdrawals_max_ns: int = 3_600_000_000_000
    drawdown_window_ns: int = 28_800_000_000_000
    #: Breaker on the drawdown from the peak within that window; 0 is off.
    drawdown_enter_ppm: int = 0
    drawdown_exit_ppm: int = 0


class CommitmentRules(NamedTuple):
    """What a provider takes over of one market group and direction. Capacity 0: nothing."""

    capacity: int = 0
    refill_per_s: int = 0
    position_notional_max: int = NO_CAP
    edge_ppm: int = 0


class ProviderRules(NamedTuple):
    """One backstop provider."""

    #: By market group: (takes over longs, takes over shorts).
    commitments: tuple[tuple[CommitmentRules, CommitmentRules], ...]
    leverage_ppm: int = 5_000_000
    loss_stop: int = NO_CAP
    #: The venue's own vault: the last provider, which takes over at once and disposes of what it
    #: took.
    is_vault: bool = False


class TakeoverRules(NamedTuple):
    """Parameters of the takeover stage."""

    #: Share of the distance from mark to zero price that a provider gets of a solvent account.
    provider_share_ppm: int = 500_000
    answer_timeout_ns: int = 5_000_000_000
    failures_max: int = 3
    retry_ns: int = 30_000_000_000
    off_ns: int = 600_000_000_000
    #: Range of a market's marks from which on its offers live shorter, and a failure costs more; 0: off.
    offer_range_ppm: int = 0


class DisposalRules(NamedTuple):
    """Schedule by which the venue vault sells what it took over."""

    interval_ns: int = 10_000_000_000
    share_ppm: int = 100_000
    tolerance_ppm: int = 10_000


class BreakerRules(NamedTuple):
    """Parameters of the circuit breakers that are not a market's, and of the price guard."""

    hold_max_ns: int = 600_000_000_000
    reopen_ns: int = 60_000_000_000
    throttle_share_ppm: int = 250_000
    price_window_ns: int = 60_000_000_000
    flow_window_ns: int = 60_000_000_000
    flow_exit_ppm: int = 500_000
    #: Breaker on the flow of the whole venue; 0 is off.
    flow_throttle: int = 0
    flow_halt: int = 0
    stale_ns: int = 0
    outage_gap_ns: int = 0
    outage_grace_ppm: int = 500_000
    outage_grace_max_ns: int = 300_000_000_000
    operator_hold_max_ns: int = 86_400_000_000_000
    #: What nobody paid of a market's losses halts it above this amount, in this window and the one
    #: before.
    deficit_halt: int = 0
    deficit_window_ns: int = 3_600_000_000_000
    guard_hold_ns: int = 120_000_000_000
    #: Age of a mark beyond which nothing is forced at it; 0 is off.
    act_age_max_ns: int = 0
    #: For how long, in sum, an account in default waits for the end of doubts.
    doubt_max_ns: int = 3_600_000_000_000
    #: A market whose doubt has lasted as long is settled (1), or not (0).
    doubt_settles: int = 1
    #: Until when after its default began ADL and tear-up wait in a halted market; 0 is off.
    halt_wait_max_ns: int = 0


class LimitRules(NamedTuple):
    """How many rows the engine holds."""

    accounts_max: int = 1 << 16
    positions_max: int = 1 << 18
    orders_max: int = 1 << 16
    #: Most effects of one event; the buffer holds twice as many.
    effects_max: int = 1 << 22


def joint_most(limits: LimitRules) -> int:
    """Return the most open offers of a joint offer: its answer leaves room for others in an event."""
    return max(1, limits.effects_max // 32)


class VenueRules(NamedTuple):
    """Everything that the engine must know before its first event."""

    markets: tuple[MarketRules, ...]
    levels: LevelRules = LevelRules()
    stages: tuple[int, ...] = (Stage.RESTRICT, Stage.CLOSEOUT, Stage.FUND, Stage.ADL, Stage.TEAR_UP)
    closeout: CloseoutRules = CloseoutRules()
    #: One a market group.
    funds: tuple[FundRules, ...] = (FundRules(),)
    fund: FundsRules = FundsRules()
    providers: tuple[ProviderRules, ...] = ()
    takeover: TakeoverRules = TakeoverRules()
    disposal: DisposalRules = DisposalRules()
    breakers: BreakerRules = BreakerRules()
    adl_policy: int = AdlPolicy.CAPPED_PRO_RATA
    adl: AdlRules = AdlRules()
    socialise_policy: int = SocialisePolicy.GAINS_HAIRCUT
    limits: LimitRules = LimitRules()
    solvent_pay_first: bool = False
    #: Length of an epoch: results of positions are measured from the beginning of the present one.
    epoch_ns: int = 28_800_000_000_000
    #: Assets in which balances are kept; every market of this version settles in the first.
    assets: int = 1

    @property
    def contracts(self) -> Contracts:
        """Return the formulas of value of all markets, for columns of numbers."""
        return Contracts([market.contract for market in self.markets])


def highest_level_ppm(levels: LevelRules) -> int:
    """Return the highest level of health, as a multiple of maintenance margin."""
    returned = levels.return_buffer_max_ppm if levels.return_buffer_ppm else 0
    return max(levels.warning_ratio_ppm, PPM + max(levels.exit_buffer_ppm, returned))


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


def initial_deductions(market: MarketRules) -> tuple[int, ...]:
    """Return the deductions of the initial margin: none where the rate of a tier holds for the
    whole notional.

    Raises ``ValueError`` where a deduction is not a whole number of atoms.
    """
    if market.initial_margin != InitialMargin.MARGINAL:
        return (0,) * len(market.tiers)
    floors = tuple(tier.floor_atoms for tier in market.tiers)
    return deductions_atoms(floors, tuple(tier.initial_rate_ppm for tier in market.tiers))


def funding_index_max(market: MarketRules) -> int:
    """Return the largest size of a market's funding index: what a position owes by it, from one
    end to the other, stays within ``NOTIONAL_ATOMS_MAX``.
    """
    return FUNDING_PARTS * min(FUNDING_ATOMS_MAX, NOTIONAL_ATOMS_MAX // 2 // market.position_lots_max)


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
    _check(0 <= market.fill_band_ppm <= PPM, f"{place}.fill_band_ppm = {market.fill_band_ppm}: must be 0 to {PPM}")
    _check(market.factor_loading_ppm != 0, f"{place}.factor_loading_ppm = 0: must not be 0")
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
            _check(
                before.floor_atoms < tier.floor_atoms <= NO_CAP,
                f"{here}.floor = {tier.floor_atoms}: must be above {before.floor_atoms}, at most {NO_CAP}",
            )
            _check(
                tier.maintenance_rate_ppm >= before.maintenance_rate_ppm and tier.initial_rate_ppm >= before.initial_rate_ppm,
                f"{here}: rates must not fall from tier to tier",
            )
    try:
        initial_deductions(market)
        deductions_atoms(tuple(tier.floor_atoms for tier in market.tiers), tuple(tier.maintenance_rate_ppm for tier in market.tiers))
    except ValueError as error:
        raise ValueError(f"{place}.tiers: {error}") from None
    forms = tuple(InitialMargin)
    _check(market.initial_margin in forms, f"{place}.initial_margin = {market.initial_margin}: must be one of {[int(f) for f in forms]}")
    lower, upper = market.interest_lower, market.interest_upper
    _check(
        0 <= lower < upper <= NO_CAP or lower == upper == 0,
        f"{place}.interest_lower = {lower} and interest_upper = {upper}: must be 0 <= lower < upper, or both 0",
    )


def check_rules(rules: VenueRules) -> None:
    """Raise ``ValueError`` naming the field, its value and what would be right, if a bound does not
    hold.
    """
    _check(1 <= len(rules.markets) <= 4096, f"markets: {len(rules.markets)}: must be 1 to 4096")
    offers = len(rules.markets) * max(1, len(rules.providers))
    _check(offers < 1 << 15, f"markets x providers = {offers}: must be below {1 << 15}, so that an account's offers can be counted")
    levels, limits = rules.levels, rules.limits
    for number, market in enumerate(rules.markets):
        _check_market(f"markets[{number}]", market)
        top = max(tier.maintenance_rate_ppm for tier in market.tiers)
        ratio = highest_level_ppm(levels)
        _check(
            top * ratio <= 999 * PPM * PPM // 1000,
            f"markets[{number}]: maintenance rate {top} ppm x level ratio {ratio} ppm: must be at most 0.999 of the notional",
        )
        _check(
            market.position_lots_max * limits.accounts_max < 1 << 62,
            f"markets[{number}].position_lots_max = {market.position_lots_max} x accounts_max {limits.accounts_max}: must stay below 2^62",
        )
    total = sum(market.contract.bound(market.position_lots_max, market.price_ticks_max) for market in rules.markets)
    _check(
        total <= NOTIONAL_ATOMS_MAX,
        "markets: sum of position_lots_max x price_ticks_max x notional_factor = "
        + " + ".join(f"{m.position_lots_max} x {m.price_ticks_max} x {m.notional_factor}" for m in rules.markets[:4])
        + (" + ..." if len(rules.markets) > 4 else "")
        + f" = {total} atoms: must be at most {NOTIONAL_ATOMS_MAX} (2^60)",
    )
    _check(1 <= rules.assets <= ASSETS_MAX, f"assets = {rules.assets}: must be 1 to {ASSETS_MAX}")
    _check(1 <= rules.epoch_ns <= _DURATION_MAX, f"epoch_ns = {rules.epoch_ns}: must be 1 to {_DURATION_MAX}")
    _check(levels.exit_buffer_ppm >= 0, f"levels.exit_buffer_ppm = {levels.exit_buffer_ppm}: must not be negative")
    _check(
        PPM + levels.exit_buffer_ppm <= levels.warning_ratio_ppm <= 10 * PPM,
        f"levels.warning_ratio_ppm = {levels.warning_ratio_ppm}: must be {PPM + levels.exit_buffer_ppm} (release) to {10 * PPM}",
    )
    _check(
        0 <= levels.close_out_ratio_ppm <= PPM,
        f"levels.close_out_ratio_ppm = {levels.close_out_ratio_ppm}: must be 0 to {PPM}",
    )
    for name in ("return_buffer_ppm", "return_buffer_max_ppm"):
        value = getattr(levels, name)
        _check(0 <= value <= 9 * PPM, f"levels.{name} = {value}: must be 0 to {9 * PPM}")
    _check(
        1 <= levels.return_memory_ns <= _DURATION_MAX, f"levels.return_memory_ns = {levels.return_memory_ns}: must be 1 to {_DURATION_MAX}"
    )
    _check_bounds(rules.closeout, "closeout", carry_max_ns=(0, _DURATION_MAX))
    _check_bounds(rules.adl, "adl")
    _check_funds(rules)
    _check_providers(rules)
    _check_breakers(rules)
    rows = dict.fromkeys(LimitRules._fields, (1, 1 << 28))
    _check_bounds(limits, "limits", **rows | {"effects_max": (1, EFFECTS_MAX)})
    _check_stages(rules)


_DURATION_MAX = 1 << 60


def _bounds_of(name: str) -> tuple[int, int]:
    """Return what a rule may be by its unit: a share, a duration that is not 0, or an amount."""
    if name.endswith("_ppm"):
        return 0, PPM
    return (1, _DURATION_MAX) if name.endswith("_ns") else (0, NO_CAP)


def _check_bounds(group: Any, place: str, **others: tuple[int, int]) -> None:
    """Check every number of a group of rules against the bounds of its unit, or ``others`` by
    name.
    """
    for name, value in group._asdict().items():
        if isinstance(value, int):
            low, high = others.get(name, _bounds_of(name))
            _check(low <= value <= high, f"{place}.{name} = {value}: must be {low} to {high}")


def _check_funds(rules: VenueRules) -> None:
    _check(1 <= len(rules.funds) <= GROUPS_MAX, f"funds: {len(rules.funds)}: must be 1 to {GROUPS_MAX}")
    for number, market in enumerate(rules.markets):
        last = len(rules.funds) - 1
        _check(0 <= market.group <= last, f"markets[{number}].group = {market.group}: must be 0 to {last}")
    for group, fund in enumerate(rules.funds):
        _check_bounds(fund, f"funds[{group}]")
    shared = rules.fund
    slotted = dict.fromkeys(("window_ns", "recovery_interval_ns", "drawdown_window_ns"), (16, _DURATION_MAX))
    _check_bounds(shared, "fund", **slotted)
    _check(
        shared.drawdown_exit_ppm <= shared.drawdown_enter_ppm,
        f"fund.drawdown_exit_ppm = {shared.drawdown_exit_ppm}: must be at most drawdown_enter_ppm {shared.drawdown_enter_ppm}",
    )
    _check(
        shared.drawdown_enter_ppm == 0 or shared.drawdown_exit_ppm > 0,
        "fund.drawdown_exit_ppm = 0: must be at least 1, or the breaker would never end",
    )


def _check_providers(rules: VenueRules) -> None:
    _check(len(rules.providers) <= PROVIDERS_MAX, f"providers: {len(rules.providers)}: must be at most {PROVIDERS_MAX}")
    vaults = sum(provider.is_vault for provider in rules.providers)
    _check(vaults <= 1, f"providers: {vaults} vaults: must be at most one")
    for number, provider in enumerate(rules.providers):
        place = f"providers[{number}]"
        _check(
            len(provider.commitments) == len(rules.funds),
            f"{place}.commitments: {len(provider.commitments)} groups: must be {len(rules.funds)}, one a market group",
        )
        _check_bounds(provider, place, leverage_ppm=(1, 1000 * PPM), loss_stop=(1, NO_CAP))
        for group, pair in enumerate(provider.commitments):
            for direction, commitment in zip(("long", "short"), pair, strict=True):
                _check_bounds(commitment, f"{place}.commitments[{group}].{direction}")
    _check_bounds(rules.takeover, "takeover", failures_max=(1, 1 << 30))
    _check_bounds(rules.disposal, "disposal", share_ppm=(1, PPM), tolerance_ppm=(0, PPM - 1))


def _check_thresholds(place: str, enter: int, worse: int, leave: int) -> None:
    _check(
        enter == 0 or worse == 0 or enter <= worse,
        f"{place}: throttle {enter} and halt {worse}: throttle must be at most halt",
    )
    first = enter or worse
    _check(first == 0 or 0 < leave <= first, f"{place}: exit {leave}: must be 1 to {first}, where the breaker begins")


def _check_breakers(rules: VenueRules) -> None:
    breakers = rules.breakers
    or_off = dict.fromkeys(("stale_ns", "outage_gap_ns", "outage_grace_max_ns", "act_age_max_ns", "halt_wait_max_ns"), (0, _DURATION_MAX))
    _check_bounds(breakers, "breakers", throttle_share_ppm=(1, PPM), **or_off)
    _check_thresholds("breakers.flow", breakers.flow_throttle, breakers.flow_halt, 1)
    for number, market in enumerate(rules.markets):
        place = f"markets[{number}]"
        others = {"guard_volume_lots": (0, DEPTH_LOTS_MAX), "volatility_ppm": (1, NO_CAP), "factor_loading_ppm": (-PPM, PPM)}
        _check_bounds(market, place, **others)
        _check_thresholds(f"{place}.price", market.price_throttle_ppm, market.price_halt_ppm, market.price_exit_ppm)
        _check_thresholds(f"{place}.flow", market.flow_throttle, market.flow_halt, 1)


def _check_stages(rules: VenueRules) -> None:
    stages = rules.stages
    for stage in stages:
        _check(stage in tuple(Stage), f"waterfall: stage {stage}: must be one of {[int(s) for s in Stage]}")
    _check(len(set(stages)) == len(stages), f"waterfall: {[int(stage) for stage in stages]}: a stage may stand once")
    _check(bool(stages) and stages[-1] == Stage.TEAR_UP, f"waterfall: {[int(stage) for stage in stages]}: tear_up must be last")
    _check(rules.adl_policy in tuple(AdlPolicy), f"adl_policy = {rules.adl_policy}: must be one of {[int(p) for p in AdlPolicy]}")
    _check(
        rules.socialise_policy in tuple(SocialisePolicy),
        f"socialise_policy = {rules.socialise_policy}: must be one of {[int(p) for p in SocialisePolicy]}",
    )
    for stage, others in misplaced(stages):
        behind = " and ".join(other.name.lower() for other in others)
        _check(False, f"waterfall: {stage.name.lower()} must stand behind {behind}: it acts after them in any case")
    for earlier in paid_first(stages):
        two = earlier.name.lower()
        _check(
            rules.solvent_pay_first,
            f"waterfall: adl stands before {two}, so that solvent accounts pay first: put {two} before adl,"
            " or set solvent_pay_first = true",
        )

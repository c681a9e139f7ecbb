"""The venue's rules as the engine reads them: markets, tiers, levels, stages, limits.

Plain integers only. Names, decimals and files belong to ``backstop.config``, which builds these and
is the place where a person's mistake gets its explanation. ``check_rules`` proves once, at load,
the bounds that let the kernels add notionals without looking.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, NamedTuple

from backstop.core.contract_terms import Contract, ContractKind, Contracts, contract_of
from backstop.core.events import FUNDING_PARTS, GROUPS_MAX, AdlPolicy, InitialMargin, SocialisePolicy, Stage
from backstop.core.parameters import NO_CAP, PPM, Moves, Unit, check_values, rule
from backstop.core.stages import misplaced, paid_first

__all__ = [
    "BANDS_MAX",
    "BALANCE_ATOMS_MAX",
    "DEPTH_LOTS_MAX",
    "ASSETS_MAX",
    "AdlRules",
    "AssetRules",
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
#: Most rows of one kind.
_ROWS_MAX = 1 << 28
#: Most assets in which balances are kept: each has a market group.
ASSETS_MAX = GROUPS_MAX
#: Most backstop providers.
PROVIDERS_MAX = 64


class TierRules(NamedTuple):
    """One bracket of notional: from ``floor_atoms`` up these rates hold."""

    floor_atoms: Annotated[int, rule(901, "Notional from which the tier holds; the first floor is 0.", moves=Moves.MARGIN)]
    initial_rate_ppm: Annotated[int, rule(902, "Initial margin rate (1 / leverage, rounded up).")]
    maintenance_rate_ppm: Annotated[int, rule(903, "Maintenance margin rate.", moves=Moves.MARGIN)]


class AssetRules(NamedTuple):
    """What holds for all accounts, groups and markets of one asset, in atoms of it."""

    minimum_notional: Annotated[
        int,
        rule(
            207,
            "Smallest slice, and smallest rest of a position that a slice leaves. A smaller slice is raised to it where the visible book"
            " holds it; an order of it tries a book of which too little is known.",
        ),
    ] = 0
    account_notional_max: Annotated[int, rule(209, "Most notional of one account ordered in one cap interval.")] = NO_CAP
    owner_loss_max: Annotated[
        int, rule(302, "Most that all funds together pay for one owner, until a whole `window` passes without a payment.")
    ] = NO_CAP
    deficit_halt: Annotated[
        int, rule(514, "Losses of a market that nobody paid halt it where they exceed this amount; with 0, every such loss does.")
    ] = 0
    parts_min_notional: Annotated[
        int,
        rule(
            601,
            "Least notional that an owner is asked for, unless it is all that he can give; 0: any. Who gives for those below it is drawn.",
        ),
    ] = 0


class MarketRules(NamedTuple):
    """One perpetual."""

    notional_factor: Annotated[
        int,
        rule(
            801,
            "Atoms a tick a lot: tick x lot x contract size in atoms of the settlement asset. Of an inverse contract atoms x ticks a lot:"
            " lot x face / tick in atoms of the base asset.",
            low=1,
            is_fixed=True,
        ),
    ]
    price_ticks_max: Annotated[
        int, rule(802, "Highest price accepted, a whole number of ticks.", unit=Unit.TICKS, low=1, high=PRICE_TICKS_LIMIT, is_fixed=True)
    ]
    position_lots_max: Annotated[
        int, rule(803, "Largest position of one account, a whole number of lots.", unit=Unit.LOTS, low=1, is_fixed=True)
    ]
    tiers: tuple[TierRules, ...]
    #: Offsets of the bands of visible depth from the mark, ascending.
    band_offset_ppm: tuple[int, ...]
    slippage_tolerance_ppm: Annotated[int, rule(804, "Furthest from the mark that a closing order may trade.", high=PPM - 1)]
    volatility_ppm: Annotated[
        int,
        rule(
            805,
            "Weight of this market when an account's buffer is shared among its trigger prices. Changes speed, never a result.",
            low=1,
        ),
    ] = 10_000
    ordered_notional_max: Annotated[int, rule(806, "Most notional of this market ordered to the book in one cap interval.")] = NO_CAP
    group: Annotated[int, rule(807, "Its market group; the first if left out.", unit=Unit.COUNT, high=GROUPS_MAX - 1, is_fixed=True)] = 0
    price_throttle_ppm: Annotated[int, rule(808, "Move of the mark, or its distance from the index, that throttles a market.")] = 0
    price_halt_ppm: Annotated[int, rule(809, "Move of the mark, or its distance from the index, that halts a market.")] = 0
    price_exit_ppm: Annotated[int, rule(810, "Move or distance below which the stop ends, each for itself.")] = 0
    flow_throttle: Annotated[int, rule(811, "Liquidated notional of the market that throttles it.")] = 0
    flow_halt: Annotated[int, rule(812, "Liquidated notional of the market that halts it.")] = 0
    guard_jump_ppm: Annotated[int, rule(813, "Move from the reference mark that counts as a jump; 0 is off.", is_fixed=True)] = 0
    guard_volume_lots: Annotated[
        int, rule(814, "Volume below which a jump is held; with 0 no jump is held.", unit=Unit.LOTS, high=DEPTH_LOTS_MAX, is_fixed=True)
    ] = 0
    loss_per_window_max: Annotated[int, rule(815, "Most that the fund of its group pays for this market within any span of `window`.")] = (
        NO_CAP
    )
    initial_margin: Annotated[
        int,
        rule(
            816,
            "How the tiers give the initial margin. `marginal`: each part of the notional at the rate of its bracket; `tier`: the rate of"
            " the tier over the whole notional; `owner`: the same, the tier by what all accounts of the owner hold in the market.",
            unit=Unit.CODE,
            low=min(InitialMargin),
            high=max(InitialMargin),
            is_fixed=True,
        ),
    ] = InitialMargin.MARGINAL
    interest_lower: Annotated[int, rule(817, "Value of the open interest above which initial margin rises.")] = 0
    interest_upper: Annotated[
        int, rule(818, "Value of the open interest from which on initial margin is the whole notional; 0 is off.")
    ] = 0
    fill_band_ppm: Annotated[
        int,
        rule(
            819,
            "What a fill between two owners costs its loser beyond this distance from the mark, its winner owes: it is held, and paid"
            " before a fund pays for the loser. 0 is off; what a fill itself makes its loser lack is owed in any case.",
        ),
    ] = 0
    factor_loading_ppm: Annotated[
        int,
        rule(
            820,
            "ADL policy `water_filling`: how far its notional moves with the one factor that all markets share; below 0: against it. Only"
            " ratios between markets matter. Not 0.",
            low=-PPM,
        ),
    ] = PPM
    #: The venue reports the visible depth: until it has, nothing is known of it. Otherwise there is
    #: none until some is told.
    reports_depth: Annotated[
        int,
        rule(
            821,
            "Whether its depth is reported. `reported`: until it is, nothing is known of the book, and orders of `minimum_notional` try it;"
            " `none`: there is no depth until some is told, so that closeout goes on to the next stage.",
            unit=Unit.FLAG,
            is_fixed=True,
        ),
    ] = 0
    contract_kind: Annotated[
        int,
        rule(
            822,
            "How lots and price make value. `linear`: in proportion to the price, settled in the currency of the quote; `inverse`: in"
            " proportion to 1 / price, settled in the base.",
            unit=Unit.CODE,
            low=min(ContractKind),
            high=max(ContractKind),
            is_fixed=True,
        ),
    ] = ContractKind.LINEAR
    price_ticks_min: Annotated[
        int,
        rule(
            823,
            "Lowest price accepted, a whole number of ticks; of a linear contract one tick.",
            unit=Unit.TICKS,
            low=1,
            high=PRICE_TICKS_LIMIT,
            is_fixed=True,
        ),
    ] = 1
    settlement_asset: Annotated[
        int,
        rule(
            824,
            "Asset in which gains and losses are paid: that of its market group.",
            unit=Unit.COUNT,
            high=ASSETS_MAX - 1,
            is_fixed=True,
        ),
    ] = 0
    is_listed: Annotated[
        int,
        rule(
            830,
            "Whether the market is listed. A spare one is not: its rules can change until a LISTING event lists it.",
            unit=Unit.FLAG,
            is_fixed=True,
        ),
    ] = 1

    @property
    def contract(self) -> Contract:
        """Return the formulas of its value."""
        return contract_of(self.contract_kind, self.notional_factor)

    @property
    def notional_max(self) -> int:
        """Return the largest notional of a position at any price; it may exceed 63 bits."""
        return self.contract.bound(self.position_lots_max, self.price_ticks_min, self.price_ticks_max)


class LevelRules(NamedTuple):
    """Levels of health, as multiples of maintenance margin."""

    warning_ratio_ppm: Annotated[
        int,
        rule(
            101,
            "Below this multiple of maintenance margin an account is warned. In whole parts per million.",
            low=PPM,
            high=10 * PPM,
            moves=Moves.LEVELS,
        ),
    ] = 1_500_000
    exit_buffer_ppm: Annotated[
        int,
        rule(
            102,
            "An account leaves default when its equity exceeds maintenance margin by this share of it. In whole parts per million.",
            high=9 * PPM,
            moves=Moves.LEVELS,
        ),
    ] = 50_000
    close_out_ratio_ppm: Annotated[
        int,
        rule(103, "Below this multiple of maintenance margin an account is in close-out. In whole parts per million.", moves=Moves.LEVELS),
    ] = 666_667
    return_buffer_ppm: Annotated[
        int,
        rule(
            104,
            "What each return to default adds to `exit_buffer`. In whole parts per million; 0 is off.",
            high=9 * PPM,
            moves=Moves.LEVELS,
        ),
    ] = 0
    return_buffer_max_ppm: Annotated[
        int,
        rule(105, "Largest exit buffer that returns lead to. In whole parts per million.", high=9 * PPM, moves=Moves.LEVELS),
    ] = 1_000_000
    return_memory_ns: Annotated[
        int, rule(106, "A default that begins no longer than this after the last one ended with lots left is a return.")
    ] = 86_400_000_000_000
    relief_notice_ns: Annotated[int, rule(107, "Least notice with which an operator ends relief from a rise of margin.", is_fixed=True)] = (
        86_400_000_000_000
    )


class CloseoutRules(NamedTuple):
    """Parameters of the closeout stage."""

    fee_ppm: Annotated[int, rule(201, "Liquidation fee of a solvent account, to the fund.")] = 5_000
    depth_share_ppm: Annotated[int, rule(202, "Share of the visible depth within the slippage tolerance that closing orders may take.")] = (
        250_000
    )
    volume_share_ppm: Annotated[int, rule(203, "Share of the volume last reported that closing orders may take.")] = PPM
    interval_ns: Annotated[int, rule(204, "Least time between two slices of one account.")] = 1_000_000_000
    deadline_ns: Annotated[int, rule(205, "From default until the stages after this one may act without waiting.")] = 30_000_000_000
    order_timeout_ns: Annotated[int, rule(206, "Longest wait for an answer from the book.")] = 10_000_000_000
    cap_interval_ns: Annotated[int, rule(208, "Interval of the notional caps (account, market, venue).", is_fixed=True)] = 60_000_000_000
    venue_notional_max: Annotated[int, rule(210, "Most notional of the whole venue ordered in one cap interval.")] = NO_CAP
    carry_max_ns: Annotated[
        int,
        rule(
            211,
            "For how long in one default a solvent account is carried instead of deleveraged, while funds stand for it; off if left out.",
            low=0,
            is_fixed=True,
        ),
    ] = 0
    carry_move_ppm: Annotated[
        int, rule(212, "Move against all its positions: what the account then would lack is reserved while it is carried.")
    ] = 20_000


class AdlRules(NamedTuple):
    """Parameters of the ADL stage."""

    counterparties_max: Annotated[
        int,
        rule(
            602,
            "Owners that one plan asks at most, where what they can give suffices; 0: any number.",
            unit=Unit.COUNT,
            high=1 << 28,
        ),
    ] = 0


class FundRules(NamedTuple):
    """Parameters of one market group's insurance fund."""

    loss_per_window_max: Annotated[int, rule(701, "Most that the fund pays within any span of `window`.")] = NO_CAP
    target: Annotated[int, rule(702, "Balance above which the fund pays recovery claims back.")] = NO_CAP
    contribution_ppm: Annotated[int, rule(703, "Share of the initial margin of lots that a fill opens, which goes to the fund.")] = 0
    asset: Annotated[
        int, rule(704, "Asset of the fund and of all markets of the group.", unit=Unit.COUNT, high=ASSETS_MAX - 1, is_fixed=True)
    ] = 0


class FundsRules(NamedTuple):
    """What all funds share."""

    window_ns: Annotated[int, rule(301, "Span of the caps on payments of the funds.", low=16, is_fixed=True)] = 60_000_000_000
    trading_fee_share_ppm: Annotated[int, rule(303, "Share of trading fees that goes to the fund.")] = 0
    recovery_interval_ns: Annotated[int, rule(304, "Time between two payments of recovery claims from surplus.", low=16)] = (
        3_600_000_000_000
    )
    owner_memory_ns: Annotated[
        int,
        rule(305, "For how long after the latest payment for an owner what the funds paid for him limits his withdrawals.", is_fixed=True),
    ] = 86_400_000_000_000
    hold_withdrawals_max_ns: Annotated[
        int,
        rule(
            306,
            "For how long after its default began an insolvent account that a fund cannot pay holds back gains of its markets.",
        ),
    ] = 3_600_000_000_000
    drawdown_window_ns: Annotated[int, rule(307, "Span over which the peak of a fund is taken.", low=16, is_fixed=True)] = (
        28_800_000_000_000
    )
    drawdown_enter_ppm: Annotated[int, rule(308, "Fall from the peak that throttles the markets of the group; 0 is off.")] = 0
    drawdown_exit_ppm: Annotated[int, rule(309, "Fall from the peak that ends the throttle.")] = 0
    pockets_are_netted: Annotated[
        bool,
        rule(
            310,
            "Whether a pocket, an account of one market, is netted with its owner's other accounts. If not, neither pays for the other.",
            unit=Unit.FLAG,
            is_fixed=True,
        ),
    ] = False


class CommitmentRules(NamedTuple):
    """What a provider takes over of one market group and direction. Capacity 0: nothing."""

    capacity: Annotated[int, rule(1101, "Notional that it takes over before refill.")] = 0
    refill_per_s: Annotated[int, rule(1102, "Capacity that comes back by the hour; it does so second by second.", is_fixed=True)] = 0
    position_notional_max: Annotated[int, rule(1103, "Largest notional of its position in one market.")] = NO_CAP
    edge_ppm: Annotated[int, rule(1104, "Discount to mark at which it takes over from an insolvent account; the fund pays for it.")] = 0


class ProviderRules(NamedTuple):
    """One backstop provider."""

    #: By market group: (takes over longs, takes over shorts).
    commitments: tuple[tuple[CommitmentRules, CommitmentRules], ...]
    leverage_ppm: Annotated[int, rule(1001, "Largest notional over equity, open offers included.", low=1, high=1000 * PPM)] = 5_000_000
    loss_stop: Annotated[
        int, rule(1002, "Loss at which offers to it stop and it sells what it holds, until half of it is won back.", low=1)
    ] = NO_CAP
    is_vault: Annotated[
        bool,
        rule(1003, "The venue's own vault: last provider, takes over at once, sells on by schedule.", unit=Unit.FLAG, is_fixed=True),
    ] = False
    asset: Annotated[
        int,
        rule(
            1004,
            "Asset of its account, and of the market groups to which it commits itself.",
            unit=Unit.COUNT,
            high=ASSETS_MAX - 1,
            is_fixed=True,
        ),
    ] = 0


class TakeoverRules(NamedTuple):
    """Parameters of the takeover stage."""

    provider_share_ppm: Annotated[
        int, rule(401, "Share of the way from mark to zero price that a provider gets for taking over from a solvent account.")
    ] = 500_000
    answer_timeout_ns: Annotated[int, rule(402, "Longest wait for a provider's answer.")] = 5_000_000_000
    failures_max: Annotated[int, rule(403, "Failures in a row that switch a provider off.", unit=Unit.COUNT, low=1, high=1 << 30)] = 3
    retry_ns: Annotated[int, rule(404, "Time after a failure in which a provider gets no offers.")] = 30_000_000_000
    off_ns: Annotated[int, rule(405, "Time in which a provider that was switched off gets no offers.")] = 600_000_000_000
    offer_range_ppm: Annotated[
        int,
        rule(
            406,
            "Range of a market's marks over both price windows from which on its offers live shorter"
            " and a failure costs more, up to four times; 0: off.",
        ),
    ] = 0


class DisposalRules(NamedTuple):
    """Schedule by which the venue vault sells what it took over."""

    interval_ns: Annotated[int, rule(451, "Time between two sales of the vault, or of a provider that is stopped.")] = 10_000_000_000
    share_ppm: Annotated[int, rule(452, "Share of a position that it sells at a time.", low=1)] = 100_000
    tolerance_ppm: Annotated[int, rule(453, "Furthest from the mark that it sells.", high=PPM - 1)] = 10_000


class BreakerRules(NamedTuple):
    """Parameters of the circuit breakers that are not a market's, and of the price guard."""

    hold_max_ns: Annotated[int, rule(501, "Longest time in which a cause throttles or halts.")] = 600_000_000_000
    reopen_ns: Annotated[int, rule(502, "Time from the end of a halt to the full opening.")] = 60_000_000_000
    throttle_share_ppm: Annotated[int, rule(503, "Share of a closing slice that may leave while throttled or reopening.", low=1)] = 250_000
    price_window_ns: Annotated[int, rule(504, "Moves of the mark are measured in this window and the one before.", is_fixed=True)] = (
        60_000_000_000
    )
    flow_window_ns: Annotated[int, rule(505, "Liquidated notional is counted in this window and the one before.", is_fixed=True)] = (
        60_000_000_000
    )
    flow_exit_ppm: Annotated[int, rule(506, "Share of the first threshold below which a stop for flow ends.")] = 500_000
    flow_throttle: Annotated[int, rule(507, "Liquidated notional of the venue that throttles it.")] = 0
    flow_halt: Annotated[int, rule(508, "Liquidated notional of the venue that halts it.")] = 0
    stale_ns: Annotated[int, rule(509, "Age of a mark that halts its market; off if left out.", low=0)] = 0
    outage_gap_ns: Annotated[int, rule(510, "Silence of the whole venue that counts as an outage; off if left out.", low=0)] = 0
    outage_grace_ppm: Annotated[int, rule(511, "Grace after an outage, as a share of the silence.")] = 500_000
    outage_grace_max_ns: Annotated[int, rule(512, "Longest grace.", low=0)] = 300_000_000_000
    operator_hold_max_ns: Annotated[
        int,
        rule(513, "Longest stop that an operator may order at once. `hold_max` ends it earlier, and it may be ordered again."),
    ] = 86_400_000_000_000
    deficit_window_ns: Annotated[
        int, rule(515, "Losses that nobody paid are counted in this window and the one before.", is_fixed=True)
    ] = 3_600_000_000_000
    guard_hold_ns: Annotated[int, rule(516, "For how long a mark is held; a disputed one once more for as long.", is_fixed=True)] = (
        120_000_000_000
    )
    act_age_max_ns: Annotated[
        int,
        rule(517, "Age of a mark beyond which takeover, ADL, tear-up and support wait for the next one; off if left out.", low=0),
    ] = 0
    doubt_max_ns: Annotated[
        int,
        rule(
            518,
            "For how long, in sum, an account in default waits for marks that are doubted or old, and a market may be doubted.",
        ),
    ] = 3_600_000_000_000
    doubt_settles: Annotated[
        int,
        rule(
            519,
            "A market whose mark was doubted for `doubt_max` is settled at one price; otherwise stages then act at the mark.",
            unit=Unit.FLAG,
        ),
    ] = 1
    halt_wait_max_ns: Annotated[
        int,
        rule(
            520,
            "Until when after the begin of a default ADL and tear-up wait in a halted market; off if left out.",
            low=0,
        ),
    ] = 0


class LimitRules(NamedTuple):
    """How many rows the engine holds."""

    accounts_max: Annotated[int, rule(1, "Most accounts.", unit=Unit.COUNT, low=1, high=_ROWS_MAX, is_fixed=True)] = 1 << 16
    positions_max: Annotated[
        int,
        rule(2, "Most positions of accounts, flat ones of this epoch too.", unit=Unit.COUNT, low=1, high=_ROWS_MAX, is_fixed=True),
    ] = 1 << 18
    orders_max: Annotated[
        int, rule(3, "Closing orders remembered for late fills.", unit=Unit.COUNT, low=1, high=_ROWS_MAX, is_fixed=True)
    ] = 1 << 16
    effects_max: Annotated[
        int,
        rule(
            4,
            "Most effects of one event. Beyond half of it, accounts wait an interval.",
            unit=Unit.COUNT,
            low=1,
            high=EFFECTS_MAX,
            is_fixed=True,
        ),
    ] = 1 << 22


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
    adl_policy: Annotated[
        int,
        rule(
            600,
            "How counterparties of a class share: by profit, in the order of rank, by lots, by lots x leverage, in random order."
            " Each is capped so that it stays above maintenance margin.",
            unit=Unit.CODE,
            low=min(AdlPolicy),
            high=max(AdlPolicy),
        ),
    ] = AdlPolicy.CAPPED_PRO_RATA
    adl: AdlRules = AdlRules()
    socialise_policy: Annotated[
        int,
        rule(
            650,
            "The base of the cuts: what was won in the market of the loss, or all open interest there.",
            unit=Unit.CODE,
            low=min(SocialisePolicy),
            high=max(SocialisePolicy),
        ),
    ] = SocialisePolicy.GAINS_HAIRCUT
    limits: LimitRules = LimitRules()
    solvent_pay_first: Annotated[
        bool,
        rule(
            11,
            "Allows `adl` to stand before `closeout`, `takeover` or `fund`, so that solvent accounts pay first.",
            unit=Unit.FLAG,
            is_fixed=True,
        ),
    ] = False
    epoch_ns: Annotated[
        int,
        rule(
            12,
            "What a position won or lost is measured from the beginning of the present epoch. Epochs are so long.",
            is_fixed=True,
        ),
    ] = 28_800_000_000_000
    #: One an asset in which balances are kept.
    assets: tuple[AssetRules, ...] = (AssetRules(),)

    def of_market(self, market: int) -> AssetRules:
        """Return the rules of the asset in which a market settles."""
        return self.assets[self.markets[market].settlement_asset]

    def of_group(self, group: int) -> AssetRules:
        """Return the rules of the asset of a market group."""
        return self.assets[self.funds[group].asset]

    def groups_of(self, asset: int) -> tuple[int, ...]:
        """Return the market groups of an asset, in order."""
        return tuple(group for group, fund in enumerate(self.funds) if fund.asset == asset)

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
    check_values(market, place)
    bands = market.band_offset_ppm
    _check(1 <= len(bands) <= BANDS_MAX, f"{place}.band_offset_ppm has {len(bands)} bands: must have 1 to {BANDS_MAX}")
    _check(
        bands[0] >= 0 and all(low < high for low, high in pairwise(bands)) and bands[-1] < PPM,
        f"{place}.band_offset_ppm = {list(bands)}: must ascend, from 0 to {PPM - 1}",
    )
    _check(
        market.price_ticks_min <= market.price_ticks_max,
        f"{place}.price_ticks_min = {market.price_ticks_min}: must be at most price_ticks_max {market.price_ticks_max}",
    )
    _check(
        market.contract_kind != ContractKind.LINEAR or market.price_ticks_min == 1,
        f"{place}.price_ticks_min = {market.price_ticks_min}: must be 1 of a linear contract",
    )
    _check(market.factor_loading_ppm != 0, f"{place}.factor_loading_ppm = 0: must not be 0")
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
    lower, upper = market.interest_lower, market.interest_upper
    _check(
        lower < upper or lower == upper == 0,
        f"{place}.interest_lower = {lower} and interest_upper = {upper}: must be 0 <= lower < upper, or both 0",
    )


def _bound_text(market: MarketRules) -> str:
    if market.contract_kind == ContractKind.LINEAR:
        return f"{market.position_lots_max} x {market.price_ticks_max} x {market.notional_factor}"
    return f"{market.position_lots_max} x {market.notional_factor} / {market.price_ticks_min}"


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
    for asset in range(len(rules.assets)):
        markets = [market for market in rules.markets if market.is_listed and market.settlement_asset == asset]
        total = sum(market.notional_max for market in markets)
        _check(
            total <= NOTIONAL_ATOMS_MAX,
            "markets: sum of position_lots_max x price_ticks_max x notional_factor, of an inverse contract of position_lots_max x"
            " notional_factor / price_ticks_min = "
            + " + ".join(map(_bound_text, markets[:4]))
            + (" + ..." if len(markets) > 4 else "")
            + f" = {total} atoms: must be at most {NOTIONAL_ATOMS_MAX} (2^60)",
        )
    check_values(rules, "")
    check_values(levels, "levels")
    _check(
        PPM + levels.exit_buffer_ppm <= levels.warning_ratio_ppm,
        f"levels.warning_ratio_ppm = {levels.warning_ratio_ppm}: must be {PPM + levels.exit_buffer_ppm} (release) to {10 * PPM}",
    )
    check_values(rules.closeout, "closeout")
    check_values(rules.adl, "adl")
    _check_funds(rules)
    _check_providers(rules)
    _check_breakers(rules)
    _check_assets(rules)
    check_values(limits, "limits")
    _check_stages(rules)


def _check_funds(rules: VenueRules) -> None:
    _check(1 <= len(rules.funds) <= GROUPS_MAX, f"funds: {len(rules.funds)}: must be 1 to {GROUPS_MAX}")
    for number, market in enumerate(rules.markets):
        last = len(rules.funds) - 1
        _check(0 <= market.group <= last, f"markets[{number}].group = {market.group}: must be 0 to {last}")
    for group, fund in enumerate(rules.funds):
        check_values(fund, f"funds[{group}]")
    shared = rules.fund
    check_values(shared, "fund")
    _check(
        shared.drawdown_enter_ppm == 0 or shared.drawdown_exit_ppm <= shared.drawdown_enter_ppm,
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
        check_values(provider, place)
        for group, pair in enumerate(provider.commitments):
            for direction, commitment in zip(("long", "short"), pair, strict=True):
                check_values(commitment, f"{place}.commitments[{group}].{direction}")
    check_values(rules.takeover, "takeover")
    check_values(rules.disposal, "disposal")


def _check_thresholds(place: str, enter: int, worse: int, leave: int) -> None:
    _check(
        enter == 0 or worse == 0 or enter <= worse,
        f"{place}: throttle {enter} and halt {worse}: throttle must be at most halt",
    )
    first = enter or worse
    _check(first == 0 or 0 < leave <= first, f"{place}: exit {leave}: must be 1 to {first}, where the breaker begins")


def _check_breakers(rules: VenueRules) -> None:
    breakers = rules.breakers
    check_values(breakers, "breakers")
    _check_thresholds("breakers.flow", breakers.flow_throttle, breakers.flow_halt, 1)
    for number, market in enumerate(rules.markets):
        place = f"markets[{number}]"
        _check_thresholds(f"{place}.price", market.price_throttle_ppm, market.price_halt_ppm, market.price_exit_ppm)
        _check_thresholds(f"{place}.flow", market.flow_throttle, market.flow_halt, 1)


def _check_assets(rules: VenueRules) -> None:
    _check(1 <= len(rules.assets) <= ASSETS_MAX, f"assets: {len(rules.assets)}: must be 1 to {ASSETS_MAX}")
    last = len(rules.assets) - 1
    for number, asset in enumerate(rules.assets):
        check_values(asset, f"assets[{number}]")
        _check(bool(rules.groups_of(number)), f"assets[{number}]: no market group is of it: must have at least one")
    for group, fund in enumerate(rules.funds):
        _check(fund.asset <= last, f"funds[{group}].asset = {fund.asset}: must be 0 to {last}")
    for number, market in enumerate(rules.markets):
        own, of_group = market.settlement_asset, rules.funds[market.group].asset
        _check(own == of_group, f"markets[{number}].settlement_asset = {own}: must be {of_group}, that of its group {market.group}")
    for number, provider in enumerate(rules.providers):
        _check(provider.asset <= last, f"providers[{number}].asset = {provider.asset}: must be 0 to {last}")
        for group, pair in enumerate(provider.commitments):
            of_group = rules.funds[group].asset
            _check(
                of_group == provider.asset or not any(commitment.capacity for commitment in pair),
                f"providers[{number}].commitments[{group}]: its capacity must be 0: the group is of asset {of_group}, the provider of"
                f" {provider.asset}",
            )
    if last > 0:
        _check_no_sums(rules)


def _check_no_sums(rules: VenueRules) -> None:
    """What counts notional of the whole venue is off where that is of several assets."""
    why = "of a venue of several assets, whose notionals do not add up"
    most = rules.closeout.venue_notional_max
    _check(most == NO_CAP, f"closeout.venue_notional_max = {most}: must be {NO_CAP} (no cap) {why}")
    for name in ("flow_throttle", "flow_halt"):
        value = getattr(rules.breakers, name)
        _check(value == 0, f"breakers.{name} = {value}: must be 0 (off) {why}")


def _check_stages(rules: VenueRules) -> None:
    stages = rules.stages
    for stage in stages:
        _check(stage in tuple(Stage), f"waterfall: stage {stage}: must be one of {[int(s) for s in Stage]}")
    _check(len(set(stages)) == len(stages), f"waterfall: {[int(stage) for stage in stages]}: a stage may stand once")
    _check(bool(stages) and stages[-1] == Stage.TEAR_UP, f"waterfall: {[int(stage) for stage in stages]}: tear_up must be last")
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

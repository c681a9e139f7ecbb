"""The shape of ``venue.toml``: every key, its unit, its default. Unknown keys are refused.

Shape only. What holds between keys (grids, gaps, overflow, order of stages) is proved in ``load``.
The JSON Schema and the reference page are written from these classes.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from backstop.config.quantise import decimal_text
from backstop.core.events import AdlPolicy, InitialMargin, SocialisePolicy

__all__ = [
    "AdlStage",
    "AssetSection",
    "BookSection",
    "BreakersSection",
    "CloseoutStage",
    "CommitmentSection",
    "FundStage",
    "GroupSection",
    "GuardSection",
    "LevelsSection",
    "LimitsSection",
    "MarketBreakerSection",
    "MarketSection",
    "ProviderSection",
    "ProvidersSection",
    "RestrictStage",
    "SocialiseStage",
    "TakeoverStage",
    "TearUpStage",
    "TierRow",
    "VenueFile",
    "VenueSection",
    "WaterfallStage",
    "duration_text",
]

_UNITS_NS = {"h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_DURATION = re.compile(r"([0-9]{1,19})(h|m|s|ms|us|ns)")
_EXPONENT_MAX = 40


def _decimal(value: object) -> Decimal:
    """Read a decimal from TOML's text, integer or (parsed as decimal) float."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError('must be a decimal number, as in "0.001"')
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError('must be a decimal number, as in "0.001"') from None
    if not number.is_finite():
        raise ValueError("must be a finite number")
    exponent = number.as_tuple().exponent
    if abs(number.adjusted()) > _EXPONENT_MAX or not isinstance(exponent, int) or abs(exponent) > _EXPONENT_MAX:
        raise ValueError(f"must lie within 1e-{_EXPONENT_MAX} and 1e{_EXPONENT_MAX}")
    return number


def _duration_ns(value: object) -> int:
    """Read a duration such as ``30s`` into nanoseconds."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a text of a whole number and one of h, m, s, ms, us, ns, as in "30s"')
    nanoseconds = int(match[1]) * _UNITS_NS[match[2]]
    if not 1 <= nanoseconds <= 1 << 60:
        raise ValueError("must be at least 1ns and at most 2^60 ns (about 36 years)")
    return nanoseconds


def duration_text(nanoseconds: int) -> str:
    """Return nanoseconds in the largest unit that divides them."""
    for unit, size in _UNITS_NS.items():
        if nanoseconds % size == 0:
            return f"{nanoseconds // size}{unit}"
    raise AssertionError("every whole number of nanoseconds has a unit")


_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}]}
Number = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    PlainSerializer(decimal_text, return_type=str),
    WithJsonSchema(_NUMBER),
]
Duration = Annotated[
    int,
    BeforeValidator(_duration_ns),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+(h|m|s|ms|us|ns)$"}),
]
Ppm = Annotated[int, Field(ge=0, le=1_000_000)]
Rows = Annotated[int, Field(ge=1, le=1 << 28)]
if TYPE_CHECKING:
    AdlPolicyName: TypeAlias = str
    SocialisePolicyName: TypeAlias = str
    InitialMarginName: TypeAlias = str
else:
    AdlPolicyName = Literal[tuple(policy.name.lower() for policy in AdlPolicy)]
    SocialisePolicyName = Literal[tuple(policy.name.lower() for policy in SocialisePolicy)]
    InitialMarginName = Literal[tuple(form.name.lower() for form in InitialMargin)]


def _unit(unit: str) -> dict[str, Any]:
    return {"unit": unit}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class VenueSection(_Section):
    """The venue as a whole."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="Name of the venue, printed in reports.")
    solvent_pay_first: bool = Field(
        default=False,
        description="Allows `adl` to stand before `closeout`, `takeover` or `fund`, so that solvent accounts pay first.",
    )
    epoch: Duration = Field(
        default=28_800_000_000_000,
        description="What a position won or lost is measured from the beginning of the present epoch. Epochs are so long.",
    )


class AssetSection(_Section):
    """The settlement asset: margin, profit, loss and fund are paid in it.

    There is exactly one for now.
    """

    name: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,16}$")] = Field(description="Name of the asset, as in symbols.")
    decimals: Annotated[int, Field(ge=0, le=18)] = Field(description="Decimals of its atom: 6 makes the atom 0.000001.", examples=[6])


class LevelsSection(_Section):
    """Levels of an account's health, in terms of its maintenance margin."""

    warning_ratio: Number = Field(
        default=Decimal("1.5"),
        description="Below this multiple of maintenance margin an account is warned. In whole parts per million.",
        json_schema_extra=_unit("ratio"),
    )
    exit_buffer: Number = Field(
        default=Decimal("0.05"),
        description="An account leaves default when its equity exceeds maintenance margin by this share of it. In whole parts per million.",
        json_schema_extra=_unit("ratio"),
    )
    close_out_ratio: Number = Field(
        default=Decimal("0.666667"),
        description="Below this multiple of maintenance margin an account is in close-out. In whole parts per million.",
        json_schema_extra=_unit("ratio"),
    )
    return_buffer: Number = Field(
        default=Decimal(0),
        description="What each return to default adds to `exit_buffer`. In whole parts per million; 0 is off.",
        json_schema_extra=_unit("ratio"),
    )
    return_buffer_max: Number = Field(
        default=Decimal(1),
        description="Largest exit buffer that returns lead to. In whole parts per million.",
        json_schema_extra=_unit("ratio"),
    )
    return_memory: Duration = Field(
        default=86_400_000_000_000,
        description="A default that begins no longer than this after the last one ended with lots left is a return.",
    )


class RestrictStage(_Section):
    """Cancels the account's open orders and forbids new risk."""

    stage: Literal["restrict"]


class CloseoutStage(_Section):
    """Closes positions on the book, in slices, within caps."""

    stage: Literal["closeout"]
    fee_ppm: Ppm = Field(default=5_000, description="Liquidation fee of a solvent account, to the fund.", json_schema_extra=_unit("ppm"))
    depth_share_ppm: Ppm = Field(
        default=250_000,
        description="Share of the visible depth within the slippage tolerance that closing orders may take.",
        json_schema_extra=_unit("ppm"),
    )
    volume_share_ppm: Ppm = Field(
        default=1_000_000,
        description="Share of the volume last reported that closing orders may take.",
        json_schema_extra=_unit("ppm"),
    )
    interval: Duration = Field(default=1_000_000_000, description="Least time between two slices of one account.")
    deadline: Duration = Field(default=30_000_000_000, description="From default until the stages after this one may act without waiting.")
    order_timeout: Duration = Field(default=10_000_000_000, description="Longest wait for an answer from the book.")
    minimum_notional: Number = Field(
        default=Decimal(0),
        description=(
            "Smallest slice, and smallest rest of a position that a slice leaves. A smaller slice is raised to it where the visible book"
            " holds it; an order of it tries a book of which too little is known."
        ),
        json_schema_extra=_unit("asset"),
    )
    cap_interval: Duration = Field(
        default=60_000_000_000,
        description="Interval of the notional caps (account, market, venue).",
    )
    account_notional_max: Number | None = Field(
        default=None,
        description="Most notional of one account ordered in one cap interval.",
        json_schema_extra=_unit("asset"),
    )
    venue_notional_max: Number | None = Field(
        default=None,
        description="Most notional of the whole venue ordered in one cap interval.",
        json_schema_extra=_unit("asset"),
    )
    carry_max: Duration | None = Field(
        default=None,
        description="For how long in one default a solvent account is carried instead of deleveraged, while funds stand for it;"
        " off if left out.",
    )
    carry_move_ppm: Ppm = Field(
        default=20_000,
        description="Move against all its positions: what the account then would lack is reserved while it is carried.",
        json_schema_extra=_unit("ppm"),
    )


class TakeoverStage(_Section):
    """Backstop providers accept offers and take positions over.

    The venue vault, if there is one, comes last and takes over at once.
    """

    stage: Literal["takeover"]
    provider_share_ppm: Ppm = Field(
        default=500_000,
        description="Share of the way from mark to zero price that a provider gets for taking over from a solvent account.",
        json_schema_extra=_unit("ppm"),
    )
    answer_timeout: Duration = Field(default=5_000_000_000, description="Longest wait for a provider's answer.")
    failures_max: Annotated[int, Field(ge=1, le=1 << 30)] = Field(
        default=3, description="Failures in a row that switch a provider off.", json_schema_extra=_unit("count")
    )
    retry: Duration = Field(default=30_000_000_000, description="Time after a failure in which a provider gets no offers.")
    off: Duration = Field(default=600_000_000_000, description="Time in which a provider that was switched off gets no offers.")
    offer_range_ppm: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=0,
        description="Range of a market's marks over both price windows from which on its offers live shorter"
        " and a failure costs more, up to four times; 0: off.",
        json_schema_extra=_unit("ppm"),
    )
    disposal_interval: Duration = Field(
        default=10_000_000_000, description="Time between two sales of the vault, or of a provider that is stopped."
    )
    disposal_share_ppm: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=100_000, description="Share of a position that it sells at a time.", json_schema_extra=_unit("ppm")
    )
    disposal_tolerance_ppm: Annotated[int, Field(ge=0, lt=1_000_000)] = Field(
        default=10_000, description="Furthest from the mark that it sells.", json_schema_extra=_unit("ppm")
    )


class FundStage(_Section):
    """The insurance fund, one per market group: supports closing orders and takeovers (if it is
    before `adl`), pays for flat accounts.
    """

    stage: Literal["fund"]
    opening_balance: Number = Field(
        default=Decimal(0),
        description="Balance of the fund in a new engine, where the file has no `group`.",
        json_schema_extra=_unit("asset"),
    )
    loss_per_window_max: Number | None = Field(
        default=None,
        description="Most that the fund pays within any span of `window`, where the file has no `group`.",
        json_schema_extra=_unit("asset"),
    )
    target: Number | None = Field(
        default=None,
        description="Balance above which it pays recovery claims back, where the file has no `group`.",
        json_schema_extra=_unit("asset"),
    )
    window: Duration = Field(default=60_000_000_000, description="Span of the caps on payments of the funds.")
    owner_loss_max: Number | None = Field(
        default=None,
        description="Most that all funds together pay for one owner, until a whole `window` passes without a payment.",
        json_schema_extra=_unit("asset"),
    )
    trading_fee_share_ppm: Ppm = Field(
        default=0, description="Share of trading fees that goes to the fund.", json_schema_extra=_unit("ppm")
    )
    recovery_interval: Duration = Field(default=3_600_000_000_000, description="Time between two payments of recovery claims from surplus.")
    owner_memory: Duration = Field(
        default=86_400_000_000_000,
        description="For how long after the latest payment for an owner what the funds paid for him limits his withdrawals.",
    )
    hold_withdrawals_max: Duration = Field(
        default=3_600_000_000_000,
        description="For how long after its default began an insolvent account that a fund cannot pay holds back gains of its markets.",
    )
    drawdown_window: Duration = Field(default=28_800_000_000_000, description="Span over which the peak of a fund is taken.")
    drawdown_enter_ppm: Ppm = Field(
        default=0, description="Fall from the peak that throttles the markets of the group; 0 is off.", json_schema_extra=_unit("ppm")
    )
    drawdown_exit_ppm: Ppm = Field(default=0, description="Fall from the peak that ends the throttle.", json_schema_extra=_unit("ppm"))


class AdlStage(_Section):
    """Auto-deleveraging: closes opposite positions at a set price."""

    stage: Literal["adl"]
    policy: AdlPolicyName = Field(
        default="capped_pro_rata",
        description="How counterparties of a class share: by profit, in the order of rank, by lots, by lots x leverage, in random order."
        " Each is capped so that it stays above maintenance margin.",
    )
    parts_min_notional: Number = Field(
        default=Decimal(0),
        description="Least notional that an owner is asked for, unless it is all that he can give; 0: any."
        " Who gives for those below it is drawn.",
        json_schema_extra=_unit("asset"),
    )
    counterparties_max: int = Field(
        default=0,
        ge=0,
        le=1 << 28,
        description="Owners that one plan asks at most, where what they can give suffices; 0: any number.",
    )


class SocialiseStage(_Section):
    """Other accounts bear the deficits that the fund could not pay, once a market and event, against
    claims that later surplus pays back.
    """

    stage: Literal["socialise"]
    policy: SocialisePolicyName = Field(
        default="gains_haircut",
        description="The base of the cuts: what was won in the market of the loss, or all open interest there.",
    )


class TearUpStage(_Section):
    """Ends contracts at mark against the whole opposite side. Always last."""

    stage: Literal["tear_up"]


WaterfallStage = Annotated[
    RestrictStage | CloseoutStage | TakeoverStage | FundStage | AdlStage | SocialiseStage | TearUpStage, Field(discriminator="stage")
]


class GroupSection(_Section):
    """A market group: its markets share a fund, and commitments of providers are made to it."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="Name that markets and commitments refer to.")
    opening_balance: Number = Field(
        default=Decimal(0), description="Balance of the group's fund in a new engine.", json_schema_extra=_unit("asset")
    )
    loss_per_window_max: Number | None = Field(
        default=None, description="Most that the fund pays within any span of `window`.", json_schema_extra=_unit("asset")
    )
    target: Number | None = Field(
        default=None, description="Balance above which the fund pays recovery claims back.", json_schema_extra=_unit("asset")
    )


class CommitmentSection(_Section):
    """The positions of one market group and direction that a provider is committed to take over."""

    group: str | None = Field(default=None, description="The market group; optional where the file has no `group`.")
    direction: Literal["long", "short", "both"] = Field(
        default="both", description="Whether it takes over longs, shorts, or each of them to the full capacity."
    )
    capacity: Number = Field(description="Notional that it takes over before refill.", json_schema_extra=_unit("asset"))
    refill_per_hour: Number = Field(
        default=Decimal(0), description="Capacity that comes back per hour, second by second.", json_schema_extra=_unit("asset")
    )
    position_notional_max: Number | None = Field(
        default=None, description="Largest notional of its position in one market.", json_schema_extra=_unit("asset")
    )
    edge_ppm: Ppm = Field(
        default=0,
        description="Discount to mark at which it takes over from an insolvent account; the fund pays for it.",
        json_schema_extra=_unit("ppm"),
    )


class ProviderSection(_Section):
    """A backstop provider: an account of the engine, margined like others, with standing
    commitments.
    """

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="Name of the provider, also of its account.")
    vault: bool = Field(default=False, description="The venue's own vault: last provider, takes over at once, sells on by schedule.")
    capital: Number = Field(description="Balance of its account in a new engine.", json_schema_extra=_unit("asset"))
    leverage: Number = Field(
        default=Decimal(5), description="Largest notional over equity, open offers included.", json_schema_extra=_unit("ratio")
    )
    loss_stop: Number | None = Field(
        default=None,
        description="Loss at which offers to it stop and it sells what it holds, until half of it is won back.",
        json_schema_extra=_unit("asset"),
    )
    commitment: Annotated[list[CommitmentSection], Field(min_length=1, max_length=16)] = Field(description="Standing commitments.")


class ProvidersSection(_Section):
    """How simulated providers answer their offers."""

    latency: Duration = Field(default=500_000_000, description="Time from the engine's offer to the answer.")
    answer: Literal["accept", "refuse", "silent"] = Field(default="accept", description="Answer of every provider.")


class BreakersSection(_Section):
    """Circuit breakers.

    Every stop ends by itself, and none refuses an event that reduces risk. A threshold of 0 is off.
    """

    hold_max: Duration = Field(default=600_000_000_000, description="Longest time in which a cause throttles or halts.")
    reopen: Duration = Field(default=60_000_000_000, description="Time from the end of a halt to the full opening.")
    throttle_share_ppm: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=250_000, description="Share of a closing slice that may leave while throttled or reopening.", json_schema_extra=_unit("ppm")
    )
    price_window: Duration = Field(default=60_000_000_000, description="Moves of the mark are measured in this window and the one before.")
    price_throttle_ppm: Ppm = Field(
        default=0, description="Move of the mark, or its distance from the index, that throttles a market.", json_schema_extra=_unit("ppm")
    )
    price_halt_ppm: Ppm = Field(
        default=0, description="Move of the mark, or its distance from the index, that halts a market.", json_schema_extra=_unit("ppm")
    )
    price_exit_ppm: Ppm = Field(
        default=0, description="Move or distance below which the stop ends, each for itself.", json_schema_extra=_unit("ppm")
    )
    flow_window: Duration = Field(default=60_000_000_000, description="Liquidated notional is counted in this window and the one before.")
    flow_exit_ppm: Ppm = Field(
        default=500_000, description="Share of the first threshold below which a stop for flow ends.", json_schema_extra=_unit("ppm")
    )
    flow_throttle: Number = Field(
        default=Decimal(0), description="Liquidated notional of the venue that throttles it.", json_schema_extra=_unit("asset")
    )
    flow_halt: Number = Field(
        default=Decimal(0), description="Liquidated notional of the venue that halts it.", json_schema_extra=_unit("asset")
    )
    stale: Duration | None = Field(default=None, description="Age of a mark that halts its market; off if left out.")
    outage_gap: Duration | None = Field(default=None, description="Silence of the whole venue that counts as an outage; off if left out.")
    outage_grace_ppm: Ppm = Field(
        default=500_000, description="Grace after an outage, as a share of the silence.", json_schema_extra=_unit("ppm")
    )
    outage_grace_max: Duration = Field(default=300_000_000_000, description="Longest grace.")
    operator_hold_max: Duration = Field(
        default=86_400_000_000_000,
        description="Longest stop that an operator may order at once. `hold_max` ends it earlier, and it may be ordered again.",
    )
    deficit_halt: Number = Field(
        default=Decimal(0),
        description="Losses of a market that nobody paid halt it where they exceed this amount; with 0, every such loss does.",
        json_schema_extra=_unit("asset"),
    )
    deficit_window: Duration = Field(
        default=3_600_000_000_000, description="Losses that nobody paid are counted in this window and the one before."
    )
    act_age_max: Duration | None = Field(
        default=None,
        description="Age of a mark beyond which takeover, ADL, tear-up and support wait for the next one; off if left out.",
    )
    doubt_max: Duration = Field(
        default=3_600_000_000_000,
        description="For how long, in sum, an account in default waits for marks that are doubted or old, and a market may be doubted.",
    )
    doubt_settles: bool = Field(
        default=True,
        description="A market whose mark was doubted for `doubt_max` is settled at one price; otherwise stages then act at the mark.",
    )
    halt_wait_max: Duration | None = Field(
        default=None,
        description="Until when after the begin of a default ADL and tear-up wait in a halted market; off if left out.",
    )


class GuardSection(_Section):
    """Price guard: holds a mark that jumps on little volume until a mark on volume enough decides, or
    until `hold` is over: twice that where other prints or the index speak for another level.
    """

    jump_ppm: Ppm = Field(default=0, description="Move of the mark that counts as a jump; 0 is off.", json_schema_extra=_unit("ppm"))
    hold: Duration = Field(default=120_000_000_000, description="For how long a mark is held; a disputed one once more for as long.")


class MarketBreakerSection(_Section):
    """A market's own thresholds. A key that is left out is as in `breakers` and `guard`."""

    price_throttle_ppm: Ppm | None = Field(default=None, description="As in `breakers`.", json_schema_extra=_unit("ppm"))
    price_halt_ppm: Ppm | None = Field(default=None, description="As in `breakers`.", json_schema_extra=_unit("ppm"))
    price_exit_ppm: Ppm | None = Field(default=None, description="As in `breakers`.", json_schema_extra=_unit("ppm"))
    flow_throttle: Number = Field(
        default=Decimal(0), description="Liquidated notional of the market that throttles it.", json_schema_extra=_unit("asset")
    )
    flow_halt: Number = Field(
        default=Decimal(0), description="Liquidated notional of the market that halts it.", json_schema_extra=_unit("asset")
    )
    guard_jump_ppm: Ppm | None = Field(default=None, description="As `jump_ppm` in `guard`.", json_schema_extra=_unit("ppm"))
    guard_volume: Number = Field(
        default=Decimal(0),
        description="Volume below which a jump is held; with 0 no jump is held.",
        json_schema_extra=_unit("quantity"),
    )


class LimitsSection(_Section):
    """Numbers of rows in the engine. Memory that is never used is never committed."""

    accounts_max: Rows = Field(default=1 << 16, description="Most accounts.", json_schema_extra=_unit("rows"))
    positions_max: Rows = Field(
        default=1 << 18, description="Most (account, market) pairs that ever held lots.", json_schema_extra=_unit("rows")
    )
    orders_max: Rows = Field(default=1 << 16, description="Closing orders remembered for late fills.", json_schema_extra=_unit("rows"))
    effects_max: Rows = Field(
        default=1 << 22,
        description="Most effects of one event. Beyond half of it, accounts wait an interval.",
        json_schema_extra=_unit("rows"),
    )


class TierRow(_Section):
    """One bracket of notional: these rates hold from its floor up to the next floor."""

    floor: Number = Field(description="Notional from which the tier holds; the first floor is 0.", json_schema_extra=_unit("asset"))
    cap: Number | None = Field(
        default=None,
        description="Notional at which the next tier begins; optional, and then checked against the next floor. The last tier has none.",
        json_schema_extra=_unit("asset"),
    )
    initial_rate_ppm: Ppm = Field(description="Initial margin rate (1 / leverage, rounded up).", json_schema_extra=_unit("ppm"))
    maintenance_rate_ppm: Ppm = Field(description="Maintenance margin rate.", json_schema_extra=_unit("ppm"))


class BookSection(_Section):
    """The simulated book, which fills closing orders where no real venue does."""

    depth: Annotated[list[Number], Field(min_length=1, max_length=8)] = Field(
        description="Quantity that the undisturbed book shows in each band of `band_offset_ppm`, on either side.",
        json_schema_extra=_unit("quantity"),
    )
    recovery_ppm_per_second: Ppm = Field(
        default=50_000,
        description="Share of the undisturbed depth that comes back per second.",
        json_schema_extra=_unit("ppm per second"),
    )
    permanent_impact_ppm: Ppm = Field(
        default=200_000,
        description="Share of the impact of closing orders that stays in later marks (with impact on).",
        json_schema_extra=_unit("ppm"),
    )
    latency: Duration = Field(default=50_000_000, description="Time from the engine's order to its arrival at the book.")


class MarketSection(_Section):
    """One linear perpetual."""

    symbol: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="ccxt unified symbol, base/quote:settle.", examples=["BTC/USDT:USDT"]
    )
    price_tick: Number = Field(description="Smallest step of the price.", json_schema_extra=_unit("price"))
    quantity_lot: Number = Field(description="Smallest step of the quantity, in contracts.", json_schema_extra=_unit("quantity"))
    contract_size: Number = Field(
        default=Decimal(1), description="Units of base in one contract.", json_schema_extra=_unit("base per contract")
    )
    price_max: Number = Field(description="Highest price accepted, a whole number of ticks.", json_schema_extra=_unit("price"))
    position_max: Number = Field(
        description="Largest position of one account, a whole number of lots.", json_schema_extra=_unit("quantity")
    )
    slippage_tolerance_ppm: Annotated[int, Field(ge=0, lt=1_000_000)] = Field(
        description="Furthest from the mark that a closing order may trade.", json_schema_extra=_unit("ppm")
    )
    fill_band_ppm: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=0,
        description=(
            "What a fill between two owners costs its loser beyond this distance from the mark, its winner owes: it is held, and paid"
            " before a fund pays for the loser. 0 is off; what a fill itself makes its loser lack is owed in any case."
        ),
        json_schema_extra=_unit("ppm"),
    )
    volatility_ppm: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=10_000,
        description="Weight of this market when an account's buffer is shared among its trigger prices. Changes speed, never a result.",
        json_schema_extra=_unit("ppm"),
    )
    factor_loading_ppm: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = Field(
        default=1_000_000,
        description=(
            "ADL policy `water_filling`: how far its notional moves with the one factor that all markets share; below 0: against it. Only"
            " ratios between markets matter. Not 0."
        ),
        json_schema_extra=_unit("ppm"),
    )
    band_offset_ppm: Annotated[list[Annotated[int, Field(ge=0, lt=1_000_000)]], Field(min_length=1, max_length=8)] = Field(
        description="Offsets from the mark of the bands of visible depth, ascending.", json_schema_extra=_unit("ppm")
    )
    depth: Literal["reported", "none"] = Field(
        default="reported",
        description=(
            "Whether its depth is reported. `reported`: until it is, nothing is known of the book, and orders of `minimum_notional` try it;"
            " `none`: there is no depth until some is told, so that closeout goes on to the next stage."
        ),
    )
    ordered_notional_max: Number | None = Field(
        default=None,
        description="Most notional of this market ordered to the book in one cap interval.",
        json_schema_extra=_unit("asset"),
    )
    loss_per_window_max: Number | None = Field(
        default=None,
        description="Most that the fund of its group pays for this market within any span of `window`.",
        json_schema_extra=_unit("asset"),
    )
    group: str | None = Field(default=None, description="Its market group; the first if left out.")
    initial_margin: InitialMarginName = Field(
        default="marginal",
        description=(
            "How the tiers give the initial margin. `marginal`: each part of the notional at the rate of its bracket; `tier`: the rate of"
            " the tier over the whole notional; `owner`: the same, the tier by what all accounts of the owner hold in the market."
        ),
    )
    interest_lower: Number = Field(
        default=Decimal(0),
        description="Value of the open interest above which initial margin rises.",
        json_schema_extra=_unit("asset"),
    )
    interest_upper: Number = Field(
        default=Decimal(0),
        description="Value of the open interest from which on initial margin is the whole notional; 0 is off.",
        json_schema_extra=_unit("asset"),
    )
    tiers: Annotated[list[TierRow], Field(min_length=1, max_length=64)] = Field(description="Margin tiers, by floor.")
    breaker: MarketBreakerSection = Field(default_factory=MarketBreakerSection, description="Its own thresholds.")
    book: BookSection = Field(description="The simulated book.")


class VenueFile(_Section):
    """A venue: its asset, its markets, its levels and its waterfall."""

    venue: VenueSection
    asset: AssetSection
    levels: LevelsSection = Field(default_factory=LevelsSection)
    limits: LimitsSection = Field(default_factory=LimitsSection)
    breakers: BreakersSection = Field(default_factory=BreakersSection)
    guard: GuardSection = Field(default_factory=GuardSection)
    providers: ProvidersSection = Field(default_factory=ProvidersSection)
    waterfall: Annotated[list[WaterfallStage], Field(min_length=1)] = Field(
        description="Stages in the order in which they act. Each is listed at most once, and `tear_up` is last."
    )
    group: Annotated[list[GroupSection], Field(max_length=8)] = Field(
        default_factory=list, description="Market groups, each with its own fund. Without any, all markets are one group."
    )
    provider: Annotated[list[ProviderSection], Field(max_length=64)] = Field(
        default_factory=list, description="Backstop providers, numbered in this order from 0."
    )
    market: Annotated[list[MarketSection], Field(min_length=1, max_length=4096)] = Field(
        description="Markets, numbered in this order from 0."
    )

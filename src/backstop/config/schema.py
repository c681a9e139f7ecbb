"""The shape of ``venue.toml``: every key, its unit, its default. Unknown keys are refused.

Shape only. What holds between keys (grids, gaps, overflow, order of stages) is proved in ``load``.
The JSON Schema and the reference page are written from these classes.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PlainSerializer, Tag, WithJsonSchema
from pydantic_core import PydanticUndefined

from backstop.config.quantise import decimal_text
from backstop.core.events import AdlPolicy, InitialMargin, SocialisePolicy
from backstop.core.instruments import (
    ASSETS_MAX,
    AdlRules,
    AssetRules,
    BreakerRules,
    CloseoutRules,
    CommitmentRules,
    DisposalRules,
    FundRules,
    FundsRules,
    LevelRules,
    LimitRules,
    MarketRules,
    ProviderRules,
    TakeoverRules,
    TierRules,
    VenueRules,
)
from backstop.core.parameters import NO_CAP, Parameter, Unit, parameters_of

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


#: Units as the page of the venue file names them; a flag, a code and a duration have none.
_UNIT_TEXTS = {Unit.ATOMS: "asset", Unit.PPM: "ppm", Unit.LOTS: "quantity", Unit.COUNT: "count"}


def _written(parameter: Parameter, unit: str, names: type[IntEnum] | None) -> Any:
    """Return a default as the file has it: None for a cap that never binds, and for a duration that
    is off.
    """
    if parameter.default is None:
        return PydanticUndefined
    if names is not None:
        return names(parameter.default).name.lower()
    if parameter.unit == Unit.FLAG:
        return bool(parameter.default)
    if (parameter.unit, parameter.default) in ((Unit.ATOMS, NO_CAP), (Unit.NS, 0)):
        return None
    if unit == "ratio":
        return Decimal(decimal_text(Decimal(parameter.default).scaleb(-6)))
    return Decimal(parameter.default) if parameter.unit in (Unit.ATOMS, Unit.LOTS) else parameter.default


def _rule(group: Any, name: str, *, unit: str = "", also: str = "", names: type[IntEnum] | None = None, is_required: bool = False) -> Any:
    """Return the field of a rule: its default, words, bounds and unit are those that its group
    declares.
    """
    parameter = next(parameter for parameter in parameters_of(group) if parameter.name == name)
    unit = unit or _UNIT_TEXTS.get(parameter.unit, "")
    field: Any = Field
    is_integer = unit in ("ppm", "rows", "count")
    return field(
        default=PydanticUndefined if is_required else _written(parameter, unit, names),
        description=parameter.words.removesuffix(".") + also if also else parameter.words,
        ge=parameter.low if is_integer else None,
        le=parameter.high if is_integer else None,
        json_schema_extra=_unit(unit) if unit else None,
    )


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class VenueSection(_Section):
    """The venue as a whole."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="Name of the venue, printed in reports.")
    solvent_pay_first: bool = _rule(VenueRules, "solvent_pay_first")
    epoch: Duration = _rule(VenueRules, "epoch_ns")


def _asset_rule(name: str, place: str) -> Any:
    """Return the field of a rule of an asset, which stands elsewhere where the file has one asset."""
    parameter = next(parameter for parameter in parameters_of(AssetRules) if parameter.name == name)
    words = f"{parameter.words} Only in `[[asset]]`; `[asset]` has it in {place}."
    field: Any = Field
    return field(default=None, description=words, json_schema_extra=_unit("asset"))


class AssetSection(_Section):
    """A settlement asset: margin, profit, loss and fund are paid in it.

    One `[asset]`, or a `[[asset]]` each, numbered in this order from 0. Then each market group and
    each provider names its own.
    """

    name: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,16}$")] = Field(description="Name of the asset, as in symbols.")
    decimals: Annotated[int, Field(ge=0, le=18)] = Field(description="Decimals of its atom: 6 makes the atom 0.000001.", examples=[6])
    minimum_notional: Number | None = _asset_rule("minimum_notional", "the stage `closeout`")
    account_notional_max: Number | None = _asset_rule("account_notional_max", "the stage `closeout`")
    owner_loss_max: Number | None = _asset_rule("owner_loss_max", "the stage `fund`")
    deficit_halt: Number | None = _asset_rule("deficit_halt", "`breakers`")
    parts_min_notional: Number | None = _asset_rule("parts_min_notional", "the stage `adl`")


class LevelsSection(_Section):
    """Levels of an account's health, in terms of its maintenance margin."""

    warning_ratio: Number = _rule(LevelRules, "warning_ratio_ppm", unit="ratio")
    exit_buffer: Number = _rule(LevelRules, "exit_buffer_ppm", unit="ratio")
    close_out_ratio: Number = _rule(LevelRules, "close_out_ratio_ppm", unit="ratio")
    return_buffer: Number = _rule(LevelRules, "return_buffer_ppm", unit="ratio")
    return_buffer_max: Number = _rule(LevelRules, "return_buffer_max_ppm", unit="ratio")
    return_memory: Duration = _rule(LevelRules, "return_memory_ns")
    relief_notice: Duration = _rule(LevelRules, "relief_notice_ns")


class RestrictStage(_Section):
    """Cancels the account's open orders and forbids new risk."""

    stage: Literal["restrict"]


class CloseoutStage(_Section):
    """Closes positions on the book, in slices, within caps."""

    stage: Literal["closeout"]
    fee_ppm: int = _rule(CloseoutRules, "fee_ppm")
    depth_share_ppm: int = _rule(CloseoutRules, "depth_share_ppm")
    volume_share_ppm: int = _rule(CloseoutRules, "volume_share_ppm")
    interval: Duration = _rule(CloseoutRules, "interval_ns")
    deadline: Duration = _rule(CloseoutRules, "deadline_ns")
    order_timeout: Duration = _rule(CloseoutRules, "order_timeout_ns")
    minimum_notional: Number = _rule(AssetRules, "minimum_notional")
    cap_interval: Duration = _rule(CloseoutRules, "cap_interval_ns")
    account_notional_max: Number | None = _rule(AssetRules, "account_notional_max")
    venue_notional_max: Number | None = _rule(CloseoutRules, "venue_notional_max")
    carry_max: Duration | None = _rule(CloseoutRules, "carry_max_ns")
    carry_move_ppm: int = _rule(CloseoutRules, "carry_move_ppm")


class TakeoverStage(_Section):
    """Backstop providers accept offers and take positions over.

    The venue vault, if there is one, comes last and takes over at once.
    """

    stage: Literal["takeover"]
    provider_share_ppm: int = _rule(TakeoverRules, "provider_share_ppm")
    answer_timeout: Duration = _rule(TakeoverRules, "answer_timeout_ns")
    failures_max: int = _rule(TakeoverRules, "failures_max")
    retry: Duration = _rule(TakeoverRules, "retry_ns")
    off: Duration = _rule(TakeoverRules, "off_ns")
    offer_range_ppm: int = _rule(TakeoverRules, "offer_range_ppm")
    disposal_interval: Duration = _rule(DisposalRules, "interval_ns")
    disposal_share_ppm: int = _rule(DisposalRules, "share_ppm")
    disposal_tolerance_ppm: int = _rule(DisposalRules, "tolerance_ppm")


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
    loss_per_window_max: Number | None = _rule(FundRules, "loss_per_window_max", also=", where the file has no `group`.")
    target: Number | None = _rule(FundRules, "target", also=", where the file has no `group`.")
    contribution_ppm: int = _rule(FundRules, "contribution_ppm", also=", where the file has no `group`.")
    window: Duration = _rule(FundsRules, "window_ns")
    owner_loss_max: Number | None = _rule(AssetRules, "owner_loss_max")
    trading_fee_share_ppm: int = _rule(FundsRules, "trading_fee_share_ppm")
    recovery_interval: Duration = _rule(FundsRules, "recovery_interval_ns")
    owner_memory: Duration = _rule(FundsRules, "owner_memory_ns")
    hold_withdrawals_max: Duration = _rule(FundsRules, "hold_withdrawals_max_ns")
    drawdown_window: Duration = _rule(FundsRules, "drawdown_window_ns")
    drawdown_enter_ppm: int = _rule(FundsRules, "drawdown_enter_ppm")
    drawdown_exit_ppm: int = _rule(FundsRules, "drawdown_exit_ppm")
    pockets_are_netted: bool = _rule(FundsRules, "pockets_are_netted")


class AdlStage(_Section):
    """Auto-deleveraging: closes opposite positions at a set price."""

    stage: Literal["adl"]
    policy: AdlPolicyName = _rule(VenueRules, "adl_policy", names=AdlPolicy)
    parts_min_notional: Number = _rule(AssetRules, "parts_min_notional")
    counterparties_max: int = _rule(AdlRules, "counterparties_max")


class SocialiseStage(_Section):
    """Other accounts bear the deficits that the fund could not pay, once a market and event, against
    claims that later surplus pays back.
    """

    stage: Literal["socialise"]
    policy: SocialisePolicyName = _rule(VenueRules, "socialise_policy", names=SocialisePolicy)


class TearUpStage(_Section):
    """Ends contracts at mark against the whole opposite side. Always last."""

    stage: Literal["tear_up"]


WaterfallStage = Annotated[
    RestrictStage | CloseoutStage | TakeoverStage | FundStage | AdlStage | SocialiseStage | TearUpStage, Field(discriminator="stage")
]


class GroupSection(_Section):
    """A market group: its markets share a fund, and commitments of providers are made to it."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="Name that markets and commitments refer to.")
    asset: str | None = Field(default=None, description="Asset of its fund and of its markets; must be there with `[[asset]]`.")
    opening_balance: Number = Field(
        default=Decimal(0), description="Balance of the group's fund in a new engine.", json_schema_extra=_unit("asset")
    )
    loss_per_window_max: Number | None = _rule(FundRules, "loss_per_window_max")
    target: Number | None = _rule(FundRules, "target")
    contribution_ppm: int = _rule(FundRules, "contribution_ppm")


class CommitmentSection(_Section):
    """The positions of one market group and direction that a provider is committed to take over."""

    group: str | None = Field(default=None, description="The market group; optional where the file has no `group`.")
    direction: Literal["long", "short", "both"] = Field(
        default="both", description="Whether it takes over longs, shorts, or each of them to the full capacity."
    )
    capacity: Number = _rule(CommitmentRules, "capacity", is_required=True)
    refill_per_hour: Number = _rule(CommitmentRules, "refill_per_s")
    position_notional_max: Number | None = _rule(CommitmentRules, "position_notional_max")
    edge_ppm: int = _rule(CommitmentRules, "edge_ppm")


class ProviderSection(_Section):
    """A backstop provider: an account of the engine, margined like others, with standing
    commitments.
    """

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="Name of the provider, also of its account.")
    asset: str | None = Field(
        default=None, description="Asset of its account and of the groups that it commits itself to; must be there with `[[asset]]`."
    )
    vault: bool = _rule(ProviderRules, "is_vault")
    capital: Number = Field(description="Balance of its account in a new engine.", json_schema_extra=_unit("asset"))
    leverage: Number = _rule(ProviderRules, "leverage_ppm", unit="ratio")
    loss_stop: Number | None = _rule(ProviderRules, "loss_stop")
    commitment: Annotated[list[CommitmentSection], Field(min_length=1, max_length=16)] = Field(description="Standing commitments.")


class ProvidersSection(_Section):
    """How simulated providers answer their offers."""

    latency: Duration = Field(default=500_000_000, description="Time from the engine's offer to the answer.")
    answer: Literal["accept", "refuse", "silent"] = Field(default="accept", description="Answer of every provider.")


class BreakersSection(_Section):
    """Circuit breakers.

    Every stop ends by itself, and none refuses an event that reduces risk. A threshold of 0 is off.
    """

    hold_max: Duration = _rule(BreakerRules, "hold_max_ns")
    reopen: Duration = _rule(BreakerRules, "reopen_ns")
    throttle_share_ppm: int = _rule(BreakerRules, "throttle_share_ppm")
    price_window: Duration = _rule(BreakerRules, "price_window_ns")
    price_throttle_ppm: int = _rule(MarketRules, "price_throttle_ppm")
    price_halt_ppm: int = _rule(MarketRules, "price_halt_ppm")
    price_exit_ppm: int = _rule(MarketRules, "price_exit_ppm")
    flow_window: Duration = _rule(BreakerRules, "flow_window_ns")
    flow_exit_ppm: int = _rule(BreakerRules, "flow_exit_ppm")
    flow_throttle: Number = _rule(BreakerRules, "flow_throttle")
    flow_halt: Number = _rule(BreakerRules, "flow_halt")
    stale: Duration | None = _rule(BreakerRules, "stale_ns")
    outage_gap: Duration | None = _rule(BreakerRules, "outage_gap_ns")
    outage_grace_ppm: int = _rule(BreakerRules, "outage_grace_ppm")
    outage_grace_max: Duration = _rule(BreakerRules, "outage_grace_max_ns")
    operator_hold_max: Duration = _rule(BreakerRules, "operator_hold_max_ns")
    deficit_halt: Number = _rule(AssetRules, "deficit_halt")
    deficit_window: Duration = _rule(BreakerRules, "deficit_window_ns")
    act_age_max: Duration | None = _rule(BreakerRules, "act_age_max_ns")
    doubt_max: Duration = _rule(BreakerRules, "doubt_max_ns")
    doubt_settles: bool = _rule(BreakerRules, "doubt_settles")
    halt_wait_max: Duration | None = _rule(BreakerRules, "halt_wait_max_ns")


class GuardSection(_Section):
    """Price guard: holds a mark that jumps on little volume until a mark on volume enough decides, or
    until `hold` is over: twice that where other prints or the index speak for another level.
    """

    jump_ppm: int = _rule(MarketRules, "guard_jump_ppm")
    hold: Duration = _rule(BreakerRules, "guard_hold_ns")


class MarketBreakerSection(_Section):
    """A market's own thresholds. A key that is left out is as in `breakers` and `guard`."""

    price_throttle_ppm: Ppm | None = Field(default=None, description="As in `breakers`.", json_schema_extra=_unit("ppm"))
    price_halt_ppm: Ppm | None = Field(default=None, description="As in `breakers`.", json_schema_extra=_unit("ppm"))
    price_exit_ppm: Ppm | None = Field(default=None, description="As in `breakers`.", json_schema_extra=_unit("ppm"))
    flow_throttle: Number = _rule(MarketRules, "flow_throttle")
    flow_halt: Number = _rule(MarketRules, "flow_halt")
    guard_jump_ppm: Ppm | None = Field(default=None, description="As `jump_ppm` in `guard`.", json_schema_extra=_unit("ppm"))
    guard_volume: Number = _rule(MarketRules, "guard_volume_lots", unit="quantity")


class LimitsSection(_Section):
    """Numbers of rows in the engine. Memory that is never used is never committed."""

    accounts_max: int = _rule(LimitRules, "accounts_max", unit="rows")
    positions_max: int = _rule(LimitRules, "positions_max", unit="rows")
    orders_max: int = _rule(LimitRules, "orders_max", unit="rows")
    effects_max: int = _rule(LimitRules, "effects_max", unit="rows")


class TierRow(_Section):
    """One bracket of notional: these rates hold from its floor up to the next floor."""

    floor: Number = _rule(TierRules, "floor_atoms")
    cap: Number | None = Field(
        default=None,
        description="Notional at which the next tier begins; optional, and then checked against the next floor. The last tier has none.",
        json_schema_extra=_unit("asset"),
    )
    initial_rate_ppm: int = _rule(TierRules, "initial_rate_ppm")
    maintenance_rate_ppm: int = _rule(TierRules, "maintenance_rate_ppm")


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
    """One perpetual: linear, or inverse where it settles in its base."""

    symbol: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="ccxt unified symbol, base/quote:settle. An inverse contract settles in its base: BTC/USD:BTC.",
        examples=["BTC/USDT:USDT"],
    )
    listed: bool = Field(
        default=True,
        description="Whether the market is listed. A spare one is not: its rules can change until a LISTING event lists it.",
    )
    price_tick: Number = Field(description="Smallest step of the price.", json_schema_extra=_unit("price"))
    quantity_lot: Number = Field(description="Smallest step of the quantity, in contracts.", json_schema_extra=_unit("quantity"))
    contract_size: Number = Field(
        default=Decimal(1),
        description="Units of base in one contract; of an inverse one units of the quote.",
        json_schema_extra=_unit("base per contract"),
    )
    price_max: Number = Field(description="Highest price accepted, a whole number of ticks.", json_schema_extra=_unit("price"))
    price_min: Number | None = Field(
        default=None,
        description="Lowest price accepted, a whole number of ticks; an inverse contract needs one, of a linear one it is a tick.",
        json_schema_extra=_unit("price"),
    )
    position_max: Number = Field(
        description="Largest position of one account, a whole number of lots.", json_schema_extra=_unit("quantity")
    )
    slippage_tolerance_ppm: int = _rule(MarketRules, "slippage_tolerance_ppm")
    fill_band_ppm: int = _rule(MarketRules, "fill_band_ppm")
    volatility_ppm: int = _rule(MarketRules, "volatility_ppm")
    factor_loading_ppm: int = _rule(MarketRules, "factor_loading_ppm")
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
    ordered_notional_max: Number | None = _rule(MarketRules, "ordered_notional_max")
    loss_per_window_max: Number | None = _rule(MarketRules, "loss_per_window_max")
    group: str | None = Field(default=None, description="Its market group; the first if left out.")
    initial_margin: InitialMarginName = _rule(MarketRules, "initial_margin", names=InitialMargin)
    interest_lower: Number = _rule(MarketRules, "interest_lower")
    interest_upper: Number = _rule(MarketRules, "interest_upper")
    tiers: Annotated[list[TierRow], Field(min_length=1, max_length=64)] = Field(description="Margin tiers, by floor.")
    breaker: MarketBreakerSection = Field(default_factory=MarketBreakerSection, description="Its own thresholds.")
    book: BookSection = Field(description="The simulated book.")


def _count_tag(value: object) -> str:
    return "several" if isinstance(value, list) else "one"


#: One asset as a table, or several as a list.
OneOrMoreAssets = Annotated[
    Annotated[AssetSection, Tag("one")] | Annotated[list[AssetSection], Field(min_length=1, max_length=ASSETS_MAX), Tag("several")],
    Discriminator(_count_tag),
]


class VenueFile(_Section):
    """A venue: its asset, its markets, its levels and its waterfall."""

    venue: VenueSection
    asset: OneOrMoreAssets
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

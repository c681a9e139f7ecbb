"""What each kind of event and effect says: the names, units and meaning of its fields.

Every row has the same columns (``core/events.py``); what a column holds depends on the row's kind.
Each class here declares one kind: which of its fields stands in which column. Readers go through
the class::

    fill = AdlFillEffect(row)                  # one row: fields are int, or a member of an enum
    fill.cap_lots

    fills = AdlFillEffect[Columns](effects) # the rows of this kind in an array: fields are arrays
    fills.cap_lots.sum()

    for fill in AdlFillEffect.each(effects):   # the same, row by row
        fill.cap_lots

A column that a kind does not declare is zero; an undeclared ``market`` or ``account`` is ``NONE``.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, overload

import numpy as np
from numpy.typing import NDArray

from backstop.core.events import (
    AdlClass,
    AdlPolicy,
    Answer,
    BookSide,
    BreakerCause,
    BreakerState,
    Cause,
    Change,
    Doubt,
    EffectKind,
    EventKind,
    Guard,
    Health,
    Operator,
    ProviderStatus,
    Reject,
    Settlement,
    SocialisePolicy,
    SupportLimit,
    Transfer,
)

__all__ = [
    "BREAKER_ORDERS",
    "EFFECT_VIEWS",
    "EVENT_VIEWS",
    "PROVIDER_ORDERS",
    "AccountEvent",
    "AdlClassEffect",
    "AdlFillEffect",
    "AdlLineEffect",
    "AdlOwnerEffect",
    "AdlPickEffect",
    "AdlPlanEffect",
    "AdlScaleEffect",
    "AnswerEvent",
    "AnyField",
    "BreakerEffect",
    "CancelEffect",
    "ClaimEffect",
    "ClockEvent",
    "CodeField",
    "Columns",
    "DepthEvent",
    "DoubtEffect",
    "EffectView",
    "EventView",
    "Field",
    "FillDebtEffect",
    "FillEvent",
    "FundingEffect",
    "FundingEvent",
    "GuardEffect",
    "HaircutEffect",
    "HealthEffect",
    "HeartbeatEvent",
    "IndexEvent",
    "ListingEffect",
    "ListingEvent",
    "MarkEvent",
    "NakedLegEffect",
    "OfferEffect",
    "OperatorEvent",
    "OrderDoneEvent",
    "OrderEffect",
    "OrderFillEvent",
    "ParameterEffect",
    "ParameterEvent",
    "PositionEvent",
    "PostingEffect",
    "ProviderEffect",
    "ProviderEvent",
    "RefusalEffect",
    "ReliefEffect",
    "ReserveEffect",
    "SettlementEffect",
    "SettlementEvent",
    "ResidualEffect",
    "RestrictEffect",
    "SupportEffect",
    "TakeoverEffect",
    "TearUpEffect",
    "TradeEffect",
    "TransferEvent",
    "Unit",
    "View",
    "VolumeEvent",
    "effect_view",
    "event_view",
]

if TYPE_CHECKING:
    # Defaults of type variables are not in the standard library before Python 3.13.
    from typing_extensions import TypeVar

    T = TypeVar("T", default=int)
else:
    from typing import TypeVar

    #: What a field of a view is: ``int`` for one row, ``Columns`` for several.
    T = TypeVar("T")

Code = TypeVar("Code", bound=IntEnum)

#: What each field of a view of several rows is.
Columns = NDArray[np.int64]


class Unit(StrEnum):
    """What a field counts or names."""

    SEQ = "sequence number"
    ACCOUNT = "account id"
    #: An account, or a ledger account of the house (negative).
    HOLDER = "account or ledger id"
    OWNER = "owner id"
    MARKET = "market number"
    GROUP = "market group number"
    PROVIDER = "provider number"
    ORDER = "order id"
    OFFER = "offer id"
    BAND = "band number"
    #: What names a rule (``parameter_table``).
    RULE = "number of a rule"
    ASSET = "number of an asset"
    LOTS = "lots"
    TICKS = "ticks of the market"
    ATOMS = "atoms of the settlement asset"
    #: ``FUNDING_PARTS`` make an atom.
    ATOM_PARTS = "millionths of an atom"
    PPM = "parts per million"
    COUNT = "count"
    #: Since 1970.
    TIME = "nanoseconds since 1970"
    DURATION = "nanoseconds"
    #: A member of an enum.
    CODE = "code"
    #: Another field of the row says what the unit is.
    VARIES = "varies"


class _Declared:
    """One declared field: its name in the view, the column of the row that holds it, its unit and
    meaning.
    """

    def __init__(self, column: str, unit: Unit, meaning: str, *, optional: bool = False, codes: type[IntEnum] | None = None) -> None:
        """``optional``: the field may be ``NONE``."""
        self.name = ""
        self.column = column
        self.unit = unit
        self.meaning = meaning
        self.optional = optional
        self.codes = codes

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<field {self.name}: column {self.column}, {self.unit.value}>"

    def of(self, row: Any) -> int:
        """Return the field's number in one row, be it a record or a mapping of columns."""
        return int(row[self.column])

    def _read(self, view: View[Any]) -> Any:
        if view.is_one:
            value = self.of(view.rows)
            return value if self.codes is None else self.codes(value)
        return np.asarray(view.rows[self.column], dtype=np.int64)


class Field(_Declared):
    """A number: an amount, an id, a time."""

    @overload
    def __get__(self, view: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, view: View[int], owner: type[Any]) -> int: ...
    @overload
    def __get__(self, view: View[T], owner: type[Any]) -> T: ...
    def __get__(self, view: View[Any] | None, owner: type[Any]) -> Any:
        return self if view is None else self._read(view)


class CodeField(_Declared, Generic[Code]):
    """A member of an enum. In a view of several rows it is an array of numbers."""

    def __init__(self, codes: type[Code], meaning: str, *, column: str = "code") -> None:
        super().__init__(column, Unit.CODE, meaning, codes=codes)

    @overload
    def __get__(self, view: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, view: View[int], owner: type[Any]) -> Code: ...
    @overload
    def __get__(self, view: View[Columns], owner: type[Any]) -> Columns: ...
    def __get__(self, view: View[Any] | None, owner: type[Any]) -> Any:
        return self if view is None else self._read(view)


#: A field of either sort.
AnyField = Field | CodeField[Any]


class View(Generic[T]):
    """Rows of one kind, read by the names of their fields. Copies nothing but what is read."""

    kind: ClassVar[IntEnum]
    #: The kind's fields, in the order of declaration.
    fields: ClassVar[tuple[AnyField, ...]] = ()
    #: Fields that every kind has.
    common: ClassVar[tuple[AnyField, ...]] = ()

    __slots__ = ("is_one", "rows")

    def __init__(self, rows: Any) -> None:
        """Read one row (a record, or a mapping of its columns), or those of this kind in an array
        of rows.

        Raises ``ValueError`` where the one row is of another kind.
        """
        number = int(self.kind)
        self.is_one = not isinstance(rows, np.ndarray)
        if self.is_one and int(rows["kind"]) != number:
            raise ValueError(f"kind was {int(rows['kind'])}, must be {number} for {type(self).__name__}")
        #: The row, or the rows of this kind.
        self.rows = rows if self.is_one else rows[rows["kind"] == number]

    @classmethod
    def each(cls, rows: NDArray[np.void]) -> Iterator[Self]:
        """Yield a view of each row of this kind in an array of rows."""
        return (cls(row) for row in rows[rows["kind"] == int(cls.kind)])

    @classmethod
    def sentence(cls) -> str:
        """Return what a row of this kind means, in one sentence."""
        return " ".join((cls.__doc__ or "").split())

    @classmethod
    def field_of(cls, column: str) -> AnyField | None:
        """Return the field that a column holds, or None where this kind does not use it."""
        return next((each for each in cls.fields if each.column == column), None)

    @classmethod
    def needs_market(cls) -> bool:
        """Return whether a row of this kind always names a market."""
        field = cls.field_of("market")
        return field is not None and not field.optional

    def named(self) -> dict[str, T]:
        """Return every field of the kind by its name."""
        return {each.name: getattr(self, each.name) for each in self.fields}

    def where(self, chosen: NDArray[np.bool_]) -> Self:
        """Return those of several rows for which ``chosen`` holds."""
        return type(self)(self.rows[chosen])

    def __len__(self) -> int:
        """Return the number of rows."""
        return 1 if self.is_one else len(self.rows)

    def __eq__(self, other: Any) -> bool:
        """Return whether the rows are of one kind and equal in every column."""
        return type(self) is type(other) and np.array_equal(self._bare(), other._bare())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.named().items())
        return f"{type(self).__name__}({said})"

    def _bare(self) -> NDArray[np.int64]:
        return np.array([np.asarray(self.rows[each.column]) for each in (*self.common, *self.fields)], dtype=np.int64)


class EventView(View[T]):
    """Events of one kind."""

    kind: ClassVar[EventKind]
    seq = Field("seq", Unit.SEQ, "Place of the event in the order of all events.")
    time_ns = Field("time_ns", Unit.TIME, "When it happened.")

    __slots__ = ()

    def __init_subclass__(cls, *, kind: EventKind) -> None:
        cls.kind, cls.common, cls.fields = kind, (EventView.seq, EventView.time_ns), tuple(_declared(cls))
        EVENT_VIEWS[kind] = cls


class EffectView(View[T]):
    """Effects of one kind."""

    kind: ClassVar[EffectKind]
    seq = Field("seq", Unit.SEQ, "Sequence number of the event that caused it.")

    __slots__ = ()

    def __init_subclass__(cls, *, kind: EffectKind) -> None:
        cls.kind, cls.common, cls.fields = kind, (EffectView.seq,), tuple(_declared(cls))
        EFFECT_VIEWS[kind] = cls


def _declared(cls: type[Any]) -> Iterator[AnyField]:
    return (each for each in vars(cls).values() if isinstance(each, (Field, CodeField)))


#: The class of each kind.
EVENT_VIEWS: dict[EventKind, type[EventView[Any]]] = {}
EFFECT_VIEWS: dict[EffectKind, type[EffectView[Any]]] = {}


def event_view(row: Any) -> EventView[int]:
    """Return one event as what its kind says; raise ``ValueError`` where the kind is unknown."""
    return EVENT_VIEWS[EventKind(int(row["kind"]))](row)


def effect_view(row: Any) -> EffectView[int]:
    """Return one effect as what its kind says; raise ``ValueError`` where the kind is unknown."""
    return EFFECT_VIEWS[EffectKind(int(row["kind"]))](row)


# -- fields that many kinds have -------------------------------------------------------------------


def _account(meaning: str) -> Field:
    return Field("account", Unit.ACCOUNT, meaning)


def _holder(meaning: str, column: str = "account", *, optional: bool = False) -> Field:
    return Field(column, Unit.HOLDER, meaning, optional=optional)


def _market(meaning: str = "The market.", *, optional: bool = False) -> Field:
    return Field("market", Unit.MARKET, meaning, optional=optional)


def _lots(meaning: str) -> Field:
    return Field("lots", Unit.LOTS, meaning)


def _ticks(meaning: str, column: str = "price_ticks") -> Field:
    return Field(column, Unit.TICKS, meaning)


def _atoms(meaning: str, column: str = "amount") -> Field:
    return Field(column, Unit.ATOMS, meaning)


def _count(meaning: str, column: str) -> Field:
    return Field(column, Unit.COUNT, meaning)


def _until(meaning: str, column: str) -> Field:
    return Field(column, Unit.TIME, meaning)


# -- events ----------------------------------------------------------------------------------------


class AccountEvent(EventView[T], kind=EventKind.ACCOUNT):
    """An account opens."""

    account = _account("The account to open: the next id that is free.")
    owner = Field("other", Unit.OWNER, "Whose account it is.")
    market = _market(
        "A pocket's one market; NONE (-1): it may have lots in any. A row that is left at 0 opens a pocket of market 0.", optional=True
    )
    asset = Field("code", Unit.ASSET, "The account's asset; 0: the first.")


class TransferEvent(EventView[T], kind=EventKind.TRANSFER):
    """Money comes in or goes out, or moves between two accounts of an owner."""

    account = _holder("The account, or the ledger account of a fund.")
    amount = _atoms("What it receives; negative: it pays. A trading fee or a move is positive: what the account pays.")
    code = CodeField(Transfer, "Why the money moves.")
    market = _market("The market of a funding payment or a trading fee; NONE: no market, and always so for other transfers.", optional=True)
    receiver = Field("other", Unit.VARIES, "The account that receives what is moved; of other transfers it is not looked at.")


class PositionEvent(EventView[T], kind=EventKind.POSITION):
    """An account opens with a position that it had before; traders outside the engine hold the
    other side.
    """

    account = _account("The account.")
    market = _market()
    lots = _lots("The position, signed.")
    cost = _atoms("What the position cost.")


class FillEvent(EventView[T], kind=EventKind.FILL):
    """Two accounts traded, or an account traded with someone outside the engine."""

    account = _account("The account.")
    counterpart = Field("other", Unit.ACCOUNT, "The other account; NONE: traders outside the engine.", optional=True)
    market = _market()
    lots = _lots("Signed change of the account's position.")
    price_ticks = _ticks("The price of the trade.")


class MarkEvent(EventView[T], kind=EventKind.MARK):
    """A market has a new mark price."""

    market = _market()
    price_ticks = _ticks("The mark price.")


class IndexEvent(EventView[T], kind=EventKind.INDEX):
    """A market has a new index price."""

    market = _market()
    price_ticks = _ticks("The index price.")


class VolumeEvent(EventView[T], kind=EventKind.VOLUME):
    """A market reports its traded volume; the report replaces the last one."""

    market = _market()
    lots = _lots("Lots traded in the latest reporting window.")


class DepthEvent(EventView[T], kind=EventKind.DEPTH):
    """A market reports the visible depth of one band on one side of its book."""

    market = _market()
    side = CodeField(BookSide, "The side of the book.")
    band = Field("other", Unit.BAND, "The band, counted from the best price.")
    lots = _lots("Lots visible in the band.")


class OrderFillEvent(EventView[T], kind=EventKind.ORDER_FILL):
    """A closing order was filled, in whole or in part."""

    order_id = Field("other", Unit.ORDER, "The order.")
    market = _market()
    lots = _lots("Signed change of the account's position.")
    price_ticks = _ticks("The price of the fill.")


class OrderDoneEvent(EventView[T], kind=EventKind.ORDER_DONE):
    """The venue will send no more fills of a closing order."""

    order_id = Field("other", Unit.ORDER, "The order.")


class ClockEvent(EventView[T], kind=EventKind.CLOCK):
    """Time passed; the event says nothing but its time."""


class ProviderEvent(EventView[T], kind=EventKind.PROVIDER):
    """An account becomes the account of a backstop provider."""

    account = _account("The account.")
    provider = Field("other", Unit.PROVIDER, "The provider.")


class AnswerEvent(EventView[T], kind=EventKind.ANSWER):
    """A backstop provider answers a joint offer: all that is open of it."""

    offer_id = Field("other", Unit.OFFER, "An offer of the joint offer.")
    answer = CodeField(Answer, "Its answer.")


class OperatorEvent(EventView[T], kind=EventKind.OPERATOR):
    """An operator stops or reopens a market or the venue, switches a provider, or gives a price."""

    order = CodeField(Operator, "What the operator orders.")
    provider = Field("other", Unit.PROVIDER, "The provider that PROVIDER_OFF and PROVIDER_ON are about.")
    market = _market(
        "The market of HALT, THROTTLE, REOPEN, SETTLE_PRICE and END_RELIEF; NONE: the venue, of the first three.", optional=True
    )
    hold_ns = Field("amount", Unit.DURATION, "How long HALT and THROTTLE hold; the notice of END_RELIEF.")
    price_ticks = _ticks("The price that SETTLE_PRICE gives.")


class HeartbeatEvent(EventView[T], kind=EventKind.HEARTBEAT):
    """A market is alive though nothing happens there: its silence is no outage."""

    market = _market()


class FundingEvent(EventView[T], kind=EventKind.FUNDING):
    """A market's funding index moved: what each lot that is long pays each lot that is short."""

    market = _market()
    step = Field("amount", Unit.ATOM_PARTS, "What a long lot pays; negative: it gets it.")


class ParameterEvent(EventView[T], kind=EventKind.PARAMETER):
    """A rule of the venue changes, at once or from a time on."""

    number = Field("code", Unit.RULE, "The rule.")
    market = _market("Of a rule of a market or of a tier: the market.", optional=True)
    entry = Field("other", Unit.VARIES, "The asset, the tier, the market group, or the provider that the rule is of.")
    part = _count("Of a commitment: 2 x group + direction, 0 for longs.", "lots")
    value = Field("amount", Unit.VARIES, "What the rule becomes, in its unit.")
    from_ns = _until("From when; up to the time of the event: at once.", "price_ticks")


class SettlementEvent(EventView[T], kind=EventKind.SETTLEMENT):
    """A market ends: every position there is settled at one price."""

    market = _market()
    price_ticks = _ticks("The price at which every position ends.")


class ListingEvent(EventView[T], kind=EventKind.LISTING):
    """A market that was not listed, or was settled long ago, is listed, by the rules that it has."""

    market = _market()


# -- effects ---------------------------------------------------------------------------------------


class RefusalEffect(EffectView[T], kind=EffectKind.REFUSAL):
    """An event was refused; nothing else changed."""

    reason = CodeField(Reject, "The first reason that holds.")
    account = _holder("As in the event.", optional=True)
    market = _market("As in the event.", optional=True)
    other = Field("other", Unit.VARIES, "As in the event.")
    lots = Field("lots", Unit.VARIES, "As in the event.")
    price_ticks = Field("price_ticks", Unit.VARIES, "As in the event.")
    amount = Field("amount", Unit.VARIES, "As in the event.")


class HealthEffect(EffectView[T], kind=EffectKind.HEALTH):
    """The health of an account changed."""

    account = _account("The account.")
    health = CodeField(Health, "Its health now.")
    old_health = CodeField(Health, "Its health before.", column="other")
    equity = _atoms("Its equity.")
    maintenance_margin = _atoms("Its maintenance margin.", "value")


class RestrictEffect(EffectView[T], kind=EffectKind.RESTRICT):
    """Cancel an account's own open orders; it takes no new risk."""

    account = _account("The account.")


class OrderEffect(EffectView[T], kind=EffectKind.ORDER):
    """Send a closing order to the venue's book."""

    order_id = Field("other", Unit.ORDER, "The order.")
    account = _account("The account whose position it closes.")
    market = _market()
    lots = _lots("Signed change of the position that a full fill brings.")
    limit_ticks = _ticks("Its limit price.")
    zero_cash = _atoms("Cash at which the close leaves the account's margin ratio unchanged: its zero price in money.")
    reserved = _atoms("What the fund reserves for its worst fill.", "value")


class CancelEffect(EffectView[T], kind=EffectKind.CANCEL):
    """Cancel what is still open of a closing order."""

    order_id = Field("other", Unit.ORDER, "The order.")
    account = _account("The account whose position it was to close.")
    market = _market()
    lots = _lots("Signed lots that were still open.")


class TradeEffect(EffectView[T], kind=EffectKind.TRADE):
    """A position changed."""

    account = _holder("The holder of the position.")
    market = _market()
    lots = _lots("Signed change of the position.")
    price_ticks = _ticks("The price; 0: the trade has no price, its cash is exact.")
    counterpart = _holder("The other side; NONE: many.", "other", optional=True)
    cause = CodeField(Cause, "Why it changed.")
    cash = _atoms("Cash that the holder receives.")
    realised = _atoms("P&L that it realises.", "value")


class PostingEffect(EffectView[T], kind=EffectKind.POSTING):
    """Money moved from one ledger account to another."""

    receiver = _holder("Who receives it.")
    amount = _atoms("How much, above 0.")
    payer = _holder("Who pays it.", "other")
    cause = CodeField(Cause, "Why it moved.")
    market = _market("The market; NONE: no market.", optional=True)
    asset = Field("value", Unit.ASSET, "The asset that moved; 0: the first.")


class ReserveEffect(EffectView[T], kind=EffectKind.RESERVE):
    """What the fund reserves for a closing order or an offer, or to carry an account, changed."""

    change = _atoms("Change of the fund's reservations.")
    order_id = Field("other", Unit.ORDER, "The order or offer; 0: it carries the account for its position there.")
    account = _account("The account in default.")
    market = _market()
    reserved = _atoms("What the fund has reserved in all, after the change.", "value")


class AdlPlanEffect(EffectView[T], kind=EffectKind.ADL_PLAN):
    """ADL closed lots of an account in default; those of one plan stand before its ADL_FILL rows."""

    account = _account("The account in default.")
    lots = _lots("Signed change of its position.")
    market = _market()
    mark_ticks = _ticks("The mark price.")
    policy = CodeField(AdlPolicy, "How the counterparties were chosen.")
    fills = _count("ADL_FILL rows of the whole plan.", "other")
    cash = _atoms("Cash that the account receives.")
    equity = _atoms("Its equity.", "value")


class AdlClassEffect(EffectView[T], kind=EffectKind.ADL_CLASS):
    """One class of ADL counterparties gave lots."""

    account = _account("The account in default, the first of its plan.")
    adl_class = CodeField(AdlClass, "The class.")
    candidates = _count("Owners in the class; in CROSSED accounts.", "other")
    lots = _lots("Lots that the class gave, above 0.")
    market = _market()
    full = _count("Those that gave their whole cap.", "price_ticks")
    eta_lots = Field(
        "amount",
        Unit.LOTS,
        "Numerator of eta: lots per weight; atoms of exposure per atom of equity under `water_filling`."
        " 0 with eta_weight 0: all gave their whole cap.",
    )
    eta_weight = Field("value", Unit.VARIES, "Denominator of eta, in the unit of the policy's weights.")


class AdlFillEffect(EffectView[T], kind=EffectKind.ADL_FILL):
    """A counterparty gave lots to the ADL of an account in default."""

    account = _account("The counterparty.")
    defaulter = Field("other", Unit.ACCOUNT, "The account in default, the first of its plan.")
    market = _market()
    lots = _lots("Signed change of the counterparty's position.")
    adl_class = CodeField(AdlClass, "The class in which it was asked.")
    cash = _atoms("Cash that the counterparty receives.")
    cap_lots = Field("price_ticks", Unit.LOTS, "Most lots that it could have given.")
    weight = Field("value", Unit.VARIES, "Its owner's weight, in the unit of the policy.")


class TearUpEffect(EffectView[T], kind=EffectKind.TEAR_UP):
    """The position of an account in default was torn up at mark."""

    account = _account("The account in default.")
    lots = _lots("Signed change of its position.")
    market = _market()
    mark_ticks = _ticks("The mark price.")
    cash = _atoms("Cash at mark that the account receives.")
    gap = _atoms("What is missing to its zero cash.", "value")


class ResidualEffect(EffectView[T], kind=EffectKind.RESIDUAL):
    """A deficit that nobody paid was booked to UNCOVERED of a market group."""

    account = _account("The account in default.")
    group = Field("other", Unit.GROUP, "The market group whose loss it is.")
    amount = _atoms("What nobody paid.")


class BreakerEffect(EffectView[T], kind=EffectKind.BREAKER):
    """A circuit breaker changed its state, or began a new hold of it for another cause."""

    market = _market("The market; NONE: the venue.", optional=True)
    breaker_state = CodeField(BreakerState, "The state now.")
    old_state = CodeField(BreakerState, "The state before; the same: a new hold.", column="other")
    cause = CodeField(BreakerCause, "Why.", column="lots")
    signal = Field("value", Unit.VARIES, "Signal of the cause: ppm (PRICE, INDEX) or atoms liquidated (FLOW); 0 for other causes.")
    until_ns = _until("When the state ends at the latest; NEVER_NS: OPEN does not end.", "amount")


class OfferEffect(EffectView[T], kind=EffectKind.OFFER):
    """Part of a joint offer to a backstop provider: all of one event, market and direction."""

    offer_id = Field("other", Unit.OFFER, "The offer.")
    provider = Field("price_ticks", Unit.PROVIDER, "The provider.")
    lots = _lots("Signed change of the account's position.")
    account = _account("The account in default.")
    market = _market()
    cash = _atoms("Cash that the account would receive.")
    reserved = _atoms("What the fund reserves for it.", "value")


class TakeoverEffect(EffectView[T], kind=EffectKind.TAKEOVER):
    """A backstop provider took over a position."""

    provider = Field("price_ticks", Unit.PROVIDER, "The provider.")
    lots = _lots("Signed change of the account's position.")
    account = _account("The account in default.")
    market = _market()
    offer_id = Field("other", Unit.OFFER, "The offer that it accepted; 0: the vault, at once.")
    cash = _atoms("Cash that the account receives.")
    support = _atoms("Most that the fund pays towards it; its POSTING says what it paid.", "value")


class ProviderEffect(EffectView[T], kind=EffectKind.PROVIDER):
    """The status or the record of a backstop provider changed."""

    provider = Field("other", Unit.PROVIDER, "The provider.")
    account = _account("Its account.")
    status = CodeField(ProviderStatus, "Whether it is asked.")
    failures = _count("Failures in a row.", "lots")
    score_ppm = Field("amount", Unit.PPM, "Its score.")
    until_ns = _until("When the status ends; NEVER_NS: no time ends it.", "value")


class HaircutEffect(EffectView[T], kind=EffectKind.HAIRCUT):
    """An account paid a part of what a market lost: once an event its owner is asked there."""

    payer = _account("Who pays.")
    amount = _atoms("What it pays.")
    defaulter = Field("other", Unit.ACCOUNT, "The first of the accounts that lack there; what each gets its POSTING says.")
    market = _market()
    policy = CodeField(SocialisePolicy, "How the loss was shared.")
    weight = _atoms("The weight of the payer's owner in the market.", "value")
    cap = _atoms("Most that this account may pay there.", "lots")


class ClaimEffect(EffectView[T], kind=EffectKind.CLAIM):
    """The recovery claim of an account that paid a socialised loss changed."""

    account = _account("The account.")
    group = Field("other", Unit.GROUP, "The market group whose fund owes it.")
    change = _atoms("Change of its claim on the group.")
    claim = _atoms("Its claim on the group after the change.", "value")


class GuardEffect(EffectView[T], kind=EffectKind.GUARD):
    """The price guard held a mark price, or decided on one that it held."""

    price_ticks = _ticks("The held price.")
    market = _market()
    action = CodeField(Guard, "What the guard did with it.")
    reference_ticks = _ticks("The reference: the mark price that the move is measured from.", "other")
    move_ppm = Field("value", Unit.PPM, "Move from the reference to the held price.")
    until_ns = _until("Until when it is held; 0: no longer.", "amount")


class SupportEffect(EffectView[T], kind=EffectKind.SUPPORT):
    """What a fund pays of a gap or a part of a deficit, and what kept back the rest."""

    account = _account("The account in default.")
    market = _market("The market; NONE: the deficit is of no market.", optional=True)
    support = _atoms("What the fund pays, in the POSTING of this cause.")
    gap = _atoms("What the account lacks to its zero cash at mark, or the part of its deficit.", "value")
    limit = CodeField(SupportLimit, "What kept back the rest of the gap.")
    cause = CodeField(Cause, "SUPPORT: the account leaves by ADL; TEAR_UP: by tear-up; DEFICIT: it has no lots.", column="other")
    available = _atoms("What the fund could pay for the account, all limits included; 0 where it is not asked.", "lots")


class FundingEffect(EffectView[T], kind=EffectKind.FUNDING):
    """The funding index of a market moved; nobody has paid yet."""

    market = _market()
    step = Field("amount", Unit.ATOM_PARTS, "What each lot that is long pays each lot that is short; negative: the other way.")
    index = Field("value", Unit.ATOM_PARTS, "What a lot has paid that was long since the market began.")


class CarryEffect(EffectView[T], kind=EffectKind.CARRY):
    """A solvent account in default is carried instead of deleveraged: its funds stand for a move."""

    account = _account("The account in default.")
    need = _atoms("What it would lack after the move: reserved now, in the RESERVE rows that follow.")
    until_ns = _until("Until when it may be carried in this default.", "value")


class AdlScaleEffect(EffectView[T], kind=EffectKind.ADL_SCALE):
    """An ADL plan closes fewer lots than should leave, of each account in the same proportion."""

    account = _account("An account in default of the plan.")
    wanted_lots = _lots("Lots of it that should leave, above 0.")
    market = _market()


class DoubtEffect(EffectView[T], kind=EffectKind.DOUBT):
    """Doubt about a market's mark price began, or ended."""

    market = _market()
    reason = CodeField(Doubt, "Why the mark price is doubted; ENDED: it is not, any more.")
    undoubted_ticks = _ticks("The newest mark price that is not doubted.")
    mark_ticks = _ticks("The mark price.", "other")


class FillDebtEffect(EffectView[T], kind=EffectKind.FILL_DEBT):
    """The winner of a fill owes its loser what it cost beyond the band, or made lacking."""

    account = _account("The account that lost.")
    winner = Field("other", Unit.ACCOUNT, "The account that won; its owner owes.")
    market = _market()
    price_ticks = _ticks("The price of the fill.")
    owed = _atoms("What is owed, and paid where the loser lacks it.")
    mark_ticks = _ticks("The mark price.", "value")


class SettlementEffect(EffectView[T], kind=EffectKind.SETTLEMENT):
    """The settlement of a market began, at a price that stays; or it is done."""

    market = _market()
    source = CodeField(Settlement, "Whose price it is; DONE: nobody has a position there any more.")
    price_ticks = _ticks("The price at which every position ends.")
    mark_ticks = _ticks("The mark price before.", "other")


class AdlOwnerEffect(EffectView[T], kind=EffectKind.ADL_OWNER):
    """An owner gave lots to an ADL: one of several accounts, or a levelled one; his fills follow."""

    account = _account("The lowest of the owner's accounts that could be asked.")
    fills = _count("ADL_FILL rows of this owner that follow.", "other")
    market = _market()
    lots = _lots("Signed change of his positions together.")
    adl_class = CodeField(AdlClass, "The class in which he was asked.")
    cap_lots = Field("price_ticks", Unit.LOTS, "Most lots that he could have given in this class.")
    equity = _atoms("Under `water_filling` the equity that he counts with; else 0.")
    weight = Field("value", Unit.VARIES, "His weight, in the unit of the policy; under `water_filling` his exposure, in atoms.")


class AdlLineEffect(EffectView[T], kind=EffectKind.ADL_LINE):
    """Owners of an ADL class whose shares are below the least stand on a line; those picked follow."""

    account = _account("The account in default, the first of its plan.")
    members = _count("Owners on the line.", "other")
    lots = _lots("Their shares together, above 0.")
    market = _market()
    adl_class = CodeField(AdlClass, "The class.")
    least_lots = Field("price_ticks", Unit.LOTS, "Fewest lots that an owner is asked for.")
    point = _count("The place of the first point, drawn.", "amount")
    length = _count("Places of the line; for 2^32 one is drawn.", "value")


class AdlPickEffect(EffectView[T], kind=EffectKind.ADL_PICK):
    """An owner was picked from the line of an ADL class; what he gives stands in his ADL_FILL."""

    account = _account("The lowest of the owner's accounts that could be asked.")
    defaulter = Field("other", Unit.ACCOUNT, "The account in default, the first of its plan.")
    market = _market()
    share_lots = Field("lots", Unit.LOTS, "His share by weight, below the least.")
    adl_class = CodeField(AdlClass, "The class.")
    begins = _count("The first place of the line that he takes up.", "amount")


# -- orders of an operator -------------------------------------------------------------------------

#: Those about a circuit breaker, and those about a provider.
BREAKER_ORDERS = (Operator.HALT, Operator.THROTTLE, Operator.REOPEN)
PROVIDER_ORDERS = (Operator.PROVIDER_OFF, Operator.PROVIDER_ON)


class ParameterEffect(EffectView[T], kind=EffectKind.PARAMETER):
    """A change of a rule waits, took effect, or was dropped."""

    number = Field("code", Unit.RULE, "The rule.")
    market = _market("Of a rule of a market or of a tier: the market.", optional=True)
    entry = Field("other", Unit.VARIES, "The tier, the market group, or the provider that the rule is of.")
    part = _count("Of a commitment: 2 x group + direction, 0 for longs.", "lots")
    status = CodeField(Change, "What became of the change.", column="price_ticks")
    new_value = Field("amount", Unit.VARIES, "What the rule becomes, or would have become.")
    from_ns = _until("From when.", "value")


class ReliefEffect(EffectView[T], kind=EffectKind.RELIEF):
    """A position needs another part of its maintenance margin: its account gets relief, or that ends."""

    account = _account("The account.")
    market = _market()
    kept_ppm = Field("lots", Unit.PPM, "The part of the margin that it needs; 1e6: all of it, its relief is over.")
    margin = _atoms("Its maintenance margin now.")
    full_margin = _atoms("What that would be without relief.", "value")


class NakedLegEffect(EffectView[T], kind=EffectKind.NAKED_LEG):
    """What others' defaults took of an owner's positions left him with a larger exposure."""

    account = _account("The lowest of his accounts not in default of which lots were taken.")
    owner = Field("price_ticks", Unit.OWNER, "The owner.")
    naked_market = Field("other", Unit.MARKET, "The market of the leg left naked: the largest on the side of his exposure.")
    lots = _lots("His net lots there.")
    market = _market("The market of the hedge: the largest that was taken of the other side.")
    before = _atoms("His exposure to the factor, had nothing been taken in this event.")
    after = _atoms("His exposure to the factor.", "value")


class ListingEffect(EffectView[T], kind=EffectKind.LISTING):
    """A market is listed: from now on it can have a mark, and positions."""

    market = _market()
    group = Field("other", Unit.GROUP, "Its market group.")
    position_lots_max = _count("The largest position of one account.", "lots")
    price_ticks_max = _ticks("The highest price.")
    notional_factor = _atoms("Atoms a tick a lot.")

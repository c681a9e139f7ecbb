"""Events and effects as people read them: names for numbers, decimals for atoms, ticks and lots.

What a kind says is declared in ``core/kinds.py``: each field becomes a part, in the form that its
unit asks for. ``EVENTS`` and ``EFFECTS`` add a sentence per kind and the few parts that are said in
another way. A kind without a sentence is said field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from backstop.config import Asset, Venue
from backstop.config.policies import POLICIES, Weight, is_levelled, weight_kind
from backstop.config.schema import duration_text
from backstop.core.events import (
    FUNDING_PARTS,
    NEVER_NS,
    NONE,
    AdlClass,
    BreakerCause,
    EffectKind,
    EventKind,
    Operator,
    SupportLimit,
    Transfer,
)
from backstop.core.kinds import (
    EFFECT_VIEWS,
    EVENT_VIEWS,
    PROVIDER_ORDERS,
    AccountEvent,
    AdlClassEffect,
    AdlFillEffect,
    AdlLineEffect,
    AdlOwnerEffect,
    AdlPickEffect,
    AdlPlanEffect,
    AdlScaleEffect,
    AnswerEvent,
    AnyField,
    BreakerEffect,
    CancelEffect,
    CarryEffect,
    ClaimEffect,
    ClockEvent,
    DepthEvent,
    DoubtEffect,
    EffectView,
    EventView,
    FillDebtEffect,
    FillEvent,
    FundingEffect,
    FundingEvent,
    GuardEffect,
    HaircutEffect,
    HealthEffect,
    HeartbeatEvent,
    IndexEvent,
    ListingEffect,
    ListingEvent,
    MarkEvent,
    NakedLegEffect,
    OfferEffect,
    OperatorEvent,
    OrderDoneEvent,
    OrderEffect,
    OrderFillEvent,
    ParameterEffect,
    ParameterEvent,
    PositionEvent,
    PostingEffect,
    ProviderEffect,
    ProviderEvent,
    RefusalEffect,
    ReliefEffect,
    ReserveEffect,
    ResidualEffect,
    RestrictEffect,
    SettlementEffect,
    SettlementEvent,
    SupportEffect,
    TakeoverEffect,
    TearUpEffect,
    TradeEffect,
    TransferEvent,
    Unit,
    VolumeEvent,
)
from backstop.core.parameter_table import PARAMETERS, ListedRule, Scope
from backstop.core.parameters import NO_CAP
from backstop.core.parameters import Unit as RuleUnit
from backstop.journal.manifest import Names
from backstop.journal.records import record_of
from backstop.journal.vocabulary import Vocabulary, said_in
from backstop.printing import counted

__all__ = [
    "EFFECTS",
    "EVENTS",
    "Part",
    "Row",
    "Sentence",
    "Speaker",
    "kind_name",
    "place_of_rule",
    "sentence_of",
    "time_text",
    "value_of_rule",
]

#: One row, by column.
Row = Mapping[str, int]
#: Says a row's part as a text, or as a number where it is a count; None: there is nothing to say.
Form = Callable[[Vocabulary, Row], str | int | None]


class Speaker(Vocabulary):
    """Says the events and effects of one venue's run in words."""

    def __init__(self, venue: Venue, names: Names, *, knows_codes: bool = True) -> None:
        """``knows_codes`` is off for a journal whose codes are not those of this version: rows are
        then shown as numbers.
        """
        super().__init__(venue, names)
        self.knows_codes = knows_codes

    def event(self, row: Row) -> str:
        """Say an event in words."""
        return EVENTS[EventKind(row["kind"])].said(self, row) if self.knows_codes and row["kind"] in EVENTS else _raw(row)

    def effect(self, row: Row) -> str:
        """Say an effect in words."""
        return EFFECTS[EffectKind(row["kind"])].said(self, row) if self.knows_codes and row["kind"] in EFFECTS else _raw(row)

    def fields(self, row: Row, *, is_event: bool) -> dict[str, Any]:
        """Return what an event or effect says, by name: decimals as texts."""
        table: Mapping[Any, Sentence] = EVENTS if is_event else EFFECTS
        sentence = table.get(row["kind"])
        if sentence is None or not self.knows_codes:
            return {name: value for name, value in row.items() if name not in ("seq", "kind", "time_ns")}
        return {part.name: (part.bare or part.form)(self, row) for part in sentence.parts}

    def record(self, row: Row, *, is_event: bool) -> dict[str, Any] | None:
        """Return an event or effect as a record with names (``journal.records``); None where its
        kind is not known.
        """
        known: Mapping[Any, Sentence] = EVENTS if is_event else EFFECTS
        return record_of(row, is_event=is_event) if self.knows_codes and row["kind"] in known else None


class Part(NamedTuple):
    """One thing that a row says. A part that the sentence has no place for is only a field."""

    name: str
    form: Form
    #: Says it outside of the sentence, where that is another text.
    bare: Form | None = None


class Sentence(NamedTuple):
    """What a kind says: words with places, and the parts that fill them."""

    words: str
    parts: tuple[Part, ...]
    #: Columns of the row that hold accounts.
    holder_columns: tuple[str, ...]

    def said(self, speaker: Vocabulary, row: Row) -> str:
        """Fill the places."""
        return self.words.format(**{part.name: part.form(speaker, row) for part in self.parts})


def _cash(speaker: Vocabulary, row: Row, atoms: int) -> str:
    """Say money of a row in its asset."""
    return said_in(atoms, _asset_of(speaker, row) or speaker.asset)


def _asset_of(speaker: Vocabulary, row: Row) -> Asset | None:
    """Return the asset of a row's money: a posting and a rule name theirs, of others it is that of the
    account, or of the market.
    """
    assets, is_effect = speaker.venue.assets, "value" in row
    if is_effect and row["kind"] == EffectKind.POSTING:
        return assets[row["value"]] if 0 <= row["value"] < len(assets) else None
    if row["kind"] == (EffectKind.PARAMETER if is_effect else EventKind.PARAMETER):
        return _asset_of_rule(speaker, _rule_of(row), row["market"], row["other"])
    return speaker.asset_of(row["account"], row["market"])


def _asset_of_rule(speaker: Vocabulary, rule: ListedRule | None, market: int, entry: int) -> Asset | None:
    venue = speaker.venue
    match rule.scope if rule else None:
        case Scope.ASSET if 0 <= entry < len(venue.assets):
            return venue.assets[entry]
        case Scope.GROUP if 0 <= entry < len(venue.groups):
            return venue.asset_of_group(entry)
        case Scope.PROVIDER | Scope.COMMITMENT if 0 <= entry < len(venue.providers):
            return venue.asset_of_provider(entry)
        case Scope.MARKET | Scope.TIER:
            return speaker.asset_of(NONE, market)
    return venue.assets[0] if len(venue.assets) == 1 else None


def _raw(row: Row) -> str:
    return " ".join(f"{name}={value}" for name, value in row.items() if name not in ("seq", "kind", "time_ns"))


# -- a part per field ------------------------------------------------------------------------------

#: How a number of each unit is said; of others it is the number.
_FORMS: dict[Unit, Callable[[Vocabulary, Row, int], str]] = {
    Unit.ACCOUNT: lambda speaker, _, number: speaker.holder(number),
    Unit.HOLDER: lambda speaker, _, number: speaker.holder(number),
    Unit.OWNER: lambda speaker, _, number: speaker.owner(number),
    Unit.MARKET: lambda speaker, _, number: speaker.market(number),
    Unit.GROUP: lambda speaker, _, number: speaker.group(number),
    Unit.PROVIDER: lambda speaker, _, number: speaker.provider(number),
    Unit.ASSET: lambda speaker, _, number: speaker.asset_name(number),
    Unit.LOTS: lambda speaker, row, number: speaker.lots(row["market"], number),
    Unit.TICKS: lambda speaker, row, number: speaker.price(row["market"], number),
    Unit.ATOMS: lambda speaker, row, number: _cash(speaker, row, number),
    Unit.TIME: lambda _, __, number: time_text(number),
}
#: What a field is called once it is said as a quantity or price: without its unit.
_SAID_AS = {"lots": "quantity", "price_ticks": "price"}
_UNIT_ENDINGS = ("_lots", "_ticks", "_id")


def _said_name(field: AnyField) -> str:
    if field.name in _SAID_AS:
        return _SAID_AS[field.name]
    ending = next((each for each in _UNIT_ENDINGS if field.name.endswith(each)), "")
    return field.name.removesuffix(ending)


def _part(field: AnyField, name: str = "") -> Part:
    """Return the part that says a field by its unit."""
    if field.codes is not None:
        names = {int(code): code.name.lower() for code in field.codes}
        return Part(name or _said_name(field), lambda _, row: names.get(field.of(row), f"code {field.of(row)}"))
    form = _FORMS.get(field.unit)
    if form is None:
        return Part(name or _said_name(field), lambda _, row: field.of(row))
    return Part(name or _said_name(field), lambda speaker, row: form(speaker, row, field.of(row)))


#: What makes parts of a field in place of ``_part``: another name for it, or a function.
_Other = str | Callable[[AnyField], tuple[Part, ...]]


def sentence_of(view: type[EventView[Any]] | type[EffectView[Any]], words: str | None = None, **others: _Other) -> Sentence:
    """Return what a kind says, without ``words`` field by field; ``others`` says, per field, what
    stands for its usual part.

    Raises ``KeyError`` for a field that the kind does not have.
    """
    unknown = set(others) - {field.name for field in view.fields}
    if unknown:
        raise KeyError(f"{view.__name__} has no field {', '.join(sorted(unknown))}")
    parts: list[Part] = []
    for field in view.fields:
        other = others.get(field.name, "")
        parts += (_part(field, other),) if isinstance(other, str) else other(field)
    if words is None:
        name = view.kind.name.lower().replace("_", " ")
        words = f"{name}: " + ", ".join(f"{part.name} {{{part.name}}}" for part in parts) if parts else name
    holders = tuple(field.column for field in view.fields if field.unit in (Unit.ACCOUNT, Unit.HOLDER))
    return Sentence(words, tuple(parts), holders)


# -- parts that are said in another way ------------------------------------------------------------


def _unsaid(_: AnyField) -> tuple[Part, ...]:
    return ()


def _or_outside(field: AnyField) -> tuple[Part, ...]:
    """A counterparty: an account, or none for traders whom the engine does not know."""
    return (Part("other", lambda speaker, row: "outside traders" if field.of(row) == NONE else speaker.holder(field.of(row))),)


def _for_order(field: AnyField) -> tuple[Part, ...]:
    """An order or offer; none where an account is carried."""

    def said(_: Vocabulary, row: Row) -> str:
        return f"for order {field.of(row)} of" if field.of(row) else "to carry"

    return (Part("order_id", said, lambda _, row: field.of(row)),)


def _or_many(field: AnyField) -> tuple[Part, ...]:
    """The other side of a trade; an ADL or tear-up has many, and names none."""
    return (Part("other", lambda speaker, row: "its counterparties" if field.of(row) == NONE else speaker.holder(field.of(row))),)


def _in_market(field: AnyField) -> tuple[Part, ...]:
    """A market where there is one."""

    def bare(speaker: Vocabulary, row: Row) -> str | None:
        return None if field.of(row) == NONE else speaker.market(field.of(row))

    return (Part("market", lambda speaker, row: "" if field.of(row) == NONE else f" ({bare(speaker, row)})", bare),)


def _pocket(field: AnyField) -> tuple[Part, ...]:
    """The one market of a pocket."""

    def bare(speaker: Vocabulary, row: Row) -> str | None:
        return None if field.of(row) == NONE else speaker.market(field.of(row))

    return (Part("market", lambda speaker, row: "" if (name := bare(speaker, row)) is None else f" as a pocket of {name}", bare),)


def _in_asset(field: AnyField) -> tuple[Part, ...]:
    """The asset of an account, in the sentence where the venue has more than one."""

    def bare(speaker: Vocabulary, row: Row) -> str:
        return speaker.asset_name(field.of(row))

    return (Part("asset", lambda speaker, row: f" in {bare(speaker, row)}" if len(speaker.venue.assets) > 1 else "", bare),)


def _moved_to(field: AnyField) -> tuple[Part, ...]:
    """The account that receives what is moved."""

    def bare(speaker: Vocabulary, row: Row) -> str | None:
        return speaker.holder(field.of(row)) if TransferEvent.code.of(row) == Transfer.MOVE else None

    return (Part("receiver", lambda speaker, row: "" if (name := bare(speaker, row)) is None else f" to {name}", bare),)


def _received_or_paid(field: AnyField) -> tuple[Part, ...]:
    """What an account receives; of a trading fee or a move what it pays."""

    def bare(speaker: Vocabulary, row: Row) -> str:
        return _cash(speaker, row, field.of(row))

    def said(speaker: Vocabulary, row: Row) -> str:
        pays = TransferEvent.code.of(row) in (Transfer.TRADING_FEE, Transfer.MOVE)
        return f"{'pays' if pays else 'receives'} {bare(speaker, row)}"

    return (Part("amount", said, bare),)


def _a_lot(field: AnyField) -> tuple[Part, ...]:
    """Funding of one lot, to the last part of an atom."""

    def said(speaker: Vocabulary, row: Row) -> str:
        atoms, parts = divmod(field.of(row), FUNDING_PARTS)
        return _cash(speaker, row, atoms) if parts == 0 else f"{field.of(row)} / {FUNDING_PARTS:,} atoms"

    return (Part(field.name, said),)


def _market_or_venue(field: AnyField) -> tuple[Part, ...]:
    return (Part("where", lambda speaker, row: "the venue" if field.of(row) == NONE else speaker.market(field.of(row))),)


def _in_group(words: str) -> Callable[[AnyField], tuple[Part, ...]]:
    """A market group, in the sentence where the venue has more than one."""

    def parts(field: AnyField) -> tuple[Part, ...]:
        def bare(speaker: Vocabulary, row: Row) -> str:
            return speaker.group(field.of(row))

        def said(speaker: Vocabulary, row: Row) -> str:
            return words.format(bare(speaker, row)) if len(speaker.venue.groups) > 1 else ""

        return (Part("group", said, bare),)

    return parts


def _counted(noun: str, plural: str = "") -> Callable[[AnyField], tuple[Part, ...]]:
    """A count, in the sentence with its noun."""

    def parts(field: AnyField) -> tuple[Part, ...]:
        return (Part(field.name, lambda _, row: counted(field.of(row), noun, plural), lambda _, row: field.of(row)),)

    return parts


def _price_if_any(field: AnyField) -> tuple[Part, ...]:
    def bare(speaker: Vocabulary, row: Row) -> str | None:
        return speaker.price(row["market"], field.of(row)) if field.of(row) else None

    return (Part("price", lambda speaker, row: f" at {bare(speaker, row)}" if field.of(row) else "", bare),)


def _until(words: str) -> Callable[[AnyField], tuple[Part, ...]]:
    """A time, in the sentence where there is one to come; beside it in nanoseconds, None where
    there is none.
    """

    def parts(field: AnyField) -> tuple[Part, ...]:
        def number(_: Vocabulary, row: Row) -> int | None:
            return field.of(row) if 0 < field.of(row) < NEVER_NS else None

        def text(_: Vocabulary, row: Row) -> str | None:
            return time_text(field.of(row)) if 0 < field.of(row) < NEVER_NS else None

        def said(speaker: Vocabulary, row: Row) -> str:
            return "" if (time := text(speaker, row)) is None else words.format(time)

        return Part("until", said, text), Part("until_ns", number)

    return parts


def _of_provider(field: AnyField) -> tuple[Part, ...]:
    """The provider that an operator's order is about, where it is about one."""

    def bare(speaker: Vocabulary, row: Row) -> str | None:
        return speaker.provider(field.of(row)) if OperatorEvent.order.of(row) in PROVIDER_ORDERS else None

    return (Part("of_provider", lambda speaker, row: "" if (name := bare(speaker, row)) is None else f" {name}", bare),)


def _at_price(field: AnyField) -> tuple[Part, ...]:
    """The price that an operator gives, where he gives one."""

    def bare(speaker: Vocabulary, row: Row) -> str | None:
        gives = OperatorEvent.order.of(row) == Operator.SETTLE_PRICE
        return speaker.price(OperatorEvent.market.of(row), field.of(row)) if gives else None

    return (Part("at_price", lambda speaker, row: "" if (price := bare(speaker, row)) is None else f" at {price}", bare),)


def _weight(field: AnyField) -> tuple[Part, ...]:
    """Weight of an ADL counterparty, by the policy of its plan; in HOUSE and CROSSED always lots."""

    def said(speaker: Vocabulary, row: Row) -> str:
        policy, value = speaker.adl_policy, field.of(row)
        weight = weight_kind(policy, AdlFillEffect.adl_class.of(row))
        if row["kind"] == EffectKind.ADL_OWNER and is_levelled(policy, AdlOwnerEffect.adl_class.of(row)):
            return f"exposure {_cash(speaker, row, value)} / equity {_cash(speaker, row, AdlOwnerEffect.equity.of(row))}"
        if weight == Weight.SCORE:
            return POLICIES[policy].score.format(value)
        return _cash(speaker, row, value) if weight == Weight.PROFIT else speaker.lots(row["market"], value)

    return (Part("weight", said),)


def _eta(_: AnyField) -> tuple[Part, ...]:
    """How a class shares: a part of each weight, or whole caps, one by one where the policy goes by
    an order.
    """

    def said(speaker: Vocabulary, row: Row) -> str:
        policy, adl_class, group = speaker.adl_policy, AdlClassEffect.adl_class.of(row), AdlClassEffect(row)
        order = POLICIES[policy].order
        if order and adl_class not in (AdlClass.HOUSE, AdlClass.CROSSED) and group.full < group.candidates:
            return f"one by one in order of {order} until done, the last at {group.eta_lots}"
        if group.eta_weight == 0:
            return "their whole caps"
        if is_levelled(policy, adl_class):
            level_ppm = group.eta_lots * 1_000_000 // group.eta_weight
            return f"each lot from the highest leverage, down to {level_ppm} ppm"
        kind, weight = weight_kind(policy, adl_class), str(group.eta_weight)
        if kind != Weight.SCORE:
            weight = _cash(speaker, row, group.eta_weight) if kind == Weight.PROFIT else speaker.lots(group.market, group.eta_weight)
        return f"eta {speaker.lots(group.market, group.eta_lots)} / {weight}"

    return (Part("eta", said),)


def _signal(field: AnyField) -> tuple[Part, ...]:
    """How strong the signal of a breaker's cause was: a move (PRICE) or distance (INDEX), or what
    was liquidated (FLOW).
    """

    def bare(speaker: Vocabulary, row: Row) -> str | None:
        cause = BreakerEffect.cause.of(row)
        if cause in (BreakerCause.PRICE, BreakerCause.INDEX):
            return f"{field.of(row) / 10_000:g} %"
        return f"{_cash(speaker, row, field.of(row))} liquidated" if cause == BreakerCause.FLOW else None

    return (Part("signal", lambda speaker, row: f" ({text})" if (text := bare(speaker, row)) else "", bare),)


def _breaker_state(field: AnyField) -> tuple[Part, ...]:
    """From which state to which, in the sentence; beside it the new state.

    A stop that is held again comes from its own state.
    """
    state, before = _part(field), _part(BreakerEffect.old_state)

    def said(speaker: Vocabulary, row: Row) -> str:
        new = state.form(speaker, row)
        return f"{new} again" if field.of(row) == BreakerEffect.old_state.of(row) else f"now {new}, was {before.form(speaker, row)}"

    return (Part("state", said, state.form),)


def _naked_lots(field: AnyField) -> tuple[Part, ...]:
    """Lots in the market of the leg that is left naked, not in that of the row."""
    return (Part("quantity", lambda speaker, row: speaker.lots(NakedLegEffect.naked_market.of(row), field.of(row))),)


def _how(field: AnyField) -> tuple[Part, ...]:
    """The offer that a takeover accepts; the vault takes over at once."""
    return _part(field), Part("how", lambda _, row: f"offer {field.of(row)}" if field.of(row) else "at once")


def _rule_of(row: Row) -> ListedRule | None:
    return PARAMETERS.get(row["code"])


def _rule_name(_: AnyField) -> tuple[Part, ...]:
    """A rule by its key."""

    def said(_: Vocabulary, row: Row) -> str:
        return f"rule {row['code']}" if (rule := _rule_of(row)) is None else rule.key

    return (Part("rule", said), Part("number", lambda _, row: row["code"]))


def place_of_rule(speaker: Vocabulary, rule: ListedRule | None, market: int, entry: int, part: int) -> str | None:
    """Say whose rule it is; None where it is the venue's, or no rule."""
    match rule.scope if rule else None:
        case Scope.ASSET:
            return speaker.asset_name(entry) if len(speaker.venue.assets) > 1 else None
        case Scope.MARKET:
            return speaker.market(market)
        case Scope.TIER:
            return f"tier {entry} of {speaker.market(market)}"
        case Scope.GROUP:
            return speaker.fund(entry)
        case Scope.PROVIDER:
            return speaker.provider(entry)
        case Scope.COMMITMENT:
            group, direction = divmod(part, 2)
            return f"{speaker.provider(entry)} for {'shorts' if direction else 'longs'} of {speaker.group(group)}"
    return None


def value_of_rule(speaker: Vocabulary, rule: ListedRule | None, market: int, entry: int, value: int) -> str:
    """Say what a rule is, in its unit; money in the asset of whose rule it is."""
    match rule.parameter.unit if rule else None:
        case RuleUnit.ATOMS:
            return "no cap" if value == NO_CAP else said_in(value, _asset_of_rule(speaker, rule, market, entry))
        case RuleUnit.PPM:
            return f"{value} ppm"
        case RuleUnit.NS:
            return duration_text(value) if value > 0 else f"{value} ns"
        case RuleUnit.LOTS:
            return speaker.lots(market, value)
    return str(value)


def _rule_place(_: AnyField) -> tuple[Part, ...]:
    """Whose rule it is, where it is not the venue's."""

    def bare(speaker: Vocabulary, row: Row) -> str | None:
        return place_of_rule(speaker, _rule_of(row), row["market"], row["other"], row["lots"])

    return (Part("place", lambda speaker, row: "" if (name := bare(speaker, row)) is None else f" of {name}", bare),)


def _rule_value(field: AnyField) -> tuple[Part, ...]:
    """What a rule becomes, in its unit."""

    def said(speaker: Vocabulary, row: Row) -> str:
        return value_of_rule(speaker, _rule_of(row), row["market"], row["other"], field.of(row))

    return (Part("value", said, lambda _, row: field.of(row)),)


_KEPT_BACK = {
    SupportLimit.COVERED: "all of it",
    SupportLimit.STAGE: "no fund has its turn before this",
    SupportLimit.RESERVED: "the rest is kept back by what it reserves for orders and offers",
    SupportLimit.BALANCE: "the rest is more than it has",
    SupportLimit.WINDOW: "the rest is kept back by its limit per window",
    SupportLimit.OWNER: "the rest is kept back by the limit per owner",
    SupportLimit.MARKET: "the rest is kept back by the market's limit per window",
}


def _kept_back(field: AnyField) -> tuple[Part, ...]:
    """What kept back the rest of a gap."""
    words = {int(limit): says for limit, says in _KEPT_BACK.items()}
    return _part(field), Part("kept_back", lambda _, row: words.get(field.of(row), f"limit {field.of(row)}"))


# -- the sentences ---------------------------------------------------------------------------------

EVENTS: dict[EventKind, Sentence] = {kind: sentence_of(view) for kind, view in EVENT_VIEWS.items()} | {
    EventKind.ACCOUNT: sentence_of(AccountEvent, "{account} opens{market}{asset}, belongs to {owner}", market=_pocket, asset=_in_asset),
    EventKind.TRANSFER: sentence_of(
        TransferEvent, "{account} {amount}{receiver}, {code}", amount=_received_or_paid, market=_unsaid, receiver=_moved_to
    ),
    EventKind.POSITION: sentence_of(PositionEvent, "{account} opens with {quantity} in {market} at a cost of {cost}"),
    EventKind.FILL: sentence_of(FillEvent, "{account} trades {quantity} in {market} at {price} with {other}", counterpart=_or_outside),
    EventKind.MARK: sentence_of(MarkEvent, "mark of {market} {price}"),
    EventKind.INDEX: sentence_of(IndexEvent, "index of {market} {price}"),
    EventKind.VOLUME: sentence_of(VolumeEvent, "volume of {market} {quantity}"),
    EventKind.DEPTH: sentence_of(DepthEvent, "depth of {market}, {side}, band {band}: {quantity}"),
    EventKind.ORDER_FILL: sentence_of(OrderFillEvent, "order {order} filled: {quantity} in {market} at {price}"),
    EventKind.ORDER_DONE: sentence_of(OrderDoneEvent, "order {order} is done"),
    EventKind.CLOCK: sentence_of(ClockEvent, "the clock"),
    EventKind.FUNDING: sentence_of(FundingEvent, "funding in {market}: a long lot pays a short one {step}", step=_a_lot),
    EventKind.PARAMETER: sentence_of(
        ParameterEvent,
        "the rule {rule}{place} becomes {value}{until}",
        number=_rule_name,
        market=_unsaid,
        entry=_rule_place,
        part=_unsaid,
        value=_rule_value,
        from_ns=_until(" from {}"),
    ),
    EventKind.LISTING: sentence_of(ListingEvent, "{market} is to be listed"),
    EventKind.SETTLEMENT: sentence_of(SettlementEvent, "{market} ends: every position there is settled at {price}"),
    EventKind.HEARTBEAT: sentence_of(HeartbeatEvent, "{market} is alive"),
    EventKind.PROVIDER: sentence_of(ProviderEvent, "{account} becomes the account of {provider}"),
    EventKind.ANSWER: sentence_of(AnswerEvent, "offer {offer} is answered: {answer}"),
    EventKind.OPERATOR: sentence_of(
        OperatorEvent,
        "an operator orders {order}{of_provider}{at_price}; {where}, for {nanoseconds} ns",
        provider=_of_provider,
        market=_market_or_venue,
        hold_ns="nanoseconds",
        price_ticks=_at_price,
    ),
}

EFFECTS: dict[EffectKind, Sentence] = {kind: sentence_of(view) for kind, view in EFFECT_VIEWS.items()} | {
    EffectKind.REFUSAL: sentence_of(
        RefusalEffect, "refused: {reason}", market=_unsaid, other=_unsaid, lots=_unsaid, price_ticks=_unsaid, amount=_unsaid
    ),
    EffectKind.HEALTH: sentence_of(
        HealthEffect,
        "{account} is now {health}, was {before}: equity {equity}, maintenance margin {maintenance_margin}",
        old_health="before",
    ),
    EffectKind.RESTRICT: sentence_of(RestrictEffect, "{account} is restricted: its own orders are cancelled, it takes no new risk"),
    EffectKind.ORDER: sentence_of(
        OrderEffect, "closing order {order} of {account}: {quantity} in {market}, limit {limit}, zero cash {zero_cash}, reserved {reserved}"
    ),
    EffectKind.CANCEL: sentence_of(CancelEffect, "closing order {order} of {account} is cancelled with {quantity} in {market} open"),
    EffectKind.TRADE: sentence_of(
        TradeEffect,
        "{account} trades {quantity} in {market}{price} with {other}, {cause}: receives {cash}, realises {realised}",
        price_ticks=_price_if_any,
        counterpart=_or_many,
    ),
    EffectKind.POSTING: sentence_of(
        PostingEffect,
        "{account} receives {amount} from {other}, {cause}{market}",
        receiver="account",
        payer="other",
        market=_in_market,
        asset=_unsaid,  # the amount names it
    ),
    EffectKind.RESERVE: sentence_of(
        ReserveEffect, "the fund reserves {change} {order_id} {account} in {market}: {reserved} in all", order_id=_for_order
    ),
    EffectKind.ADL_PLAN: sentence_of(
        AdlPlanEffect,
        "ADL of {account}: {quantity} in {market} at mark {mark}, {policy}, {fills}, receives {cash}, equity {equity}",
        fills=_counted("fill"),
    ),
    EffectKind.ADL_SCALE: sentence_of(AdlScaleEffect, "{wanted} of {account} in {market} should leave, the plan closes fewer of all"),
    EffectKind.ADL_CLASS: sentence_of(
        AdlClassEffect,
        "ADL of {account}, class {class_name}: {candidates} candidates give {quantity} in {market}, {full} their whole cap, {eta}",
        adl_class="class_name",
        eta_lots=_eta,
        eta_weight=_unsaid,
    ),
    EffectKind.ADL_LINE: sentence_of(
        AdlLineEffect,
        "ADL of {account}, class {class_name}: {members} owners have shares below {least}, {quantity} in {market} together:"
        " some of them give for all, drawn from {point} of {length}",
        adl_class="class_name",
    ),
    EffectKind.ADL_PICK: sentence_of(
        AdlPickEffect,
        "the owner of {account} is drawn in class {class_name} of {other} in {market}: share {share}, from {begins} on",
        defaulter="other",
        adl_class="class_name",
    ),
    EffectKind.ADL_OWNER: sentence_of(
        AdlOwnerEffect,
        "the owner of {account} gives {quantity} in {market} by {fills}, class {class_name}: cap {cap}, weight {weight}",
        adl_class="class_name",
        fills=_counted("fill"),
        weight=_weight,
        equity=_unsaid,  # the weight names it, where it is told
    ),
    EffectKind.ADL_FILL: sentence_of(
        AdlFillEffect,
        "{account} gives {quantity} in {market} to the ADL of {other}, class {class_name}: receives {cash}, cap {cap}, weight {weight}",
        defaulter="other",
        adl_class="class_name",
        weight=_weight,
    ),
    EffectKind.CARRY: sentence_of(
        CarryEffect, "{account} is carried{until}: after the move it would lack {need}", until_ns=_until(" until {} at the latest")
    ),
    EffectKind.SUPPORT: sentence_of(
        SupportEffect,
        "the fund pays {support} of the {gap} that {account} lacks{market}: {kept_back}",
        market=_in_market,
        limit=_kept_back,
        cause=_unsaid,
        available=_unsaid,
    ),
    EffectKind.TEAR_UP: sentence_of(
        TearUpEffect, "tear-up of {account}: {quantity} in {market} at mark {mark}, receives {cash}, short of zero cash by {gap}"
    ),
    EffectKind.RESIDUAL: sentence_of(ResidualEffect, "{amount} of {account} stays uncovered{group}", group=_in_group(" in {}")),
    EffectKind.BREAKER: sentence_of(
        BreakerEffect,
        "{where} is {state}, because of {cause}{signal}{until}",
        market=_market_or_venue,
        breaker_state=_breaker_state,
        old_state="before",
        signal=_signal,
        until_ns=_until("; ends {} at the latest"),
    ),
    EffectKind.OFFER: sentence_of(
        OfferEffect, "offer {offer} to {provider}: {quantity} of {account} in {market}; it receives {cash}, the fund reserves {reserved}"
    ),
    EffectKind.TAKEOVER: sentence_of(
        TakeoverEffect,
        "{provider} takes over {quantity} of {account} in {market} ({how}): it receives {cash}, {support} from the fund",
        offer_id=_how,
    ),
    EffectKind.PROVIDER: sentence_of(
        ProviderEffect,
        "{provider} ({account}) is now {status}: {failures} failures in a row, score {score_ppm} ppm{until}",
        until_ns=_until(", until {}"),
    ),
    EffectKind.HAIRCUT: sentence_of(
        HaircutEffect,
        "{account} pays {amount} for those who lack in {market} ({other} first), {policy}: weight {weight}, cap {cap}",
        payer="account",
        defaulter="other",
    ),
    EffectKind.CLAIM: sentence_of(
        ClaimEffect, "the recovery claim of {account}{group} changes by {change}: {claim} then", group=_in_group(" on {}")
    ),
    EffectKind.FILL_DEBT: sentence_of(
        FillDebtEffect,
        "{winner} owes {account} {owed} for their fill in {market} at {price}, mark {mark}: it is paid where {account} lacks it",
    ),
    EffectKind.FUNDING: sentence_of(
        FundingEffect, "funding index of {market} moves by {step} to {index}: longs pay where it rises", step=_a_lot, index=_a_lot
    ),
    EffectKind.GUARD: sentence_of(
        GuardEffect,
        "the price guard: {price} of {market} is {done}; reference {reference}, move {move_ppm} ppm{until}",
        action="done",
        reference_ticks="reference",
        until_ns=_until(", until {}"),
    ),
    EffectKind.NAKED_LEG: sentence_of(
        NakedLegEffect,
        "what was taken in {market} leaves {owner} ({account}) with {quantity} in {naked_market} naked:"
        " exposure {after}, {before} had nothing been taken",
        lots=_naked_lots,
    ),
    EffectKind.PARAMETER: sentence_of(
        ParameterEffect,
        "the change of the rule {rule}{place} to {value}{until}: {status}",
        number=_rule_name,
        market=_unsaid,
        entry=_rule_place,
        part=_unsaid,
        new_value=_rule_value,
        from_ns=_until(" from {}"),
    ),
    EffectKind.RELIEF: sentence_of(
        ReliefEffect,
        "{account} needs {kept_ppm} ppm of its margin in {market}: {margin} of {full_margin}",
    ),
    EffectKind.LISTING: sentence_of(
        ListingEffect,
        "{market} is listed, in {group}: positions of at most {position_lots_max} lots, prices up to {price}",
        price_ticks_max="price",
        notional_factor=_unsaid,
    ),
    EffectKind.DOUBT: sentence_of(
        DoubtEffect,
        "doubt about the mark of {market}: {reason}; mark {mark}, last mark not doubted {undoubted}",
        undoubted_ticks="undoubted",
        mark_ticks="mark",
    ),
    EffectKind.SETTLEMENT: sentence_of(
        SettlementEffect,
        "settlement of {market} at {price}, {source}; mark before {mark}",
        mark_ticks="mark",
    ),
}


def kind_name(kind: int, *, is_event: bool) -> str:
    """Return the name of a kind in lower case; ``kind 99`` where this version knows none."""
    kinds: type[IntEnum] = EventKind if is_event else EffectKind
    return kinds(kind).name.lower() if kind in kinds._value2member_map_ else f"kind {kind}"


def time_text(time_ns: int) -> str:
    """Return nanoseconds since 1970 as ISO 8601 in UTC, without needless decimals."""
    text = str(np.datetime64(time_ns, "ns"))
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "Z"

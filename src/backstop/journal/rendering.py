"""Events and effects as people read them: names for numbers, decimals for atoms, ticks and lots.

Everything stands in two tables, ``EVENTS`` and ``EFFECTS``: for each kind a sentence, and what fills its
places. A new kind is a new row there; one that has none is shown field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from backstop.config import Venue
from backstop.config.policies import POLICIES, Weight, weight_kind
from backstop.core.events import (
    NEVER_NS,
    NONE,
    AdlClass,
    AdlPolicy,
    Answer,
    BookSide,
    BreakerCause,
    BreakerState,
    Cause,
    EffectKind,
    EventKind,
    Guard,
    Health,
    Operator,
    ProviderStatus,
    Reject,
    SocialisePolicy,
    Transfer,
)
from backstop.journal.manifest import Names
from backstop.journal.vocabulary import Vocabulary

__all__ = ["EFFECTS", "EVENTS", "Part", "Row", "Sentence", "Speaker", "kind_name", "time_text"]

#: One row, by field.
Row = Mapping[str, int]


class Speaker(Vocabulary):
    """Says the events and effects of one venue's run in words."""

    def __init__(self, venue: Venue, names: Names, *, knows_codes: bool = True) -> None:
        """``knows_codes`` is off for a journal whose codes are not those of this version: rows are then shown as numbers."""
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


class Part(NamedTuple):
    """One thing that a row says. A part that the sentence has no place for is only a field."""

    name: str
    #: Gives it as a text, or a number where it is a count.
    form: Callable[[Vocabulary, Row], str | int]
    #: The row's field, where it holds an account (or a ledger account of the house).
    holder_field: str = ""
    #: Gives it outside of the sentence, where that is another text; None: there is nothing to say.
    bare: Callable[[Vocabulary, Row], str | int | None] | None = None


class Sentence(NamedTuple):
    """What a kind says: words with places, and the parts that fill them."""

    words: str
    parts: tuple[Part, ...]

    def said(self, speaker: Vocabulary, row: Row) -> str:
        """Fill the places."""
        return self.words.format(**{part.name: part.form(speaker, row) for part in self.parts})

    @property
    def holder_fields(self) -> tuple[str, ...]:
        """Fields of the row that hold accounts."""
        return tuple(part.holder_field for part in self.parts if part.holder_field)


def _raw(row: Row) -> str:
    return " ".join(f"{name}={value}" for name, value in row.items() if name not in ("seq", "kind", "time_ns"))


def _holder(name: str, field: str = "account") -> Part:
    return Part(name, lambda speaker, row: speaker.holder(row[field]), field)


def _or_outside(name: str, field: str) -> Part:
    """A counterparty: an account, or none for traders whom the engine does not know."""
    return Part(name, lambda speaker, row: "outside traders" if row[field] == NONE else speaker.holder(row[field]), field)


def _counterpart(field: str) -> Part:
    """The other side of a trade; an ADL or tear-up has many, and names none."""
    return Part("other", lambda speaker, row: "its counterparties" if row[field] == NONE else speaker.holder(row[field]), field)


def _market() -> Part:
    return Part("market", lambda speaker, row: speaker.market(row["market"]))


def _in_market() -> Part:
    """A market where there is one."""
    return Part(
        "market",
        lambda speaker, row: "" if row["market"] == NONE else f" ({speaker.market(row['market'])})",
        bare=lambda speaker, row: None if row["market"] == NONE else speaker.market(row["market"]),
    )


def _quantity(name: str = "quantity", field: str = "lots") -> Part:
    return Part(name, lambda speaker, row: speaker.lots(row["market"], row[field]))


def _price(name: str = "price") -> Part:
    return Part(name, lambda speaker, row: speaker.price(row["market"], row["price_ticks"]))


def _price_if_any(name: str = "price") -> Part:
    return Part(
        name,
        lambda speaker, row: f" at {speaker.price(row['market'], row['price_ticks'])}" if row["price_ticks"] else "",
        bare=lambda speaker, row: speaker.price(row["market"], row["price_ticks"]) if row["price_ticks"] else None,
    )


def _cash(name: str, field: str = "amount") -> Part:
    return Part(name, lambda speaker, row: speaker.cash(row[field]))


def _count(name: str, field: str) -> Part:
    return Part(name, lambda speaker, row: row[field])


def _code(name: str, codes: type[IntEnum], field: str = "code") -> Part:
    names = {int(code): code.name.lower() for code in codes}
    return Part(name, lambda speaker, row: names.get(row[field], f"code {row[field]}"))


def _cap_lots(name: str, field: str) -> Part:
    return Part(name, lambda speaker, row: speaker.lots(row["market"], row[field]))


def _weight() -> Part:
    """Weight of an ADL counterparty, by the venue's policy; in HOUSE always lots."""

    def said(speaker: Vocabulary, row: Row) -> str:
        policy, value = AdlPolicy(speaker.venue.rules.adl_policy), row["value"]
        weight = weight_kind(policy, row["code"])
        if weight == Weight.SCORE:
            return POLICIES[policy].score.format(value)
        return speaker.cash(value) if weight == Weight.PROFIT else speaker.lots(row["market"], value)

    return Part("weight", said)


def _eta() -> Part:
    """How a class shares: a part of each weight, or whole caps, one by one where the policy goes by an order."""

    def said(speaker: Vocabulary, row: Row) -> str:
        policy = AdlPolicy(speaker.venue.rules.adl_policy)
        order = POLICIES[policy].order
        if order and row["code"] != AdlClass.HOUSE and row["price_ticks"] < row["other"]:
            return f"one by one in order of {order} until done, the last at {row['amount']}"
        if row["value"] == 0:
            return "their whole caps"
        kind, weight = weight_kind(policy, row["code"]), str(row["value"])
        if kind != Weight.SCORE:
            weight = speaker.cash(row["value"]) if kind == Weight.PROFIT else speaker.lots(row["market"], row["value"])
        return f"eta {speaker.lots(row['market'], row['amount'])} / {weight}"

    return Part("eta", said)


def _market_or_venue(name: str) -> Part:
    return Part(name, lambda speaker, row: "the venue" if row["market"] == NONE else speaker.market(row["market"]))


def _until(field: str, words: str) -> tuple[Part, Part]:
    """A time, in the sentence where there is one to come; beside it in nanoseconds, None where there is none."""

    def said(_: Vocabulary, row: Row) -> str:
        return words.format(time_text(row[field])) if 0 < row[field] < NEVER_NS else ""

    def number(_: Vocabulary, row: Row) -> int | None:
        return row[field] if 0 < row[field] < NEVER_NS else None

    return Part("until", said, bare=lambda _, row: time_text(row[field]) if 0 < row[field] < NEVER_NS else None), Part(
        "until_ns", lambda _, row: row[field], bare=number
    )


def _signal() -> Part:
    """How strong the signal of a breaker's cause was: a move (PRICE) or distance (INDEX), or what was liquidated (FLOW)."""

    def said(speaker: Vocabulary, row: Row) -> str | None:
        if row["lots"] in (BreakerCause.PRICE, BreakerCause.INDEX):
            return f"{row['value'] / 10_000:g} %"
        return f"{speaker.cash(row['value'])} liquidated" if row["lots"] == BreakerCause.FLOW else None

    return Part("signal", lambda speaker, row: f" ({text})" if (text := said(speaker, row)) else "", bare=said)


def _breaker_state() -> Part:
    """From which state to which, in the sentence; beside it the new state. A stop that is held anew comes from its own state."""
    state, before = _code("state", BreakerState), _code("before", BreakerState, "other")

    def said(speaker: Vocabulary, row: Row) -> str:
        new = state.form(speaker, row)
        return f"{new} anew" if row["code"] == row["other"] else f"now {new}, was {before.form(speaker, row)}"

    return Part("state", said, bare=state.form)


def _provider(field: str) -> Part:
    return Part("provider", lambda speaker, row: speaker.provider(row[field]))


EVENTS: dict[EventKind, Sentence] = {
    EventKind.ACCOUNT: Sentence(
        "{account} opens, belongs to {owner}", (_holder("account"), Part("owner", lambda speaker, row: speaker.owner(row["other"])))
    ),
    EventKind.TRANSFER: Sentence("{account} receives {amount}, {code}", (_holder("account"), _cash("amount"), _code("code", Transfer))),
    EventKind.POSITION: Sentence(
        "{account} opens with {quantity} in {market} at a cost of {cost}", (_holder("account"), _market(), _quantity(), _cash("cost"))
    ),
    EventKind.FILL: Sentence(
        "{account} trades {quantity} in {market} at {price} with {other}",
        (_holder("account"), _or_outside("other", "other"), _market(), _quantity(), _price()),
    ),
    EventKind.MARK: Sentence("mark of {market} {price}", (_market(), _price())),
    EventKind.INDEX: Sentence("index of {market} {price}", (_market(), _price())),
    EventKind.VOLUME: Sentence("volume of {market} {quantity}", (_market(), _quantity())),
    EventKind.DEPTH: Sentence(
        "depth of {market}, {side}, band {band}: {quantity}", (_market(), _code("side", BookSide), _count("band", "other"), _quantity())
    ),
    EventKind.ORDER_FILL: Sentence(
        "order {order} filled: {quantity} in {market} at {price}", (_count("order", "other"), _market(), _quantity(), _price())
    ),
    EventKind.ORDER_DONE: Sentence("order {order} is done", (_count("order", "other"),)),
    EventKind.CLOCK: Sentence("the clock", ()),
    EventKind.PROVIDER: Sentence("{account} becomes the account of {provider}", (_holder("account"), _provider("other"))),
    EventKind.ANSWER: Sentence("offer {offer} is answered: {answer}", (_count("offer", "other"), _code("answer", Answer))),
    EventKind.OPERATOR: Sentence(
        "an operator orders {order}{of_provider}; {where}, for {nanoseconds} ns",
        (
            _code("order", Operator),
            Part(
                "of_provider",
                lambda speaker, row: (
                    f" {speaker.provider(row['other'])}" if row["code"] in (Operator.PROVIDER_OFF, Operator.PROVIDER_ON) else ""
                ),
                bare=lambda speaker, row: (
                    speaker.provider(row["other"]) if row["code"] in (Operator.PROVIDER_OFF, Operator.PROVIDER_ON) else None
                ),
            ),
            _market_or_venue("where"),
            _count("nanoseconds", "amount"),
        ),
    ),
}

EFFECTS: dict[EffectKind, Sentence] = {
    EffectKind.REFUSAL: Sentence("refused: {reason}", (_code("reason", Reject), _holder("account"))),
    EffectKind.HEALTH: Sentence(
        "{account} is now {health}, was {before}: equity {equity}, maintenance margin {maintenance_margin}",
        (
            _holder("account"),
            _code("health", Health),
            _code("before", Health, "other"),
            _cash("equity"),
            _cash("maintenance_margin", "value"),
        ),
    ),
    EffectKind.RESTRICT: Sentence("{account} is restricted: its own orders are cancelled, it takes no new risk", (_holder("account"),)),
    EffectKind.ORDER: Sentence(
        "closing order {order} of {account}: {quantity} in {market}, limit {limit}, zero cash {zero_cash}, reserved {reserved}",
        (
            _count("order", "other"),
            _holder("account"),
            _market(),
            _quantity(),
            _price("limit"),
            _cash("zero_cash"),
            _cash("reserved", "value"),
        ),
    ),
    EffectKind.CANCEL: Sentence(
        "closing order {order} of {account} is cancelled with {quantity} in {market} open",
        (_count("order", "other"), _holder("account"), _market(), _quantity()),
    ),
    EffectKind.TRADE: Sentence(
        "{account} trades {quantity} in {market}{price} with {other}, {cause}: receives {cash}, realises {realised}",
        (
            _holder("account"),
            _market(),
            _quantity(),
            _price_if_any(),
            _counterpart("other"),
            _code("cause", Cause),
            _cash("cash"),
            _cash("realised", "value"),
        ),
    ),
    EffectKind.POSTING: Sentence(
        "{account} receives {amount} from {other}, {cause}{market}",
        (_holder("account"), _cash("amount"), _holder("other", "other"), _code("cause", Cause), _in_market()),
    ),
    EffectKind.RESERVE: Sentence(
        "the fund reserves {change} for order {order} of {account} in {market}: {reserved} in all",
        (_cash("change"), _count("order", "other"), _holder("account"), _market(), _cash("reserved", "value")),
    ),
    EffectKind.ADL_PLAN: Sentence(
        "ADL of {account}: {quantity} in {market} at mark {mark}, {policy}, {fills} fills, receives {cash}, equity {equity}",
        (
            _holder("account"),
            _quantity(),
            _market(),
            _price("mark"),
            _code("policy", AdlPolicy),
            _count("fills", "other"),
            _cash("cash"),
            _cash("equity", "value"),
        ),
    ),
    EffectKind.ADL_CLASS: Sentence(
        "ADL of {account}, class {class_name}: {candidates} candidates give {quantity} in {market}, {full} their whole cap, {eta}",
        (
            _holder("account"),
            _code("class_name", AdlClass),
            _count("candidates", "other"),
            _quantity(),
            _market(),
            _count("full", "price_ticks"),
            _eta(),
        ),
    ),
    EffectKind.ADL_FILL: Sentence(
        "{account} gives {quantity} in {market} to the ADL of {other}, class {class_name}: receives {cash}, cap {cap}, weight {weight}",
        (
            _holder("account"),
            _holder("other", "other"),
            _market(),
            _quantity(),
            _code("class_name", AdlClass),
            _cash("cash"),
            _cap_lots("cap", "price_ticks"),
            _weight(),
        ),
    ),
    EffectKind.TEAR_UP: Sentence(
        "tear-up of {account}: {quantity} in {market} at mark {mark}, receives {cash}, short of zero cash by {gap}",
        (_holder("account"), _quantity(), _market(), _price("mark"), _cash("cash"), _cash("gap", "value")),
    ),
    EffectKind.RESIDUAL: Sentence("{amount} of {account} stays uncovered", (_holder("account"), _cash("amount"))),
    EffectKind.BREAKER: Sentence(
        "{where} is {state}, because of {cause}{signal}{until}",
        (
            _market_or_venue("where"),
            _breaker_state(),
            _code("before", BreakerState, "other"),
            _code("cause", BreakerCause, "lots"),
            _signal(),
            *_until("amount", "; ends {} at the latest"),
        ),
    ),
    EffectKind.OFFER: Sentence(
        "offer {offer} to {provider}: {quantity} of {account} in {market}; it receives {cash}, the fund reserves {reserved}",
        (
            _count("offer", "other"),
            _provider("price_ticks"),
            _quantity(),
            _holder("account"),
            _market(),
            _cash("cash"),
            _cash("reserved", "value"),
        ),
    ),
    EffectKind.TAKEOVER: Sentence(
        "{provider} takes over {quantity} of {account} in {market} ({how}): it receives {cash}, {support} from the fund",
        (
            _provider("price_ticks"),
            _quantity(),
            _holder("account"),
            _market(),
            _count("offer", "other"),
            Part("how", lambda _, row: f"offer {row['other']}" if row["other"] else "at once"),
            _cash("cash"),
            _cash("support", "value"),
        ),
    ),
    EffectKind.PROVIDER: Sentence(
        "{provider} ({account}) is now {status}: {failures} failures in a row, score {score_ppm} ppm{until}",
        (
            _provider("other"),
            _holder("account"),
            _code("status", ProviderStatus),
            _count("failures", "lots"),
            _count("score_ppm", "amount"),
            *_until("value", ", until {}"),
        ),
    ),
    EffectKind.HAIRCUT: Sentence(
        "{account} pays {amount} for the default of {other} in {market}, {policy}: weight {weight}, cap {cap}",
        (
            _holder("account"),
            _cash("amount"),
            _holder("other", "other"),
            _market(),
            _code("policy", SocialisePolicy),
            _cash("weight", "value"),
            _cash("cap", "lots"),
        ),
    ),
    EffectKind.CLAIM: Sentence(
        "the recovery claim of {account} changes by {change}: {claim} then", (_holder("account"), _cash("change"), _cash("claim", "value"))
    ),
    EffectKind.GUARD: Sentence(
        "the price guard: {price} of {market} is {done}; accepted mark before {before}, move {move_ppm} ppm{until}",
        (
            _price(),
            _market(),
            _code("done", Guard),
            Part("before", lambda speaker, row: speaker.price(row["market"], row["other"])),
            _count("move_ppm", "value"),
            *_until("amount", ", until {}"),
        ),
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

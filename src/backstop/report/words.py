"""Numbers, money and times as people read them, each with its exact value beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from backstop.config import Asset, MarketSpec, Venue
from backstop.report.markup import Html, join, tag

__all__ = [
    "MINUS",
    "account_name",
    "clock",
    "compact",
    "count",
    "exact_money",
    "grouped",
    "money",
    "percent",
    "price",
    "quantity",
    "span_text",
    "symbol_short",
    "units",
]

_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
MINUS = "\N{MINUS SIGN}"
_STEPS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


def units(atoms: int, asset: Asset) -> Decimal:
    """Return atoms as a decimal of the asset, exactly."""
    return Decimal(int(atoms)).scaleb(-asset.decimals)


def exact_money(atoms: int, asset: Asset) -> str:
    """Return atoms with all digits, thousands apart, as in ``2,996,733.084218``."""
    return grouped(asset.text(int(atoms)))


def money(atoms: int, asset: Asset, decimals: int | None = None) -> Html:
    """Return atoms rounded for the eye; the element carries the exact amount as its value and its
    tooltip.

    Whole units from 1,000 on, hundredths below, unless ``decimals`` says otherwise. Halves go to
    the even digit.
    """
    amount = units(atoms, asset)
    if decimals is None:
        decimals = 0 if abs(amount) >= 1000 or amount == 0 else 2
    rounded = amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)
    text = f"{abs(rounded):,}"
    return tag(
        "data",
        f"{MINUS if rounded < 0 else ''}{text}",
        value=asset.text(int(atoms)),
        title=f"{exact_money(atoms, asset)} {asset.name}",
    )


def count(number: int) -> Html:
    """Return a whole number with its thousands apart."""
    return tag("data", f"{int(number):,}", value=int(number))


def compact(value: float, digits: int = 4) -> str:
    """Return a number with at most so many digits and a suffix, for an axis: ``1.25M``,
    ``350k``.
    """
    size = abs(value)
    sign = MINUS if value < 0 else ""
    for step, suffix in _STEPS:
        if size >= step:
            return f"{sign}{_short(size / step, digits)}{suffix}"
    return f"{sign}{_short(size, digits)}"


def _short(size: float, digits: int) -> str:
    return f"{size:,.0f}" if size >= 1000 or size == 0 else f"{size:.{digits}g}"


def percent(part: int | float, whole: int | float, decimals: int = 1) -> str:
    """Return a share in percent; a dash where there is no whole.

    A share that is not nothing is never shown as 0, nor one that is not all as 100.
    """
    if not whole:
        return "\N{EN DASH}"
    value, least = 100 * part / whole, 10.0**-decimals
    if part and abs(value) < least / 2:
        return f"under {least:.{decimals}f} %"
    if abs(part) < abs(whole) and abs(value) >= 100 - least / 2:
        return f"over {100 - least:.{decimals}f} %"
    return f"{MINUS if value < 0 else ''}{abs(value):.{decimals}f} %"


def price(ticks: int, market: MarketSpec) -> str:
    """Return a price with its thousands apart and the decimals of its tick."""
    exponent = market.price_tick.normalize().as_tuple().exponent
    decimals = max(0, -int(exponent)) if isinstance(exponent, int) else 0
    return f"{Decimal(int(ticks)) * market.price_tick:,.{decimals}f}"


def quantity(lots: int, market: MarketSpec) -> str:
    """Return lots as contracts, thousands apart."""
    return grouped(market.quantity_text(int(lots)))


def grouped(text: str) -> str:
    """Return a decimal text with its thousands apart, and a minus that is one; any other text as it
    is.
    """
    if not _DECIMAL.fullmatch(text):
        return text
    whole, point, part = text.removeprefix("-").partition(".")
    return f"{MINUS if text.startswith('-') else ''}{int(whole):,}{point}{part}"


def clock(time_ns: int, *, seconds: bool = True, date: bool = False) -> str:
    """Return a time in UTC, cut to its second (or minute)."""
    moment = datetime.fromtimestamp(int(time_ns) // 10**9, UTC)
    return moment.strftime(("%Y-%m-%d " if date else "") + ("%H:%M:%S" if seconds else "%H:%M"))


def span_text(span_ns: int) -> str:
    """Return a duration in its two largest units, as in ``1 h 20 min``, of the nearest second."""
    left, words = (int(span_ns) + 5 * 10**8) // 10**9, []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        amount, left = divmod(left, size)
        if amount:
            words.append(f"{amount} {unit}")
    return " ".join(words[:2]) or "under 1 s"


def symbol_short(market: MarketSpec, venue: Venue) -> str:
    """Return the base asset where it names the market well enough, else the whole symbol."""
    same = [other for other in venue.markets if other.base == market.base]
    return market.base if len(same) == 1 else market.symbol


def account_name(account: int, names: Sequence[str]) -> Html:
    """Return an account's name; the element carries its id."""
    name = names[account] if 0 <= account < len(names) else f"#{account}"
    return join(tag("data", name, value=int(account)))

"""From decimals in files to the engine's integers, once, where they come in; and back, for people.

Exact: fractions between, no float, and no decimal context that could round unseen. Whoever lets a
value be rounded names the rounding.
"""

from __future__ import annotations

import math
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

__all__ = ["OffGridError", "Rounding", "decimal_text", "steps_of", "value_of"]

#: A decimal beyond these exponents is a mistake, and its exact form would fill memory.
_EXPONENT_MAX = 40


class Rounding(StrEnum):
    """Where a value between two steps goes."""

    #: Nowhere: it is refused.
    EXACT = "exact"
    #: Toward minus infinity.
    FLOOR = "floor"
    #: Toward plus infinity.
    CEIL = "ceil"
    #: To the nearest; halfway, to the even step.
    HALF_EVEN = "half_even"


class OffGridError(ValueError):
    """A value that is no whole number of steps, where it had to be."""


def steps_of(value: Decimal, step: Decimal, rounding: Rounding = Rounding.EXACT) -> int:
    """Return how many ``step`` make ``value``; raise ``OffGridError`` where that is no whole number
    and must be, ``TypeError`` where it is no ``Decimal``.
    """
    if not isinstance(value, Decimal):
        raise TypeError(f'{value!r} is a {type(value).__name__}: must be a Decimal, as in Decimal("0.1")')
    if not value.is_finite() or abs(value.adjusted()) > _EXPONENT_MAX:
        raise OffGridError(f"{value} is not a usable number")
    count = Fraction(value) / Fraction(step)
    if rounding is Rounding.FLOOR:
        return math.floor(count)
    if rounding is Rounding.CEIL:
        return math.ceil(count)
    if rounding is Rounding.HALF_EVEN:
        return round(count)
    if count.denominator != 1:
        below, above = value_of(math.floor(count), step), value_of(math.ceil(count), step)
        raise OffGridError(
            f"{decimal_text(value)} is not a whole number of steps of {decimal_text(step)}:"
            f" {decimal_text(below)} and {decimal_text(above)} are"
        )
    return count.numerator


def value_of(steps: int, step: Decimal) -> Decimal:
    """Return ``steps x step``, exactly."""
    sign, digits, exponent = step.as_tuple()
    assert isinstance(exponent, int)
    whole = int("".join(map(str, digits))) * steps * (-1 if sign else 1)
    return Decimal((0 if whole >= 0 else 1, tuple(map(int, str(abs(whole)))), exponent))


def decimal_text(value: Decimal) -> str:
    """Return the one plain text of a value: no exponent, no trailing zeros."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text

"""Cells to integers: times to nanoseconds, names to numbers, decimals to steps of a grid, exactly.

A decimal text, or the shortest decimal of a float, becomes a mantissa and a number of decimals;
what follows is integer arithmetic. The few values beyond 15 digits go through fractions one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from backstop.config.quantise import Rounding
from backstop.feeds.table import Chunk, Column, Table

__all__ = [
    "TIME_MAX_NS",
    "Grid",
    "Steps",
    "decimal_of",
    "duration_ns_of",
    "exact_of",
    "fraction_text",
    "largest_errors",
    "names_of",
    "steps_of_column",
    "time_ns_of",
    "time_text",
    "times_of",
]

Ints = NDArray[np.int64]

#: Decimals of a float that are tried without leaving its 53 bits.
_TRIED_MAX = 15
_DIGITS_MAX = 15
#: Most decimals of a mantissa of 64 bits, and the longest text of one, with sign and point.
_DECIMALS_MAX = 18
_LONG_MAX = 18
_POWERS = np.array([10.0**power for power in range(_TRIED_MAX + 1)])
#: A product below this leaves room to be doubled.
_SAFE = 1 << 61
#: A number beyond these powers of ten is a mistake, and its exact form would fill memory.
_EXPONENT_MAX = 40
_FLOAT_MIN = 1e-40
#: Such a float has 17 digits more.
_PLACES_MAX = 60

_PLAIN = frozenset("0123456789.-")
_TIME = re.compile(r"(\d{4})-(\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)
#: Times stay below 2^62, as the engine's own do.
TIME_MAX_NS = 1 << 62
_DURATION = re.compile(r"(\d{1,6})(s|m|h|d|w)", re.ASCII)
_SECOND_NS = 1_000_000_000
_DURATIONS_NS = {"s": _SECOND_NS, "m": 60 * _SECOND_NS, "h": 3600 * _SECOND_NS, "d": 86400 * _SECOND_NS, "w": 604800 * _SECOND_NS}
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_TIME_EXPECTED = "must be UTC in ISO 8601 (2025-10-10T21:00:00Z) or whole nanoseconds since 1970"


# Times


def time_ns_of(text: str) -> int:
    """Return a time in nanoseconds since 1970; raise ``ValueError`` with the right form.

    A time without a zone is UTC; another zone than UTC is refused.
    """
    if _INTEGER.fullmatch(text):
        value = int(text)
        if not 0 <= value < TIME_MAX_NS:
            raise ValueError(f"{_TIME_EXPECTED}, before 2116")
        return value
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(_TIME_EXPECTED)
    year, day, minute, second, zone = match.groups()
    if zone not in (None, "Z", "+00:00", "+0000", "-00:00", "-0000"):
        raise ValueError(f"is in another time zone: {_TIME_EXPECTED}")
    if not 1970 <= int(year) < 2116:
        raise ValueError("must lie in the years 1970 to 2115")
    try:
        return int(np.datetime64(f"{year}-{day}T{minute or '00:00'}{second or ':00'}", "ns").astype(np.int64))
    except ValueError:
        raise ValueError(f"is no date and time: {_TIME_EXPECTED}") from None


def times_of(table: Table, chunk: Chunk, name: str) -> Ints:
    """Return a column of times in nanoseconds."""
    column = chunk.columns[name]
    if isinstance(column, np.ndarray):
        refuse_missing(table, chunk, name)
        if column.dtype != np.int64:
            raise table.error("holds numbers with decimals", _TIME_EXPECTED, column=name)
        bad = (column < 0) | (column >= TIME_MAX_NS)
        if bad.any():
            place = int(np.argmax(bad))
            raise table.error(
                "is no usable time", f"{_TIME_EXPECTED}, before 2116", chunk=chunk, place=place, column=name, value=column[place]
            )
        return column
    known: dict[str | None, int] = {}
    times = np.empty(len(column), dtype=np.int64)
    for place, text in enumerate(column):
        value = known.get(text)
        if value is None:
            if text is None:
                raise table.error("the time is missing", _TIME_EXPECTED, chunk=chunk, place=place, column=name)
            try:
                value = time_ns_of(text)
            except ValueError as error:
                raise table.error("is no usable time", str(error), chunk=chunk, place=place, column=name, value=text) from None
            known[text] = value
        times[place] = value
    return times


def time_text(time_ns: int) -> str:
    """Return nanoseconds since 1970 as ISO 8601 in UTC, without needless decimals."""
    text = str(np.datetime64(time_ns, "ns"))
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "Z"


def duration_ns_of(text: str) -> int:
    """Return a timeframe such as 30s, 5m, 1h or 1d in nanoseconds; raise ``ValueError`` with the
    right form.
    """
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError("must be a whole number of s, m, h, d or w, as in 5m")
    duration_ns = int(match[1]) * _DURATIONS_NS[match[2]]
    if duration_ns >= TIME_MAX_NS:
        raise ValueError("must be less than 146 years")
    return duration_ns


# Names


def names_of(
    table: Table, chunk: Chunk, name: str, number_of: Callable[[str], int | None], expected: Callable[[str], str], noun: str
) -> Ints:
    """Return a column of names as numbers; ``number_of`` knows them, ``expected`` is the right
    form.
    """
    column = chunk.columns[name]
    if isinstance(column, np.ndarray):
        raise table.error("holds numbers", f"must hold the name of a {noun}", column=name)
    known: dict[str | None, int] = {}
    numbers = np.empty(len(column), dtype=np.int64)
    for place, text in enumerate(column):
        number = known.get(text)
        if number is None:
            number = None if text is None else number_of(text)
            if number is None:
                problem = f"the {noun} is missing" if text is None else f"is an unknown {noun}"
                raise table.error(problem, expected(text or ""), chunk=chunk, place=place, column=name, value=text)
            known[text] = number
        numbers[place] = number
    return numbers


# Numbers


def decimal_of(text: str) -> Decimal:
    """Return the exact decimal of a text; raise ``ValueError`` with the problem."""
    try:
        if not text.isascii():
            raise ValueError("is no number")
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("is no number") from None
    if not value.is_finite():
        raise ValueError("is no finite number")
    exponent = value.as_tuple().exponent
    if "_" in text or not isinstance(exponent, int) or abs(exponent) > _EXPONENT_MAX or abs(value.adjusted()) > _EXPONENT_MAX:
        raise ValueError("is no usable number")
    return value


@dataclass(frozen=True, slots=True)
class Grid:
    """The steps that values of a column are counted in, one for each number (a market's,
    mostly).
    """

    #: Size of a step.
    step: tuple[Fraction, ...]
    #: Most steps, either way.
    steps_max: tuple[int, ...]
    rounding: Rounding
    #: Least steps of each, where it has any.
    steps_min: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    """A column in steps of its grid."""

    values: Ints
    #: Cells without a value; their ``values`` are 0.
    missing: NDArray[np.bool_]
    #: Cells whose value was not a whole number of steps and was rounded.
    unfit: NDArray[np.bool_]
    #: Distance by which each unfit cell was moved, in steps (to find the largest).
    distance: NDArray[np.float64]


def steps_of_column(
    table: Table, chunk: Chunk, name: str, grid: Grid, numbers: Ints, *, expected: str, least: int, optional: bool = False
) -> Steps:
    """Quantise a column: cell ``i`` in steps of ``grid.step[numbers[i]]``.

    Refuses what is no number, lies below ``least`` steps or above the grid's most, is missing
    (unless ``optional``), or, where the grid's rounding is EXACT, is no whole number of steps.
    """
    column = chunk.columns[name]
    mantissa, decimals, slow, missing = _mantissas(table, chunk, name, column, expected)
    _read_long(column, mantissa, decimals, slow)
    if not optional and missing.any():
        raise table.error("is missing", expected, chunk=chunk, place=int(np.argmax(missing)), column=name)
    multiplier, divisor, fits = _ratios(grid)
    slow |= ~fits[numbers, decimals]
    factor = multiplier[numbers, decimals]
    slow |= (mantissa > _SAFE // np.maximum(factor, 1)) | (mantissa < -(_SAFE // np.maximum(factor, 1)))
    if missing.any():
        slow &= ~missing
    product = np.where(slow, 0, mantissa) * factor
    by = divisor[numbers, decimals]
    values, rest = np.divmod(product, by)
    unfit = rest != 0
    if grid.rounding is Rounding.HALF_EVEN:
        up = (2 * rest > by) | ((2 * rest == by) & (values % 2 == 1))
    else:
        up = unfit & (grid.rounding is Rounding.CEIL)
    values = values + up
    distance = np.abs(np.where(up, by - rest, rest)) / by
    exact = {int(place): exact_of(column, int(place)) for place in np.flatnonzero(slow)}
    large: list[int] = []
    for place, fraction in exact.items():
        number = int(numbers[place])
        count = fraction / grid.step[number]
        whole = _rounded(count, grid.rounding)
        unfit[place] = count.denominator != 1
        distance[place] = float(abs(count - whole))
        if abs(whole) > grid.steps_max[number]:
            large.append(place)
            whole = 0
        values[place] = whole
    _refuse_out_of_range(table, chunk, name, column, values, missing, grid, numbers, large, exact, expected, least)
    if grid.rounding is Rounding.EXACT and unfit.any():
        place = int(np.argmax(unfit))
        raise table.error(
            f"is no whole number of steps of {fraction_text(grid.step[int(numbers[place])])}",
            expected,
            chunk=chunk,
            place=place,
            column=name,
            value=_cell(column, place),
        )
    return Steps(values, missing, unfit, np.where(unfit, distance, 0.0))


def largest_errors(chunk: Chunk, name: str, grid: Grid, numbers: Ints, steps: Steps) -> dict[int, tuple[int, Fraction]]:
    """Return, for each number with unfit cells, their count and the largest distance, exactly."""
    errors: dict[int, tuple[int, Fraction]] = {}
    places = np.flatnonzero(steps.unfit)
    for number in np.unique(numbers[places]):
        mine = places[numbers[places] == number]
        place = int(mine[np.argmax(steps.distance[mine])])
        distance = abs(exact_of(chunk.columns[name], place) - int(steps.values[place]) * grid.step[int(number)])
        errors[int(number)] = (len(mine), distance)
    return errors


def _refuse_out_of_range(
    table: Table,
    chunk: Chunk,
    name: str,
    column: Column,
    values: Ints,
    missing: NDArray[np.bool_],
    grid: Grid,
    numbers: Ints,
    large: list[int],
    exact: dict[int, Fraction],
    expected: str,
    least: int,
) -> None:
    most = np.array(grid.steps_max, dtype=np.int64)[numbers]
    bad = ~missing & ((values < least) | (np.abs(values) > most))
    if grid.steps_min:
        bad |= ~missing & (values < np.array(grid.steps_min, dtype=np.int64)[numbers])
    bad[large] = True
    if not bad.any():
        return
    place = int(np.argmax(bad))
    number = int(numbers[place])
    step, top = grid.step[number], grid.steps_max[number]
    value = exact[place] if place in exact else exact_of(column, place)
    if least >= 0 and value < 0:
        problem = "is negative"
    elif least > 0 and value == 0:
        problem = "is zero"
    elif 0 < value < least * step:
        problem = f"is nearer to 0 than to one step of {fraction_text(step)}"
    elif grid.steps_min and value < grid.steps_min[number] * step:
        problem, expected = "is too small", f"must be at least {fraction_text(grid.steps_min[number] * step)}, price_min of its market"
    else:
        problem, expected = "is too large", f"must be at most {fraction_text(top * step)}"
    raise table.error(problem, expected, chunk=chunk, place=place, column=name, value=_cell(column, place))


def _mantissas(
    table: Table, chunk: Chunk, name: str, column: Column, expected: str
) -> tuple[Ints, Ints, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (mantissa, decimals, whether the cell needs fractions, whether it is missing)."""
    if isinstance(column, np.ndarray):
        missing = chunk.missing.get(name, np.zeros(len(column), dtype=bool)).copy()
        if column.dtype == np.int64:
            # Not by its absolute value: that of the lowest number is itself.
            return column, np.zeros(len(column), dtype=np.int64), (column > _SAFE) | (column < -_SAFE), missing
        bad = ~np.isfinite(column) & ~missing
        if bad.any():
            place = int(np.argmax(bad))
            raise table.error("is no finite number", expected, chunk=chunk, place=place, column=name, value=str(column[place]))
        odd = (column != 0) & (np.abs(column) < _FLOAT_MIN)
        if odd.any():
            place = int(np.argmax(odd))
            raise table.error("is no usable number", expected, chunk=chunk, place=place, column=name, value=str(column[place]))
        long = np.zeros(len(column), dtype=bool)
        return *_float_mantissas(column, long), missing
    floats, long, missing = _parsed(table, chunk, name, column, expected)
    return *_float_mantissas(floats, long), missing


def _parsed(
    table: Table, chunk: Chunk, name: str, column: Sequence[str | None], expected: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return texts as floats, which of them have too many digits for that, and which are
    missing.
    """
    missing = np.array([text is None for text in column], dtype=bool)
    texts = [text or "0" for text in column]
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    long = lengths > _DIGITS_MAX + 1
    try:
        if int(lengths.max(initial=0)) > _EXPONENT_MAX or not _PLAIN.issuperset("".join(texts)):
            raise ValueError
        return np.array([float(text) for text in texts], dtype=np.float64), long, missing
    except ValueError:
        pass
    floats = np.zeros(len(texts), dtype=np.float64)
    for place, text in enumerate(texts):
        try:
            floats[place] = float(decimal_of(text))
        except ValueError as error:
            raise table.error(str(error), expected, chunk=chunk, place=place, column=name, value=text) from None
        long[place] |= not _PLAIN.issuperset(text)
    return floats, long, missing


def _read_long(column: Column, mantissa: Ints, decimals: Ints, slow: NDArray[np.bool_]) -> None:
    """Read the plain texts of 16 to 18 digits into the same form; longer texts stay ``slow``."""
    for place in np.flatnonzero(slow):
        text = _cell(column, int(place))
        whole, point, part = text.partition(".")
        if len(text) <= _LONG_MAX and len(part) <= _DECIMALS_MAX and _PLAIN.issuperset(text) and (part or not point):
            mantissa[place], decimals[place], slow[place] = int(whole + part), len(part), False


def _float_mantissas(floats: NDArray[np.float64], slow: NDArray[np.bool_]) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Return the shortest decimal of each float as (mantissa, decimals), and for which there is
    none of 15 digits.

    A quotient of two integers below 2^53 is rounded correctly, so
    ``mantissa / 10^decimals == float`` says that the decimal reads as this float; of at most 15
    digits, it is the only one so short.
    """
    mantissa = np.zeros(len(floats), dtype=np.int64)
    decimals = np.zeros(len(floats), dtype=np.int64)
    slow = slow.copy()
    left = np.flatnonzero(~slow)
    for power in range(_TRIED_MAX + 1):
        if not len(left):
            break
        values = floats[left]
        with np.errstate(over="ignore"):
            whole = np.rint(values * _POWERS[power])
        small = np.abs(whole) < 10.0**_DIGITS_MAX
        found = small & (whole / _POWERS[power] == values)
        mantissa[left[found]] = whole[found].astype(np.int64)
        decimals[left[found]] = power
        slow[left[~small]] = True
        left = left[small & ~found]
    slow[left] = True
    return mantissa, decimals, slow


@lru_cache(maxsize=64)
def _ratios(grid: Grid) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Return, for each step and number of decimals, multiplier and divisor, and whether both are
    small.
    """
    shape = (len(grid.step), _DECIMALS_MAX + 1)
    multiplier, divisor = np.ones(shape, dtype=np.int64), np.ones(shape, dtype=np.int64)
    fits = np.ones(shape, dtype=bool)
    for number, step in enumerate(grid.step):
        for power in range(_DECIMALS_MAX + 1):
            ratio = 1 / (step * 10**power)
            if ratio.numerator < _SAFE and ratio.denominator < _SAFE:
                multiplier[number, power], divisor[number, power] = ratio.numerator, ratio.denominator
            else:
                fits[number, power] = False
    return multiplier, divisor, fits


def _rounded(count: Fraction, rounding: Rounding) -> int:
    if rounding is Rounding.HALF_EVEN:
        return round(count)
    return -((-count.numerator) // count.denominator) if rounding is Rounding.CEIL else count.numerator // count.denominator


def _cell(column: Column, place: int) -> str:
    if isinstance(column, np.ndarray) and column.dtype == np.float64:
        return repr(float(column[place]))
    return str(column[place])


def exact_of(column: Column, place: int) -> Fraction:
    """Return the exact value of a cell that was checked before."""
    return Fraction(Decimal(_cell(column, place)))


def fraction_text(value: Fraction) -> str:
    """Return a fraction >= 0 whose denominator divides a power of ten as plain text."""
    places = 0
    while value.denominator != 1 and places <= _PLACES_MAX:
        value, places = value * 10, places + 1
    digits = str(value.numerator).rjust(places + 1, "0")
    return digits if not places else f"{digits[:-places]}.{digits[-places:]}"


def refuse_missing(table: Table, chunk: Chunk, name: str) -> None:
    """Refuse a numeric column in which a value is missing."""
    missing = chunk.missing.get(name)
    if missing is not None and missing.any():
        raise table.error("is missing", "must have a value in every row", chunk=chunk, place=int(np.argmax(missing)), column=name)

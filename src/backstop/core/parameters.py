"""What a rule of the venue is: its number, its unit, its bounds, its default, its words.

A group of rules is a ``NamedTuple`` whose integers are annotated with ``rule(...)``. That is the
one place where such a rule is declared. ``parameters_of`` reads the declarations back. From them
come the defaults and words of the venue file, the bounds at load, and the layout of the rows that
kernels read.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple, get_type_hints

__all__ = ["DURATION_NS_MAX", "NO_CAP", "PPM", "Moves", "Parameter", "Unit", "check_values", "parameters_of", "rule"]

#: Parts per million in one.
PPM = 1_000_000
#: A cap that never binds.
NO_CAP = 1 << 62
#: Longest duration of a rule, some 36 years: leaves room to add it to a time.
DURATION_NS_MAX = 1 << 60


class Unit(IntEnum):
    """What one of a parameter's values counts."""

    ATOMS = 1
    PPM = 2
    NS = 3
    LOTS = 4
    TICKS = 5
    COUNT = 6
    #: 0 or 1.
    FLAG = 7
    #: A member of an enum.
    CODE = 8


class Moves(IntEnum):
    """Which trigger prices a change of a parameter makes wrong."""

    NOTHING = 0
    #: Those of a market's holders.
    MARGIN = 1
    #: Those of all accounts.
    LEVELS = 2


class _Rule(NamedTuple):
    number: int
    words: str
    unit: Unit | None
    low: int | None
    high: int | None
    is_fixed: bool
    moves: Moves


class Parameter(NamedTuple):
    """One rule of a group."""

    #: Never used again for another rule, so that a tape names it.
    number: int
    name: str
    unit: Unit
    #: Least and most value.
    low: int
    high: int
    #: None: the file must give it.
    default: int | None
    words: str
    #: It stays as it was when the engine began.
    is_fixed: bool
    moves: Moves


def rule(
    number: int,
    words: str,
    *,
    unit: Unit | None = None,
    low: int | None = None,
    high: int | None = None,
    is_fixed: bool = False,
    moves: Moves = Moves.NOTHING,
) -> _Rule:
    """Return the declaration of a rule, the annotation of its field.

    Without ``unit`` the name tells it: ``_ppm``, ``_ns``, ``_lots``, ``_ticks``, else atoms.
    Without bounds a share is 0 to 1e6, a duration 1 to ``DURATION_NS_MAX``, and everything else 0
    to ``NO_CAP``.
    """
    return _Rule(number, words, unit, low, high, is_fixed, moves)


_BY_ENDING = {"_ppm": Unit.PPM, "_ns": Unit.NS, "_lots": Unit.LOTS, "_ticks": Unit.TICKS}
_BOUNDS = {Unit.PPM: (0, PPM), Unit.NS: (1, DURATION_NS_MAX), Unit.FLAG: (0, 1)}


def _unit_of(name: str) -> Unit:
    return next((unit for ending, unit in _BY_ENDING.items() if name.endswith(ending)), Unit.ATOMS)


def _parameter(name: str, declared: _Rule, default: int | None) -> Parameter:
    unit = _unit_of(name) if declared.unit is None else declared.unit
    low, high = _BOUNDS.get(unit, (0, NO_CAP))
    return Parameter(
        number=declared.number,
        name=name,
        unit=unit,
        low=low if declared.low is None else declared.low,
        high=high if declared.high is None else declared.high,
        default=None if default is None else int(default),
        words=declared.words,
        is_fixed=declared.is_fixed,
        moves=declared.moves,
    )


def parameters_of(group: Any) -> tuple[Parameter, ...]:
    """Return the rules that a group declares, in the order of its fields."""
    found = []
    for name, hint in get_type_hints(group, include_extras=True).items():
        for declared in getattr(hint, "__metadata__", ()):
            if isinstance(declared, _Rule):
                found.append(_parameter(name, declared, group._field_defaults.get(name)))
    return tuple(found)


def check_values(values: Any, place: str) -> None:
    """Raise ``ValueError``, which names field, value and bounds, where a rule of a group is outside
    of them. ``place`` stands before the field.
    """
    for parameter in parameters_of(type(values)):
        value = getattr(values, parameter.name)
        if not parameter.low <= value <= parameter.high:
            where = f"{place}.{parameter.name}" if place else parameter.name
            raise ValueError(f"{where} = {value}: must be {parameter.low} to {parameter.high}")

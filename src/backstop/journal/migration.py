"""Reading a snapshot that other code took: by the names of its arrays and fields.

What both know by a name is taken over, columns too. What only this code knows is as a venue of these rules
begins. What this code does not know, or does not mean by the same number, is refused in words: a
snapshot is read right or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstop.core import columns, rows
from backstop.core.interest import resum_owners
from backstop.core.noted_gains import relist_noted
from backstop.core.position_rows import relink_rows
from backstop.core.state import State

__all__ = ["MigrationError", "column_numbers", "migrated"]

#: Arrays that are no state, or follow from it: they are made anew.
_MADE_ANEW = ("effects", "buckets")


class MigrationError(ValueError):
    """A snapshot of other code cannot be read by this; the message says why."""


def column_numbers() -> dict[str, int]:
    """Return what the numbers of columns stand for: every constant of ``core.columns`` and
    ``core.rows`` that is a number, but for how many columns there are.
    """
    found: dict[str, int] = {}
    for room in (columns, rows):
        found |= {name: value for name, value in sorted(vars(room).items()) if name.isupper() and type(value) is int}
    found.pop("COLUMNS")
    return found


def migrated(arrays: Mapping[str, NDArray[Any]], numbers: object, fresh: State) -> State:
    """Return the state that arrays of other code hold, by name; ``numbers`` is what that code's
    ``column_numbers`` were, ``fresh`` a state of the run's rules, which is used up.

    Raises ``MigrationError``.
    """
    known = _checked_numbers(numbers)
    unknown = sorted(set(arrays) - set(State.FIELDS))
    for name in unknown:
        if arrays[name].size and arrays[name].any():
            raise MigrationError(f"it holds `{name}`, which this version does not know")
    for name in State.FIELDS:
        if name == "columns" and name in arrays:
            _take_columns(arrays[name], fresh.columns, known)
        elif name in arrays and name not in _MADE_ANEW:
            _take(name, arrays[name], getattr(fresh, name))
    if "links" not in arrays:
        relink_rows(fresh)
        resum_owners(fresh)
    if "noted_first" not in (arrays["engine"].dtype.names or ()):
        relist_noted(fresh)
    _forget_triggers(fresh)
    return fresh


def _forget_triggers(state: State) -> None:
    """Let the next move of a mark judge every holder: where triggers stood says what other code
    thought.

    A market whose place is beyond all prices is judged whole, and its triggers begin anew
    (``monitor``).
    """
    state.positions["trigger_ticks"] = 0
    beyond = state.markets["price_ticks_max"] + 1
    state.markets["shift_ticks"] = np.where(state.markets["mark_ticks"] > 0, beyond, 0)[:, np.newaxis]


def _checked_numbers(numbers: object) -> dict[str, int]:
    """Return the numbers of the columns of ``State.columns`` there; see that all others mean the
    same.
    """
    if not isinstance(numbers, dict):
        raise MigrationError("it does not say what the numbers of its columns stand for")
    present, moved = column_numbers(), {}
    for name, number in numbers.items():
        if name in vars(columns) and name in present and type(number) is int:
            moved[name] = number
        elif present.get(name) != number:
            raise MigrationError(f"column `{name}` is {number} there, and {present.get(name, 'unknown')} in this version")
    return moved


def _take_columns(held: NDArray[Any], into: NDArray[Any], numbers: Mapping[str, int]) -> None:
    """Copy the columns that both know, each to the number that it has in this version."""
    if held.ndim != 2 or held.dtype != into.dtype or held.shape[1] > into.shape[1]:
        raise MigrationError(f"`columns` has the shape {held.shape}, in a run of these rules {into.shape}")
    for name, number in numbers.items():
        if not 0 <= number < len(held):
            raise MigrationError(f"column `{name}` is {number} there, of {len(held)}")
        into[vars(columns)[name], : held.shape[1]] = held[number]


def _take(name: str, held: NDArray[Any], into: NDArray[Any]) -> None:
    """Copy what an array holds into that of this version, which may be larger and have more
    fields.
    """
    if held.ndim != into.ndim or any(old > new for old, new in zip(held.shape, into.shape, strict=True)):
        raise MigrationError(f"`{name}` has the shape {held.shape}, in a run of these rules {into.shape}")
    target = into[tuple(slice(0, size) for size in held.shape)]
    if (held.dtype.names is None) != (target.dtype.names is None):
        raise MigrationError(f"`{name}` is of rows on one side, and of numbers on the other")
    if held.dtype.names is None:
        _copy(name, held, target)
        return
    for field in held.dtype.names:
        if target.dtype.names is None or field not in target.dtype.names:
            if held[field].any():
                raise MigrationError(f"`{name}` has a field `{field}`, which this version does not know")
            continue
        old, new = held[field], target[field]
        if old.shape != new.shape:
            raise MigrationError(f"`{name}.{field}` has the shape {old.shape[1:]}, in this version {new.shape[1:]}")
        _copy(f"{name}.{field}", old, new)


def _copy(name: str, old: NDArray[Any], new: NDArray[Any]) -> None:
    if old.dtype.kind not in "iub" or new.dtype.kind not in "iub":
        if old.dtype != new.dtype:
            raise MigrationError(f"`{name}` is {old.dtype}, in this version {new.dtype}")
        new[...] = old
        return
    new[...] = old
    if not np.array_equal(new, old):
        raise MigrationError(f"`{name}` holds a number that does not fit in {new.dtype}")

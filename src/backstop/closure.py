"""What a kernel's machine code depends on: a hash of all that the compiler reads for it.

The compiler reads the bytecode of a function, the globals that it names, and the same of every
kernel that it calls. ``closure_of`` hashes exactly these. Comments, docstrings, line numbers and
the folder of the source are not among them, so none of them makes a kernel compile again. A unit
(``compiled.unit``) that a kernel calls counts by its name and its signature, not by its body. The
layout of a bundle comes with the types of a call (``layout_of``).

A value of a kind that is not known here is an error: a dependency that is not seen would let old
machine code run.
"""

from __future__ import annotations

import dis
import enum
import hashlib
from collections.abc import Set
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Closure", "closure_of", "function_of", "layout_of", "name_of", "signature_text"]

#: Modules whose functions belong to the compiler; their versions are part of the cache's folder.
_FOREIGN = ("numpy", "numba", "math", "builtins", "operator")


class Closure(NamedTuple):
    """What a kernel's machine code depends on."""

    #: Hash of the kernel, of the kernels that it calls, and of what they name.
    digest: str
    #: The units that it calls, directly or through kernels.
    units: tuple[Any, ...]
    #: The kernels that it calls, directly or through kernels, by module and name.
    kernels: dict[str, Any]
    #: The names of globals and attributes in the kernel and in the kernels that it calls.
    names: frozenset[str]


class _Part(NamedTuple):
    """One function by itself."""

    digest: bytes
    names: frozenset[str]
    #: Compiled functions, or plain ones where nothing is compiled.
    kernels: tuple[Any, ...]
    units: tuple[Any, ...]


def function_of(value: Any) -> FunctionType | None:
    """Return the Python function of a kernel, or of a plain function; None for anything else."""
    function = getattr(value, "py_func", value)
    return function if isinstance(function, FunctionType) else None


def signature_text(function: Any) -> str:
    """Return the name of a function with its annotations: what the caller of a unit depends on."""
    notes = ", ".join(f"{name}: {note}" for name, note in function.__annotations__.items())
    return f"{name_of(function)}({notes})"


def closure_of(function: Any) -> Closure:
    """Return the closure of a kernel, as things are now.

    Raises ``TypeError`` where it names what is not understood, or two functions of one name, or
    what was bound to something else since it was first hashed.
    """
    parts: dict[str, _Part] = {}
    kernels: dict[str, Any] = {}
    left: list[Any] = [function]
    while left:
        value = left.pop()
        each = function_of(value)
        assert each is not None
        name = name_of(each)
        if name not in parts:
            parts[name], kernels[name] = _part_of(each), value
            left.extend(parts[name].kernels)
        elif function_of(kernels[name]) is not each:
            raise TypeError(f"{name_of(function_of(function))} uses two functions that are named {name}: its cache takes them for one")
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(name.encode())
        digest.update(parts[name].digest)
    units = {id(unit): unit for part in parts.values() for unit in part.units}
    names = frozenset[str]().union(*(part.names for part in parts.values()))
    return Closure(digest.hexdigest(), tuple(units.values()), kernels, names)


def name_of(function: Any) -> str:
    """Return the module and the name of a function."""
    return f"{function.__module__}.{function.__qualname__}"


#: What each function named when it was last hashed, and the outcome.
_seen: dict[FunctionType, tuple[dict[str, Any], _Part]] = {}
_NOTHING = object()


def _part_of(function: FunctionType) -> _Part:
    """Return the part of a function; hash it where anything that it names is another object."""
    values = _values_of(function)
    seen, part = _seen.get(function, ({}, None))
    changed = [name for name, value in values.items() if value is not seen.get(name, _NOTHING) or isinstance(value, np.ndarray)]
    if part is not None and not changed and len(values) == len(seen):
        return part
    new = _hash_part(function, values)
    if part is not None and new != part:
        # Code of before stands in this process, perhaps. A caller would be kept with it.
        raise TypeError(f"{name_of(function)} names {', '.join(changed)}, which changed after the kernel was first hashed")
    _seen[function] = values, new
    return new


def _values_of(function: FunctionType) -> dict[str, Any]:
    """Return the globals and the variables of outer functions that a function names."""
    cells = (cell.cell_contents for cell in function.__closure__ or ())
    free = dict(zip(function.__code__.co_freevars, cells, strict=True))
    # A name that stands for nothing here is a builtin or an attribute.
    known = {name: function.__globals__[name] for name in _names_in(function.__code__) if name in function.__globals__}
    return known | free


def _hash_part(function: FunctionType, values: dict[str, Any]) -> _Part:
    digest = hashlib.sha256(signature_text(function).encode())
    _hash_code(function.__code__, digest)
    digest.update(repr((function.__defaults__, function.__kwdefaults__)).encode())
    kernels: list[Any] = []
    units: list[Any] = []
    for name, value in sorted(values.items()):
        called = function_of(value)
        if getattr(value, "is_unit", False):
            assert called is not None
            units.append(value)
            digest.update(f"{name}: unit {signature_text(called)}".encode())
        elif called is not None and not _is_foreign(called):
            kernels.append(value)
            digest.update(f"{name}: {name_of(called)} {getattr(value, 'targetoptions', None)}".encode())
        else:
            digest.update(f"{name}: {_text_of(name, value, function)}".encode())
    return _Part(digest.digest(), _names_in(function.__code__), tuple(kernels), tuple(units))


@cache
def _names_in(code: CodeType) -> frozenset[str]:
    """Return the names of globals and attributes in a code object and in those inside of it."""
    inner = (_names_in(each) for each in code.co_consts if isinstance(each, CodeType))
    return frozenset(code.co_names).union(*inner)


def _hash_code(code: CodeType, digest: Any) -> None:
    """Hash a code object and those inside of it, without what no instruction loads: docstrings."""
    digest.update(code.co_code)
    counts = (code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    names = (code.co_varnames, code.co_names, code.co_cellvars, code.co_freevars)
    digest.update(repr((counts, names, code.co_exceptiontable)).encode())
    for value in (each.argval for each in dis.get_instructions(code) if each.opcode in dis.hasconst):
        if isinstance(value, CodeType):
            _hash_code(value, digest)
        else:
            digest.update(f"{type(value).__name__} {value!r}".encode())


def _is_foreign(value: Any) -> bool:
    return (getattr(value, "__module__", None) or "").split(".")[0] in _FOREIGN


def _text_of(name: str, value: Any, user: FunctionType) -> str:
    """Return a text that changes with a global value."""
    if isinstance(value, enum.EnumMeta):
        return repr({name: each.value for name, each in value.__members__.items()})  # type: ignore[var-annotated]
    if isinstance(value, np.ndarray):
        return f"{value.dtype.descr} {value.shape} {value.tobytes().hex()}"
    if isinstance(value, np.dtype):
        return repr((value.descr, value.itemsize))
    if isinstance(value, np.generic | int | float | str | bytes | bool | None):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, tuple):
        fields = (type(value).__qualname__, getattr(value, "_fields", ()))
        return repr((fields, [_text_of(name, each, user) for each in value]))
    if isinstance(value, ModuleType | type) or callable(value):
        if _is_foreign(value) or (isinstance(value, ModuleType) and value.__name__.split(".")[0] in _FOREIGN):
            return f"foreign {_full_name(value)}"
        if isinstance(value, type) and hasattr(value, "FIELDS"):
            return f"bundle {_full_name(value)}"
    raise TypeError(
        f"{user.__module__}.{user.__qualname__} names `{name}`, a {type(value).__name__}: its cache would not notice a change of it"
    )


def _full_name(value: Any) -> str:
    """Return by what name a module, class or function is known where it was made."""
    if isinstance(value, ModuleType):
        return value.__name__
    return f"{value.__module__}.{getattr(value, '__qualname__', None) or repr(value)}"


def layout_of(kind: Any, names: Set[str]) -> str:
    """Return a text that changes with the place or the dtype of an array of a bundle that is named.

    ``kind`` is anything with the ``FIELDS`` of a bundle, ``names`` is ``Closure.names``.
    """
    used, place = [], 0
    for field, (dtype, dimensions) in kind.FIELDS.items():
        if field in names:
            used.append((place, field, np.dtype(dtype).descr, np.dtype(dtype).itemsize, dimensions))
        place += 1 + dimensions  # words of the bundle's table: an address and the lengths
    return repr(used)

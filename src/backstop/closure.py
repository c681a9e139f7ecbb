"""What a kernel's machine code depends on: a hash of all that the compiler reads for it.

The compiler reads the bytecode of a function, the globals and the bundles that it names, and the
same of every kernel that it calls. ``closure_of`` hashes exactly these. Comments, docstrings, line
numbers and the folder of the source are not among them, so none of them makes a kernel compile
again. A unit (``compiled.unit``) that a kernel calls counts by its name and its signature, not by
its body.

A value of a kind that is not known here is an error: a dependency that is not seen would let old
machine code run.
"""

from __future__ import annotations

import enum
import hashlib
import inspect
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Closure", "closure_of", "function_of", "name_of", "signature_text"]

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


class _Part(NamedTuple):
    """One function by itself."""

    digest: bytes
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
    """Return the closure of a kernel.

    Raises ``TypeError`` where it names what is not understood.
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
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(name.encode())
        digest.update(parts[name].digest)
    units = {id(unit): unit for part in parts.values() for unit in part.units}
    return Closure(digest.hexdigest(), tuple(units.values()), kernels)


def name_of(function: Any) -> str:
    """Return the module and the name of a function."""
    return f"{function.__module__}.{function.__qualname__}"


@cache
def _part_of(function: FunctionType) -> _Part:
    digest = hashlib.sha256(signature_text(function).encode())
    names: set[str] = set()
    _hash_code(function.__code__, function.__doc__, digest, names)
    digest.update(repr((function.__defaults__, function.__kwdefaults__)).encode())
    kernels: list[Any] = []
    units: list[Any] = []
    free = dict(zip(function.__code__.co_freevars, (cell.cell_contents for cell in function.__closure__ or ()), strict=True))
    for name in sorted(names | free.keys()):
        if name in free:
            value = free[name]
        elif name in function.__globals__:
            value = function.__globals__[name]
        else:
            continue  # a builtin, or an attribute
        called = function_of(value)
        if getattr(value, "is_unit", False):
            assert called is not None
            units.append(value)
            digest.update(f"{name}: unit {signature_text(called)}".encode())
        elif called is not None and not _is_foreign(called):
            kernels.append(value)
            digest.update(f"{name}: {name_of(called)}".encode())
        else:
            digest.update(f"{name}: {_text_of(name, value, function)}".encode())
    for kind in _bundles_of(function):
        digest.update(_layout_of(kind, names).encode())
    return _Part(digest.digest(), tuple(kernels), tuple(units))


def _hash_code(code: CodeType, doc: str | None, digest: Any, names: set[str]) -> None:
    """Hash a code object and those inside of it; gather the names that they use."""
    digest.update(code.co_code)
    digest.update(repr((code.co_varnames, code.co_names, code.co_freevars, code.co_exceptiontable)).encode())
    names.update(code.co_names)
    for value in code.co_consts:
        if isinstance(value, CodeType):
            _hash_code(value, None, digest, names)
        elif value is None or value != doc:
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
            return f"foreign {name}"
        if isinstance(value, type) and hasattr(value, "FIELDS"):
            return f"bundle {value.__qualname__}"
    raise TypeError(
        f"{user.__module__}.{user.__qualname__} names `{name}`, a {type(value).__name__}: its cache would not notice a change of it"
    )


def _bundles_of(function: FunctionType) -> list[type]:
    """Return the bundles among the types of a function's parameters."""
    found = []
    for note in function.__annotations__.values():
        kind = function.__globals__.get(note) if isinstance(note, str) else note
        if inspect.isclass(kind) and hasattr(kind, "FIELDS"):
            found.append(kind)
    return found


def _layout_of(kind: Any, names: set[str]) -> str:
    """Return a text that changes with the place or the dtype of an array that is named."""
    used, place = [], 0
    for field, (dtype, dimensions) in kind.FIELDS.items():
        if field in names:
            used.append((place, field, np.dtype(dtype).descr, np.dtype(dtype).itemsize, dimensions))
        place += 1 + dimensions  # words of the bundle's table: an address and the lengths
    return f"{kind.__qualname__} {used!r}"

"""One door to numba: ``kernel`` compiles a function, and its cache never serves old code.

numba's own cache does not notice an edited callee in another module, nor a changed bounds-check
flag. So the cache folder is named after a hash of every file under ``core`` and ``markets``, the
numba and NumPy versions and the flags, and is set before numba is imported.

``python`` semantics of division are kept (a zero divisor raises), ``fastmath`` is never on.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["cache_is_warm", "cache_path", "inlined", "kernel", "merged"]

Function = TypeVar("Function", bound=Callable[..., Any])

_FLAGS = ("NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT", "NUMBA_OPT")


def _cache_key() -> str:
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for room in ("core", "markets"):
        for path in sorted((root / room).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    for ground in ("compiled.py", "bundle.py"):
        digest.update((root / ground).read_bytes())
    for package in ("numba", "numpy", "llvmlite"):
        digest.update(f"{package}={version(package)}".encode())
    digest.update(f"python={sys.version_info[:3]}".encode())
    for flag in _FLAGS:
        digest.update(f"{flag}={os.environ.get(flag, '')}".encode())
    return digest.hexdigest()[:16]


def cache_path() -> Path:
    """Return the folder of this code's compiled kernels: ``$BACKSTOP_CACHE_DIR`` or the user's cache."""
    base = os.environ.get("BACKSTOP_CACHE_DIR")
    if base is None:
        base = str(Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "backstop")
    return Path(base) / _KEY


def cache_is_warm() -> bool:
    """Return whether this code has been compiled here before, so that no long compile is ahead."""
    return (cache_path() / "warm").exists()


_KEY = _cache_key()
os.environ["NUMBA_CACHE_DIR"] = str(cache_path())

import numba  # noqa: E402  (the cache folder must be known first)

_settings: Any = numba.config
_settings.CACHE_DIR = str(cache_path())

#: Whether kernels run compiled; off under ``NUMBA_DISABLE_JIT=1``.
COMPILED = not _settings.DISABLE_JIT


def _widen(argument: Any) -> Any:
    """Return int64 for every signed integer type and for a member of an IntEnum, other types as they are."""
    types: Any = numba.types
    plain = types.unliteral(argument)
    is_number = isinstance(plain, types.IntEnumMember) or (isinstance(plain, types.Integer) and plain is not types.uint64)
    return types.int64 if is_number else plain


def _compile(function: Function, **flags: bool | str) -> Function:
    # Kernels touch no Python object (``_nrt`` off), so they give its lock away: the journal is written meanwhile.
    # numba's own types know neither the switch of reference counting nor that of the wrappers.
    njit: Any = numba.njit
    compiled: Any = njit(cache=True, error_model="python", nogil=True, _nrt=False, no_cfunc_wrapper=True, **flags)(function)
    if COMPILED:
        # A field of a row may be 8 to 64 bits wide. Without this, numba compiles a kernel once for each mixture
        # of widths that it is called with; with it, a call widens its integers first.
        resolve = compiled.get_call_template
        compiled.get_call_template = lambda args, kws: resolve(
            tuple(_widen(each) for each in args), {name: _widen(each) for name, each in kws.items()}
        )
    result: Function = compiled
    return result


def kernel(function: Function) -> Function:
    """Compile ``function`` on its first call and keep the machine code for the next process.

    A private function (``_name``) gets no wrapper for Python: only compiled code may call it. Kernels
    neither allocate nor keep arrays, so reference counting is off (``_nrt``). Wrappers and counting would
    be most of the code, and of the time to compile it.
    """
    return _compile(function, no_cpython_wrapper=function.__name__.startswith("_"))


def inlined(function: Function) -> Function:
    """Compile a leaf of inner loops like ``kernel``; its body stands in place of each call."""
    return _compile(function, forceinline=True)


def merged(function: Function) -> Function:
    """Compile a function that is called in one place as a part of its caller: every step of a chain compiles all that is below it."""
    return _compile(function, no_cpython_wrapper=True, inline="always")

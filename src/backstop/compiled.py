"""The way to numba: ``kernel`` and its kin compile a function, and their cache never serves old
code.

Four decorators, from the smallest part of a program to the largest:

- ``inlined``: a leaf of inner loops; its body stands in place of each call.
- ``merged``: a step of a chain that is called in one place; it becomes a part of its caller.
- ``kernel``: translated once. Each unit that uses it takes it in and optimises it as its own.
- ``unit``: optimised and turned into machine code once. Callers jump to its address. What is large
  and called from several places is a unit, so that an edit of it compiles it alone.

numba as it comes optimises every function together with all that it calls, again at each step up a
chain of calls. Here only units are optimised (``_UnitLibrary``); a kernel waits as it was
translated (``_PartLibrary``). A public kernel that Python calls is compiled for that call, as a
unit is.

What is compiled is kept on disk by the name of the function and a hash of its closure
(``closure``). So an edit compiles exactly the functions that it changes, and two checkouts of one
source share the files. numba's own cache goes by path and does not notice an edited callee in
another module.

Python semantics of division are kept (a zero divisor raises), ``fastmath`` is never on. The reasons
stand in docs/decisions/0028-compile-units.md.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import re
import sys
import time
from collections.abc import Callable, Iterator, Set
from contextlib import suppress
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numba
from llvmlite import binding
from numba.core import caching, cgutils, codegen, compiler, errors, imputils, registry, sigutils, targetconfig

from backstop.closure import Closure, closure_of, layout_of, name_of, signature_text

__all__ = ["COMPILED", "cache_path", "declare_rows", "inlined", "is_cached", "kernel", "merged", "prune_cache", "unit", "units_of"]

Function = TypeVar("Function", bound=Callable[..., Any])

#: The switches of ``numba.config`` that change machine code. The processor is in each file's key.
_SWITCHES = (
    *("BOUNDSCHECK", "DISABLE_JIT", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DISABLE_INTEL_SVML", "DEBUG_NRT"),
    *("DEBUGINFO_DEFAULT", "EXTEND_VARIABLE_LIFETIMES", "LLVM_REFPRUNE_PASS", "LLVM_REFPRUNE_FLAGS"),
)

_settings: Any = numba.config

#: Whether kernels run compiled; off under ``NUMBA_DISABLE_JIT=1``.
COMPILED = not _settings.DISABLE_JIT


# ---- Where files stand ---------------------------------------------------------------------------


@cache
def _versions() -> str:
    """Return a hash of the versions that all machine code depends on, and of how we compile."""
    digest = hashlib.sha256()
    for name in ("bundle.py", "closure.py", "compiled.py"):
        source = (Path(__file__).parent / name).read_text()
        digest.update(importlib.util.source_hash(source.encode()))
    for package in ("numba", "numpy", "llvmlite"):
        digest.update(f"{package}={version(package)}".encode())
    digest.update(f"python={sys.version_info[:3]}".encode())
    return digest.hexdigest()


def _folder_key() -> str:
    """Return a hash of the versions, and of the compiler's switches as they are now."""
    switches = [(name, str(getattr(_settings, name))) for name in _SWITCHES]
    return hashlib.sha256(f"{_versions()} {switches}".encode()).hexdigest()[:16]


def _cache_base() -> Path:
    base = os.environ.get("BACKSTOP_CACHE_DIR")
    return Path(base) if base is not None else Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "backstop"


def cache_path() -> Path:
    """Return the folder of compiled kernels: below ``$BACKSTOP_CACHE_DIR`` or the user's cache."""
    return _cache_base() / _folder_key()


def prune_cache(days: int = 30) -> int:
    """Remove files of kernels, of any version, that were not used for ``days``; return how many.

    What a process left half written goes after one day. Other processes may use the cache
    meanwhile: they compile again what they miss. Folders that are empty go, too.
    """
    now, removed = time.time(), 0
    for folder in _cache_base().glob("*"):
        if not re.fullmatch("[0-9a-f]{16}", folder.name):
            continue
        for path in folder.rglob("*.nb[ic]*"):
            with suppress(OSError):  # another process was faster, or the file is another user's
                if path.stat().st_mtime <= now - 86_400 * (1 if ".tmp." in path.name else days):
                    path.unlink()
                    removed += 1
        with suppress(OSError):  # not empty
            folder.rmdir()
    return removed


class _Locator(caching._CacheLocator):
    """Names the files of a function by its module, its name and its closure."""

    def __init__(self, function: Any) -> None:
        self._module = function.__module__
        self._py_file = function.__code__.co_filename  # numba names it where code cannot be kept
        self.closure: Closure = closure_of(function)

    def get_cache_path(self) -> str:
        return str(cache_path())

    def get_source_stamp(self) -> str:
        return self.closure.digest

    def get_disambiguator(self) -> str:
        return f"{self._module}-{self.closure.digest[:24]}"

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        return cls(py_func)


# ---- What is compiled, and when it is optimised --------------------------------------------------


class _PartLibrary(codegen.JITCodeLibrary):
    """The translation of one kernel, neither optimised nor linked with the kernels that it
    calls.
    """

    #: The name and the signature of its kernel, by which a caller on disk finds it again.
    owner: tuple[str, tuple[Any, ...]]

    def parts(self) -> list[_PartLibrary]:
        """Return the kernels that it calls."""
        return [each for each in self._linking_libraries if isinstance(each, _PartLibrary)]

    def finalize(self) -> None:
        """Take in what numba itself provides for it; the rest is its callers' work."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            if not isinstance(library, _PartLibrary):
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0: there is no machine code."""
        return 0

    def serialize_using_object_code(self) -> tuple[str, str, Any]:
        """Return what is written to disk."""
        self._ensure_finalized()
        owners = tuple(dict.fromkeys(each.owner for each in self.parts()))
        return (self.name, "part", (self._final_module.as_bitcode(), owners))

    @classmethod
    def restored(cls, target: Any, state: Any, callees: list[_PartLibrary]) -> _PartLibrary:
        """Return what was written to disk, with the libraries of the kernels that it calls."""
        name, _, (bitcode, _) = state
        library = cls(target.codegen(), name)
        library._final_module = binding.parse_bitcode(bitcode)
        library._linking_libraries = list(callees)
        library._finalized = True
        return library


class _UnitLibrary(codegen.JITCodeLibrary):
    """The machine code of one unit, with all kernels that it uses."""

    def finalize(self) -> None:
        """Link the kernels that it calls, directly or through others; optimise the whole once."""
        self._codegen._check_llvm_bugs()
        self._raise_if_finalized()
        for library in self._all_linked():
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._optimize_final_module()
        self._final_module.verify()
        self._finalize_final_module()

    def _all_linked(self) -> Iterator[Any]:
        seen: dict[Any, None] = dict.fromkeys(self._linking_libraries)
        left = list(seen)
        while left:
            library = left.pop()
            new = [each for each in (library.parts() if isinstance(library, _PartLibrary) else ()) if each not in seen]
            seen.update(dict.fromkeys(new))
            left.extend(new)
        return iter(seen)

    def _optimize_final_module(self) -> None:
        # numba's first, cheaper pass gathers reference counts. There are none here.
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class _PartCompiler(compiler.Compiler):
    """numba's compiler up to its translation to LLVM."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Any, locals: Any) -> None:
        flags.no_compile = flags.no_cpython_wrapper = True
        super().__init__(typingctx, targetctx, _PartLibrary(targetctx.codegen(), "part"), args, return_type, flags, locals)

    def _compile_bytecode(self) -> Any:
        # numba numbers functions in the order in which a process meets them. The number is part of
        # the symbol, and what another process wrote to disk must be found by it.
        self.state.func_id.unique_id = "p" + closure_of(self.state.func_id.func).digest[:16]
        return super()._compile_bytecode()


class _UnitCompiler(compiler.Compiler):
    """numba's compiler with our way to optimise."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Any, locals: Any) -> None:
        own = _UnitLibrary(targetctx.codegen(), "unit")
        own.enable_object_caching()
        super().__init__(typingctx, targetctx, own, args, return_type, flags, locals)

    def _compile_bytecode(self) -> Any:
        self.state.func_id.unique_id = "u" + closure_of(self.state.func_id.func).digest[:16]
        return super()._compile_bytecode()


# ---- What stands on disk -------------------------------------------------------------------------


class _Implementation(caching.CompileResultCacheImpl):
    _locator_classes: Any = (_Locator,)

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        state = payload[0]
        if state[1] != "part":
            return super().rebuild(target_context, payload)
        _, fndesc, environment, signature, _, _, annotation, reload_init, referenced = payload
        library = _PartLibrary.restored(target_context, state, [self._library_of(*owner) for owner in state[2][1]])
        result: Any = compiler.CompileResult
        return result(
            target_context=target_context,
            typing_context=target_context.typing_context,
            library=library,
            environment=environment,
            entry_point=None,
            fndesc=fndesc,
            type_annotation=annotation,
            signature=signature,
            objectmode=False,
            lifted=(),
            typing_error=None,
            call_helper=None,
            metadata=None,
            reload_init=reload_init,
            referenced_envs=referenced,
        )

    def _library_of(self, name: str, args: tuple[Any, ...]) -> Any:
        """Return the library of a kernel that was called."""
        called = self.locator.closure.kernels[name]
        called.compile(args)
        return called.overloads[args].library


class _Files(caching.IndexDataCacheFile):
    """The files of one function: one per key, and no index.

    So processes that write different keys do not meet. A file begins with a hash of its key and of
    the rest. What is damaged, cut short or another key's counts as missing.
    """

    def save(self, key: str, data: Any) -> None:
        """Write an entry whole, or not at all."""
        body = self._dump(data)
        # Its folder was pruned just now.
        with suppress(FileNotFoundError), self._open_for_write(self._path(key)) as file:
            file.write(self._seal(key, body) + body)

    def load(self, key: str) -> Any:
        """Return an entry, or None; remove it where it is damaged."""
        path = Path(self._path(key))
        with suppress(OSError):  # missing, or not to be read
            content = path.read_bytes()
            if content[:32] == self._seal(key, content[32:]):
                with suppress(OSError):
                    os.utime(path)  # it is in use: see ``prune_cache``
                return pickle.loads(content[32:])
            path.unlink()
        return None

    def has(self, key: str) -> bool:
        """Return whether an entry is there, sound or not."""
        return Path(self._path(key)).exists()

    def _path(self, key: str) -> str:
        number = int(hashlib.sha256(key.encode()).hexdigest()[:15], 16)
        return str(self._data_path(self._data_name(number)))

    def _seal(self, key: str, body: bytes) -> bytes:
        return hashlib.sha256(key.encode() + body).digest()


class _Cache(caching.FunctionCache):
    """numba's cache of one function, which looks for its files when they are first needed.

    Only then is all that the function names defined.
    """

    def __init__(self, py_func: Any, suffix: str, options: dict[str, Any]) -> None:
        self._name = repr(py_func)
        self._py_func = py_func
        self._suffix = suffix
        self._options = sorted(options.items())
        self.enable()

    @cached_property
    def _impl(self) -> _Implementation:
        return _Implementation(self._py_func)

    @property
    def _cache_path(self) -> str:
        return str(cache_path())

    @property
    def _cache_file(self) -> _Files:
        base = self._impl.filename_base + self._suffix
        return _Files(cache_path=self._cache_path, filename_base=base, source_stamp=self.closure.digest)

    @property
    def closure(self) -> Closure:
        """What the function's machine code depends on."""
        return self._impl.locator.closure

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what is on disk for a signature, or None."""
        self._check()
        # The machine code of a caller holds the addresses of its units: they must be known first.
        for each in self.closure.units:
            each.load()
        found = super().load_overload(sig, target_context)
        args, _ = sigutils.normalize_signature(sig)
        return found if found is not None and tuple(found.signature.args) == tuple(args) else None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write what was compiled to disk."""
        self._check()
        super().save_overload(sig, data)

    def has(self, sig: Any) -> bool:
        """Return whether machine code for a signature is on disk."""
        target: Any = registry.cpu_target.target_context
        return self._cache_file.has(self._index_key(sig, target.codegen()))

    def _check(self) -> None:
        """Raise ``TypeError`` where what is compiled now is not what the files' names say."""
        closure_of(self._py_func)
        _used_keys.add(_folder_key())
        if len(_used_keys) > 1:
            raise TypeError("numba.config was changed after the first kernel was compiled")

    def _index_key(self, sig: Any, codegen: Any) -> str:
        args, _ = sigutils.normalize_signature(sig)
        layouts = [_layout_text(each, self.closure.names) for each in args]
        return repr((self.closure.digest, self._options, layouts, codegen.magic_tuple()))


#: The folder keys under which this process compiled: its kernels go together.
_used_keys: set[str] = set()


def _layout_text(kind: Any, names: Set[str]) -> str:
    """Return a text of a type, and of the bundles in it as far as they are named."""
    types: Any = numba.types
    if hasattr(kind, "FIELDS"):
        return f"{kind} {layout_of(kind, names)}"
    if isinstance(kind, types.BaseTuple):
        return f"{kind} {[_layout_text(each, names) for each in kind.types]}"
    if isinstance(kind, types.Number | types.Boolean | types.Array | types.Record | types.EnumMember | types.NoneType | types.Omitted):
        return str(kind)
    raise TypeError(f"an argument of a kernel is a {kind}: its cache would not notice a change of it")


# ---- Functions that are compiled -----------------------------------------------------------------


class _Compiled(registry.CPUDispatcher):
    """A compiled function; every integer is widened before the call.

    A field of a row may be 8 to 64 bits wide. numba would compile a kernel once for each mixture of
    widths that it is called with.
    """

    is_unit = False

    def __reduce__(self) -> str:
        """Pickle by name: another process takes the kernel of its own module."""
        return str(self.py_func.__qualname__)

    def compile(self, sig: Any) -> Any:
        """Compile one signature, or load it.

        numba hands flags down from a caller that is being compiled, and writes them into symbols.
        What stands on disk must not depend on who called first, so that stack is empty meanwhile.
        """
        stack = targetconfig._FlagsStack()._stack
        held = stack[:]
        stack.clear()
        try:
            return super().compile(sig)
        finally:
            stack[:] = held

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Return the type of a call from compiled code."""
        return super().get_call_template(tuple(_widen(each) for each in args), {name: _widen(each) for name, each in kws.items()})


class _Kernel(_Compiled):
    """A kernel as compiled code calls it. Python calls its machine code, made for that purpose."""

    def add_overload(self, cres: Any) -> None:
        """Keep one translated signature."""
        entry = object()  # numba keeps what it knows of a function by this
        cres.library.owner = (name_of(self.py_func), tuple(cres.signature.args))
        cres.library._ensure_finalized()
        cres.target_context.insert_user_function(entry, cres.fndesc, [cres.library])
        self.overloads[tuple(cres.signature.args)] = cres._replace(entry_point=entry)

    def get_overload(self, sig: Any) -> Any:
        """Return by what numba knows one signature."""
        self.compile(sig)
        return self.overloads[tuple(getattr(sig, "args", sig))].entry_point

    @cached_property
    def for_python(self) -> _Compiled:
        """The machine code that Python calls."""
        if self.py_func.__name__.startswith("_"):
            raise TypeError(f"{self.py_func.__qualname__} is private: only compiled code can call it")
        made = _Compiled(py_func=self.py_func, targetoptions=self.targetoptions, pipeline_class=_UnitCompiler)
        made._cache = _Cache(self.py_func, "-entry", self.targetoptions)
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it; raise ``TypeError`` where it is private."""
        return self.for_python(*args, **kwargs)


class _Unit(_Compiled):
    """A unit: its callers do not contain it, they jump to its address."""

    is_unit = True

    @cached_property
    def symbol(self) -> str:
        """The name by which machine code finds it."""
        return "backstop.unit." + signature_text(self.py_func)

    @cached_property
    def declared(self) -> tuple[Any, ...]:
        """The numba types of the parameters, from the annotations."""
        notes = {name: note for name, note in self.py_func.__annotations__.items() if name != "return"}
        return tuple(_type_of(note, self.py_func) for note in notes.values())

    def load(self) -> None:
        """Have the machine code at hand, from disk or compiled, and its address known."""
        self.compile(self.declared)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Return the type of a call from compiled code; refuse all types but the declared ones.

        The machine code for others would stand in the caller, and the caller's hash would not cover
        it.
        """
        _, found = self._compiler.fold_argument_types(args, kws)
        if tuple(_widen(each) for each in found) != self.declared:
            raise errors.TypingError(f"unit {name_of(self.py_func)} is declared for {self.declared}, and is called with {found}")
        return super().get_call_template(args, kws)

    def add_overload(self, cres: Any) -> None:
        """Keep the machine code, and let callers find it by its symbol in place of a copy.

        Python may call it with other types (rows that must not be written, say). Such code is its
        own. Raises ``TypeError`` where it does not return what it declares: callers depend on that.
        """
        returned = _type_of(self.py_func.__annotations__["return"], self.py_func)
        if _without_enums(cres.signature.return_type) != returned:
            raise TypeError(f"unit {name_of(self.py_func)} returns {cres.signature.return_type}, not {returned} as declared")
        super().add_overload(cres)
        if tuple(cres.signature.args) != self.declared:
            return
        if _units.setdefault(self.symbol, self._cache.closure.digest) != self._cache.closure.digest:
            raise TypeError(f"there are two units {name_of(self.py_func)}: callers find them by that name")
        binding.add_symbol(self.symbol, cres.library.get_pointer_to_function(cres.fndesc.llvm_func_name))
        definitions = cres.target_context._defns[cres.entry_point]
        definitions.versions.clear()
        definitions.append(_far_call(self.symbol, cres.fndesc), cres.fndesc.argtypes)


class _PrivateUnit(_Unit):
    """A unit without a wrapper for Python: a call from there would end the process."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise TypeError(f"{self.py_func.__qualname__} is private: only compiled code can call it")


#: Symbols of units, and hashes of what they stand for in this process.
_units: dict[str, str] = {}

#: numba types of annotations that are neither a bundle nor a number; see ``declare_rows``.
_ROWS: dict[str, Any] = {}


def declare_rows(name: str, dtype: Any) -> None:
    """Let a parameter of a unit be annotated with ``name``: an array of rows of ``dtype``."""
    _ROWS[name] = numba.types.Array(numba.from_dtype(dtype), 1, "C")


def _type_of(note: str, function: Any) -> Any:
    """Return the numba type of an annotation of a unit."""
    known = {"int": numba.int64, "bool": numba.boolean, "None": numba.types.none} | _ROWS
    if note.startswith("tuple["):
        return numba.types.Tuple([_type_of(each.strip(), function) for each in note[6:-1].split(",")])
    kind = known.get(note) or getattr(function.__globals__.get(note), "NUMBA_TYPE", None)
    if kind is None:
        raise TypeError(f"unit {name_of(function)}: `{note}` is neither a bundle, nor rows that are declared, nor a number")
    return kind


def _far_call(symbol: str, fndesc: Any) -> Any:
    """Return what numba writes for a call of a unit: a call of a symbol elsewhere, errors passed
    on.
    """

    def write(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes)
        target = cgutils.get_or_insert_function(builder.module, kind, symbol)
        status, result = context.call_conv.call_function(builder, target, fndesc.restype, fndesc.argtypes, args)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return imputils.impl_ret_new_ref(context, builder, fndesc.restype, result)

    write.signature = fndesc.argtypes
    write.libs = ()
    return write


def _without_enums(kind: Any) -> Any:
    """Return the type of the number for a member of an IntEnum, other types as they are."""
    types: Any = numba.types
    if isinstance(kind, types.BaseTuple):
        return types.Tuple([_without_enums(each) for each in kind.types])
    return kind.dtype if isinstance(kind, types.IntEnumMember) else types.unliteral(kind)


def _widen(argument: Any) -> Any:
    """Return int64 for every signed integer type and for a member of an IntEnum, other types as
    they are.
    """
    types: Any = numba.types
    plain = types.unliteral(argument)
    is_number = isinstance(plain, types.IntEnumMember) or (isinstance(plain, types.Integer) and plain is not types.uint64)
    return types.int64 if is_number else plain


# ---- The decorators ------------------------------------------------------------------------------


def _compile(function: Any, kind: type[_Compiled], pipeline: Any, **flags: bool | str) -> Any:
    if not COMPILED:
        return function
    # Kernels touch no Python object, so they need no reference counts (``_nrt``) and give Python's
    # lock away (``nogil``): the journal is written meanwhile.
    options = {"nopython": True, "boundscheck": None, "error_model": "python", "nogil": True, "_nrt": False, "no_cfunc_wrapper": True}
    compiled = kind(py_func=function, targetoptions=options | flags, pipeline_class=pipeline)
    # A part and machine code of one function are not each other's files.
    compiled._cache = _Cache(function, "-unit" if kind.is_unit else "", options | flags)
    return compiled


def kernel(function: Function) -> Function:
    """Compile ``function`` as a part of the units that use it, and keep it for the next process.

    Only compiled code may call a private function (``_name``). Kernels neither allocate nor keep
    arrays.
    """
    result: Function = _compile(function, _Kernel, _PartCompiler)
    return result


def unit(function: Function) -> Function:
    """Compile ``function`` apart from its callers: they jump to its address.

    Its parameters are annotated: bundles, rows (``declare_rows``), ``int`` and ``bool``.
    """
    is_private = function.__name__.startswith("_")
    result: Function = _compile(function, _PrivateUnit if is_private else _Unit, _UnitCompiler, no_cpython_wrapper=is_private)
    return result


def inlined(function: Function) -> Function:
    """Compile a leaf of inner loops like ``kernel``; its body stands in place of each call."""
    result: Function = _compile(function, _Kernel, _PartCompiler, forceinline=True)
    return result


def merged(function: Function) -> Function:
    """Compile a function that is called in one place as a part of its caller."""
    result: Function = _compile(function, _Kernel, _PartCompiler, inline="always")
    return result


def units_of(function: Any) -> list[Any]:
    """Return the units that a unit or kernel needs, itself included where it is one; callees
    first.
    """
    found: dict[int, Any] = {}

    def visit(each: Any) -> None:
        if id(each) not in found:
            for callee in each._cache.closure.units:
                visit(callee)
            found[id(each)] = each

    visit(function)
    return [each for each in found.values() if each.is_unit]


def is_cached(function: Any) -> bool:
    """Return whether the machine code of a unit, and of all units that it calls, is on disk."""
    return all(each._cache.has(each.declared) for each in units_of(function))

"""A bundle of arrays that compiled code hands on as one pointer.

numba passes a tuple of arrays by value: seven words an array, pushed at every call. A bundle passes
the address of a small table instead, and builds each array from it where it is used. The arrays are
fixed when the bundle is made, so that the table never changes and its loads are invariant.

``bundle`` makes a plain Python class known to numba; uncompiled code reads the same attributes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from backstop.compiled import COMPILED

__all__ = ["Bundle", "bundle"]


class Bundle:
    """Base of a bundle: ``FIELDS`` names its arrays, each with its dtype and number of
    dimensions.
    """

    FIELDS: ClassVar[dict[str, tuple[Any, int]]] = {}
    #: Its type in compiled code; ``bundle`` sets it.
    NUMBA_TYPE: ClassVar[Any] = None

    def __init__(self, **arrays: NDArray[Any]) -> None:
        """Keep the arrays and the table of their addresses.

        Raises ``TypeError`` where a field is missing, unknown, or not of its dtype, shape and
        layout.
        """
        if arrays.keys() != self.FIELDS.keys():
            raise TypeError(f"{type(self).__name__} needs the arrays {sorted(self.FIELDS)}, it was given {sorted(arrays)}")
        words = []
        for name, (dtype, dimensions) in self.FIELDS.items():
            array = arrays[name]
            if array.dtype != np.dtype(dtype) or array.ndim != dimensions or not array.flags.c_contiguous:
                raise TypeError(f"{type(self).__name__}.{name} must be a contiguous array of {dtype} in {dimensions} dimensions")
            object.__setattr__(self, name, array)
            words += [array.ctypes.data, *array.shape]
        object.__setattr__(self, "_table", np.array(words, dtype=np.int64))
        object.__setattr__(self, "address", int(self._table.ctypes.data))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays themselves, by name, in the order of ``FIELDS``."""
        return {name: getattr(self, name) for name in self.FIELDS}

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a copy hold arrays, and a table of addresses, of its own."""
        return _rebuild, (type(self), self.arrays())

    _table: NDArray[np.int64]
    address: int

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: compiled code holds the addresses of the arrays."""
        raise AttributeError(f"{type(self).__name__}.{name} is fixed: change the array in place")


def _rebuild(cls: type[Bundle], arrays: dict[str, NDArray[Any]]) -> Bundle:
    return cls(**arrays)


def _places(fields: dict[str, tuple[Any, int]]) -> dict[str, int]:
    """Return where each array stands in the table: a word for its address, then one per
    dimension.
    """
    places, place = {}, 0
    for name, (_, dimensions) in fields.items():
        places[name] = place
        place += 1 + dimensions
    return places


def bundle(cls: type[Bundle]) -> None:
    """Make a bundle's class known to numba. Call it once, after the class statement."""
    if not COMPILED:
        return
    from numba import types
    from numba.core import cgutils
    from numba.core.extending import NativeValue, lower_getattr_generic, models, register_model, typeof_impl, unbox
    from numba.core.typing.templates import AttributeTemplate
    from numba.extending import infer_getattr
    from numba.np import arrayobj
    from numba.np.numpy_support import from_dtype

    name = f"{cls.__module__}.{cls.__qualname__}"
    kind = type(f"{cls.__name__}Type", (types.Type,), {"FIELDS": cls.FIELDS, "__init__": lambda self: types.Type.__init__(self, name=name)})
    kind.__module__, kind.__qualname__ = cls.__module__, f"{cls.__name__}Type"
    instance = kind()
    arrays = {field: types.Array(from_dtype(np.dtype(dtype)), dimensions, "C") for field, (dtype, dimensions) in cls.FIELDS.items()}
    places = _places(cls.FIELDS)

    cls.NUMBA_TYPE = instance
    register_model(kind)(models.OpaqueModel)
    typeof_impl.register(cls)(lambda value, context: instance)

    @unbox(kind)
    def take_address(typ: Any, obj: Any, c: Any) -> Any:
        number = c.pyapi.object_getattr_string(obj, "address")
        pointer = c.builder.inttoptr(c.pyapi.long_as_longlong(number), c.context.get_value_type(typ))
        c.pyapi.decref(number)
        return NativeValue(pointer, is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))

    @infer_getattr
    class Attributes(AttributeTemplate):
        key = kind

        def generic_resolve(self, typ: Any, attr: str) -> Any:
            return arrays.get(attr)

    @lower_getattr_generic(kind)
    def build_array(context: Any, builder: Any, typ: Any, value: Any, attr: str) -> Any:
        array_type = arrays[attr]
        word = ir.IntType(64)
        table = builder.bitcast(value, word.as_pointer())
        loaded = []
        for offset in range(1 + array_type.ndim):
            load = builder.load(builder.gep(table, [ir.Constant(word, places[attr] + offset)]))
            load.set_metadata("invariant.load", builder.module.add_metadata([]))
            loaded.append(load)
        array = arrayobj.make_array(array_type)(context, builder)
        itemsize = ir.Constant(word, np.dtype(cls.FIELDS[attr][0]).itemsize)
        shape = loaded[1:]
        strides = [itemsize]
        for length in reversed(shape[1:]):
            strides.insert(0, builder.mul(length, strides[0]))
        data = builder.inttoptr(loaded[0], context.get_data_type(array_type.dtype).as_pointer())
        arrayobj.populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None)
        return array._getvalue()

    import sys

    setattr(sys.modules[cls.__module__], kind.__name__, kind)

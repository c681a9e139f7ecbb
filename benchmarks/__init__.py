"""Ratios measured in one run, both sides on the same data (``make bench``)."""

from contextlib import suppress
from importlib import import_module

# Before numba: the C++ library that the wheel brings along finds no room for its thread-local data
# once LLVM is loaded.
with suppress(ImportError):
    import_module("lrvx")

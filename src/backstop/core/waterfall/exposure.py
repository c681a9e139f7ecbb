"""Exposure to the factor that all markets share: loading x signed value at mark, summed exactly.

A sum is whole atoms, rounded down, and a rest in millionths. Rules: R6.6.23, R6.6.27.
"""

from __future__ import annotations

from backstop.compiled import inlined, kernel
from backstop.core.units import add_checked, mul_div_floor

__all__ = ["add_exposure", "toward_zero"]

_PPM = 1_000_000


@kernel
def add_exposure(whole: int, rest: int, loading_ppm: int, value: int) -> tuple[int, int]:
    """Return the sum of an exposure and a loading x a signed value."""
    rest += (loading_ppm % _PPM) * (value % _PPM) % _PPM
    whole = add_checked(whole, mul_div_floor(loading_ppm, value, _PPM))
    return add_checked(whole, rest // _PPM), rest % _PPM


@inlined
def toward_zero(whole: int, rest: int) -> int:
    """Return an exposure in atoms, rounded toward zero."""
    return whole + 1 if whole < 0 and rest > 0 else whole

"""Engine and reference agree on every effect of every event, and on every digest.

``python -m tests.campaign --streams 100000`` is the long form. A difference prints the seed and the
one command that repeats it.
"""

from __future__ import annotations

import pytest

from tests.campaign import compare_streams
from tests.streams.settings import PROFILES

BLOCK = 250
ROUND = len(PROFILES)


def differences(first: int, count: int) -> str:
    """Return all differences in words, nothing where engine and reference agree."""
    return "\n".join(str(difference) for difference in compare_streams(first, count))


@pytest.mark.parametrize("block", range(8))
def test_engine_is_the_reference(block: int) -> None:
    """Two thousand streams, each profile about 77 times."""
    assert differences(block * BLOCK, BLOCK) == ""


@pytest.mark.bounds
@pytest.mark.parametrize("turn", range(2))
def test_engine_stays_within_its_arrays(turn: int) -> None:
    """Each profile twice; where every index is checked, one beyond an array raises."""
    assert differences(10_000 * ROUND + turn * ROUND, ROUND) == ""


@pytest.mark.interpreted
def test_kernels_are_plain_python_too() -> None:
    """Each profile once: what the compiler makes of the kernels is what they say."""
    assert differences(20_000 * ROUND, ROUND) == ""

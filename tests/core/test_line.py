"""Who gives below the least (``core.waterfall.line``) against the reference's, up to the largest lots."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from backstop.core.waterfall.line import DRAW, give_from_line, stand_on_line
from backstop.reference.allocation import DRAW as DRAW_OF_RULES
from backstop.reference.allocation import Line

LARGEST = 1 << 40


def drawn(parts: list[int], caps: list[int], least: int, point: int) -> tuple[list[int], tuple[int, int, int]]:
    """Return what each gives, and how many stand on the line, their parts and places."""
    count = len(parts)
    columns: NDArray[np.int64] = np.zeros((6, count + 1), dtype=np.int64)
    standing, begins, keys, order, merge, given = columns
    given[:count] = parts
    whose, most = np.array(parts, dtype=np.int64), np.array(caps, dtype=np.int64)
    members, lots, length = stand_on_line(most, whose, standing, begins, (keys, order, merge), count, least)
    if members:
        give_from_line(most, standing, begins, given, (members, lots, length, least), point % min(DRAW, length))
    return given[:count].tolist(), (int(members), int(lots), int(length))


@pytest.mark.parametrize("largest", [3, 40, 1_000, LARGEST])
def test_the_kernel_draws_as_the_rules_do(largest: int) -> None:
    """Parts of 0, caps of 0, equal caps, parts at their caps, one on the line, and none."""
    assert DRAW == DRAW_OF_RULES
    rng, stood = Random(largest), 0
    for _ in range(400):
        caps = [rng.choice((0, rng.randint(1, largest), largest)) for _ in range(rng.randint(1, 12))]
        parts = [rng.choice((0, cap, rng.randint(0, cap))) for cap in caps]
        least, point = rng.randint(1, 2 * largest), rng.randint(0, 1 << 62)
        line = Line.of(dict(enumerate(parts)), dict(enumerate(caps)), least)
        given, terms = drawn(parts, caps, least, point)
        if not line.parts:
            assert (given, terms) == (parts, (0, 0, 0))
            continue
        stood += 1
        right = dict(enumerate(parts)) | line.given(point % min(DRAW, line.length))
        assert given == list(right.values())
        assert terms == (len(line.parts), line.lots, line.length)
        assert sum(given) == sum(parts)
        assert all(part <= cap for part, cap in zip(given, caps, strict=True))
        # Whoever gives, gives the least or all that he can, but for the last of the line.
        assert sum(0 < part < min(least, cap) for part, cap in zip(given, caps, strict=True)) <= 1
    assert stood > 100

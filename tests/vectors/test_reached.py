"""The counts that the reference page states are those of the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vectors.reached import REACHED, markdown
from tests.vectors.tables.dydx_margin import NOT_EXPRESSIBLE

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "venue-vectors.md"


def _sums(source: str) -> tuple[int, int]:
    group = [count for count in REACHED if count.source == source]
    return sum(count.reached for count in group), sum(count.cases for count in group)


def test_reached_12_of_12_bankruptcy_prices() -> None:
    assert _sums("dYdX bankruptcy price") == (12, 12)


def test_reached_29_of_29_account_risks() -> None:
    assert _sums("dYdX account risk") == (29, 29)


def test_reached_55_of_57_margins() -> None:
    assert _sums("dYdX margin") == (55, 57)


@pytest.mark.parametrize(
    ("source", "cases"),
    [
        ("dYdX fillable price", 18),
        ("dYdX insurance delta", 19),
        ("dYdX block limits", 19),
        ("dYdX deleveraging", 35),
        ("Drift liquidation transfer", 32),
        ("Drift insurance", 28),
        ("Vega waterfall and disposal", 19),
        ("BitMEX queue", 6),
        ("nautilus and Bybit, inverse", 10),
    ],
)
def test_reached_all_of(source: str, cases: int) -> None:
    assert _sums(source) == (cases, cases)


@pytest.mark.parametrize("source", dict.fromkeys(count.source for count in REACHED))
def test_at_least_95_of_100_are_reached(source: str) -> None:
    reached, cases = _sums(source)
    assert reached * 100 >= cases * 95


def test_reached_20_of_20_binance_cases() -> None:
    assert _sums("Binance") == (20, 20)


def test_the_page_states_these_counts_and_every_reason() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert markdown() in page, "print the table with: python -m tests.vectors.reached"
    for line, reason in NOT_EXPRESSIBLE.items():
        assert f"L{line}: {reason}" in " ".join(page.split())

"""ADL of 2025-10-10 under every policy: ``python -m benchmarks.adl_2025``.

``BACKSTOP_DATA`` names the folder of recorded data. The figures go to ``benchmarks/adl_2025.json``,
and from there, with a picture, to docs/reference/adl-2025-10-10.md. Where the files are absent
nothing is written, and the exit code is 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backstop.comparison.budget import DECIMALS, BudgetTable
from backstop.comparison.compare import Comparison, compare_table
from backstop.config import Rounding
from backstop.config.quantise import steps_of
from backstop.feeds.columns import decimal_of
from backstop.feeds.table import open_table
from benchmarks.crashes import data_folder

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "adl_2025.json"
PAGE = ROOT / "docs" / "reference" / "adl-2025-10-10.md"
PICTURE = PAGE.with_suffix(".svg")
POSITIONS = "copyleft/hl_adl_20251010/hyperliquid_positions_BTC_SOL.csv.gz"
GAPS = "permissive/hl_adl_20251010/two_pass_wave_coin_gap_per_contract.csv"
COINS = ("BTC", "SOL")
ATOM = Decimal(1).scaleb(-DECIMALS)
#: Accounts by rank of profit: the last rank of each group.
GROUPS = (1, 10, 100, 1_000, None)


class Candidates(NamedTuple):
    """The shorts of one coin with a profit, the largest profit first."""

    coin: str
    #: Rows of the file: all shorts of the coin.
    shorts: int
    table: BudgetTable
    was_adl: list[bool]


class Gap(NamedTuple):
    """What one wave of ADL in one coin had to bring, in dollars as the file has it."""

    wave: int
    coin: str
    dollars: Decimal


class FileFacts(NamedTuple):
    """What the file of positions lacks."""

    rows: int
    rows_without_size: int
    rows_without_entry: int
    rows_with_leverage: int
    longs_deleveraged: int


def _rows(path: Path) -> Iterator[dict[str, str]]:
    table = open_table(path)
    for chunk in table.chunks(table.names):
        for place in range(chunk.rows):
            yield {name: str(column[place] or "") for name, column in chunk.columns.items()}


def read_positions(path: Path) -> tuple[FileFacts, tuple[Candidates, ...]]:
    """Read the shorts with a profit, weight and cap the profit: caps rounded down to the atom,
    weights up.
    """
    rows = list(_rows(path))
    facts = FileFacts(
        len(rows),
        sum(decimal_of(row["position_size"]) == 0 for row in rows),
        sum(row["entry_price"] == "" for row in rows),
        sum(row["leverage_ratio"] != "" for row in rows),
        sum(row["side"] == "LONG" and row["was_adl"] == "True" for row in rows),
    )
    return facts, tuple(_candidates(rows, coin) for coin in COINS)


def _candidates(rows: list[dict[str, str]], coin: str) -> Candidates:
    shorts = [row for row in rows if row["asset"] == coin and row["side"] == "SHORT"]
    profits = [(decimal_of(row["absolute_pnl"]), row) for row in shorts if row["absolute_pnl"]]
    chosen = sorted(((profit, row) for profit, row in profits if profit > 0), key=lambda pair: (-pair[0], pair[1]["user_address"]))
    table = BudgetTable(
        [row["user_address"] for _, row in chosen],
        np.array([steps_of(profit, ATOM, Rounding.CEIL) for profit, _ in chosen], dtype=np.int64),
        np.array([steps_of(profit, ATOM, Rounding.FLOOR) for profit, _ in chosen], dtype=np.int64),
    )
    return Candidates(coin, len(shorts), table, [row["was_adl"] == "True" for _, row in chosen])


def read_gaps(path: Path) -> list[Gap]:
    """Read the budget of each wave, coin by coin."""
    gaps = [Gap(int(row["wave"]), row["coin"], decimal_of(row["gap_usd_x_qty"])) for row in _rows(path) if row["coin"] in COINS]
    return sorted(gaps, key=lambda gap: (COINS.index(gap.coin), gap.wave))


def compare(candidates: Candidates, gap: Gap) -> Comparison:
    """Share a wave's budget, rounded to the nearest atom, over a coin's shorts; its number draws
    the order of random.
    """
    budget = steps_of(gap.dollars, ATOM, Rounding.HALF_EVEN)
    return compare_table(candidates.table, budget, gap.wave, f"{gap.coin}, wave {gap.wave}")


def _grouped(values: list[int]) -> list[int]:
    """Return the sums over the groups of accounts by rank."""
    sums, first = [], 0
    for last in GROUPS:
        sums.append(sum(values[first:last]))
        first = last or 0
    return sums


def _coin_figures(candidates: Candidates) -> dict[str, Any]:
    caps = candidates.table.caps.tolist()
    flags = [int(flag) for flag in candidates.was_adl]
    total = sum(caps)
    return {
        "shorts": candidates.shorts,
        "candidates": len(caps),
        "caps": str(total * ATOM),
        "deleveraged": sum(flags),
        "deleveraged_cap_share": sum(cap for cap, flag in zip(caps, flags, strict=True) if flag) / total,
        "groups": {
            "accounts": _grouped([1] * len(caps)),
            "cap_share": [part / total for part in _grouped(caps)],
            "deleveraged": _grouped(flags),
        },
    }


def _wave_figures(candidates: Candidates, gap: Gap) -> dict[str, Any]:
    comparison = compare(candidates, gap)
    budget = comparison.outcomes[0].budget
    policies = []
    for outcome in comparison.outcomes:
        parts = [outcome.parts.get(name, 0) for name in candidates.table.names]
        policies.append(
            {
                "policy": outcome.policy.name.lower(),
                "payers": len(outcome.parts),
                "given": str(sum(parts) * ATOM),
                "largest_share": max(parts) / budget,
                "top_10_share": outcome.top() / budget,
                "exact": outcome.is_exact,
                "findings": len(outcome.findings),
                "group_shares": [part / budget for part in _grouped(parts)],
                "deleveraged_share": sum(part for part, flag in zip(parts, candidates.was_adl, strict=True) if flag) / budget,
                "deleveraged_unasked": sum(flag and not part for part, flag in zip(parts, candidates.was_adl, strict=True)),
            }
        )
    return {
        "wave": gap.wave,
        "coin": gap.coin,
        "gap_usd_x_qty": str(gap.dollars),
        "budget": str(budget * ATOM),
        "notes": list(comparison.notes),
        "policies": policies,
    }


def run(data: Path) -> dict[str, Any]:
    """Return all figures."""
    facts, coins = read_positions(data / POSITIONS)
    by_coin = {candidates.coin: candidates for candidates in coins}
    return {
        "files": {"positions": POSITIONS, "gaps": GAPS},
        "file": facts._asdict(),
        "coins": {coin: _coin_figures(candidates) for coin, candidates in by_coin.items()},
        "waves": [_wave_figures(by_coin[gap.coin], gap) for gap in read_gaps(data / GAPS)],
    }


def is_sound(figures: dict[str, Any]) -> bool:
    """Return whether every budget was met to the atom, with nothing found against its
    certificate.
    """
    return all(each["exact"] and not each["findings"] for wave in figures["waves"] for each in wave["policies"])


def missing(data: Path | None) -> str:
    """Return why there is nothing to read, or nothing."""
    if data is None:
        return "BACKSTOP_DATA names no folder"
    absent = [name for name in (POSITIONS, GAPS) if not (data / name).is_file()]
    return f"{' and '.join(absent)}: not in the folder that BACKSTOP_DATA names" if absent else ""


def main() -> int:
    """Write figures, page and picture; exit code 1 where a check does not hold."""
    from benchmarks.adl_2025_page import draw, page

    data = data_folder()
    why = missing(data)
    if data is None or why:
        print(f"left out: ADL of 2025-10-10: {why}")
        print("nothing was run, nothing was written")
        return 0
    figures = run(data)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(figures), encoding="utf-8")
    draw(figures, PICTURE)
    for wave in figures["waves"]:
        met = all(each["exact"] for each in wave["policies"])
        findings = sum(each["findings"] for each in wave["policies"])
        print(f"{wave['coin']} wave {wave['wave']}: budget {wave['budget']} USD, met to the atom: {met}, findings: {findings}")
    print(f"written {RESULTS.relative_to(ROOT)}, {PAGE.relative_to(ROOT)}, {PICTURE.relative_to(ROOT)}")
    return 0 if is_sound(figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())

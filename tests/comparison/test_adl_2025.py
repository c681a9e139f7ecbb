"""ADL of 2025-10-10: the stored figures make the page, and are those of the files where they are at
hand.
"""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks import adl_2025
from benchmarks.adl_2025 import COINS, GAPS, PAGE, PICTURE, POSITIONS, RESULTS, is_sound, missing, read_gaps, read_positions, run
from benchmarks.adl_2025_page import draw, page
from benchmarks.crashes import data_folder
from tests.feeds.samples import write

HEAD = "user_address,asset,side,position_size,entry_price,absolute_pnl,leverage_ratio,was_adl\n"


def small_data(folder: Path) -> Path:
    """Write files of the same columns: three shorts of each coin that count, and rows that do
    not.
    """
    rows = "".join(
        f"0x{coin}{number},{coin},SHORT,0.0,,{profit},,{flag}\n"
        for coin in COINS
        for number, (profit, flag) in enumerate(
            [("5.5", "True"), ("10.00000049", "False"), ("0.0000001", "True"), ("-3", "True"), ("", "True")]
        )
    )
    rows += "0xL,BTC,LONG,1.0,100,7,,True\n"
    for name in (POSITIONS, GAPS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / POSITIONS).write_bytes(gzip.compress((HEAD + rows).encode()))
    waves = "3,SOL,0.0000025\n2,DOGE,9\n2,BTC,3.1000000000000001\n1,BTC,15.5\n"
    write(folder / GAPS, "wave,coin,gap_usd_x_qty\n" + waves)
    return folder


def test_the_committed_page_is_written_from_the_stored_figures() -> None:
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert is_sound(stored)
    assert [(wave["coin"], wave["wave"]) for wave in stored["waves"]] == [
        ("BTC", 13),
        ("BTC", 14),
        ("BTC", 21),
        ("SOL", 2),
        ("SOL", 9),
        ("SOL", 13),
        ("SOL", 14),
    ]
    assert PAGE.read_text(encoding="utf-8") == page(stored)
    assert PICTURE.is_file()


def test_files_are_read_exactly_and_shared_to_the_atom(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    facts, (bitcoin, solana) = read_positions(data / POSITIONS)
    assert (facts.rows, facts.rows_without_size, facts.rows_with_leverage, facts.longs_deleveraged) == (11, 10, 0, 1)
    assert bitcoin.table.caps.tolist() == [10_000_000, 5_500_000, 0]
    assert bitcoin.table.weights.tolist() == [10_000_001, 5_500_000, 1]
    assert bitcoin.was_adl == [False, True, True]
    assert solana.shorts == 5
    assert [(gap.coin, gap.wave) for gap in read_gaps(data / GAPS)] == [("BTC", 1), ("BTC", 2), ("SOL", 3)]
    figures = run(data)
    assert is_sound(figures)
    assert [wave["budget"] for wave in figures["waves"]] == ["15.500000", "3.100000", "0.000002"]
    for wave in figures["waves"]:
        for each in wave["policies"]:
            assert Decimal(each["given"]) == Decimal(wave["budget"])
    queue = {each["policy"]: each for each in figures["waves"][1]["policies"]}["queue"]
    assert (queue["payers"], queue["deleveraged_share"], queue["deleveraged_unasked"]) == (1, 0.0, 2)


def test_the_picture_is_drawn_from_figures(tmp_path: Path) -> None:
    draw(json.loads(RESULTS.read_text(encoding="utf-8")), tmp_path / "picture.svg")
    assert "deleveraged in fact" in (tmp_path / "picture.svg").read_text(encoding="utf-8")


def test_absent_files_are_said_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(adl_2025, "RESULTS", tmp_path / "figures.json")
    for folder, why in ((None, "BACKSTOP_DATA names no folder"), (str(tmp_path), "not in the folder that BACKSTOP_DATA names")):
        if folder is None:
            monkeypatch.delenv("BACKSTOP_DATA", raising=False)
        else:
            monkeypatch.setenv("BACKSTOP_DATA", folder)
        assert adl_2025.main() == 0
        printed = capsys.readouterr().out
        assert why in printed
        assert "nothing was written" in printed
    assert not (tmp_path / "figures.json").exists()


@pytest.mark.realdata
def test_the_stored_figures_are_those_of_the_files() -> None:
    data = data_folder()
    if data is None or missing(data):
        pytest.skip(missing(data))
    figures = run(data)
    assert is_sound(figures)
    assert figures == json.loads(RESULTS.read_text(encoding="utf-8"))
    # The sums that those who published the files name, in millions.
    assert [round(float(figures["coins"][coin]["caps"]) / 1e6, 2) for coin in COINS] == [120.45, 75.67]

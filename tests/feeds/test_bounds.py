"""Small files that grow: each is refused for what it would take, in a process that could not hold
it.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstop.comparison.budget import read_budget_table
from backstop.config import ConfigError, load_venue
from backstop.feeds.accounts import read_accounts
from backstop.feeds.errors import FeedError
from backstop.feeds.pages import page_sizes
from backstop.feeds.prices import read_prices
from backstop.feeds.sizes import GROWTH_MAX, UNPACKED_FREE
from backstop.printing import NAME_MAX
from tests.feeds.samples import BTC, MINUTE, START, small_venue, write

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
feather = pytest.importorskip("pyarrow.feather")

#: Rows of 8 bytes a column that are more than a small file may hold.
ROWS = UNPACKED_FREE // 8

#: Reads prices with so much memory beyond what the program itself takes: what an honest file of
#: this size needs, and no more.
_LIMITED = """
import resource, sys
from backstop.feeds.errors import FeedError
from backstop.feeds.pages import page_sizes
from backstop.feeds.prices import read_prices
from tests.feeds.samples import small_venue
import pyarrow.parquet, pyarrow.feather, pyarrow.compute
venue = small_venue()
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (700 << 20),) * 2)
try:
    read_prices(sys.argv[1], venue)
except FeedError as error:
    print(error)
"""


def _columns(rows: int, **changed: Any) -> Any:
    market = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(rows, dtype=np.int32)), arrow.array([BTC]))
    columns = {"time": arrow.array(np.full(rows, START)), "market": market, "mark": arrow.array(np.full(rows, 1.0))}
    return arrow.table({**columns, **changed})


def _many_rows(path: Path) -> None:
    parquet.write_table(_columns(ROWS), path, compression="zstd", row_group_size=ROWS)


def _long_text_everywhere(path: Path) -> None:
    """One text of a megabyte, 5,000 times by its number."""
    texts = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(5_000, dtype=np.int32)), arrow.array(["x" * (1 << 20)]))
    parquet.write_table(_columns(5_000, market=texts), path, compression="zstd")


def _medium_text_everywhere(path: Path) -> None:
    """A text that a cell may hold: a chunk of it would be half a gigabyte, were it not one text."""
    texts = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(60_000, dtype=np.int32)), arrow.array(["x" * 8_000]))
    parquet.write_table(_columns(60_000, market=texts), path, compression="zstd")


def _long_cell(path: Path) -> None:
    table = arrow.table({"time": [START], "market": ["x" * (256 << 20)], "mark": [1.0]})
    parquet.write_table(table, path, compression="zstd", use_dictionary=False)


def _lying_footer(path: Path) -> None:
    """A column whose pages hold a quarter of a gigabyte, and whose footer says that they hold a few
    bytes.
    """
    table = arrow.table({"time": [START], "market": ["x" * (256 << 20)], "mark": [1.0]})
    parquet.write_table(table, path, compression="zstd", use_dictionary=False)
    said = parquet.read_metadata(path).row_group(0).column(1).total_uncompressed_size
    content = bytearray(path.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    number = _varint(2 * said)  # as Thrift writes it, in as many bytes
    place = content.index(number, footer)
    content[place : place + len(number)] = bytes([0x80 | 100, *(0x80,) * (len(number) - 2), 0])
    path.write_bytes(content)
    assert parquet.read_metadata(path).row_group(0).column(1).total_uncompressed_size == 50


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(0x80 | value & 127)
        value >>= 7
    return bytes([*parts, value])


def _nested(path: Path) -> None:
    texts = arrow.array(["x" * (1 << 20)]).dictionary_encode()
    lists = arrow.ListArray.from_arrays(
        np.arange(3, dtype=np.int32), arrow.DictionaryArray.from_arrays(np.zeros(2, dtype=np.int32), texts.dictionary)
    )
    parquet.write_table(_columns(2, market=lists), path, compression="zstd")


def _packed_batch(path: Path) -> None:
    feather.write_feather(_columns(ROWS), path, compression="zstd", chunksize=ROWS)


def _packed_dictionary(path: Path) -> None:
    texts = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(1, dtype=np.int32)), arrow.array(["x" * (256 << 20)]))
    feather.write_feather(_columns(1, market=texts), path, compression="zstd")


def _nothing_everywhere(path: Path) -> None:
    """Rows of type null take no bytes at all."""
    table = arrow.table({name: arrow.nulls(1 << 30) for name in ("time", "market", "mark")})
    feather.write_feather(table, path, chunksize=1 << 30)


def _packed_text(path: Path) -> None:
    with gzip.open(path, "wb", 9) as file:
        file.write(b"time,market,mark,note\n")
        row = f"{START},{BTC},1,{'x' * 4_000}\n".encode()
        for _ in range(4):
            file.write(row * (UNPACKED_FREE // len(row) // 2))


def _endless_row(path: Path) -> None:
    with gzip.open(path, "wb", 9) as file:
        file.write(b"time,market,mark\n")
        for _ in range(100):
            file.write(b"," * (1 << 20))


def _endless_row_of_lines(path: Path) -> None:
    with gzip.open(path, "wb", 9) as file:
        file.write(b"time,market,mark\n")
        for _ in range(100):
            file.write(b'"\n",' * (1 << 18))


HOSTILE: list[tuple[str, Callable[[Path], None], str]] = [
    ("many_rows.parquet", _many_rows, "grows beyond all measure when it is unpacked"),
    ("long_text.parquet", _long_text_everywhere, "column market: has a cell that is too long"),
    ("medium_text.parquet", _medium_text_everywhere, "is an unknown market"),
    ("long_cell.parquet", _long_cell, "grows beyond all measure when it is unpacked"),
    ("lying_footer.parquet", _lying_footer, "grows beyond all measure when it is unpacked"),
    ("nested.parquet", _nested, "column market: is of type list"),
    ("batch.feather", _packed_batch, "grows beyond all measure when it is unpacked"),
    ("dictionary.feather", _packed_dictionary, "grows beyond all measure when it is unpacked"),
    ("nothing.feather", _nothing_everywhere, "grows beyond all measure when it is unpacked"),
    ("text.csv.gz", _packed_text, "grows beyond all measure when it is unpacked"),
    ("row.csv.gz", _endless_row, "has a row that does not end"),
    ("lines.csv.gz", _endless_row_of_lines, "has a row that does not end"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by Linux's means")
@pytest.mark.parametrize(("name", "make", "words"), HOSTILE, ids=[name for name, _, _ in HOSTILE])
def test_a_small_file_does_not_take_gigabytes(tmp_path: Path, name: str, make: Callable[[Path], None], words: str) -> None:
    path = tmp_path / name
    make(path)
    assert path.stat().st_size < 1 << 20
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", _LIMITED, str(path)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert words in done.stdout
    assert str(path) in done.stdout
    assert len(done.stdout) < 1_000


@pytest.mark.parametrize("ending", [".csv.gz", ".parquet", ".feather"])
def test_a_file_that_repeats_itself_within_bounds_is_read(tmp_path: Path, ending: str) -> None:
    """A quiet market: the same price for a year of hours."""
    rows = 9_000
    path = tmp_path / f"prices{ending}"
    times = START + MINUTE * np.arange(rows)
    if ending == ".csv.gz":
        path.write_bytes(gzip.compress(("time,market,mark\n" + "".join(f"{time_ns},{BTC},1000\n" for time_ns in times)).encode(), 9))
    else:
        table = _columns(rows, time=arrow.array(times), mark=arrow.array(np.full(rows, 1000.0)))
        (parquet.write_table if ending == ".parquet" else feather.write_feather)(table, path, compression="zstd")
    assert len(read_prices(path, small_venue()).events) == rows


def test_a_packed_text_is_counted_as_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its last bytes say that it comes to."""
    monkeypatch.setattr("backstop.feeds.sizes.UNPACKED_FREE", 1 << 16)
    path = tmp_path / "prices.csv.gz"
    row = f"{START},{BTC},1\n"
    packed = gzip.compress(("time,market,mark\n" + row * 50_000).encode(), 9) + gzip.compress(b"\n")
    path.write_bytes(packed)
    most = (1 << 16) + GROWTH_MAX * len(packed)
    assert most < len(row) * 50_000
    with pytest.raises(FeedError, match=f"must unpack to at most {most:,} bytes: 0 MiB and 100 times its size"):
        read_prices(path, small_venue())


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_are_found_by_their_own_headers(tmp_path: Path, version: str, compression: str, dictionary: bool) -> None:
    """Their sizes and headers together are what the footer says that a column holds."""
    path = tmp_path / "pages.parquet"
    table = _columns(30_000, time=arrow.array(START + MINUTE * np.arange(30_000)))
    options = {"data_page_version": version, "compression": compression, "use_dictionary": dictionary, "data_page_size": 1_000}
    parquet.write_table(table, path, row_group_size=20_000, write_statistics=True, **options)
    metadata, content, found = parquet.read_metadata(path), path.read_bytes(), 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            starts = [place for place in (column.dictionary_page_offset, column.data_page_offset) if place]
            sizes = list(page_sizes(content, min(starts), column.total_compressed_size))
            rest = column.total_uncompressed_size - sum(sizes)  # the headers
            assert 10 * len(sizes) < rest < 120 * len(sizes)
            found += len(sizes)
    assert found > 20
    assert len(read_prices(path, small_venue()).events) == 30_000


def test_very_many_columns_are_refused(tmp_path: Path) -> None:
    names = ",".join(f"n{number}" for number in range(100_000))
    with pytest.raises(FeedError, match=r"has 100,003 columns: must have at most 1,000"):
        read_prices(write(tmp_path / "prices.csv", f"time,market,mark,{names}\n"), small_venue())
    table = arrow.table({f"n{number}": [1] for number in range(1_001)})
    parquet.write_table(table, tmp_path / "prices.parquet")
    with pytest.raises(FeedError, match=r"has 1,001 columns"):
        read_prices(tmp_path / "prices.parquet", small_venue())


def test_a_column_that_stands_twice_among_many_is_named(tmp_path: Path) -> None:
    names = ",".join(f"n{number}" for number in range(990))
    with pytest.raises(FeedError, match=r"has the column 'n17' twice"):
        read_prices(write(tmp_path / "prices.csv", f"time,market,mark,{names},n17\n"), small_venue())


def test_the_columns_that_are_not_used_are_told_in_a_line(tmp_path: Path) -> None:
    names = ",".join(f"n{number}" for number in range(990))
    with pytest.raises(FeedError) as refused:
        read_prices(write(tmp_path / "prices.csv", f"market,mark,{names}\n"), small_venue())
    assert "and 972 more" in str(refused.value)


@pytest.mark.parametrize("column", ["account", "owner"])
def test_the_length_of_a_name_is_bounded(tmp_path: Path, column: str) -> None:
    for length, is_read in ((NAME_MAX, True), (NAME_MAX + 1, False)):
        account, owner = ("a" * length, "o") if column == "account" else ("a", "o" * length)
        rows = f"account,owner,market,quantity,entry_price\n{account},{owner},,,\n"
        cash = write(tmp_path / "cash.csv", f"account,asset,amount\n{account},USDT,1\n")
        if is_read:
            assert read_accounts(write(tmp_path / "accounts.csv", rows), cash, small_venue()).report.accounts == 1
            continue
        with pytest.raises(FeedError, match=f"column {column}: .*the {column} is too long: must have at most 256 letters"):
            read_accounts(write(tmp_path / "accounts.csv", rows), cash, small_venue())
    table = write(tmp_path / "table.csv", f"account,weight,cap\n{'a' * (NAME_MAX + 1)},1,1\n")
    with pytest.raises(FeedError, match="is too long: must have at most 256 letters"):
        read_budget_table(table)


def test_more_accounts_than_the_venue_has_rows_for_are_refused_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when all are in memory: the second chunk is never read."""
    monkeypatch.setattr("backstop.feeds.table.CHUNK_ROWS", 5_000)
    rows = "".join(f"a{number},o,,,\n" for number in range(5_000))
    path = write(tmp_path / "accounts.csv", f"account,owner,market,quantity,entry_price\n{rows}this,is,no,row\n")
    with pytest.raises(FeedError, match="has 5000 accounts: the venue allows 4096"):
        read_accounts(path, write(tmp_path / "cash.csv", "account,asset,amount\n"), small_venue())


def test_a_file_of_settings_is_bounded(tmp_path: Path) -> None:
    path = write(tmp_path / "venue.toml", "# " + "x" * (16 << 20))
    with pytest.raises(ConfigError, match="must have at most 16 MiB"):
        load_venue(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="has no such device")
def test_a_device_without_end_is_no_file_of_settings() -> None:
    with pytest.raises(ConfigError, match="must have at most 16 MiB"):
        load_venue("/dev/zero")

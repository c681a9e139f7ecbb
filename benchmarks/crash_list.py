"""The recorded crashes: which files, which hours of them, and how they are run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from backstop.config import Venue, default_text, load_venue, parse_venue
from backstop.feeds.columns import duration_ns_of
from backstop.feeds.exchange import Layout

__all__ = ["ACCOUNTS", "COARSE_STEPS", "CRASHES", "MARK_EVERY_SECONDS", "ROOT", "SEED", "Crash", "Watch"]

ROOT = Path(__file__).parent.parent
SEED = 1
ACCOUNTS = 50_000
#: The coarsest bars of a crash are walked in as many marks as make one this often.
MARK_EVERY_SECONDS = 3
#: Beside it, to see what the fund's payments owe to the walk: marks a bar.
COARSE_STEPS = 6


class Watch(NamedTuple):
    """A stretch of a crash whose defaults are counted apart."""

    what: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Crash:
    """One recorded crash: which file, how to read it, which hours of it."""

    name: str
    #: Below the folder of recorded data.
    file: str
    layout: Layout
    #: In order of preference, the coarsest that is used last.
    timeframes: tuple[str, ...]
    start: str
    end: str
    #: Names in the file, and the symbols that they become.
    markets: tuple[tuple[str, str], ...] = ()
    #: Below the root of the repository; None: the bundled venue.
    venue: str | None = None
    watches: tuple[Watch, ...] = ()

    @property
    def steps(self) -> int:
        """Return the marks that each bar is walked in."""
        return duration_ns_of(self.timeframes[-1]) // (MARK_EVERY_SECONDS * 1_000_000_000)

    def load_venue(self) -> Venue:
        """Return the venue that the crash is run on."""
        return parse_venue(default_text(), "bundled venue") if self.venue is None else load_venue(ROOT / self.venue)


_XBTUSD = (("XBTUSD", "BTC/USDT:USDT"),)
CRASHES = (
    Crash(
        "2025-10-10",
        "copyleft/bars/binance_usdm_5m_15m_20251008_1014.parquet",
        Layout.FREQTRADE,
        ("5m", "15m"),
        "2025-10-10T12:00:00Z",
        "2025-10-11T12:00:00Z",
    ),
    Crash(
        "2025-04-07",
        "permissive/bars/binance_usdm_3m_5m_202503_202504.parquet",
        Layout.FREQTRADE,
        ("3m",),
        "2025-04-06T12:00:00Z",
        "2025-04-08T00:00:00Z",
        venue="docs/examples/venue-2025-04.toml",
    ),
    Crash(
        "2021-05-19",
        "permissive/bars/bitmex_xbtusd_1m_202105_may19.parquet",
        Layout.BITMEX,
        ("1m",),
        "2021-05-19T00:00:00Z",
        "2021-05-20T00:00:00Z",
        _XBTUSD,
    ),
    Crash(
        "2020-03-12",
        "permissive/bars/bitmex_xbtusd_1m_202003_covid.parquet",
        Layout.BITMEX,
        ("1m",),
        "2020-03-12T00:00:00Z",
        "2020-03-13T12:00:00Z",
        _XBTUSD,
        watches=(
            Watch("the venue's outage", "2020-03-13T02:16:00Z", "2020-03-13T02:46:00Z"),
            Watch("the outage's print of -15.55 % on 2 trades of 31 contracts", "2020-03-13T02:33:00Z", "2020-03-13T02:34:00Z"),
        ),
    ),
)

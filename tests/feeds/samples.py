"""Small files and a small venue for the tests of the file readers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from backstop.config import Venue, parse_venue

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
#: 2025-10-10T21:00:00Z
START = 1_760_130_000 * SECOND

VENUE_TEXT = """
[venue]
name = "small"

[asset]
name = "USDT"
decimals = 6

[limits]
accounts_max = 4096
positions_max = 16384
orders_max = 4096
effects_max = 65536

[[waterfall]]
stage = "restrict"

[[waterfall]]
stage = "closeout"
fee_ppm = 2000
{closeout}

[[waterfall]]
stage = "fund"
opening_balance = "{fund}"

{adl}

[[waterfall]]
stage = "tear_up"

[[market]]
symbol = "BTC/USDT:USDT"
price_tick = "0.1"
quantity_lot = "0.001"
price_max = "1000000"
position_max = "1000"
slippage_tolerance_ppm = 50000
band_offset_ppm = [1000, 10000, 50000]
tiers = [
    {{ floor = 0, initial_rate_ppm = 20000, maintenance_rate_ppm = 10000 }},
    {{ floor = 1000000, initial_rate_ppm = 50000, maintenance_rate_ppm = 25000 }},
]

[market.book]
depth = [5, 10, 20]

[[market]]
symbol = "ETH/USDT:USDT"
price_tick = "0.25"
quantity_lot = "0.01"
price_max = "100000"
position_max = "10000"
slippage_tolerance_ppm = 50000
band_offset_ppm = [1000, 10000, 50000]
tiers = [{{ floor = 0, initial_rate_ppm = 50000, maintenance_rate_ppm = 20000 }}]

[market.book]
depth = [100, 200, 400]
"""


@cache
def small_venue(fund: str = "100000", closeout: str = "", adl: bool = True) -> Venue:
    return parse_venue(venue_text(fund, closeout, adl), "venue.toml")


def venue_text(fund: str = "100000", closeout: str = "", adl: bool = True) -> str:
    return VENUE_TEXT.format(fund=fund, closeout=closeout, adl='[[waterfall]]\nstage = "adl"' if adl else "")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path

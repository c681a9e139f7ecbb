"""The outage print of 2020-03-13 with and without the price guard:
``python -m benchmarks.outage_print``.

At 02:33 UTC (stamped 02:34, the end of its minute) BitMEX, in an outage, printed -15.55 % on 2
trades of 31 contracts. Accounts are opened at 4,322, the close of the minute before, so that marks
3 to 14 % below it would liquidate them. ``BACKSTOP_DATA`` names the folder of recorded data; where
the file is absent, that is said, nothing is written, and the exit code is 0. The result is
docs/reference/outage-print.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from backstop.config import Venue, default_text, parse_venue
from backstop.feeds.accounts import read_accounts
from backstop.feeds.columns import time_ns_of, time_text
from backstop.feeds.exchange import Layout, convert_bars
from backstop.feeds.prices import read_prices
from backstop.runs.cases import Case, case_of_book
from backstop.runs.defaults import entries
from backstop.runs.fold import Fold, Reader
from backstop.runs.replay import ReplayResult, replay_case
from backstop.runs.tally import Tally
from benchmarks.crash_list import CRASHES
from benchmarks.crash_variants import variant_of, without_guard
from benchmarks.crashes import data_folder
from benchmarks.prose import wrapped

__all__ = ["Outcome", "case_at", "import_bars", "main", "page", "run"]

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "outage-print.md"
FILE = next(crash.file for crash in CRASHES if crash.name == "2020-03-12")
SYMBOL = "BTC/USDT:USDT"
#: Close of the minute before the print: what the accounts are opened at.
ENTRY = 4322
#: How far below it the triggers lie, in tenths of a percent.
DISTANCES = range(30, 141, 5)
START, END, LATER = "2020-03-13T02:33:00Z", "2020-03-13T02:36:00Z", "2020-03-13T02:46:00Z"
#: Every bar as its four prices: straight lines between them would be trades that nobody made.
STEPS = 4
_MINUTE_NS = 60_000_000_000
#: The first tier's maintenance rate of the bundled venue [ppm].
_MAINTENANCE_PPM = 4_000


class Outcome(NamedTuple):
    """What a run came to, minute by minute."""

    result: ReplayResult
    #: Entries into default in each minute.
    fallen: tuple[int, ...]


def import_bars(data: Path, scratch: Path) -> Path:
    """Write the recorded minutes as the long form; return where."""
    output = scratch / "outage.parquet"
    convert_bars([data / FILE], output, layout=Layout.BITMEX, timeframes=("1m",), markets={"XBTUSD": SYMBOL})
    return output


def case_at(venue: Venue, bars: Path, scratch: Path, entry: int, start: str, end: str, distances: Sequence[int] = DISTANCES) -> Case:
    """Return longs of one coin whose triggers lie ``distances`` tenths of a percent below
    ``entry``, and one short against them all.
    """
    prices = read_prices(bars, venue, steps=STEPS, timeframe_ns=_MINUTE_NS, start_ns=time_ns_of(start), end_ns=time_ns_of(end))
    accounts, cash = ["account,owner,market,quantity,entry_price"], ["account,asset,amount"]
    for tenths in distances:
        name = f"{tenths / 10:.1f} % away"
        accounts.append(f"{name},{name},{SYMBOL},1,{entry}")
        # Equity meets maintenance margin at the trigger: collateral + trigger - entry = rate x
        # trigger.
        trigger_ppm = 1_000_000 - 1_000 * tenths
        collateral_e12 = entry * (10**12 - trigger_ppm * (1_000_000 - _MAINTENANCE_PPM))
        cash.append(f"{name},USDT,{collateral_e12 // 10**6 / 10**6:.6f}")
    accounts.append(f"the other side,the other side,{SYMBOL},-{len(distances)},{entry}")
    cash.append("the other side,USDT,1000000")
    for name, lines in (("accounts.csv", accounts), ("collateral.csv", cash)):
        (scratch / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return case_of_book(venue, prices, read_accounts(scratch / "accounts.csv", scratch / "collateral.csv", venue))


def run(case: Case) -> Outcome:
    """Replay a case; count who falls in which minute."""
    start_ns, end_ns = case.prices.start_ns, int(case.prices.events["time_ns"][-1])
    tally = Tally(case.venue)
    falls = tally.fold.join(_Falls(start_ns, (end_ns - start_ns) // _MINUTE_NS + 1))
    return Outcome(replay_case(case, tally=tally), tuple(falls.by_minute))


class _Falls(Reader):
    """Counts entries into default by minute; those after the last minute count in it."""

    def __init__(self, start_ns: int, minutes: int) -> None:
        self.by_minute = [0] * minutes
        self._start_ns = start_ns

    def take_batch(self, fold: Fold) -> None:
        for time_ns in fold.time_ns(fold.once(entries).seq).tolist():
            self.by_minute[min((time_ns - self._start_ns) // _MINUTE_NS, len(self.by_minute) - 1)] += 1


_HEAD = """\
# The outage print of 2020-03-13

`python -m benchmarks.outage_print` writes this page; do not edit it. The recording is not part of the
repository: `BACKSTOP_DATA` names its folder.

In the night of 2020-03-13 BitMEX was down, and still a few orders traded. The minute of 02:33 UTC,
stamped 02:34, opens at the close before, {entry:,}, and prints {move} on 2 trades of 31 contracts,
{volume} coins.

The run opens {accounts} accounts at {entry:,}, long one coin each, so that marks {first} to {last} % below would
liquidate them. The venue is the bundled one: it holds a jump of {jump} % or more on a volume of less
than {thin} coins. Each minute becomes {steps} marks, its four prices, with its volume before them.
"""

_SAVES = """\
With the guard no account falls in these three minutes. The low was the newest for most of the hold,
but {entry:,} was heard as well: so it is held once more (R7.2.6), and dropped where {entry:,} is back.
Without the guard every account is liquidated at a price that 31 contracts made.
"""

_DELAYS = """\
Without the guard every account is liquidated at once, at a price that 31 contracts made. With it they
fall too, {fallen} of {accounts}, only later: low prints were the newest for most of the hold, so that at
its end one becomes the mark (R7.2.6). That costs the accounts their positions.
"""

_AFTER = """\

## The minutes after

A guard only holds marks; it does not know the right price. In the minutes that follow, prices as low
trade on a volume that is no longer little, and are accepted. Until {later} UTC:

"""


def page(short: dict[str, Outcome], long: dict[str, Outcome], venue: Venue, distances: Sequence[int] = DISTANCES) -> str:
    """Return the page for the runs with the guard ``off`` and ``on``, over three minutes and over
    the outage's rest.
    """
    number = venue.market(SYMBOL)
    rules, spec = venue.rules.markets[number], venue.markets[number]
    held = short["on"].result.tally.guard.held
    head = _HEAD.format(
        entry=ENTRY,
        move=f"-{held[0].move_ppm / 1e4:.2f} %",
        volume=spec.quantity_text(held[0].volume_lots),
        accounts=len(distances),
        first=f"{distances[0] / 10:g}",
        last=f"{distances[-1] / 10:g}",
        jump=f"{rules.guard_jump_ppm / 1e4:g}",
        thin=spec.quantity_text(rules.guard_volume_lots),
        steps=STEPS,
    )
    words = ["## Why the print was refused", "", "In the words of `backstop replay`, also as `guard` in its JSON:", ""]
    words += [f"- {each.why(venue)}" for each in held]
    fallen = short["on"].result.tally.defaults
    after = (_DELAYS if fallen else _SAVES).format(entry=ENTRY, fallen=fallen, accounts=len(distances))
    after += _AFTER.format(later=LATER[11:16])
    return wrapped("\n".join([head, _table(short), *words, "", after.rstrip("\n"), "", _table(long)]))


def _table(outcomes: dict[str, Outcome]) -> str:
    first_ns = outcomes["off"].result.first_ns
    minutes = [time_text(first_ns + place * _MINUTE_NS)[11:16] for place in range(len(outcomes["off"].fallen))]
    lines = [f"| guard | {' | '.join(minutes)} | fall | marks held | fund paid |", "|---|" + "---:|" * (len(minutes) + 3)]
    for name, outcome in outcomes.items():
        tally = outcome.result.tally
        paid = next(row["paid"] for row in outcome.result.as_json()["stages"] if row["name"] == "fund")
        counts = " | ".join(str(count) for count in outcome.fallen)
        lines.append(f"| {name} | {counts} | {tally.defaults} | {sum(each.marks for each in tally.guard.held)} | {paid} |")
    return "\n".join(lines) + "\n"


def outcomes_of(data: Path, end: str, scratch: Path) -> dict[str, Outcome]:
    """Run the recorded minutes until ``end`` with the guard off and on."""
    venue = parse_venue(default_text(), "bundled venue")
    bars = import_bars(data, scratch)
    venues = {"off": variant_of(venue, without_guard, "no guard"), "on": venue}
    return {name: run(case_at(each, bars, scratch, ENTRY, START, end)) for name, each in venues.items()}


def main() -> int:
    """Run, print and write the page; exit code 1 where the guard does not do what it is for."""
    data = data_folder()
    if data is None or not (data / FILE).is_file():
        print(f"left out: {FILE} is absent: BACKSTOP_DATA must name the folder of recorded data; nothing was written")
        return 0
    with tempfile.TemporaryDirectory(prefix="backstop-outage-") as folder:
        short, long = (outcomes_of(data, end, Path(folder)) for end in (END, LATER))
    text = page(short, long, parse_venue(default_text(), "bundled venue"))
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    return int(not (short["off"].result.tally.defaults > 0 and short["on"].result.tally.defaults == 0))


if __name__ == "__main__":
    sys.exit(main())

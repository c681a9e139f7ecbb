"""What breakers and the price guard cost and save: ``python -m benchmarks.breakers``.

The bundled crashes with the breakers of the bundled venue, without them, and with throttled slices of
half the size; then three small scenes in which a breaker or the guard must trip and help. The result is
docs/reference/breakers-compared.md. The exit code is 1 where a bundled crash costs the fund or the
deleveraged more with breakers than without, or a small scene shows no help.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from backstop.config import Venue, default_text, parse_venue
from backstop.feeds.accounts import read_accounts
from backstop.feeds.prices import read_prices
from backstop.markets.population import default_parameters
from backstop.markets.scenarios import scenario
from backstop.runs.cases import Case, case_of_book, case_of_population, scenario_prices
from backstop.runs.outcome import Outcome, OutcomeTally
from backstop.runs.replay import replay_case
from backstop.runs.tally import Tally
from benchmarks.crash_list import SEED
from benchmarks.crash_variants import Resolved, variant_of, without_breakers, without_guard
from benchmarks.prose import wrapped

__all__ = ["Run", "costs_more", "half_slices", "main", "page", "scenes"]

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "breakers-compared.md"
CRASHES = ("2020-03-12", "2021-05-19", "2025-10-10")
SYMBOL, BESIDE = "BTC/USDT:USDT", "ETH/USDT:USDT"
SECOND = 1_000_000_000
START = 1_760_000_000 * SECOND
ENTRY = 100_000
#: How far below the entry the triggers lie, in tenths of a percent.
DISTANCES = range(20, 51, 2)
#: The first tier's maintenance rate of the bundled venue [ppm].
_MAINTENANCE_PPM = 4_000


class Run(NamedTuple):
    """One run, by what it is called."""

    crash: str
    variant: str
    outcome: Outcome
    venue: Venue
    #: Marks that the guard held.
    held: int


def half_slices(resolved: Resolved) -> Resolved:
    """Return a venue whose throttled slices are half as large."""
    changed = copy.deepcopy(resolved)
    changed["breakers"]["throttle_share_ppm"] = 500_000
    return changed


def without_both(resolved: Resolved) -> Resolved:
    """Return a venue without breakers and without guard."""
    return without_guard(without_breakers(resolved))


def as_it_is(resolved: Resolved) -> Resolved:
    """Return a venue as it is."""
    return resolved


def bundled() -> Venue:
    """Return the bundled venue."""
    return parse_venue(default_text(), "bundled venue")


def run(crash: str, variant: str, case: Case, *, impact: bool = False) -> Run:
    """Replay a case."""
    tally = Tally(case.venue)
    counted = OutcomeTally(tally)
    outcome = counted.outcome(replay_case(case, tally=tally, impact=impact))
    return Run(crash, variant, outcome, case.venue, sum(each.marks for each in tally.guard.held))


def crash_runs(name: str, *, impact: bool = False) -> list[Run]:
    """Run one bundled crash with every variant."""
    variants: dict[str, Callable[[Resolved], Resolved]] = {"off": without_breakers, "half slices": half_slices, "bundled": as_it_is}
    found = []
    for variant, change in variants.items():
        venue = variant_of(bundled(), change, variant)
        prices, schedule = scenario_prices(venue, scenario(name), SEED)
        case = case_of_population(venue, prices, default_parameters(), SEED, schedule)
        found.append(run(f"{name}, with impact" if impact else name, variant, case, impact=impact))
    return found


# -- small scenes ----------------------------------------------------------------------------------

#: Second, mark of the market, volume of its last bar.
Mark = tuple[int, int, float]


def bad_print() -> list[Mark]:
    """A price 15 % below on half a coin, for two seconds."""
    marks = [(second, ENTRY, 500.0) for second in range(60)]
    marks += [(60, ENTRY * 85 // 100, 0.5), (61, ENTRY * 85 // 100, 0.5)]
    return marks + [(second, ENTRY, 500.0) for second in range(62, 240)]


def dead_feed() -> list[Mark]:
    """Eight minutes of silence; the first half minute after it is 6 % low."""
    marks = [(second, ENTRY, 500.0) for second in range(60)]
    marks += [(second, ENTRY * 94 // 100, 500.0) for second in range(540, 570)]
    return marks + [(second, ENTRY, 500.0) for second in range(570, 900)]


def scene_case(venue: Venue, marks: list[Mark], scratch: Path) -> Case:
    """Return longs of one coin that fall ``DISTANCES`` below the entry, against one rich short, beside
    a market that lives.
    """
    prices = ["time,market,mark,volume"]
    prices += [f"{START + second * SECOND},{SYMBOL},{mark},{volume}" for second, mark, volume in marks]
    prices += [f"{START + second * SECOND},{BESIDE},4000,5000" for second in range(marks[-1][0] + 1)]
    accounts, cash = ["account,owner,market,quantity,entry_price"], ["account,asset,amount"]
    for tenths in DISTANCES:
        accounts.append(f"long{tenths},long{tenths},{SYMBOL},1,{ENTRY}")
        trigger = ENTRY * (1_000 - tenths) // 1_000
        cash.append(f"long{tenths},USDT,{ENTRY - trigger + trigger * _MAINTENANCE_PPM // 1_000_000}")
    accounts.append(f"short,short,{SYMBOL},-{len(DISTANCES)},{ENTRY}")
    cash.append("short,USDT,1000000")
    for name, lines in (("prices.csv", prices), ("accounts.csv", accounts), ("cash.csv", cash)):
        (scratch / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    book = read_accounts(scratch / "accounts.csv", scratch / "cash.csv", venue)
    return case_of_book(venue, read_prices(scratch / "prices.csv", venue), book)


def scenes() -> list[Run]:
    """Run the small scenes without breakers and guard, and with both."""
    found = []
    for name, marks in (("bad print", bad_print()), ("dead feed", dead_feed())):
        for variant, change in (("off", without_both), ("bundled", as_it_is)):
            with tempfile.TemporaryDirectory(prefix="backstop-breakers-") as folder:
                found.append(run(name, variant, scene_case(variant_of(bundled(), change, variant), marks, Path(folder))))
    return found


# -- the page --------------------------------------------------------------------------------------


def costs_more(runs: list[Run]) -> list[str]:
    """Say where the bundled venue costs more than one without breakers: the fund, what nobody paid,
    or whoever is deleveraged.
    """
    found = []
    for each in runs:
        if each.variant == "bundled":
            off = next(other for other in runs if (other.crash, other.variant) == (each.crash, "off"))
            for what in ("fund_paid", "uncovered", "adl_paid", "cuts_paid", "adl_accounts", "adl_fills"):
                with_, without = getattr(each.outcome, what), getattr(off.outcome, what)
                if with_ > without:
                    found.append(f"{each.crash}: {what} {with_} with, {without} without")
    return found


def _row(each: Run) -> str:
    told, asset = each.outcome, each.venue.asset
    money = [round(atoms / 10**asset.decimals) for atoms in (told.fund_paid, told.uncovered, told.adl_paid + told.cuts_paid)]
    counts = (told.defaults, told.liquidations, told.adl_accounts, told.adl_owners, told.adl_fills, told.halts, each.held)
    return f"| {each.crash} | {each.variant} | " + " | ".join(f"{number:,}" for number in (*money, *counts)) + " |"


def _table(runs: list[Run]) -> list[str]:
    heads = (
        "run",
        "breakers",
        "fund paid",
        "uncovered",
        "winners paid",
        "defaults",
        "closed",
        "ADL",
        "owners asked",
        "ADL fills",
        "halts",
        "held",
    )
    return [f"| {' | '.join(heads)} |", "|---|---|" + "---:|" * (len(heads) - 2), *map(_row, runs)]


_HEAD = """\
# What breakers cost and save

`python -m benchmarks.breakers` writes this page; do not edit it. Money in USDT, seed 1. *closed* are
defaults in which lots were closed, *ADL* accounts that were deleveraged, *held* marks that the price
guard held.

## The bundled crashes

`off` has no breakers, `bundled` is the bundled venue, and `half slices` is that with a
`throttle_share_ppm` of 500,000.
"""

_AFTER = """\
Until a market is halted, a breaker does one thing: its closing slices are smaller. That is no help
where the price goes on falling: what is not sold now is sold lower, with the fund's money. At half
slices the fund paid more in two of the three crashes, and most where orders move the price. So the
bundled venue sends whole slices in a market that is throttled, and THROTTLED is a notice. In `2020-03-12` and
`2021-05-19` nothing is halted, and the breakers change nothing. In `2025-10-10` they halt: nobody takes
new risk there, ADL waits a minute, and the book and the providers take what would have been
deleveraged.

## Where they must trip

*Bad print*: 15 % below on half a coin, for two seconds. *Dead feed*: eight minutes of silence, then
half a minute 6 % low. Longs of one coin fall 2 to 5 % below. *With impact*: closing orders move the
marks after them.
"""


def page(crashes: list[Run], small: list[Run], impact: list[Run]) -> str:
    """Return the page."""
    more = costs_more(impact)
    tail = ["The guard holds the print, and the grace after a silence holds the first marks: nobody is closed, where without them all are."]
    tail.append(
        f"With impact, more with breakers than without: {'; '.join(more)}." if more else "With impact nothing costs more with breakers."
    )
    if more:
        tail.append(
            "A halt keeps ADL waiting while orders go on to the book, and each of them moves the mark. Without impact the book is for"
            " nothing; with it, that minute has its price."
        )
    return wrapped("\n".join([_HEAD, *_table(crashes), "", _AFTER, *_table([*small, *impact]), "", "\n\n".join(tail), ""]))


def main() -> int:
    """Run, print and write the page."""
    crashes = [each for name in CRASHES for each in crash_runs(name)]
    small, impact = scenes(), crash_runs(CRASHES[-1], impact=True)
    text = page(crashes, small, impact)
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    closed: dict[tuple[str, str], Any] = {(each.crash, each.variant): each.outcome.liquidations for each in small}
    helps = all(closed[name, "bundled"] < closed[name, "off"] for name in ("bad print", "dead feed"))
    return int(bool(costs_more(crashes)) or not helps)


if __name__ == "__main__":
    sys.exit(main())

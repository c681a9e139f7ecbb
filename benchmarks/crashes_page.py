"""docs/reference/recorded-crashes.md, from the figures of ``benchmarks.crashes``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.crash_list import ACCOUNTS, COARSE_STEPS, CRASHES, MARK_EVERY_SECONDS, SEED
from benchmarks.prose import wrapped

__all__ = ["page"]

Run = dict[str, Any]

_HEAD = """\
# Recorded crashes

`make crashes` writes this page from `benchmarks/crashes.json`; do not edit it. It replays four recorded
crashes with the same seeded population. Each runs with impact off and on, and with impact off also
without providers, without breakers and without either. The recordings are not part of the
repository: `BACKSTOP_DATA` names their folder. A crash whose file is absent is left out and named.

```console
$ BACKSTOP_DATA=/path/to/recorded make crashes
$ BACKSTOP_DATA=/path/to/recorded make crashes ONLY=2020-03-12
```

## What this is, and what it is not

- **Prices are those of trades**, not the marks by which a venue values positions. A mark is a smoothed
  price, so its lows are shallower and its defaults fewer. In this the runs are harsher than the days
  were.
- **The path inside a bar is made up**: open, low, high, close or open, high, low, close, on straight
  lines. The number of marks gives one every {every} s in the coarsest bar of a run.
- **The accounts are drawn, not recorded** ([population.md](population.md)): {accounts:,} of them, seed {seed}.
  No account adds collateral, takes profit, opens or hedges during the run, and funding is not paid.
  So shares of accounts in default are figures of this population, not of the venue that day.
- **The books are round figures of our own**, and their full depth stays as in the venue file all the
  time. In those hours the depth vanished. In this the runs are kinder than the days were. The bundled
  scenarios of `backstop demo` let it vanish ([scenarios.md](scenarios.md)). Depth is counted in coins,
  so the same book is worth less in years of lower prices: see *depth* below.
- **BitMEX XBTUSD is an inverse contract**, margined in bitcoin. Here its prices move a *linear* BTC
  market margined in USDT. When the price falls, a long of the inverse contract also loses collateral;
  here it does not.
- **BitMEX stamps a minute with its end**; the import moves bars one minute back. Its `open` is the
  close before, so it lies outside of high and low in many bars. These bars are widened and counted.
  The added price did trade, only earlier.
- **The price guard judges marks by the volume of their bar**, reported at its start. Here a bar has so
  many marks that a jump inside it becomes steps, each too small for the guard. A print during an
  outage, which the guard should hold, is a bar of few trades: see
  [the outage print](outage-print.md). Defaults in that stretch are counted separately below.
- **Margin tiers are those published in 2026**, typed in by hand. The tiers of those days are not
  available.
- **The recordings of several markets mix timeframes.** Each market uses the finest timeframe that the
  crash lists, never two.
"""

_READING = """\
## How to read them

- *defaults*: accounts that came below maintenance margin at least once. *entries*: entries into
  default. A partial closeout leaves an account just above its margin, so it often comes back: entries
  exceed defaults.
- *no providers*: the same venue file without takeover. *no breakers*: all thresholds off. *neither*:
  both. The price guard stays.
- *taken over*: notional at mark that providers and the vault took over. *below mark*: the discount to
  mark at which they got it. *providers*: their profit at the last mark, including open positions.
- *throttled*, *halted*: seconds, over the breakers of all markets and the venue.
- *scan*: accounts below maintenance margin at some mark, found by a scan of every holder after every
  mark, without trigger index or waterfall. *differ*: the number that differs from the engine's, which
  must be zero. *left out*: accounts that the default of another account changed (counterparties of
  ADL, linked accounts that paid by netting, providers), about which the marks alone say nothing.
- *depth*: the whole book on one side within 5 % of the first price, all markets, as a share of open
  notional.
- *fund paid* does not count liquidation fees, which the fund receives.
- With impact on, closing orders shift the marks that follow, and the shift does not fade: earlier
  sales also lower a later rise. The fund's payments need not rise with the defaults. A deficit is the
  distance from an account's zero price to the first mark beyond it, and other marks carry other
  accounts far.
- A digest is the SHA-256 of the final state; the table shows its first 16 digits. The tests marked
  `realdata` run one crash again and compare everything.
"""


def page(runs: dict[str, Run]) -> str:
    """Return the page for all stored runs, keyed by crash and impact."""
    rows = list(runs.values())
    parts = [
        _HEAD.format(every=MARK_EVERY_SECONDS, accounts=ACCOUNTS, seed=SEED),
        "## The runs\n\n" + _table(_RUNS_HEAD, [_run_row(run) for run in rows]),
        "## Who paid, with and without providers, breakers and impact\n\nIn thousand "
        + _asset(rows[0])
        + "; the exact figures are in `benchmarks/crashes.json`.\n\n"
        # One line per run, in the order of the waterfall.
        + _table(_PAID_HEAD, [_paid_row(run) for run in rows]),
        "## Checks\n\n" + _table(_HOLDS_HEAD, [_holds_row(run) for run in rows]),
        _READING,
        "## Findings\n\n" + "\n".join(f"- {line}" for line in _seen(runs)) + "\n",
        "## The files\n\n" + "\n".join(f"- {line}" for line in _files(runs)) + "\n",
        "## One run by hand\n\n" + _by_hand(runs),
        "## Speed\n\n" + _speed(rows),
    ]
    return wrapped("\n".join(parts))


_RUNS_HEAD = ("crash", "variant", "bars", "accounts", "open [M]", "depth", "events", "defaults", "share", "entries", "throttled", "halted")
#: Columns of money, and the figures that they show.
_PAID = {
    "closed on the book": "closed_on_book",
    "fees": "liquidation_fees",
    "taken over": "taken_over",
    "below mark": "takeover_below_mark",
    "fund paid": "fund_paid",
    "ADL notional": "adl_notional",
    "ADL paid": "adl_paid",
    "charged": "charged",
    "torn up": "torn_up",
    "uncovered": "uncovered",
    "fund after": "fund_closing",
    "providers": "provider_profit",
}
_PAID_HEAD = ("crash", "variant", *_PAID)
_HOLDS_HEAD = ("crash", "variant", "conserved", "refused", "journal replayed", "scan", "differ", "left out", "digest")


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    rule = "|---|---|" + "---:|" * (len(head) - 2)
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _number(money: str) -> float:
    return float(money.split()[0])


def _asset(run: Run) -> str:
    return str(run["fund_paid"]).split()[1]


def _run_row(run: Run) -> list[str]:
    return [
        run["crash"],
        run["variant"],
        f"{run['bars']:,}",
        f"{run['accounts']:,}",
        f"{_number(run['open_notional']) / 1e6:,.0f}",
        f"{run['book_depth_percent_of_open']:.1f} %",
        f"{run['events']:,}",
        f"{run['defaults']:,}",
        f"{run['defaults_percent']:.1f} %",
        f"{run['default_entries']:,}",
        f"{run['market_seconds_throttled']:,.0f} s",
        f"{run['market_seconds_halted']:,.0f} s",
    ]


def _paid_row(run: Run) -> list[str]:
    return [run["crash"], run["variant"], *(f"{_number(run[name]) / 1e3:,.0f}" for name in _PAID.values())]


def _holds_row(run: Run) -> list[str]:
    refused = ", ".join(f"{count} {code}" for code, count in run["refused"].items()) or "0"
    findings = run["journal_findings"]
    journal = f"{run['journal_events_replayed']:,}, all agree" if findings == 0 else f"{findings} findings"
    scan = [f"{run['scan_defaults']:,}", f"{run['scan_differs']:,}", f"{run['scan_left_out']:,}"]
    return [run["crash"], run["variant"], "yes" if run["conserved"] else "NO", refused, journal, *scan, f"`{run['digest'][:16]}`"]


def _pairs(runs: dict[str, Run]) -> Iterator[tuple[Run, Run]]:
    for run in runs.values():
        if run["variant"] == "impact off":
            yield run, runs[f"{run['crash']}, impact on"]


def _seen(runs: dict[str, Run]) -> Iterator[str]:
    """Yield what the figures say, nothing that they do not."""
    for off, on in _pairs(runs):
        worst = min(off["markets"], key=lambda market: float(market["change_to_low_percent"]))
        best = max(off["markets"], key=lambda market: float(market["change_to_high_percent"]))
        adl = [f"impact {run['impact']}, of {run['adl_accounts']:,} accounts" for run in (off, on) if run["adl_accounts"]]
        fall = f"{worst['change_to_low_percent']} % ({worst['symbol']})"
        rise = f"{best['change_to_high_percent']} % ({best['symbol']})"
        yield (
            f"**{off['crash']}**: from its first price the furthest fall is {fall}, the furthest rise {rise}."
            f" {off['defaults_percent']} % of the accounts default, {off['insolvent_at_once']:,} of the entries are insolvent at once;"
            f" {_share(off, 'closed_on_book')} of the open notional is closed on the book, {_share(off, 'taken_over')} is taken over."
            " With impact on there are"
            f" {_more(on['defaults'] - off['defaults'], 'default')}, and the fund pays"
            f" {_times(_number(off['fund_paid']), _number(on['fund_paid']))}. ADL: {'; '.join(adl) or 'none'}. {_fund(off, on)}"
        )
        yield _without(off, runs)
        for number, watch in enumerate(off["watched"]):
            counts = f"{watch['default_entries']:,} (impact off), {on['watched'][number]['default_entries']:,} (on)"
            yield f"**{off['crash']}**, {watch['what']}, {watch['start'][:16]} to {watch['end'][11:16]}: entries into default {counts}."
    yield _walk(runs)


def _share(run: Run, name: str) -> str:
    return f"{100 * _number(run[name]) / _number(run['open_notional']):.1f} %"


def _without(off: Run, runs: dict[str, Run]) -> str:
    """Say what providers and breakers changed, impact off."""
    parts = []
    for variant in ("no providers", "no breakers"):
        run = runs[f"{off['crash']}, {variant}"]
        changed = [name for name in (*_PAID.values(), "defaults") if run[name] != off[name]]
        if not changed:
            parts.append(f"with {variant} every figure of the tables but the seconds is the same")
            continue
        words = [f"there are {_more(run['defaults'] - off['defaults'], 'default')}"]
        words.append(f"the fund pays {_times(_number(off['fund_paid']), _number(run['fund_paid']))}")
        if _millions(run["adl_notional"]) != _millions(off["adl_notional"]):
            words.append(f"ADL closes {_millions(run['adl_notional'])} instead of {_millions(off['adl_notional'])}")
        parts.append(f"with {variant} {', '.join(words)}")
    return f"**{off['crash']}**, impact off: {'; '.join(parts)}. {_stopped(off)}"


def _stopped(off: Run) -> str:
    ended = [f"{name.removeprefix('provider:')} {status}" for name, status in off["providers_at_end"].items()]
    held = f" The guard held {off['marks_held']:,} marks." if off["marks_held"] else ""
    open_ended = f" Not open at the end: {', '.join(off['not_open'])}." if off["not_open"] else ""
    return f"At the end the providers are: {', '.join(ended)}; {off['provider_failures']:,} failures.{held}{open_ended}"


def _millions(money: str) -> str:
    return f"{_number(money) / 1e6:,.1f} M"


def _more(difference: int, noun: str) -> str:
    word = noun if abs(difference) == 1 else f"{noun}s"
    if difference == 0:
        return f"as many {word}"
    return f"{difference:,} more {word}" if difference >= 0 else f"{-difference:,} fewer {word}"


def _times(before: float, after: float) -> str:
    if before == 0 or before == after:
        return "the same" if before == after else f"{after:,.0f} instead of nothing"
    return f"{abs(after / before - 1):.1%} {'more' if after > before else 'less'}".replace("%", " %")


def _fund(off: Run, on: Run) -> str:
    least = min(_number(off["fund_closing"]), _number(on["fund_closing"]))
    opening = _number(off["fund_opening"])
    if least <= 0:
        return "The fund is exhausted."
    grew = " (it grew: fees exceed its payments)" if least > opening else ""
    return f"The fund closes at {100 * least / opening:.1f} % of its opening or more{grew}."


def _walk(runs: dict[str, Run]) -> str:
    figures = "; ".join(
        f"{off['crash']} {_number(off['fund_paid_walked_coarsely']):,.0f} instead of {_number(off['fund_paid']):,.0f}"
        for off, _ in _pairs(runs)
    )
    return (
        "**The fund's payments depend on the path inside a bar**, which no recording of bars has: with"
        f" {COARSE_STEPS} marks per bar, and impact off, it pays {figures}."
        " A step that carries an account from above its margin beyond its zero price makes a deficit that a smoother path would not make."
        " The figures of the fund hold for this path only; those of defaults are firmer."
    )


def _files(runs: dict[str, Run]) -> Iterator[str]:
    for off, _ in _pairs(runs):
        spans = sorted({market["timeframe_seconds"] for market in off["markets"]})
        by_span = "; ".join(f"{span // 60} min: {', '.join(_coins(off, span))}" for span in spans)
        other = f", {off['file_bars_other_timeframe']:,} bars of other timeframes left out" if off["file_bars_other_timeframe"] else ""
        notes = "".join(f"; {note}" for note in off["import_notes"])
        missing = f", {off['bars_missing']:,} missing" if off["bars_missing"] else ", none missing"
        yield (
            f"**{off['crash']}**: `{off['file']}`, {off['file_bars']:,} bars, {off['file_bars_widened']:,} of them widened{other}{notes}."
            f" Replayed: {off['start']} to {off['end']}, {off['bars']:,} bars{missing}; {by_span}; {off['steps']} marks per bar,"
            f" {off['prices_rounded']:,} prices off the tick. Venue: {_venue(off)}."
        )


def _coins(run: Run, span: int) -> list[str]:
    return [market["symbol"].split("/")[0] for market in run["markets"] if market["timeframe_seconds"] == span]


def _venue(run: Run) -> str:
    return "the bundled one" if run["venue"] == "bundled" else f"[`{run['venue']}`](../../{run['venue']})"


def _by_hand(runs: dict[str, Run]) -> str:
    lines = ["The same figures and digests from the commands alone:", "", "```console"]
    lines += ["$ backstop config init venue.toml", "$ cp src/backstop/markets/population.toml ."]
    for crash in CRASHES:
        if f"{crash.name}, impact off" not in runs:
            continue
        spans = " ".join(f"--timeframe {timeframe}" for timeframe in crash.timeframes)
        names = "".join(f" --market {old}={new}" for old, new in crash.markets)
        lines.append(f"$ backstop import --format {crash.layout.value} {spans}{names} -o {crash.name}.parquet \\")
        lines.append(f"    $BACKSTOP_DATA/{crash.file}")
        venue = crash.venue or "venue.toml"
        lines.append(f"$ backstop replay --venue {venue} --prices {crash.name}.parquet --population population.toml --seed {SEED} \\")
        lines.append(f"    --start {crash.start} --end {crash.end} --steps {crash.steps} --impact off")
    return "\n".join([*lines, "```"]) + "\n"


def _speed(rows: list[Run]) -> str:
    lines = [
        "Events per second of engine and simulated book, without reading, journal and counting. Absolute figures belong to the"
        " machine named.",
    ]
    for conditions in {tuple(run["conditions"].items()) for run in rows}:
        mine = [run for run in rows if tuple(run["conditions"].items()) == conditions]
        speeds = ", ".join(f"{run['crash']} {run['variant']} {run['events_per_second'] / 1e6:.2f} million" for run in mine)
        lines += ["", f"{speeds}. Conditions: " + "; ".join(f"{key} {value}" for key, value in conditions) + "."]
    return "\n".join(lines) + "\n"

"""docs/reference/outcomes.md, from the figures of ``benchmarks.outcomes``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.crash_list import ACCOUNTS, SEED
from benchmarks.prose import wrapped

__all__ = ["page"]

Run = dict[str, Any]
Cell = Callable[[Run], str]

_HEAD = """\
# Outcomes of crashes

`python -m benchmarks.outcomes` writes this page from `benchmarks/outcomes.json`; do not edit it. It runs
the bundled crashes ([scenarios.md](scenarios.md)) and the recorded ones
([recorded-crashes.md](recorded-crashes.md), which says what these runs are and what they are not) with
the same population of {accounts:,} accounts, seed {seed}, impact off. Each runs as the venue file is
shipped, and without breakers. The recordings are not part of the repository: `BACKSTOP_DATA` names
their folder.

```console
$ BACKSTOP_DATA=/path/to/recorded make outcomes BEFORE={before}
```

*before* runs the rules and the venue file of that commit; both sides are measured by the record of
the commit *after*. {sides}
"""

_READING = """\
## How to read them

- **fund**: what the funds paid for losses, at once or late; *for providers*: the part of it that was
  for accounts of providers. Fees and charges, which the funds get, are not set off.
- **providers**: the losses of those providers that lost, with their positions at the last mark.
- **winners**: what solvent accounts paid beyond mark in ADL, and in cuts of gains or open interest.
  What leaves at mark costs a winner his position, but no money.
- **while the fund held it**: the part of that which the fund of the same group still held at the end
  of the same event; then what kept the fund back, in the words of the SUPPORT effect: `reserved` for
  orders and offers, the `window`, the `market`, the `owner`, the `stage` (the fund is not asked there).
  Commits that have no such effect do not tell it.
- **uncovered**: what nobody has paid at the end.
- **ADL**: accounts deleveraged, of them solvent; owners who were asked, and fills.
- **halts**: how often breakers of markets and venue halted, and the seconds that they stood.
- **time to flat**: of the defaults in which the last lots were closed, from the default to that
  moment: median, 95th percentile, longest. *longest default* counts all of them.
- **returns**: entries into default within an hour of the end of the one before; *mean* for each account
  that was ever in default, *most* of one account.
- **liquidations**: defaults in which lots were closed. **Premature** are those where the same path with
  this account left alone is at or above maintenance margin at some time within 60 minutes of the first
  closing, and not insolvent before. *Closed* and *cost*: notional that was closed, and its fees and
  charges; then those of the premature ones. Closed is at mark, and in a default only. (The table of a run
  counts fills of the book at fill prices, and those that came after the default had ended, too. For
  2021-05-19 bundled it has 195,121,960 against 194,107,919 here: 1,558,273 of late fills, less 544,232
  by which the others were below mark.) A price that comes back for one mark is enough, so a
  path that trembles makes many of them.
"""


def page(stored: dict[str, Any]) -> str:
    """Return the page for stored figures."""
    sides = [f"{side.capitalize()}: `{stored[side]['commit']}` of {stored[side]['day']}." for side in ("before", "after") if side in stored]
    before = stored["before"]["commit"] if "before" in stored else "COMMIT"
    parts = [_HEAD.format(accounts=ACCOUNTS, seed=SEED, before=before, sides=" ".join(sides))]
    for title, cells in _TABLES:
        parts.append(f"## {title}\n\n{_table(stored, cells)}")
    kept = list(_kept_back(stored))
    if kept:
        parts.append("## What kept the fund back\n\n" + "\n".join(f"- {line}" for line in kept) + "\n")
    conditions = "; ".join(f"{key} {value}" for key, value in stored["conditions"].items())
    return wrapped("\n".join([*parts, _READING, f"Conditions: {conditions}.\n"]))


def _table(stored: dict[str, Any], cells: dict[str, Cell]) -> str:
    lines = [f"| crash | variant | rules | {' | '.join(cells)} |", "|---|---|---|" + "---:|" * len(cells)]
    for key in stored["after"]["runs"]:
        for side in ("before", "after"):
            run = stored.get(side, {}).get("runs", {}).get(key)
            if run is not None:
                name = f"{run['crash']} {run['kind']}"
                lines.append(f"| {name} | {_variant(run)} | {side} | {' | '.join(cell(run) for cell in cells.values())} |")
    return "\n".join(lines) + "\n"


def _variant(run: Run) -> str:
    return "as shipped" if run["variant"] == "impact off" else str(run["variant"])


def _kept_back(stored: dict[str, Any]) -> Iterator[str]:
    for side in ("before", "after"):
        for run in stored.get(side, {}).get("runs", {}).values():
            if run["kept_back_by"]:
                parts = ", ".join(f"{name} {_whole(part)}" for name, part in run["kept_back_by"].items())
                yield f"{run['crash']} {run['kind']}, {_variant(run)}, {side}: {parts}."


def _whole(money: str) -> str:
    """Return money in whole units, one that is less than a unit with its decimals."""
    value = float(money.split()[0])
    return f"{value:,.0f}" if value == 0 or abs(value) >= 1 else f"{value:.2f}"


def _money(name: str) -> Cell:
    return lambda run: _whole(run[name])


def _count(name: str) -> Cell:
    return lambda run: f"{run[name]:,}"


def _seconds(name: str) -> Cell:
    return lambda run: f"{run[name]:,.1f}"


_TABLES: tuple[tuple[str, dict[str, Cell]], ...] = (
    (
        "Who paid, in USDT",
        {
            "defaults": _count("defaults"),
            "fund": _money("fund_paid"),
            "for providers": _money("fund_paid_for_providers"),
            "providers": _money("providers_paid"),
            "winners": _money("winners_paid"),
            "while the fund held it": _money("paid_while_fund_held"),
            "uncovered": _money("uncovered"),
        },
    ),
    (
        "ADL, halts, providers in default",
        {
            "accounts in ADL": _count("adl_accounts"),
            "of them solvent": _count("adl_solvent"),
            "owners asked": _count("adl_owners"),
            "fills": _count("adl_fills"),
            "halts": _count("halts"),
            "seconds halted": _seconds("halted_seconds"),
            "provider defaults": lambda run: f"{run['provider_defaults']:,}{_of_whom(run)}",
        },
    ),
    (
        "Time to flat in seconds, and returns within an hour",
        {
            "closed whole": _count("flat"),
            "median": _seconds("flat_median_seconds"),
            "95 %": _seconds("flat_p95_seconds"),
            "longest": _seconds("flat_most_seconds"),
            "longest default": _seconds("longest_seconds"),
            "returns": _count("returns"),
            "mean": lambda run: f"{run['returns_mean']:.2f}",
            "most": _count("returns_most"),
        },
    ),
    (
        "Liquidations, and those that were premature",
        {
            "liquidations": _count("liquidations"),
            "closed": _money("closed"),
            "cost": _money("costs"),
            "premature": lambda run: f"{run['premature']:,} ({_share(run['premature'], run['liquidations'])})",
            "accounts": _count("premature_accounts"),
            "closed in them": _money("premature_closed"),
            "their cost": _money("premature_costs"),
            "undecided": _count("undecided"),
        },
    ),
)


def _of_whom(run: Run) -> str:
    whom = ", ".join(name.removeprefix("provider:") for name in run["providers_in_default"])
    return f" ({whom})" if whom else ""


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"

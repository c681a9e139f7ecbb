"""The page and the picture of ADL on 2025-10-10, from stored figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backstop.comparison.picture import COLOURS, figure_class
from benchmarks.prose import wrapped

__all__ = ["draw", "page"]

Figures = dict[str, Any]

GROUP_NAMES = ("1", "2-10", "11-100", "101-1,000", "the rest")
#: Shown in the picture.
DRAWN = ("queue", "capped_pro_rata", "risk_aware")
_HATCHES = {"queue": "", "capped_pro_rata": "", "risk_aware": "///"}

_HEAD = """# ADL of 2025-10-10

`python -m benchmarks.adl_2025` writes this page from `benchmarks/adl_2025.json`; do not edit it. The
page shares the cost of that evening's deleveraging on Hyperliquid by each policy of this engine: the
same budget, the same accounts, the same caps. The files are not part of the repository:
`BACKSTOP_DATA` names their folder, and without them nothing is written.

```console
$ BACKSTOP_DATA=/path/to/recorded python -m benchmarks.adl_2025
```

![Share of the budget by group of accounts, under three policies, above the share of accounts that were deleveraged](adl-2025-10-10.svg)

## What this is, and what it is not

"""


def page(figures: Figures) -> str:
    """Return the whole page."""
    parts = [
        _HEAD + "".join(f"- {line}\n" for line in _caveats(figures)),
        "## Budgets\n\n" + "\n".join(_budgets(figures)),
        "## Who pays\n\n" + _who_pays(figures) + "\n\n" + "\n".join(_policies(figures)),
        "## Beside the accounts deleveraged in fact\n\n" + "\n".join(_facts(figures)),
    ]
    return wrapped("\n\n".join(part.rstrip() for part in parts))


def _caveats(figures: Figures) -> Iterator[str]:
    file, files = figures["file"], figures["files"]
    yield (
        f"**Positions** (`{files['positions']}`) are a third party's reconstruction after the event:"
        f" {file['rows']:,} rows of BTC and SOL, 21:15 to 21:27 UTC. {file['rows_without_size']:,} rows have size 0,"
        f" {file['rows_without_entry']:,} no entry price, {file['rows_with_leverage']:,} a leverage, and there is no collateral."
        " So it is not a book that could be replayed."
    )
    yield (
        "**Candidates** are its SHORT rows with a positive `absolute_pnl`, which is weight and cap: no account pays more than"
        " its profit. Every budget is less than all profits, so no cap binds where shares are in proportion."
    )
    yield (
        f"**Budgets** are `gap_usd_x_qty` of `{files['gaps']}`: for each wave and coin, the distance from mark to bankruptcy"
        " price, times the quantity closed. Each wave is shared over all candidates; the payments of one wave do not reduce"
        " the caps of the next."
    )
    yield (
        "**Every policy has the same weight**, because the file has no other. `queue` takes the largest profits first, while the"
        " venue's own queue also uses leverage. `pro_rata` and `risk_aware` would weigh sizes and leverage, which the file does"
        " not have, so they share exactly as `capped_pro_rata` does. That is a limit of the file, not a finding about the policies."
    )
    yield "**Money** is in millionths of a dollar: caps rounded down, weights up, budgets to the nearest (half to even)."
    yield (
        "**In fact** is the file's flag `was_adl`: the account was deleveraged at some time in those minutes, in this coin."
        f" The cost to the account is not in the file. {file['longs_deleveraged']:,} LONG rows carry the flag too; they are"
        " not candidates here."
    )
    yield (
        "**Many more were deleveraged than pay here under `queue`**, and that is not a contradiction. ADL closes positions, and"
        " costs their holders the gap between mark and bankruptcy price. Here money is shared, and a holder's whole profit is"
        " its cap, so the first in the queue can bear a wave alone."
    )


def _table(head: list[str], left: int, rows: Iterator[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * left + "---:|" * (len(head) - left)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _money(text: str) -> str:
    whole, _, rest = text.partition(".")
    return f"{int(whole):,}.{rest}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _budgets(figures: Figures) -> Iterator[str]:
    def rows() -> Iterator[list[str]]:
        for wave in figures["waves"]:
            coin = figures["coins"][wave["coin"]]
            share = float(wave["budget"]) / float(coin["caps"])
            cells = [f"{coin['candidates']:,}", _money(coin["caps"]), _money(wave["budget"]), f"{100 * share:.3g} %"]
            yield [wave["coin"], str(wave["wave"]), *cells]

    yield from _table(["coin", "wave", "candidates", "caps [USD]", "budget [USD]", "budget / caps"], 1, rows())


def _who_pays(figures: Figures) -> str:
    checked = sum(len(wave["policies"]) for wave in figures["waves"])
    exact = sum(each["exact"] for wave in figures["waves"] for each in wave["policies"])
    findings = sum(each["findings"] for wave in figures["waves"] for each in wave["policies"])
    return (
        f"{checked} allocations, {exact} of them met to the atom; `check_allocation`, which is independent of the planner, has"
        f" {findings or 'no'} findings. `random` draws its order from the number of the wave."
    )


def _policies(figures: Figures) -> Iterator[str]:
    def rows() -> Iterator[list[str]]:
        for wave in figures["waves"]:
            for each in wave["policies"]:
                exact = "yes" if each["exact"] else "NO"
                sound = "sound" if not each["findings"] else f"{each['findings']} findings"
                shares = [f"{each['payers']:,}", _percent(each["largest_share"]), _percent(each["top_10_share"])]
                yield [wave["coin"], str(wave["wave"]), f"`{each['policy']}`", *shares, exact, sound]

    yield from _table(["coin", "wave", "policy", "payers", "largest", "top 10", "to the atom", "certificate"], 3, rows())


def largest_waves(figures: Figures) -> dict[str, Figures]:
    """Return the wave with the largest budget of each coin."""
    return {
        coin: max((wave for wave in figures["waves"] if wave["coin"] == coin), key=lambda wave: float(wave["budget"]))
        for coin in figures["coins"]
    }


def _facts(figures: Figures) -> Iterator[str]:
    """The largest wave of each coin, by groups of accounts, the largest profits first."""
    for coin, wave in largest_waves(figures).items():
        of_coin, policies = figures["coins"][coin], {each["policy"]: each for each in wave["policies"]}
        groups = of_coin["groups"]
        yield (
            f"**{coin}**, wave {wave['wave']}, {_money(wave['budget'])} USD. {of_coin['deleveraged']:,} of"
            f" {of_coin['candidates']:,} candidates were deleveraged in those minutes; they had"
            f" {_percent(of_coin['deleveraged_cap_share'])} of the profit."
        )
        yield ""

        def rows(groups: Figures = groups, policies: Figures = policies) -> Iterator[list[str]]:
            for place, name in enumerate(GROUP_NAMES):
                accounts, flagged = groups["accounts"][place], groups["deleveraged"][place]
                shares = [_percent(policies[policy]["group_shares"][place]) for policy in (*DRAWN, "random")]
                in_fact = f"{flagged:,} ({100 * flagged / accounts:.0f} %)"
                yield [name, f"{accounts:,}", _percent(groups["cap_share"][place]), *shares, in_fact]

        head = ["rank by profit", "accounts", "profit", *(f"`{policy}` pays" for policy in (*DRAWN, "random")), "deleveraged in fact"]
        yield from _table(head, 1, rows())
        yield ""
        for policy in ("queue", "capped_pro_rata", "random"):
            each = policies[policy]
            yield (
                f"- `{policy}`: {_percent(each['deleveraged_share'])} would have been paid by accounts that were deleveraged in fact;"
                f" {each['deleveraged_unasked']:,} of these accounts would have paid nothing."
            )
        yield ""


def draw(figures: Figures, path: Path) -> None:
    """Draw, for the largest wave of each coin, who pays under each policy above who was
    deleveraged.
    """
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = "backstop"
    figure = figure_class()(figsize=(11, 6.4), layout="constrained")
    waves = largest_waves(figures)
    axes = figure.subplots(2, len(waves), sharex="col", height_ratios=(3, 2))
    for column, (coin, wave) in enumerate(waves.items()):
        _draw_shares(axes[0][column], coin, wave)
        _draw_flags(axes[1][column], figures["coins"][coin]["groups"])
    axes[0][0].set_ylabel("share of the budget [%]")
    axes[1][0].set_ylabel("share of the accounts [%]")
    axes[0][-1].legend(frameon=False, fontsize=9)
    figure.suptitle("Who would have paid (above), and who was deleveraged in fact (below)")
    figure.savefig(path, metadata={"Date": None})


def _draw_shares(axes: Any, coin: str, wave: Figures) -> None:
    policies = {each["policy"]: each for each in wave["policies"]}
    lacking = {"risk_aware": " (no leverage in the file)"}
    for place, policy in enumerate(DRAWN):
        shares = [100 * share for share in policies[policy]["group_shares"]]
        at = [group + 0.27 * (place - 1) for group in range(len(shares))]
        bars = axes.bar(
            at, shares, 0.25, label=policy + lacking.get(policy, ""), color=COLOURS[policy], hatch=_HATCHES[policy], edgecolor="white"
        )
        axes.bar_label(bars, [f"{share:.1f}" if share else "" for share in shares], fontsize=7, padding=1)
    axes.set_title(f"{coin}, wave {wave['wave']}: {float(wave['budget']):,.0f} USD", loc="left", fontsize=10)
    axes.set_ylim(0, 109)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_flags(axes: Any, groups: Figures) -> None:
    flagged = [100 * part / whole for part, whole in zip(groups["deleveraged"], groups["accounts"], strict=True)]
    names = [f"{name}\n({count:,})" for name, count in zip(GROUP_NAMES, groups["accounts"], strict=True)]
    bars = axes.bar(range(len(flagged)), flagged, 0.55, color="#777777")
    axes.bar_label(bars, [f"{share:.0f}" for share in flagged], fontsize=8, padding=1)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("accounts by rank of profit, the largest first (how many)", fontsize=9)
    axes.set_title("deleveraged in fact (was_adl)", loc="left", fontsize=10)
    axes.set_ylim(0, 112)
    axes.spines[["top", "right"]].set_visible(False)

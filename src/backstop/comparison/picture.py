"""A picture of who pays under each ADL policy. Needs matplotlib (the extra ``plot``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backstop.comparison.compare import Comparison, Outcome
from backstop.config.policies import POLICIES
from backstop.files import written_whole
from backstop.printing import one_line

__all__ = ["COLOURS", "PictureError", "concentration", "draw_comparison", "figure_class", "largest_payers"]

#: Colours of the policies by name.
COLOURS = {policy.name.lower(): words.colour for policy, words in POLICIES.items()}
#: Accounts that are shown by name.
SHOWN = 12
_NAME_MAX = 16


class PictureError(Exception):
    """A picture cannot be drawn; the message says why."""


def figure_class() -> Any:
    """Return matplotlib's ``Figure``; raise ``PictureError`` where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PictureError("a picture needs matplotlib, which is not installed: pip install 'backstop-liquidator[plot]'") from None
    return Figure


def concentration(outcome: Outcome) -> tuple[list[int], list[float]]:
    """Return (1, 2, ... payers) and the share of the budget [%] that so many of the largest give
    together.
    """
    total, shares = 0, []
    for part in sorted(outcome.parts.values(), reverse=True):
        total += part
        shares.append(100 * total / outcome.budget)
    return list(range(1, len(shares) + 1)), shares


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Write a picture: the largest payers by name under each policy, and how few give how much.

    Raises ``PictureError`` where matplotlib is absent or does not know the ending of ``path``.
    """
    figure = figure_class()(figsize=(12, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_payers(left, comparison, figure)
    _draw_concentration(right, comparison.outcomes)
    budget = comparison.text(comparison.outcomes[0].budget)
    title = f"ADL of {comparison.title}: {budget} {comparison.asset} ({comparison.measure})"
    figure.suptitle(one_line(title), parse_math=False)
    try:
        with written_whole(path) as partial:
            figure.savefig(partial, dpi=120)
    except ValueError as error:
        raise PictureError(f"{path}: {error}") from None


def _draw_payers(axes: Any, comparison: Comparison, figure: Any) -> None:
    """Draw a table of shares: one row per policy, one column for each of the largest payers, the
    rest together in the last.
    """
    names = largest_payers(comparison.outcomes, SHOWN)
    rows = []
    for outcome in comparison.outcomes:
        shares = [100 * outcome.parts.get(name, 0) / outcome.budget for name in names]
        rows.append([*shares, max(0.0, 100 - sum(shares))])
    image = axes.imshow(rows, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, shares in enumerate(rows):
        for column, share in enumerate(shares):
            if share > 0:
                text = f"{share:.0f}" if share >= 10 else f"{share:.1f}" if share >= 0.05 else "<.1"
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if share > 55 else "black")
    axes.set_yticks(range(len(rows)), [outcome.policy.name.lower() for outcome in comparison.outcomes])
    labels = [one_line(name if len(name) <= _NAME_MAX else f"{name[:6]}…{name[-4:]}") for name in names]
    # A name may hold dollar signs: it is no formula.
    axes.set_xticks(range(len(names) + 1), [*labels, "all others"], rotation=50, ha="right", fontsize=8, parse_math=False)
    axes.set_title("share of each payer [%]", fontsize=10)
    figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01)


def largest_payers(outcomes: Sequence[Outcome], count: int) -> list[str]:
    """Return those who give most under some policy, those first who give most over all of them."""
    most, total = dict[str, int](), dict[str, int]()
    for outcome in outcomes:
        for name, part in outcome.parts.items():
            most[name] = max(part, most.get(name, 0))
            total[name] = part + total.get(name, 0)
    chosen = sorted(most, key=lambda name: (-most[name], name))[:count]
    return sorted(chosen, key=lambda name: (-total[name], name))


def _draw_concentration(axes: Any, outcomes: Sequence[Outcome]) -> None:
    for place, outcome in enumerate(outcomes):
        name = outcome.policy.name.lower()
        payers, shares = concentration(outcome)
        # Curves may lie upon each other: later ones are drawn thinner, so that all are seen.
        width = 6.5 - 1.2 * place
        axes.plot(payers, shares, marker="o", markersize=width + 1, markevery=[0, -1], linewidth=width, color=COLOURS[name], label=name)
    axes.set_xscale("log")
    axes.set_ylim(0, 103)
    axes.set_xlabel("number of the largest payers")
    axes.set_ylabel("their share together [%]")
    axes.set_title("how few pay how much", fontsize=10)
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)

"""A cascade in which up to 10 % of 1,000,000 accounts default: seconds against defaults, fitted and
drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.book import FIRST_MARK_TICKS, Book
from benchmarks.one_market import START_NS, Crash, Depth, Desk, mark_events, one_tier_rules, open_book

SEED = 20251012
UNIT = "cost of a default where about 1 % of 1,000,000 accounts fall, over that where 10 % do (1: linear)"
BAR = 0.75
PICTURE = "growth.svg"
ROUNDS = 5
#: Offsets of the book's bands and their shares of its depth [tenths].
OFFSETS_PPM, TENTHS = (100, 1_000, 2_500, 5_000), (1, 2, 3, 4)
#: Depth of each side, as a share of the open interest: so thin that the closing orders push the
#: mark further.
DEPTH_SHARE = 0.06
#: A market as large as its accounts are many: with the fall that sends one in ten into default.
DEEPEST_FALL = 0.14
FALLS = (0.055, 0.07, 0.085, 0.10, 0.11, 0.12, 0.13, DEEPEST_FALL)
SIZES = (62_500, 125_000, 250_000, 500_000, 1_000_000)


class Point(NamedTuple):
    """One cascade."""

    accounts: int
    defaults: int
    seconds: float
    orders: int
    #: How far the closing orders pushed the mark down, as a share of it.
    pushed: float
    clean: bool


class Fit(NamedTuple):
    """Seconds as a line in defaults, and the exponent of a power."""

    seconds_per_default: float
    seconds_at_none: float
    r_squared: float
    exponent: float


def crash_ticks(fall: float) -> NDArray[np.int64]:
    """Return 100 marks down by ``fall`` and 50 halfway back: what the book could not take at the
    low recovers.
    """
    down, back = np.linspace(1.0, 1.0 - fall, 101)[1:], np.linspace(1.0 - fall, 1.0 - fall / 2, 51)[1:]
    return np.round(FIRST_MARK_TICKS * np.concatenate([down, back])).astype(np.int64)


def _desk(book: Book, accounts: int) -> Desk:
    depth = int(np.abs(book.lots).sum() / 2 * DEPTH_SHARE)
    lots = tuple(max(1, depth * tenths // 10) for tenths in TENTHS)
    return Desk(book, Depth(lots, permanent_impact_ppm=1_000_000), rules=one_tier_rules(accounts, OFFSETS_PPM), impact=True)


def _points(cascades: list[tuple[Desk, float]], rounds: int, say: Callable[[str], None]) -> list[Point]:
    """Run every cascade once a round, so that what disturbs the machine for a while disturbs no row
    alone; return the medians.

    A round before warms up.
    """
    runs: list[list[Crash]] = [[] for _ in cascades]
    pushed, clean = [0.0] * len(cascades), [True] * len(cascades)
    for turn in range(rounds + 1):
        for place, (desk, fall) in enumerate(cascades):
            desk.restore()
            run = desk.crash(mark_events(crash_ticks(fall), START_NS))
            if turn == 0:
                pushed[place], clean[place] = 1.0 - float(desk.world.books[0].impact_factor) / 1e12, desk.is_clean()
            else:
                runs[place].append(run)
        say(f"round {turn} of {rounds}")
    points = []
    for place, (desk, _) in enumerate(cascades):
        run = sorted(runs[place], key=lambda one: one.seconds)[rounds // 2]
        accounts = int(desk.state.engine[0].accounts_now)
        points.append(Point(accounts, len(run.defaulters), run.seconds, run.orders, pushed[place], clean[place]))
    return points


def fit(points: list[Point]) -> Fit:
    """Return the line by least squares, its R squared, and the slope of logarithms."""
    defaults = np.array([point.defaults for point in points], dtype=np.float64)
    seconds = np.array([point.seconds for point in points])
    slope, offset = np.polyfit(defaults, seconds, 1)
    rest = seconds - (slope * defaults + offset)
    r_squared = 1.0 - float((rest**2).sum() / ((seconds - seconds.mean()) ** 2).sum())
    exponent, _ = np.polyfit(np.log(defaults), np.log(seconds), 1)
    return Fit(float(slope), float(offset), r_squared, float(exponent))


def draw(path: Path, by_fall: list[Point], by_size: list[Point], line: Fit) -> None:
    """Draw both rows of cascades into an SVG file. Raises ``ImportError`` where matplotlib is
    absent.
    """
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "backstop"
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    most = max(point.defaults for point in by_fall + by_size)
    ends = np.array([0.0, most])
    axes.plot(
        ends / 1e3,
        (line.seconds_at_none + line.seconds_per_default * ends) * 1e3,
        color="0.6",
        linewidth=1.2,
        label=f"least squares: {line.seconds_per_default * 1e6:.2f} µs per default, R² {line.r_squared:.3f}",
        zorder=1,
    )
    for points, label, marker, colour in (
        (by_fall, f"{by_fall[0].accounts:,} accounts, falls of {FALLS[0]:.1%} to {FALLS[-1]:.0%}", "o", "#1f5fa8"),
        (by_size, f"{by_size[0].accounts:,} to {by_size[-1].accounts:,} accounts, fall of {DEEPEST_FALL:.0%}", "s", "#c4571b"),
    ):
        axes.scatter(
            [point.defaults / 1e3 for point in points],
            [point.seconds * 1e3 for point in points],
            marker=marker,
            s=34,
            facecolors="none" if marker == "s" else colour,
            edgecolors=colour,
            label=label,
            zorder=2,
        )
    axes.set_xlabel("accounts that defaulted [thousand]")
    axes.set_ylabel("engine and simulated venue [ms]")
    axes.set_title("A cascade costs what its defaults cost", loc="left")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, metadata={"Date": None})


def _figures(by_fall: list[Point], by_size: list[Point], line: Fit, sizes: Fit) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "by fall: microseconds per default, line": line.seconds_per_default * 1e6,
        "by fall: R squared of the line": line.r_squared,
        "by fall: exponent of defaults": line.exponent,
        "by size: exponent of defaults": sizes.exponent,
    }
    for name, points in (("by fall", by_fall), ("by size", by_size)):
        for point in points:
            figures[f"{name}: {point.accounts:,} accounts, {point.defaults:,} defaults"] = (
                f"{point.seconds * 1e3:.1f} ms, {point.seconds / point.defaults * 1e6:.2f} µs per default,"
                f" {point.orders:,} orders, mark pushed {point.pushed:.2%}"
            )
    return figures


def measure(say: Callable[[str], None], small: bool) -> dict[str, Any]:
    """Return the ratio of costs per default at the ends of the row of falls, with both rows and the
    fit beside it.
    """
    sizes, rounds = ((2_000, 5_000), 1) if small else (SIZES, ROUNDS)
    desks = [_desk(open_book(accounts, SEED), accounts) for accounts in sizes]
    for desk in desks:
        desk.save()
    cascades = [(desks[-1], fall) for fall in FALLS] + [(desk, DEEPEST_FALL) for desk in desks]
    points = _points(cascades, rounds, say)
    by_fall, by_size = points[: len(FALLS)], points[len(FALLS) :]
    line, size_fit = fit(by_fall), fit(by_size)
    result = {
        "ratio": (by_fall[0].seconds / by_fall[0].defaults) / (by_fall[-1].seconds / by_fall[-1].defaults),
        "bar": BAR,
        "sound": all(point.clean for point in by_fall + by_size),
        "unit": UNIT,
        "figures": _figures(by_fall, by_size, line, size_fit),
        "conditions": {
            "accounts": sizes[-1],
            "markets": 1,
            "tiers": 1,
            "path": "100 marks down and 50 halfway back, one mark per second",
            "venue": f"simulated, impact on, each side {DEPTH_SHARE:.0%} of the open interest deep in four bands to 50 bp,"
            " 10 % back per second",
            "runs": f"median of {rounds} rounds over all cascades, after one to warm up",
            "seed": SEED,
            "excluded": "opening the books, compilation, journal, counting the effects; no ADL: the fund and the book suffice",
        },
    }
    if not small:
        try:
            draw(Path(__file__).parent / PICTURE, by_fall, by_size, line)
            result["picture"] = PICTURE
        except ImportError:
            say("matplotlib is not installed (extra bench): no picture")
    return result

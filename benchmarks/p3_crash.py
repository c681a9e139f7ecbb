"""A 10 % fall through the whole waterfall with exact postings, against the same crash in lrvx."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from backstop.config import default_text, parse_venue
from backstop.core.events import AdlPolicy
from backstop.core.instruments import AdlRules, VenueRules
from benchmarks.one_market import (
    DIFFERENCES,
    FUND_ATOMS,
    START_NS,
    Baseline,
    Crash,
    Desk,
    deep,
    fall_ticks,
    has_lrvx,
    lrvx_version,
    mark_events,
    not_run,
    one_tier_rules,
    open_book,
)

SEED = 20251012
UNIT = "times faster than lrvx, a fall of 10 % in one mark"
BAR = 100
FALL = 0.10
REPEATS = 5


def _as_they_are(rules: VenueRules) -> VenueRules:
    return rules


def _pro_rata(rules: VenueRules) -> VenueRules:
    """ADL by lots, without a least part and without a bound on how many are asked."""
    return rules._replace(adl_policy=AdlPolicy.PRO_RATA, adl=AdlRules())


def _bundled_breakers(rules: VenueRules) -> VenueRules:
    """The breakers of the bundled venue file, with the thresholds of its first market."""
    bundled = parse_venue(default_text(), "bundled venue").rules
    of_market = [
        name for name in bundled.markets[0]._fields if name.startswith(("price_throttle", "price_halt", "price_exit", "flow_", "guard_"))
    ]
    thresholds = {name: getattr(bundled.markets[0], name) for name in of_market}
    return rules._replace(breakers=bundled.breakers, markets=tuple(market._replace(**thresholds) for market in rules.markets))


class _Case(NamedTuple):
    """One crash, on both sides."""

    name: str
    accounts: int
    marks: int
    fund_atoms: int
    repeats: int
    #: Whether the bar is asked of it too.
    has_bar: bool
    #: What its rules have that those of the other crashes have not.
    changed: Callable[[VenueRules], VenueRules] = _as_they_are


def _cases(small: bool) -> list[_Case]:
    """Return the crashes; some have an empty fund, so that ADL closes whom the book cannot."""
    if small:
        return [_Case("one mark", 5_000, 1, FUND_ATOMS, 1, False), _Case("one mark, fund empty", 2_000, 1, 1, 1, False)]
    return [
        _Case("one mark", 1_000_000, 1, FUND_ATOMS, REPEATS, True),
        _Case("100 marks", 100_000, 100, FUND_ATOMS, REPEATS, True),
        _Case("100 marks", 400_000, 100, FUND_ATOMS, REPEATS, True),
        _Case("100 marks, bundled breakers", 400_000, 100, FUND_ATOMS, REPEATS, False, _bundled_breakers),
        _Case("one mark, fund empty", 10_000, 1, 1, REPEATS, False),
        _Case("one mark, fund empty, pro rata without a least part", 10_000, 1, 1, REPEATS, False, _pro_rata),
    ]


def _figures(name: str, here: Crash, there: float, fell: int, paid: float, equal: bool) -> dict[str, Any]:
    each = here.seconds / max(1, len(here.defaulters)) * 1e6
    return {
        f"{name}: engine, nanoseconds per effect": here.seconds / max(1, here.effects) * 1e9,
        f"{name}: defaults here, lrvx": f"{len(here.defaulters)}, {fell}",
        f"{name}: defaulters equal": equal,
        f"{name}: engine, seconds": here.seconds,
        f"{name}: engine, microseconds per default": each,
        f"{name}: engine, events, effects, orders": f"{here.events}, {here.effects}, {here.orders}",
        f"{name}: ADL waves": here.adl_waves,
        f"{name}: fund paid here, lrvx, atoms": f"{here.fund_paid_atoms}, {paid:.0f}",
        f"{name}: lrvx, seconds": there,
        f"{name}: ratio": there / here.seconds,
    }


def _run(case: _Case, say: Callable[[str], None]) -> tuple[float, bool, dict[str, Any]]:
    """Return (ratio, whether all that must hold does, figures) of one crash."""
    name = f"{case.name}, {case.accounts:,} accounts"
    book = open_book(case.accounts, SEED)
    ticks = fall_ticks(FALL, case.marks)
    desk = Desk(book, deep(book), case.fund_atoms, case.changed(one_tier_rules(case.accounts)))
    here = desk.median_crash(mark_events(ticks, START_NS), case.repeats)
    clean = desk.is_clean()
    del desk
    say(f"{name}: {len(here.defaulters):,} defaults in {here.seconds:.3f} s; lrvx runs once, up to a minute")
    seconds, fallen, paid = Baseline(book, case.fund_atoms).run(ticks)
    equal = bool(np.array_equal(here.defaulters, fallen))
    say(f"{name}: lrvx {seconds:.2f} s, ratio {seconds / here.seconds:.1f}, defaulters {'equal' if equal else 'NOT equal'}")
    return seconds / here.seconds, equal and clean, _figures(name, here, seconds, len(fallen), paid, equal)


def measure(say: Callable[[str], None], small: bool) -> dict[str, Any]:
    """Return the ratio of the crash in one mark, with those in 100 marks and with an empty fund
    beside it.
    """
    if not has_lrvx():
        return not_run(UNIT, BAR)
    cases = _cases(small)
    runs = [_run(case, say) for case in cases]
    figures: dict[str, Any] = {}
    for _, _, part in runs:
        figures |= part
    short = [(case, ratio) for case, (ratio, _, _) in zip(cases, runs, strict=True) if case.has_bar and ratio < BAR]
    return {
        "ratio": runs[0][0],
        "bar": BAR,
        "sound": all(sound for _, sound, _ in runs),
        "short": [f"{case.name}, {case.accounts:,} accounts: {ratio:.0f}" for case, ratio in short],
        "unit": UNIT,
        "figures": figures,
        "conditions": {
            "accounts": ", ".join(f"{case.accounts}" for case in cases),
            "markets": 1,
            "tiers": 1,
            "fall": "10 %, straight, one mark per second",
            "runs": f"median of {REPEATS} after one to warm up; lrvx once, at the same size",
            "venue": "simulated, latency 50 ms, all depth at the mark and enough of it that every order fills at once",
            "sound": "defaulters equal, ledger and market sum to zero, nobody left in default",
            "seed": SEED,
            "lrvx": lrvx_version(),
            "excluded": "opening the books, compilation, journal, counting the effects",
            "differences": DIFFERENCES,
        },
    }

"""ADL of 2025-10-10 through the whole engine under every policy: ``python -m benchmarks.adl_policies``.

The bundled crash is run with the same population once for each policy; then it and, where
``BACKSTOP_DATA`` names the folder of recorded data, the recorded one on a venue without fund and
providers, where far more is left to ADL. Who is asked, who comes into default after it and
whose hedge is torn is read from effects. The figures go to ``benchmarks/adl_policies.json``, and from
there to docs/reference/adl-policies.md; runs that cannot be made stay as they were.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from backstop.config import Venue, default_text, parse_venue
from backstop.core.events import AdlClass, AdlPolicy
from backstop.core.kinds import AccountEvent, AdlFillEffect, Columns, TradeEffect
from backstop.feeds.columns import time_ns_of
from backstop.feeds.exchange import convert_bars
from backstop.feeds.prices import read_prices
from backstop.markets.population import PopulationParameters, default_parameters
from backstop.markets.scenarios import scenario
from backstop.runs.cases import Case, case_of_population, scenario_prices
from backstop.runs.defaults import entries
from backstop.runs.fold import Fold, Reader
from backstop.runs.replay import replay_case
from backstop.runs.tally import Tally
from backstop.runs.warmup import warm
from benchmarks.adl_policies_page import page
from benchmarks.crash_list import CRASHES, ROOT, SEED
from benchmarks.crash_variants import Resolved, variant_of, without_providers

RESULTS = Path(__file__).parent / "adl_policies.json"
PAGE = ROOT / "docs" / "reference" / "adl-policies.md"
CRASH = "2025-10-10"
#: Where the fund pays, the recorded bars bring no ADL at all.
KINDS = ("bundled", "bundled, bare", "recorded, bare")
BARE_ACCOUNTS = 10_000
_HOUR_NS = 3_600 * 10**9


class AskedTally(Reader):
    """Counts what ADL asks of owners, and what becomes of them."""

    def __init__(self, fold: Fold) -> None:
        self._markets = len(fold.venue.markets)
        self._lots = np.zeros((fold.venue.rules.limits.accounts_max, self._markets), dtype=np.int64)
        self._owner: dict[int, int] = {}
        self._accounts: dict[int, list[int]] = {}
        #: By owner: when he was asked last; notional that he gave.
        self._asked_ns: dict[int, int] = {}
        self.given: Counter[int] = Counter()
        #: By event and market: how many owners were asked.
        self.asked_together: list[int] = []
        self.fills = 0
        #: Owners who came into default within an hour of being asked.
        self.defaulted: set[int] = set()
        #: Owners whose exposure to all markets together became larger by what they gave, and by how much.
        self.torn: set[int] = set()
        self.torn_notional = 0

    def take_batch(self, fold: Fold) -> None:
        """Follow the lots of all accounts, and look at everyone who is asked."""
        opened = AccountEvent[Columns](fold.events)
        for account, owner in zip(opened.account.tolist(), opened.owner.tolist(), strict=True):
            self._owner[account] = owner
            self._accounts.setdefault(owner, []).append(account)
        trades = fold.rows(TradeEffect[Columns])
        trades = trades.where(trades.account >= 0)
        fills = fold.rows(AdlFillEffect[Columns])
        fills = fills.where((fills.account >= 0) & (fills.adl_class != AdlClass.CROSSED))
        changes = [(seq, 1, place) for place, seq in enumerate(fills.seq.tolist())]
        entered = fold.once(entries)
        changes += [(seq, 2, place) for place, seq in enumerate(entered.seq.tolist())]
        events: dict[int, tuple[list[int], list[int]]] = {}
        for seq, kind, place in changes:
            events.setdefault(seq, ([], []))[kind - 1].append(place)
        done = 0
        for seq in sorted(events):
            asked, entering = events[seq]
            upto = int(np.searchsorted(trades.seq, seq, side="left"))
            self._add_lots(trades, done, upto)
            done = upto
            time_ns = int(fold.time_ns(np.array([seq]))[0])
            for place in entering:
                self._enter(int(entered.account[place]), time_ns)
            if asked:
                rows = [(int(fills.account[each]), int(fills.market[each]), int(fills.lots[each])) for each in asked]
                self._ask(rows, fold.mark.at_each(seq), time_ns, fold)
        self._add_lots(trades, done, len(trades.seq))

    def _add_lots(self, trades: TradeEffect[Columns], first: int, end: int) -> None:
        np.add.at(self._lots, (trades.account[first:end], trades.market[first:end]), trades.lots[first:end])

    def _enter(self, account: int, time_ns: int) -> None:
        owner = self._owner[account]
        if time_ns - self._asked_ns.get(owner, -2 * _HOUR_NS) <= _HOUR_NS:
            self.defaulted.add(owner)

    def _ask(self, rows: list[tuple[int, int, int]], marks: Any, time_ns: int, fold: Fold) -> None:
        change: dict[int, int] = {}
        pairs = set()
        for account, market, lots in rows:
            value, owner = fold.contracts[market].value(lots, int(marks[market])), self._owner[account]
            change[owner] = change.get(owner, 0) + value
            self.given[owner] += abs(value)
            self.fills += 1
            pairs.add((market, owner))
        self.asked_together += list(Counter(market for market, _ in pairs).values())
        numbers = np.arange(self._markets)
        for owner, value in change.items():
            before = sum(int(fold.contracts.values(numbers, self._lots[account], marks).sum()) for account in self._accounts[owner])
            grown = abs(before + value) - abs(before)
            if grown > 0:
                self.torn.add(owner)
                self.torn_notional += grown
            self._asked_ns[owner] = time_ns


def with_policy(venue: Venue, policy: AdlPolicy, *, is_bare: bool) -> Venue:
    """Return a venue that shares by another policy; bare: without fund and providers."""

    def change(resolved: Resolved) -> Resolved:
        changed = without_providers(resolved) if is_bare else copy.deepcopy(resolved)
        if is_bare:
            changed["waterfall"] = [stage for stage in changed["waterfall"] if stage["stage"] != "fund"]
        for stage in changed["waterfall"]:
            if stage["stage"] == "adl":
                stage["policy"] = policy.name.lower()
        return changed

    return variant_of(venue, change, policy.name.lower())


def population(kind: str) -> PopulationParameters:
    """Return the population that a crash meets: a smaller one where all is left to ADL."""
    return default_parameters() if kind == "bundled" else replace(default_parameters(), accounts=BARE_ACCOUNTS)


def case_of(kind: str, policy: AdlPolicy) -> Case:
    """Return the bundled or the recorded crash on its venue."""
    if kind.startswith("bundled"):
        venue = with_policy(parse_venue(default_text(), "bundled venue"), policy, is_bare=kind != "bundled")
        prices, schedule = scenario_prices(venue, scenario(CRASH), SEED)
        return case_of_population(venue, prices, population(kind), SEED, schedule)
    crash = next(crash for crash in CRASHES if crash.name == CRASH)
    venue = with_policy(crash.load_venue(), policy, is_bare=True)
    with tempfile.TemporaryDirectory(prefix="backstop-policies-") as folder:
        output = Path(folder) / "prices.parquet"
        files = [Path(os.environ["BACKSTOP_DATA"]) / crash.file]
        convert_bars(files, output, layout=crash.layout, timeframes=crash.timeframes, markets=dict(crash.markets))
        prices = read_prices(output, venue, steps=crash.steps, start_ns=time_ns_of(crash.start), end_ns=time_ns_of(crash.end))
    return case_of_population(venue, prices, population(kind), SEED)


def run(kind: str, policy: AdlPolicy) -> dict[str, Any]:
    """Run a crash under a policy; return its figures."""
    case = case_of(kind, policy)
    tally = Tally(case.venue)
    asked = tally.fold.join(AskedTally(tally.fold))
    result = replay_case(case, tally=tally)
    given, asset = sum(asked.given.values()), case.venue.asset
    return {
        "kind": kind,
        "policy": policy.name.lower(),
        "conserved": result.conservation.holds,
        "owners": len(asked.given),
        "fills": asked.fills,
        "plans": len(asked.asked_together),
        "owners_a_plan": float(Fraction(sum(asked.asked_together), max(1, len(asked.asked_together)))),
        "given": str(asset.text(given)),
        "largest_share": max(asked.given.values(), default=0) / max(1, given),
        "defaulted": len(asked.defaulted),
        "torn": len(asked.torn),
        "torn_notional": str(asset.text(asked.torn_notional)),
        "defaults": tally.defaults,
    }


def can_run(kind: str) -> bool:
    """Return whether the prices of a crash are there."""
    if kind.startswith("bundled"):
        return True
    folder = os.environ.get("BACKSTOP_DATA")
    crash = next(crash for crash in CRASHES if crash.name == CRASH)
    return folder is not None and (Path(folder) / crash.file).is_file()


def main() -> int:
    """Run what was asked for; write figures and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=KINDS, help="one of the crashes")
    parser.add_argument("--policy", choices=[policy.name.lower() for policy in AdlPolicy], help="one policy")
    arguments = parser.parse_args()
    warm()
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    rows = {(row["kind"], row["policy"]): row for row in known}
    for kind in KINDS:
        if arguments.only not in (None, kind) or not can_run(kind):
            print(f"left out: {kind}")
            continue
        for policy in AdlPolicy:
            if arguments.policy in (None, policy.name.lower()):
                row = run(kind, policy)
                rows[kind, policy.name.lower()] = row
                print(json.dumps(row), flush=True)
                order = [(each, policy.name.lower()) for each in KINDS for policy in AdlPolicy]
                kept = [rows[key] for key in order if key in rows]
                RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
                PAGE.write_text(page(kept), encoding="utf-8")
    return 0 if all(row["conserved"] for row in rows.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())

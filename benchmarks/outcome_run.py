"""Crashes of one checkout, measured by the record of another: ``benchmarks.outcomes`` starts it.

``python -P outcome_run.py FOLDER KIND:NAME:VARIANT ...`` runs crashes with the engine, the venues and
the crashes that Python finds first on its path, and measures them with ``liquidations.py`` and
``outcome.py`` of ``FOLDER``. So one definition measures the rules of every commit. Each run is one
line of JSON on standard output.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import time
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any

#: Numbers that no row has, for what an older commit does not know.
_UNKNOWN = 10_000


def measuring(folder: Path) -> ModuleType:
    """Return the module of the record in ``folder``, on the engine that is found on the path."""
    from backstop.core import events, kinds

    given: Any = events
    for code, names in (("Cause", ("ARREARS", "CLOSING_CHARGE")), ("AdlClass", ("CROSSED",))):
        known: Any = getattr(events, code)
        missing = [name for name in names if name not in known.__members__]
        members = {name: int(member) for name, member in known.__members__.items()}
        if missing:
            setattr(events, code, IntEnum(code, members | {name: _UNKNOWN + place for place, name in enumerate(missing)}))
    if not hasattr(events, "SupportLimit"):
        given.SupportLimit = IntEnum("SupportLimit", {"COVERED": 0})  # type: ignore[misc]
    if not hasattr(events, "uncovered_of"):
        given.uncovered_of = lambda group: events.UNCOVERED if group == 0 else -_UNKNOWN - group
    if not hasattr(kinds, "SupportEffect"):
        fields = {"market": "market", "support": "amount", "gap": "value", "limit": "code", "cause": "other"}
        columns = {name: kinds.Field(column, kinds.Unit.VARIES, name) for name, column in fields.items()}
        vars(kinds)["SupportEffect"] = type("SupportEffect", (kinds.EffectView,), columns, kind=_UNKNOWN)
    for name in ("liquidations", "outcome"):
        spec = importlib.util.spec_from_file_location(f"backstop.runs.{name}", folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return module


def case_of(kind: str, name: str, variant: Any, scratch: Path) -> Any:
    """Return the case of a bundled or recorded crash on the venue that its checkout gives it."""
    from backstop.config import default_text, parse_venue
    from backstop.feeds.columns import time_ns_of
    from backstop.feeds.exchange import convert_bars
    from backstop.feeds.prices import read_prices
    from backstop.markets.population import default_parameters
    from backstop.markets.scenarios import scenario
    from backstop.runs.cases import case_of_population, scenario_prices
    from benchmarks.crash_list import CRASHES, SEED

    if kind == "bundled":
        venue = variant.venue(parse_venue(default_text(), "bundled venue"))
        prices, schedule = scenario_prices(venue, scenario(name), SEED)
        return case_of_population(venue, prices, default_parameters(), SEED, schedule)
    crash = next(crash for crash in CRASHES if crash.name == name)
    venue, output = variant.venue(crash.load_venue()), scratch / f"{name}.parquet"
    files = [Path(os.environ["BACKSTOP_DATA"]) / crash.file]
    convert_bars(files, output, layout=crash.layout, timeframes=crash.timeframes, markets=dict(crash.markets))
    prices = read_prices(output, venue, steps=crash.steps, start_ns=time_ns_of(crash.start), end_ns=time_ns_of(crash.end))
    return case_of_population(venue, prices, default_parameters(), SEED)


def main() -> None:
    """Run what the arguments ask for."""
    outcome = measuring(Path(sys.argv[1]))
    from backstop.runs.replay import replay_case
    from backstop.runs.tally import Tally
    from backstop.runs.warmup import warm
    from benchmarks.crash_variants import VARIANTS

    warm()
    for wanted in sys.argv[2:]:
        kind, name, variant = wanted.split(":")
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="backstop-outcome-") as folder:
            case = case_of(kind, name, next(each for each in VARIANTS if each.name == variant), Path(folder))
        tally = Tally(case.venue)
        counted = outcome.OutcomeTally(tally)
        result = replay_case(case, tally=tally)
        seconds = time.perf_counter() - begun
        row = {"kind": kind, "crash": name, "variant": variant, "conserved": result.conservation.holds}
        values = counted.outcome(result).as_json(case.venue)
        print(json.dumps(row | {"venue_hash": case.venue.hash} | values | {"seconds": round(seconds, 1)}), flush=True)


if __name__ == "__main__":
    main()

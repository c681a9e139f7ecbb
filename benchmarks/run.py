"""Run the suite: ``python -m benchmarks.run [P1 ...]``.

Writes ``benchmarks/results.json`` (an object for each id: ratio, bar, unit, figures, conditions;
``short`` lists what else the bar asks and was not reached, a ratio of null was not run) and
``benchmarks/RESULTS.md`` from it, and prints the last object. Messages go to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.prose import wrapped

HERE = Path(__file__).parent
SUITE = {
    "P1": "benchmarks.p1_mark",
    "P2": "benchmarks.p2_quiet",
    "P3": "benchmarks.p3_crash",
    "P3L": "benchmarks.p3_growth",
    "P4": "benchmarks.p4_step",
    "P5": "benchmarks.p5_durable",
    "P6": "benchmarks.p6_recovery",
    "P11": "benchmarks.p11_adversary",
}
Say = Callable[[str], None]


def machine() -> dict[str, Any]:
    """Return the conditions that every figure shares."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else ""
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numba": version("numba"),
        "numpy": version("numpy"),
    }


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _verdict(result: dict[str, Any]) -> str:
    """Return whether the bar holds, in the table's words."""
    if result["ratio"] is None:
        return "not run"
    if result["ratio"] < result["bar"] or not result.get("sound", True):
        return "NO"
    return "in part; short: " + "; ".join(result["short"]) if result.get("short") else "yes"


def _table(results: dict[str, Any]) -> str:
    lines = [
        "# Results",
        "",
        "`make bench` writes this page from `benchmarks/results.json`; nothing here is typed by hand. Both sides of every ratio"
        " are measured in one run on the same data. Absolute figures belong to the machine named with them.",
        "",
        "| id | ratio of | ratio | bar | holds |",
        "|---|---|---|---|---|",
    ]
    for name, result in sorted(results.items()):
        ratio = "" if result["ratio"] is None else _number(result["ratio"])
        lines.append(f"| {name} | {result['unit']} | {ratio} | {result['bar']:,} | {_verdict(result)} |")
    for name, result in sorted(results.items()):
        lines += ["", f"## {name}", "", "| figure | value |", "|---|---|"]
        lines += [
            f"| {key} | {value:,.6g} |" if isinstance(value, float) else f"| {key} | {value} |" for key, value in result["figures"].items()
        ]
        if "picture" in result:
            lines += ["", f"![{result['unit']}]({result['picture']})"]
        lines += ["", "Conditions: " + "; ".join(f"{key} {value}" for key, value in result["conditions"].items()) + "."]
    return wrapped("\n".join(lines))


def main() -> int:
    """Run the benchmarks asked for; exit code 1 where a bar or a comparison does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="ids to run; all where none is given")
    parser.add_argument("--small", action="store_true", help="a small size, to see that it runs; writes nothing")
    options = parser.parse_args()
    path = HERE / "results.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    failed = False
    result: dict[str, Any] = {}
    for name in options.only or SUITE:
        _say(f"{name}: {(import_module(SUITE[name]).__doc__ or '').splitlines()[0]}")
        started = time.perf_counter()
        result = import_module(SUITE[name]).measure(_say, options.small)
        result["conditions"] = {**result["conditions"], **machine()}
        ratio = "not run" if result["ratio"] is None else f"ratio {_number(result['ratio'])}"
        _say(f"{name}: {ratio}, bar {result['bar']:,}, {time.perf_counter() - started:.0f} s in all")
        results[name] = result
        failed |= _verdict(result) not in ("yes", "not run")
        if not options.small:
            path.write_text(json.dumps(dict(sorted(results.items())), indent=2) + "\n")
            (HERE / "RESULTS.md").write_text(_table(results))
    print(json.dumps(result))
    return int(failed and not options.small)


if __name__ == "__main__":
    sys.exit(main())

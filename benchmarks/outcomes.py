"""What crashes come to, before and after a change of the rules: ``python -m benchmarks.outcomes``.

Every bundled crash, and every recorded one whose file is in the folder that ``BACKSTOP_DATA`` names,
runs with the bundled venue and the seeded population, as shipped and without breakers. Each run is
measured by one record (``backstop.runs.outcome``). ``--before COMMIT`` runs the crashes of another
commit with that commit's rules and venue files, and measures them with the record of this one. The
figures go to ``benchmarks/outcomes.json``, and from there to docs/reference/outcomes.md; what was
not run stays as it was. ``--json`` prints the figures of this call and writes nothing. Progress goes
to standard error.

Exit code 0: all is well; 1: a run failed, or lost or made money; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from backstop.markets.scenarios import scenario_names
from benchmarks.checkout import checkout_of
from benchmarks.crash_list import CRASHES, ROOT
from benchmarks.outcomes_page import page
from benchmarks.run import machine

RESULTS = Path(__file__).parent / "outcomes.json"
PAGE = ROOT / "docs" / "reference" / "outcomes.md"
MEASURED_BY = ROOT / "src" / "backstop" / "runs"
#: Ways to run a crash, of ``crash_variants``.
VARIANTS = ("impact off", "no breakers")

Run = dict[str, Any]


def names() -> list[str]:
    """Return every crash, in the order of the page."""
    return [*(f"bundled/{name}" for name in scenario_names()), *(f"recorded/{crash.name}" for crash in CRASHES)]


def keys() -> list[str]:
    """Return every run, in the order of the page."""
    return [f"{name}, {variant}" for name in names() for variant in VARIANTS]


def present(chosen: list[str]) -> Iterator[str]:
    """Yield the crashes that can be run here, and say which cannot."""
    folder = os.environ.get("BACKSTOP_DATA")
    files = {f"recorded/{crash.name}": crash.file for crash in CRASHES}
    for name in chosen:
        file = files.get(name)
        if file is None or (folder and (Path(folder) / file).is_file()):
            yield name
        else:
            why = f"{file} is not in the folder that BACKSTOP_DATA names" if folder else "BACKSTOP_DATA names no folder"
            _say(f"left out: {name}: {why}")


def measure(checkout: Path, crashes: list[str], label: str) -> list[Run]:
    """Run crashes with the engine and the files of a checkout; return the record of each run.

    Raises ``RuntimeError`` where the runs end before the last.
    """
    wanted = [f"{name.replace('/', ':')}:{variant}" for name in crashes for variant in VARIANTS]
    script = Path(__file__).parent / "outcome_run.py"
    command = [sys.executable, "-P", str(script), str(MEASURED_BY), *wanted]
    environment = os.environ | {"PYTHONPATH": f"{checkout / 'src'}{os.pathsep}{checkout}"}
    runs: list[Run] = []
    with subprocess.Popen(command, cwd=checkout, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        teller = threading.Thread(target=_pass_on, args=(child.stderr, label), daemon=True)
        teller.start()
        for line in child.stdout:
            runs.append(json.loads(line))
            _say(f"{label}: {key_of(runs[-1])}: {runs[-1]['seconds']:.0f} s, {len(runs)} of {len(wanted)}")
        teller.join()
    if child.returncode or len(runs) < len(wanted):
        raise RuntimeError(f"{label}: {len(runs)} of {len(wanted)} runs came to an end")
    return runs


def key_of(run: Run) -> str:
    """Return the name of a run."""
    return f"{run['kind']}/{run['crash']}, {run['variant']}"


def commit_of(name: str) -> dict[str, str]:
    """Return a commit's short hash, day and subject; raise ``ValueError`` where there is none."""
    command = ["git", "log", "-1", "--format=%h%n%as%n%s", name, "--"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    if done.returncode:
        raise ValueError(f"no commit {name!r} in {ROOT}")
    short, day, subject = done.stdout.splitlines()
    return {"commit": short, "day": day, "subject": subject}


def present_commit() -> dict[str, str]:
    """Return the commit of this source; its hash says where the source differs from it."""
    changed = subprocess.run(["git", "status", "--porcelain", "--", "src"], cwd=ROOT, text=True, capture_output=True, check=True)
    values = commit_of("HEAD")
    return values | {"commit": values["commit"] + (" with changes" if changed.stdout else "")}


def collect(crashes: list[str], before: str | None) -> dict[str, Any]:
    """Run crashes on this source, and on another commit, at the same time; return both."""
    with ThreadPoolExecutor(2) as pool, checkout_of(before) if before else nullcontext() as checkout:
        sides: dict[str, Any] = {"after": (ROOT, present_commit())}
        if before and checkout:
            sides["before"] = (checkout, commit_of(before))
        found = {side: pool.submit(measure, folder, crashes, side) for side, (folder, _) in sides.items()}
        runs = {side: {key_of(run): run for run in each.result()} for side, each in found.items()}
        return {side: commit | {"runs": runs[side]} for side, (_, commit) in sides.items()} | {"conditions": machine()}


def kept(stored: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Return stored figures with those of a call in their place, in the order of the page."""
    sides: dict[str, Any] = {}
    for side in ("before", "after"):
        old, new = stored.get(side, {}), measured.get(side, {})
        # Runs of another commit would stand under the wrong name.
        earlier = old.get("runs", {}) if not new or old.get("commit") == new["commit"] else {}
        runs = earlier | new.get("runs", {})
        if runs:
            sides[side] = (new or old) | {"runs": {key: runs[key] for key in keys() if key in runs}}
    return sides | {"conditions": measured["conditions"]}


def _pass_on(stream: Any, label: str) -> None:
    for line in stream:
        _say(f"{label}: {line.rstrip()}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the crashes asked for, and write or print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outcomes", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="CRASH", help=f"crashes to run, of {', '.join(names())}; all where none is given")
    parser.add_argument("--before", metavar="COMMIT", help="run the crashes of this commit, too")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object, write nothing")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.only if name not in names()]
    if unknown:
        parser.error(f"unknown crash {', '.join(unknown)}: must be one of {', '.join(names())}")
    crashes = list(present([name for name in names() if not options.only or name in options.only]))
    if not crashes:
        _say("nothing was run, nothing was written")
        return 0
    try:
        if options.before:
            commit_of(options.before)
        measured = collect(crashes, options.before)
    except (RuntimeError, ValueError) as error:
        _say(f"error: {error}")
        return 1
    broken = [
        f"{side}: {key}"
        for side in ("before", "after")
        for key, run in measured.get(side, {}).get("runs", {}).items()
        if not run["conserved"]
    ]
    for each in broken:
        _say(f"NOT CONSERVED: {each}")
    if options.as_json:
        print(json.dumps(measured))
    else:
        stored = kept(json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}, measured)
        RESULTS.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
        PAGE.write_text(page(stored), encoding="utf-8")
        _say(f"written: {RESULTS.relative_to(ROOT)}, {PAGE.relative_to(ROOT)}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())

"""Whether two commits give the same effects and digests: what a refactoring must not change.

``python -m tests.same --base COMMIT`` runs this file in a checkout of COMMIT and in this one, over
random streams and the bundled scenarios, and compares a hash of every effect and digest of each.
``make same BASE=COMMIT`` is the short way to it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

_SCENARIOS = ("2020-03-12", "2021-05-19", "2025-10-10")
_BLOCK = 100


def stream_hash(seed: int) -> str:
    """Return a hash of the effects of one random stream and of its digests, every 16 events and at
    the end.
    """
    import numpy as np

    from backstop.core.digest import state_digest
    from backstop.core.engine import step
    from backstop.core.events import EVENT
    from backstop.core.state import new_state
    from tests.streams.random_streams import make_stream

    rules, events = make_stream(seed)
    state, rows = new_state(rules), np.array([tuple(event) for event in events], dtype=EVENT)
    engine, found = state.engine[0], hashlib.sha256()
    for place in range(len(rows)):
        try:
            step(state, rows[: place + 1], place)
        except OverflowError:
            # One event brought more than the venue's limit allows: the engine stops there.
            return found.hexdigest() + f" stopped at {place}"
        found.update(state.effects[: int(engine.effects_now)].tobytes())
        engine.effects_now = 0
        if place % 16 == 15:
            found.update(state_digest(state).encode())
    found.update(state_digest(state).encode())
    return found.hexdigest()


def block_hashes(first: int, count: int) -> list[str]:
    """Return the hashes of ``count`` streams from seed ``first``."""
    return [stream_hash(seed) for seed in range(first, first + count)]


def scenario_hash(name: str) -> dict[str, str]:
    """Return hashes of the events and effects of a bundled scenario, and its digest."""
    try:
        from backstop.runs.history import read_batches
    except ImportError:  # as the room was called before
        from backstop.lab.history import read_batches  # type: ignore[import-not-found,no-redef,unused-ignore]
    from backstop.journal import open_journal

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from backstop.cli import main; main()", "demo", name, "--out", folder, "--json"]
        ran = subprocess.run(command, check=False, capture_output=True, text=True)
        if not ran.stdout.startswith("{"):
            raise RuntimeError(f"backstop demo {name} ended with {ran.returncode}: {ran.stderr}")
        events, effects = hashlib.sha256(), hashlib.sha256()
        with open_journal(Path(folder) / "journal.db") as journal:
            for batch in read_batches(journal):
                events.update(batch.events.tobytes())
                effects.update(batch.effects.tobytes())
    return {"events": events.hexdigest(), "effects": effects.hexdigest(), "digest": json.loads(ran.stdout)["digest"]}


def hashes(first: int, streams: int, scenarios: bool, workers: int) -> Iterator[tuple[str, str]]:
    """Yield the name and the hash of each stream and scenario asked for."""
    if streams:
        stream_hash(first)  # compiles before the workers start
    starts = range(first, first + streams, _BLOCK)
    with ProcessPoolExecutor(workers) as pool:
        for start, found in zip(
            starts, pool.map(block_hashes, starts, [min(_BLOCK, first + streams - each) for each in starts]), strict=True
        ):
            yield from ((f"stream {start + place}", each) for place, each in enumerate(found))
            print(f"{start + len(found) - first} of {streams} streams", file=sys.stderr)
    for name in _SCENARIOS if scenarios else ():
        yield name, json.dumps(scenario_hash(name))
        print(f"scenario {name}", file=sys.stderr)


def base_hashes(commit: str, words: list[str]) -> dict[str, str]:
    """Return the hashes that this file gives in a checkout of ``commit``."""
    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "worktree", "add", "--detach", "-f", f"{folder}/base", commit], cwd=root, check=True, capture_output=True)
        try:
            base = Path(folder) / "base"
            shutil.copy(__file__, base / "tests" / "same.py")
            environment: dict[str, Any] = os.environ | {"PYTHONPATH": f"{base / 'src'}:{base}"}
            written = base / "hashes.json"
            subprocess.run([sys.executable, "-m", "tests.same", *words, "--write", str(written)], cwd=base, env=environment, check=True)
            found: dict[str, str] = json.loads(written.read_text())
            return found
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", f"{folder}/base"], cwd=root, check=True, capture_output=True)


def main() -> int:
    """Compare, or write the hashes of this checkout; exit code 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", help="commit to compare with")
    parser.add_argument("--against", type=Path, help="file of hashes to compare with, written before by --write")
    parser.add_argument("--write", type=Path, help="write the hashes here")
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--scenarios", action="store_true", help="the bundled scenarios, too")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    words = ["--streams", str(options.streams), "--first", str(options.first), "--workers", str(options.workers)]
    words += ["--scenarios"] if options.scenarios else []
    found = dict(hashes(options.first, options.streams, options.scenarios, options.workers))
    if options.write is not None:
        options.write.write_text(json.dumps(found))
        return 0
    expected = json.loads(options.against.read_text()) if options.against else base_hashes(options.base or "HEAD", words)
    differ = [name for name in found if expected.get(name) != found[name]]
    for name in differ[:20]:
        print(f"{name} differs")
    print(f"{len(found)} compared with {options.against or options.base or 'HEAD'}, {len(differ)} differ")
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())

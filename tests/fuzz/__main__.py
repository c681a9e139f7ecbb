"""``python -m tests.fuzz --inputs 1000000 --seed 1``: seeded inputs for every file reader; exit
code 1 on a finding.

Inputs run in worker processes, so that a reader that crashes or hangs in compiled code is found
too. Each is made of the name of its reader and its seed alone:
``--reader prices --seed 4711 --inputs 1`` repeats one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import Campaign, campaign
from tests.fuzz.targets import TARGETS


def _folder() -> str | None:
    """Return a folder in memory, where there is one: a million small files are read."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main() -> int:
    """Run the campaign; return 1 if anything was found."""
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000, help="how many, of all readers together")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--reader", choices=names, action="append", help="this reader only; may be repeated")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    chosen = [target for target in TARGETS if options.reader is None or target.name in options.reader]
    with tempfile.TemporaryDirectory(dir=_folder(), prefix="backstop-fuzz-") as folder:
        result = campaign(chosen, options.inputs, options.seed, options.workers, Path(folder), _say)
    sys.stdout.write("".join(f"{finding}\n" for finding in result.findings) + _summary(result))
    return int(bool(result.findings))


def _summary(result: Campaign) -> str:
    lines = []
    for name, tally in result.tallies.items():
        speed = tally.inputs / tally.seconds if tally.seconds else 0.0
        lines.append(f"{name:<12}{tally.inputs:>9,} inputs, {tally.loaded:>8,} loaded, {speed:>6,.0f} a second and worker")
    total = sum(tally.inputs for tally in result.tallies.values())
    return "\n".join([*lines, f"{total:,} inputs in {result.seconds:,.0f} s, {len(result.findings)} findings", ""])


if __name__ == "__main__":
    sys.exit(main())

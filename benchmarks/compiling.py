"""What compiling costs: from an empty cache, after an edit in one stage, after a comment.

``python -m benchmarks.compiling [--base COMMIT]`` works on copies of the source with a cache of
their own and prints one JSON object. With a base it measures that commit, too, in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.checkout import checkout_of

_ROOT = Path(__file__).parent.parent
_STAGE = "backstop/core/waterfall/adl.py"
_WARM = "from backstop.cli import main; main()"


def _warm(source: Path, cache: Path) -> dict[str, float]:
    """Run ``backstop warmup`` on a copy; return wall and processor seconds."""
    environment = os.environ | {"PYTHONPATH": str(source), "BACKSTOP_CACHE_DIR": str(cache)}
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", _WARM, "warmup"], env=environment, check=True, capture_output=True)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return {"seconds": round(time.perf_counter() - start, 1), "processor_seconds": round(cpu, 1)}


def _edit(path: Path, is_comment: bool) -> None:
    """Change the stage's entry: one statement more, or a comment."""
    lines = path.read_text().split("\n")
    place = next(number for number, line in enumerate(lines) if line.startswith("def deleverage("))
    end = next(number for number in range(place, len(lines)) if lines[number].rstrip().endswith('"""') and number > place)
    name = lines[place].split(",")[1].split(":")[0].strip()
    lines.insert(end + 1, "    # a comment" if is_comment else f"    edited = {name}  # noqa: F841")
    path.write_text("\n".join(lines))


def measure(source: Path) -> dict[str, Any]:
    """Return the costs of the source in a folder that holds ``backstop``."""
    with tempfile.TemporaryDirectory() as folder:
        copy, cache = Path(folder) / "src", Path(folder) / "cache"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        found: dict[str, Any] = {"from nothing": _warm(copy, cache)}
        sizes = [path.stat().st_size for path in cache.rglob("*.nbc")]
        found |= {"files": len(sizes), "bytes": sum(sizes), "largest_bytes": max(sizes)}
        _edit(copy / _STAGE, is_comment=True)
        found["after a comment"] = _warm(copy, cache)
        _edit(copy / _STAGE, is_comment=False)
        found["after an edit in one stage"] = _warm(copy, cache)
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", help="commit to measure, too")
    options = parser.parse_args()
    found = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "now": measure(_ROOT / "src")}
    if options.base:
        with checkout_of(options.base) as base:
            found["base"] = measure(base / "src")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

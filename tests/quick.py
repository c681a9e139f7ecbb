"""The tests of the rooms you work in, shortest first, within a budget of seconds.

``python -m tests.quick`` looks at what differs from the last commit;
``python -m tests.quick journal cli`` names the rooms. How long a test takes is remembered in
pytest's cache. Tests that the budget leaves out are counted and named as not run: ``make test``
runs them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Budget", "main", "rooms_changed", "rooms_of"]

_ROOT = Path(__file__).parent.parent
_TIMES = _ROOT / ".pytest_cache" / "backstop-seconds.json"
#: Seconds within which the last test starts.
_BUDGET_S = 15.0
#: Taken for a test that never ran here.
_UNKNOWN_S = 0.2


class Budget:
    """Runs the shortest tests first and stops to start new ones when the time is used up."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.times: dict[str, float] = json.loads(_TIMES.read_text()) if _TIMES.exists() else {}
        self.left_out: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put short tests first."""
        items.sort(key=lambda item: self.times.get(item.nodeid, _UNKNOWN_S))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Start a test only where it is expected to end in time."""
        if time.monotonic() + self.times.get(item.nodeid, _UNKNOWN_S) > self.end:
            self.left_out.append(item.nodeid)
            pytest.skip("beyond the budget")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember how long a test took."""
        if report.when == "call" and not report.skipped:
            self.times[report.nodeid] = round(report.duration, 3)

    def pytest_sessionfinish(self) -> None:
        """Write the times down."""
        _TIMES.parent.mkdir(exist_ok=True)
        _TIMES.write_text(json.dumps(self.times, indent=0))


def rooms_of(paths: list[str]) -> list[str]:
    """Return the test folders of changed files: that of a room of ``src``, or the changed one
    itself.
    """
    rooms = set()
    for path in paths:
        parts = Path(path).parts
        if parts[:2] == ("src", "backstop") and len(parts) > 3:
            rooms.add(parts[2])
        elif parts[:2] == ("src", "backstop"):
            rooms.add("core")  # how kernels are compiled
        elif parts[:1] == ("tests",) and len(parts) > 2:
            rooms.add(parts[1])
        elif parts[:1] == ("docs",) or len(parts) == 1:
            rooms.add("docs")  # the pages of the root too
    return sorted(room for room in rooms if (_ROOT / "tests" / room).is_dir())


def rooms_changed() -> list[str]:
    """Return the test folders of what differs from the last commit; where nothing does, of that
    commit; none where git knows of no commit here.
    """

    def git(*words: str) -> list[str]:
        ran = subprocess.run(["git", *words], cwd=_ROOT, check=False, capture_output=True, text=True)
        return ran.stdout.splitlines() if ran.returncode == 0 else []

    try:
        changed = git("diff", "--name-only", "HEAD") + git("ls-files", "--others", "--exclude-standard")
        return rooms_of(changed) or rooms_of(git("diff", "--name-only", "HEAD~1", "HEAD"))
    except FileNotFoundError:  # there is no git
        return []


def main(words: list[str]) -> int:
    """Run the tests of the rooms named, or of those that changed; return pytest's exit code."""
    unknown = [word for word in words if not (_ROOT / "tests" / word).is_dir()]
    if unknown:
        print(f"no folder of tests is called {', '.join(unknown)}: name folders of tests/", file=sys.stderr)
        return 2
    rooms = words or rooms_changed()
    if not rooms:
        print('nothing changed that has tests of its own: name rooms, as in make quick ROOMS="journal cli"', file=sys.stderr)
        return 0
    print(f"rooms: {', '.join(rooms)}", file=sys.stderr)
    budget = Budget(_BUDGET_S)
    options: list[Any] = ["-q", "--no-header", *[f"tests/{room}" for room in rooms]]
    code = int(pytest.main(options, plugins=[budget]))
    if budget.left_out:
        print(f"not run for want of time: {len(budget.left_out)} tests; make test runs them", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

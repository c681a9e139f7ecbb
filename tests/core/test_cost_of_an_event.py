"""The dearest events of ``benchmarks.p11_adversary`` cost what they bring, times a logarithm: counted in
lines of the core that run, without a clock.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.p11_adversary import scenes

#: Run without compiling, so that every line is seen.
_SCRIPT = """
import sys
from math import log2
from benchmarks.p11_adversary import run, scenes

name, count = sys.argv[1], int(sys.argv[2])
lines = 0

def in_core(frame, event, arg):
    global lines
    lines += event == "line"
    return in_core

def trace(frame, event, arg):
    return in_core if "/backstop/core/" in frame.f_code.co_filename else None

cost = run(next(scene for scene in scenes(count) if scene.name == name), lambda: sys.settrace(trace), lambda: sys.settrace(None))
print(lines, lines / cost.work / log2(cost.work))
"""


@pytest.mark.parametrize("name", [scene.name for scene in scenes(4)])
def test_lines_grow_with_what_an_event_brings(name: str) -> None:
    """Five times as many accounts: a walk over all holders for each of them would take five times as many
    lines for each effect, trigger and holder.
    """
    found = []
    for count in (20, 100):
        command = [sys.executable, "-W", "ignore", "-c", _SCRIPT, name, str(count)]
        done = subprocess.run(command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=True)
        lines, rate = done.stdout.split()
        assert int(lines) > 100 * count
        found.append(float(rate))
    assert found[1] <= 1.3 * found[0]

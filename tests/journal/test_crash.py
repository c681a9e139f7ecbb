"""kill -9 while a journal is written: what was acknowledged is there, whole, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from backstop.journal import FindingCode, open_journal

_WRITER = """
import sys
import numpy as np
from backstop.core.events import EFFECT, EventKind
from backstop.journal import Journal
from tests.journal.runs import event, manifest
rows = np.concatenate([event(seq, seq, EventKind.CLOCK) for seq in range(1_000)])
none = np.empty(0, EFFECT)
with Journal.create(sys.argv[1], manifest(digest_every=0)) as journal:
    while True:
        journal.append(rows, none)
        rows["seq"] += 1_000
        print(journal.batches, flush=True)
"""


def _killed_after(path: Path, seconds: float) -> int:
    """Run the writer, kill it some time after its first batch; return the last batch that it acknowledged."""
    run = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    first = run.stdout.readline()
    time.sleep(seconds)
    os.kill(run.pid, signal.SIGKILL)
    acknowledged = (first + run.stdout.read()).split()
    run.stdout.close()
    run.wait()
    return int(acknowledged[-1])


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_writer_leaves_every_acknowledged_batch_whole(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "journal.db"
    acknowledged = _killed_after(path, Random(seed).uniform(0.0, 0.25))
    with open_journal(path) as journal:
        journal.check_pages()
        assert journal.check_head()
        numbers = [batch.number for batch in journal.batches()]
        journal.check_end()
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) in (acknowledged, acknowledged + 1)  # the last may have been written, but not yet told
    assert journal.events_read == 1_000 * len(numbers)
    assert [finding.code for finding in journal.findings] == [FindingCode.END_MISSING]

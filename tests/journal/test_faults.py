"""A disk that fails under a running journal: a sync that fails, a disk that fills, at any point of
a run.

What was acknowledged is there afterwards, whole; what could not be written was refused with the
reason.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backstop.core.digest import state_digest
from backstop.journal import FindingCode, open_journal
from backstop.journal.format import PAGE_BYTES, unsynced_max
from backstop.journal.recovery import recover
from backstop.journal.verify import verify
from tests.journal.runs import crash

#: Writes the crash, syncs after every ``argv[4]`` batches, tells how many are safe; a fault strikes
#: before batch ``argv[2]``.
_RUN = """
import sys
from backstop.journal import Journal, JournalError
from tests.journal.faults import strike
from tests.journal.runs import crash, manifest, names
journal = Journal.create(sys.argv[1], manifest(snapshot_every=2), names())
try:
    for number, chunk in enumerate(crash(), start=1):
        if number == int(sys.argv[2]):
            strike(sys.argv[3], journal)
        snapshot = chunk.snapshot if journal.is_snapshot_due(number) else None
        journal.write(journal.seal(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None, snapshot))
        if number % int(sys.argv[4]) == 0:
            journal.sync()
        print(journal.batches, flush=True)
    journal.close(crash()[-1].digest)
    print("closed", flush=True)
except JournalError as error:
    print(f"refused: {error}", flush=True)
"""


def _ran(path: Path, batch: int, fault: str, every: int) -> tuple[int, str]:
    """Return the last batch that was acknowledged, and what the run ended with."""
    asked = [str(path), str(batch), fault, str(every)]
    run = subprocess.run([sys.executable, "-c", _RUN, *asked], capture_output=True, text=True, check=False)
    if run.returncode == 77:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    return max((int(line) for line in lines if line.isdigit()), default=0), lines[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="faults are made by Linux's seccomp and limits")
@pytest.mark.parametrize("batch", [1, 4, 6])
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("sync", "disk I/O error"),
        ("write", "disk I/O error|disk is full"),
        ("size", "disk I/O error|disk is full|file too large"),
        ("pages", "disk is full"),
    ],
)
def test_a_failing_disk_loses_nothing_that_was_acknowledged(tmp_path: Path, every: int, batch: int, fault: str, reason: str) -> None:
    path = tmp_path / "journal.db"
    safe, last = _ran(path, batch, fault, every)
    assert last.startswith("refused: "), last
    assert any(word in last for word in reason.split("|")), last
    assert batch - every <= safe < len(crash())
    assert f"{safe} batches are safe" in last
    with open_journal(path) as journal:
        assert journal.check_head()
        held = list(journal.batches())
    # A batch whose sync failed was refused; its bytes may be there all the same.
    assert safe <= len(held) <= safe + unsynced_max(PAGE_BYTES)
    assert journal.findings == []
    for chunk, read in zip(crash(), held, strict=False):
        assert (chunk.events.tobytes(), chunk.effects.tobytes()) == (read.events.tobytes(), read.effects.tobytes())
    assert {finding.code for finding in verify(path).findings} <= {FindingCode.END_MISSING, FindingCode.LOG}
    found = recover(path)
    found.journal.abandon()
    if held:
        assert state_digest(found.state) == crash()[len(held) - 1].digest

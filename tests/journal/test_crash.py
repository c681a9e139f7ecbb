"""kill -9 while a journal is written: what was acknowledged is there, whole, and the run can go on
as if nothing had been.

``BACKSTOP_KILLS`` says how often a replay is killed (20 unless told; ``make crash-proof`` says
200), and how closely kills are aimed at a journal's first moments and at those after its end mark.
``BACKSTOP_SEED`` is the first seed.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from backstop.core.events import EFFECT
from backstop.journal import FindingCode, open_journal
from backstop.journal.verify import verify
from tests.journal.killed import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")

KILLS = int(os.environ.get("BACKSTOP_KILLS", "20"))
SEED = int(os.environ.get("BACKSTOP_SEED", "1"))
#: Runs that are killed and taken up again until they end; each bears its share of the kills.
CHAINS = 4
#: Steps of its progress after which a run is killed, at most: about half of those of a whole run.
STEPS = 28

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
    """Run the writer, kill it some time after its first batch; return the last batch that it
    acknowledged.
    """
    run = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    first = run.stdout.readline()
    time.sleep(seconds)
    os.kill(run.pid, signal.SIGKILL)
    acknowledged = (first + run.stdout.read()).split()
    run.stdout.close()
    run.wait()
    return int(acknowledged[-1])


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
    # The last one may have been written, but not yet acknowledged.
    assert len(numbers) in (acknowledged, acknowledged + 1)
    assert journal.events_read == 1_000 * len(numbers)
    assert [finding.code for finding in journal.findings] == [FindingCode.END_MISSING]


class _Told(NamedTuple):
    """What a whole run left on its journal, however it was cut into batches."""

    events: str
    effects: str
    #: Over each effect's key: seq, and its place among the effects of that event.
    keys: str
    digest: str | None


def _told(path: Path) -> _Told:
    events, effects, keys = (hashlib.sha256() for _ in range(3))
    with open_journal(path) as journal:
        assert journal.check_head()
        for batch in journal.batches():
            events.update(batch.events.tobytes())
            effects.update(batch.effects.tobytes())
            keys.update(batch.effects["seq"].tobytes())
        journal.check_end()
        assert journal.findings == []
        assert batch.effects.dtype == EFFECT
        return _Told(events.hexdigest(), effects.hexdigest(), keys.hexdigest(), journal.digest)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> _Told:
    path = tmp_path_factory.mktemp("undisturbed") / "journal.db"
    result = run(path)
    told = _told(path)
    assert told.digest == result.digest
    return told


def _killed(path: Path, rng: Random) -> bool:
    """Begin or go on with the run and kill it at a random point; return whether it was still
    running.

    The point is a step of its progress and a little more, not a time: on a slow machine a run dies
    where it dies on a fast one.
    """
    child = subprocess.Popen([sys.executable, "-m", "tests.journal.killed", str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    if rng.random() < 0.1:
        # While it starts: the journal may not be there yet, or just be opened again.
        time.sleep(rng.uniform(0.3, 1.2))
    else:
        for _ in range(rng.randint(1, STEPS)):
            if not child.stdout.readline():
                break
        time.sleep(rng.uniform(0.0, 0.1))
    was_running = child.poll() is None
    child.kill()
    said = child.stdout.read()
    child.stdout.close()
    assert child.wait() in (-signal.SIGKILL, 0), said
    return was_running


def _batches_after(path: Path, told: str) -> int:
    """Reopen what the kill left, and see that it is whole as far as it goes."""
    if not path.exists():
        return 0
    with open_journal(path) as journal:
        journal.check_log()
        journal.check_pages()
        assert journal.check_head(), told
        numbers = [batch.number for batch in journal.batches()]
        snapshots = [number for number, _ in journal.check_snapshots()]
    assert numbers == list(range(1, len(numbers) + 1)), told
    assert {finding.code for finding in journal.findings} <= {FindingCode.LOG}, f"{told}: {journal.findings}"
    assert len(snapshots) == min(2, len(numbers) // 3), told
    return len(numbers)


def _is_closed(path: Path) -> bool:
    if not path.exists():
        return False
    with open_journal(path) as journal:
        return journal.is_closed


def _facts(path: Path) -> dict[str, Any]:
    with open_journal(path) as journal:
        held = list(journal.batches())
        journal.check_end()
        events = sum(len(batch.events) for batch in held)
        return {"path": str(path), "batches": len(held), "events": events, "chain": journal.chain}


#: What is killed, and how far a kill is from the one before: lines of the writer's code, or bytes
#: of a file.
MOMENTS = {
    "begun": max(1, 600 // KILLS),
    "over_killed": max(1, 600 // KILLS),
    "over_ended": max(1, 600 // KILLS),
    "sizes_begun": max(1, 300_000 // KILLS),
    "sizes_over_killed": max(1, 300_000 // KILLS),
    "ended": max(1, 150 // KILLS),
    "sealing": max(1, 300 // KILLS),
    "sizes_sealing": max(1, 600_000 // KILLS),
}


@pytest.mark.parametrize("scenario", MOMENTS)
def test_a_kill_in_the_first_moments_or_after_the_end_leaves_what_can_be_resumed(tmp_path: Path, scenario: str) -> None:
    """Either the old journal or the new one, and never a part of one; ``tests.journal.moments``
    looks after each kill.
    """
    stride = MOMENTS[scenario]
    first = Random(f"{SEED}/{scenario}").randrange(stride)
    line = [sys.executable, "-m", "tests.journal.moments", scenario, str(tmp_path / "run"), str(first), str(stride)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"BACKSTOP_SEED={SEED}: {done.stderr}"
    assert int(done.stdout) >= min(5, KILLS // 4)


@pytest.mark.parametrize("chain", range(CHAINS))
def test_a_killed_replay_goes_on_as_if_nothing_had_been(tmp_path: Path, undisturbed: _Told, chain: int) -> None:
    kills, left, resumed = 0, 0, 0
    share = KILLS // CHAINS + (chain < KILLS % CHAINS)
    path = tmp_path / "journal.db"
    while kills < share:
        rng = Random(f"{SEED}/{chain}/{kills}")
        told = f"BACKSTOP_SEED={SEED}, chain {chain}, kill {kills}"
        was_running = _killed(path, rng)
        kills += was_running
        if _is_closed(path):
            assert _told(path) == undisturbed, told
            assert run(path).journal == {**_facts(path), "had_ended": True}, told
            # The log may stand there, empty: the run died as it ended.
            for file in tmp_path.glob("journal.db*"):
                file.unlink()
            left = 0
        elif was_running:
            batches = _batches_after(path, told)
            assert batches >= left, told
            left = batches
            resumed += batches > 0
    assert run(path).digest == undisturbed.digest
    assert _told(path) == undisturbed
    assert verify(path).exit_code == 0
    assert resumed > share // 4

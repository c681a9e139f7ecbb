"""A process that is killed at a chosen moment: before a line of the writer's code, or where a file
grows beyond a size.

``python -m tests.journal.moments SCENARIO FOLDER FIRST STRIDE`` makes a scenario again and again,
each time in a forked process that is killed a little later, until one comes to its end; after each
kill it sees what was left and goes on with it. It prints the kills.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from backstop.journal import Journal, building, open_journal, rolling, syncing, writer
from backstop.journal import place as place_module
from backstop.journal.findings import FindingCode
from backstop.journal.place import Standing, standing_at
from backstop.journal.recovery import recover
from backstop.journal.verify import verify
from backstop.runs.cases import Case
from backstop.runs.replay import ReplayResult, replay_case
from tests.journal.runs import crash, manifest, names, write
from tests.runs.test_replay import crash_of

_FILES = {module.__file__ for module in (place_module, syncing, writer, building, rolling)}
#: Where the moments after the end mark are counted: from the call of ``Journal.close`` on.
_END = Journal.close.__code__
_OLD, _NEW = "old", "new"


def _killed(run: Callable[[], object], arm: Callable[[], object]) -> bool:
    """Run in a forked process that ``arm`` lets be killed; return whether it was."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            arm()
            run()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "the run failed instead of being killed"
    return False


def _before_line(number: int, start: object = None) -> Callable[[], None]:
    """Arm a kill before a line of the writer's code: the ``number``-th, counted from the first call
    of ``start``.
    """
    left, is_counting = number, start is None

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left, is_counting
        is_counting = is_counting or frame.f_code is start
        if event == "line" and is_counting:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        return trace if frame.f_code.co_filename in _FILES else None

    return lambda: sys.settrace(trace)


def _beyond_size(bytes_max: int) -> Callable[[], None]:
    """Arm a kill in the middle of SQLite's own work: where any file grows beyond so many bytes."""

    def arm() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))

    return arm


def _write_new(path: Path) -> None:
    """Write a journal, in the place of whatever journal is there."""
    with Journal.create(path, manifest(command=_NEW), names(), overwrite=True) as journal:
        for chunk in crash()[:2]:
            journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None)


def _batches(path: Path) -> tuple[str, int]:
    """Return whose journal stands there, and its batches; everything that is read must be sound."""
    with open_journal(path) as journal:
        journal.check_log()
        journal.check_pages()
        assert journal.check_head(), journal.findings
        count = len(list(journal.batches()))
        assert {finding.code for finding in journal.findings} <= {FindingCode.LOG}, journal.findings
        return journal.manifest.command, count


def _go_on(path: Path, old: int) -> None:
    """See what a kill left, and go on with it as a supervisor does: with --resume."""
    standing = standing_at(path)
    if standing in (Standing.NOTHING, Standing.HEADLESS):
        assert old < 0, "the old journal is gone, and there is no new one"
        Journal.create(path, manifest(command=_NEW), names(), resume=True).abandon()
    whose, batches = _batches(path)
    if whose == _OLD:
        assert batches == old
        Journal.create(path, manifest(command=_NEW), names(), overwrite=True).abandon()
    assert not path.with_name(f".{path.name}.new").exists()
    found = recover(path)
    for number, chunk in enumerate(crash()[found.journal.batches :], start=found.journal.batches + 1):
        digest = chunk.digest if found.journal.is_digest_due(number) else None
        found.journal.append(chunk.events, chunk.effects, digest)
    found.journal.close(crash()[-1].digest)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert verify(path).exit_code == 0


def _begun(path: Path) -> int:
    return -1


def _over_killed(path: Path) -> int:
    """Leave the journal of a run that was killed, its batches in the log."""

    def run() -> None:
        with Journal.create(path, manifest(command=_OLD), names()) as journal:
            for chunk in crash()[:3]:
                journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None)
            os.kill(os.getpid(), signal.SIGKILL)

    assert _killed(run, lambda: None)
    assert Path(f"{path}-wal").stat().st_size
    return 3


def _over_ended(path: Path) -> int:
    write(path, command=_OLD)
    return len(crash())


_BEFORE = {"begun": _begun, "over_killed": _over_killed, "over_ended": _over_ended}


def first_moments(scenario: str, folder: Path, first: int, stride: int) -> int:
    """Kill a process that writes a journal at every ``stride``-th line of the writer's code from
    ``first`` on; return the kills.
    """
    kills, was_killed = 0, True
    while was_killed:
        path = _fresh(folder) / "journal.db"
        old = _BEFORE[scenario](path)
        was_killed = _killed(lambda path=path: _write_new(path), _before_line(first + kills * stride))  # type: ignore[misc]
        _go_on(path, old)
        kills += was_killed
    return kills


def sizes(scenario: str, folder: Path, first: int, stride: int) -> int:
    """Kill it where a file grows beyond a size; the writer's own files only grow with its head and
    its log.
    """
    kills, was_killed = 0, True
    while was_killed:
        path = _fresh(folder) / "journal.db"
        old = _BEFORE[scenario](path)
        was_killed = _killed(lambda path=path: _write_new(path), _beyond_size(first + kills * stride))  # type: ignore[misc]
        _go_on(path, old)
        kills += was_killed
    return kills


#: A snapshot every second batch, and each ends a segment.
_SHORT: dict[str, Any] = {"segment_events": 1, "snapshot_every": 2}


def _append(journal: Journal, last: int) -> None:
    """Write the crash from where the journal stands up to a batch, a snapshot with every second."""
    for chunk in crash()[journal.batches : last]:
        snapshot = chunk.snapshot if journal.is_snapshot_due(journal.batches + 1) else None
        journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None, snapshot)


def sealing(folder: Path, first: int, stride: int, arm: Callable[[int], Callable[[], None]]) -> int:
    """Kill a process that seals segments; whatever is left goes on, and no acknowledged batch is
    missing.
    """
    kills, was_killed = 0, True
    while was_killed:
        path = _fresh(folder) / "journal.db"
        told = folder / "acknowledged"
        Journal.create(path, manifest(**_SHORT), names()).abandon()

        def run(path: Path = path, told: Path = told) -> None:
            journal = recover(path).journal
            for batch in range(1, 6):
                _append(journal, batch)
                told.write_text(str(batch))
            journal.abandon()

        was_killed = _killed(run, arm(first + kills * stride))
        acknowledged = int(told.read_text() or "0") if told.exists() else 0
        told.unlink(missing_ok=True)
        with open_journal(path) as journal:  # as a reader finds it, before anybody took it up
            journal.check_head()
            numbers = [batch.number for batch in journal.batches()]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= acknowledged
        found = recover(path)
        assert found.journal.batches >= acknowledged
        assert found.journal.batches - found.snapshot_batch <= 1
        _append(found.journal, len(crash()))
        found.journal.close(crash()[-1].digest)
        report = verify(path)
        assert (report.exit_code, report.digest) == (0, crash()[-1].digest), report
        # Killed before the mark, the segment is sealed at the snapshot after.
        assert report.segments in ((3, 4) if was_killed else (4,))
        sealed = [f"journal.db.{number:06}" for number in range(1, report.segments)]
        assert sorted(file.name for file in path.parent.iterdir()) == ["journal.db", *sealed]
        kills += was_killed
    return kills


def last_moments(folder: Path, first: int, stride: int) -> int:
    """Kill a replay from the writing of its end mark on; resume it: it ends with the same result,
    and its journal stays as it is.
    """
    with TemporaryDirectory() as inputs:
        case = crash_of(Path(inputs))
    kills, was_killed, whole = 0, True, _replayed(case, _fresh(folder) / "whole.db")
    while was_killed:
        path = _fresh(folder) / "journal.db"
        was_killed = _killed(lambda path=path: _replayed(case, path), _before_line(first + kills * stride, _END))  # type: ignore[misc]
        before = verify(path)
        again = _replayed(case, path)
        assert _told(again) == _told(whole)
        after = verify(path)
        assert after.exit_code == 0, after.findings
        if before.is_closed:
            assert again.journal is not None
            assert again.journal["had_ended"]
            assert after.chain == before.chain == again.journal["chain"]
        assert [file.name for file in path.parent.iterdir()] == [path.name]
        kills += was_killed
    return kills


def _replayed(case: Case, path: Path) -> ReplayResult:
    return replay_case(case, journal_path=path, resume=True)


def _told(result: ReplayResult) -> dict[str, Any]:
    return {name: value for name, value in result.as_json().items() if name not in ("journal", "seconds", "engine_seconds")}


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


if __name__ == "__main__":
    name, where, begin, step = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if name == "ended":
        done = last_moments(where, begin, step)
    elif name == "sealing":
        done = sealing(where, begin, step, lambda number: _before_line(number, rolling.roll.__code__))
    elif name == "sizes_sealing":
        done = sealing(where, begin, step, _beyond_size)
    elif name.startswith("sizes_"):
        done = sizes(name.removeprefix("sizes_"), where, begin, step)
    else:
        done = first_moments(name, where, begin, step)
    sys.stdout.write(f"{done}\n")

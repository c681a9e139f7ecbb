"""Where a journal may be put: only in the place of a journal that nobody writes, and never a part
of it at a time.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backstop.journal import Journal, JournalDamaged, JournalError, open_journal
from backstop.journal.format import APPLICATION_ID, SCHEMA, SCHEMA_VERSION
from backstop.journal.place import Standing, companions_of, standing_at
from backstop.journal.recovery import recover
from backstop.journal.verify import verify
from tests.journal.runs import copy, crash, manifest, names, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks, pipes and links are of POSIX")

_WRITER = """
import sys
from tests.journal.runs import crash, manifest, names
from backstop.journal import Journal
with Journal.create(sys.argv[1], manifest(command="alive"), names()) as journal:
    for chunk in crash():
        journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None)
        print(journal.batches, flush=True)
        sys.stdin.readline()
    journal.close(crash()[-1].digest)
"""


def _killed(path: Path) -> Path:
    """Leave what a run that was killed leaves: a journal whose batches stand in its log."""
    alive = path.with_name("alive.db")
    with Journal.create(alive, manifest(command="killed"), names()) as journal:
        for chunk in crash()[:3]:
            journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None)
        copy(alive, path)
    alive.unlink()
    return path


def _content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_the_journal_of_a_killed_run_is_replaced_by_a_relative_path_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _killed(tmp_path / "journal.db")
    assert sorted(_content(tmp_path)) == ["journal.db", "journal.db-shm", "journal.db-wal"]
    monkeypatch.chdir(tmp_path)
    Journal.create("journal.db", manifest(command="new"), names(), overwrite=True).abandon()
    assert list(_content(tmp_path)) == ["journal.db"]
    with open_journal("journal.db") as journal:
        assert journal.manifest.command == "new"


def test_a_journal_that_is_being_written_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    line = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for batch in range(1, len(crash()) + 1):
            assert writer.stdout.readline() == f"{batch}\n"
            before = _content(tmp_path)
            with pytest.raises(JournalError, match=r"journal\.db` cannot be replaced: another process writes to it") as refused:
                Journal.create(path, manifest(), overwrite=True)
            if sys.platform == "linux":
                assert f"(process {writer.pid})" in str(refused.value)
            assert _content(tmp_path) == before
            writer.stdin.write("\n")
            writer.stdin.flush()
    assert writer.returncode == 0
    report = verify(path)
    assert (report.exit_code, report.batches) == (0, len(crash()))


_REPLACERS = """
import sys
from backstop.journal import Journal, JournalError
from tests.journal.runs import crash, manifest, names
print("ready", flush=True)
for _ in range(8):
    sys.stdin.readline()
    try:
        with Journal.create(sys.argv[1], manifest(), names(), overwrite=True) as journal:
            for chunk in crash():
                journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None)
            journal.close(crash()[-1].digest)
            chain = journal.chain
        print("done", chain, flush=True)
    except JournalError as error:
        print("refused", error, flush=True)
"""


def test_several_that_replace_one_journal_at_once_leave_a_whole_one(tmp_path: Path) -> None:
    """Some end, the others are told why not; whatever they do, nobody takes a journal from under
    another.
    """
    path = tmp_path / "journal.db"
    line = [sys.executable, "-c", _REPLACERS, str(path)]
    writers = [subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for _ in range(8):
            for writer in writers:
                assert writer.stdin is not None
                writer.stdin.write("\n")
                writer.stdin.flush()
            said = [writer.stdout.readline().split(maxsplit=1) for writer in writers if writer.stdout is not None]
            assert all(word == "done" or "another process writes to it" in rest for word, rest in said), said
            report = verify(path)
            assert report.exit_code == 0, report.findings
            assert report.chain in {rest.strip() for word, rest in said if word == "done"}
            assert list(_content(tmp_path)) == ["journal.db"]
    finally:
        for writer in writers:
            writer.communicate("\n" * 8)


def test_the_writer_of_this_process_is_a_writer_too(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.create(path, manifest(), names()) as journal:
        for chunk in crash():
            with pytest.raises(JournalError, match="cannot be replaced: another process writes to it"):
                Journal.create(path, manifest(), overwrite=True)
            journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None)
        journal.close(crash()[-1].digest)
    assert verify(path).exit_code == 0


def test_a_new_journal_that_cannot_be_built_leaves_the_old_one(tmp_path: Path) -> None:
    path = _killed(tmp_path / "journal.db")
    before = _content(tmp_path)
    with pytest.raises(JournalError, match="cannot be created"):
        Journal.create(path, manifest(command="\udcff"), overwrite=True)
    assert _content(tmp_path) == before


def test_the_old_journal_is_whole_without_its_log_before_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _killed(tmp_path / "journal.db")

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("backstop.journal.place.os.replace", failing)
        with pytest.raises(JournalError, match="cannot be replaced: disk I/O error"):
            Journal.create(path, manifest(), overwrite=True)
    assert list(_content(tmp_path)) == ["journal.db"]
    assert verify(path).batches == 3


def _text(path: Path) -> None:
    path.write_text('[venue]\nname = "mine"\n')


def _database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (what TEXT)")
    connection.close()


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    # The name of a socket may be no longer than 107 bytes.
    place = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{place}/{path.name}" if sys.platform == "linux" else str(path))
    os.close(place)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    except OSError:
        pytest.skip("makes no devices here")


def _link(path: Path) -> None:
    _text(path.with_name("linked"))
    path.symlink_to("linked")


FOREIGN = [_text, _database, _folder, _pipe, _socket, _device, _link]


@pytest.mark.parametrize("make", FOREIGN, ids=[make.__name__.strip("_") for make in FOREIGN])
def test_nothing_but_a_journal_is_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "place"
    make(path)
    before, mode = _content(tmp_path) if make is not _pipe else {}, path.lstat().st_mode
    for overwrite, resume in ((True, False), (False, True), (False, False)):
        with pytest.raises(JournalError, match=r"place` cannot be created: "):
            Journal.create(path, manifest(), overwrite=overwrite, resume=resume)
    assert (_content(tmp_path) if make is not _pipe else {}, path.lstat().st_mode) == (before, mode)
    assert standing_at(path) is Standing.FOREIGN
    if make is not _folder:
        with pytest.raises(JournalDamaged):
            open_journal(path)


def test_a_file_beside_that_is_not_of_a_journal_is_left_alone(tmp_path: Path) -> None:
    for companion in companions_of(tmp_path / "journal.db"):
        _text(companion)
        with pytest.raises(JournalError, match=f"`{companion}` is in the way, and is not of a journal"):
            Journal.create(tmp_path / "journal.db", manifest(), overwrite=True)
        assert list(_content(tmp_path)) == [companion.name]
        companion.unlink()


def test_a_link_to_a_journal_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    _killed(tmp_path / "there" / "journal.db")
    (tmp_path / "link.db").symlink_to("there/journal.db")
    Journal.create(tmp_path / "link.db", manifest(command="new"), names(), overwrite=True).abandon()
    assert (tmp_path / "link.db").is_symlink()
    assert list(_content(tmp_path / "there")) == ["journal.db"]
    with open_journal(tmp_path / "there" / "journal.db") as journal:
        assert journal.manifest.command == "new"


def _as_before(path: Path, steps: int) -> None:
    """Do the first steps in which earlier releases began a journal, in its place, and leave what a
    kill then left.
    """
    made = path.with_name("made.db")
    connection = sqlite3.connect(made, isolation_level=None)
    work = [
        "PRAGMA page_size = 16384",
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {SCHEMA_VERSION}",
        "PRAGMA cache_size = 2",  # so that pages are written while the transaction runs
        "BEGIN IMMEDIATE",
        *SCHEMA.values(),
        *[f"INSERT INTO names VALUES (0, 'account', {number}, '{number:09000}')" for number in range(20)],
    ]
    for words in work[:steps]:
        connection.execute(words)
    for end in ("", "-journal"):
        if Path(f"{made}{end}").exists():
            Path(f"{path}{end}").write_bytes(Path(f"{made}{end}").read_bytes())
    connection.close()
    made.unlink()


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 7, 12, 20, 30])
def test_what_a_kill_in_the_first_moments_left_is_begun_anew(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "journal.db"
    _as_before(path, steps)
    assert standing_at(path) is Standing.HEADLESS
    before = _content(tmp_path)
    with pytest.raises(JournalError, match="exists"):
        Journal.create(path, manifest(), names())
    assert _content(tmp_path) == before
    Journal.create(path, manifest(), names(), resume=True).abandon()
    assert list(_content(tmp_path)) == ["journal.db"]
    recovered = recover(path).journal
    assert recovered.batches == 0
    recovered.abandon()


def test_a_journal_with_a_head_is_not_begun_anew(tmp_path: Path) -> None:
    for path in (write(tmp_path / "whole.db"), write(tmp_path / "empty.db", (), close=False), _killed(tmp_path / "killed.db")):
        assert standing_at(path) is Standing.JOURNAL
        with pytest.raises(JournalError, match="exists"):
            Journal.create(path, manifest(), resume=True)


def test_a_file_that_lost_its_bytes_but_not_its_log_is_not_begun_anew(tmp_path: Path) -> None:
    path = _killed(tmp_path / "journal.db")
    path.write_bytes(b"")
    assert standing_at(path) is Standing.FOREIGN
    with pytest.raises(JournalError, match="exists"):
        Journal.create(path, manifest(), resume=True)


def test_what_a_killed_run_left_of_a_new_journal_is_swept_away(tmp_path: Path) -> None:
    left = tmp_path / ".journal.db.new"
    left.write_bytes(b"half")
    path = write(tmp_path / "journal.db", crash()[:2], close=False)
    assert not left.exists()
    left.write_bytes(b"half")
    recover(path).journal.abandon()
    assert not left.exists()

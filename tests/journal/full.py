"""Seals segments on a disk that fills, in a mount namespace of its own: ``python -m
tests.journal.full FOLDER``.

For each size of the disk: the writer is refused with a message, every batch that it acknowledged is
there; then the disk gets room, and the journal goes on to its end. It prints how often the disk was
full, and how often while a segment was being sealed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from backstop.journal import Journal, JournalError, open_journal
from backstop.journal.backup import back_up
from backstop.journal.recovery import recover
from backstop.journal.verify import verify
from tests.journal.runs import crash, manifest, names

_FULL = "the disk is full"
SIZES_KB = range(500, 4_200, 180)


def _append(journal: Journal) -> None:
    for chunk in crash()[journal.batches :]:
        snapshot = chunk.snapshot if journal.is_snapshot_due(journal.batches + 1) else None
        journal.append(chunk.events, chunk.effects, chunk.digest if journal.digest_due else None, snapshot)


def _sized(folder: Path, size_kb: int, *, again: bool = False) -> None:
    options = f"size={size_kb}k" + (",remount" if again else "")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def _filled(path: Path) -> tuple[bool, bool]:
    """Write until the disk is full; return whether it was, and whether that was within the step to
    the next segment.
    """
    try:
        journal = Journal.create(path, manifest(segment_events=1, snapshot_every=2), names())
    except JournalError as error:
        if _FULL not in str(error):
            raise
        assert not path.exists()
        return True, False
    try:
        _append(journal)
    except JournalError as error:
        if _FULL not in str(error):
            raise
        acknowledged = journal.batches
        journal.abandon()
        with open_journal(path) as held:
            held.check_head()
            numbers = [batch.number for batch in held.batches()]
        assert len(numbers) >= acknowledged
        return True, len(numbers) % 2 == 0 and len(numbers) > 0
    journal.abandon()
    return False, False


def main(folder: Path) -> None:
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    full = sealing = 0
    for size_kb in SIZES_KB:
        _sized(folder, size_kb)
        path, copy = folder / "journal.db", folder / "copy.db"
        was_full, was_sealing = _filled(path)
        full += was_full
        sealing += was_sealing
        if path.exists():
            _back_up_on_a_full_disk(path, copy)
        _sized(folder, 64_000, again=True)
        journal = recover(path).journal if path.exists() else Journal.create(path, manifest(segment_events=1, snapshot_every=2), names())
        _append(journal)
        journal.close(crash()[-1].digest)
        report = verify(path)
        assert (report.exit_code, report.digest) == (0, crash()[-1].digest), report
        back_up(path, copy)
        assert verify(copy).chain == report.chain
        subprocess.run(["umount", str(folder)], check=True)
    sys.stdout.write(f"{full} {sealing}\n")


def _back_up_on_a_full_disk(path: Path, copy: Path) -> None:
    try:
        back_up(path, copy)
    except JournalError as error:
        if _FULL not in str(error):
            raise
        assert not copy.exists()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

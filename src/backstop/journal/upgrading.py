"""Ending a segment at will, and going on with a journal that other code began.

An upgrade stands on the tape as the first record of a new segment, which begins with the state that
the old code left. What other rules did is never worked out by these: the old version seals its
segment (``seal``), and this one begins the next.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from backstop import __version__
from backstop.core.digest import state_digest
from backstop.core.state import State
from backstop.journal.chronicle import upgrade_text
from backstop.journal.errors import JournalError
from backstop.journal.findings import JournalDamaged
from backstop.journal.format import DIGEST_ENCODING
from backstop.journal.manifest import Manifest
from backstop.journal.recovery import Recovered, Recovery, recover
from backstop.journal.replay import Replayer
from backstop.journal.rules_version import RULES_VERSION
from backstop.journal.snapshot import take_snapshot
from backstop.journal.source import source_hash
from backstop.journal.writer import Journal

__all__ = ["Upgraded", "seal", "upgrade"]


def seal(path: str | Path) -> Recovered:
    """End the live segment of a journal that nobody writes, and begin the next; return engine and
    journal, ready to be written on.

    Raises as ``recover``, and ``JournalError`` for the journal of a replay.
    """
    with Recovery(path) as found:
        _check_live(found)
    recovered = recover(path)
    digest = state_digest(recovered.state)
    recovered.journal.seal_segment(take_snapshot(recovered.state, digest), digest)
    return recovered


class Upgraded(NamedTuple):
    """An engine and its journal, that go on with this code."""

    state: State
    journal: Journal
    before: Manifest
    #: Events behind the snapshot that were replayed and compared.
    events_replayed: int


def upgrade(path: str | Path) -> Upgraded:
    """Go on with a journal that other code wrote, in a new segment that begins with a record of the
    upgrade.

    Under the same rules the events behind the newest snapshot are replayed and compared. Under
    other rules there must be none.

    Events that the engine was given when it stopped are carried over: ``recover`` takes them up.

    Raises as ``recover``, and ``JournalError`` where there is nothing to upgrade, where the old
    version must seal it first, or where its snapshot cannot be read by this version.
    """
    with Recovery(path, reads_foreign=True) as found:
        before = found.manifest
        _check_live(found)
        if before.source_hash == source_hash() and before.rules_version == RULES_VERSION:
            raise JournalError(f"journal `{path}` has nothing to upgrade: this very code began its live segment")
        _check_tail(found)
        state = found.restored.state if found.restored is not None else found.fresh()
        replayer = Replayer(state=state, with_digests=before.digest_encoding == DIGEST_ENCODING)
        for batch in found.tail():
            differences = replayer.replay(batch)
            if differences:
                raise JournalDamaged(differences[0])
        digest = state_digest(state)
        is_moved = replayer.events == 0 and found.restored is not None
        digest_before = found.restored.digest if is_moved and found.restored is not None else digest
        if is_moved and before.digest_encoding == DIGEST_ENCODING and digest != digest_before:
            message = f"its snapshot has the state digest {digest_before}, read by this version it is {digest}: nothing was written"
            raise JournalError(f"journal `{path}` cannot be upgraded: {message}")
        stop = found.stop()
        journal = found.take_up()
        journal.quarantined = found.quarantined
    record = upgrade_text(
        code_version=(before.code_version, __version__),
        rules_version=(before.rules_version, RULES_VERSION),
        source_hash=(before.source_hash, source_hash()),
    )
    journal.seal_segment(take_snapshot(state, digest), digest, [record], digest_before=digest_before, stop=stop)
    return Upgraded(state, journal, before, replayer.events)


def _check_live(found: Recovery) -> None:
    if "impact" in found.manifest.details:
        message = "is of a replay, whose simulated venue is in its own snapshots only: bring it to its end with --resume"
        raise JournalError(f"journal `{found.path}` {message}")


def _check_tail(found: Recovery) -> None:
    """Under other rules nothing may be left to replay."""
    version = found.manifest.rules_version
    if version in (0, RULES_VERSION):
        return
    if found.tail_batches:
        message = f"has {found.tail_batches} batches behind its last snapshot, and only rules version {version} can replay them"
        hint = f"run `backstop journal seal` with version {found.manifest.code_version} first"
        raise JournalError(f"journal `{found.path}` {message}: {hint}")

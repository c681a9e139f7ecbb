"""Where the part of a journal begins that this version can work out again.

Segments of another rules version are never worked out again: what they hold is shown as it is
recorded. Where earlier segments are not here, the first that is here begins with a snapshot.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from backstop.core.instruments import VenueRules
from backstop.core.rules_in_force import rules_in_force
from backstop.core.state import State, new_state
from backstop.journal import JournalDamaged, JournalError, Reader
from backstop.journal.reader import open_segment
from backstop.journal.rules_version import RULES_VERSION
from backstop.journal.snapshot import SnapshotError, restore_snapshot, shapes_of

__all__ = ["Beginning", "beginning_of"]


class Beginning(NamedTuple):
    """A state to work out from; None: no part of the journal is of this version's rules."""

    state: State | None
    rules: VenueRules
    #: The first batch behind it, and the last event before it (-1: none).
    first_batch: int
    seq_before: int
    #: Rules version of the segment right before it; None: it is not here, or there is none.
    version_before: int | None

    @property
    def says(self) -> str:
        """Why what is before it is not worked out again; empty: nothing is before it."""
        if self.first_batch == 1:
            return ""
        if self.version_before is None:
            return "not recomputed: the segment is not here"
        return f"not recomputed, rules version {self.version_before}"


def beginning_of(journal: Reader, rules: VenueRules) -> Beginning:
    """Return where to begin; ``rules`` are those of the venue file.

    Raises ``JournalDamaged`` and, where a snapshot cannot be read by this version,
    ``JournalError``.
    """
    chosen: Path | None = None
    version_before: int | None = None
    first_batch, seq_before = 1 << 62, (1 << 62)
    for path in [journal.path, *reversed(journal.earlier)]:
        with open_segment(path) as segment:
            manifest = segment.manifest
            if manifest.rules_version not in (0, RULES_VERSION):
                version_before = manifest.rules_version
                break
            chosen, first_batch = path, segment.first_number
            seq_before = -1 if manifest.opening is None else manifest.opening.last_seq
    if chosen is None:
        return Beginning(None, rules, first_batch, seq_before, version_before)
    fresh = new_state(rules)
    if first_batch == 1:
        return Beginning(fresh, rules, 1, -1, None)
    with open_segment(chosen) as segment:
        parts = segment.opening_parts()
        if parts is None:
            finding = segment.findings[0]
            raise JournalDamaged(finding._replace(place=f"{chosen.name}, {finding.place}"))
        try:
            state = restore_snapshot(parts, shapes_of(fresh), lambda: new_state(rules)).state
        except SnapshotError as error:
            raise JournalError(f"journal `{chosen}`: the snapshot that it begins with cannot be used: {error}") from error
    return Beginning(state, rules_in_force(rules, state), first_batch, seq_before, version_before)

"""From a journal, or from a run that has just ended, to the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstop.config import Venue, parse_venue
from backstop.journal import JournalDamaged, open_journal
from backstop.lab.report.facts import RunFacts
from backstop.lab.report.gathering import Gathering
from backstop.lab.report.page import page

if TYPE_CHECKING:
    from backstop.journal import Reader
    from backstop.lab.replay import ReplayResult

__all__ = ["facts_of_result", "gather_journal", "write_report"]


def facts_of_result(result: ReplayResult, title: str, command: str = "", account_names: Sequence[str] = ()) -> RunFacts:
    """Return the facts of a replay that has just ended."""
    return RunFacts(
        title=title,
        digest=result.digest,
        command=command,
        seed=result.seed,
        impact=result.impact,
        journal=result.journal,
        account_names=account_names,
        warnings=result.warnings,
        feeds=result.feeds,
    )


def gather_journal(path: str | Path, title: str = "") -> tuple[Gathering, RunFacts]:
    """Read a run from its journal, checked for framing, order and chain on the way.

    Raises ``JournalDamaged`` at the first fault (a page must not show what was altered), ``FileNotFoundError``
    or ``IsADirectoryError``, and ``ConfigError`` where the journal's venue file cannot be read.
    """
    with open_journal(path) as journal:
        venue = _venue(journal)
        gathering = Gathering(venue)
        journal.check_head()
        for batch in journal.batches():
            _refuse(journal)
            gathering.add(batch.events, batch.effects)
        journal.check_end()
        _refuse(journal)
        manifest = journal.manifest
        facts = RunFacts(
            title=title or manifest.details.get("scenario", "") or manifest.command or venue.name,
            digest=journal.digest or "",
            command=manifest.command,
            seed=manifest.seed,
            code_version=manifest.code_version,
            journal=_journal_facts(journal),
            account_names=journal.names().accounts,
        )
        return gathering, facts


def _venue(journal: Reader) -> Venue:
    from dataclasses import replace

    venue = parse_venue(journal.manifest.venue_text, "venue file of the journal")
    return replace(venue, rules=venue.rules._replace(limits=journal.manifest.limits))


def _journal_facts(journal: Reader) -> dict[str, Any]:
    return {"path": str(journal.path), "batches": journal.batches_read, "events": journal.events_read, "chain": journal.chain}


def _refuse(journal: Reader) -> None:
    if journal.findings:
        raise JournalDamaged(journal.findings[0])


def write_report(path: str | Path, gathering: Gathering, facts: RunFacts) -> int:
    """Write the page, whole or not at all; return its size in bytes. Raises ``OSError``."""
    path = Path(path)
    data = page(gathering, facts).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return len(data)

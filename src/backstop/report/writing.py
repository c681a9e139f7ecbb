"""From a journal, or from a run that has just ended, to the file."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backstop.files import written_whole
from backstop.journal import JournalDamaged, JournalError, open_journal
from backstop.journal.showing import speaker_of
from backstop.report.facts import RunFacts
from backstop.report.gathering import Gathering
from backstop.report.page import page
from backstop.report.place import checked_place
from backstop.runs.cases import title_of
from backstop.runs.history import read_batches, venue_of
from backstop.runs.replay import warnings_of

if TYPE_CHECKING:
    from backstop.journal import Reader
    from backstop.runs.replay import Progress, ReplayResult

__all__ = ["facts_of_result", "gather_journal", "write_report"]


#: What the page reads of a report of the run's readers: fields and types; ``[str]`` is a list of
#: texts.
_MARKET_READ: dict[str, Any] = {
    "market": str,
    "price_error_max": str,
    **dict.fromkeys(("bars_widened", "bars_missing", "prices_rounded", "volumes_rounded"), int),
}
_FEEDS: dict[str, Any] = {
    "prices": {"rows_cut": int, "columns_ignored": [str], "warnings": [str], "markets": [_MARKET_READ]},
    "accounts": {"accounts_without_collateral": int, "costs_rounded": int, "collateral_rounded": int},
    "opening_imbalance": {},
}


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


def gather_journal(path: str | Path, title: str = "", progress: Progress | None = None) -> tuple[Gathering, RunFacts]:
    """Read a run from its journal, checked for framing, order and chain on the way.

    The page is then the one that the run itself would have written, to the byte, but for the
    journal's path where it is named in another way. ``progress`` is called as in a replay.

    Raises ``JournalDamaged`` at the first fault (a page must not show what was altered, nor pass
    off a run that was stopped as a whole one), ``JournalError`` where its numbers mean other things
    today, ``FileNotFoundError`` or ``IsADirectoryError``, and ``ConfigError`` where the journal's
    venue file cannot be read.
    """
    with open_journal(path) as journal:
        if not speaker_of(journal).knows_codes:
            raise JournalError(f"journal `{path}` was written by a version whose numbers mean other things: report it with that one")
        venue = venue_of(journal)
        venue = replace(venue, rules=venue.rules._replace(limits=journal.manifest.limits))
        gathering, total = Gathering(venue), journal.events_expected
        for batch in read_batches(journal):
            gathering.add(batch.events, batch.effects)
            if progress is not None:
                progress(journal.events_read, max(total, journal.events_read), gathering.time.last_ns)
        journal.check_end()
        if journal.findings:
            raise JournalDamaged(journal.findings[0])
        return gathering, _facts_of_journal(journal, gathering, title)


def _facts_of_journal(journal: Reader, gathering: Gathering, title: str) -> RunFacts:
    manifest, venue = journal.manifest, gathering.venue
    feeds = _feeds(manifest.details)
    impact = manifest.details.get("impact")
    return RunFacts(
        title=title or title_of(venue, manifest.details) or manifest.command or venue.name,
        digest=journal.digest or "",
        command=manifest.command,
        seed=manifest.seed,
        impact=None if impact is None else impact == "on",
        code_version=manifest.code_version,
        journal=_journal_facts(journal),
        account_names=journal.names().accounts,
        warnings=(*feeds.get("prices", {}).get("warnings", ()), *warnings_of(venue, gathering.tally)),
        feeds=feeds,
    )


def _feeds(details: Mapping[str, str]) -> dict[str, Any]:
    """Return what the readers of the run's files reported; nothing where the journal is older than
    that, where no replay of files wrote it, or where a report has other fields than ours.
    """
    try:
        feeds = json.loads(details.get("feeds", "{}"))
    except (ValueError, RecursionError):
        return {}
    if type(feeds) is not dict:
        return {}
    return {name: feeds[name] for name, shape in _FEEDS.items() if name in feeds and _fits(feeds[name], shape)}


def _fits(value: Any, shape: Any) -> bool:
    """Return whether a value has the types of a shape; a field that is missing fits, except in the
    items of a list.
    """
    if isinstance(shape, list):
        (of_item,) = shape
        whole = of_item if isinstance(of_item, dict) else {}
        return type(value) is list and all(_fits(item, of_item) and whole.keys() <= set(item) for item in value)
    if isinstance(shape, dict):
        return type(value) is dict and all(_fits(value[name], part) for name, part in shape.items() if name in value)
    return type(value) is shape


def _journal_facts(journal: Reader) -> dict[str, Any]:
    return {"path": str(journal.path), "batches": journal.batches_read, "events": journal.events_read, "chain": journal.chain}


def write_report(path: str | Path, gathering: Gathering, facts: RunFacts) -> int:
    """Write the page, whole or not at all; return its size in bytes.

    A report that is there is replaced; a link is followed.

    Raises ``FileExistsError`` for anything else that is there, above all the run's own journal,
    ``FileNotFoundError`` where its folder is not there (none is made), ``IsADirectoryError``, other
    ``OSError``.
    """
    path = Path(path)
    if facts.journal is not None and path.exists() and path.samefile(facts.journal["path"]):
        raise FileExistsError(errno.EEXIST, "this is the journal of the run: name another file for the report", str(path))
    place = checked_place(path)
    data = page(gathering, facts).encode()
    with written_whole(place) as partial:
        partial.write_bytes(data)
    return len(data)

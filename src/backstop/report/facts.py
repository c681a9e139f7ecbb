"""What the page must be told beside the run's events and effects: its name, and how to repeat
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backstop import __version__

__all__ = ["RunFacts"]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The terms of a run and its seal."""

    title: str
    #: SHA-256 of the final state.
    digest: str
    command: str = ""
    seed: int | None = None
    impact: bool | None = None
    code_version: str = __version__
    #: ``path``, ``batches``, ``chain`` of the journal; None: none was kept.
    journal: Mapping[str, Any] | None = None
    #: Names of accounts, by id; an account beyond is shown by its number.
    account_names: Sequence[str] = ()
    warnings: Sequence[str] = ()
    #: What was read and did not fit, as in ``ReplayResult.feeds``.
    feeds: Mapping[str, Any] = field(default_factory=dict)

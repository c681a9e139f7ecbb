"""Every decision about every account that ever came into default, worked out anew: does the whole
tape explain itself?
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from backstop.core.events import EffectKind, Health
from backstop.explain.scene import Scene
from backstop.explain.walk import Decision, Walk, decides, known, whom
from backstop.journal import JournalError, open_journal
from backstop.journal.rules_version import RULES_VERSION
from backstop.runs.history import read_batches

__all__ = ["Audit", "audit"]

_FAILED_MAX = 100


class Audit(NamedTuple):
    """What was worked out anew, and what differed."""

    accounts: int
    decisions: int
    checks: int
    #: The first numbers that are not as the tape has them.
    failed: tuple[str, ...]


def audit(path: Path | str) -> Audit:
    """Explain every decision about every defaulter of a journal; raise as ``explain`` does."""
    with open_journal(path) as journal:
        speaker, rules = known(journal)
        version = min((each for each in journal.rules_versions if each), default=RULES_VERSION)
        if version != RULES_VERSION:
            raise JournalError(f"journal `{path}`: not recomputed, rules version {version}")
        defaulters: set[int] = set()
        for batch in read_batches(journal):
            health = batch.effects[batch.effects["kind"] == EffectKind.HEALTH]
            defaulters.update(health["account"][health["code"] >= Health.DISTRESSED].tolist())
    with open_journal(path) as journal:
        wanted: dict[int, list[int]] = {}
        for batch in read_batches(journal, with_names=False):
            accounts = whom(batch.effects)
            chosen = decides(batch.effects) & np.isin(accounts, list(defaulters))
            for seq, account in dict.fromkeys(zip(batch.effects["seq"][chosen].tolist(), accounts[chosen].tolist(), strict=True)):
                wanted.setdefault(seq, []).append(account)
    decisions = checks = 0
    failed: list[str] = []

    def told(account: int, decision: Decision, scene: Scene) -> None:
        nonlocal decisions, checks
        decisions += 1
        for fact in decision.facts:
            checks += len(fact.checks)
            for check in fact.checks:
                if not check.agrees and len(failed) < _FAILED_MAX:
                    where = f"account {account}, seq {decision.seq}, {fact.kind}: {check.what}"
                    failed.append(f"{where}: tape {check.recorded}, worked out {check.recomputed}")

    with open_journal(path) as journal:
        Walk(str(path), speaker, rules, told).through(journal, wanted, with_names=False)
    return Audit(len(defaulters), decisions, checks, tuple(failed))

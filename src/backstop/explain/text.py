"""An explanation as text for people, and as one object for programs."""

from __future__ import annotations

from typing import Any

from backstop.explain.facts import Fact
from backstop.explain.walk import Explanation
from backstop.journal.rendering import time_text
from backstop.printing import one_line, shown_name

__all__ = ["as_json", "as_text"]


def as_text(found: Explanation) -> str:
    """Return the explanation as lines."""
    lines = [f"account   {shown_name(found.name)} (number {found.account})", f"journal   {one_line(found.journal)}"]
    for place, line in enumerate(found.brief.lines(found.speaker) if found.brief is not None else []):
        lines.append(f"{'' if place else 'in short':10}{line}")
    for decision in found.decisions:
        lines += ["", f"seq {decision.seq}, {time_text(decision.time_ns)}: {decision.trigger}"]
        for fact in decision.facts:
            lines.append(f"  {fact.says}")
            lines += [f"      {line}" for line in fact.because if line]
            lines += [
                f"      NOT as recorded: {check.what}: tape {check.recorded}, worked out {check.recomputed}" for check in _wrong(fact)
            ]
    lines += ["", *_ending(found)]
    return "\n".join(lines)


def _wrong(fact: Fact) -> list[Any]:
    return [check for check in fact.checks if not check.agrees]


def _ending(found: Explanation) -> list[str]:
    lines = []
    if not found.decisions:
        lines.append("decisions none: nothing but its own orders and transfers moved it")
    if found.standing is not None:
        lines.append(f"standing  after seq {found.standing.seq}: {found.standing.health.name.lower()}")
        lines += [f"          {line}" for line in found.standing.lines]
    for cause, atoms in found.sums.items():
        lines.append(f"sum       {cause}: {found.speaker.cash(atoms)}")
    lines += [f"note      {note}" for note in found.notes]
    if found.notes and not found.checks_made:
        return lines
    failed = len(found.checks_failed)
    lines.append(
        f"checked   {found.checks_made:,} numbers worked out anew, {failed:,} differ"
        if failed
        else f"checked   {found.checks_made:,} numbers worked out anew, all agree"
    )
    return lines


def as_json(found: Explanation) -> dict[str, Any]:
    """Return the explanation as one object.

    Money is a decimal text with its asset; what ends in a unit (``_ns``, ``_atoms``, ``_lots``,
    ``_ppm``) is a number.
    """
    standing = found.standing
    return {
        "journal": found.journal,
        "account": {"name": found.name, "number": found.account},
        "in_short": None if found.brief is None else found.brief.values(found.speaker),
        "decisions": [
            {
                "seq": decision.seq,
                "time": time_text(decision.time_ns),
                "time_ns": decision.time_ns,
                "trigger": decision.trigger,
                "event": dict(decision.event),
                "facts": [_fact(fact) for fact in decision.facts],
            }
            for decision in found.decisions
        ],
        "standing": None if standing is None else {"seq": standing.seq, "health": standing.health.name.lower(), **standing.values},
        "sums": {cause: found.speaker.cash(atoms) for cause, atoms in found.sums.items()},
        "notes": found.notes,
        "checks": {"made": found.checks_made, "failed": found.checks_failed},
    }


def _fact(fact: Fact) -> dict[str, Any]:
    return {
        "kind": fact.kind,
        "place": fact.place,
        "says": fact.says,
        "because": [line.strip() for line in fact.because if line],
        "values": fact.values,
        "checks": [
            {"what": check.what, "recorded": check.recorded, "recomputed": check.recomputed, "agrees": check.agrees}
            for check in fact.checks
        ],
    }

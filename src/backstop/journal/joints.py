"""Whether a segment goes on where the one before it ends, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstop.journal.findings import Finding, FindingCode

if TYPE_CHECKING:
    from backstop.journal.reader import Reader

__all__ = ["joint_findings"]


def joint_findings(before: Reader, after: Reader) -> list[Finding]:
    """Return what does not fit between a segment and the next one, field by field."""
    opening, sealed = after.manifest.opening, before.sealed_position
    place, other = after.path.name, before.path.name
    if opening is None:
        return [Finding(FindingCode.SEGMENT, place, f"`segment`: it is a first segment, and {other} stands before it")]
    if sealed is None:
        return [Finding(FindingCode.SEGMENT, other, f"`sealed`: it has no mark that seals it, and {place} stands after it")]
    origin = before.manifest.opening.origin if before.manifest.opening is not None else before.start_chain
    pairs: tuple[tuple[str, object, object], ...] = (
        ("segment", opening.segment, before.manifest.segment + 1),
        ("origin", opening.origin, origin),
        ("previous", opening.previous, before.sealed_chain),
        ("batches", opening.batches, sealed.batches),
        ("events", opening.events, sealed.events),
        ("effects", opening.effects, sealed.effects),
    )
    if after.manifest.source_hash == before.manifest.source_hash:  # an upgrade may encode it otherwise
        pairs = (*pairs, ("digest", opening.digest, before.sealed_digest))
    return [
        Finding(FindingCode.SEGMENT, place, f"`{name}`: says {said}, by {other} it is {held}") for name, said, held in pairs if said != held
    ]

"""The files that a run read, by hash: what a manifest says of them, and whether a file is still the
one that was read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from backstop.files import checked_file
from backstop.journal.findings import Finding, FindingCode

__all__ = ["INPUTS", "check_inputs", "input_details", "input_files", "sha256_of"]

#: What a run reads, as its manifest calls it.
INPUTS = ("prices", "accounts", "collateral", "population")


def _key(noun: str, number: int) -> str:
    return noun if number == 1 else f"{noun}_{number}"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex. Raises ``OSError``, also for a device or a pipe."""
    checked_file(path)  # a pipe was read already, and a device has no end
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def input_details(noun: str, paths: Sequence[Path]) -> dict[str, str]:
    """Return name and SHA-256 of each file, for a manifest's details. Raises ``OSError``."""
    details: dict[str, str] = {}
    for number, path in enumerate(paths, start=1):
        details[f"{_key(noun, number)}_sha256"] = sha256_of(path)
        details[f"{_key(noun, number)}_file"] = path.name
    return details


def input_files(details: Mapping[str, str], noun: str) -> list[str]:
    """Return the hashes of the files that a manifest names for a noun, in order."""
    hashes: list[str] = []
    while (said := details.get(f"{_key(noun, len(hashes) + 1)}_sha256")) is not None:
        hashes.append(said)
    return hashes


def check_inputs(details: Mapping[str, str], given: Mapping[str, Sequence[Path]]) -> list[Finding]:
    """Compare files with the hashes that the manifest has of what the run read; return what
    differs.

    ``given``: the files by noun (of ``INPUTS``), in the order in which the run read them. Raises
    ``OSError``.
    """
    findings: list[Finding] = []
    for noun, paths in given.items():
        said = input_files(details, noun)
        if paths and len(said) != len(paths):
            message = f"the run read {len(said) or 'no'} {'file' if len(said) == 1 else 'files'} of {noun}, {len(paths)} given"
            findings.append(Finding(FindingCode.INPUT_DIFFERS, noun, message))
        for path, wanted in zip(paths, said, strict=False):
            held = sha256_of(path)
            if held != wanted:
                message = f"not the file that the run read: SHA-256 {held}, the manifest has {wanted}"
                findings.append(Finding(FindingCode.INPUT_DIFFERS, str(path), message))
    return findings

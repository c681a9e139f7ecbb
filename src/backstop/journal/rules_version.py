"""The version of the rules by which this code works out what an event does.

A journal's segment names it. Segments of another version are read and checked as records, and not
worked out again. It changes with the rules and with nothing else: a faster kernel has the same.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

__all__ = ["RULES_SHA256", "RULES_VERSION", "rules_sha256"]

#: One more whenever the same event may have another effect than in the last release. Before the first
#: release it stays: journals that were written between two releases are not promised to be worked out again.
RULES_VERSION = 1
#: ``rules_sha256`` of docs/rules when that number was last thought about.
RULES_SHA256 = "4c913a7aaa304c75ba12708349ba9e629df5bca35efc5521df4477ac2a9cd2c4"

_PRINTED = re.compile(r"^```console$.*?^```$", re.MULTILINE | re.DOTALL)


def rules_sha256(docs: Path) -> str:
    """Return the SHA-256 (hex) of the rules pages under a folder ``docs``, without what examples
    printed and however their lines are broken.
    """
    digest = hashlib.sha256()
    for path in [docs / "rules.md", *sorted((docs / "rules").glob("*.md"))]:
        words = " ".join(_PRINTED.sub("", path.read_text(encoding="utf-8")).split())
        digest.update(f"{path.name} {len(words)}\n{words}\n".encode())
    return digest.hexdigest()

"""Nobody changes the rules without thinking about their version."""

from __future__ import annotations

import shutil
from pathlib import Path

from backstop.journal.rules_version import RULES_SHA256, RULES_VERSION, rules_sha256

DOCS = Path(__file__).parents[2] / "docs"


def test_the_rules_version_was_thought_about() -> None:
    """Where this fails a page of docs/rules has changed.

    If an event may now have another effect, give ``RULES_VERSION`` the next number; journals of the
    one before are then not worked out again. If only the words changed, the number stays. Then put
    the present hash into ``RULES_SHA256``. Since the last release one new number is enough.
    """
    present = rules_sha256(DOCS)
    assert present == RULES_SHA256, f"docs/rules changed: decide on RULES_VERSION ({RULES_VERSION}) and set RULES_SHA256 = {present!r}"


def test_a_changed_clause_changes_the_hash_and_a_printed_number_or_a_line_break_does_not(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copyfile(DOCS / "rules.md", docs / "rules.md")
    shutil.copytree(DOCS / "rules", docs / "rules")
    page = docs / "rules" / "4-triggers.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("0 judged", "1 judged").replace(" to\nits price", "\nto its price"), encoding="utf-8")
    assert text != page.read_text(encoding="utf-8")
    assert rules_sha256(docs) == rules_sha256(DOCS)
    page.write_text(text.replace("Every verdict is exact", "Every verdict is near"), encoding="utf-8")
    assert rules_sha256(docs) != rules_sha256(DOCS)
    page.write_text(text.replace("q x k x (1 - r_min)", "q x k x (1 + r_min)"), encoding="utf-8")
    assert rules_sha256(docs) != rules_sha256(DOCS)

"""``make quick``: which tests belong to a change, and what the budget leaves out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import quick
from tests.quick import main, rooms_changed, rooms_of


def test_rooms_of_a_change() -> None:
    changed = ["src/backstop/journal/writer.py", "src/backstop/compiled.py", "tests/cli/test_exit_codes.py", "README.md"]
    assert rooms_of(changed) == ["cli", "core", "docs", "journal"]
    assert rooms_of(["docs/README.md", "src/backstop/core/waterfall/adl.py"]) == ["core", "docs"]


def test_a_clean_checkout_has_the_rooms_of_its_last_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a commit there are none; a commit without a parent differs from nothing."""
    monkeypatch.setattr(quick, "_ROOT", tmp_path)
    (tmp_path / "tests" / "journal").mkdir(parents=True)
    assert rooms_changed() == []

    def commit(file: str) -> None:
        (tmp_path / file).write_text("text")
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "--no-verify", "-m", "a commit"]):
            subprocess.run(["git", *words], cwd=tmp_path, check=True)

    commit("first.md")
    assert rooms_changed() == []
    commit("tests/journal/test_a.py")
    assert rooms_changed() == ["journal"]


def test_an_unknown_room_is_named() -> None:
    assert main(["cellar"]) == 2

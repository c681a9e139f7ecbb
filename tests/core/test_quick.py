"""``make quick``: which tests belong to a change, and what the budget leaves out."""

from __future__ import annotations

from tests.quick import main, rooms_of


def test_rooms_of_a_change() -> None:
    changed = ["src/backstop/journal/writer.py", "src/backstop/compiled.py", "tests/cli/test_exit_codes.py", "README.md"]
    assert rooms_of(changed) == ["cli", "core", "journal"]
    assert rooms_of(["docs/README.md", "src/backstop/core/waterfall/adl.py"]) == ["core", "docs"]


def test_an_unknown_room_is_named() -> None:
    assert main(["cellar"]) == 2

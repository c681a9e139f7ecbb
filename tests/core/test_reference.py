"""The table of invariants names code and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "invariants.md").read_text()
ROWS = {cells[1].strip(): cells for line in PAGE.splitlines() if line.startswith("| INV-") for cells in [line.split("|")]}
NOT_BUILT = {"INV-08"}


def test_every_invariant_has_its_row() -> None:
    assert list(ROWS) == [f"INV-{number:02}" for number in range(1, 13)]


@pytest.mark.parametrize("name", ROWS)
def test_named_code_and_tests_exist(name: str) -> None:
    code, tests = (re.findall(r"`([\w/]+\.py)(?::(\w+))?`", ROWS[name][column]) for column in (3, 4))
    assert (code and tests) or name in NOT_BUILT
    for folder, named in ((ROOT / "src" / "backstop", code), (ROOT, tests)):
        for path, function in named:
            text = (folder / path).read_text()
            assert not function or re.search(rf"^(def|class) {function}\b", text, re.MULTILINE), f"{path}:{function}"

"""docs/how-to/add-a-stage.md, followed to the letter in a copy of the source."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "add-a-stage.md").read_text(encoding="utf-8")
EDIT = re.compile(r"In\s`(src/[\w/]+\.py)`,\s(after|before|in\splace\sof)\s`([^`]+)`:\n\n```python\n(.*?)```\n", re.DOTALL)
FILE = re.compile(r"Write\s`(src/[\w/]+\.py)`:\n\n```python\n(.*?)```\n", re.DOTALL)
SCRIPT = re.compile(r"```python\n(from desk import .*?)```\n\nIt prints:\n\n```text\n(.*?)```\n", re.DOTALL)

#: A venue file with the new stage is read, and every table has its words.
READS = """
from backstop.config import default_text, parse_venue
from backstop.config.stages import STAGES
from backstop.core.events import Stage
from backstop.core.state import new_state

text = default_text().replace('[[waterfall]]\\nstage = "adl"', '[[waterfall]]\\nstage = "cross"\\n\\n[[waterfall]]\\nstage = "adl"')
rules = parse_venue(text).rules
assert Stage.CROSS in rules.stages and set(STAGES) == set(Stage)
small = rules._replace(limits=rules.limits._replace(accounts_max=16, positions_max=16, orders_max=16, effects_max=16))
rows = new_state(small).stages
assert rows["is_joint"].tolist() == [int(kind in (Stage.CROSS, Stage.ADL, Stage.TEAR_UP)) for kind in rows["kind"]]
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the source in which the edits of the page were made."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs" / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILE.findall(PAGE):
        assert not (folder / name).exists()
        (folder / name).write_text(text, encoding="utf-8")
    for name, how, anchor, text in EDIT.findall(PAGE):
        before = (folder / name).read_text(encoding="utf-8")
        assert before.count(anchor) == 1, f"{name} has {before.count(anchor)} of {anchor!r}"
        line = text.rstrip("\n") if how.startswith("in") else f"{anchor}\n{text.rstrip()}" if how == "after" else text + anchor
        (folder / name).write_text(before.replace(anchor, line), encoding="utf-8")
    return folder


def printed(copy: Path, script: str) -> str:
    """Run a script on the copy, with kernels as plain Python, and return what it prints."""
    path = f"{copy / 'src'}{os.pathsep}{copy / 'examples'}"
    environment = os.environ | {"PYTHONPATH": path, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_as_many_edits_as_it_says() -> None:
    numbers = re.findall(r"^\*\*(\d)\. ", PAGE, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 8)]
    # The call needs an import, too.
    assert len(EDIT.findall(PAGE)) + len(FILE.findall(PAGE)) == len(numbers) + 1
    assert "It takes seven edits." in PAGE


def test_its_kernel_is_the_one_that_is_tested() -> None:
    ((_, text),) = FILE.findall(PAGE)
    assert text == (ROOT / "tests" / "core" / "crossing.py").read_text(encoding="utf-8")


def test_a_venue_file_with_the_stage_is_read(copy: Path) -> None:
    assert printed(copy, READS) == ""


def test_its_example_prints_what_the_page_says(copy: Path) -> None:
    ((script, shown),) = SCRIPT.findall(PAGE)
    assert printed(copy, script) == shown

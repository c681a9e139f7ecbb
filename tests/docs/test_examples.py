"""The worked examples of the docs: each command in a page prints what the page says it prints.

``BACKSTOP_WRITE_DOCS=1 pytest tests/docs`` writes the output into the pages instead.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
BLOCK = re.compile(r"```console\n\$ \.venv/bin/python (docs/examples/\w+\.py)\n(.*?)```\n", re.DOTALL)
PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if BLOCK.search(page.read_text(encoding="utf-8")))
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
#: ``path.py:name``, or ``:name`` for another of the path before.
KEEPER = re.compile(r"`([\w/]*\.py|):(\w+)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_its_command_prints(page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run each command of the page in this process, and compare."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "desk", raising=False)
    text = page.read_text(encoding="utf-8")
    for script, shown in BLOCK.findall(text):
        runpy.run_path(str(ROOT / script), run_name="__main__")
        printed = capsys.readouterr().out
        text = text.replace(f"{script}\n{shown}```", f"{script}\n{printed}```")
        if "BACKSTOP_WRITE_DOCS" not in os.environ:
            assert shown == printed
    if "BACKSTOP_WRITE_DOCS" in os.environ:
        page.write_text(text, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "desk", raising=False)


def test_every_stage_has_an_example() -> None:
    """A stage that is built has a page with a worked example."""
    assert {page.stem for page in PAGES} >= {"monitor", "closeout", "takeover", "fund", "adl", "socialise", "tear-up", "breakers"}


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    """Every link to a file of the repository has its file."""
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_shows_the_table_of_the_demo() -> None:
    """Each row under the words that the command prints."""
    from backstop.config.stages import STAGES, key_of

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [stage for stage, words in STAGES.items() if f"\n{key_of(stage):<9} │ {words.did:<23} │" not in text] == []
    assert "of the row fund were paid for them" in text


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("breakers", "deadline of closeout is 300 s"),  # deadline_ns=300_000_000_000
        ("takeover", "comes back at 1.00 a second"),  # refill_per_s=1_00
    ],
)
def test_a_page_names_the_settings_of_its_example(page: str, words: str) -> None:
    """The numbers that a reader needs are in the prose, not only in the script."""
    assert words in " ".join((ROOT / f"docs/concepts/{page}.md").read_text(encoding="utf-8").split())


def test_installing_shows_errors_and_nothing_else() -> None:
    """A first `make demo` shows no warnings of pip about the machine."""
    lines = [line for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if "pip install" in line]
    assert len(lines) == 1
    for words in ("PIP_INSTALL = ", "PIP_ROOT_USER_ACTION=ignore", "--quiet --quiet", "--disable-pip-version-check"):
        assert words in lines[0]


def test_every_test_that_the_architecture_names_is_there() -> None:
    """The proofs of the determinism contract exist by the names they have there."""
    named = NAMED.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert len(named) > 5
    assert [name for path, name in named if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")] == []


def test_everything_that_keeps_or_attacks_an_invariant_is_there() -> None:
    """The page on invariants names functions that exist, where it says they are."""
    path, named, missing = "", 0, []
    for given, name in KEEPER.findall((ROOT / "docs/reference/invariants.md").read_text(encoding="utf-8")):
        path, named = given or path, named + 1
        source = ROOT / (path if path.startswith("tests/") else f"src/backstop/{path}")
        if not re.search(rf"^\s*(def|class) {name}\b", source.read_text(encoding="utf-8"), re.MULTILINE):
            missing.append((path, name))
    assert named > 30
    assert missing == []

"""The prose of the pages: no line is wider than a reader's window, and no link is dead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS_MAX = 100
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("*.md"), *(ROOT / "docs").rglob("*.md")})


def prose_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and line of prose: neither table, nor code block, nor picture."""
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        start = line.lstrip()
        if start.startswith("```"):
            is_code = not is_code
        elif not is_code and not start.startswith(("|", "![")):
            yield number, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_prose_fits_the_columns(page: Path) -> None:
    """Tables, code and pictures may be wider; a line of prose has at most 100 columns."""
    lines = prose_lines(page.read_text(encoding="utf-8"))
    assert [f"{number}: {len(line)} columns" for number, line in lines if len(line) > COLUMNS_MAX] == []


def test_wide_prose_is_found_and_wide_tables_are_not() -> None:
    """The check itself: one long line of prose among long lines that may be long."""
    wide = "x" * (COLUMNS_MAX + 1)
    text = f"| {wide} |\n```\n{wide}\n```\n![{wide}](picture.svg)\n  {wide}\n"
    assert [number for number, line in prose_lines(text) if len(line) > COLUMNS_MAX] == [6]


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub names them."""
    lines = (line for _, line in prose_lines(page.read_text(encoding="utf-8")))
    headings = (line.lstrip("#").strip().lower() for line in lines if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    """A link inside the repository names a file that is there, and where it has one a heading of it."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            dead.append(link)
    assert dead == []


def test_the_targets_that_pages_name_are_in_the_makefile() -> None:
    """Every `make TARGET` of the first pages can be run."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for page in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
        for target in re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert named - targets == set()

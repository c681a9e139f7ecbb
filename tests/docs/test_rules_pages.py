"""The pages of the rules: numbered without a gap, on the list, each with its example, and every
clause that code or pages name is there.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "rules.md"
PAGES = sorted((ROOT / "docs" / "rules").glob("*.md"), key=lambda page: [int(number) for number in page.stem.split("-")[0].split(".")])
#: A clause begins with its number in bold; a part has it in its heading.
CLAUSE = re.compile(r"^\*\*R(\d+\.\d+\.\d+)\b", re.MULTILINE)
HEADING = re.compile(r"^##? R(\d+(?:\.\d+)*)\b", re.MULTILINE)
NAMED = re.compile(r"\bR(\d{1,2}(?:\.\d+){0,2})\b(?!\.\d)")
#: Stages and payers: their pages say in one paragraph who pays.
OF_PAYERS = [page for page in PAGES if page.stem.startswith("6.") or page.stem.startswith("3-")]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def defined() -> set[str]:
    """Return every number that may be named: pages, their parts, their clauses."""
    found: set[str] = set()
    for page in PAGES:
        text = text_of(page)
        found |= {*CLAUSE.findall(text), *HEADING.findall(text)}
    return found | {number.rsplit(".", 1)[0] for number in found if number.count(".") == 2} | {"6"}


def names(text: str) -> set[str]:
    return {number for number in NAMED.findall(text) if "." in number or int(number) <= 12}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_clauses_are_numbered_without_a_gap(page: Path) -> None:
    numbers = [tuple(map(int, number.split("."))) for number in CLAUSE.findall(text_of(page))]
    assert numbers
    own = page.stem.split("-")[0].split(".")
    assert {tuple(map(str, number[: len(own)])) for number in numbers} == {tuple(own)}
    parts: dict[tuple[int, ...], list[int]] = {}
    for *part, last in numbers:
        parts.setdefault(tuple(part), []).append(last)
    assert {part: list(range(1, len(lasts) + 1)) for part, lasts in parts.items()} == parts
    if len(own) == 1:
        assert sorted(part[1] for part in parts) == list(range(1, len(parts) + 1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_an_example_and_says_why(page: Path) -> None:
    text = text_of(page)
    assert text.startswith(f"# R{page.stem.split('-')[0]} ")
    assert len(re.findall(r"```console\n\$ \.venv/bin/python docs/examples/rules_\w+\.py\n.", text)) == 1
    assert re.findall(r"^## (Example|Why)$", text, re.MULTILINE) == ["Example", "Why"]
    assert "[All pages](../rules.md)" in text


@pytest.mark.parametrize("page", OF_PAYERS, ids=lambda page: page.stem)
def test_a_page_of_the_waterfall_says_who_pays(page: Path) -> None:
    assert re.search(r"^\*\*Who (pays|bears)", text_of(page), re.MULTILINE)


def test_the_list_has_every_page_in_order() -> None:
    listed = re.findall(r"^\| \[R([\d.]+) [^\]]+\]\(rules/([^)]+)\)", text_of(LIST), re.MULTILINE)
    assert [name for _, name in listed] == [page.name for page in PAGES]
    assert [number for number, _ in listed] == [page.stem.split("-")[0] for page in PAGES]


def test_every_clause_that_is_named_is_there() -> None:
    known, missing = defined(), []
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    named = 0
    for file in files:
        if file == Path(__file__):
            continue
        found = names(text_of(file))
        named += len(found)
        missing += [(str(file.relative_to(ROOT)), number) for number in sorted(found - known)]
    assert missing == []
    assert named > 100


def test_a_clause_that_is_not_there_is_found() -> None:
    known = defined()
    assert names("as R6.4.2 and (R8) say") <= known
    assert names("as R6.4.99 says") - known == {"6.4.99"}
    assert names("R99 is no rule, nor is XR6.4.2") == set()

"""Prose of the written pages at the width that the rest of the pages keep."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

__all__ = ["COLUMNS", "wrapped"]

COLUMNS = 100


def wrapped(page: str) -> str:
    """Return a Markdown page with its paragraphs and list items wrapped; tables, code, pictures and
    headings stay as they are.
    """
    lines: list[str] = []
    block: list[str] = []
    is_code = False
    for line in page.splitlines():
        is_fence = line.startswith("```")
        is_prose = not (is_code or is_fence or line.startswith(("|", "!", "#")) or not line)
        if not is_prose or line.startswith("- "):
            lines += _wrap(block)
            block = []
        if is_prose:
            block.append(line)
        else:
            lines.append(line)
        is_code ^= is_fence
    return "\n".join([*lines, *_wrap(block)]) + "\n"


def _wrap(block: list[str]) -> Iterator[str]:
    """Yield the lines of one paragraph or list item."""
    indent = "  " if block and block[0].startswith("- ") else ""
    text = " ".join(line.strip() for line in block)
    yield from textwrap.wrap(text, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)

"""The shape of the source, counted: lines and functions per room, long functions, wide lines of
docs.

``python -m benchmarks.shape [--base COMMIT]`` prints one JSON object, of a commit beside it if
asked.
"""

from __future__ import annotations

import argparse
import ast
import json
from pathlib import Path
from typing import Any

from benchmarks.checkout import checkout_of

_ROOT = Path(__file__).parent.parent
_PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
#: The specification and the concept pages count apart.
_RULES = ("docs/rules.md", "docs/rules/", "docs/concepts/")


def _lengths(path: Path) -> list[int]:
    """Return the lines of each function of a file, decorators and docstring left out."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body
            found.append((node.end_lineno or 0) - body[0].lineno + 2)
    return found


def _rooms(root: Path) -> dict[str, dict[str, int]]:
    """Return per room: files, lines, functions, those above 25 and above 70 lines."""
    rooms: dict[str, dict[str, int]] = {}
    source = root / "src" / "backstop"
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).parts
        room = "/".join(parts[:2]) if parts[0] == "lab" and len(parts) > 2 else parts[0] if len(parts) > 1 else "(root)"
        lengths = _lengths(path)
        count = rooms.setdefault(room, dict.fromkeys(("files", "lines", "functions", "above_25", "above_70"), 0))
        count["files"] += 1
        count["lines"] += len(path.read_text().splitlines())
        count["functions"] += len(lengths)
        count["above_25"] += sum(length > 25 for length in lengths)
        count["above_70"] += sum(length > 70 for length in lengths)
    return rooms


def _wide_prose(root: Path) -> dict[str, int]:
    """Return how many lines of prose are wider than 100 columns; tables, code and links left
    out.
    """
    found = {"pages": 0, "rules and concepts": 0}
    for path in [root / name for name in _PAGES] + sorted((root / "docs").rglob("*.md")):
        kind = "rules and concepts" if str(path.relative_to(root)).startswith(_RULES) else "pages"
        in_code = False
        for line in path.read_text().splitlines():
            if line.lstrip().startswith("```"):
                in_code = not in_code
            elif not in_code and not line.lstrip().startswith("|") and "://" not in line:
                found[kind] += len(line) > 100
    return found


def shape_of(root: Path) -> dict[str, Any]:
    """Return the shape of a checkout."""
    rooms = _rooms(root)
    total = {name: sum(room[name] for room in rooms.values()) for name in next(iter(rooms.values()))}
    tests = sum(len(path.read_text().splitlines()) for path in (root / "tests").rglob("*.py"))
    return {"rooms": rooms, "total": total, "tests_lines": tests, "wide_prose": _wide_prose(root)}


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", help="commit to count, too")
    options = parser.parse_args()
    found = {"now": shape_of(_ROOT)}
    if options.base:
        with checkout_of(options.base) as base:
            found["base"] = shape_of(base)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

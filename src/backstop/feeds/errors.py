"""The error of a file reader that refuses a file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FeedError"]

_SHOWN = 60
#: A message quotes the file, whose texts may have any length.
_SENTENCE_MAX = 1_000


class FeedError(ValueError):
    """A file that was refused: the place, the value, and the right form.

    ``row`` counts rows of data from 1. For a CSV file ``line`` is the line that an editor shows.
    """

    def __init__(
        self,
        path: Path | str,
        problem: str,
        expected: str,
        *,
        row: int | None = None,
        line: int | None = None,
        column: str | None = None,
        value: object = None,
    ) -> None:
        problem, expected = _cut(problem), _cut(expected)
        self.path, self.problem, self.expected = Path(path), problem, expected
        self.row, self.line, self.column, self.value = row, line, column, value
        place = [str(path)]
        if line is not None:
            place.append(f"line {line}")
        elif row is not None:
            place.append(f"row {row}")
        if column is not None:
            place.append(f"column {column}")
        shown = ""
        if value is not None:
            text = str(value)
            text = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
            shown = f"{text!r} " if isinstance(value, str) else f"{text} "
        super().__init__(f"{', '.join(place)}: {shown}{problem}: {expected}")


def _cut(text: str) -> str:
    return text if len(text) <= _SENTENCE_MAX else text[:_SENTENCE_MAX] + "..."

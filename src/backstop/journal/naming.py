"""How the files of a journal are called: the live segment at the journal's path, the sealed ones
beside it.

The segments of ``journal.db`` are sealed as ``journal.db.000001``, ``journal.db.000002`` and so on.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["live_path", "sealed_beside", "sealed_path"]

_DIGITS = 6
_SEALED = re.compile(rf"(?P<live>.+)\.(?P<number>\d{{{_DIGITS},}})")


def sealed_path(live: Path, number: int) -> Path:
    """Return where a journal's sealed segment of a number stands."""
    return live.with_name(f"{live.name}.{number:0{_DIGITS}d}")


def live_path(path: Path) -> tuple[Path, int] | None:
    """Return the live file and the number that the name of a sealed segment gives; None for any
    other name.
    """
    found = _SEALED.fullmatch(path.name)
    if found is None:
        return None
    number = int(found["number"])
    live = path.with_name(found["live"])
    return (live, number) if number > 0 and sealed_path(live, number) == path else None


def sealed_beside(live: Path) -> dict[int, Path]:
    """Return the files that stand where sealed segments do, by number, ascending.

    Raises ``OSError`` where the folder cannot be read.
    """
    place = Path(os.path.realpath(live))
    found: dict[int, Path] = {}
    for name in os.listdir(place.parent):
        parts = live_path(place.with_name(name))
        if parts is not None and parts[0] == place:
            found[parts[1]] = place.with_name(name)
    return dict(sorted(found.items()))

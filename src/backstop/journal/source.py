"""Which code wrote a journal: one hash over all that decides what an event does."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import backstop

__all__ = ["source_hash"]

#: Rooms and files whose text decides what a venue file means and what an event does.
_ROOMS = ("core", "config")
_FILES = ("bundle.py", "compiled.py")


@cache
def source_hash() -> str:
    """Return the SHA-256 (hex) of the engine's source: ``core``, ``config`` and the ground they
    stand on.

    Two runs with equal hashes do the same with the same events; unequal ones may do so too.
    """
    root = Path(backstop.__file__).parent
    paths = [path for room in _ROOMS for path in (root / room).rglob("*") if path.suffix in (".py", ".toml")]
    digest = hashlib.sha256()
    for path in sorted(paths) + [root / name for name in _FILES]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()

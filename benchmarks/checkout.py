"""Another commit of this repository, checked out for as long as it is measured."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["checkout_of"]

_ROOT = Path(__file__).parent.parent


@contextmanager
def checkout_of(commit: str) -> Iterator[Path]:
    """Give the folder of a commit's files; it is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        place = f"{folder}/{commit}"
        subprocess.run(["git", "worktree", "add", "--detach", "-f", place, commit], cwd=_ROOT, check=True, capture_output=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", place], cwd=_ROOT, check=True, capture_output=True)

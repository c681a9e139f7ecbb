"""Output files: written whole or not at all, never over a device or a pipe, and with errors that
name them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["checked_file", "named_errors", "read_bounded", "told", "written_whole"]


def checked_file(path: Path) -> None:
    """See that nothing stands at a path, or a file.

    Raises ``IsADirectoryError`` for a folder, ``FileExistsError`` for a device, a pipe or a socket,
    and other ``OSError``.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "this is a folder: name a file", str(path))
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "this is not a file but a device, a pipe or a socket: name a file", str(path))


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Let an ``OSError`` of the block that names no file name this one: a full disk does not say
    where it is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and not error.filename:
            error.filename = str(path)
        raise


@contextmanager
def written_whole(path: Path, *, may_replace: bool = True) -> Iterator[Path]:
    """Give the path of an empty file beside ``path`` to write to; when the block ends it takes the
    place of ``path``.

    Where the block fails, what was there stays as it was. Links are followed. Raises
    ``FileExistsError`` where something is there that may not be replaced, and other ``OSError``,
    which name ``path``.
    """
    checked_file(path)
    place = Path(os.path.realpath(path))
    partial = place.with_name(f".{place.stem}.{os.getpid()}.partial{place.suffix}")
    with named_errors(path):
        try:
            partial.open("xb").close()
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            _put(partial, place, may_replace=may_replace)
        except OSError as error:
            if error.filename == str(partial):
                error.filename = str(path)
            raise
        finally:
            partial.unlink(missing_ok=True)


def _put(partial: Path, place: Path, *, may_replace: bool) -> None:
    if may_replace:
        os.replace(partial, place)
        return
    try:
        os.link(partial, place)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, "exists", str(place)) from None
    except OSError:  # a file system without links
        if place.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(place)) from None
        os.replace(partial, place)


def told(error: OSError) -> str:
    """Return an error in words that begin with its file, where it names one."""
    words = str(error.strerror or error)
    return f"{error.filename}: {words}" if error.filename else words


def read_bounded(path: Path, bytes_max: int) -> bytes | None:
    """Return a file's bytes; None where there are more than ``bytes_max``: a device has no end.

    Raises ``OSError``.
    """
    with path.open("rb") as file:
        content = file.read(bytes_max + 1)
    return content if len(content) <= bytes_max else None

"""Where a report may be written: a new file, or in the place of an older report; never over
anything else.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from backstop.report.markup import Html, join, tag

__all__ = ["checked_place", "page_start"]

#: What the head of every page begins with; a file that does not begin so is not taken for a report.
_HEAD_START = join(tag("meta", charset="utf-8"), tag("meta", name_="generator", content="backstop report"))


def page_start() -> Html:
    """Return what a page begins with, up to and with the mark by which it is known again; ``head``
    and ``html`` are left open.
    """
    return join(Html('<!doctype html>\n<html lang="en"><head>'), _HEAD_START)


def checked_place(path: str | Path) -> Path:
    """Return the file that a report given this path will take the place of, links followed.

    Raises ``FileNotFoundError`` where its folder is not there (none is made), ``IsADirectoryError``
    for a folder, ``FileExistsError`` for a file that is no report of backstop and for what is no
    file at all (a device, a pipe), ``OSError`` where it cannot be read.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        # Of a link that leads nowhere, too: its target is made.
        target = _followed(path)
        if not target.parent.is_dir():
            message = f"there is no folder {target.parent} for the report: make it first"
            raise FileNotFoundError(errno.ENOENT, message, str(path)) from None
        return target
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "this is a folder: name a file for the report", str(path))
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "this is not a file but a device, a pipe or a socket: name a file for the report", str(path))
    target = _followed(path)
    if not _is_report(target):
        message = "this file is there already and is no report of backstop: name another file for the report, or remove this one first"
        raise FileExistsError(errno.EEXIST, message, str(path))
    return target


def _followed(path: Path) -> Path:
    # A path that is no link stays as it was given: messages name it so.
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _is_report(path: Path) -> bool:
    start = page_start().encode()
    with path.open("rb") as file:
        return file.read(len(start)) == start

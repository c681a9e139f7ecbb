"""What SQLite would leave out of a write-ahead log without a word: bytes after its last whole
transaction.

SQLite ends a log at the first frame whose checksum is wrong. That is right after a power cut, and
it would hide that a disk lost what it had promised to keep. So the log is read here as well, by its
published format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backstop.journal.findings import Finding, FindingCode
from backstop.journal.format import unsynced_max

__all__ = ["LOG_MAGICS", "LogState", "log_finding", "log_of", "read_log"]

_HEADER_BYTES = 32
_FRAME_BYTES = 24
#: The last bit says in which order of bytes the checksum reads its words.
LOG_MAGICS = (0x377F0682, 0x377F0683)
#: A log begins again this often at most: frames whose first salt is lower by less are left from an
#: earlier round.
_ROUNDS_MAX = 1 << 24
_WORD = 1 << 32
#: A log that is being written is read so often at most, with so long between [s]: a batch takes
#: milliseconds.
_READINGS_MAX, _PAUSE = 50, 0.02

Words = NDArray[np.uint32]


class LogState(NamedTuple):
    """How far a log can be read."""

    #: Bytes after the last whole transaction that were written after it.
    torn_bytes: int = 0
    #: Transactions whose last frame is among them.
    torn_commits: int = 0
    header_is_damaged: bool = False
    #: Batches that may have waited for their sync when the run died: of more torn ones, one was
    #: acknowledged.
    unsynced_max: int = 1

    @property
    def lost_for_certain(self) -> bool:
        """Whether something that was acknowledged is gone."""
        return self.header_is_damaged or self.torn_commits > self.unsynced_max

    @property
    def says(self) -> str:
        """What is wrong, in words."""
        if self.header_is_damaged:
            return "its header is damaged: batches that stand in it are lost"
        if self.lost_for_certain:
            least = self.torn_commits - self.unsynced_max
            return f"{self.torn_bytes} bytes after the last whole batch are damaged: at least {least} acknowledged batches are lost"
        written = "one that was" if self.unsynced_max == 1 else f"at most {self.unsynced_max} that were"
        return f"{self.torn_bytes} bytes after the last whole batch: {written} being written when the run died, or damage"


def log_of(path: Path) -> Path:
    """Return where SQLite keeps the log of a journal: beside the file itself, whatever links lead
    there.
    """
    return Path(f"{os.path.realpath(path)}-wal")


def log_finding(path: Path) -> Finding | None:
    """Return what a journal's log holds beyond its last whole batch, or None if nothing.

    A log that grows meanwhile is read again: its writer is in the midst of a batch.
    """
    log, state = log_of(path), LogState()
    for _ in range(_READINGS_MAX):
        before = _moment_of(log)
        state = read_log(log)
        if not (state.torn_bytes or state.lost_for_certain):
            return None
        time.sleep(_PAUSE)
        if _moment_of(log) == before:
            break
    if state.torn_bytes or state.lost_for_certain:
        return Finding(FindingCode.LOG, f"{path.name}-wal", state.says)
    return None


def _moment_of(log: Path) -> tuple[int, int]:
    """Return the size of a log and when it was written last [ns]; none of both where there is none."""
    try:
        held = log.stat()
    except FileNotFoundError:
        return 0, 0
    return held.st_size, held.st_mtime_ns


def read_log(path: Path) -> LogState:
    """Read a log's frames, one at a time, and compare each checksum; a log that is not there, or
    empty, is sound. Raises ``OSError``.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except FileNotFoundError:
        return LogState()


def _read(file: BinaryIO) -> LogState:
    header = file.read(_HEADER_BYTES)
    if not header:
        return LogState()
    magic, page_bytes = _big(header, 0), _big(header, 8)
    is_whole = len(header) == _HEADER_BYTES and magic in LOG_MAGICS and 512 <= page_bytes <= 65536 and page_bytes % 512 == 0
    order = ">u4" if magic & 1 else "<u4"
    sums = _checksum((0, 0), header[:24], order) if is_whole else (0, 0)
    if not is_whole or sums != (_big(header, 24), _big(header, 28)):
        return LogState(file.seek(0, os.SEEK_END), 0, True)
    salts = header[16:24]
    size = _FRAME_BYTES + page_bytes
    end = _HEADER_BYTES
    while len(frame := file.read(size)) == size:
        sums = _checksum(_checksum(sums, frame[:8], order), frame[_FRAME_BYTES:], order)
        if frame[8:16] != salts or sums != (_big(frame, 16), _big(frame, 20)):
            break
        if _big(frame, 4):
            end = file.tell()
    file.seek(end)
    return _rest(file, salts, size)._replace(unsynced_max=unsynced_max(page_bytes))


def _rest(file: BinaryIO, salts: bytes, size: int) -> LogState:
    """Judge the frames after the last whole transaction: left from an earlier round of the log, or
    torn.
    """
    torn = commits = 0
    while frame := file.read(size):
        age = (_big(salts, 0) - _big(frame, 8)) % _WORD
        if len(frame) >= 16 and 0 < age < _ROUNDS_MAX:
            continue
        torn += len(frame)
        commits += len(frame) == size and frame[8:16] == salts and _big(frame, 4) > 0
    return LogState(torn, commits)


def _big(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "big")


def _checksum(before: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    """Return SQLite's running checksum after ``data``, whose length is a multiple of 8.

    It takes words two by two, ``s0 += x + s1; s1 += y + s0``. That is linear, so each word's weight
    in the result is known beforehand and one sum does it.
    """
    words = np.frombuffer(data, dtype=order).astype(np.uint32).reshape(-1, 2)
    weights, ahead = _weights(len(words))
    result = []
    for row in range(2):
        total = int(np.sum(weights[row] * words, dtype=np.uint32)) + sum(int(ahead[row, place]) * before[place] for place in range(2))
        result.append(total % _WORD)
    return result[0], result[1]


@lru_cache(maxsize=8)
def _weights(pairs: int) -> tuple[Words, Words]:
    """Return the weight of each word in both sums, and of the sums before.

    A pair (x, y) makes of (s0, s1) ``(s0 + s1 + x, s0 + 2 s1 + x + y)``.
    """
    weights = np.zeros((2, pairs, 2), dtype=np.uint32)
    power = ((1, 0), (0, 1))
    for place in range(pairs - 1, -1, -1):
        for row in range(2):
            weights[row, place] = ((power[row][0] + power[row][1]) % _WORD, power[row][1])
        power = tuple(((a + b) % _WORD, (a + 2 * b) % _WORD) for a, b in power)  # type: ignore[assignment]
    return weights, np.array(power, dtype=np.uint32)

"""The cache of compiled kernels: it never serves old code, and compiles nothing that did not
change.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import backstop

PROBE = '''"""A small program: two units, a kernel that both take in, a bundle."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from backstop.bundle import Bundle, bundle
from backstop.compiled import kernel, unit
from backstop.core.units import mul_div_floor

_SCALE = 2


class Side(IntEnum):
    """A number with a name."""

    SELL = 10


class Room(Bundle):
    """One column of numbers."""

    FIELDS = {"numbers": (np.int64, 1)}


bundle(Room)


@kernel
def _private(number: int) -> int:
    """Return a number."""
    return number


@unit
def stage(room: Room, number: int) -> int:
    """Return half of a product, or raise."""
    if number < 0:
        raise OverflowError("stage: the number is negative")
    return mul_div_floor(number, room.numbers[0], _SCALE) + _private(Side.SELL)


@unit
def other_stage(room: Room, number: int) -> int:
    """Return a difference."""
    return number - room.numbers[0]


@unit
def run(room: Room, number: int) -> int:
    """Return what both stages give together."""
    return stage(room, number) + other_stage(room, number)


def room(number: int) -> Room:
    """Return a room of one number."""
    return Room(numbers=np.array([number], dtype=np.int64))
'''
PRODUCT = "        return left * right // divisor\n"
CALL = """
import numba
from backstop.core import probe
def missed():
    kinds = (probe.run, probe.stage, probe.other_stage)
    return "".join(str(int(sum(each.stats.cache_misses.values()) > 0)) for each in kinds)
print(probe.run(probe.room(7), 6), missed())
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return the folder of a copy of the package, with one more module."""
    return copy_to(tmp_path / "src")


def copy_to(folder: Path) -> Path:
    """Copy the package's source and add the probe."""
    shutil.copytree(Path(backstop.__file__).parent, folder / "backstop", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "backstop" / "core" / "probe.py").write_text(PROBE)
    return folder


def run(package: Path, words: str, **flags: str) -> list[str]:
    """Run words in a new process on the copy, all with one cache folder; return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "PYTHON"))}
    environment = kept | {"PYTHONPATH": str(package), "BACKSTOP_CACHE_DIR": str(package.parent / "cache")} | flags
    command = [sys.executable, "-W", "error", "-c", words]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()


def edit(package: Path, name: str, old: str, new: str) -> None:
    """Replace the one place of a text in a module of core."""
    path = package / "backstop" / "core" / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_an_edited_callee_in_another_module_is_seen(package: Path) -> None:
    assert run(package, CALL) == ["30", "111"]
    assert run(package, CALL) == ["30", "000"]
    edit(package, "units.py", PRODUCT, "        return left * right // divisor + 1000\n")
    # The stage that uses it compiles again; its caller jumps to it, its neighbour does not know it.
    assert run(package, CALL) == ["1030", "010"]
    edit(package, "units.py", "+ 1000\n", "\n")
    assert run(package, CALL) == ["30", "000"]


@pytest.mark.parametrize(
    ("old", "new", "printed"),
    [
        ("_SCALE = 2", "_SCALE = 1", "51"),
        ("SELL = 10", "SELL = 20", "40"),
        ("    return number\n\n\n@unit", "    return number + 1\n\n\n@unit", "31"),
        ('{"numbers": (np.int64, 1)}', '{"others": (np.int64, 1), "numbers": (np.int64, 1)}', "30"),
    ],
    ids=["constant", "enum", "kernel", "layout"],
)
def test_whatever_a_kernel_names_is_seen(package: Path, old: str, new: str, printed: str) -> None:
    run(package, CALL)
    edit(package, "probe.py", old, new)
    if "others" in new:
        edit(package, "probe.py", "Room(numbers=", "Room(others=np.zeros(1, dtype=np.int64), numbers=")
    got = run(package, CALL)
    assert got[0] == printed
    assert got[1][1] == "1"


def test_a_comment_or_another_checkout_compiles_nothing(package: Path) -> None:
    run(package, CALL)
    edit(package, "probe.py", "    if number < 0:\n", "    # A comment, and lines that move.\n\n    if number < 0:\n")
    edit(package, "probe.py", '"""Return half of a product, or raise."""', '"""Return something."""')
    edit(package, "units.py", PRODUCT, "        # why\n" + PRODUCT)
    assert run(package, CALL) == ["30", "000"]
    shutil.rmtree(package)
    elsewhere = copy_to(package.parent / "elsewhere" / "src")
    shutil.copytree(package.parent / "cache", elsewhere.parent / "cache")
    assert run(elsewhere, CALL) == ["30", "000"]


def test_an_error_passes_through_a_unit_from_the_cache_too(package: Path) -> None:
    words = CALL + "\ntry:\n    probe.run(probe.room(7), -1)\nexcept OverflowError as error:\n    print(str(error).replace(' ', '_'))\n"
    for misses in ("111", "000"):
        assert run(package, words) == ["30", misses, "stage:_the_number_is_negative"]


def test_python_cannot_call_a_private_kernel(package: Path) -> None:
    words = "from backstop.core import probe\ntry:\n    probe._private(1)\nexcept TypeError as error:\n    print(error)\n"
    assert run(package, words) == ["_private", "is", "private:", "only", "compiled", "code", "can", "call", "it"]


def test_a_kernel_that_names_what_is_not_understood_is_refused(package: Path) -> None:
    edit(package, "probe.py", "_SCALE = 2", "_SCALE = [2]")
    words = "from backstop.core import probe\ntry:\n    probe.run(probe.room(7), 6)\nexcept TypeError as error:\n    print(error)\n"
    assert " ".join(run(package, words)).startswith("backstop.core.probe.stage names `_SCALE`, a list")


def test_flags_have_folders_of_their_own(package: Path) -> None:
    words = "from backstop.compiled import cache_path\nprint(cache_path())"
    folders = [run(package, words)] + [run(package, words, **{flag: "1"}) for flag in ("NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT")]
    assert len({folder for (folder,) in folders}) == 3
    assert all(Path(folder).parent == package.parent / "cache" for (folder,) in folders)


def test_an_edit_of_how_kernels_are_compiled_leaves_the_old_folder(package: Path) -> None:
    words = "from backstop.compiled import cache_path\nprint(cache_path())"
    before = run(package, words)
    path = package / "backstop" / "bundle.py"
    path.write_text(path.read_text() + "\n# changed\n")
    assert run(package, words) != before

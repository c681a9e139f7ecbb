"""The cache of compiled kernels: it never serves old code, and compiles nothing that did not
change.
"""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import backstop
from backstop.closure import closure_of

PROBE = '''"""A small program: two units, a kernel that both take in, a bundle."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from backstop.bundle import Bundle, bundle
from backstop.compiled import inlined, kernel, unit
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
    command = [sys.executable, "-W", "error", "-c", words]
    return subprocess.run(command, env=environment_of(package) | flags, check=True, capture_output=True, text=True).stdout.split()


def environment_of(package: Path) -> dict[str, str]:
    """Return the environment of a process on the copy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "PYTHON"))}
    # Python knows a source by its second and its size: two edits of like length in one second are one.
    own = {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    return kept | own | {"BACKSTOP_CACHE_DIR": str(package.parent / "cache")}


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
        ("@kernel\ndef _private", "@inlined\ndef _private", "30"),
        ('{"numbers": (np.int64, 1)}', '{"others": (np.int64, 1), "numbers": (np.int64, 1)}', "30"),
    ],
    ids=["constant", "enum", "kernel", "options", "layout"],
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


def refused(package: Path, words: str, **flags: str) -> str:
    """Return what a TypeError says that the words raise, with its spaces."""
    indented = "".join(f"    {line}\n" for line in words.strip().split("\n"))
    return " ".join(run(package, f"try:\n{indented}except TypeError as error:\n    print(error)\n", **flags))


def test_a_unit_is_called_with_its_declared_types_only(package: Path) -> None:
    edit(package, "probe.py", "return stage(room, number)", "return stage(room, np.uint64(number))")
    words = "import numba\ntry:\n    probe.run(probe.room(7), 6)\nexcept numba.TypingError as error:\n    print(error)\n"
    text = " ".join(run(package, "from backstop.core import probe\n" + words))
    assert "unit backstop.core.probe.stage is declared for (backstop.core.probe.Room, int64), and is called with" in text


def test_a_unit_returns_what_it_declares(package: Path) -> None:
    edit(package, "probe.py", "return number - room.numbers[0]", "return number > room.numbers[0]")
    assert refused(package, CALL) == "unit backstop.core.probe.other_stage returns bool, not int64 as declared"


def test_a_parameter_that_is_not_understood_is_refused(package: Path) -> None:
    edit(package, "probe.py", "def other_stage(room: Room, number: int)", "def other_stage(room: Room, number: Number)")
    assert refused(package, CALL).startswith("unit backstop.core.probe.other_stage: `Number` is neither a bundle")


def test_a_layout_counts_whatever_the_annotation_says(package: Path) -> None:
    edit(package, "probe.py", "def _private(number: int) -> int:", "def _first(held: Held) -> int:")
    edit(package, "probe.py", '    """Return a number."""\n    return number\n', '    """Return a number."""\n    return held.numbers[0]\n')
    edit(package, "probe.py", " + _private(Side.SELL)", " + _first(room)")
    edit(package, "probe.py", "_SCALE = 2\n", '_SCALE = 2\nHeld = TypeVar("Held")\n')
    edit(package, "probe.py", "from enum import IntEnum\n", "from enum import IntEnum\nfrom typing import TypeVar\n")
    edit(package, "probe.py", "number, room.numbers[0], _SCALE", "number, 7, _SCALE")
    assert run(package, CALL) == ["27", "111"]
    edit(package, "probe.py", '{"numbers": (np.int64, 1)}', '{"others": (np.int64, 1), "numbers": (np.int64, 1)}')
    edit(package, "probe.py", "Room(numbers=", "Room(others=np.zeros(1, dtype=np.int64), numbers=")
    assert run(package, CALL) == ["27", "011"]


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
def test_a_damaged_file_is_compiled_again(package: Path, damage: str) -> None:
    run(package, CALL)
    (stage,) = package.parent.rglob("probe.stage-*.nbc")
    (other,) = package.parent.rglob("probe.other_stage-*.nbc")
    whole = stage.read_bytes()
    half = len(whole) // 2
    flipped = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
    spoilt = {"cut": whole[:half], "bit": flipped, "empty": b"", "other": other.read_bytes()}
    stage.write_bytes(spoilt[damage])
    assert run(package, CALL) == ["30", "010"]
    assert run(package, CALL) == ["30", "000"]


def test_a_file_that_is_missing_is_compiled_again(package: Path) -> None:
    run(package, CALL)
    (stage,) = package.parent.rglob("probe.stage-*.nbc")
    stage.unlink()
    imports = "from backstop.core import probe\nfrom backstop.compiled import is_cached\n"
    words = imports + "print(is_cached(probe.run), is_cached(probe.other_stage))"
    assert run(package, words) == ["False", "True"]
    assert run(package, CALL) == ["30", "010"]


def test_processes_that_compile_different_signatures_at_once_keep_both(package: Path) -> None:
    (package / "backstop" / "core" / "twice.py").write_text(TWICE)
    # Each process looks into the cache before either has written.
    words = """
import sys, time
from pathlib import Path
from backstop.core import twice
files = type(twice.twice.for_python._cache._cache_file)
write = files._open_for_write
def late(self, path):
    Path(sys.argv[1]).touch()
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    return write(self, path)
files._open_for_write = late
print(twice.twice(twice.{argument}))
"""
    marks = [str(package.parent / name) for name in ("first", "second")]
    environment = environment_of(package)
    started = [
        subprocess.Popen([sys.executable, "-c", words.replace("{argument}", argument), *names], env=environment)
        for argument, names in (("WHOLE", marks), ("REAL", marks[::-1]))
    ]
    assert [each.wait(timeout=100) for each in started] == [0, 0]
    after = "from backstop.core import twice as t\nprint(t.twice(t.WHOLE), t.twice(t.REAL), t.twice.for_python.stats.cache_misses.total())"
    assert run(package, after) == ["6", "5.0", "0"]


TWICE = '''"""One kernel for two types."""

from __future__ import annotations

from typing import Any

from backstop.compiled import kernel

WHOLE, REAL = 3, 2.5


@kernel
def twice(number: Any) -> Any:
    """Return the double."""
    return number + number
'''


def test_two_functions_of_one_name_are_refused(package: Path) -> None:
    edit(package, "probe.py", "@kernel\ndef _private", MADE + "@kernel\ndef _private")
    edit(package, "probe.py", " + _private(Side.SELL)", " + _one(number) + _two(number)")
    text = refused(package, CALL)
    assert text.startswith("backstop.core.probe.stage uses two functions that are named backstop.core.probe._made.<locals>.inner")


MADE = """def _made(step: int) -> Any:
    @kernel
    def inner(number: int) -> int:
        return number + step

    return inner


_one, _two = _made(1), _made(2)


"""


def test_two_units_of_one_name_are_refused(package: Path) -> None:
    made = MADE.replace("@kernel", "@unit")
    edit(package, "probe.py", "@kernel\ndef _private", made + "@kernel\ndef _private")
    edit(package, "probe.py", " + _private(Side.SELL)", " + _one(number) + _two(number)")
    assert refused(package, CALL).startswith("there are two units backstop.core.probe._made.<locals>.inner")


def test_a_foreign_function_counts_by_its_own_name(package: Path) -> None:
    edit(package, "probe.py", "import numpy as np\n", "import numpy as np\nfrom numpy import maximum as _chosen\n")
    edit(package, "probe.py", "return number - room.numbers[0]", "return _chosen(number, room.numbers[0])")
    assert run(package, CALL) == ["38", "111"]
    edit(package, "probe.py", "import maximum as _chosen", "import minimum as _chosen")
    assert run(package, CALL) == ["37", "001"]


def test_a_global_that_is_bound_again_is_seen_or_refused(package: Path) -> None:
    early = "from backstop.core import probe\nprobe._SCALE = 1\n"
    assert run(package, early + CALL) == ["51", "111"]
    assert run(package, CALL) == ["30", "010"]
    late = CALL + "probe._SCALE = 1\nprobe.other_user(probe.room(7), 6)\n"
    edit(package, "probe.py", "def room(number: int)", OTHER_USER + "def room(number: int)")
    edit(package, "probe.py", "return number\n\n", "return number + _SCALE\n\n")
    text = refused(package, late)
    assert text.endswith("backstop.core.probe._private names _SCALE, which changed after the kernel was first hashed")


OTHER_USER = '''@unit
def other_user(room: Room, number: int) -> int:
    """Return what a kernel that other units use gives."""
    return _private(number) + room.numbers[0]


'''


@pytest.mark.parametrize("switch", ["BOUNDSCHECK", "OPT", "SLP_VECTORIZE"])
def test_the_compilers_switches_count_as_they_are(package: Path, switch: str) -> None:
    value = "numba.config._OptLevel(0)" if switch == "OPT" else "1"
    start = f"import numba\nfrom backstop.compiled import cache_path\nbefore = cache_path()\nnumba.config.{switch} = {value}\n"
    assert run(package, start + "print(before == cache_path())") == ["False"]
    edit(package, "probe.py", "def room(number: int)", OTHER_USER + "def room(number: int)")
    text = refused(package, CALL + f"numba.config.{switch} = {value}\nprobe.other_user(probe.room(7), 6)\n")
    assert text.endswith("numba.config was changed after the first kernel was compiled")


def test_kernels_reach_another_process_by_name(package: Path) -> None:
    words = """
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from backstop.core import probe, units
if __name__ == "__main__":
    print(all(pickle.loads(pickle.dumps(each)) is each for each in (probe.run, probe._private, units.mul_div_floor)))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        print(pool.submit(probe.run, probe.room(7), 6).result(), len(pickle.dumps(probe.run)) < 100)
"""
    assert run(package, words) == ["True", "30", "True"]


def test_flags_of_the_code_count() -> None:
    def plain(number: int) -> int:
        return number

    code = plain.__code__.replace(co_flags=plain.__code__.co_flags | inspect.CO_GENERATOR)
    other = FunctionType(code, plain.__globals__, plain.__name__)
    other.__qualname__, other.__annotations__ = plain.__qualname__, plain.__annotations__
    assert closure_of(plain).digest != closure_of(other).digest


def test_a_docstring_does_not_count_and_the_same_text_in_the_code_does() -> None:
    digests = set()
    for doc, text in (("x", "x"), ("x", "y"), ("y", "y"), ("z", "y")):
        scope: dict[str, Any] = {"__name__": "made"}
        exec(f"def made(number: int) -> int:\n    {doc!r}\n    if number: raise ValueError({text!r})\n    return number\n", scope)
        digests.add((text, closure_of(scope["made"]).digest))
    assert len({digest for text, digest in digests if text == "y"}) == 2  # the text is the docstring's own constant, or another
    assert len({digest for text, digest in digests}) == 3


def test_what_nobody_uses_any_more_is_removed(package: Path) -> None:
    run(package, CALL)
    cache = package.parent / "cache"
    (current,) = cache.iterdir()
    old, foreign = cache / "0123456789abcdef", cache / "notes"
    ago = time.time() - 40 * 86_400
    left = [current / name for name in ("left.nbc.tmp.77", "unused.nbc", "new.nbc.tmp.78")]
    for path in [old / "probe.stage.1.nbc", foreign / "mine.nbc", *left]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
        if "new" not in path.name:
            os.utime(path, (ago, ago))
    for path in current.glob("probe.stage-*"):
        os.utime(path, (ago, ago))
    run(package, CALL)  # what is used is young again
    assert run(package, "from backstop.compiled import prune_cache\nprint(prune_cache())") == ["3"]
    assert {path.name for path in cache.iterdir()} == {current.name, "notes"}
    assert (foreign / "mine.nbc").exists()
    assert (current / "new.nbc.tmp.78").exists()
    assert run(package, CALL) == ["30", "000"]

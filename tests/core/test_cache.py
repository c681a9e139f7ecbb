"""The cache of compiled kernels never serves old code, which numba's own does when a callee of another module changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import backstop

PROBE = '''"""A kernel whose callee lives in another module."""

from backstop.compiled import kernel
from backstop.core.units import mul_div_floor


@kernel
def half_of_product(left: int, right: int) -> int:
    """Return half of a product."""
    return mul_div_floor(left, right, 2)
'''
PRODUCT = "        return left * right // divisor\n"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return the folder of a copy of the package, with one more kernel."""
    copy = tmp_path / "src"
    shutil.copytree(Path(backstop.__file__).parent, copy / "backstop", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "backstop" / "core" / "probe.py").write_text(PROBE)
    return copy


def run(package: Path, words: str, **flags: str) -> list[str]:
    """Run words in a new process on the copy, all with one cache folder; return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "PYTHON"))}
    environment = kept | {"PYTHONPATH": str(package), "BACKSTOP_CACHE_DIR": str(package.parent / "cache")} | flags
    command = [sys.executable, "-W", "error", "-c", f"from backstop.compiled import cache_path\n{words}\nprint(cache_path().name)"]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()


CALL = """
from backstop.core.probe import half_of_product
print(half_of_product(6, 7), sum(half_of_product.stats.cache_hits.values()), sum(half_of_product.stats.cache_misses.values()))
"""


def test_edited_callee_in_another_module_is_seen(package: Path) -> None:
    first = run(package, CALL)
    assert first[:3] == ["21", "0", "1"]
    again = run(package, CALL)
    assert again == ["21", "1", "0", first[3]]

    units = package / "backstop" / "core" / "units.py"
    text = units.read_text()
    assert text.count(PRODUCT) == 1
    units.write_text(text.replace(PRODUCT, "        return left * right // divisor + 1000\n"))
    edited = run(package, CALL)
    assert edited[:3] == ["1021", "0", "1"]
    assert edited[3] != first[3]

    units.write_text(text)
    assert run(package, CALL) == ["21", "1", "0", first[3]]


def test_key_changes_with_flags_and_every_file_it_depends_on(package: Path) -> None:
    plain = run(package, "")
    assert run(package, "") == plain
    keys = {plain[0]}
    for flag in ("NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"):
        keys.add(run(package, "", **{flag: "1"})[0])
    assert len(keys) == 3
    for name in ("core/waterfall/adl.py", "markets/book.py", "compiled.py"):
        path = package / "backstop" / name
        path.write_text(path.read_text() + "\n# changed\n")
        keys.add(run(package, "")[0])
    assert len(keys) == 6


def test_cache_lies_where_it_is_told(package: Path) -> None:
    (key,) = run(package, "")
    run(package, CALL)
    assert [path.name for path in (package.parent / "cache").iterdir()] == [key]

"""A short run of the fuzzer over every reader, and of the campaign itself: a crash and a hang are
traced to the right input.

``make fuzz INPUTS=1000000`` is the long form.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.campaign import campaign
from tests.fuzz.target import Found, Hang, Target, rng_of, run_one
from tests.fuzz.targets import TARGETS

#: Inputs for each unit of a reader's weight.
INPUTS = 60
SEED = int(os.environ.get("BACKSTOP_SEED", "1"))


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_spoilt_files_are_loaded_rightly_or_refused_clearly(target: Target, tmp_path: Path) -> None:
    loaded = 0
    target.prepare()
    for seed in range(SEED, SEED + INPUTS * target.weight):
        try:
            loaded += run_one(target, seed, tmp_path)
        except (Exception, Hang) as error:
            raise AssertionError(f"python -m tests.fuzz --reader {target.name} --seed {seed} --inputs 1: {error}") from error
    # Both ways are taken, or nothing was tried.
    assert INPUTS * target.weight // 20 < loaded < INPUTS * target.weight * 3 // 4


def test_an_input_is_the_same_every_time(tmp_path: Path) -> None:
    (target,) = (each for each in TARGETS if each.name == "prices")
    kept = []
    for _ in range(2):
        for path in tmp_path.iterdir():
            path.unlink()
        run_one(target, 7, tmp_path)
        kept.append([(path.name, path.read_bytes()) for path in tmp_path.iterdir()])
    assert kept[0] == kept[1]
    assert rng_of("prices", 7).random() != rng_of("accounts", 7).random()


def _falls_at(seed: int) -> float:
    """The first random number of an input, by which the fakes below know it."""
    return rng_of("fake", seed).random()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_crash_an_error_and_a_warning_are_found_and_the_rest_goes_on(tmp_path: Path) -> None:
    fatal, wrong, odd = _falls_at(5), _falls_at(9), _falls_at(12)

    def fake(rng: Random, folder: Path) -> bool:
        draw = rng.random()
        if draw == fatal:
            os._exit(11)
        if draw == wrong:
            raise Found("a wrong number")
        if draw == odd:
            os.environ[""] = "refused by the system"
        return True

    result = campaign([Target("fake", fake, 1)], 20, 1, 2, tmp_path)
    assert [(finding.seed, finding.message.partition(":")[0].partition(" at ")[0]) for finding in result.findings] == [
        (5, "the process died with exit code 11"),
        (9, "a wrong number"),
        (12, "OSError"),
    ]
    assert result.tallies["fake"].inputs == 20


def test_an_input_that_is_never_done_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(rng: Random, folder: Path) -> bool:
        while True:
            pass

    monkeypatch.setattr("tests.fuzz.target.SECONDS_MAX", 0.05)
    with pytest.raises(Hang):
        run_one(Target("fake", fake, 1), 1, tmp_path)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_the_command_exits_with_1_on_a_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fake(rng: Random, folder: Path) -> bool:
        raise Found("a wrong number")

    monkeypatch.setattr(command, "TARGETS", (Target("fake", fake, 1),))
    monkeypatch.setattr(sys, "argv", ["fuzz", "--inputs", "2", "--seed", "40", "--workers", "1"])
    assert command.main() == 1
    said = capsys.readouterr().out
    assert "fake, seed 41: a wrong number" in said
    assert "again: python -m tests.fuzz --reader fake --seed 40 --inputs 1" in said
    assert "2 inputs in" in said

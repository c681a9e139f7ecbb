"""Many inputs over several processes.

A worker reports each input before it runs it, so that its death can be traced to an input.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from tests.fuzz.target import SECONDS_MAX, Found, Hang, Target, run_one

__all__ = ["FINDINGS_MAX", "Campaign", "Finding", "Tally", "campaign"]

#: A campaign stops after so many findings: what follows is mostly the same.
FINDINGS_MAX = 50
#: Inputs of one reader that a worker does between two reports.
_BLOCK = 500
#: A worker that is at one input for so long, by the clock, waits for something that does not come
#: [s].
_SILENCE_MAX = 12 * SECONDS_MAX
#: Address space that a worker may take beyond what it begins with [bytes]: a length in a damaged
#: file must not fill the machine.
_MEMORY = 4 << 30
#: A line of progress as often as this [s].
_LINE_EVERY = 10.0


class Finding(NamedTuple):
    """What an input did, and how to see it again."""

    reader: str
    seed: int
    message: str

    def __str__(self) -> str:
        """Return the finding and the command that repeats it."""
        again = f"python -m tests.fuzz --reader {self.reader} --seed {self.seed} --inputs 1"
        return f"{self.reader}, seed {self.seed}: {self.message}\n  again: {again}"


@dataclass
class Tally:
    """What became of one reader's inputs."""

    inputs: int = 0
    loaded: int = 0
    seconds: float = 0.0


@dataclass
class Campaign:
    """What a campaign did and found."""

    tallies: dict[str, Tally]
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0


class _Task(NamedTuple):
    target: Target
    first: int
    inputs: int


def campaign(
    targets: Sequence[Target], inputs: int, seed: int, workers: int, folder: Path, say: Callable[[str], None] | None = None
) -> Campaign:
    """Run so many inputs, shared over the targets by weight; ``seed`` is the first of each."""
    for target in targets:
        target.prepare()
    return _Run(targets, inputs, seed, folder, say).run(workers)


def _tasks(targets: Sequence[Target], inputs: int, seed: int) -> list[_Task]:
    """Return blocks of seeds, the readers in turn."""
    whole = sum(target.weight for target in targets)
    left = {target: max(1, inputs * target.weight // whole) for target in targets}
    left[targets[0]] = max(1, left[targets[0]] + inputs - sum(left.values()))
    first = dict.fromkeys(targets, seed)
    tasks = []
    while left:
        for target in list(left):
            count = min(_BLOCK, left[target])
            tasks.append(_Task(target, first[target], count))
            first[target] += count
            left[target] -= count
            if not left[target]:
                del left[target]
    return tasks


class _Worker:
    """One process, and what it was last heard of."""

    def __init__(self, folder: Path, targets: Sequence[Target]) -> None:
        context = multiprocessing.get_context("fork")
        #: Seed that is under way.
        self.seed: Any = context.Value("q", -1, lock=False)
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(theirs, self.seed, folder, targets), daemon=True)
        self.process.start()
        theirs.close()
        self.task: _Task | None = None
        self.seen_seed, self.seen_at = -1, time.monotonic()

    def give(self, task: _Task) -> None:
        self.task, self.seen_seed, self.seen_at = task, -1, time.monotonic()
        self.pipe.send((task.target.name, task.first, task.inputs))

    def is_silent(self) -> bool:
        """Return whether it has been at one input for too long."""
        seed = int(self.seed.value)
        if seed != self.seen_seed:
            self.seen_seed, self.seen_at = seed, time.monotonic()
        return time.monotonic() - self.seen_at > _SILENCE_MAX

    def stop(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _work(pipe: Connection, seed: Any, folder: Path, targets: Sequence[Target]) -> None:
    by_name = {target.name: target for target in targets}
    folder.mkdir(parents=True, exist_ok=True)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if Path("/proc/self/statm").exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (held + _MEMORY, resource.RLIM_INFINITY))
    parent = os.getppid()
    while True:
        while not pipe.poll(1.0):
            if os.getppid() != parent:
                return
        name, first, inputs = pipe.recv()
        loaded, started = 0, time.perf_counter()
        for number in range(first, first + inputs):
            seed.value = number
            try:
                loaded += run_one(by_name[name], number, folder)
            except (Exception, Hang) as error:
                pipe.send(Finding(name, number, _told(error)))
        pipe.send((loaded, time.perf_counter() - started))


def _told(error: BaseException) -> str:
    """Return what was raised, and where."""
    if isinstance(error, Found):
        return str(error)[:500]
    frames = traceback.extract_tb(error.__traceback__)[-1:]
    places = "".join(f" at {Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__}{places}: {str(error)[:400]}"


class _Run:
    """A campaign under way."""

    def __init__(self, targets: Sequence[Target], inputs: int, seed: int, folder: Path, say: Callable[[str], None] | None) -> None:
        self.tasks = _tasks(targets, inputs, seed)[::-1]
        self.total = sum(task.inputs for task in self.tasks)
        self.targets, self.folder, self.say = targets, folder, say
        self.result = Campaign({target.name: Tally() for target in targets})
        self.started = self.said = time.monotonic()

    def run(self, workers: int) -> Campaign:
        working = [_Worker(self.folder / str(number), self.targets) for number in range(min(workers, len(self.tasks)))]
        try:
            for worker in working:
                worker.give(self.tasks.pop())
            while any(worker.task for worker in working) and len(self.result.findings) < FINDINGS_MAX:
                ready = wait([worker.pipe for worker in working if worker.task], timeout=1.0)
                for place, worker in enumerate(working):
                    if worker.task and (worker.pipe in ready or worker.is_silent()):
                        working[place] = self._heard(worker, worker.pipe in ready)
                self._progress()
        finally:
            for worker in working:
                worker.stop()
        self.result.seconds = time.monotonic() - self.started
        return self.result

    def _heard(self, worker: _Worker, has_spoken: bool) -> _Worker:
        """Take what a worker says, or its end; return the worker that goes on."""
        assert worker.task is not None
        try:
            if not has_spoken:
                raise EOFError
            said = worker.pipe.recv()
        except (EOFError, ConnectionError):
            return self._died(worker, hung=not has_spoken)
        if isinstance(said, Finding):
            self._found(said)
            return worker
        tally = self.result.tallies[worker.task.target.name]
        tally.inputs += worker.task.inputs
        tally.loaded += said[0]
        tally.seconds += said[1]
        self._next(worker)
        return worker

    def _next(self, worker: _Worker) -> None:
        worker.task = None
        if self.tasks:
            worker.give(self.tasks.pop())

    def _died(self, worker: _Worker, *, hung: bool) -> _Worker:
        """Blame the input that was under way, and go on after it in a new process."""
        task, seed = worker.task, int(worker.seed.value)
        assert task is not None
        worker.process.join(0.0 if hung else 5.0)
        how = f"hung for more than {_SILENCE_MAX:g} s" if hung else f"the process died with exit code {worker.process.exitcode}"
        self._found(Finding(task.target.name, seed, how))
        self.result.tallies[task.target.name].inputs += seed + 1 - task.first
        worker.stop()
        fresh = _Worker(self.folder / f"after-{worker.process.pid}", self.targets)
        left = task.first + task.inputs - seed - 1
        if left:
            fresh.give(_Task(task.target, seed + 1, left))
        else:
            self._next(fresh)
        return fresh

    def _found(self, finding: Finding) -> None:
        self.result.findings.append(finding)
        if self.say is not None:
            self.say(str(finding))

    def _progress(self) -> None:
        if self.say is None or time.monotonic() - self.said < _LINE_EVERY:
            return
        self.said = time.monotonic()
        done, seconds = sum(tally.inputs for tally in self.result.tallies.values()), self.said - self.started
        self.say(
            f"{done:,} of {self.total:,} inputs, {len(self.result.findings)} findings, {seconds:.0f} s, {done / seconds:,.0f} a second"
        )

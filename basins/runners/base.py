"""The contract of a runner: it has shards done by workers, and loses none. It knows no numerics.

A runner provides `name`, `check()` and `run(tasks, run_path, workers, on_event)`.
1. `check` refuses what can be known before a run is touched: a package or an address that is not there. Seconds, not
   minutes.
2. `run` has every task done by calling `work(run_path, case, shard, attempt)`, the importable function it was made
   with ("module:name"), in any process on any machine that sees run_path; basins.shard:work is idempotent, so a task
   may be done twice, and by two drivers at once. `attempt` counts from 1.
3. It calls `on_event(ShardDone(...))` once a task, from the driver, when `work` has returned: the shard is committed
   then. Order is free.
4. A worker that dies (killed, out of memory, its machine gone) or outlasts its deadline loses nothing but time: the
   event is AttemptLost, and the shard is tried again, at most ATTEMPTS times; then RunError names it. Other shards'
   attempts are not counted for it.
5. An exception that `work` raises is the shard's own and would come again: `run` raises a RunError that names shard
   and cause, with the exception as its cause. Shards already committed stay. Nothing is swallowed, nothing merely
   logged.
6. What is in flight is bounded, whatever the number of tasks.
7. KeyboardInterrupt, in the driver, stops it: what is in flight is given up, workers that it started are ended, and
   it is raised again. What a killed worker leaves is debris that the next run sweeps. A runner ends only processes
   that it started.
8. Workers have one BLAS thread each (ONE_THREAD). `run` returns nothing: whether all is there, the caller looks up in
   the store.
It may assume that tasks are distinct and that the run was created. It must never drop a shard, swallow an error, read
or write the store. Every runner passes tests/runners/test_runners.py.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import traceback
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from basins.errors import BasinsError, RunError
from basins.progress import AttemptLost, Listener, ShardDone
from basins.shard import ShardSummary, Task

Work = Callable[[str, str, int, int], ShardSummary]
WORK = "basins.shard:work"

ATTEMPTS = 5
"""A shard whose worker was lost this many times fails the run."""

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""A worker's environment, set before it imports numpy: as many workers as cores, one thread each."""


class Runner(Protocol):
    """Who works. See this module's docstring."""

    name: str

    def check(self) -> None: ...

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None: ...


class Ledger:
    """What is still to do, and how often each shard was tried: the part of the contract that every runner shares."""

    def __init__(self, tasks: Sequence[Task], on_event: Listener) -> None:
        self.waiting = deque(tasks)
        self.in_flight: set[Task] = set()
        self.attempts: Counter[Task] = Counter()
        self.on_event = on_event

    @property
    def unfinished(self) -> bool:
        return bool(self.waiting or self.in_flight)

    def take(self) -> tuple[Task, int]:
        """The next task and the number of this attempt."""
        task = self.waiting.popleft()
        self.in_flight.add(task)
        self.attempts[task] += 1
        return task, self.attempts[task]

    def done(self, task: Task, summary: ShardSummary) -> None:
        self.in_flight.remove(task)
        self.on_event(ShardDone(summary, self.attempts[task]))

    def lost(self, task: Task, cause: str) -> None:
        """The task's worker is lost: it goes first in line again. Raises RunError at the last attempt."""
        self.in_flight.remove(task)
        self.on_event(AttemptLost(task, self.attempts[task], cause))
        if self.attempts[task] >= ATTEMPTS:
            raise RunError(
                f"{task} lost its worker {ATTEMPTS} times, the last time: {cause}",
                remedy="look for a lack of memory on the workers, then run again: the other shards are kept",
            )
        self.waiting.appendleft(task)


def failure(task: Task, error: BaseException) -> RunError:
    """The RunError of an exception that a shard's computation raised; raise it `from error`."""
    if isinstance(error, BasinsError):
        return RunError(f"{task}: {error.what}", where=error.where, remedy=error.remedy)
    return RunError(
        f"{task} failed: {type(error).__name__}: {error}",
        remedy="the other shards are kept; run with --debug for the traceback, and report it",
    )


def portable(error: Exception) -> Exception:
    """The exception with its traceback as a note, as itself if it survives pickling, else as its words."""
    error.add_note("".join(traceback.format_exception(error)).rstrip())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        words = RuntimeError(f"{type(error).__name__}: {error}")
        words.add_note(error.__notes__[-1])
        return words
    return error


def work_of(name: str) -> Work:
    """The function of "module:name"."""
    module, _, function = name.partition(":")
    return cast(Work, getattr(importlib.import_module(module), function))


def search_path() -> str:
    """PYTHONPATH of a worker on this machine: what the driver can import, it can."""
    return os.pathsep.join(os.path.abspath(entry or ".") for entry in sys.path)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

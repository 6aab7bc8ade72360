"""The contract of a runner: it has workers compute shards and loses none of them. It contains no numerics.

A runner provides `name`, `check()` and `run(tasks, run_path, workers, on_event)`.
1. `check` refuses what can be detected before a run is touched, such as a missing package or an unreachable address.
   It takes seconds, not minutes.
2. For each task, `run` calls `work(run_path, case, shard, attempt)`, the importable function that the runner was made
   with ("module:name"), and then calls what `work` returned, which commits the shard. Both calls may happen in any
   process on any machine that sees run_path. basins.execution.shard:work is idempotent, so a task may be done twice,
   and by two drivers at once. `attempt` counts from 1. A worker commits a shard while it integrates the next (pool.py);
   the inline runner does one after the other.
3. `run` calls `on_event(ShardDone(...))` in the driver once for each task, after the shard is committed, in any order.
4. When a worker dies (killed, out of memory, its machine gone) or exceeds its deadline, only time is lost. The runner
   emits AttemptLost once for each shard that the worker had and tries these shards again, even if the first attempt
   may still be running somewhere. If a shard is lost ATTEMPTS times while no other worker is lost, the shard itself
   kills its workers, and a RunError names it. Where machines come and go, other workers are lost too; such losses are
   not counted against the shard, up to MOST_ATTEMPTS.
   Every attempt has a deadline (ledger.py): the seconds that were asked for, or DEADLINE_FACTOR times the longest that
   a shard of its case took, doubled at each further attempt. The inline runner has none, since it could not abandon
   the attempt.
5. An exception that `work` or the commit raises belongs to the shard and would occur again: `run` raises a RunError
   that names the shard, with the exception as its cause. Shards that are already committed stay. Errors are neither
   swallowed nor merely logged.
6. The number of shards in flight is bounded, whatever the number of tasks, and follows the number of workers: a machine
   that joins gets work.
7. KeyboardInterrupt in the driver stops the run: shards in flight are abandoned, workers that the runner started are
   ended, and the exception is raised again. The next run sweeps what killed workers left behind. A runner ends only
   processes that it started.
8. Each worker has one BLAS thread (ONE_THREAD). `run` returns nothing: the caller looks in the store to see whether the
   run is complete.
A runner may assume that tasks are distinct and that the run was created. It must never drop a shard, swallow an error,
or read or write the store. Every runner passes tests/execution/test_runners.py.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from basins.execution.shard import Commit, Task
from basins.progress import Listener

Work = Callable[[str, str, int, int], Commit]
"""(run_path, case, shard, attempt) -> a function that commits the integrated shard."""

WORK = "basins.execution.shard:work"

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""A worker's environment, set before it imports numpy: there are as many workers as cores, so each has one thread."""


class Runner(Protocol):
    """An execution backend. See this module's docstring."""

    name: str

    def check(self) -> None: ...

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None: ...


def picklable(error: Exception) -> Exception:
    """The exception with its traceback as a note; if it cannot be pickled, a RuntimeError with the same text."""
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
    """PYTHONPATH of a worker on this machine, so that it can import whatever the driver can."""
    return os.pathsep.join(os.path.abspath(entry or ".") for entry in sys.path)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

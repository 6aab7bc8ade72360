"""The contract of a runner: it has shards done by workers, and loses none. It knows no numerics.

A runner provides `name`, `check()` and `run(tasks, run_path, workers, on_event)`.
1. `check` refuses what can be known before a run is touched: a package or an address that is not there. Seconds, not
   minutes.
2. `run` has every task done by calling `work(run_path, case, shard, attempt)`, the importable function it was made
   with ("module:name"), and then what that returns, which commits the shard: in any process on any machine that sees
   run_path. basins.execution.shard:work is idempotent, so a task may be done twice, and by two drivers at once.
   `attempt` counts from 1. A worker commits a shard beside the integration of the next (pool.py; inline, one after
   the other).
3. It calls `on_event(ShardDone(...))` once a task, from the driver, when the shard is committed. Order is free.
4. A worker that dies (killed, out of memory, its machine gone) or outlasts its deadline loses nothing but time: the
   event is AttemptLost, once for each shard that it had, and they are tried again, wherever the first attempt may
   still be at work. A shard that is lost ATTEMPTS times while no other worker is lost kills its workers itself:
   RunError names it. Where machines come and go others are lost too, and such losses are not held against it, up to
   MOST_ATTEMPTS.
   Every attempt has a deadline (ledger.py; inline, where nothing could be given up, has none): seconds that are asked
   for, or SLACK times the longest that a shard of its case took, and twice as many at each further attempt.
5. An exception that `work` or the commit raises is the shard's own and would come again: `run` raises a RunError that
   names shard and cause, with the exception as its cause. Shards already committed stay. Nothing is swallowed, nothing
   merely logged.
6. What is in flight is bounded, whatever the number of tasks, and follows the workers that there are: a machine that
   joins gets work.
7. KeyboardInterrupt, in the driver, stops it: what is in flight is given up, workers that it started are ended, and
   it is raised again. What a killed worker leaves is debris that the next run sweeps. A runner ends only processes
   that it started.
8. Workers have one BLAS thread each (ONE_THREAD). `run` returns nothing: whether all is there, the caller looks up in
   the store.
It may assume that tasks are distinct and that the run was created. It must never drop a shard, swallow an error, read
or write the store. Every runner passes tests/execution/test_runners.py.
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
"""(run_path, case, shard, attempt) -> how to commit what it has integrated."""

WORK = "basins.execution.shard:work"

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""A worker's environment, set before it imports numpy: as many workers as cores, one thread each."""


class Runner(Protocol):
    """Who works. See this module's docstring."""

    name: str

    def check(self) -> None: ...

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None: ...


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

"""Worker processes on this machine, each with a pipe of its own: the death of one is seen at once and touches no other.

A worker is a fresh interpreter (worker.py), not a fork and not multiprocessing's spawn: nothing of the driver's
threads is inherited, and the caller's __main__ is not run again, so notebooks and scripts without a guard work. It
has a process group of its own: Ctrl-C in a terminal reaches the driver alone. When the driver dies, the pipe closes
and the worker ends after the shards it has.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait

from basins.errors import RunError
from basins.execution.base import ONE_THREAD, WORK, cores, search_path
from basins.execution.ledger import Ledger
from basins.execution.pool import Gone, Pool, Word, Worker
from basins.execution.shard import Task
from basins.progress import Listener

PATIENCE = 5.0
"""Seconds within which a worker that closed its pipe has ended."""


class Processes:
    """`workers` processes here. deadline: seconds after which a worker is killed and its shard tried again; None: by
    what shards took so far (ledger.py).
    """

    name = "processes"

    def __init__(self, work: str = WORK, deadline: float | None = None) -> None:
        self.work, self.deadline = work, deadline

    def check(self) -> None:
        """Nothing can be missing."""

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None:
        pool = _Processes(self.work, run_path, min(workers or cores(), len(tasks)))
        try:
            pool.carry_out(Ledger(tasks, on_event, self.deadline))
        finally:
            for worker in pool.workers:  # without a shard, not up yet, or given up: nothing is lost by it
                worker.end()


class _Processes(Pool):
    """So many worker processes, from the first to the last shard."""

    def __init__(self, work: str, run_path: str, count: int) -> None:
        self.work, self.run_path, self.count = work, run_path, count
        self.workers: list[_Process] = []

    def fit(self, ledger: Ledger) -> None:
        while len(self.workers) < self.count:
            self.workers.append(_Process(self.work, self.run_path))

    def heard(self, patience: float | None) -> Iterator[tuple[Worker, Word]]:
        pipes = wait([worker.pipe for worker in self.workers], patience)
        for worker in [worker for worker in self.workers if worker.pipe in pipes]:
            yield worker, worker.word()

    def replace(self, worker: Worker) -> None:
        worker.end()
        self.workers = [other for other in self.workers if other is not worker]  # `fit` starts another


class _Process(Worker):
    """One process, and this end of its pipe."""

    def __init__(self, work: str, run_path: str) -> None:
        super().__init__()
        self.pipe, theirs = Pipe()
        descriptor = theirs.fileno()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "basins.execution.process_worker", str(descriptor), work, run_path],
                pass_fds=[descriptor],
                process_group=0,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": search_path()},
            )
        except OSError as error:
            self.pipe.close()
            raise RunError(f"cannot start a worker: {error}", remedy="give fewer --workers") from error
        finally:
            theirs.close()

    def give(self, task: Task, attempt: int) -> None:
        with suppress(OSError):  # it has just died: the next look at the pipe says so
            self.pipe.send((task.case, task.shard, attempt))

    def has_word(self) -> bool:
        return self.pipe.poll()

    def word(self) -> Word:
        """Its next word; where it is dead, how it died."""
        try:
            word: Word = self.pipe.recv()
        except (EOFError, OSError):
            return Gone(self.death())
        return word

    def death(self) -> str:
        """How a worker that closed its pipe has ended, in words."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def end(self) -> None:
        """SIGKILL works on a stopped process too."""
        self.pipe.close()
        self.process.kill()
        self.process.wait()

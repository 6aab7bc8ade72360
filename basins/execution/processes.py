"""Worker processes on this machine. Each has its own pipe, so the death of one is seen at once and affects no other.

A worker is a fresh interpreter (process_worker.py), neither a fork nor one of multiprocessing's spawned processes: it
inherits none of the driver's threads and does not run the caller's __main__ again, so notebooks and scripts without a
guard work. It has its own process group, so that Ctrl-C in a terminal reaches the driver alone. When the driver dies,
the pipe closes and the worker ends after finishing the shards it has.
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
from basins.execution.pool import Pool, Worker, WorkerDied, WorkerEvent
from basins.execution.shard import Task
from basins.progress import Listener

EXIT_TIMEOUT = 5.0
"""Seconds to wait for a worker that closed its pipe to exit."""


class Processes:
    """The runner with `workers` processes on this machine. deadline: seconds after which a worker is killed and its
    shard tried again; None: derived from the times that shards took so far (ledger.py).
    """

    name = "processes"

    def __init__(self, work: str = WORK, deadline: float | None = None) -> None:
        self.work, self.deadline = work, deadline

    def check(self) -> None:
        """There is nothing to check."""

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None:
        pool = _Processes(self.work, run_path, min(workers or cores(), len(tasks)))
        try:
            pool.run_all(Ledger(tasks, on_event, self.deadline))
        finally:
            for worker in pool.workers:  # each is idle, still starting, or given up, so nothing is lost
                worker.end()


class _Processes(Pool):
    """A fixed number of worker processes, from the first shard to the last."""

    def __init__(self, work: str, run_path: str, count: int) -> None:
        self.work, self.run_path, self.count = work, run_path, count
        self.workers: list[_Process] = []

    def fit(self, ledger: Ledger) -> None:
        while len(self.workers) < self.count:
            self.workers.append(_Process(self.work, self.run_path))

    def poll(self, timeout: float | None) -> Iterator[tuple[Worker, WorkerEvent]]:
        pipes = wait([worker.pipe for worker in self.workers], timeout)
        for worker in [worker for worker in self.workers if worker.pipe in pipes]:
            yield worker, worker.next_event()

    def replace(self, worker: Worker) -> None:
        worker.end()
        self.workers = [other for other in self.workers if other is not worker]  # `fit` starts another


class _Process(Worker):
    """One process and the driver's end of its pipe."""

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
        with suppress(OSError):  # it has just died: the next read of the pipe will show it
            self.pipe.send((task.case, task.shard, attempt))

    def has_event(self) -> bool:
        return self.pipe.poll()

    def next_event(self) -> WorkerEvent:
        """Its next event: WorkerDied if it is dead."""
        try:
            event: WorkerEvent = self.pipe.recv()
        except (EOFError, OSError):
            return WorkerDied(self.death())
        return event

    def death(self) -> str:
        """A description of how a worker that closed its pipe ended."""
        try:
            status = self.process.wait(EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def end(self) -> None:
        """Kill the process. SIGKILL works on a stopped process too."""
        self.pipe.close()
        self.process.kill()
        self.process.wait()

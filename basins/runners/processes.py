"""Worker processes on this machine, each with a pipe of its own: the death of one is seen at once and touches no other.

A worker is a fresh interpreter (worker.py), not a fork and not multiprocessing's spawn: nothing of the driver's
threads is inherited, and the caller's __main__ is not run again, so notebooks and scripts without a guard work. It
has a process group of its own: Ctrl-C in a terminal reaches the driver alone. When the driver dies, the pipe closes
and the worker ends after the shard it is at.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

from basins.errors import RunError
from basins.progress import Listener
from basins.runners.base import ONE_THREAD, WORK, cores, search_path
from basins.runners.ledger import ATTEMPTS, Ledger, failure
from basins.shard import Task

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
        ledger = Ledger(tasks, on_event, self.deadline)
        pool = _Pool(self.work, run_path)
        try:
            pool.start(min(workers or cores(), len(tasks)))
            while ledger.unfinished:
                for worker in pool.workers:
                    if worker.idle and ledger.waiting:
                        worker.give(*ledger.take())
                for worker in pool.ready(ledger.patience()):
                    self.hear(worker, pool, ledger)
                for task in ledger.overdue():
                    worker = pool.at(task)
                    if not worker.pipe.poll():  # else it is the driver who was late
                        pool.replace(worker)
                        ledger.lost(task, ledger.late(task))
        finally:
            for worker in pool.workers:  # idle, not up yet, or given up: nothing is lost by it
                worker.kill()

    def hear(self, worker: _Worker, pool: _Pool, ledger: Ledger) -> None:
        """What a worker says: that it is ready, what came of its task, or nothing more because it is dead."""
        try:
            task, answer = worker.answer()
        except ConnectionError as error:
            pool.replace(worker)
            if worker.task is not None:
                ledger.lost(worker.task, str(error))
                return
            pool.stillborn += 1
            if pool.stillborn >= ATTEMPTS:
                raise _no_start(str(error)) from None
            return
        if isinstance(answer, BaseException):
            raise (_no_start(str(answer)) if task is None else failure(task, answer)) from answer
        if task is None:
            pool.stillborn = 0
        else:
            ledger.done(task, answer)


def _no_start(cause: str) -> RunError:
    return RunError(f"workers do not start: {cause}", remedy="try --on inline, which says more")


class _Pool:
    """The workers of a run. stillborn: how many died without a task since one was last ready."""

    def __init__(self, work: str, run_path: str) -> None:
        self.work, self.run_path = work, run_path
        self.workers: list[_Worker] = []
        self.stillborn = 0

    def start(self, count: int) -> None:
        """Start so many."""
        self.workers.extend(_Worker(self.work, self.run_path) for _ in range(count))

    def ready(self, timeout: float | None) -> list[_Worker]:
        """Workers that have something to say, or are dead; waits for the first, at most `timeout` seconds."""
        pipes = wait([worker.pipe for worker in self.workers], timeout)
        return [worker for worker in self.workers if worker.pipe in pipes]

    def at(self, task: Task) -> _Worker:
        """The worker that is at this task."""
        return next(worker for worker in self.workers if worker.task == task)

    def replace(self, worker: _Worker) -> None:
        """Another worker in the place of one that is dead or given up."""
        worker.kill()
        self.workers[self.workers.index(worker)] = _Worker(self.work, self.run_path)


class _Worker:
    """One process. It says that it is ready, then is given one task at a time."""

    def __init__(self, work: str, run_path: str) -> None:
        self.pipe, theirs = Pipe()
        descriptor = theirs.fileno()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "basins.runners.worker", str(descriptor), work, run_path],
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
        self.idle = False
        self.task: Task | None = None

    def give(self, task: Task, attempt: int) -> None:
        self.task, self.idle = task, False
        with suppress(OSError):  # it has just died: the next look at the pipe says so
            self.pipe.send((task.case, task.shard, attempt))

    def answer(self) -> tuple[Task | None, Any]:
        """The task and its summary or exception; no task where the worker says that it is ready, or why it is not.

        Raises ConnectionError that says what became of a worker that is dead.
        """
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError):
            raise ConnectionError(self.end()) from None
        task, self.task, self.idle = self.task, None, True
        return task, answer

    def end(self) -> str:
        """How a worker that closed its pipe has ended, in words."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def kill(self) -> None:
        """End it, whatever it is at; SIGKILL works on a stopped process too."""
        self.pipe.close()
        self.process.kill()
        self.process.wait()

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
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

from basins.errors import RunError
from basins.progress import Listener
from basins.runners.base import ATTEMPTS, ONE_THREAD, WORK, Ledger, cores, failure, search_path
from basins.shard import Task

PATIENCE = 5.0
"""Seconds within which a worker that closed its pipe has ended."""


class Processes:
    """`workers` processes here. deadline: seconds after which a worker is killed and its shard tried again; None:
    never.
    """

    name = "processes"

    def __init__(self, work: str = WORK, deadline: float | None = None) -> None:
        self.work, self.deadline = work, deadline

    def check(self) -> None:
        """Nothing can be missing."""

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None:
        ledger = Ledger(tasks, on_event)
        pool: list[_Worker] = []
        try:
            pool.extend(_Worker(self.work, run_path) for _ in range(min(workers or cores(), len(tasks))))
            stillborn = 0
            while ledger.unfinished:
                for worker in pool:
                    if worker.idle and ledger.waiting:
                        worker.give(*ledger.take(), deadline=self.deadline)
                for worker in _ready(pool):
                    try:
                        task, answer = worker.answer()
                    except OSError as error:  # EOFError of a dead one becomes one of these, like TimeoutError
                        worker.kill()
                        stillborn += worker.task is None
                        if stillborn >= ATTEMPTS:
                            raise _no_start(str(error)) from None
                        pool[pool.index(worker)] = _Worker(self.work, run_path)
                        if worker.task is not None:
                            ledger.lost(worker.task, str(error))
                        continue
                    if isinstance(answer, BaseException):
                        raise (_no_start(str(answer)) if task is None else failure(task, answer)) from answer
                    if task is not None:
                        ledger.done(task, answer)
        finally:
            for worker in pool:  # idle, not up yet, or given up: nothing is lost by it
                worker.kill()


def _no_start(cause: str) -> RunError:
    return RunError(f"workers do not start: {cause}", remedy="try --on inline, which says more")


def _ready(pool: list[_Worker]) -> list[_Worker]:
    """Workers that have something to say, are dead, or are past their deadline; waits for the first."""
    deadlines = [worker.deadline for worker in pool if worker.deadline is not None]
    timeout = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
    ready = wait([worker.pipe for worker in pool], timeout)
    found = [worker for worker in pool if worker.pipe in ready]
    late = [worker for worker in pool if worker not in found and worker.overdue]
    return found + late


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
        self.deadline: float | None = None

    @property
    def overdue(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def give(self, task: Task, attempt: int, deadline: float | None) -> None:
        self.task, self.idle = task, False
        self.deadline = None if deadline is None else time.monotonic() + deadline
        with suppress(OSError):  # it has just died: the next look at the pipe says so
            self.pipe.send((task.case, task.shard, attempt))

    def answer(self) -> tuple[Task | None, Any]:
        """The task and its summary or exception; no task where the worker says that it is ready, or why it is not.

        Raises an OSError that says what became of a worker that is dead, or TimeoutError for one past its deadline.
        """
        if self.overdue and not self.pipe.poll():
            raise TimeoutError("past its deadline")
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError):
            raise ConnectionError(self.end()) from None
        task, self.task, self.deadline, self.idle = self.task, None, None, True
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

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
from basins.runners.base import ATTEMPTS, ONE_THREAD, WORK, Ledger, cores, failure
from basins.shard import Task

PATIENCE = 5.0
"""Seconds that a worker is given to end by itself."""


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
        stillborn = 0
        clean = False
        try:
            pool.extend(_Worker(self.work, run_path) for _ in range(min(workers or cores(), len(tasks))))
            while ledger.unfinished:
                for worker in pool:
                    if worker.idle and ledger.waiting:
                        worker.give(*ledger.take(), deadline=self.deadline)
                for worker in _ready(pool):
                    try:
                        answer = worker.answer()
                    except (EOFError, OSError):
                        cause = worker.kill() if not worker.overdue else f"past its deadline of {self.deadline:g} s"
                        if worker.task is not None:
                            ledger.lost(worker.task, cause)
                        else:
                            stillborn += 1
                            if stillborn >= ATTEMPTS:
                                raise RunError(
                                    f"workers do not start ({cause})", remedy="what they wrote above says why"
                                ) from None
                        worker.kill()
                        pool[pool.index(worker)] = _Worker(self.work, run_path)
                        continue
                    if answer is None:
                        continue
                    task, result = answer
                    if isinstance(result, BaseException):
                        raise failure(task, result) from result
                    ledger.done(task, result)
            clean = True
        finally:
            for worker in pool:
                worker.dismiss() if clean else worker.kill()
            for worker in pool:
                worker.bury()


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
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(_search_path())},
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

    def answer(self) -> tuple[Task, Any] | None:
        """(task, summary or exception), or None where it only says that it is ready. Raises EOFError if it is dead or
        overdue.
        """
        if not self.pipe.poll() and self.overdue:
            raise TimeoutError("past its deadline")
        result = self.pipe.recv()
        task, self.task, self.deadline, self.idle = self.task, None, None, True
        return None if task is None else (task, result)

    def kill(self) -> str:
        """End it now (SIGKILL works on a stopped process too); how it had ended, in words."""
        self.pipe.close()
        status = self.process.poll()
        if status is None:
            # Its end of the pipe may close a moment before it can be waited for.
            try:
                status = self.process.wait(0.5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                status = self.process.wait()
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"exit status {status}"

    def dismiss(self) -> None:
        """Let it end by itself."""
        self.pipe.close()

    def bury(self) -> None:
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _search_path() -> list[str]:
    """What this process can import, a worker can."""
    return [os.path.abspath(entry or ".") for entry in sys.path]

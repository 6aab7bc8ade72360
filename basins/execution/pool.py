"""A pool of workers, each of which integrates a shard while it writes the previous one; for `processes` and `ray`.

A worker has two threads. The first calls `work`, which integrates a shard and returns a function that commits it; the
second calls that function. So neither waits for the other, and a worker holds the rows of at most WRITING shards
besides the one that it integrates. A worker gets a shard only when it has none to integrate, so no shard queues behind
another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from basins.errors import RunError
from basins.execution.ledger import Ledger, failure
from basins.execution.shard import ShardSummary, Task

WRITING = 2
"""The most shards that a worker may have integrated but not committed when it gets another: one being written, and one
that waits where the store is slower than the integrator."""


@dataclass(frozen=True)
class Ready:
    """The worker has started."""


@dataclass(frozen=True)
class Integrated:
    """The worker has integrated its shard and is writing it."""


@dataclass(frozen=True)
class Committed:
    """A shard of the worker is in the store."""

    task: Task
    summary: ShardSummary


@dataclass(frozen=True)
class Failed:
    """A shard raised an error; if task is None, the worker could not start."""

    task: Task | None
    error: Exception


@dataclass(frozen=True)
class WorkerDied:
    """The worker died. cause: how."""

    cause: str


WorkerEvent = Ready | Integrated | Committed | Failed | WorkerDied
"""A message from a worker, or about its death."""


class Worker(ABC):
    """The driver's view of one worker: whether it has started, and the shards that it has."""

    def __init__(self) -> None:
        self.ready = False
        self.integrating: Task | None = None
        self.writing: list[Task] = []

    @property
    def free(self) -> bool:
        return self.ready and self.integrating is None and len(self.writing) < WRITING

    @property
    def tasks(self) -> list[Task]:
        """The tasks that are lost if this worker dies."""
        return [*self.writing, *([] if self.integrating is None else [self.integrating])]

    @abstractmethod
    def give(self, task: Task, attempt: int) -> None:
        """Have the worker integrate, then commit, this shard."""

    @abstractmethod
    def has_event(self) -> bool:
        """Whether an event of this worker is waiting to be read."""

    @abstractmethod
    def end(self) -> None:
        """End the worker, whatever it is doing, without waiting for long."""


class Pool(ABC):
    """The workers of a run. failed_starts: how many died without a shard since a worker last became ready."""

    workers: Sequence[Worker] = ()
    failed_starts, most_failed_starts = 0, 5

    @abstractmethod
    def fit(self, ledger: Ledger) -> None:
        """Start and end workers to match the available machines and the remaining work."""

    @abstractmethod
    def poll(self, timeout: float | None) -> Iterator[tuple[Worker, WorkerEvent]]:
        """The events of workers; waits for the first one, at most `timeout` seconds."""

    @abstractmethod
    def replace(self, worker: Worker) -> None:
        """End a worker that died or was given up, and make room for another."""

    def run_all(self, ledger: Ledger) -> None:
        """Compute every task in the ledger. The workers are left running.

        Raises RunError for a shard that fails or loses its worker too often, and if workers do not start.
        """
        while ledger.unfinished:
            self.fit(ledger)
            for worker in self.workers:
                if worker.free and ledger.waiting:
                    task, attempt = ledger.take()
                    worker.integrating = task
                    worker.give(task, attempt)
            for worker, event in self.poll(ledger.seconds_to_deadline()):
                self.handle(worker, event, ledger)
            for task in ledger.overdue():
                for worker in self.workers:
                    if task in worker.tasks and not worker.has_event():  # with an event waiting, the driver is late
                        cause = ledger.overdue_message(task)
                        self.replace(worker)
                        ledger.lost(worker.tasks, cause)

    def handle(self, worker: Worker, event: WorkerEvent, ledger: Ledger) -> None:
        """Record an event of a worker."""
        match event:
            case Ready():
                worker.ready, self.failed_starts = True, 0
                ledger.ready()
            case Integrated():
                assert worker.integrating is not None
                worker.writing.append(worker.integrating)
                worker.integrating = None
            case Committed(task, summary):
                worker.writing.remove(task)
                ledger.done(task, summary)
            case Failed(task, error):
                raise (no_start(str(error)) if task is None else failure(task, error)) from error
            case WorkerDied(cause):
                self.replace(worker)
                if worker.tasks:
                    ledger.lost(worker.tasks, cause)
                    return
                self.failed_starts += 1
                if self.failed_starts >= self.most_failed_starts:
                    raise no_start(cause)


def no_start(cause: str) -> RunError:
    """The RunError for workers that cannot start."""
    return RunError(f"workers do not start: {cause}", remedy="try --on inline, which says more")

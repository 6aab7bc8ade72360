"""A pool of workers, each of which integrates one shard while it writes the one before: `processes` and `ray` alike.

A worker has two threads. The first calls `work`, which integrates a shard and returns how to commit it; the second
does that. So neither waits for the other, and a worker holds the rows of WRITING shards at most beside the one that it
integrates. It is given a shard when it has none to integrate: none queues behind another worker's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from basins.errors import RunError
from basins.execution.ledger import Ledger, failure
from basins.execution.shard import ShardSummary, Task

WRITING = 2
"""Shards that a worker has integrated and not committed yet, at most, before it is given another: one under way, one
that waits for it where the store is slower than the integrator."""


@dataclass(frozen=True)
class Ready:
    """A worker is up."""


@dataclass(frozen=True)
class Integrated:
    """A worker has integrated its shard, and is writing it."""


@dataclass(frozen=True)
class Committed:
    """A shard of a worker is in the store."""

    task: Task
    summary: ShardSummary


@dataclass(frozen=True)
class Failed:
    """What a shard raised; no task: why a worker cannot begin."""

    task: Task | None
    error: Exception


@dataclass(frozen=True)
class Gone:
    """A worker is dead, and how it died."""

    cause: str


Word = Ready | Integrated | Committed | Failed | Gone
"""What a worker says."""


class Worker(ABC):
    """What a driver knows of one worker: whether it is up, and the shards that it has."""

    def __init__(self) -> None:
        self.ready = False
        self.integrating: Task | None = None
        self.writing: list[Task] = []

    @property
    def free(self) -> bool:
        return self.ready and self.integrating is None and len(self.writing) < WRITING

    @property
    def tasks(self) -> list[Task]:
        """All that is lost with it."""
        return [*self.writing, *([] if self.integrating is None else [self.integrating])]

    @abstractmethod
    def give(self, task: Task, attempt: int) -> None:
        """Have it integrate, then commit, this shard."""

    @abstractmethod
    def has_word(self) -> bool:
        """Whether it has said something that was not heard yet."""

    @abstractmethod
    def end(self) -> None:
        """End it, whatever it is at, without waiting for long."""


class Pool(ABC):
    """The workers of a run. stillborn: how many died without a shard since one was last ready."""

    workers: Sequence[Worker] = ()
    stillborn, most_stillborn = 0, 5

    @abstractmethod
    def fit(self, ledger: Ledger) -> None:
        """Start and end workers, so that they suit the machines that there are and the work that is left."""

    @abstractmethod
    def heard(self, patience: float | None) -> Iterator[tuple[Worker, Word]]:
        """What workers have said; waits for the first word, at most `patience` seconds."""

    @abstractmethod
    def replace(self, worker: Worker) -> None:
        """Another worker in the place of one that is dead or given up, which is ended."""

    def carry_out(self, ledger: Ledger) -> None:
        """Have everything in the ledger done; nothing is ended here.

        Raises RunError for a shard that fails or loses its worker too often, and for workers that do not start.
        """
        while ledger.unfinished:
            self.fit(ledger)
            for worker in self.workers:
                if worker.free and ledger.waiting:
                    task, attempt = ledger.take()
                    worker.integrating = task
                    worker.give(task, attempt)
            for worker, word in self.heard(ledger.patience()):
                self.hear(worker, word, ledger)
            for task in ledger.overdue():
                for worker in self.workers:
                    if task in worker.tasks and not worker.has_word():  # else it is the driver who was late
                        cause = ledger.late(task)
                        self.replace(worker)
                        ledger.lost(worker.tasks, cause)

    def hear(self, worker: Worker, word: Word, ledger: Ledger) -> None:
        """What a worker has said, noted."""
        match word:
            case Ready():
                worker.ready, self.stillborn = True, 0
            case Integrated():
                assert worker.integrating is not None
                worker.writing.append(worker.integrating)
                worker.integrating = None
            case Committed(task, summary):
                worker.writing.remove(task)
                ledger.done(task, summary)
            case Failed(task, error):
                raise (no_start(str(error)) if task is None else failure(task, error)) from error
            case Gone(cause):
                self.replace(worker)
                if worker.tasks:
                    ledger.lost(worker.tasks, cause)
                    return
                self.stillborn += 1
                if self.stillborn >= self.most_stillborn:
                    raise no_start(cause)


def no_start(cause: str) -> RunError:
    """The RunError of workers that cannot begin."""
    return RunError(f"workers do not start: {cause}", remedy="try --on inline, which says more")

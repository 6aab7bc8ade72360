"""What a driver keeps of its tasks: those to do, those in flight and since when, and what was lost how often."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from basins.errors import BasinsError, RunError
from basins.execution.shard import ShardSummary, Task
from basins.notes import pass_on
from basins.progress import AttemptLost, Listener, ShardDone

ATTEMPTS = 5
"""A shard that was lost this many times, and no other worker meanwhile, fails the run: it is what kills its workers."""

MOST_ATTEMPTS = 50
"""A shard that was lost this many times fails the run, whatever else was lost."""

SLACK, LEAST = 10.0, 60.0
"""A deadline that is not asked for: so many times the longest that a shard of the case took, in seconds at least the
second; none before the case's first shard is back."""


class Ledger:
    """What is still to do, and how often each shard was tried: the part of the contract that every runner shares.

    deadline: seconds that a first attempt may take (inf: no end), or None: by what shards of the case took so far
    (SLACK, LEAST). A shard's later attempts may each take twice as long as the one before.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        on_event: Listener,
        deadline: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.new, self.again = iter(tasks), deque[Task]()
        self.in_flight: dict[Task, float] = {}  # since when
        self.on_event, self.fixed, self.clock = on_event, deadline, clock
        self.longest: dict[str, float] = {}  # by case
        self.attempts: Counter[Task] = Counter()  # of shards that are not done
        self.blamed: Counter[Task] = Counter()
        self.last_loss: dict[Task, tuple[int, int]] = {}  # workers lost and shards done by then
        self.losses = self.finished = 0
        self._look()

    def _look(self) -> None:
        """Fetch the next of the new tasks, so that `waiting` is known."""
        self.next = next(self.new, None)

    @property
    def waiting(self) -> bool:
        return bool(self.again) or self.next is not None

    @property
    def unfinished(self) -> bool:
        return self.waiting or bool(self.in_flight)

    def take(self) -> tuple[Task, int]:
        """The next task, one that was lost before all others, and the number of this attempt."""
        if self.again:
            task = self.again.popleft()
        else:
            assert self.next is not None, "nothing is waiting"
            task = self.next
            self._look()
        self.in_flight[task] = self.clock()
        self.attempts[task] += 1
        return task, self.attempts[task]

    def done(self, task: Task, summary: ShardSummary) -> None:
        took = self.clock() - self.in_flight.pop(task)
        self.longest[task.case] = max(took, self.longest.get(task.case, 0.0))
        self.finished += 1
        for kept in (self.blamed, self.last_loss):
            kept.pop(task, None)
        pass_on(summary.telemetry.notes)
        self.on_event(ShardDone(summary, self.attempts.pop(task)))

    def lost(self, tasks: Sequence[Task], cause: str) -> None:
        """A worker with these tasks is lost, or past the deadline of one: they go first in line again.

        Raises RunError where a shard itself is to blame. A loss is held against it unless, since its loss before,
        another worker was lost too while a shard was done: then machines are going, and the work goes on.
        """
        for task in tasks:
            del self.in_flight[task]
            self.on_event(AttemptLost(task, self.attempts[task], cause))
            losses, done = self.last_loss.get(task, (self.losses, self.finished))
            if not (self.losses > losses and self.finished > done):
                self.blamed[task] += 1
            self.last_loss[task] = self.losses + 1, self.finished
        self.losses += 1
        for task in tasks:
            attempt = self.attempts[task]
            if self.blamed[task] >= ATTEMPTS or attempt >= MOST_ATTEMPTS:
                raise RunError(
                    f"{task} lost its worker {attempt} times, the last time: {cause}",
                    remedy="look for a lack of memory on the workers, then run again: the other shards are kept",
                )
        self.again.extend(tasks)

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def deadline(self, task: Task) -> float:
        """Seconds that the attempt under way may take; inf where there is no end."""
        base = self.fixed
        if base is None:
            seen = self.longest.get(task.case)
            base = float("inf") if seen is None else max(LEAST, SLACK * seen)
        return base * float(2 ** (self.attempts[task] - 1))

    def overdue(self) -> list[Task]:
        """What is in flight past its deadline."""
        now = self.clock()
        return [task for task, since in self.in_flight.items() if now - since >= self.deadline(task)]

    def patience(self) -> float | None:
        """Seconds until the first deadline; None where nothing in flight has one."""
        first = min((since + self.deadline(task) for task, since in self.in_flight.items()), default=float("inf"))
        return None if first == float("inf") else max(0.0, first - self.clock())

    def late(self, task: Task) -> str:
        """What is said of a task past its deadline."""
        return f"past its deadline of {self.deadline(task):.3g} s"


def failure(task: Task, error: BaseException) -> RunError:
    """The RunError of an exception that a shard's computation raised; raise it `from error`."""
    if isinstance(error, BasinsError):
        return RunError(f"{task}: {error.what}", where=error.where, remedy=error.remedy)
    return RunError(
        f"{task} failed: {type(error).__name__}: {error}",
        remedy="the other shards are kept; run with --debug for the traceback, and report it",
    )

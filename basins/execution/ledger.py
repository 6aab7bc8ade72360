"""A driver's record of its tasks: those waiting, those in flight with start times, and how often each was lost."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from basins.errors import BasinsError, RunError
from basins.execution.shard import ShardSummary, Task
from basins.notes import pass_on
from basins.progress import AttemptLost, Listener, ShardDone, WorkerReady

ATTEMPTS = 5
"""The run fails if a shard is lost this many times while no other worker is lost: the shard kills its workers."""

MOST_ATTEMPTS = 50
"""The run fails if a shard is lost this many times, whatever else was lost."""

DEADLINE_FACTOR, LEAST_DEADLINE = 10.0, 60.0
"""The default deadline: DEADLINE_FACTOR times the longest that a shard of the case took, at least LEAST_DEADLINE
seconds. There is none before the case's first shard is done."""


class Ledger:
    """The tasks still to do and how often each was tried: the part of the contract that every runner shares.

    deadline: seconds that a first attempt may take (inf: no limit); None: derived from the times that shards of the
    case took so far (DEADLINE_FACTOR, LEAST_DEADLINE). Each later attempt of a shard may take twice as long as the one
    before.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        on_event: Listener,
        deadline: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.new, self.again = iter(tasks), deque[Task]()
        self.in_flight: dict[Task, float] = {}  # start times
        self.on_event, self.fixed, self.clock = on_event, deadline, clock
        self.longest: dict[str, float] = {}  # by case
        self.attempts: Counter[Task] = Counter()  # for shards that are not done
        self.blamed: Counter[Task] = Counter()
        self.last_loss: dict[Task, tuple[int, int]] = {}  # (losses, finished) at the shard's last loss
        self.losses = self.finished = 0
        self.any_ready = False
        self._fetch()

    def _fetch(self) -> None:
        """Fetch the next new task, so that `waiting` can be answered."""
        self.next = next(self.new, None)

    @property
    def waiting(self) -> bool:
        return bool(self.again) or self.next is not None

    @property
    def unfinished(self) -> bool:
        return self.waiting or bool(self.in_flight)

    def take(self) -> tuple[Task, int]:
        """The next task and the number of its attempt. Tasks that were lost come first."""
        if self.again:
            task = self.again.popleft()
        else:
            assert self.next is not None, "nothing is waiting"
            task = self.next
            self._fetch()
        self.in_flight[task] = self.clock()
        self.attempts[task] += 1
        return task, self.attempts[task]

    def ready(self) -> None:
        """A worker has started; the first one is told of."""
        if not self.any_ready:
            self.any_ready = True
            self.on_event(WorkerReady())

    def done(self, task: Task, summary: ShardSummary) -> None:
        took = self.clock() - self.in_flight.pop(task)
        self.longest[task.case] = max(took, self.longest.get(task.case, 0.0))
        self.finished += 1
        for kept in (self.blamed, self.last_loss):
            kept.pop(task, None)
        pass_on(summary.telemetry.notes)
        self.on_event(ShardDone(summary, self.attempts.pop(task)))

    def lost(self, tasks: Sequence[Task], cause: str) -> None:
        """Record that a worker with these tasks died or exceeded a deadline: the tasks go to the front of the queue.

        Raises RunError if a shard itself is to blame. A loss counts against the shard unless, since its previous loss,
        another worker was lost and a shard was done: then machines are leaving, and the work goes on.
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
                    remedy="check whether the workers run out of memory, then run again: the other shards are kept",
                )
        self.again.extend(tasks)

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def deadline(self, task: Task) -> float:
        """Seconds that the current attempt may take; inf if there is no limit."""
        base = self.fixed
        if base is None:
            seen = self.longest.get(task.case)
            base = float("inf") if seen is None else max(LEAST_DEADLINE, DEADLINE_FACTOR * seen)
        return base * float(2 ** (self.attempts[task] - 1))

    def overdue(self) -> list[Task]:
        """The tasks in flight that are past their deadlines."""
        now = self.clock()
        return [task for task, since in self.in_flight.items() if now - since >= self.deadline(task)]

    def seconds_to_deadline(self) -> float | None:
        """Seconds until the first deadline; None if no task in flight has one."""
        first = min((since + self.deadline(task) for task, since in self.in_flight.items()), default=float("inf"))
        return None if first == float("inf") else max(0.0, first - self.clock())

    def overdue_message(self, task: Task) -> str:
        """The cause that is reported for a task past its deadline."""
        return f"past its deadline of {self.deadline(task):.3g} s"


def failure(task: Task, error: BaseException) -> RunError:
    """The RunError for an exception that a shard's computation raised; raise it `from error`."""
    if isinstance(error, BasinsError):
        return RunError(f"{task}: {error.what}", where=error.where, remedy=error.remedy)
    return RunError(
        f"{task} failed: {type(error).__name__}: {error}",
        remedy="the other shards are kept; run with --debug for the traceback, and report it",
    )

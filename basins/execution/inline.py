"""In this process, one shard after the other: for a debugger, for tests, and where nothing else is to be had."""

from __future__ import annotations

from collections.abc import Sequence

from basins.execution.base import WORK, work_of
from basins.execution.ledger import Ledger, failure
from basins.execution.shard import Task
from basins.progress import Listener


class Inline:
    """Work here. A death is the driver's own, so nothing is retried; `workers` is 1 whatever was asked."""

    name = "inline"

    def __init__(self, work: str = WORK) -> None:
        self.work = work_of(work)

    def check(self) -> None:
        """Nothing can be missing."""

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None:
        ledger = Ledger(tasks, on_event)
        while ledger.unfinished:
            task, attempt = ledger.take()
            try:
                summary = self.work(run_path, task.case, task.shard, attempt)()
            except Exception as error:
                raise failure(task, error) from error
            ledger.done(task, summary)

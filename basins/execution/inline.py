"""Runs shards in this process, one after the other: for debuggers, for tests, and where nothing else is available."""

from __future__ import annotations

from collections.abc import Sequence

from basins.execution.base import WORK, work_of
from basins.execution.ledger import Ledger, failure
from basins.execution.shard import Task
from basins.progress import Listener


class Inline:
    """The runner that works in the driver's process. Nothing is retried, since if the worker dies the driver dies too.
    There is one worker, whatever `workers` asks for."""

    name = "inline"

    def __init__(self, work: str = WORK) -> None:
        self.work = work_of(work)

    def check(self) -> None:
        """There is nothing to check."""

    def run(self, tasks: Sequence[Task], run_path: str, workers: int | None, on_event: Listener) -> None:
        ledger = Ledger(tasks, on_event)
        if ledger.unfinished:
            ledger.ready()
        while ledger.unfinished:
            task, attempt = ledger.take()
            try:
                summary = self.work(run_path, task.case, task.shard, attempt)()
            except Exception as error:
                raise failure(task, error) from error
            ledger.done(task, summary)

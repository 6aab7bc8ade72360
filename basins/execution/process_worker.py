"""The worker process of processes.py: python -m basins.execution.process_worker DESCRIPTOR MODULE:FUNCTION RUN."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any


def main(descriptor: int, work: str, run_path: str) -> None:
    """Send Ready, then integrate each (case, shard, attempt) that arrives and commit it while the next one is
    integrated. Return when the pipe closes because the driver is done or dead; integrated shards are still committed.
    """
    import pyarrow

    from basins import notes
    from basins.execution.base import picklable, work_of
    from basins.execution.pool import Committed, Failed, Integrated, Ready, WorkerEvent
    from basins.execution.shard import Commit, Task

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    notes.keep()
    pipe: Connection[Any, Any] = Connection(descriptor)
    one_at_a_time = Lock()

    def send(event: WorkerEvent) -> None:
        with one_at_a_time, suppress(OSError):  # the driver is gone: the next read of the pipe ends the worker
            pipe.send(event)

    def commit_and_report(task: Task, commit: Commit) -> None:
        try:
            event: WorkerEvent = Committed(task, commit())
        except Exception as error:
            event = Failed(task, picklable(error))
        send(event)

    try:
        function = work_of(work)
    except Exception as error:
        send(Failed(None, picklable(error)))
        return
    send(Ready())
    with ThreadPoolExecutor(1) as writer:
        while True:
            try:
                case, shard, attempt = pipe.recv()
            except (EOFError, OSError):
                return
            task = Task(case, shard)
            try:
                commit = function(run_path, case, shard, attempt)
            except Exception as error:
                send(Failed(task, picklable(error)))
                continue
            send(Integrated())
            writer.submit(commit_and_report, task, commit)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])

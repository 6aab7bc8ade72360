"""A worker process of processes.py: python -m basins.execution.process_worker DESCRIPTOR MODULE:FUNCTION RUN."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any


def main(descriptor: int, work: str, run_path: str) -> None:
    """Say Ready, then integrate what comes, (case, shard, attempt), and commit it beside the next, until the pipe
    closes: the driver is done, or dead, and what is integrated is committed all the same."""
    import pyarrow

    from basins import notes
    from basins.execution.base import portable, work_of
    from basins.execution.pool import Committed, Failed, Integrated, Ready, Word
    from basins.execution.shard import Commit, Task

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    notes.keep()
    pipe: Connection[Any, Any] = Connection(descriptor)
    one_at_a_time = Lock()

    def say(word: Word) -> None:
        with one_at_a_time, suppress(OSError):  # nobody hears it any more: the next look at the pipe ends the worker
            pipe.send(word)

    def put_away(task: Task, commit: Commit) -> None:
        try:
            word: Word = Committed(task, commit())
        except Exception as error:
            word = Failed(task, portable(error))
        say(word)

    try:
        function = work_of(work)
    except Exception as error:
        say(Failed(None, portable(error)))
        return
    say(Ready())
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
                say(Failed(task, portable(error)))
                continue
            say(Integrated())
            writer.submit(put_away, task, commit)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])

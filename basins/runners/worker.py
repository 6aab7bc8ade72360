"""A worker process of processes.py: python -m basins.runners.worker DESCRIPTOR MODULE:FUNCTION RUN."""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection
from typing import Any


def main(descriptor: int, work: str, run_path: str) -> None:
    """Say "ready", then answer tasks (case, shard, attempt) with a summary or the exception, until the pipe closes."""
    import pyarrow

    from basins.runners.base import portable, work_of

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    pipe: Connection[Any, Any] = Connection(descriptor)
    try:
        function = work_of(work)
    except Exception as error:
        pipe.send(portable(error))
        return
    try:
        pipe.send("ready")
    except OSError:
        return  # the driver died while this was starting
    while True:
        try:
            case, shard, attempt = pipe.recv()
        except (EOFError, OSError):
            return  # the driver is done, or dead
        try:
            answer: Any = function(run_path, case, shard, attempt)
        except Exception as error:
            answer = portable(error)
        try:
            pipe.send(answer)
        except OSError:
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])

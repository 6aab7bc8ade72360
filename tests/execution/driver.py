"""A driver to be killed: python driver.py RUN RUNNER WORKERS TRAJECTORIES. It prints a line for every event but that a
worker is ready."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from experiments import tiny

from basins.execution.base import search_path
from basins.execution.run import run
from basins.progress import Event, WorkerReady


def started(path: Path | str, on: str, workers: int = 2, trajectories: int = 6500) -> subprocess.Popen[str]:
    """Such a driver, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, __file__, str(path), on, str(workers), str(trajectories)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        env={**os.environ, "PYTHONPATH": search_path()},
    )


def say(event: Event) -> None:
    if not isinstance(event, WorkerReady):
        print(type(event).__name__, flush=True)


if __name__ == "__main__":
    # Whatever runs the tests in the background makes them ignore Ctrl-C; a terminal would not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run(tiny(trajectories=int(sys.argv[4])), sys.argv[1], on=sys.argv[2], workers=int(sys.argv[3]), listeners=[say])

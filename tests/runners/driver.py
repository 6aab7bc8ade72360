"""A driver to be killed: python driver.py RUN RUNNER WORKERS TRAJECTORIES. It says a line for every event."""

from __future__ import annotations

import signal
import sys

from experiments import tiny

from basins.progress import Event
from basins.runners import run


def say(event: Event) -> None:
    print(type(event).__name__, flush=True)


if __name__ == "__main__":
    # What starts the tests in the background has them ignore Ctrl-C; a terminal would not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run(tiny(trajectories=int(sys.argv[4])), sys.argv[1], on=sys.argv[2], workers=int(sys.argv[3]), listeners=[say])

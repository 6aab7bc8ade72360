"""A driver: `basins run` in a separate process, with its output and its exit status."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

UNPRIVILEGED = "-dac_override,-dac_read_search"


class Driver:
    """One start of the command. status: None while it runs; killed: whether a fault killed it."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], log: Path, plain: bool = False) -> None:
        command = [sys.executable, "-m", "basins.cli", "run", *arguments]
        if plain:  # root's processes too then meet the permissions of files
            command = ["setpriv", f"--bounding-set={UNPRIVILEGED}", f"--inh-caps={UNPRIVILEGED}", *command]
        self.log, self.started, self.ended = log, time.time(), float("inf")
        self.killed: float | None = None
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, process_group=0
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def status(self) -> int | None:
        status = self.process.poll()
        if status is not None and self.ended == float("inf"):
            self.ended = time.time()
        return status

    def kill(self) -> None:
        self.killed = time.time()
        self.process.kill()

    def said(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()

    def error(self) -> str:
        """Its one-line error message, or ""."""
        return next((line for line in reversed(self.said()) if line.startswith("error: ")), "")


def can_drop_privileges() -> bool:
    return shutil.which("setpriv") is not None

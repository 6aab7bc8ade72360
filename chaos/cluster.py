"""The Ray cluster of an episode, seen from outside: its address, its pids, and replacement of dead nodes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from chaos.processes import HERE, end_marked, environment

PATIENCE = 120.0
"""Seconds within which the cluster must start, or answer."""


class RayCluster:
    """A head without CPUs, and `nodes` nodes with one CPU each."""

    def __init__(self, journal: Path, nodes: int = 3) -> None:
        self.journal, self.nodes = journal, nodes
        self.log = (journal / "cluster.log").open("ab")
        self.state: dict[str, Any] = {}

    def start(self) -> RayCluster:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chaos.nodes", str(self.nodes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=HERE.parent,
            env=environment(self.journal),
            process_group=0,
        )
        self._hear()
        return self

    @property
    def address(self) -> str:
        address: str = self.state["address"]
        return address

    @property
    def raylets(self) -> list[int]:
        """The pids of the raylets of the worker nodes, without the head's."""
        pids: list[int] = self.state["raylets"]
        return pids

    def heal(self) -> None:
        """Replace nodes whose raylet is gone."""
        self._send("heal")

    def stop(self) -> None:
        """End whatever is left of the cluster."""
        if hasattr(self, "process"):
            with suppress(OSError):
                self.process.stdin.close()  # type: ignore[union-attr]
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()  # type: ignore[union-attr]
        end_marked(self.journal)

    def _send(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        self._hear()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        begun = time.monotonic()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the Ray cluster did not start or ended; see {self.log.name}")
        if time.monotonic() - begun > PATIENCE:
            raise RuntimeError(f"the Ray cluster took more than {PATIENCE:g} s")
        self.state = json.loads(line)

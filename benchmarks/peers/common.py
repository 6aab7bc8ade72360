"""What a peer is given and what it hands back. Runs in the peers' environment; knows nothing of basins.

A task file (npz) holds one problem, starts to carry to the loss level, and probes whose states at fixed times are
known to rtol 1e-13. A peer answers with a list of rows (JSON), one a method and tolerance. Rates are trajectories a
second of CPU time, the best of several turns, without compiling.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass
class Task:
    """widths; sigma (d_y,); level; starts (N, n); probes (M, n); times (K,); exact (K, M, n); tolerances."""

    widths: list[int]
    sigma: np.ndarray
    level: float
    starts: np.ndarray
    probes: np.ndarray
    times: np.ndarray
    exact: np.ndarray
    tolerances: list[float]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(rows, columns) of each layer."""
        return list(zip(self.widths[1:], self.widths[:-1], strict=True))

    @property
    def target(self) -> np.ndarray:
        """[diag(sigma) 0]."""
        return np.eye(self.widths[-1], self.widths[0]) * self.sigma[:, None]

    def error(self, states: list[np.ndarray]) -> list[float]:
        """Rms error of the probes' states at each of the times."""
        return [float(np.sqrt(np.mean((a - b) ** 2))) for a, b in zip(states, self.exact, strict=True)]

    def check(self, ends: np.ndarray) -> None:
        """Every end is at the level or below it."""
        for end in ends:
            product, at = np.eye(self.widths[0]), 0
            for rows, columns in self.shapes:
                product, at = end[at : at + rows * columns].reshape(rows, columns) @ product, at + rows * columns
            loss = 0.5 * np.sum((self.target - product) ** 2)
            assert loss < self.level * (1 + 1e-6), (loss, self.level)


def best(
    turn: Callable[[], object], count: int, seconds: float, clock: Callable[[], float] = time.process_time
) -> float:
    """`count` over a turn's least time: at least 2 turns, then until `seconds` are gone."""
    until, least, turns = time.perf_counter() + seconds, np.inf, 0
    while turns < 2 or time.perf_counter() < until:
        start = clock()
        turn()
        least, turns = min(least, clock() - start), turns + 1
    return count / least


def serve(answer: Callable[[Task], list[dict]]) -> None:
    """Reads the task named by the first argument and prints the answer as the last line."""
    data = dict(np.load(sys.argv[1]))
    task = Task(
        [int(d) for d in data["widths"]],
        data["sigma"],
        float(data["level"]),
        data["starts"],
        data["probes"],
        data["times"],
        data["exact"],
        [float(tol) for tol in data["tolerances"]],
    )
    print(json.dumps(answer(task)))

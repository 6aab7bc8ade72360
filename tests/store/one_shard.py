"""One case of three shards, and varied limits to write."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from basins.classification.verdict import Limits, VisitTable
from basins.experiment import Experiment

TEXT = """
name = "store"
seed = 18446744073709551615
trajectories = 2500
visits_every = 10
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 3 }
network = { hidden = [2] }
law = { name = "gaussian", scale = 0.5 }
engine = { name = "reference", budget = 1 }
"""


def experiment() -> Experiment:
    return Experiment.from_toml(TEXT, Path())


def limits(N: int = 1024, seed: int = 0) -> Limits:
    """Varied limits: every verdict and reason, unknown ranks, non-finite rows."""
    rng = np.random.default_rng(seed)

    def positive() -> np.ndarray:
        return np.exp(rng.normal(size=N))

    verdict = rng.choice([0, 0, 0, 1, 2], N).astype(np.int8)
    censored = verdict == 2
    loss = positive()
    loss[censored] = rng.choice([np.inf, np.nan, 1.5], censored.sum())
    rank = np.where(verdict == 0, 2, np.where(verdict == 1, 1, -1)).astype(np.int16)
    visits = VisitTable(
        row=np.repeat(np.arange(0, N, 10), 2),
        number=np.tile([0, 1], len(range(0, N, 10))),
        t=rng.random(2 * len(range(0, N, 10))),
        loss=rng.random(2 * len(range(0, N, 10))),
        gradient_norm=rng.random(2 * len(range(0, N, 10))),
        code=np.full(2 * len(range(0, N, 10)), 2**63 + 1, dtype=np.uint64),
        rank=np.full(2 * len(range(0, N, 10)), 2),
    )
    return Limits(
        state=np.zeros((N, 1)),
        time=positive(),
        loss_start=positive() * 1e300,
        loss=loss,
        gradient_norm=positive(),
        verdict=verdict,
        reason=np.where(censored, rng.integers(0, 5, N), -1).astype(np.int8),
        certificate=np.where(censored, -1, np.where(verdict == 1, 3, 0)).astype(np.int8),
        margin=np.where(censored, np.nan, rng.random(N)),
        code=np.where(rank >= 0, np.uint64(2**63 + 1), np.uint64(0)),
        rank=rank,
        evidence={"rank_gap": np.full(N, np.nan)},
        steps=rng.integers(80, 400, N),
        rejected=np.where(censored, -1, rng.integers(0, 20, N)),
        evaluations=rng.integers(500, 2400, N),
        drift=positive() * 1e-12,
        loss_increase=np.zeros(N),
        visits=visits,
    )


def key() -> str:
    return experiment().cases[0].key


def part(run: Path, kind: str, shard: int) -> Path:
    return run / kind / f"case={key()}" / f"part-{shard:08d}.parquet"

"""Runs with chosen times, verdicts and visits, written as a worker writes them, without integration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from forms import DEEP_LINEAR
from numpy.typing import ArrayLike

from basins.classification.verdict import Limits, Reason, VisitTable
from basins.experiment import Case, Experiment
from basins.landscapes.base import Verdict
from basins.landscapes.deep_linear.critical_sets import Certificate
from basins.laws import BLOCK
from basins.run_tables import Run
from basins.store import commit_shard, create_or_resume, files_at
from basins.store.rows import ShardTables, concatenated, tables_of

HEAD = """
name = {name!r}
seed = 1
trajectories = {trajectories}
blocks_per_shard = {blocks_per_shard}
visits_every = {visits_every}
rows = "{rows}"
[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2
[network]
hidden = [2, 2]
"""
GAUSSIAN = '[[case]]\nname = "gaussian"\nlaw = { name = "gaussian", scale = 0.5 }\n'
CONTROL = '[[case]]\nname = "control"\nlaw = { name = "planted", modes = [0], scale = 0.5 }\n'

Visit = tuple[float, int, float]
"""Time, bitmask of the nearest stratum, gradient norm."""


@dataclass
class Fates:
    """The outcomes of a case's ids: t (N,) at the stop; saddles: id -> bitmask; censored ids; visits by id; drift
    (N,) and evaluations (N,)."""

    t: ArrayLike
    saddles: Mapping[int, int] = field(default_factory=dict)
    censored: Sequence[int] = ()
    visits: Mapping[int, Sequence[Visit]] = field(default_factory=dict)
    drift: ArrayLike = 1e-9
    evaluations: ArrayLike = 100


def experiment(
    trajectories: int,
    cases: str = GAUSSIAN,
    rows: str = "all",
    visits_every: int = 1,
    name: str = "made",
    head: str = HEAD,
    blocks_per_shard: int = 1,
) -> Experiment:
    said = head.format(
        name=name,
        trajectories=trajectories,
        blocks_per_shard=blocks_per_shard,
        rows=rows,
        visits_every=visits_every,
    )
    return Experiment.from_toml(said + cases, Path())


def made(out: Path, of: Experiment, fates: Mapping[str, Fates], shards: Sequence[int] | None = None) -> Run:
    """A run at `out` with these outcomes by case name. shards: only these exist. A case without outcomes has no
    shards."""
    files = files_at(out)
    manifest = create_or_resume(files, of)
    for case in of.cases:
        if case.name not in fates:
            continue
        for shard in range(manifest.plan(case).shards) if shards is None else shards:
            commit_shard(files, manifest, case, shard, tables(case, of, manifest.ids(case, shard), fates[case.name]))
    return Run(files)


def tables(case: Case, of: Experiment, ids: range, fates: Fates) -> ShardTables:
    parts = []
    for first in range(ids.start, ids.stop, BLOCK):
        block = range(first, min(first + BLOCK, ids.stop))
        found = limits(case, block, fates, of.visits_every)
        kept = None
        if of.rows == "exceptions":
            watched = np.array([of.visits_every > 0 and id % of.visits_every == 0 for id in block])
            kept = watched | (found.verdict != Verdict.minimum)
        parts.append(tables_of(DEEP_LINEAR, first, found, kept))
    return concatenated(parts)


def limits(case: Case, ids: range, fates: Fates, visits_every: int) -> Limits:
    """The limits of these ids, as an engine and verdict.py would give them."""
    N, d_y = len(ids), case.problem.d_y

    def of(values: ArrayLike) -> np.ndarray:
        return np.broadcast_to(np.asarray(values, dtype=float), (case.trajectories,))[ids.start : ids.stop].copy()

    verdict = np.full(N, Verdict.minimum, dtype=np.int8)
    reason = np.full(N, -1, dtype=np.int8)
    certificate = np.full(N, Certificate.level, dtype=np.int8)
    modes, rank = np.full(N, (1 << d_y) - 1, dtype=np.uint64), np.full(N, d_y, dtype=np.int16)
    loss = np.full(N, 0.4 * case.problem.sigma_min**2)
    for id, mask in fates.saddles.items():
        if id in ids:
            row = id - ids.start
            verdict[row], certificate[row] = Verdict.saddle, Certificate.outlasted
            modes[row], rank[row], loss[row] = mask, mask.bit_count(), case.problem.strata().loss(mask)
    for id in fates.censored:
        if id in ids:
            row = id - ids.start
            verdict[row], certificate[row], reason[row] = Verdict.censored, -1, Reason.evaluation_budget
            modes[row], rank[row], loss[row] = 0, -1, 2.2
    zeros, counts = np.zeros(N), np.ones(N, dtype=np.int64)
    rows = [
        (id - ids.start, number, *visit)
        for id in ids
        if visits_every and id % visits_every == 0
        for number, visit in enumerate(fates.visits.get(id, ()))
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    masks = [int(mask) for mask in columns[3]]
    visits = VisitTable(
        row=np.array(columns[0], dtype=np.int64),
        number=np.array(columns[1], dtype=np.int64),
        t=np.array(columns[2], dtype=float),
        loss=np.array([case.problem.strata().loss(mask) for mask in masks], dtype=float),
        gradient_norm=np.array(columns[4], dtype=float),
        code=np.array(masks, dtype=np.uint64),
        rank=np.array([mask.bit_count() for mask in masks], dtype=np.int64),
    )
    return Limits(
        np.zeros((N, case.problem.n)), of(fates.t), np.full(N, 2.5), loss, zeros, verdict, reason, certificate, zeros,
        modes, rank, {"rank_gap": zeros}, counts, counts, of(fates.evaluations).astype(np.int64), of(fates.drift),
        zeros, visits,
    )  # fmt: skip

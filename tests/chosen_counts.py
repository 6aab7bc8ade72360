"""Counts as chosen, of cases of one small experiment: nothing is integrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from forms import DEEP_LINEAR

from basins.classification.verdict import REASONS, Limits, VisitTable
from basins.estimate import CaseEstimate, Counts, case_estimate
from basins.experiment import Case, Experiment
from basins.landscapes.base import Verdict
from basins.landscapes.deep_linear.critical_sets import Certificate
from basins.run_tables import Run, open_run
from basins.store import commit_shard, create_or_resume, files_at
from basins.store.rows import concatenated, tables_of

Outcome = tuple[str, int] | tuple[str, str, float]
"""("saddle", bitmask of S) or ("censored", reason, loss); an id without one is a minimum."""


HEAD = """
name = "made"
seed = 1
trajectories = {trajectories}
[data]
source = "spectrum"
sigma = {sigma}
d_x = {d_x}
[network]
hidden = {hidden}
"""


GAUSSIAN = '[[case]]\nname = "gaussian"\nlaw = { name = "gaussian", scale = 0.5 }\n'


CONTROL = '[[case]]\nname = "control"\nlaw = { name = "planted", modes = [0], scale = 0.5 }\n'


BALANCED = '[[case]]\nname = "balanced"\nlaw = { name = "balanced" }\n'


TWIN = GAUSSIAN.replace('"gaussian"\nlaw', '"twin"\nlaw') + "engine = { rtol = 1e-9 }\n"


def experiment(
    cases: str = GAUSSIAN, trajectories: int = 3000, sigma: Sequence[float] = (2.0, 1.0), hidden: Sequence[int] = (2, 2)
) -> Experiment:
    head = HEAD.format(trajectories=trajectories, sigma=list(sigma), d_x=len(sigma), hidden=list(hidden))
    return Experiment.from_toml(head + cases, Path())


def limits(case: Case, ids: range, outcomes: Mapping[int, Outcome]) -> Limits:
    """Limits as an engine would give them, with these outcomes."""
    N, d_y = len(ids), case.problem.d_y
    verdict = np.full(N, Verdict.minimum, dtype=np.int8)
    reason = np.full(N, -1, dtype=np.int8)
    certificate = np.full(N, Certificate.level, dtype=np.int8)
    modes, rank = np.full(N, (1 << d_y) - 1, dtype=np.uint64), np.full(N, d_y, dtype=np.int16)
    loss = np.full(N, 0.4 * case.problem.sigma_min**2)
    for row, id in enumerate(ids):
        if id not in outcomes:
            continue
        outcome = outcomes[id]
        if outcome[0] == "saddle":
            verdict[row], certificate[row] = Verdict.saddle, Certificate.outlasted
            modes[row], rank[row] = outcome[1], int(outcome[1]).bit_count()
        else:
            verdict[row], certificate[row] = Verdict.censored, -1
            reason[row], loss[row] = REASONS.index(str(outcome[1])), outcome[2]  # type: ignore[misc]
            modes[row], rank[row] = 0, -1
    zeros, counts = np.zeros(N), np.ones(N, dtype=np.int64)
    nothing = np.empty(0)
    whole = np.empty(0, dtype=np.int64)
    visits = VisitTable(whole, whole, nothing, nothing, nothing, whole.astype(np.uint64), whole)
    return Limits(
        np.zeros((N, case.problem.n)), zeros, zeros, loss, zeros, verdict, reason, certificate, zeros, modes, rank,
        {"rank_gap": zeros}, counts, counts, counts, zeros, zeros, visits,
    )  # fmt: skip


def made(
    out: Path,
    of: Experiment,
    outcomes: Mapping[str, Mapping[int, Outcome]] | None = None,
    shards: Mapping[str, Sequence[int]] | None = None,
) -> Run:
    """A run at `out` with these outcomes by case name; `shards`: only these are there."""
    files = files_at(out)
    manifest = create_or_resume(files, of)
    for case in of.cases:
        plan = manifest.plan(case)
        for shard in range(plan.shards) if shards is None else shards[case.name]:
            blocks = plan.shard(shard)
            parts = []
            for block in blocks:
                ids = plan.ids(range(block, block + 1))
                chosen = (outcomes or {}).get(case.name, {})
                parts.append(tables_of(DEEP_LINEAR, ids.start, limits(case, ids, chosen)))
            commit_shard(files, manifest, case, shard, concatenated(parts))
    return open_run(out)


def counts(minimum: int = 0, saddles: Mapping[int, int] | None = None, losses: Sequence[float] = ()) -> Counts:
    return Counts(minimum, dict(saddles or {}), np.array(losses, dtype=np.float64))


def one(of: Experiment, counted: Counts, **more: Any) -> CaseEstimate:
    return case_estimate(of.cases[0], counted, **more)

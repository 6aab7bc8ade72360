"""A description of a case before it is run: assumptions, strata, the share certified at t = 0, the cost of a
trajectory.

The cost is measured on the case's own first trajectories, so that it represents the run. Seconds are of this machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from basins import laws
from basins.called_late import Printed
from basins.certified_share import CertifiedShare, certified_share
from basins.classification.classify_batch import reduction_in
from basins.experiment import Case, Experiment
from basins.experiment.pilot import timed_batches
from basins.integrators import engine_of
from basins.landscapes.base import Verdict
from basins.landscapes.deep_linear.certificates import ShapeVerdict, can_test
from basins.landscapes.deep_linear.critical_sets import VERDICTS
from basins.landscapes.deep_linear.strata import Stratum
from basins.store import parquet, rows
from basins.store.schemas import Tables

SAMPLE = (1, 4, 15)
"""Trajectories integrated for the cost: 20, in batches, so that slow ones can be cut short."""

LONG_ENOUGH = 10.0
"""No further batch is begun after this many seconds."""

STRATA = 32
"""The most strata that are listed."""

ROW = 40.0
"""Bytes of a row if the sample has only one row."""


@dataclass(frozen=True)
class Cost:
    """The cost of the sampled trajectories: their number; seconds and evaluations for each; counts by verdict; bytes on
    disk for a shard and for a row."""

    trajectories: int
    seconds: float
    evaluations: float
    verdicts: dict[str, int]
    bytes_per_shard: float
    bytes_per_row: float


@dataclass(frozen=True, repr=False)
class Description(Printed):
    """One case. at_start: how many of its first starts are certified to reach a global minimum at t = 0, and by which
    argument. Its `testing` counts the starts for which a saddle without negative curvature is not excluded, so that
    their limits test the conjecture.

    notes: the engine's remarks on this shape; experiment: what the case is of.
    """

    case: Case
    strata: tuple[Stratum, ...]
    at_start: CertifiedShare
    shape: ShapeVerdict
    notes: tuple[str, ...]
    cost: Cost
    experiment: Experiment

    @property
    def planned(self) -> PlannedCase:
        """The case in the plan of a run: blocks, shards, seconds of one worker like this machine, bytes on disk."""
        of_case = self.experiment.plan(self.case)
        return PlannedCase(self.case, of_case.blocks, of_case.shards, self.cost)


def describe(experiment: Experiment, case: Case) -> Description:
    """Describe a case of the experiment without running it."""
    problem = case.problem
    strata = problem.strata()
    listed = tuple(strata[:STRATA]) if strata.listable else ()
    return Description(
        case=case,
        strata=listed,
        at_start=certified_share(problem, case.law, experiment.seed, delta=case.settings.delta),
        shape=can_test(problem.widths),
        notes=_notes(case),
        cost=sample_cost(experiment, case),
        experiment=experiment,
    )


def _notes(case: Case) -> tuple[str, ...]:
    """The smaller problem that is integrated instead, if there is one, and the engine's remarks on it."""
    engine, small = engine_of(case.settings.engine), reduction_in(case.problem, case.settings)
    if small is None:
        return engine.notes(case.problem)
    spared = f"{case.problem.size_text} are integrated as {small.landscape.size_text}: "
    spared += f"{small.landscape.n:,} numbers per state instead of {case.problem.n:,}, the same flow (compression/)"
    return (spared, *engine.notes(small.landscape))


def sample_cost(experiment: Experiment, case: Case) -> Cost:
    """The cost of the case's first 20 trajectories, or of fewer if they are slow."""
    count = min(sum(SAMPLE), case.trajectories)
    starts = laws.starts(case.problem, case.law, experiment.seed, 0)[:count]
    done, seconds, evaluations = 0, 0.0, 0
    verdicts = np.zeros(len(VERDICTS), dtype=np.int64)
    parts = []
    for limits, took in timed_batches(experiment, case, starts, SAMPLE, LONG_ENOUGH):
        evaluations += int(limits.evaluations.sum())
        verdicts += np.bincount(limits.verdict, minlength=len(VERDICTS))
        parts.append(rows.tables_of(Tables.of(case.problem), done, limits))
        done, seconds = done + len(limits), seconds + took
    per_shard, per_row = _bytes(rows.concatenated(parts), parts[0])
    if experiment.rows == "exceptions" and not isinstance(case.law, laws.Planted):
        every = experiment.visits_every
        minima = int(verdicts[Verdict.minimum]) / done
        per_row *= 1 - minima * (1 - (1 / every if every else 0))
    return Cost(
        trajectories=done,
        seconds=seconds / done,
        evaluations=evaluations / done,
        verdicts={verdict.name: int(verdicts[verdict]) for verdict in Verdict},
        bytes_per_shard=per_shard,
        bytes_per_row=per_row,
    )


def _bytes(tables: rows.ShardTables, first: rows.ShardTables) -> tuple[float, float]:
    """Approximate bytes of a shard's three files without rows, and of a row, from the difference between the files of
    `first` and those of all rows."""
    small, large = (sum(parquet.encode(table, {}).size for table in two[:2]) for two in (first, tables))
    few, many = len(first.trajectories), len(tables.trajectories)
    per_row = (large - small) / (many - few) if many > few else ROW
    return large - per_row * many + parquet.encode(first.blocks, {}).size, per_row


@dataclass(frozen=True)
class PlannedCase:
    """A line of the plan. seconds: for one worker like this machine; size: approximate bytes on disk."""

    case: Case
    blocks: int
    shards: int
    cost: Cost

    @property
    def seconds(self) -> float:
        return self.cost.seconds * self.case.trajectories

    @property
    def size(self) -> float:
        return self.cost.bytes_per_shard * self.shards + self.cost.bytes_per_row * self.case.trajectories


def plan(experiment: Experiment) -> tuple[PlannedCase, ...]:
    """The plan of a run of this experiment, with its cost."""
    planned = []
    for case in experiment.cases:
        of_case = experiment.plan(case)
        planned.append(PlannedCase(case, of_case.blocks, of_case.shards, sample_cost(experiment, case)))
    return tuple(planned)

"""A run -> counts -> its estimate."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from basins.errors import RunError
from basins.estimate.case import CaseEstimate, case_estimate, planted_modes
from basins.estimate.counts import Counts
from basins.estimate.pairs import drawn_data
from basins.estimate.pool import PooledEstimate, pool
from basins.limits import REASONS, Reason
from basins.strata import modes_to_mask

if TYPE_CHECKING:
    from basins.experiment import Case
    from basins.store.run import Run

DOUBTFUL = 3
"""So many ids worth a look are kept of each case."""


@dataclass(frozen=True)
class Estimate:
    """What a run says so far: case by case, and pooled."""

    experiment: str
    cases: tuple[CaseEstimate, ...]
    pooled: PooledEstimate

    def to_dict(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "cases": [case.to_dict() for case in self.cases],
            "pooled": self.pooled.to_dict(),
        }


def estimate_run(run: Run) -> Estimate:
    """The estimate of a run, whole or in progress. Raises RunError for a damaged file."""
    from basins.store.commit import check_shards, experiment_text
    from basins.store.verified import read_checks

    check_shards(run.files, run.manifest)
    counted = {case.key: (case, *_count(run, case)) for case in run.manifest.cases}
    checks = read_checks(run.files, run.manifest, run.view.committed)
    outcomes = {key: checks.outcomes(key, counts.trajectories) for key, (_, counts, _, _) in counted.items()}
    by_name = drawn_data(experiment_text(run.files))
    return Estimate(
        experiment=run.manifest.name,
        cases=tuple(case_estimate(*one, outcomes[key]) for key, one in counted.items()),
        pooled=pool(
            [(case, counts) for case, counts, _, _ in counted.values()],
            outcomes,
            {case.key: by_name[case.name] for case in run.manifest.cases if case.name in by_name},
        ),
    )


def _count(run: Run, case: Case) -> tuple[Counts, dict[str, int], list[int]]:
    """Counts over the contiguous prefix of ids, censored rows by reason, and the first ids worth a look."""
    blocks = run.blocks(case.key, contiguous=True)
    N = int(blocks["count"].sum())
    if not np.array_equal(blocks["first_id"], np.concatenate([[0], np.cumsum(blocks["count"])])[:-1]):
        raise RunError("ids are missing between blocks", where=f"{run.path}, case {case.key}", remedy="run it again")
    saddles: Counter[int] = Counter()
    for row in blocks["strata"]:
        for stratum in row:
            if stratum["verdict"] == "saddle":
                saddles[int(stratum["modes"])] += int(stratum["count"])

    losses, reasons = np.empty(0), dict[str, int]()
    if blocks["censored"].any():
        rows = run.trajectories(case.key, ["id", "loss", "reason"], verdict="censored", contiguous=True)
        rows = rows[rows["id"] < N]  # shards may have come since the blocks were read
        losses = rows["loss"].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        losses[(rows["reason"] == REASONS[Reason.rounding]).to_numpy()] = np.nan  # a loss that excludes nothing
        reasons = {str(reason): int(count) for reason, count in rows["reason"].value_counts().items() if count}
    counts = Counts(int(blocks["minimum"].sum()), dict(saddles), losses)
    if counts.trajectories != N:
        raise RunError(
            f"verdicts of {counts.trajectories:,} trajectories are counted, of {N:,} that are there",
            where=f"{run.path}, case {case.key}",
            remedy="a file was changed: move the case's shards away and run again",
        )
    return counts, reasons, _doubtful(run, case, counts)


def _doubtful(run: Run, case: Case, counts: Counts) -> list[int]:
    """The first few ids that are not what the case should show: saddles, or in a control what is not as planted."""
    planted = planted_modes(case.law)
    if planted is None:
        if case.law.null or not counts.saddle:
            return []
        rows = run.trajectories(case.key, ["id"], verdict="saddle", contiguous=True)
    else:
        mask = modes_to_mask(planted)
        if counts.saddles.get(mask, 0) == counts.trajectories:
            return []
        rows = run.trajectories(case.key, ["id", "verdict", "modes"], contiguous=True)
        rows = rows[~((rows["verdict"] == "saddle") & (rows["modes"] == mask).fillna(False))]
    return [int(i) for i in rows["id"][:DOUBTFUL]]

"""Counts the trajectories of a run and estimates its measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from basins.classification.verdict import REASONS, Reason
from basins.errors import RunError
from basins.estimate.case import CaseEstimate, case_estimate, planted_modes
from basins.estimate.counts import Counts
from basins.estimate.frames import Tally, frames_of_run
from basins.estimate.labels import Frames
from basins.estimate.pairs import Draw, drawn_data
from basins.estimate.pool import PooledEstimate, pool
from basins.estimate.proved import Proved, proved_of_run
from basins.estimate.stages import sizes_of
from basins.estimate.table import EstimateTable
from basins.landscapes.base import CriticalSets
from basins.landscapes.deep_linear.strata import modes_to_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from basins.experiment import Case
    from basins.run_tables import Run

DOUBTFUL = 3
"""The number of doubtful ids kept per case."""

ALIKE = 1e-6
"""The relative tolerance within which a settled row's loss is its saddle's critical value. A gradient at rest leaves
1e-12."""


@dataclass(frozen=True, repr=False)
class Estimate(EstimateTable):
    """The estimate of a run so far: case by case, and pooled."""

    experiment: str
    cases: tuple[CaseEstimate, ...]
    pooled: PooledEstimate

    def to_dict(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "cases": [case.to_dict() for case in self.cases],
            "pooled": self.pooled.to_dict(),
        }


class Evidence(NamedTuple):
    """What a run has of one of its cases: counts, censored rows by reason, ids worth a look, frames of checked labels,
    what was proved, random data, sizes of its stages."""

    case: Case
    counts: Counts
    reasons: Mapping[str, int]
    doubtful: Sequence[int]
    frames: Frames | None
    proved: Proved | None
    draw: Draw | None
    sizes: tuple[int, ...]


def evidence(run: Run) -> list[Evidence]:
    """Every case of a run, whole or in progress. Raises RunError for a damaged file."""
    from basins.store.commit import check_shards, damaged_experiment, experiment_text
    from basins.store.verified import read_checks

    check_shards(run.files, run.manifest)
    counted = {case.key: _count(run, case) for case in run.manifest.cases}
    samples = read_checks(run.files, run.manifest)
    frames = frames_of_run(run, samples, {key: one.tally for key, one in counted.items()})
    proved = proved_of_run(run, {key: one.tally.saddle for key, one in counted.items()})
    text = experiment_text(run.files)
    try:
        drawn = drawn_data(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged_experiment(run.files, error) from error
    return [
        Evidence(
            one.case,
            one.counts,
            one.reasons,
            one.doubtful,
            frames.get(key),
            proved.get(key),
            drawn.get(one.case.name),
            sizes_of(run.manifest, [key]),
        )
        for key, one in counted.items()
    ]


def estimate_run(run: Run) -> Estimate:
    """The estimate of a run, whole or in progress. Raises RunError for a damaged file."""
    return estimate_of(run.manifest.name, evidence(run), partial(sizes_of, run.manifest))


def estimate_of(
    name: str, cases: Sequence[Evidence], sizes: Callable[[Iterable[str]], Sequence[int]] = lambda keys: ()
) -> Estimate:
    """The estimate of what is known of these cases. sizes: of the stages that some of them had together, by key."""
    return Estimate(
        experiment=name,
        cases=tuple(
            case_estimate(one.case, one.counts, one.reasons, one.doubtful, one.frames, one.proved, one.sizes)
            for one in cases
        ),
        pooled=pool(
            [(one.case, one.counts) for one in cases],
            {one.case.key: one.frames for one in cases if one.frames is not None},
            {one.case.key: one.draw for one in cases if one.draw is not None},
            {one.case.key: one.proved for one in cases if one.proved is not None},
            sizes,
        ),
    )


BLOCKS = ["first_id", "count", "minimum", "censored", "strata"]


class _Counted(NamedTuple):
    """The counts of a case over the contiguous prefix of ids: counts by limit, censored rows by reason, the first
    doubtful ids, and labels by shard."""

    case: Case
    counts: Counts
    reasons: dict[str, int]
    doubtful: list[int]
    tally: Tally


def _count(run: Run, case: Case) -> _Counted:
    """Count shard by shard, so that a case of any size fits in memory."""
    shards = range(run.contiguous_prefix(case.key))  # shards committed from now on are not counted
    N = censored = 0
    saddles, at_minima = Counter[int](), Counter[int]()
    critical = case.landscape.critical
    column, several = critical.vocabulary.set_column, critical.global_minimum is None
    minima, at_saddles = np.zeros((2, len(shards)), dtype=np.int64)
    for shard, blocks in enumerate(run.stream("blocks", case.key, BLOCKS, shards=shards)):
        ends = N + blocks["count"].cumsum()
        if not (blocks["first_id"] == ends - blocks["count"]).all():
            raise RunError(
                "ids are missing between blocks", where=f"{run.path}, case {case.key}", remedy="run it again"
            )
        N = int(ends.iloc[-1])
        minima[shard] = blocks["minimum"].sum()
        censored += int(blocks["censored"].sum())
        for row in blocks["strata"]:
            for stratum in row:
                if stratum["verdict"] == "saddle":
                    saddles[int(stratum[column])] += int(stratum["count"])
                    at_saddles[shard] += stratum["count"]
                elif stratum["verdict"] == "minimum" and several:
                    at_minima[int(stratum[column])] += int(stratum["count"])

    losses, reasons, settled = np.empty(0), Counter[str](), Counter[int]()
    if censored:
        found = []
        for rows in run.stream("trajectories", case.key, ["loss", "reason"], shards=shards, verdict="censored"):
            loss = rows["loss"].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
            loss[(rows["reason"] == REASONS[Reason.rounding]).to_numpy()] = np.nan  # this loss excludes no stratum
            found.append(loss)
            reasons.update(map(str, rows["reason"]))
            rest = (rows["reason"] == REASONS[Reason.settled]).to_numpy()
            if rest.any():
                settled += _beside(critical, loss[rest])
        losses = np.concatenate(found)
    counts = Counts(int(minima.sum()), dict(saddles), losses, dict(settled), dict(at_minima))
    if counts.trajectories != N:
        raise RunError(
            f"the counts of verdicts add up to {counts.trajectories:,} trajectories instead of {N:,}",
            where=f"{run.path}, case {case.key}",
            remedy="a file was changed: move the case's shards away and run again",
        )
    doubtful = _doubtful(run, case, counts, shards)
    return _Counted(case, counts, dict(sorted(reasons.items())), doubtful, Tally(minima, at_saddles))


def _beside(critical: CriticalSets, losses: NDArray[np.float64]) -> Counter[int]:
    """Settled rows by the code of the saddle whose critical value is their loss, if only one saddle's is that near."""
    found: Counter[int] = Counter()
    saddles = [one for one in critical.listed() or () if one.kind != "global minimum"]
    saddles.sort(key=lambda one: (one.value, one.code))
    rising = [one.value for one in saddles]
    for loss in losses.tolist():
        low, high = np.searchsorted(rising, [loss * (1 - ALIKE), loss * (1 + ALIKE)])
        if high - low == 1:
            found[saddles[int(low)].code] += 1
    return found


def _doubtful(run: Run, case: Case, counts: Counts, shards: range) -> list[int]:
    """The first few ids that are not what the case should show: saddles, or in a control, rows not on the planted
    one."""
    planted, verdict = planted_modes(case.law), None
    if planted is None:
        if case.law.null or not counts.saddle:
            return []
        verdict = "saddle"
    elif counts.saddles.get(modes_to_mask(planted), 0) == counts.trajectories:
        return []
    ids: list[int] = []
    columns = ["id", "verdict"] if planted is None else ["id", "verdict", "modes"]
    for rows in run.stream("trajectories", case.key, columns, shards=shards, verdict=verdict):
        if planted is not None:
            as_planted = (rows["verdict"] == "saddle") & (rows["modes"] == modes_to_mask(planted)).fillna(False)
            rows = rows[~as_planted]
        ids += map(int, rows["id"])
        if len(ids) >= DOUBTFUL:
            break
    return ids[:DOUBTFUL]

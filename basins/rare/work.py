"""The work of a tail that every runner calls: complete one replicate of a case."""

from __future__ import annotations

import numpy as np

from basins.errors import RunError
from basins.execution.shard import Commit, ShardSummary, Task, timed
from basins.experiment import Case
from basins.laws import stream_key
from basins.rare.approach import Approach
from basins.rare.certification_time import CertificationTime
from basins.rare.coordinate import Coordinate
from basins.rare.level_streams import Stream
from basins.rare.record import TailManifest, commit, read_levels, read_manifest, read_population
from basins.rare.replicates import PILOT, SplittingLevel, next_level
from basins.rare.splitting_step import Learned, WhitenedCoordinate, first_population
from basins.rare.whitening import Whitening
from basins.store import Files, files_at

WORK = "basins.rare.work:work"


def work(run: str, case: str, shard: int, attempt: int) -> Commit:
    """Complete replicate `shard` (0: the pilot) of a case in the tail at this path or URI.

    This is idempotent: committed splitting levels are skipped. Each level is committed as soon as it ends, so the
    returned function only gives the summary. The summary counts the trajectories of this call; its digests are empty.
    """
    telemetry = timed()
    files = files_at(run, patient=True)
    manifest = read_manifest(files)
    levels = replicate(files, manifest, manifest.case(case), shard)
    trajectories = sum(level.result.trajectories for level in levels)
    undecided = sum(level.result.undecided for level in levels)
    summary = ShardSummary(
        task=Task(case, shard),
        trajectories=trajectories,
        counts={"decided": trajectories - undecided, "undecided": undecided},
        evaluations=sum(level.result.evaluations for level in levels),
        digests={},
        telemetry=telemetry(bool(levels)),
    )
    return lambda: summary


def replicate(files: Files, manifest: TailManifest, case: Case, number: int) -> list[SplittingLevel]:
    """Complete a replicate. Returns the splitting levels that were computed in this call."""
    plan, key = manifest.plan, stream_key(case.problem, case.law)
    reaction = WhitenedCoordinate(Whitening(case.problem, case.law), _coordinate(case, plan.stratum))
    thresholds, pilot = None, []
    if number != PILOT:
        pilot = [level for level in read_levels(files, case.key, PILOT) if level.result.p > 0]
        thresholds = np.array([level.threshold for level in pilot])
        if not pilot:
            raise RunError(
                "no chain of the pilot is inside its first set",
                where=f"case {case.name!r}",
                remedy="raise the population, or tighten [engine] rtol and atol",
            )
    done = read_levels(files, case.key, number)
    at = done[-1] if done else None
    if at is not None and at.ending:
        return []
    if at is None:
        population = first_population(reaction, plan.population, Stream(plan.seed, key, number, 0))
    else:
        population = read_population(files, case.key, number, at)
    computed = []
    while at is None or not at.ending:
        learned = None
        if number != PILOT:
            there = read_population(files, case.key, PILOT, pilot[0 if at is None else at.number])
            learned = Learned(there.z, there.sizes)
        population, at = next_level(reaction, plan, key, number, population, at, thresholds, learned)
        commit(files, case.key, number, population, at)
        computed.append(at)
    return computed


def _coordinate(case: Case, stratum: int | None) -> Coordinate:
    if stratum is None:
        return CertificationTime(case.problem, case.settings)
    return Approach(case.problem, case.settings, case.problem.strata().saddle(stratum))

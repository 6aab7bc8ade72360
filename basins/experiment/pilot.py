"""The pilot for blocks_per_shard = "auto": it chooses shards that take about SECONDS on one worker like this machine.

When the run is created, the first trajectories of every case are timed. The slowest case determines the number of
blocks in a shard, a power of two. The manifest stores this number, and a resumed run takes it from there without a
second pilot. The bytes of a run depend on its plan, so to get the same bytes on another machine give the number
explicitly.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from basins import laws
from basins.classification.classify_batch import integrate_batch
from basins.classification.verdict import Limits
from basins.experiment import Case, Experiment, watched
from basins.integrators.base import Array
from basins.laws import BLOCK

SECONDS = 30.0
"""The target time of a shard: long compared with the driver's work for it, short compared with what a dead worker
loses."""

SAMPLE = (4, 28, 224)
"""Trajectories timed in each case, in batches."""

LONG = 20.0
"""After this many seconds, for all cases together, a pilot begins no further batch."""

LARGEST = 1024
"""The most blocks in a shard: some 40 MB of rows."""

LEAST_SHARDS = 64
"""A run has at least this many shards if it has enough blocks, so that many workers have work until near the end."""


def decided(experiment: Experiment) -> Experiment:
    """The experiment with a plan: its own, or that of a pilot if it says "auto"."""
    if experiment.blocks_per_shard is not None:
        return experiment
    slowest = max(seconds_per_block(experiment, case) for case in experiment.cases)
    return experiment.changed(blocks_per_shard=blocks_per_shard(slowest, _blocks(experiment)))


def blocks_per_shard(seconds: float, blocks: int) -> int:
    """The number of blocks in a shard, for a run with `blocks` blocks that take `seconds` each."""
    most = min(SECONDS / max(seconds, 1e-9), LARGEST, blocks / LEAST_SHARDS)
    return 1 << max(0, int(np.floor(np.log2(max(most, 1.0)))))


def seconds_per_block(experiment: Experiment, case: Case) -> float:
    """The approximate seconds that a block of the case takes here to draw and integrate, without one-time costs."""
    laws.starts(case.landscape, case.law, experiment.seed, 0)
    begun = time.perf_counter()
    starts = laws.starts(case.landscape, case.law, experiment.seed, 0)
    drawing = time.perf_counter() - begun
    done, seconds = 0, 0.0
    for limits, took in timed_batches(experiment, case, starts, SAMPLE, LONG / len(experiment.cases)):
        done, seconds = done + len(limits), seconds + took
    return drawing + BLOCK * seconds / done


def seconds_a_trajectory(experiment: Experiment, case: Case, long: float) -> float:
    """About how long a trajectory of the case takes here; a batch that takes `long` seconds is the last."""
    starts = laws.starts(case.landscape, case.law, experiment.seed, 0)
    done, seconds = 0, 0.0
    for limits, took in timed_batches(experiment, case, starts[: case.trajectories], SAMPLE, long):
        done, seconds = done + len(limits), seconds + took
    return seconds / done


def timed_batches(
    experiment: Experiment, case: Case, starts: Array, sizes: Iterable[int], long: float
) -> Iterator[tuple[Limits, float]]:
    """The limits of the case's first starts (N, n), in batches of these sizes, and the seconds that each batch took.

    No batch is begun after `long` seconds, or when no start is left.
    """
    watch = watched(np.arange(len(starts)), experiment.visits_every)
    # One-time costs (imports, compilation) do not count.
    once = replace(case.settings, budget=1)
    integrate_batch(case.landscape, starts[:1], once, watch[:1], case.law.null, case.dynamics)
    done, seconds = 0, 0.0
    for size in sizes:
        if done >= len(starts) or (done and seconds >= long):
            return
        part = slice(done, min(done + size, len(starts)))
        begun = time.perf_counter()
        limits = integrate_batch(case.landscape, starts[part], case.settings, watch[part], case.law.null, case.dynamics)
        took = time.perf_counter() - begun
        done, seconds = part.stop, seconds + took
        yield limits, took


def _blocks(experiment: Experiment) -> int:
    return sum(-(-case.trajectories // BLOCK) for case in experiment.cases)

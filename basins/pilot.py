"""The shard plan, chosen once: blocks_per_shard = "auto" asks for shards of about SECONDS on one worker like this
machine.

The first trajectories of every case are timed when the run is created; the slowest case says how many blocks a shard
has, a power of two. The manifest keeps it, and a resumed run takes it from there: no second pilot. The bytes of a run
depend on its plan, so where they are to be the same on another machine the number is to be written down instead.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from basins import laws
from basins.engines.drive import integrate_batch
from basins.experiment import Case, Experiment
from basins.laws import BLOCK

SECONDS = 30.0
"""What a shard should take: long beside what a driver spends on it, short beside what a lost machine costs."""

SAMPLE = (4, 28, 224)
"""Trajectories timed of a case, in batches."""

LONG = 20.0
"""Seconds, shared by all cases, after which a pilot begins no further batch."""

LARGEST = 1024
"""Blocks of a shard at most: some 40 MB of rows."""

LEAST_SHARDS = 64
"""A run has so many shards if it has the blocks, so that there is work for many workers, and some for the last ones."""


def decided(experiment: Experiment) -> Experiment:
    """The experiment with a plan: its own, or by a pilot where it says "auto"."""
    if experiment.blocks_per_shard is not None:
        return experiment
    slowest = max(seconds_a_block(experiment, case) for case in experiment.cases)
    return replace(experiment, blocks_per_shard=blocks_per_shard(slowest, _blocks(experiment)))


def blocks_per_shard(seconds: float, blocks: int) -> int:
    """Blocks of a shard where a block takes so many seconds and the run has so many blocks."""
    most = min(SECONDS / max(seconds, 1e-9), LARGEST, blocks / LEAST_SHARDS)
    return 1 << max(0, int(np.floor(np.log2(max(most, 1.0)))))


def seconds_a_block(experiment: Experiment, case: Case) -> float:
    """About how long a block of the case takes here, drawn and integrated, without what happens once."""
    laws.starts(case.problem, case.law, experiment.seed, 0)
    begun = time.perf_counter()
    starts = laws.starts(case.problem, case.law, experiment.seed, 0)
    drawing = time.perf_counter() - begun
    every = experiment.visits_every
    watch = np.arange(len(starts)) % every == 0 if every else np.zeros(len(starts), dtype=bool)
    integrate_batch(case.problem, starts[:1], replace(case.settings, budget=1), watch[:1])
    done, seconds = 0, 0.0
    for size in SAMPLE:
        part = slice(done, done + size)
        begun = time.perf_counter()
        integrate_batch(case.problem, starts[part], case.settings, watch[part])
        seconds, done = seconds + time.perf_counter() - begun, part.stop
        if seconds >= LONG / len(experiment.cases):
            break
    return drawing + BLOCK * seconds / done


def _blocks(experiment: Experiment) -> int:
    return sum(-(-case.trajectories // BLOCK) for case in experiment.cases)

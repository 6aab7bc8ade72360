"""A shard of work: blocks of ids -> their rows, pure; and the one function that every runner calls to have it done."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from basins import laws
from basins.engines.drive import integrate_batch
from basins.experiment import Case
from basins.laws import BLOCK
from basins.store import (
    Files,
    Kind,
    Manifest,
    ShardTables,
    commit_shard,
    committed_digests,
    files_at,
    is_committed,
    layout,
    parquet,
    refuse_other_versions,
    rows,
)


@dataclass(frozen=True, order=True)
class Task:
    """One shard of one case, by its key."""

    case: str
    shard: int

    def __str__(self) -> str:
        return f"shard {self.shard} of case {self.case}"


@dataclass(frozen=True)
class Telemetry:
    """How one shard came about: everything that may differ from one run to the next.

    started: seconds since 1970; seconds: of computing and writing; peak_memory: the process's largest resident size
    so far, bytes; computed: False where the shard was found done.
    """

    started: float
    seconds: float
    peak_memory: int
    host: str
    pid: int
    computed: bool


@dataclass(frozen=True)
class ShardSummary:
    """What a worker sends back: counts, digests (SHA-256 by kind of file) and telemetry; never rows."""

    task: Task
    trajectories: int
    minimum: int
    saddle: int
    censored: int
    evaluations: int
    digests: Mapping[Kind, str]
    telemetry: Telemetry


def compute_shard(case: Case, seed: int, blocks: range, visits_every: int) -> ShardTables:
    """The rows of consecutive blocks of a case: no store, no clock, the same arguments give the same tables.

    visits are kept for ids divisible by visits_every (0: for none). The case's last block may be partial.
    """
    parts = []
    for block in blocks:
        first_id = block * BLOCK
        count = min(BLOCK, case.trajectories - first_id)
        starts = laws.starts(case.problem, case.law, seed, block)[:count]
        ids = np.arange(first_id, first_id + count)
        watch = ids % visits_every == 0 if visits_every else np.zeros(count, dtype=bool)
        limits = integrate_batch(case.problem, starts, case.settings, watch)
        parts.append(rows.tables_of_block(block, first_id, limits))
    return rows.concatenated(parts)


def work(run: str, case: str, shard: int, attempt: int) -> ShardSummary:
    """Compute a shard of the run at this path or URI and commit it; where it is done already, say what is there.

    Idempotent, so a runner may do it again. attempt (from 1) is for stand-ins that fail on purpose; the bytes do not
    know it.
    """
    clock, started = time.perf_counter(), time.time()
    files = files_at(run)
    manifest = open_manifest(files)
    task, the_case = Task(case, shard), manifest.case(case)
    computed = not is_committed(files, case, shard)
    if computed:
        blocks = manifest.plan(the_case).shard(shard)
        tables = compute_shard(the_case, manifest.seed, blocks, manifest.visits_every)
        digests = commit_shard(files, manifest, the_case, shard, tables)
        counts = tables.blocks
    else:
        digests = committed_digests(files, case, shard)
        counts = parquet.read(files, layout.part("blocks", case, shard))
    total = {name: sum(counts[name].to_pylist()) for name in ("count", "minimum", "saddle", "censored", "evaluations")}
    return ShardSummary(
        task=task,
        trajectories=total["count"],
        minimum=total["minimum"],
        saddle=total["saddle"],
        censored=total["censored"],
        evaluations=total["evaluations"],
        digests=digests,
        telemetry=Telemetry(
            started=started,
            seconds=time.perf_counter() - clock,
            peak_memory=peak_memory(),
            host=socket.gethostname(),
            pid=os.getpid(),
            computed=computed,
        ),
    )


def open_manifest(files: Files) -> Manifest:
    """The run's manifest, parsed once a process. Raises RunError if this process's packages are not the run's."""
    return _parsed(files.get(layout.MANIFEST), files.uri)


@lru_cache(maxsize=4)
def _parsed(data: bytes, where: str) -> Manifest:
    # Keyed by content: a process may outlive a run, and find another one at the same path.
    manifest = Manifest.from_json(data, where)
    refuse_other_versions(manifest, where)
    return manifest


def peak_memory() -> int:
    """The largest resident size of this process so far, bytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size

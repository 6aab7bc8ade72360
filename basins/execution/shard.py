"""A shard of work: `compute_shard`, a pure function from blocks of ids to rows, and `work`, which runners call."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pyarrow as pa

from basins import laws
from basins.classification.classify_batch import integrate_batch
from basins.experiment import Case, watched
from basins.experiment.document import Rows
from basins.landscapes.base import Verdict
from basins.laws import BLOCK
from basins.notes import Note, kept
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
from basins.store.committed import short_shards
from basins.store.schemas import Tables

BATCH, MEMORY = 16, 1 << 21
"""BATCH blocks are integrated together, fewer if their starts would take more than MEMORY bytes: an engine's lanes run
empty only at the end of a batch. The output does not depend on either number."""


@dataclass(frozen=True, order=True)
class Task:
    """One shard of one case. case: the case's key."""

    case: str
    shard: int

    def __str__(self) -> str:
        return f"shard {self.shard} of case {self.case}"


@dataclass(frozen=True)
class Telemetry:
    """How one shard was computed: everything that may differ from one run to the next.

    started: seconds since 1970; seconds: from then until it was committed; peak_memory: the process's largest resident
    size so far, bytes; computed: False if the shard was already done; notes: messages of this worker (notes.py).
    """

    started: float
    seconds: float
    peak_memory: int
    host: str
    pid: int
    computed: bool
    notes: tuple[Note, ...] = ()


def timed() -> Callable[[bool], Telemetry]:
    """Start a clock. Call the returned function with `computed` to get the Telemetry since then."""
    clock, started = time.perf_counter(), time.time()

    def telemetry(computed: bool) -> Telemetry:
        return Telemetry(
            started=started,
            seconds=time.perf_counter() - clock,
            peak_memory=peak_memory(),
            host=socket.gethostname(),
            pid=os.getpid(),
            computed=computed,
            notes=kept(),
        )

    return telemetry


@dataclass(frozen=True)
class ShardSummary:
    """What a worker sends back: counts, digests (SHA-256 by kind of file) and telemetry, but never rows.

    counts: numbers of its trajectories by outcome, in the order in which they are printed; for a shard, by verdict.
    """

    task: Task
    trajectories: int
    counts: Mapping[str, int]
    evaluations: int
    digests: Mapping[Kind, str]
    telemetry: Telemetry


Commit = Callable[[], ShardSummary]
"""Writes an integrated shard to the store and returns its summary."""


def compute_shard(case: Case, seed: int, blocks: range, visits_every: int, keep: Rows = "all") -> ShardTables:
    """The rows of consecutive blocks of a case. It uses no store and no clock: the same arguments give the same tables.

    Ids divisible by visits_every (0: none) are watched, and their visits are kept. keep: which rows of the trajectories
    are kept: "all", or "exceptions", which are the rows that are not `minimum` and those that are watched. For a
    planted case, whose minima are the exceptions, all rows are kept. The case's last block may be partial.
    """
    together = max(1, min(BATCH, MEMORY // (8 * BLOCK * case.landscape.n)))
    tables, parts = Tables.of(case.landscape), []
    for first in blocks[::together]:
        batch = range(first, min(first + together, blocks.stop))
        ids = np.arange(first * BLOCK, min(batch.stop * BLOCK, case.trajectories))
        drawn = [laws.starts(case.landscape, case.law, seed, block) for block in batch]
        watch = watched(ids, visits_every)
        starts = np.concatenate(drawn)[: len(ids)]
        limits = integrate_batch(case.landscape, starts, case.settings, watch, case.law.null, case.dynamics)
        kept = None
        if keep == "exceptions" and not isinstance(case.law, laws.Planted):
            kept = watch | (limits.verdict != Verdict.minimum)
        parts.append(rows.tables_of(tables, int(ids[0]), limits, kept))
    return rows.concatenated(parts)


def work(run: str, case: str, shard: int, attempt: int) -> Commit:
    """Integrate a shard of the run at this path or URI, unless it is committed already. The returned function commits
    it and returns its summary; it may be called while the next shard is integrated.

    This is idempotent, so a runner may call it again. attempt (from 1) is for test doubles that fail on purpose; the
    output does not depend on it.
    """
    telemetry = timed()
    files = files_at(run, patient=True)
    manifest = open_manifest(files)
    task, the_case = Task(case, shard), manifest.case(case)
    if is_committed(files, case, shard) and shard not in short_shards(files, manifest, the_case):
        counts = parquet.read(files, layout.part("blocks", case, shard))
        summary = _summary(task, the_case, counts, committed_digests(files, case, shard), telemetry(False))
        return lambda: summary
    if warm(the_case, manifest.seed):
        telemetry = timed()  # what is compiled once in a process is no shard's time
    blocks, ids = manifest.plan(the_case).shard(shard), manifest.ids(the_case, shard)
    tables = compute_shard(the_case, manifest.seed, blocks, manifest.visits_every, manifest.rows)

    def commit() -> ShardSummary:
        if len(ids) < BLOCK * manifest.blocks_per_shard:  # it may be longer by now
            now = open_manifest(files)
            if now.ids(now.case(case), shard) != ids:
                return work(run, case, shard, attempt)()
        digests = commit_shard(files, manifest, the_case, shard, tables)
        return _summary(task, the_case, tables.blocks, digests, telemetry(True))

    return commit


_WARM: set[str] = set()


def warm(case: Case, seed: int) -> bool:
    """Import and compile what the case needs, if this process has not yet; whether it had to."""
    if case.key in _WARM:
        return False
    _WARM.add(case.key)
    start = laws.starts(case.landscape, case.law, seed, 0)[:1]
    once, unwatched = replace(case.settings, budget=1), np.zeros(1, dtype=bool)
    integrate_batch(case.landscape, start, once, unwatched, case.law.null, case.dynamics)
    return True


def _summary(
    task: Task, case: Case, counts: pa.Table, digests: Mapping[Kind, str], telemetry: Telemetry
) -> ShardSummary:
    verdicts = case.landscape.critical.vocabulary.verdicts
    total = {name: sum(counts[name].to_pylist()) for name in ("count", *verdicts, "evaluations")}
    return ShardSummary(
        task=task,
        trajectories=total["count"],
        counts={name: total[name] for name in verdicts},
        evaluations=total["evaluations"],
        digests=digests,
        telemetry=telemetry,
    )


def open_manifest(files: Files) -> Manifest:
    """The run's manifest, parsed once per process. Raises RunError if package versions differ from the run's."""
    return _parsed(files.get(layout.MANIFEST), files.uri)


@lru_cache(maxsize=4)
def _parsed(data: bytes, where: str) -> Manifest:
    # The cache is keyed by content, since a process may outlive a run and find another one at the same path.
    manifest = Manifest.from_json(data, where)
    refuse_other_versions(manifest, where)
    return manifest


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size

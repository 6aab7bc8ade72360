"""Computes blocks again with the run's own engine: counts, kept rows and visits must equal those on disk bit for bit.

This checks the rows that rows = "exceptions" does not keep: they are in their block's counts, and only the same
computation can tell whether those are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from basins.execution.extension import compute_rows
from basins.execution.shard import compute_shard
from basins.experiment import Case
from basins.laws import BLOCK
from basins.show import Row
from basins.store import Kind, Manifest, layout, parquet
from basins.store.layers import Layer
from basins.store.schemas import Tables
from basins.verify.finding import Finding, Trouble
from basins.verify.shard_source import ShardSource
from basins.verify.shards import ShardCheck, Step


@dataclass(frozen=True)
class RecomputedBlocks:
    """blocks: number of blocks computed again; findings: differences; outside: number of rows that differ and may
    (certified at t = 0 or come to rest: their numbers are LAPACK's, design.md, Bytes); skipped: why no block was
    computed.
    """

    blocks: int
    findings: tuple[Finding, ...] = ()
    outside: int = 0
    skipped: str = ""


def recompute_blocks(
    manifest: Manifest,
    shard_sources: Sequence[ShardSource],
    good: Sequence[ShardCheck],
    blocks: int,
    seed: int,
    step: Step,
) -> RecomputedBlocks:
    """Compute blocks of good shards again, in the base and in layers. `seed` draws them, each block with the same
    chance. shard_sources: by number of the layer, 0 for the base.
    """
    ends = np.cumsum([len(one.blocks) for one in good], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    rng = np.random.Generator(np.random.Philox(key=[seed, 0]))
    drawn = np.sort(rng.choice(max(1, total), min(blocks, total), replace=False))
    findings: list[Finding] = []
    outside = 0
    for done, number in enumerate(drawn):
        step("blocks computed again", done, len(drawn))
        at = int(np.searchsorted(ends, number, side="right"))
        one = good[at]
        block = one.blocks[int(number - ends[at])]
        wrong, may = _compare(shard_sources[one.layer], manifest, manifest.case(one.case), one.shard, block)
        findings += wrong
        outside += may
    return RecomputedBlocks(len(drawn), tuple(findings), outside)


def _compare(place: ShardSource, manifest: Manifest, case: Case, shard: int, block: int) -> tuple[list[Finding], int]:
    ids = range(block * BLOCK, min((block + 1) * BLOCK, case.trajectories))
    inside = (pc.field("id") >= ids.start) & (pc.field("id") < ids.stop)
    where = {"trajectories": inside, "visits": inside, "blocks": pc.field("block") == block}
    there = {
        kind: parquet.with_whole_vocabulary(
            parquet.read(place.files, layout.part(kind, case.key, shard), where=where[kind]).replace_schema_metadata(
                None
            ),
            Tables.of(case.landscape).words,
        )
        for kind in layout.COMMIT_ORDER
    }
    if isinstance(place.contents, Layer):  # contents.py checks a layer's blocks by adding up its rows
        again = compute_rows(place.contents, case, there["trajectories"]["id"].to_numpy())
        compared: tuple[Kind, ...] = ("visits",)
    else:
        again = compute_shard(case, manifest.seed, range(block, block + 1), manifest.visits_every, manifest.rows)
        compared = ("visits", "blocks")
    differ = _rows_that_differ(there["trajectories"], again.trajectories)
    may = {id for id, rows in differ.items() if _may_differ(Tables.of(case.landscape).set_column, *rows)}
    findings: list[tuple[Kind, str]] = []
    must_not = differ.keys() - may
    if must_not:
        what = f"id {min(must_not)} computed again gives another row ({len(must_not)} of its block differ)"
        findings.append(("trajectories", what))
    # The numbers of a row that may differ are also in the block's sums, and its visits may differ too.
    tolerant = bool(may) or case.settings.at_start
    for kind in compared:
        if not tolerant and not there[kind].equals(getattr(again, kind)):
            findings.append((kind, f"block {block} computed again gives other {kind}"))
    located = [
        place.finding(layout.part(kind, case.key, shard), what, Trouble.computed, case.key, shard)
        for kind, what in findings
    ]
    return located, len(may)


def _rows_that_differ(there: pa.Table, again: pa.Table) -> dict[int, tuple[Row | None, Row | None]]:
    if there.equals(again):
        return {}
    old, new = ({row["id"]: row for row in table.to_pylist()} for table in (there, again))
    pairs = {id: (old.get(id), new.get(id)) for id in old.keys() | new.keys()}
    return {
        id: rows for id, rows in pairs.items() if repr(rows[0]) != repr(rows[1])
    }  # every digit, and nan equal to nan


def _may_differ(set_column: str, old: Row | None, new: Row | None) -> bool:
    """Whether a row's numbers may differ between CPUs. Its limit must be the same."""
    if old is None or new is None or any(old[name] != new[name] for name in ("verdict", set_column, "certificate")):
        return False
    return old["certificate"] in ("rate", "rank", "outlasted") or old["reason"] == "settled"

"""Converts limits into the three tables of a shard: narrow types, null for unknown values, the same bytes on any
machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from basins.classification.verdict import Limits, VisitTable
from basins.landscapes.base import Codes
from basins.laws import BLOCK
from basins.store import schemas
from basins.store.schemas import Tables

Ids = NDArray[np.int64]


class ShardTables(NamedTuple):
    """A shard's tables, with one row per trajectory, per visit and per block."""

    trajectories: pa.Table
    visits: pa.Table
    blocks: pa.Table


def concatenated(parts: Sequence[ShardTables]) -> ShardTables:
    """The tables of consecutive ids, concatenated, with one chunk per column."""
    tables = (pa.concat_tables(list(tables)).combine_chunks() for tables in zip(*parts, strict=True))
    return ShardTables(*tables)


def tables_of(tables: Tables, first_id: int, limits: Limits, kept: NDArray[np.bool_] | None = None) -> ShardTables:
    """The tables of the ids first_id, first_id + 1, ..., whose limits are given. kept (N,): which of them have a row in
    the table of trajectories.

    Every block that has ids here gets a row that counts all of these ids, whether their own rows are kept or not.
    """
    return tables_of_ids(tables, np.arange(first_id, first_id + len(limits), dtype=np.int64), limits, kept)


def tables_of_ids(tables: Tables, ids: Ids, limits: Limits, kept: NDArray[np.bool_] | None = None) -> ShardTables:
    """The same for any ascending ids (N,). A block's row counts only those of its ids that are given."""
    edges = [0, *(np.flatnonzero(np.diff(ids // BLOCK)) + 1).tolist(), len(ids)]
    return ShardTables(
        trajectories=_trajectories(tables, ids, limits, slice(None) if kept is None else np.flatnonzero(kept)),
        visits=_visits(tables, ids, limits.visits),
        blocks=pa.Table.from_pylist(
            [_block(tables, int(ids[a]), limits, slice(a, b)) for a, b in pairwise(edges)], schema=tables.blocks
        ),
    )


def _trajectories(tables: Tables, ids: Ids, limits: Limits, kept: slice | NDArray[np.int64]) -> pa.Table:
    return _table(
        tables.trajectories,
        id=ids[kept],
        verdict=words_of(limits.verdict[kept], tables.words["verdict"]),
        certificate=words_of(limits.certificate[kept], tables.words["certificate"]),
        reason=words_of(limits.reason[kept], tables.words["reason"]),
        **_set(tables, limits.code[kept], limits.rank[kept]),
        margin=_float32(limits.margin[kept]),
        loss_start=_float32(limits.loss_start[kept]),
        loss=_float64(limits.loss[kept]),
        gradient_norm=_float32(limits.gradient_norm[kept]),
        **{name: _float32(limits.evidence[name][kept]) for name in tables.evidence},
        t=limits.time[kept],
        steps=_counts(limits.steps[kept]),
        rejected=_counts(limits.rejected[kept]),
        evaluations=_counts(limits.evaluations[kept]),
        drift=_float32(limits.drift[kept]),
        loss_increase=_float32(limits.loss_increase[kept]),
    )


def _visits(tables: Tables, ids: Ids, visits: VisitTable) -> pa.Table:
    return _table(
        tables.visits,
        id=ids[visits.row],
        number=_counts(visits.number),
        t=visits.t,
        loss=_float64(visits.loss),
        gradient_norm=_float32(visits.gradient_norm),
        **_set(tables, visits.code, visits.rank),
    )


def _block(tables: Tables, first_id: int, limits: Limits, part: slice) -> dict[str, Any]:
    names = tables.vocabulary.verdicts
    verdicts = np.bincount(limits.verdict[part], minlength=len(names))
    return {
        "block": first_id // BLOCK,
        "first_id": first_id,
        "count": part.stop - part.start,
        **dict(zip(names, map(int, verdicts), strict=True)),
        "strata": _counted_sets(tables, limits.verdict[part], limits.code[part], limits.rank[part]),
        "evaluations": int(limits.evaluations[part].sum()),
        "steps": int(limits.steps[part].sum()),
        "worst_drift": _worst(limits.drift[part]),
        "worst_loss_increase": _worst(limits.loss_increase[part]),
        "log2_t": np.bincount(schemas.octave(limits.time[part]), minlength=schemas.LOG2_T_BINS).tolist(),
    }


def _counted_sets(tables: Tables, verdict: NDArray[np.int8], codes: Codes, rank: NDArray[Any]) -> list[dict[str, Any]]:
    """Counts by verdict and critical set, sorted, with an unknown set (null) after the known ones of its verdict."""
    column, names = tables.set_column, tables.vocabulary.verdicts
    found: list[dict[str, Any]] = []
    for code in np.flatnonzero(np.bincount(verdict)):
        rows = verdict == code
        known = rows & (rank >= 0)
        for mask, count in zip(*np.unique(codes[known], return_counts=True), strict=True):
            found.append({column: int(mask), "verdict": names[code], "count": int(count)})
        unknown = int(np.count_nonzero(rows) - np.count_nonzero(known))
        if unknown:
            found.append({column: None, "verdict": names[code], "count": unknown})
    return found


def _worst(values: NDArray[np.float64]) -> float | None:
    numbers = values[~np.isnan(values)]
    return float(numbers.max()) if len(numbers) else None


# --- columns ---------------------------------------------------------------------------------------------------------


def _table(schema: pa.Schema, **columns: Any) -> pa.Table:
    arrays = [
        value if isinstance(value, pa.Array) else pa.array(value, field.type)
        for field, value in ((field, columns[field.name]) for field in schema)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def words_of(codes: NDArray[np.int8], words: tuple[str, ...]) -> pa.Array:
    """Codes as text, -1 as null. The dictionary is always the whole vocabulary, whichever words occur."""
    indices = pa.array(codes, pa.int8(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()))


def _float64(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _float32(values: NDArray[np.float64]) -> pa.Array:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # values out of float32's range become inf or 0
        narrow = values.astype(np.float32)
    return pa.array(narrow, pa.float32(), mask=np.isnan(values))


def _counts(values: NDArray[np.int64]) -> pa.Array:
    return pa.array(np.maximum(values, 0), pa.uint32(), mask=values < 0)


def _set(tables: Tables, codes: Codes, rank: NDArray[Any]) -> dict[str, pa.Array]:
    unknown = rank < 0
    return {
        tables.set_column: pa.array(codes, pa.uint64(), mask=unknown),
        "rank": pa.array(np.maximum(rank, 0).astype(np.uint8), pa.uint8(), mask=unknown),
    }

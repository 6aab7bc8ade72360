"""Limits -> rows: the three tables of a shard. Narrow types, null for what is not known, the same bytes wherever it
runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from basins.limits import CERTIFICATES, REASONS, VERDICTS, Limits, Verdict, VisitTable
from basins.store import schemas

Ids = NDArray[np.int64]


class ShardTables(NamedTuple):
    """A shard's rows: one a trajectory, one a visit, one a block."""

    trajectories: pa.Table
    visits: pa.Table
    blocks: pa.Table


def concatenated(parts: Sequence[ShardTables]) -> ShardTables:
    """The tables of several blocks, one after the other, in one chunk a column."""
    tables = (pa.concat_tables(list(tables)).combine_chunks() for tables in zip(*parts, strict=True))
    return ShardTables(*tables)


def tables_of_block(block: int, first_id: int, limits: Limits) -> ShardTables:
    """The rows of one block, whose limits are those of the ids first_id, first_id + 1, ..."""
    ids = np.arange(first_id, first_id + len(limits), dtype=np.int64)
    return ShardTables(
        trajectories=_trajectories(ids, limits),
        visits=_visits(ids, limits.visits),
        blocks=_block(block, first_id, limits),
    )


def _trajectories(ids: Ids, limits: Limits) -> pa.Table:
    return _table(
        schemas.TRAJECTORIES,
        id=ids,
        verdict=_words(limits.verdict, VERDICTS),
        certificate=_words(limits.certificate, CERTIFICATES),
        reason=_words(limits.reason, REASONS),
        **_stratum(limits.modes, limits.rank),
        margin=_float32(limits.margin),
        loss_start=_float32(limits.loss_start),
        loss=_float64(limits.loss),
        gradient_norm=_float32(limits.gradient_norm),
        rank_gap=_float32(limits.rank_gap),
        t=limits.time,
        steps=_counts(limits.steps),
        rejected=_counts(limits.rejected),
        evaluations=_counts(limits.evaluations),
        drift=_float32(limits.drift),
        loss_increase=_float32(limits.loss_increase),
    )


def _visits(ids: Ids, visits: VisitTable) -> pa.Table:
    return _table(
        schemas.VISITS,
        id=ids[visits.row],
        number=_counts(visits.number),
        t=visits.t,
        loss=_float64(visits.loss),
        gradient_norm=_float32(visits.gradient_norm),
        **_stratum(visits.modes, visits.rank),
    )


def _block(block: int, first_id: int, limits: Limits) -> pa.Table:
    verdicts = np.bincount(limits.verdict, minlength=len(VERDICTS))
    row = {
        "block": block,
        "first_id": first_id,
        "count": len(limits),
        "minimum": int(verdicts[Verdict.minimum]),
        "saddle": int(verdicts[Verdict.saddle]),
        "censored": int(verdicts[Verdict.censored]),
        "strata": _strata(limits),
        "evaluations": int(limits.evaluations.sum()),
        "steps": int(limits.steps.sum()),
        "worst_drift": _worst(limits.drift),
        "worst_loss_increase": _worst(limits.loss_increase),
        "log2_t": np.bincount(schemas.octave(limits.time), minlength=schemas.LOG2_T_BINS).tolist(),
    }
    return pa.Table.from_pylist([row], schema=schemas.BLOCKS)


def _strata(limits: Limits) -> list[dict[str, Any]]:
    """Counts by verdict and stratum, sorted: an unknown stratum (modes null) after the known ones of its verdict."""
    known = limits.rank >= 0
    keys = zip(limits.verdict.tolist(), (~known).tolist(), limits.modes.tolist(), strict=True)
    counts: dict[tuple[int, bool, int], int] = {}
    for verdict, unknown, modes in keys:
        key = (verdict, unknown, 0 if unknown else modes)
        counts[key] = counts.get(key, 0) + 1
    return [
        {"modes": None if unknown else modes, "verdict": VERDICTS[verdict], "count": count}
        for (verdict, unknown, modes), count in sorted(counts.items())
    ]


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


def _words(codes: NDArray[np.int8], words: tuple[str, ...]) -> pa.Array:
    """Codes as text: always the whole vocabulary, so that the bytes do not depend on which words occurred; -1 is
    null.
    """
    indices = pa.array(codes, pa.int8(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()))


def _float64(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _float32(values: NDArray[np.float64]) -> pa.Array:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # what float32 cannot hold is inf or 0 there
        narrow = values.astype(np.float32)
    return pa.array(narrow, pa.float32(), mask=np.isnan(values))


def _counts(values: NDArray[np.int64]) -> pa.Array:
    return pa.array(np.maximum(values, 0), pa.uint32(), mask=values < 0)


def _stratum(modes: NDArray[np.uint64], rank: NDArray[Any]) -> dict[str, pa.Array]:
    unknown = rank < 0
    return {
        "modes": pa.array(modes, pa.uint64(), mask=unknown),
        "rank": pa.array(np.maximum(rank, 0).astype(np.uint8), pa.uint8(), mask=unknown),
    }

"""The blocks of a layer: those below it, with the rows that were integrated again counted anew."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from basins.laws import BLOCK
from basins.store import schemas
from basins.store.schemas import Tables

Row = dict[str, Any]


def replaced(tables: Tables, below: pa.Table, old: pa.Table, new: pa.Table) -> pa.Table:
    """The rows of `below` (blocks) whose ids are in `old` (their rows of trajectories) after these were replaced;
    new: the blocks of the new rows alone (`rows.tables_of_ids`).

    Counts are exact. worst_drift is of all that was integrated, the replaced rows included: a block keeps no more of
    it than the largest. The largest increase of the loss can only grow along a path, so it is exact too.
    """
    of_old = old["id"].to_numpy() // BLOCK
    by_number = {row["block"]: row for row in below.to_pylist()}
    found = []
    for row in new.to_pylist():
        part = old.filter(pa.array(of_old == row["block"]))
        found.append(_replaced(tables, by_number[row["block"]], part, row))
    return pa.Table.from_pylist(found, schema=tables.blocks)


def _replaced(tables: Tables, below: Row, old: pa.Table, new: Row) -> Row:
    of_old = Counter(old["verdict"].to_pylist())
    octaves = np.bincount(schemas.octave(old["t"].to_numpy()), minlength=schemas.LOG2_T_BINS)
    return {
        **{name: below[name] for name in ("block", "first_id", "count")},
        **{verdict: below[verdict] - of_old[verdict] + new[verdict] for verdict in tables.vocabulary.verdicts},
        "strata": _counted_sets(tables, below, old, new),
        **{name: below[name] - pc.sum(old[name]).as_py() + new[name] for name in ("evaluations", "steps")},
        **{name: _larger(below[name], new[name]) for name in ("worst_drift", "worst_loss_increase")},
        "log2_t": (np.array(below["log2_t"]) - octaves + np.array(new["log2_t"])).tolist(),
    }


def _counted_sets(tables: Tables, below: Row, old: pa.Table, new: Row) -> list[Row]:
    """Sorted as `rows.tables_of` sorts them: by verdict, then modes, unknown ones last."""
    column, names = tables.set_column, tables.vocabulary.verdicts
    counts: Counter[tuple[str, int | None]] = Counter()
    for one in [*below["strata"], *new["strata"]]:
        counts[one["verdict"], one[column]] += one["count"]
    counts.subtract(zip(old["verdict"].to_pylist(), old[column].to_pylist(), strict=True))

    def order(key: tuple[str, int | None]) -> tuple[int, bool, int]:
        verdict, code = key
        return names.index(verdict), code is None, code or 0

    return [
        {column: key[1], "verdict": key[0], "count": counts[key]} for key in sorted(counts, key=order) if counts[key]
    ]


def _larger(one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)

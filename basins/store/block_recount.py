"""Recount the blocks of a layer: the counts below it, with the rows that were integrated again replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from basins.laws import BLOCK
from basins.store import schemas
from basins.store.schemas import Tables

Row = dict[str, Any]

WORST = ("worst_drift", "worst_loss_increase")


def recounted(tables: Tables, below: pa.Table, old: pa.Table, new: pa.Table) -> pa.Table:
    """The block rows after some trajectories were replaced.

    below: block rows before the replacement; old: the trajectory rows that were replaced; new: block rows that count
    the new trajectories alone (`rows.tables_of_ids`). The result has one row for each row of `new`.

    Counts are exact. worst_drift covers everything that was integrated, the replaced rows included, because a block
    keeps only the largest drift. The largest increase of the loss can only grow along a path, so it is exact too.
    """
    old_blocks = old["id"].to_numpy() // BLOCK
    by_number = {row["block"]: row for row in below.to_pylist()}
    found = []
    for row in new.to_pylist():
        part = old.filter(pa.array(old_blocks == row["block"]))
        found.append(_recounted_row(tables, by_number[row["block"]], part, row))
    return pa.Table.from_pylist(found, schema=tables.blocks)


def _recounted_row(tables: Tables, below: Row, old: pa.Table, new: Row) -> Row:
    old_verdicts = Counter(old["verdict"].to_pylist())
    octaves = np.bincount(schemas.octave(old["t"].to_numpy()), minlength=schemas.LOG2_T_BINS)
    return {
        **{name: below[name] for name in ("block", "first_id", "count")},
        **{verdict: below[verdict] - old_verdicts[verdict] + new[verdict] for verdict in tables.vocabulary.verdicts},
        "strata": _counted_sets(tables, below, old, new),
        **{name: below[name] - pc.sum(old[name]).as_py() + new[name] for name in ("evaluations", "steps")},
        **{name: _larger(below[name], new[name]) for name in ("worst_drift", "worst_loss_increase")},
        "log2_t": (np.array(below["log2_t"]) - octaves + np.array(new["log2_t"])).tolist(),
    }


def _counted_sets(tables: Tables, below: Row, old: pa.Table, new: Row) -> list[Row]:
    """Counts by verdict and critical set, in the order of `rows.tables_of`: by verdict, then set, unknown sets last."""
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


def blocks_of(form: Tables, table: pa.Table, worst: Mapping[str, pa.ChunkedArray] | None = None) -> pa.Table:
    """The blocks of rows of trajectories that are all there, ascending. worst: worst_drift and worst_loss_increase of
    each, which the rows do not have to every digit; by default they are left out."""
    by_block: dict[int, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        by_block.setdefault(row["id"] // BLOCK, []).append(row)
    found: list[Row] = []
    for block, rows in by_block.items():
        verdicts = Counter(row["verdict"] for row in rows)
        strata = Counter((row["verdict"], row[form.set_column]) for row in rows)
        octaves = np.bincount(schemas.octave(np.array([row["t"] for row in rows])), minlength=schemas.LOG2_T_BINS)
        found.append(
            {"block": block, "first_id": rows[0]["id"], "count": len(rows), "log2_t": octaves.tolist()}
            | {name: None if worst is None else worst[name][len(found)].as_py() for name in WORST}
            | {verdict: verdicts[verdict] for verdict in form.vocabulary.verdicts}
            | {"strata": [{"verdict": v, form.set_column: code, "count": count} for (v, code), count in strata.items()]}
            | {name: sum(row[name] for row in rows) for name in ("evaluations", "steps")}
        )
    return pa.Table.from_pylist(found, schema=form.blocks)

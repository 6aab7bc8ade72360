"""Compares the rows of one shard with each other and with the plan: each id occurs once, the blocks count the rows, and
the evidence allows the verdicts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from basins.errors import RunError
from basins.execution.extension import spent, spent_or_settled
from basins.experiment import Case, watched
from basins.landscapes.base import Verdict
from basins.laws import BLOCK, Planted
from basins.store import Kind, Manifest, schemas
from basins.store.block_recount import blocks_of, recounted
from basins.store.layered_view import View
from basins.store.layers import Layer
from basins.store.schemas import Tables

Column = NDArray[Any]


def wrong_rows(
    manifest: Manifest, case: Case, shard: int, tables: Mapping[Kind, pa.Table], length: int
) -> Iterator[tuple[Kind, str]]:
    """What is wrong with the rows of a shard's three tables, each read whole: file by file, the first few. length: how
    many ids it has."""
    ids = manifest.ids(case, shard)[:length]
    form = Tables.of(case.landscape)
    rows, unreadable = _rows(form, tables)
    if unreadable is not None:
        yield unreadable
        return
    keeps_all = manifest.rows == "all" or isinstance(case.law, Planted)
    every = manifest.visits_every
    of_ids = next(_wrong_ids(rows, ids, keeps_all, every), None)
    if of_ids:
        yield "trajectories", of_ids
        return
    yield from (("trajectories", what) for what in _wrong_verdicts(case, rows))
    yield from (("blocks", what) for what in _wrong_blocks(case, rows, tables["blocks"], ids, keeps_all))
    yield from (("visits", what) for what in _wrong_visits(tables["visits"], ids, every))


def _rows(form: Tables, tables: Mapping[Kind, pa.Table]) -> tuple[dict[str, Column], tuple[Kind, str] | None]:
    """The columns of trajectories, or an empty dict and the first file whose schema or words are wrong, with a
    message."""
    for kind, table in tables.items():
        if not table.schema.remove_metadata().equals(form.schema(kind)):
            return {}, (kind, "its columns are not those of the schema")
    rows, unknown = _columns(form, tables["trajectories"])
    return rows, ("trajectories", f"its {unknown} is not in the vocabulary") if unknown else None


def _columns(form: Tables, table: pa.Table) -> tuple[dict[str, Column], str | None]:
    """The columns as arrays, words as codes (-1: null); or an empty dict and the name of a column with unknown
    words."""
    table = table.combine_chunks()
    found: dict[str, Column] = {}
    for name in table.schema.names:
        column = table[name].combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        if name in form.words:
            words = column.dictionary.to_pylist()
            if words != [word for word in form.words[name] if word in words]:
                return {}, name
            codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            found[name] = np.array([*map(form.words[name].index, words), -1], dtype=np.int8)[codes]
        elif pa.types.is_integer(column.type):
            found[name] = column.fill_null(0).to_numpy(zero_copy_only=False)
            found[f"{name} known"] = column.is_valid().to_numpy(zero_copy_only=False)
        else:
            found[name] = column.to_numpy(zero_copy_only=False)
    return found, None


def _wrong_ids(rows: dict[str, Column], ids: range, keeps_all: bool, every: int) -> Iterator[str]:
    there = rows["id"]
    values, times = np.unique(there, return_counts=True)
    for id in values[times > 1]:
        yield f"id {id} occurs {times[values == id][0]} times"
    outside = values[(values < ids.start) | (values >= ids.stop)]
    if len(outside):
        yield f"id {outside[0]} is not among its ids {ids.start} to {ids.stop - 1}"
    wanted = np.arange(ids.start, ids.stop)
    if not keeps_all:
        wanted = wanted[watched(wanted, every)]
    missing = np.setdiff1d(wanted, values)
    if len(missing):
        yield f"id {missing[0]} is missing"
    if not np.all(there[1:] > there[:-1]):
        yield "its ids are not in order"
    if not keeps_all:
        needless = there[(rows["verdict"] == Verdict.minimum) & ~watched(there, every)]
        if len(needless):
            yield f"id {needless[0]} is an unwatched minimum, but its row is kept"


def _wrong_verdicts(case: Case, rows: dict[str, Column]) -> Iterator[str]:
    """Rows whose verdict contradicts their other columns, by the common rules and by those of the landscape."""
    verdict, certificate, reason = rows["verdict"], rows["certificate"], rows["reason"]
    censored = verdict == Verdict.censored
    column = Tables.of(case.landscape).set_column
    sets = rows[column], rows[f"{column} known"], rows["rank"]
    with np.errstate(invalid="ignore"):
        known = case.landscape.critical.contradictions(verdict, certificate, *sets, rows["loss"], case.settings.delta)
        contradictions = {
            "a row without a verdict": verdict < 0,
            **known,
            "a censored row with a certificate or without a reason": censored & ((certificate >= 0) | (reason < 0)),
            "a decided row with a reason": ~censored & (reason >= 0),
        }
    for what, where in contradictions.items():
        if where.any():
            yield f"id {rows['id'][np.flatnonzero(where)[0]]} is {what}"


def _wrong_blocks(case: Case, rows: dict[str, Column], table: pa.Table, ids: range, keeps_all: bool) -> Iterator[str]:
    """Blocks that are not those of the plan, do not add up, or do not count the existing rows."""
    starts = [ids.start, *range((ids.start // BLOCK + 1) * BLOCK, ids.stop, BLOCK)]
    counts = np.diff([*starts, ids.stop])
    blocks = table.to_pydict()
    if blocks["first_id"] != starts or blocks["block"] != [start // BLOCK for start in starts]:
        yield "its blocks are not those of the plan"
        return
    form = Tables.of(case.landscape)
    names = form.vocabulary.verdicts
    of_row = rows["id"] // BLOCK - ids.start // BLOCK
    octave = schemas.octave(rows["t"])
    for k, block in enumerate(blocks["block"]):
        here = of_row == k
        verdicts = np.bincount(rows["verdict"][here], minlength=len(names))
        recorded = [blocks[name][k] for name in names]
        wanted = [recorded[0], *verdicts[1:].tolist()] if not keeps_all else verdicts.tolist()
        if blocks["count"][k] != counts[k] or sum(recorded) != counts[k]:
            yield f"block {block} counts {sum(recorded)} verdicts for {counts[k]} trajectories"
        elif recorded != wanted or verdicts[0] > recorded[0]:
            yield f"block {block} counts {_listed(names, recorded)}; its rows are {_listed(names, verdicts.tolist())}"
        elif _other_sets(_by_set(form, blocks["strata"][k]), _sets(case, form, rows, here, recorded[0]), recorded[0]):
            yield f"block {block} counts other strata than those of its rows"
        totals = {name: (blocks[name][k], int(rows[name][here].sum())) for name in ("evaluations", "steps")}
        for name, (total, summed) in totals.items():
            if total < summed or (keeps_all and total != summed):
                yield f"block {block} has {total} {name}; its rows have {summed}"
        histogram = np.bincount(octave[here], minlength=schemas.LOG2_T_BINS)
        said_t = np.array(blocks["log2_t"][k])
        if said_t.sum() != counts[k] or (said_t < histogram).any():
            yield f"block {block} has a histogram of t that does not match its rows"
        for name in ("drift", "loss_increase"):
            worst, largest = blocks[f"worst_{name}"][k], _largest(rows[name][here])
            if largest > np.float32(-np.inf if worst is None else worst):
                yield f"block {block} has a worst {name} of {worst}; its rows have {largest}"


def _largest(values: Column) -> Any:
    numbers = values[~np.isnan(values)]
    return numbers.max() if len(numbers) else np.float32(-np.inf)


def _listed(names: Sequence[str], counts: list[int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True))


def _by_set(form: Tables, counted: list[dict[str, Any]]) -> Counter[tuple[str, int | None]]:
    return Counter({(one["verdict"], one[form.set_column]): one["count"] for one in counted})


def _other_sets(said: Counter[tuple[str, int | None]], found: Counter[tuple[str, int | None]], minima: int) -> bool:
    """Whether a block's counts by verdict and critical set cannot be those of its trajectories.

    found: of its rows (`_sets`). Minima that are not kept are counted in the block alone, so of each set it may have
    more of them, as long as all together are its `minima`.
    """
    of_minima = Counter({key: count for key, count in said.items() if key[0] == "minimum"})
    kept = Counter({key: count for key, count in found.items() if key[0] == "minimum"})
    return said - of_minima != found - kept or of_minima.total() != minima or not kept <= of_minima


def _sets(
    case: Case, form: Tables, rows: dict[str, Column], here: Column, minima: int
) -> Counter[tuple[str, int | None]]:
    """Counts by verdict and critical set of the rows of one block, in the form that the block stores.

    If the landscape has a single global minimum, it gets all `minima`, whether their rows are kept or not.
    """
    found: Counter[tuple[str, int | None]] = Counter()
    only = case.landscape.critical.global_minimum
    if minima and only is not None:
        found["minimum", only] = minima
    counted = here & (rows["verdict"] != Verdict.minimum) if only is not None else here
    names, column = form.vocabulary.verdicts, form.set_column
    for code, of_set, known in zip(
        rows["verdict"][counted].tolist(), rows[column][counted].tolist(), rows[f"{column} known"][counted].tolist(),
        strict=True,
    ):  # fmt: skip
        found[names[code], of_set if known else None] += 1
    return found


def _wrong_visits(table: pa.Table, ids: range, every: int) -> Iterator[str]:
    columns = {name: table[name].to_numpy() for name in ("id", "number", "t")}
    id, number, t = columns["id"], columns["number"].astype(np.int64), columns["t"]
    expected = (id >= ids.start) & (id < ids.stop) & watched(id, every)
    if not np.all(expected):
        yield f"id {id[~expected][0]} is not among its watched ids"
        return
    same = id[1:] == id[:-1]
    in_order = np.where(
        same, (number[1:] == number[:-1] + 1) & (t[1:] >= t[:-1]), (id[1:] > id[:-1]) & (number[1:] == 0)
    )
    if not np.all(in_order) or (len(number) and number[0] != 0):
        yield "its visits are not in order"


# --- a layer ---------------------------------------------------------------------------------------------------------


def wrong_layer_rows(
    layer: Layer, below: View, case: Case, shard: int, tables: Mapping[Kind, pa.Table], length: int
) -> Iterator[tuple[Kind, str]]:
    """The same of a shard of a layer: its rows are those below it whose budget was spent, its blocks what that makes of
    the blocks below it (but for worst_drift, of which the rows keep fewer digits). A layer that was made before the
    shard grew is of the first `length` ids; the block in which these end has no counts below it any more.
    """
    form = Tables.of(case.landscape)
    rows, unreadable = _rows(form, tables)
    if unreadable is not None:
        yield unreadable
        return
    try:
        ids = layer.manifest.ids(case, shard)[:length]
        inside = pc.field("id") < ids.stop
        old = below.part("trajectories", case, shard, where=spent(case) & inside)
        if len(old) != len(rows["id"]):
            old = below.part("trajectories", case, shard, where=spent_or_settled() & inside)
        blocks = below.part("blocks", case, shard)
        longer = below.length(case, shard) > length
    except RunError:
        return  # the files below are damaged, which is reported for them
    if rows["id"].tolist() != old["id"].to_pylist():
        yield "trajectories", "its ids are not those below it whose budget was spent"
        return
    yield from (("trajectories", what) for what in _wrong_verdicts(case, rows))
    wanted = recounted(form, blocks, old, blocks_of(form, tables["trajectories"]))
    exact = [name for name in form.blocks.names if not name.startswith("worst_")]
    compared = [
        [row for row in table.select(exact).to_pylist() if not (longer and row["block"] == (ids.stop - 1) // BLOCK)]
        for table in (tables["blocks"], wanted)
    ]
    if compared[0] != compared[1]:
        yield "blocks", "its blocks are not those below it, recounted with its rows"
    every = layer.manifest.visits_every
    yield from (("visits", what) for what in _wrong_visits(tables["visits"], ids, every))

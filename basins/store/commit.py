"""The definition of a run is read, a shard is committed, and existing shards are checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from basins.errors import RunError
from basins.experiment import Case
from basins.experiment.case import spelt_out
from basins.store import layout, parquet, schemas
from basins.store.committed import shards_there, short_shards
from basins.store.contents import Contents
from basins.store.digests import covered
from basins.store.files import Files
from basins.store.layout import COMMIT_ORDER, Kind
from basins.store.manifest import Manifest
from basins.store.rows import ShardTables

# --- the definition of a run, read ------------------------------------------------------------------


def read_manifest(files: Files) -> Manifest:
    """The manifest of the run. Raises RunError if there is no run, or if its manifest is damaged."""
    try:
        data = files.get(layout.MANIFEST)
    except FileNotFoundError:
        if files.exists("tail.json"):
            what, remedy = "a tail, not a run", "a tail has `basins status`, `estimate`, `report` and `plot tail`"
            raise RunError(what, where=files.uri, remedy=remedy) from None
        raise RunError(
            f"not a run: no {layout.MANIFEST}", where=files.uri, remedy="give the folder that `basins run` wrote"
        ) from None
    return Manifest.from_json(data, files.uri)


def experiment_text(files: Files) -> str:
    """The validated experiment as canonical TOML. Raises RunError if the file is gone or is not text."""
    try:
        return files.get(layout.EXPERIMENT).decode()
    except FileNotFoundError:
        raise RunError(
            f"{layout.EXPERIMENT} is gone", where=files.uri, remedy="put back a copy of it, or give another --out"
        ) from None
    except UnicodeDecodeError as error:
        raise damaged_experiment(files, error) from None


def damaged_experiment(files: Files, error: Exception) -> RunError:
    """The error for an experiment.toml that is not what basins wrote."""
    what = str(error) if isinstance(error, ValueError) else f"no {error}"  # a KeyError names the missing key
    return RunError(
        f"{layout.EXPERIMENT} is damaged ({what})",
        where=files.uri,
        remedy="put back a copy of it, or run the experiment into another --out",
    )


def cases_table(manifest: Manifest) -> pa.Table:
    """One row per case, in the experiment's order: the common columns, and those that the cases' landscapes add."""
    rows, of_landscapes = [], [case.columns() for case in manifest.cases]
    added = list(dict.fromkeys(name for columns in of_landscapes for name in columns))
    for case, columns in zip(manifest.cases, of_landscapes, strict=True):
        row: dict[str, Any] = {
            "case": case.key,
            "name": case.name,
            **{name: columns.get(name) for name in added},
            "problem": case.landscape.digest,
            "law": case.law.name,
            "law_parameters": json.dumps(case.law.parameters(), sort_keys=True),
            "null_law": case.law.null,
            "trajectories": case.trajectories,
            "blocks": manifest.plan(case).blocks,
            "shards": manifest.plan(case).shards,
        }
        rows.append(row | spelt_out(case.settings))
    later = sorted(set().union(*rows) - set(schemas.CASES.names) - set(added))  # settings of some cases only
    for row, case in zip(rows, manifest.cases, strict=True):
        row.update({name: getattr(case.settings, name) for name in later})
    fields = list(schemas.CASES)
    fields[2:2] = [_field(name, rows) for name in added]
    return pa.Table.from_pylist(rows, schema=pa.schema([*fields, *(_field(name, rows) for name in later)]))


def _field(name: str, rows: list[dict[str, Any]]) -> pa.Field:
    values = [row[name] for row in rows]
    return pa.field(name, pa.array(values).type, nullable=None in values)


# --- a shard's files ------------------------------------------------------------------


def commit_shard(files: Files, contents: Contents, case: Case, shard: int, tables: ShardTables) -> dict[Kind, str]:
    """Write a shard's three files, the commit mark last; their SHA-256. A shard that is there and short, since the run
    has grown, is replaced in another order.

    The block file's footer carries the digests of the other two files as they were in memory, and the number of rows
    kept, so that a later driver learns them without trusting the disk.
    """
    keys = contents.footer(case, shard)
    data: dict[Kind, pa.Buffer] = {kind: encoded(getattr(tables, kind), keys) for kind in ("visits", "trajectories")}
    shas = {kind: hashlib.sha256(buffer).hexdigest() for kind, buffer in data.items()}
    of_others = {f"sha256.{kind}": sha for kind, sha in shas.items()} | {"rows": str(len(tables.trajectories))}
    data["blocks"] = encoded(tables.blocks, keys | of_others)
    shas["blocks"] = hashlib.sha256(data["blocks"]).hexdigest()
    replaces = shard in contents.growing(case) and files.exists(layout.part("trajectories", case.key, shard))
    for kind in REPLACE_ORDER if replaces else COMMIT_ORDER:
        files.put(layout.part(kind, case.key, shard), data[kind])
    return {kind: shas[kind] for kind in COMMIT_ORDER}


REPLACE_ORDER: tuple[Kind, ...] = ("trajectories", "visits", "blocks")
"""The order in which a short shard's files are replaced by longer ones. The block file says how many ids there are;
readers pass by the rows of later ids (layered_view.py), so that wherever this is cut off the shard has all rows it
had."""

FOOTER_ORDER = (
    "schema", "experiment", "case", "seed", "law", "first_id", "trajectories", "visits_every", "kept", "layer",
    "budget", "sha256.visits", "sha256.trajectories", "rows",
)  # fmt: skip
"""The keys of a shard's footers, in the order in which `commit_shard` writes them. The last three are in the block file
only. "experiment" belongs to schema 1; "seed", "law", "visits_every" and "kept" belong to schema 2."""


def encoded(table: pa.Table, keys: dict[str, str]) -> pa.Buffer:
    """The bytes of a shard's file, in the schema version that its footer names."""
    return parquet.encode(table if keys["schema"] == "1" else parquet.with_words_in_use(table), keys)


def missing_shards(files: Files, contents: Contents, case: Case) -> list[int]:
    """The shards that are still to be done: without a commit mark, with a file lost after the commit, or short."""
    planned = contents.shards(case)
    files_there = bytearray(planned[-1] + 1 if len(planned) else 0)  # per shard; a set of 10^5 ints would take 8 MB
    for kind in COMMIT_ORDER:
        for shard in shards_there(files, kind, case.key):
            if shard < len(files_there):
                files_there[shard] += 1
    short = short_shards(files, contents, case)
    return [shard for shard in planned if files_there[shard] < len(COMMIT_ORDER) or shard in short]


FOOTERS_CHECKED = 2000
"""The number of shards per case that a check looks at even if digests cover them."""


def check_shards(files: Files, contents: Contents) -> None:
    """Check the footers of committed shards. Raises RunError naming the damaged or foreign ones.

    A case with up to FOOTERS_CHECKED shards is checked completely. In a larger case the check covers the shards that
    RUN/digests does not cover yet, because nothing has read them since they were written, and FOOTERS_CHECKED of the
    others, spread evenly. Later damage to the rest is found when they are read, and by `basins verify`, which reads
    every byte.
    """
    bad: list[str] = []
    for case in contents.cases:
        planned = frozenset(contents.shards(case))
        there = {kind: frozenset(shards_there(files, kind, case.key)) for kind in COMMIT_ORDER}
        for kind in COMMIT_ORDER:
            beyond = sorted(there[kind] - planned)
            bad.extend(
                f"{layout.part(kind, case.key, shard)} is beyond the plan of {len(planned)} shards" for shard in beyond
            )
        for shard in _shards_to_check(files, case, sorted(planned & frozenset.union(*there.values()))):
            bad.extend(
                _problems_of_shard(
                    files, contents, case, shard, [kind for kind in COMMIT_ORDER if shard in there[kind]]
                )
            )
    if bad:
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise RunError(f"{'; '.join(bad[:3])}{more}", where=files.uri, remedy=parquet.RECOMPUTE)


def _shards_to_check(files: Files, case: Case, shards: list[int]) -> list[int]:
    if len(shards) <= FOOTERS_CHECKED:
        return shards
    known = covered(files, case.key)
    spread = {shards[k * len(shards) // FOOTERS_CHECKED] for k in range(FOOTERS_CHECKED)}
    return [shard for shard in shards if shard in spread or shard not in known]


def _problems_of_shard(files: Files, contents: Contents, case: Case, shard: int, kinds: list[Kind]) -> Iterable[str]:
    """What is wrong with a shard's existing files, one message per problem."""
    rows: dict[Kind, str] = {}
    length: int | None = None  # of the file before this one
    for kind in kinds:
        path = layout.part(kind, case.key, shard)
        try:
            footer = parquet.footer(files, path)
        except parquet.Damaged as error:
            yield error.what
            continue
        before, length = length, length_of(contents, case, shard, footer.keys)
        wanted = contents.footer(case, shard, length)
        differ = [name for name, value in wanted.items() if footer.keys.get(name) != value]
        if differ:
            yield f"{path} belongs to another {', '.join(differ)}"
            continue
        if length != before:  # the first one, or another one is being replaced by a longer one
            rows = {kind: str(count) for kind, count in contents.expected(case, shard, length).items()}
        if kind in rows and str(footer.rows) != rows[kind]:
            yield f"{path} has {footer.rows} rows instead of {rows[kind]}"
        if kind == "blocks":
            rows.setdefault("trajectories", footer.keys.get("rows", "unknown"))


def length_of(contents: Contents, case: Case, shard: int, keys: Mapping[str, str]) -> int:
    """How many ids a file has by its footer, if it may have so many; else those of the plan."""
    lengths = contents.lengths(case, shard)
    return next((length for length in lengths if keys.get("trajectories") == str(length)), lengths[0])

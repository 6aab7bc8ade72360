"""What is asked of a damaged run: its files, what was found, and shards written anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from basins.classification.verdict import REASONS
from basins.execution import run as run_module
from basins.experiment import Experiment
from basins.landscapes.deep_linear.critical_sets import CERTIFICATES, VERDICTS
from basins.run_tables import open_run
from basins.store import commit_shard, files_at, parquet
from basins.store.digests import batch_text, read_batch
from basins.store.layout import COMMIT_ORDER, part
from basins.store.rows import ShardTables, words_of
from basins.verify import Verification


def data(run: Path) -> dict[str, bytes]:
    """Every file that promises its bytes."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_file() and "telemetry" not in name and not name.startswith(("set-aside", "verified")):
            found[name] = path.read_bytes()
    return found


def key(run: Path, name: str = "at once") -> str:
    return open_run(run).case(name).key


def flip(path: Path, at: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def again(run: Path, rows: str = "all") -> None:
    run_module.run(Experiment.from_toml((run / "experiment.toml").read_text(), Path()), run, on="inline")


def paths(found: Verification) -> set[str]:
    return {one.path for one in found.findings}


def rewritten(run: Path, name: str, shard: int, change: Callable[[ShardTables], ShardTables]) -> None:
    """A shard with changed rows, written as a worker would write it, including digests."""
    opened, case = open_run(run), open_run(run).case(name)
    files = files_at(run)
    tables = {
        kind: parquet.read(files, part(kind, case.key, shard)).replace_schema_metadata(None) for kind in COMMIT_ORDER
    }
    shas = commit_shard(files, opened.manifest, case, shard, change(ShardTables(**tables)))
    batch = read_batch(files, case.key, 0)
    batch[shard] = shas
    files.put(f"digests/case={case.key}/batch-00000000.sha256", batch_text(case.key, batch).encode())


def with_values(table: pa.Table, row: int, **values: Any) -> pa.Table:
    rows = table.to_pylist()
    rows[row].update(values)
    return pa.Table.from_pylist(rows, schema=table.schema).combine_chunks()


def same_words(table: pa.Table) -> pa.Table:
    """Words of changed rows, with the whole vocabulary again."""
    for name, words in (("verdict", VERDICTS), ("certificate", CERTIFICATES), ("reason", REASONS)):
        codes = [-1 if word is None else words.index(word) for word in table[name].to_pylist()]
        table = table.set_column(
            table.schema.get_field_index(name),
            table.schema.field(name),
            words_of(np.array(codes, dtype=np.int8), words),
        )
    return table


def row(at: int, /, **values: Any) -> Callable[[ShardTables], ShardTables]:
    def change(tables: ShardTables) -> ShardTables:
        table = with_values(tables.trajectories, at, **values)
        return tables._replace(trajectories=same_words(table))

    return change

"""The estimate and all summaries of a run of 10^8 rows fit in 2 GiB of memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made_runs import Fates, experiment, tables

from basins.laws import BLOCK
from basins.store import ShardTables, commit_shard, create_or_resume, files_at

ROWS, LIMIT = 10**8, 2 << 30
BLOCKS = 32

READ = r"""
import json, re, sys
from pathlib import Path
import basins
from basins.summary import summarise
from basins.summary.survival import survival
from basins.summary.tails import exponents, tails
from basins.summary.transitions import transitions

run = basins.open_run(sys.argv[1])
case = run.manifest.cases[0].key
steps = {}
def done(name):
    # not getrusage's, which includes the process before exec
    steps[name] = 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
done("import")
estimate = run.estimate().cases[0]
done("estimate")
summary = summarise(run, case)
S = survival(summary)
tails(summary, samples=20), exponents(summary, samples=20)
done("summary")
graph = transitions(run, case)
done("transitions")
from basins.output.report import report
page = report(run)
done("report")
print(json.dumps({"N": estimate.trajectories, "saddle": estimate.saddle,
                  "of rows": summary.trajectories, "never": S.never, "watched": graph.watched,
                  "visits": graph.visits, "page": len(page), "peak": steps}))
"""


def made_large(out: Path, rows: int) -> None:
    """A complete run of this many rows: each shard has the same tables with its own ids. It has few distinct numbers,
    so that it is small on disk; to a reader it is an ordinary run."""
    of = experiment(rows, visits_every=100, blocks_per_shard=BLOCKS)
    files, case = files_at(out), of.cases[0]
    manifest = create_or_resume(files, of)
    size = BLOCKS * BLOCK
    t = 2 ** (np.arange(size) % 97 / 8 - 2)
    visits = {id: [(0.25, 0, 0.05), (0.5, 1, 0.01)] for id in range(0, size, 100)}
    fates = Fates(np.resize(t, rows), {11: 1}, (12, 13), visits)
    first = tables(case, of, range(size), fates)
    for shard in range(manifest.plan(case).shards):
        ids = manifest.ids(case, shard)
        commit_shard(files, manifest, case, shard, moved(first, ids))


def moved(tables: ShardTables, ids: range) -> ShardTables:
    """The same tables, moved to the ids of another shard. Only every 100th id is watched, so the visits of a watched id
    move to the next watched one."""
    trajectories, visits, blocks = tables
    N, M = len(ids), -(-len(ids) // BLOCK)
    trajectories = trajectories.slice(0, N).set_column(0, trajectories.schema.field("id"), pa.array(ids, pa.int64()))
    shift = ids.start + -ids.start % 100
    moved_ids = np.asarray(visits["id"]) + shift
    there = moved_ids < ids.stop
    visits = visits.set_column(0, visits.schema.field("id"), pa.array(moved_ids)).filter(pa.array(there))
    columns = blocks.slice(0, M).to_pydict()
    columns["block"] = [b + ids.start // BLOCK for b in columns["block"]]
    columns["first_id"] = [i + ids.start for i in columns["first_id"]]
    if N < M * BLOCK:  # the last block is short: its ids beyond the end were minima, at times that are known
        short = BLOCK * M - N
        columns["count"][-1] -= short
        columns["minimum"][-1] -= short
    return ShardTables(trajectories, visits, pa.Table.from_pydict(columns, schema=blocks.schema))


@pytest.mark.slow
def test_summaries_of_10_8_rows_fit_in_2_gib(tmp_path: Path) -> None:
    made_large(tmp_path, ROWS)
    out = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], check=True, capture_output=True, text=True).stdout
    found = json.loads(out)
    print(found)
    assert found["N"] == found["of rows"] == ROWS
    assert found["watched"] == ROWS // 100
    assert found["visits"] > ROWS // 100
    assert found["never"] == 3 * found["saddle"] > ROWS / 40_000
    assert max(found["peak"].values()) < LIMIT, found["peak"]

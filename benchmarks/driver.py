"""What a driver sustains, with trajectories of zero cost: python benchmarks/driver.py [throughput | memory | resume].

throughput: shards/s through each runner. Workers do nothing (`nothing` below) and answer with a summary such as real
work gives; events go through digests and telemetry into a null store, which takes every byte, keeps none, and knows of
each shard whether it was reported. So a number is the driver's own: scheduling, events, books, listings.
memory: the driver's resident size at 10^4, 3 10^4 and 10^5 shards, inline, each in a process of its own.
resume: `basins run` on a run of 10^5 shards in a folder, five of them missing. Shards that a resume does not look into
are links to the files of others, so that it is the names that are 300,000, not the bytes; names are warm in memory.

It prints a table in Markdown; benchmarks/scale.md keeps one run of it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from basins.classification.verdict import Limits, VisitTable
from basins.execution.base import Runner
from basins.execution.driver import run_missing
from basins.execution.inline import Inline
from basins.execution.processes import Processes
from basins.execution.ray import Ray
from basins.execution.run import run
from basins.execution.shard import Commit, ShardSummary, Task, Telemetry
from basins.experiment import Case, Experiment
from basins.landscapes.base import NONE, Verdict
from basins.progress import Event, ShardDone
from basins.store import Manifest, create_or_resume, files_at, layout, rows
from basins.store.layout import COMMIT_ORDER
from basins.store.schemas import Tables

TEXT = """
name = "zero cost"
seed = 1
trajectories = {trajectories}
rows = "exceptions"

[data]
source = "spectrum"
sigma = [1.0]
d_x = 1

[network]
hidden = [1]

[law]
name = "gaussian"
scale = 0.5

[engine]
name = "reference"
budget = 1
"""

SHA = hashlib.sha256(b"").hexdigest()
SIZES = (10_000, 30_000, 100_000)
GONE = 5
"""Shards that the resumed run lacks."""


def experiment(shards: int) -> Experiment:
    """One case of so many shards of one block."""
    return Experiment.from_toml(TEXT.format(trajectories=1024 * shards), Path())


def nothing(path: str, case: str, shard: int, attempt: int) -> Commit:
    """A worker's work of zero cost, with an answer as large as a real one."""
    telemetry = Telemetry(time.time(), 30.0, 2**28, platform.node(), os.getpid(), True)
    digests = {kind: SHA for kind in COMMIT_ORDER}
    summary = ShardSummary(
        Task(case, shard), 1024, {"minimum": 1024, "saddle": 0, "censored": 0}, 10**6, digests, telemetry
    )
    return lambda: summary


class NullFiles:
    """A store that takes everything and keeps nothing: it answers for the shards that were reported, a byte each."""

    uri = "null"

    def __init__(self, shards: int) -> None:
        self.done, self.written, self.batches = bytearray(shards), 0, set[str]()

    def report(self, event: Event) -> None:
        if isinstance(event, ShardDone):
            self.done[event.summary.task.shard] = 1

    def put(self, path: str, data: Any) -> None:
        self.written += len(data)
        if path.startswith("digests/"):
            self.batches.add(path)

    def get(self, path: str) -> bytes:
        """Digests, which a driver reads back, are made up again: every shard has the same."""
        if path not in self.batches:
            raise FileNotFoundError(path)
        batch = layout.batch_of(path) or 0
        of_batch = range(batch * layout.DIGEST_BATCH, min((batch + 1) * layout.DIGEST_BATCH, len(self.done)))
        case = path.split("/")[1].removeprefix("case=")
        return "".join(
            f"{SHA}  {layout.part(kind, case, shard)}\n"
            for shard in of_batch
            if self.done[shard]
            for kind in COMMIT_ORDER
        ).encode()

    def open(self, path: str) -> Any:
        raise FileNotFoundError(path)

    def exists(self, path: str) -> bool:
        return False

    def paths(self, prefix: str) -> list[str]:
        if not prefix.startswith(COMMIT_ORDER):
            return []
        return [f"{prefix}part-{shard:08d}.parquet" for shard, done in enumerate(self.done) if done]

    def delete(self, path: str) -> None: ...

    def sweep(self) -> list[str]:
        return []


def carried(runner: Runner, shards: int, workers: int) -> tuple[float, NullFiles]:
    """Seconds from the first shard that is back to the last, so that no worker's start is in it; the store."""
    files = NullFiles(shards)
    back = [0.0]

    def listen(event: Event) -> None:
        files.report(event)
        if isinstance(event, ShardDone):
            back[0] = back[0] or time.perf_counter()
            back[1:] = [time.perf_counter()]

    run_missing(files, Manifest.of(experiment(shards)), "null", runner, workers, [listen])
    return back[-1] - back[0], files


# --- the three measurements ------------------------------------------------------------------------------------------


def throughput() -> None:
    print("| runner | shards | shards/s, wall | driver's CPU a shard |\n|---|---|---|---|")
    work = "driver:nothing"
    makers: list[tuple[str, Callable[[], Runner], int]] = [
        ("inline", lambda: Inline(work), 20_000),
        ("processes x 2", lambda: Processes(work), 20_000),
        ("embedded Ray x 2", lambda: Ray(work=work), 3_000),
    ]
    for name, make, shards in makers:
        cpu = time.process_time()
        seconds, _ = carried(make(), shards, 2)
        each = (time.process_time() - cpu) / shards
        print(f"| {name} | {shards:,} | {shards / seconds:,.0f} | {1e6 * each:,.0f} us |", flush=True)


def memory(shards: int) -> None:
    """One row; run in a process of its own."""
    carried(Inline("driver:nothing"), 10, 1)  # what is imported and compiled once
    before = resident()
    carried(Inline("driver:nothing"), shards, 1)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"| {shards:,} | {before / 1e6:.0f} MB | {resident() / 1e6:.0f} MB | {peak / 1e6:.0f} MB |", flush=True)


def resume(shards: int, folder: Path) -> None:
    path = folder / "run"
    laid = time.perf_counter()
    lay_down(path, shards)
    laid = time.perf_counter() - laid
    wall, cpu = time.perf_counter(), time.process_time()
    done: list[Event] = []
    run(experiment(shards), path, on="inline", listeners=[done.append])
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    computed = sum(isinstance(event, ShardDone) for event in done)
    assert computed == GONE, computed
    print("| shards | missing | wall | CPU |\n|---|---|---|---|")
    print(f"| {shards:,} | {computed} | {wall:.1f} s | {cpu:.1f} s |")
    print(f"\n(the run was laid down in {laid:.0f} s)", flush=True)


def lay_down(path: Path, shards: int) -> None:
    """A run of so many shards, GONE of them missing, with its digests."""
    from basins.store.commit import FOOTERS_CHECKED, encoded
    from basins.store.digests import DigestBook

    files = files_at(path)
    manifest = create_or_resume(files, experiment(shards))
    case = manifest.cases[0]
    there = [shard for shard in range(shards) if not 0 <= shard - shards // 2 < GONE]
    read = {there[k * len(there) // FOOTERS_CHECKED] for k in range(FOOTERS_CHECKED)}
    book = DigestBook(files, manifest)
    for kind in COMMIT_ORDER:
        (path / layout.folder(kind, case.key)).mkdir(parents=True)
    last: dict[str, Path] = {}
    for shard in there:
        tables = _tables(case, shard * 1024) if shard in read else {}
        for kind in COMMIT_ORDER:
            file = path / layout.part(kind, case.key, shard)
            if shard in read:
                file.write_bytes(encoded(tables[kind], manifest.footer(case, shard) | {"rows": "0"}))
                last[kind] = file
            else:
                os.link(last[kind], file)
        book.add(case.key, shard, {kind: SHA for kind in COMMIT_ORDER})
    for batch in list(book.open):
        book._write(batch)


def _tables(case: Case, first_id: int) -> dict[str, Any]:
    """The tables of a block of 1,024 minima of which no row is kept."""
    N = 1024
    real, counts, codes = np.zeros(N), np.zeros(N, dtype=np.int64), np.zeros(N, dtype=np.int8)
    none = np.zeros(0)
    visits = VisitTable(none.astype(np.int64), none.astype(np.int64), none, none, none, none.astype(np.uint64), none)
    limits = Limits(
        real[:, None], real, real, real, real, codes + np.int8(Verdict.minimum), codes + np.int8(NONE), codes, real,
        codes.astype(np.uint64) + np.uint64(1), codes.astype(np.int16) + np.int16(1), {"rank_gap": real}, counts,
        counts, counts, real, real, visits,
    )  # fmt: skip
    tables = rows.tables_of(Tables.of(case.problem), first_id, limits, np.zeros(N, dtype=bool))
    return {kind: getattr(tables, kind) for kind in COMMIT_ORDER}


def resident() -> int:
    """This process's resident size, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main(what: str, *more: str) -> None:
    if what == "throughput":
        throughput()
    elif what == "memory" and more:
        memory(int(more[0]))
    elif what == "memory":
        print("| shards | before | at the end | largest |\n|---|---|---|---|", flush=True)
        for shards in SIZES:
            subprocess.run([sys.executable, __file__, "memory", str(shards)], check=True)
    elif what == "resume":
        with tempfile.TemporaryDirectory() as folder:
            resume(int(more[0]) if more else SIZES[-1], Path(folder))
    elif what == "all":
        for one in ("throughput", "memory", "resume"):
            print(f"\n## {one}\n", flush=True)
            subprocess.run([sys.executable, __file__, one], check=True)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["all"]))

"""Test doubles for `work` that fail on purpose and that any worker can import: a script of failures, a log of calls."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from basins.errors import RunError
from basins.execution.base import ONE_THREAD
from basins.execution.shard import Commit, ShardSummary, Task, Telemetry

CASE = "0123456789abcdef"
STALL = 60.0
COMMITTED = 0.5
"""Seconds before a worker is killed, so that its earlier shards have been reported by then."""


def tasks(count: int) -> list[Task]:
    """The first shards of CASE."""
    return [Task(CASE, shard) for shard in range(count)]


def script(folder: Path, table: dict[tuple[int, int], str] | None = None) -> None:
    """Write the script of failures by (shard, attempt): raise, refuse, unpicklable, kill, stall or slow during the
    integration; "raise at commit", "kill at commit" or "slow at commit" during the commit."""
    table = table or {}
    (folder / "script.json").write_text(json.dumps({f"{s} {a}": what for (s, a), what in table.items()}))


def calls(folder: Path) -> list[dict[str, Any]]:
    """Every call that was begun, in the order of the log."""
    log = folder / "calls"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def scripted(run: str, case: str, shard: int, attempt: int) -> Commit:
    """Does what the script says; otherwise returns at once."""
    folder = Path(run)
    begun = time.monotonic()
    _log(
        folder / "calls",
        shard=shard,
        attempt=attempt,
        pid=os.getpid(),
        environment={k: os.environ.get(k) for k in ONE_THREAD},
    )
    what = json.loads((folder / "script.json").read_text()).get(f"{shard} {attempt}", "")
    if what == "raise":
        raise ValueError("scripted failure")
    if what == "refuse":
        raise RunError("scripted refusal", where="the script", remedy="change the script")
    if what == "unpicklable":
        raise type("Local", (Exception,), {})("cannot travel")
    if what == "kill":
        time.sleep(COMMITTED)
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "stall":
        time.sleep(STALL)
    if what.startswith("slow") and what != "slow at commit":
        time.sleep(0.4)
    _log(folder / "spans", begun=begun, ended=time.monotonic())

    def commit() -> ShardSummary:
        begun = time.monotonic()
        if what == "raise at commit":
            raise ValueError("scripted failure")
        if what == "kill at commit":
            time.sleep(COMMITTED)
            os.kill(os.getpid(), signal.SIGKILL)
        if what.endswith("slow at commit"):
            time.sleep(0.4)
        _log(folder / "commits", begun=begun, ended=time.monotonic())
        return summary(case, shard)

    return commit


def scripted_on_a_node(run: str, case: str, shard: int, attempt: int) -> Commit:
    """The same, with the Ray node on which it ran in place of the host."""
    import ray

    done, node = scripted(run, case, shard, attempt)(), ray.get_runtime_context().get_node_id()
    return lambda: replace(done, telemetry=replace(done.telemetry, host=node))


def summary(case: str, shard: int) -> ShardSummary:
    telemetry = Telemetry(0.0, 0.1, 1, "host", os.getpid(), True)
    return ShardSummary(Task(case, shard), 1024, {"minimum": 1000, "saddle": 0, "censored": 24}, 10**6, {}, telemetry)


def spans(folder: Path, of: str = "spans") -> list[tuple[float, float]]:
    """The times at which integrations ("spans") or "commits" began and ended, by the machine's monotonic clock."""
    return [(s["begun"], s["ended"]) for s in map(json.loads, (folder / of).read_text().splitlines())]


def work_once_then_die(run: str, case: str, shard: int, attempt: int) -> Commit:
    """Real work, except that the first worker of an odd shard is killed after writing two of three files and half of
    the last."""
    from basins.execution.shard import work
    from basins.store import local

    if shard % 2 == 1 and attempt == 1:
        put = local.LocalFiles.put

        def put_and_die(files: local.LocalFiles, path: str, data: Any) -> None:
            if path.startswith("trajectories/"):
                (files.root / path).parent.mkdir(parents=True, exist_ok=True)
                final = files.root / path
                final.with_name(f".{final.name}.{os.getpid()}-00000000.tmp").write_bytes(bytes(data)[:100])
                os.kill(os.getpid(), signal.SIGKILL)
            put(files, path, data)

        local.LocalFiles.put = put_and_die  # type: ignore[assignment, method-assign]
    return work(run, case, shard, attempt)


def _log(path: Path, **entry: Any) -> None:
    with path.open("a") as file:  # one short append, so lines stay whole when several processes write
        file.write(json.dumps(entry) + "\n")

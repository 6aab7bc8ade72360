"""A driver whose cluster grows and shrinks while it works: python nodes.py FOLDER. It prints one JSON object per line
for each shard that is done or lost."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from standins import CASE, script

from basins.execution import ray as runner
from basins.execution import ray_workers
from basins.execution.shard import Task
from basins.progress import AttemptLost, Event, ShardDone

SHARDS, GROW, SHRINK = 60, 4, 20
"""Shards in all; how many are done when three cores join, and when the first one is taken away."""


def main(folder: Path) -> None:
    script(folder, {(shard, 1): "slow" for shard in range(SHARDS)})
    runner._prepare_environment()
    ray_workers.POLL_INTERVAL = 0.5  # type: ignore[misc]
    import ray
    from ray.cluster_utils import Cluster

    options: dict[str, Any] = {"object_store_memory": runner.OBJECT_STORE}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, **options},
        shutdown_at_exit=False,
    )
    first = cluster.add_node(num_cpus=1, **options)
    ray.init(
        address=cluster.address,
        runtime_env={"env_vars": {"PYTHONPATH": runner.search_path()}},
        log_to_driver=False,
        logging_level="ERROR",  # type: ignore[arg-type]
    )
    done = 0

    def listen(event: Event) -> None:
        nonlocal done
        if isinstance(event, ShardDone):
            done += 1
            print(json.dumps({"done": event.summary.task.shard, "node": event.summary.telemetry.host}), flush=True)
            if done == GROW:
                cluster.add_node(num_cpus=3, **options)
            elif done == SHRINK:
                cluster.remove_node(first, allow_graceful=False)
        elif isinstance(event, AttemptLost):
            print(json.dumps({"lost": event.task.shard, "cause": event.cause}), flush=True)

    try:
        tasks = [Task(CASE, shard) for shard in range(SHARDS)]
        runner.Ray(work="standins:scripted_on_a_node", deadline=30.0).run(tasks, str(folder), None, listen)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

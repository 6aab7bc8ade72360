"""A Ray cluster of several nodes on this machine, in a separate process: python -m chaos.nodes NODES.

It answers each line of standard input ("look", "heal") with a line of JSON: the address, the pids of the head's GCS and
raylet, and of every other node's raylet. It is a separate process because Ray's client ends its whole process once the
GCS is gone for a minute. At the end of input it ends what it started.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

OBJECT_STORE = 80_000_000
HEARTBEATS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}
"""With these settings a silent node is marked dead after 2 to 4 s; Ray's defaults take half a minute."""


def main(nodes: int) -> None:
    from ray.cluster_utils import Cluster

    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # so that Ray's output goes to the log
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE,
            "_system_config": HEARTBEATS,
        },
    )
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE)
        print(json.dumps(state(cluster)), file=replies, flush=True)
        for line in sys.stdin:
            if line.strip() == "heal":
                heal(cluster)
            print(json.dumps(state(cluster)), file=replies, flush=True)
    finally:
        for node in cluster.list_all_nodes():
            node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)


def heal(cluster: Any) -> None:
    """Replace every node whose raylet has ended."""
    for node in list(cluster.worker_nodes):
        if ended(node, "raylet"):
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE)


def state(cluster: Any) -> dict[str, Any]:
    head = cluster.head_node
    return {
        "address": cluster.address,
        "gcs": pid(head, "gcs_server"),
        "head": pid(head, "raylet"),
        "raylets": [pid(node, "raylet") for node in cluster.worker_nodes if not ended(node, "raylet")],
    }


def pid(node: Any, kind: str) -> int:
    number: int = node.all_processes[kind][0].process.pid
    return number


def ended(node: Any, kind: str) -> bool:
    processes = node.all_processes.get(kind)
    return not processes or processes[0].process.poll() is not None


if __name__ == "__main__":
    main(int(sys.argv[1]))

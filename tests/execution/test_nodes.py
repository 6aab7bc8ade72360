"""A cluster that grows and shrinks during a run: a node that joins gets work, and a node that leaves loses no shard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from nodes import SHARDS
from standins import spans

from basins.execution.base import search_path


@pytest.mark.slow
def test_a_node_that_joins_gets_work_and_one_that_leaves_loses_nothing(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("nodes.py")), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": search_path()},
    )
    assert said.returncode == 0, said.stderr
    events = [json.loads(line) for line in said.stdout.splitlines() if line.startswith("{")]
    done = [event["done"] for event in events if "done" in event]
    assert sorted(done) == list(range(SHARDS))
    by_node = Counter(event["node"] for event in events if "done" in event)
    assert len(by_node) == 2, by_node
    # One core allows two actors: more than two shards at once show that the limit followed the cluster.
    begun = spans(tmp_path)
    assert max(sum(start <= now < end for start, end in begun) for now, _ in begun) >= 3

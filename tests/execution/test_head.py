"""A driver whose cluster disappears during a run. `chaos` tests this with a real cluster: SIGKILL to its head."""

from __future__ import annotations

import socket

import pytest

from basins.errors import RunError
from basins.execution import ray_head
from basins.execution.ray_head import Head
from basins.execution.ray_workers import POLL_INTERVAL, ActorLimit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_head_that_stays_silent_is_given_up() -> None:
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        watched = Head(f"127.0.0.1:{listener.getsockname()[1]}", clock)
        clock.now += 10 * ray_head.HEAD_TIMEOUT
        assert watched.answers()
    clock.now += 0.9 * ray_head.HEAD_TIMEOUT
    assert not watched.answers(), "it may come back"
    clock.now += 0.2 * ray_head.HEAD_TIMEOUT
    with pytest.raises(RunError, match=r"head of the Ray cluster has not answered for 33 s; start a cluster, then run"):
        watched.answers()


def test_a_cluster_whose_head_is_silent_is_not_queried() -> None:
    """The query would not return before Ray ends the process."""

    class Cluster:
        def cluster_resources(self) -> dict[str, float]:
            raise AssertionError("asked")

    with socket.socket() as taken:  # bound, not listening
        taken.bind(("127.0.0.1", 0))
        clock = Clock()
        gone = Head(f"127.0.0.1:{taken.getsockname()[1]}", clock)
        for fixed, expected in ((None, 1), (5, 5)):
            limit = ActorLimit(Cluster(), "own", fixed, gone, clock)
            assert limit() == expected
        clock.now += ray_head.HEAD_TIMEOUT + POLL_INTERVAL
        with pytest.raises(RunError, match="has not answered"):
            limit()


def test_a_driver_whose_own_node_is_gone_stops_instead_of_retrying() -> None:
    """It has lost its actors and cannot get others: it would blame shards for this, or make no progress."""

    class Cluster:
        there = True

        def nodes(self) -> list[dict[str, object]]:
            return [{"NodeID": "other", "Alive": True}, {"NodeID": "own", "Alive": self.there}]

        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": 2.0}

    class There(Head):
        def answers(self) -> bool:
            return True

    clock, cluster = Clock(), Cluster()
    for fixed in (None, 3):
        cluster.there = True
        limit = ActorLimit(cluster, "own", fixed, There("10.0.0.1:6379"), clock)
        assert limit() == (fixed or 4)
        cluster.there = False
        assert limit() == (fixed or 4), "it is checked only every POLL_INTERVAL"
        clock.now += POLL_INTERVAL
        with pytest.raises(RunError, match="node that this driver was connected to is gone; start a cluster") as raised:
            limit()
        assert raised.value.where == "10.0.0.1:6379"

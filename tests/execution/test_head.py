"""What a driver does when the cluster goes away under it. The real thing is in chaos: SIGKILL to a head."""

from __future__ import annotations

import socket

import pytest

from basins.errors import RunError
from basins.execution import ray_head
from basins.execution.ray_head import Head
from basins.execution.ray_workers import LOOK, Bound


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_head_that_is_silent_for_long_is_given_up() -> None:
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        watched = Head(f"127.0.0.1:{listener.getsockname()[1]}", clock)
        clock.now += 10 * ray_head.GONE
        assert watched.answers()
    clock.now += 0.9 * ray_head.GONE
    assert not watched.answers(), "it may come back"
    clock.now += 0.2 * ray_head.GONE
    with pytest.raises(RunError, match=r"head of the Ray cluster has not answered for 33 s; start a cluster, then run"):
        watched.answers()


def test_nothing_is_asked_of_a_cluster_whose_head_is_silent() -> None:
    """The call would not return before Ray ends the process."""

    class Cluster:
        def cluster_resources(self) -> dict[str, float]:
            raise AssertionError("asked")

    with socket.socket() as taken:  # bound, not listening
        taken.bind(("127.0.0.1", 0))
        clock = Clock()
        gone = Head(f"127.0.0.1:{taken.getsockname()[1]}", clock)
        for fixed, expected in ((None, 1), (5, 5)):
            bound = Bound(Cluster(), "own", fixed, gone, clock)
            assert bound() == expected
        clock.now += ray_head.GONE + LOOK
        with pytest.raises(RunError, match="has not answered"):
            bound()


def test_a_driver_whose_own_node_is_gone_stops_instead_of_trying_again() -> None:
    """It has lost its actors and gets no others; shards would be blamed for it, or nothing would go on."""

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
        bound = Bound(cluster, "own", fixed, There("10.0.0.1:6379"), clock)
        assert bound() == (fixed or 4)
        cluster.there = False
        assert bound() == (fixed or 4), "it is looked after now and then"
        clock.now += LOOK
        with pytest.raises(RunError, match="node that this driver was connected to is gone; start a cluster") as raised:
            bound()
        assert raised.value.where == "10.0.0.1:6379"

"""What a driver does when the cluster goes away under it. The real thing is in chaos: SIGKILL to a head."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from standins import CASE

from basins.errors import RunError
from basins.runners import head
from basins.runners.actors import LOOK, Bound
from basins.runners.head import Head
from basins.runners.ray import Ray
from basins.shard import Task


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_head_that_is_silent_for_long_is_given_up() -> None:
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        watched = Head(f"127.0.0.1:{listener.getsockname()[1]}", clock)
        clock.now += 10 * head.GONE
        assert watched.answers()
    clock.now += 0.9 * head.GONE
    assert not watched.answers(), "it may come back"
    clock.now += 0.2 * head.GONE
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
            bound = Bound(Cluster(), fixed, gone, clock)
            assert bound() == expected
        clock.now += head.GONE + LOOK
        with pytest.raises(RunError, match="has not answered"):
            bound()


def test_a_driver_whose_own_node_is_gone_stops_instead_of_trying_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """No attempt would reach a worker: each would be lost at once, and the shard blamed for it."""
    import ray

    class Gone:
        """A Ray that takes every call, and then says that its local raylet is gone."""

        exceptions, gcs_address = ray.exceptions, "10.0.0.1:6379"

        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return self

        def __getattr__(self, name: str) -> Any:
            return self

        def wait(self, refs: list[Any], **how: Any) -> tuple[list[Any], list[Any]]:
            return refs, []

        def get(self, ref: Any) -> Any:
            raise ray.exceptions.LocalRayletDiedError

    @contextmanager
    def connection(address: str, workers: int | None) -> Iterator[Any]:
        yield Gone(), {}, False

    monkeypatch.setattr("basins.runners.ray._connection", connection)
    monkeypatch.setattr(Head, "answers", lambda head: False)
    events: list[Any] = []
    with pytest.raises(RunError, match="node that this driver was connected to is gone; start a cluster") as raised:
        Ray("10.0.0.1:6379").run([Task(CASE, 0)], "nowhere", 1, events.append)
    assert raised.value.where == "10.0.0.1:6379"
    assert events == []

"""Runners, addresses and options that are refused before anything is started or written."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from basins.errors import ArgumentError, RunError
from basins.execution.ray import Ray
from basins.execution.run import run, runner_of


@pytest.mark.parametrize("address", ["nowhere", "ray://127.0.0.1:10001", "http://head:8265", "auto", ":6379"])
def test_an_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(ArgumentError, match="not the address of a Ray cluster"):
        Ray(address).check()


def test_an_address_where_nothing_listens_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, not listening: refused
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(RunError, match="no Ray cluster answers"):
            runner_of("ray", address).check()
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(RunError, match="no Ray cluster answers"):
            runner_of("ray").check()
        assert time.monotonic() - begun < 10


def test_an_address_at_which_something_other_than_ray_listens_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("basins.execution.ray.TOKEN_TIMEOUT", 1.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(RunError, match="does not answer as Ray does"):
            Ray(f"127.0.0.1:{silent.getsockname()[1]}").check()


def test_unknown_runners_and_inapplicable_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="did you mean 'processes'"):
        runner_of("process")
    with pytest.raises(ArgumentError, match="'inline' has no address"):
        runner_of("inline", "127.0.0.1:6379")
    with pytest.raises(ArgumentError, match="'inline' has no deadline"):
        runner_of("inline", deadline=60.0)
    for name in ("ray", "processes"):
        with pytest.raises(ArgumentError, match=r"deadline = nan; give seconds, more than 0"):
            runner_of(name, deadline=float("nan"))
    with pytest.raises(ArgumentError, match="workers = 0"):
        run(_unread(), tmp_path / "run", workers=0)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def _unread() -> object:
    from basins.experiment import Experiment

    return Experiment.made(name="never", seed=0, cases=(), blocks_per_shard=1, visits_every=0, rows="all", text="")

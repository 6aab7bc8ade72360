"""One Ray for all tests of this folder, and the three runners as one parameter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import standins  # noqa: F401 - puts its folder on the path that workers get
from experiments import tiny

from basins.execution.base import ONE_THREAD, Runner, search_path
from basins.execution.inline import Inline
from basins.execution.processes import Processes
from basins.execution.ray import OBJECT_STORE, Ray, _prepare_environment
from basins.execution.run import run

Make = Callable[..., Runner]


@pytest.fixture(scope="session")
def one_ray() -> Iterator[None]:
    """A running Ray that the runner joins: started once, with 3 workers whatever the number of cores."""
    environment = dict(os.environ)
    _prepare_environment()
    import ray
    from ray._private.authentication_test_utils import reset_auth_token_state

    reset_auth_token_state()  # Ray reads its authentication settings once per process: in the first test to import it
    ray.init(
        address="local",
        num_cpus=3,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE,
        runtime_env={"env_vars": {**ONE_THREAD, "PYTHONPATH": search_path()}},
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture(params=["inline", "processes", "ray"])
def make(request: pytest.FixtureRequest) -> Make:
    """A factory of the runner: make(work="module:name", deadline=...)."""
    return maker(request.param, request)


@pytest.fixture(params=["processes", "ray"])
def make_remote(request: pytest.FixtureRequest) -> Make:
    """The runners whose workers can die without the driver."""
    return maker(request.param, request)


def maker(name: str, request: pytest.FixtureRequest) -> Make:
    if name == "ray":
        request.getfixturevalue("one_ray")
    kinds: dict[str, Any] = {"inline": Inline, "processes": Processes, "ray": Ray}

    def make(**options: Any) -> Runner:
        runner: Runner = kinds[name](**options)
        return runner

    return make


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as a single undisturbed process writes it, one shard after the other."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    run(tiny(), path, on="inline")
    return path

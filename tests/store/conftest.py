"""The stores that the tests of this folder share. Each is started once, on first use."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import STORES, Store

sys.path.append(str(Path(__file__).parents[1] / "execution"))  # tiny runs, and a driver to be killed

NUMBERS = itertools.count()


def started(name: str, factory: pytest.TempPathFactory) -> Iterator[Store]:
    missing = STORES[name].absent()
    if missing:
        pytest.skip(f"{name} cannot be started: {missing} is not installed (requirements-dev.txt has it)")
    with STORES[name](factory.mktemp(name)) as store:
        yield store


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    yield from started("Swift", tmp_path_factory)


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    yield from started("SeaweedFS", tmp_path_factory)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Store], str]:
    """use(store) sets the environment for the store and returns s3://tests/NUMBER, an empty place in it."""

    def use(store: Store) -> str:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        store.create("tests")
        return f"s3://tests/{next(NUMBERS)}"

    return use

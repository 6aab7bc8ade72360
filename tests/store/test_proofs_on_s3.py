"""Proofs in an object store: the same bytes as in a folder."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from experiments import data_files, provable
from servers import Store

from basins.execution.run import prove_run, run
from basins.run_tables import open_run
from basins.store import files_at
from basins.verify import verify


@pytest.fixture(scope="session")
def in_a_folder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("in-a-folder") / "run"
    run(provable(), path, on="inline")
    prove_run(path, on="inline")
    return data_files(path)


@pytest.fixture(params=["seaweedfs", pytest.param("swift", marks=pytest.mark.slow)])
def uri(request: pytest.FixtureRequest, use: Callable[[Store], str]) -> str:
    return f"{use(request.getfixturevalue(request.param))}/run"


def objects(uri: str) -> dict[str, bytes]:
    files = files_at(uri)
    return {path: files.get(path) for path in files.paths("") if "telemetry" not in path.split("/")}


def test_proofs_are_those_of_a_folder_and_are_resumed(uri: str, in_a_folder: dict[str, bytes]) -> None:
    run(provable(), uri, on="inline")
    prove_run(uri, on="inline")
    assert objects(uri) == in_a_folder
    files = files_at(uri)
    lost = [name for name in in_a_folder if name.startswith("proved/") and "part-00000001" in name]
    assert len(lost) == 1
    files.delete(lost[0])
    prove_run(uri, on="processes", workers=1)
    assert objects(uri) == in_a_folder
    found = verify(uri, sample=0, blocks=0)
    assert found.proofs is not None
    assert (found.proofs.starts, found.proofs.proved, found.proofs.findings) == (2100, 2100, ())
    proved = open_run(uri).estimate().cases[0].proved
    assert proved is not None
    assert proved.proved == 2100


def test_a_run_is_proved_there_as_it_lands(uri: str, in_a_folder: dict[str, bytes]) -> None:
    run(provable(), uri, on="processes", workers=2, prove=True)
    assert objects(uri) == in_a_folder

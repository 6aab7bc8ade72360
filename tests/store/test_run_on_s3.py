"""A run in an object store has the same bytes as in a folder, on any runner and after any kill, for any reader."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
from click.testing import CliRunner
from driver import started
from experiments import data_files, tiny
from proxy import Fault, Proxy
from servers import Store

import basins
from basins.cli import main
from basins.errors import RunError
from basins.execution.run import run
from basins.progress import Event, ShardDone
from basins.run_tables import open_run
from basins.store import files_at


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the same run, made by one process in a folder."""
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    run(tiny(), path, on="inline")
    return data_files(path)


@pytest.fixture(params=["seaweedfs", pytest.param("swift", marks=pytest.mark.slow)])
def uri(request: pytest.FixtureRequest, use: Callable[[Store], str]) -> str:
    return f"{use(request.getfixturevalue(request.param))}/run"


def objects(uri: str) -> dict[str, bytes]:
    """All objects of a run whose bytes are promised."""
    files = files_at(uri)
    return {path: files.get(path) for path in files.paths("") if not path.startswith("telemetry/")}


def test_a_run_on_s3_has_the_bytes_of_a_run_in_a_folder_and_is_resumed(uri: str, undisturbed: dict[str, bytes]) -> None:
    events: list[Event] = []
    done = basins.run(tiny(), uri, on="inline", listeners=[events.append])
    assert done.path == uri
    assert sum(isinstance(event, ShardDone) for event in events) == 9
    assert objects(uri) == undisturbed
    files = files_at(uri)
    assert any(path.startswith("telemetry/") for path in files.paths(""))
    lost = [path for path in undisturbed if "part-00000002" in path or path.startswith("digests/")]
    assert len(lost) == 3 + 2
    for path in lost:
        files.delete(path)
    assert open_run(uri).missing() == {tiny().cases[0].key: [2]}
    events.clear()
    run(tiny(), uri, on="inline", listeners=[events.append])
    assert [event.summary.task.shard for event in events if isinstance(event, ShardDone)] == [2]
    assert objects(uri) == undisturbed
    with pytest.raises(RunError, match="a run of another experiment: seed = 7 there, 8 here"):
        run(tiny(seed=8), uri, on="inline")


def test_arrays_and_a_run_that_is_saved_there(uri: str, tmp_path: Path) -> None:
    """data.npz goes along, whether the run is made there or copied."""
    rng = np.random.default_rng(1)
    problem = basins.Problem.from_data(rng.normal(size=(9, 2)), rng.normal(size=(9, 1)), hidden=(1,))
    experiment = basins.Experiment(problem, basins.Gaussian(0.5), 1500, engine="reference", budget=1)
    basins.run(experiment, out=tmp_path / "run", on="inline")
    expected = data_files(tmp_path / "run")
    assert "data.npz" in expected
    basins.run(experiment, out=uri, on="inline")
    assert objects(uri) == expected
    made = basins.run(experiment, on="inline")
    saved = made.save(f"{uri}-saved")
    assert saved.path == f"{uri}-saved"
    assert objects(saved.path) == expected
    files_at(uri).put("data.npz", b"another")
    with pytest.raises(RunError, match=r"data\.npz has changed"):
        basins.run(experiment, out=uri, on="inline")


def test_pandas_and_every_command_read_a_run_on_s3(uri: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(tiny(trajectories=2000).text)
    said = CliRunner().invoke(main, ["run", str(tmp_path / "tiny.toml"), "--out", uri, "--on", "inline"])
    assert said.exit_code == 0, said.output
    assert f"complete: {uri}" in said.stdout
    rows = pd.read_parquet(f"{uri}/trajectories")
    assert sorted(rows["id"]) == sorted([*range(2000), *range(2000)])
    assert set(rows["case"].astype(str)) == {case.key for case in tiny(trajectories=2000).cases}
    dataset = pyarrow.dataset.dataset(f"{uri}/blocks", partitioning="hive")
    assert dataset.count_rows() == 4
    opened = basins.open_run(uri)
    assert len(opened.trajectories(columns=["id"])) == 4000
    estimate = CliRunner().invoke(main, ["estimate", uri, "--json"])
    assert estimate.exit_code == 0, estimate.output
    assert [case["trajectories"] for case in json.loads(estimate.stdout)["cases"]] == [2000, 2000]
    shown = CliRunner().invoke(main, ["show", uri, "--case", "gaussian", "--id", "17"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("id 17  case gaussian")


@pytest.mark.slow
def test_verified_damaged_repaired_extended_and_reported(uri: str, tmp_path: Path) -> None:
    """The maintenance commands work in a store as in a folder."""

    def says(*arguments: str, status: int = 0) -> str:
        done = CliRunner().invoke(main, [*arguments])
        assert done.exit_code == status, done.output
        return done.output if status else done.stdout

    toml = tmp_path / "tiny.toml"
    toml.write_text(tiny(trajectories=1100).text)
    says("run", str(toml), "--out", uri, "--on", "inline")
    whole = objects(uri)
    assert json.loads(says("verify", uri, "--sample", "20", "--blocks", "1", "--json"))["damage"] == []
    files, victim = files_at(uri), next(path for path in sorted(whole) if path.startswith("trajectories/"))
    files.put(victim, whole[victim][:-1] + bytes([whole[victim][-1] ^ 1]))
    assert victim in says("verify", uri, "--sample", "0", status=2)
    assert "set aside" in says("verify", uri, "--sample", "0", "--repair")
    assert "stopped" in says("status", uri)
    says("run", str(toml), "--out", uri, "--on", "inline")
    assert {path: data for path, data in objects(uri).items() if path in whole} == whole
    assert "complete" in says("status", uri)
    says("extend", uri, "--budget", "200", "--on", "inline")
    assert "layer 1, budget 200" in says("status", uri)
    says("report", uri, "-o", str(tmp_path / "page.html"))
    assert "</html>" in (tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_a_store_failure_on_resume_is_not_reported_as_damage(
    seaweedfs: Store, use: Callable[[Store], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is reported at the first file, not after all of them, and not as a damaged shard to move away."""
    uri = f"{use(seaweedfs)}/run"
    run(tiny(), uri, on="inline")
    with Proxy(seaweedfs) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        proxy.faults.append(Fault("GET", "/part-", "503", times=10**6))
        with pytest.raises(
            RunError, match=r"cannot read visits/.*: the store says HTTP status 503; check that"
        ) as raised:
            run(tiny(), uri, on="inline")
        assert "damaged" not in str(raised.value)
        assert {path for path in proxy.asked("GET") if "/part-" in path} == {proxy.asked("GET")[-1]}


@pytest.mark.slow
def test_worker_processes_inherit_the_credentials(uri: str, undisturbed: dict[str, bytes]) -> None:
    run(tiny(), uri, on="processes", workers=2)
    assert objects(uri) == undisturbed


@pytest.mark.slow
def test_an_embedded_ray_inherits_the_credentials(uri: str, undisturbed: dict[str, bytes]) -> None:
    with started(uri, "ray") as one:
        _, errors = one.communicate(timeout=300)
        assert one.returncode == 0, errors
    assert objects(uri) == undisturbed


@pytest.mark.slow
def test_two_drivers_on_one_run_do_no_harm(uri: str, undisturbed: dict[str, bytes]) -> None:
    with started(uri, "processes") as one, started(uri, "inline") as other:
        for each in (one, other):
            _, errors = each.communicate(timeout=300)
            assert each.returncode == 0, errors
    assert objects(uri) == undisturbed


@pytest.mark.slow
def test_a_driver_killed_and_interrupted_changes_no_byte(uri: str, tmp_path: Path) -> None:
    """SIGKILL, then Ctrl-C, each in the middle, then to the end. There is no debris to sweep.

    22 shards: a driver leaves up to six with its workers, who may still commit them.
    """
    longer = 20_000
    run(tiny(trajectories=longer), tmp_path / "undisturbed", on="inline")
    undisturbed = data_files(tmp_path / "undisturbed")
    chance = random.Random(5)
    for end, how in ((os.kill, signal.SIGKILL), (os.killpg, signal.SIGINT)):
        with started(uri, "processes", 2, longer) as one:
            assert one.stdout is not None
            events = [one.stdout.readline().strip() for _ in range(3)]
            assert events == ["RunStarted", "ShardDone", "ShardDone"]
            time.sleep(chance.uniform(0, 0.1))
            end(one.pid, how)
            _, errors = one.communicate(timeout=60)
            assert one.returncode == -how, errors
    assert set(objects(uri)) < set(undisturbed)
    run(tiny(trajectories=longer), uri, on="inline")
    assert objects(uri) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["seaweedfs", "swift"])
def test_a_run_survives_a_store_that_fails_and_stalls(
    name: str,
    request: pytest.FixtureRequest,
    use: Callable[[Store], str],
    undisturbed: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every upload of rows is cut once, other requests are refused or lose their answers, and the store stalls for
    20 s."""
    store = request.getfixturevalue(name)
    uri = f"{use(store)}/run"
    with Proxy(store) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        proxy.faults += [Fault("PUT", f"part-0000000{shard}", "cut", after=1_000) for shard in range(7)]
        proxy.faults += [Fault("PUT", "blocks/", "deaf", times=3), Fault("HEAD", "trajectories/", "503", times=3)]
        with started(uri, "processes") as one:
            assert one.stdout is not None
            assert [one.stdout.readline().strip() for _ in range(2)] == ["RunStarted", "ShardDone"]
            store.stop()
            time.sleep(20)
            store.go_on()
            _, errors = one.communicate(timeout=300)
            assert one.returncode == 0, errors
        assert sum(fault.struck for fault in proxy.faults) == 7 + 3 + 3
        assert objects(uri) == undisturbed


def test_a_run_grows_in_a_store(uri: str, tmp_path: Path) -> None:
    """Its short last shard is replaced there too; a driver that is killed meanwhile loses no row."""
    run(tiny(trajectories=8500), tmp_path / "at once", on="inline")
    run(tiny(), uri, on="inline")
    with started(uri, "inline", 1, 8500) as driver:
        assert driver.stdout is not None
        assert [driver.stdout.readline().strip() for _ in range(3)] == ["Message", "RunStarted", "ShardDone"]
        driver.kill()
    opened = open_run(uri)
    assert opened.manifest.stage == 2
    assert opened.estimate().cases[0].trajectories >= 6500
    run(tiny(trajectories=8500), uri, on="inline")
    there, at_once = objects(uri), data_files(tmp_path / "at once")
    assert json.loads(there.pop("manifest.json")).pop("grown")[0]["cases"][0]["trajectories"] == 6500
    at_once.pop("manifest.json")
    assert there == at_once
    with pytest.raises(RunError, match="never shrinks"):
        run(tiny(), uri, on="inline")

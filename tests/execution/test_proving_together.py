"""`basins run --prove`: each shard is integrated and its starts are proved by one worker, as it lands."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from experiments import PROVABLE, data_files, provable

import basins
from basins.errors import ArgumentError, RunError
from basins.execution import proving, shard
from basins.execution.base import Runner
from basins.execution.proving import ShardAndProofs, work_together
from basins.execution.run import prove_run, run
from basins.experiment import Experiment
from basins.progress import Event, ShardDone, Tally


def proofs(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name.startswith("proved/")}


@pytest.fixture(scope="session")
def one_after_the_other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that was first integrated and then proved, by one process."""
    path = tmp_path_factory.mktemp("one-after-the-other") / "run"
    run(provable(), path, on="inline")
    prove_run(path, on="inline")
    return data_files(path)


def test_any_runner_writes_the_bytes_of_a_run_that_is_proved_afterwards(
    make: Callable[..., Runner], one_after_the_other: dict[str, bytes], tmp_path: Path
) -> None:
    events: list[Event] = []
    run(provable(), tmp_path / "run", on=make(work=proving.TOGETHER), prove=True, listeners=[events.append])
    assert data_files(tmp_path / "run") == one_after_the_other
    assert len(proofs(one_after_the_other)) == 3 + 1, "three shards, and their digests"
    tally = Tally()
    for event in events:
        tally(event)
    assert (tally.done, tally.trajectories) == (2120, 2120)
    assert tally.counts["proved"] == 2100
    summaries = [event.summary for event in events if isinstance(event, ShardDone)]
    assert sorted(one.proofs.proved for one in summaries if isinstance(one, ShardAndProofs) and one.proofs) == [
        52, 1024, 1024,
    ]  # fmt: skip


@pytest.mark.parametrize("runner", ["processes", "ray"])
def test_proving_afterwards_gives_the_same_bytes_on_any_runner(
    runner: str, one_after_the_other: dict[str, bytes], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run(provable(), tmp_path / "run", on="inline")
    given = {}
    if runner == "ray":
        request.getfixturevalue("one_ray")
        import ray

        given["address"] = ray.get_runtime_context().gcs_address
    prove_run(tmp_path / "run", on=runner, workers=2, **given)
    assert data_files(tmp_path / "run") == one_after_the_other


def test_a_shard_that_is_there_is_only_proved(
    one_after_the_other: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    run(provable(), path, on="inline")

    def compute_shard(*_: object) -> None:
        raise AssertionError("integrated again")

    monkeypatch.setattr(shard, "compute_shard", compute_shard)
    run(provable(), path, on="inline", prove=True)
    assert data_files(path) == one_after_the_other
    events: list[Event] = []
    run(provable(), path, on="inline", prove=True, listeners=[events.append])
    assert not any(isinstance(event, ShardDone) for event in events), "nothing is missing"


def test_what_ctrl_c_left_is_gone_on_with(
    one_after_the_other: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the second shard is proved: its rows are kept, its proofs are still to do."""
    path, prove_ids = tmp_path / "run", proving.prove_ids
    calls = []

    def second(*arguments):  # type: ignore[no-untyped-def]
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return prove_ids(*arguments)

    monkeypatch.setattr(proving, "prove_ids", second)
    with pytest.raises(KeyboardInterrupt):
        run(provable(), path, on="inline", prove=True)
    there = data_files(path)
    assert sum(name.startswith("trajectories/") for name in there) == 2
    assert sum(name.endswith(".parquet") for name in proofs(there)) == 1
    assert all(one_after_the_other[name] == data for name, data in there.items() if name.endswith(".parquet"))
    run(provable(), path, on="inline", prove=True)
    assert data_files(path) == one_after_the_other
    assert len(calls) == 2 + 2


def test_lost_proofs_are_proved_again_and_lost_rows_integrated_again(
    one_after_the_other: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "run"
    run(provable(), path, on="inline", prove=True)
    for name in one_after_the_other:
        if name.endswith("00000001.parquet") and name.startswith(("proved/", "trajectories/")):
            (path / name).unlink()
    run(provable(), path, on="inline", prove=True)
    assert data_files(path) == one_after_the_other


def test_a_runner_that_proves_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are believed, not a runner."""

    def unproved(path: str, case: str, number: int, attempt: int) -> object:
        commit = work_together(path, case, number, attempt)

        def forget() -> object:
            summary = commit()
            shutil.rmtree(tmp_path / "run" / "proved", ignore_errors=True)
            return summary

        return forget

    monkeypatch.setattr(proving, "work_together", unproved)
    with pytest.raises(RunError, match="ended with proofs missing: shard 0 of case"):
        run(provable(), tmp_path / "run", on="inline", prove=True)


def test_a_run_of_which_nothing_can_be_proved_is_refused_before_it_is_made(tmp_path: Path) -> None:
    text = PROVABLE.replace('"gaussian", scale = 0.7', '"planted", modes = [1], scale = 0.7')
    experiment = Experiment.from_toml(text, Path())
    with pytest.raises(ArgumentError, match="nothing can be proved"):
        basins.run(experiment, tmp_path / "run", on="inline", prove=True)
    assert not (tmp_path / "run").exists()


def test_a_shards_time_begins_when_everything_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the first shards of a fresh installation would make the time left many times too long."""
    done: list[str] = []
    clock, compiles, proves = proving.timed, proving.warm, proving.warm_proofs

    def noting(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def noted(*arguments: object) -> object:
            done.append(name)
            return function(*arguments)

        return noted

    monkeypatch.setattr(proving, "_WARM", set())
    monkeypatch.setattr(shard, "_WARM", set())
    for name, function in (("timed", clock), ("warm", compiles), ("warm_proofs", proves)):
        monkeypatch.setattr(proving, name, noting(name, function))
    run(provable(), tmp_path / "run", on="inline", prove=True)
    assert done[:3] == ["warm", "warm_proofs", "timed"]


def test_what_is_compiled_first_is_the_cases_own_dynamics(monkeypatch: pytest.MonkeyPatch) -> None:
    case = provable().cases[0]
    asked: list[object] = []
    monkeypatch.setattr(shard, "_WARM", set())
    monkeypatch.setattr(shard, "integrate_batch", lambda *arguments: asked.append(arguments[-1]))
    assert shard.warm(case, 1)
    assert not shard.warm(case, 1)
    assert asked == [case.dynamics]

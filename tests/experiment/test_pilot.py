"""blocks_per_shard = "auto": a pilot decides once, and the manifest stores its decision."""

from __future__ import annotations

from pathlib import Path

import pytest

from basins.errors import ArgumentError, RunError
from basins.execution.run import run
from basins.experiment import Experiment, pilot
from basins.experiment.packed import pack, unpack
from basins.experiment.pilot import blocks_per_shard, decided
from basins.run_tables import open_run

TEXT = """
name = "piloted"
seed = 1
blocks_per_shard = "auto"

[data]
source = "spectrum"
sigma = [1.0]
d_x = 1

[network]
hidden = [1]

[law]
name = "gaussian"
scale = 0.5

[engine]
name = "reference"
budget = 1

[[case]]
name = "short"
trajectories = 1_000

[[case]]
name = "long"
trajectories = 5_000
law = { name = "gaussian", scale = 0.6 }
"""


def experiment(plan: str = '"auto"') -> Experiment:
    return Experiment.from_toml(TEXT.replace('"auto"', plan), Path())


@pytest.mark.parametrize(
    ("seconds", "blocks", "expected"),
    [
        (30.0, 10**6, 1),
        (100.0, 10**6, 1),
        (14.9, 10**6, 2),
        (1.0, 10**6, 16),
        (0.9, 10**6, 32),
        (1e-9, 10**6, 1024),
        (0.0, 10**6, 1024),
        (1e-3, 64 * 100, 64),
        (1e-3, 63, 1),
        (1e-3, 1, 1),
    ],
)
def test_a_shard_takes_at_most_half_a_minute_and_there_are_enough_shards(
    seconds: float, blocks: int, expected: int
) -> None:
    assert blocks_per_shard(seconds, blocks) == expected


def test_the_slowest_case_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pilot, "LEAST_SHARDS", 1)
    monkeypatch.setattr(pilot, "seconds_per_block", lambda _, case: {"short": 7.0, "long": 0.1}[case.name])
    assert decided(experiment()).blocks_per_shard == 4
    assert decided(experiment("3")).blocks_per_shard == 3


def test_a_block_is_timed_on_this_machine() -> None:
    made = experiment()
    assert all(0 < pilot.seconds_per_block(made, case) < 60 for case in made.cases)


def test_an_undecided_plan_is_none() -> None:
    with pytest.raises(ArgumentError, match="not decided yet"):
        experiment().plan(experiment().cases[0])


def test_the_pilot_runs_once_and_the_manifest_stores_its_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pilot, "LEAST_SHARDS", 1)
    for seconds in (15.0, 1e9):  # the second time on a far slower machine
        monkeypatch.setattr(pilot, "seconds_per_block", lambda *_, seconds=seconds: seconds)
        made = run(experiment(), tmp_path / "run", on="inline")
        assert made.manifest.blocks_per_shard == 2
        assert [made.committed(case.key) for case in made.manifest.cases] == [[0], [0, 1, 2]]
    run(unpack_again(experiment(), tmp_path), tmp_path / "run", on="inline")
    run(experiment("2"), tmp_path / "written down", on="inline")
    for name in ("trajectories", "blocks", "visits"):
        parts = sorted((tmp_path / "run" / name).rglob("*.parquet"))
        others = sorted((tmp_path / "written down" / name).rglob("*.parquet"))
        assert [part.name for part in parts] == [part.name for part in others]
    with pytest.raises(RunError, match=r"blocks_per_shard = \"auto\" there, 2 here"):
        run(experiment("2"), tmp_path / "run", on="inline")


def unpack_again(made: Experiment, folder: Path) -> Experiment:
    """The experiment as a job on a cluster gets it; its own pilot would give one block per shard."""
    (folder / "packed").mkdir()
    for name, data in pack(made).items():
        (folder / "packed" / name).write_bytes(data)
    packed = unpack(folder / "packed")
    assert packed.blocks_per_shard == 1
    assert open_run(folder / "run").manifest.blocks_per_shard == 2
    return packed


def test_a_dry_run_reports_the_plan_of_the_pilot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from basins.cli import main

    (tmp_path / "x.toml").write_text(TEXT)
    for command in (["run", str(tmp_path / "x.toml"), "--dry-run"], ["describe", str(tmp_path / "x.toml")]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 0
        assert "blocks_per_shard = 1 by a pilot" in " ".join(capsys.readouterr().out.split())


def test_a_word_other_than_auto_is_refused() -> None:
    from basins.errors import ExperimentError

    for plan in ('"often"', "0", "true", "1.5"):
        with pytest.raises(ExperimentError, match='give a whole number of at least 1, or "auto"'):
            experiment(plan)

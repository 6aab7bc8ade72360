"""The scripts of analysis/, run as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_runs import CONTROL, GAUSSIAN, Fates, experiment, made

from basins.errors import ArgumentError
from basins.run_tables import Run
from basins.summary import summaries, tabulated
from basins.summary.reading import Reading

SCRIPTS = Path(__file__).parents[2] / "analysis"
N = 1200


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    t = 0.2 * np.random.default_rng(6).uniform(size=N) ** -0.5
    visits = {id: [(0.05, 0, 0.02)] for id in range(0, N, 2)}
    by_name = {"gaussian": Fates(t, {5: 1}, (), visits), "control": Fates(1.0, dict.fromkeys(range(N), 1))}
    return made(tmp_path_factory.mktemp("scripts"), experiment(N, GAUSSIAN + CONTROL), by_name)


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPTS / name), *arguments], capture_output=True, text=True)


def test_saddle_measure(run: Run, tmp_path: Path) -> None:
    done = script("saddle_measure.py", run.path, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {str(path) for path in (tmp_path / "out").iterdir()}
    table = pd.read_csv(tmp_path / "out" / "saddle_measure.csv").set_index("case")
    case = run.estimate().cases[0]
    assert table.loc[case.case, "upper"] == case.saddle_measure.upper
    assert table.loc[case.case, "saddle"] == 1
    assert table.loc["pooled", "trajectories"] == N
    assert pd.read_csv(tmp_path / "out" / "strata.csv").groupby("name")["count"].sum().tolist() == [N, N]
    assert (tmp_path / "out" / "occupancy-gaussian.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_survival(run: Run, tmp_path: Path) -> None:
    arguments = (run.path, "--out", str(tmp_path), "--format", "parquet", "--figures", "svg", "--band", "dkw")
    done = script("survival.py", *arguments, "--from", "0.25")
    assert done.returncode == 0, done.stderr
    table = pd.read_parquet(tmp_path / "survival.parquet")
    assert table.groupby("name")["S"].min().to_dict() == {"control": 1.0, "gaussian": 1 / N}
    fits = pd.read_parquet(tmp_path / "tails.parquet")
    assert fits["name"].unique().tolist() == ["gaussian"]
    assert fits["start"].unique()[0] <= 0.25
    assert {path.name for path in tmp_path.iterdir()} == {
        "survival.parquet", "tails.parquet", "exponents.parquet", "survival.svg", "survival-gaussian.svg",
        "survival-control.svg",
    }  # fmt: skip


@pytest.mark.slow
def test_ovf_report(run: Run, tmp_path: Path) -> None:
    done = script("ovf_report.py", run.path, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    names = {path.name for path in tmp_path.iterdir()}
    assert {"report.html", "saddle_measure.csv", "transitions.csv", "visited.csv", "visits-gaussian.png"} <= names
    assert {"loss-control.png", "drift.png", "cost.png", "certified.png"} <= names
    assert set(done.stdout.splitlines()) == {str(tmp_path / name) for name in names}
    steps = pd.read_csv(tmp_path / "transitions.csv")
    assert steps[steps["name"] == "gaussian"]["count"].sum() == N + N // 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["saddle_measure.py", "survival.py", "ovf_report.py"])
def test_help_and_refusals(name: str, tmp_path: Path) -> None:
    said = script(name, "--help")
    assert said.returncode == 0
    assert "RUN is a folder or a URI" in " ".join(said.stdout.split())
    refused = script(name, str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "not a run" in refused.stderr
    assert not (tmp_path / "out").exists()
    refused = script(name, "x")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--out" in refused.stderr


def test_tables_of_nearly_empty_runs(tmp_path: Path) -> None:
    """A table without rows still has its columns, so that scripts that read it work."""
    empty = made(tmp_path / "empty", experiment(N, visits_every=0), {})
    read = summaries(empty)
    assert list(tabulated.survivals(read)) == ["case", "name", "t", "not_certified", "S", "lower", "upper"]
    assert len(tabulated.survivals(read)) == 0
    assert "p_value" in tabulated.tail_fits(read)
    assert list(tabulated.tail_exponents(read)) == ["case", "name"]
    assert "source" in tabulated.transitions(Reading(empty))
    assert "stratum" in tabulated.visited(Reading(empty))
    measured = tabulated.measures(empty.estimate())
    assert measured["estimate"].isna().all()
    assert (measured["upper"] == 1.0).all()
    with pytest.raises(ArgumentError, match="no table format 'xlsx'"):
        tabulated.write({}, tmp_path, "xlsx")

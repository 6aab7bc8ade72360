"""examples/study: its experiments say what its page says, and the command makes runs, tables and figures."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from click.testing import CliRunner

FOLDER = Path(__file__).parents[1] / "examples" / "study"


@pytest.fixture(scope="module")
def study() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("study", FOLDER / "study.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["study"]


def test_a_thousand_million_trajectories_and_a_control_for_every_problem(study: ModuleType) -> None:
    total = 0
    for name in study.NAMES:
        cases = study.experiment(name).cases
        total += sum(case.trajectories for case in cases if not case.law.null)
        controls = {case.problem.digest for case in cases if case.law.name == "planted"}
        assert controls == {case.problem.digest for case in cases}
        assert study.experiment(name).rows == "exceptions"
    assert total >= 10**9
    for name in ("iris", "wine", "linnerud", "digits"):
        assert {case.problem.H for case in study.experiment(name).cases} == {1, 2, 3}
    for name in ("pairs-2222", "pairs-3333"):
        assert len({case.problem.digest for case in study.experiment(name).cases}) == 50


def test_the_command_makes_runs_tables_and_figures(study: ModuleType, tmp_path: Path) -> None:
    out, results = tmp_path / "runs", tmp_path / "results"
    words = ["--out", str(out), "--results", str(results), "--only", "iris", "--on", "inline", "--at-most", "40"]
    done = CliRunner().invoke(study.main, words)
    assert done.exit_code == 0, done.output
    (total,) = pd.read_csv(results / "totals.csv").to_dict("records")
    assert (total["cases"], total["trajectories"], total["minimum"]) == (9, 360, 360)
    assert total["control_starts"] == total["control_saddles"] == 120
    cases = pd.read_csv(results / "cases.csv")
    assert sorted(set(cases["H"])) == [1, 2, 3]
    assert cases["upper_95"].between(0.07, 0.08).all()  # 0 of 40: 1 - 0.05^(1/40)
    assert len(pd.read_csv(results / "controls.csv")) == 3
    assert (results / "survival-iris.png").stat().st_size > 10_000
    again = CliRunner().invoke(study.main, [*words[:4], "--tables", "--only", "iris"])
    assert again.exit_code == 0, again.output


def test_an_interrupted_study_says_that_it_goes_on(
    study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "carry_out", interrupted)
    done = CliRunner().invoke(study.main, ["--out", str(tmp_path), "--results", str(tmp_path / "results")])
    assert done.exit_code == 130
    assert "the same command goes on from there" in done.output
    assert not (tmp_path / "results").exists()

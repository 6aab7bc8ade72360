"""The share certified at t = 0: each argument is counted separately, and every output has the same number."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from basins import Problem, run
from basins.certified_share import LARGE, OF_LARGE, STARTS, certified_share, default_count
from basins.cli import main
from basins.description import describe
from basins.experiment import Experiment, load
from basins.landscapes.deep_linear.certificates import at_start, certify, level
from basins.laws import Gaussian, starts

ROOT = Path(__file__).parents[3]
DIABETES = ROOT / "examples" / "diabetes.toml"


def first(problem: Problem, law: Gaussian, seed: int, count: int) -> np.ndarray:
    blocks = [starts(problem, law, seed, block) for block in range(-(-count // 1024))]
    return np.concatenate(blocks)[:count]


@pytest.mark.parametrize(
    ("widths", "scale", "count"),
    [((2, 2, 2, 2), 0.5, 3000), ((3, 3, 2), 1.0, 1500), ((5, 3, 3, 1), 0.1, 2048)],
    ids=str,
)
def test_each_argument_is_counted_separately(widths: tuple[int, ...], scale: float, count: int) -> None:
    problem = Problem.from_spectrum([2.0, 1.1][: widths[-1]], d_x=widths[0], hidden=widths[1:-1])
    W = first(problem, Gaussian(scale), 7, count)
    found, proved = certified_share(problem, Gaussian(scale), 7, count), at_start(problem, W)
    below = problem.loss(W) < level(problem)
    assert (found.starts, found.rate, found.rank) == (count, proved.by_rate.sum(), proved.by_rank.sum())
    assert found.level == below.sum()
    assert found.invariants == proved.global_minimum.sum()
    assert found.certified == (proved.global_minimum | below).sum() == certify(problem, W).global_minimum.sum()
    assert found.share == found.certified / count
    assert found.testing == certify(problem, W).nonstrict_ranks.any(axis=-1).sum()
    assert found.paper <= found.rate
    assert found.certified > 0


def test_the_margin_of_the_level_is_the_cases_own() -> None:
    problem = load(DIABETES).cases[0].problem
    narrow, wide = (certified_share(problem, Gaussian(0.5), 1, 2000, delta=delta) for delta in (1e-6, 0.5))
    assert wide.level < narrow.level


def test_large_states_have_fewer_starts() -> None:
    small, large = (Problem.from_spectrum([1.0], d_x=d_x, hidden=(9, 9)) for d_x in (10, 300))
    assert small.n < LARGE < large.n
    assert (default_count(small), default_count(large)) == (STARTS, OF_LARGE)
    assert certified_share(large, Gaussian(0.1), 1).starts == OF_LARGE


def test_description_figure_and_page_have_one_number(tmp_path: Path) -> None:
    """Diabetes: nothing is certified by the invariants, half by the loss level."""
    from basins.output.figures.of_run import certified_shares

    experiment = load(DIABETES)
    case = experiment.case("diabetes")
    assert case.law == Gaussian(0.5)
    described = describe(experiment, case).at_start
    assert (described.starts, described.rate, described.rank) == (10_000, 0, 0)
    assert described.certified == described.level == 4923

    few = re.sub(r"(?m)^trajectories = .*$", "trajectories = 8", DIABETES.read_text())
    done = run(Experiment.from_toml(few, DIABETES.parent), out=tmp_path / "run", on="inline")
    drawn, left_out = certified_shares(done)
    (row,) = drawn.to_dict("records")
    assert (row["share"], row["rate"], row["rank"], row["level"]) == (0.4923, 0.0, 0.0, 0.4923)
    assert (row["draws"], left_out) == (10_000, 0)

    line = next(one for one in (ROOT / "docs/certified.md").read_text().splitlines() if one.startswith("| diabetes"))
    cells = line.strip("| ").split(" | ")
    # widths | Prop. 2 | 3b | 3c, 3d | 3b-3d | 3a at 0.1, 0.5, 1, 2 | all at 0.1, 0.5, 1, 2 | no non-strict | open
    assert cells[2:5] == ["0", "0", "0"]
    assert cells[6] == cells[10] == "49.2"
    spec = importlib.util.spec_from_file_location("certified_script", ROOT / "docs/tables/certified.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.count(case.problem, 0.5) == described

    said = CliRunner().invoke(main, ["describe", str(DIABETES)])
    flat = " ".join(said.output.split())
    assert "certified global at t = 0: 4,923 of 10,000 starts, 49.2 %; by the rate (theory.md 3b) 0" in flat
    assert "by the loss level (3a) 4,923" in flat

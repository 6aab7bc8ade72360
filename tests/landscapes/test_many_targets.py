"""Thirty targets, so 2^30 strata, and sklearn's digits with ten: every public function works, and none lists strata."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import basins
from basins import Problem, certify
from basins.cli import main
from basins.errors import ArgumentError
from basins.experiment import load
from basins.landscapes.deep_linear.critical import Kind, classify, construct, indices, unstable_rates
from basins.landscapes.deep_linear.strata import Strata, modes_to_mask
from basins.laws import Gaussian, NearPlanted, Planted, starts

SIGMA = np.linspace(3.0, 0.5, 30)
TWENTY = tuple(range(20))


@pytest.fixture(autouse=True)
def no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing 2^30 strata would take 8 GiB. It is refused, and no code under test may ask for it."""

    def asked(self: Strata) -> None:
        raise AssertionError(f"2^{self.d_y} strata were asked for")

    monkeypatch.setattr(Strata, "_require_listable", lambda self: None if self.listable else asked(self))


@pytest.fixture
def deep() -> Problem:
    return Problem.from_spectrum(SIGMA, d_x=30, hidden=(30, 30))


def test_strata_by_their_modes(deep: Problem) -> None:
    strata = deep.strata()
    one = strata.of([0, 29])
    assert one == strata.of(1 << 29 | 1)
    assert one.index is None
    assert one.loss == pytest.approx(0.5 * np.sum(SIGMA[1:29] ** 2))
    assert len(strata) == 1 << 30
    assert deep.assumptions()[3].holds is None


def test_64_targets_fill_the_bitmask() -> None:
    d_y = 64
    problem = Problem.from_spectrum(np.linspace(3.0, 0.5, d_y), d_x=d_y, hidden=(d_y,))
    strata = problem.strata()
    assert strata.of([0, d_y - 1]).mask == 1 << (d_y - 1) | 1
    with pytest.raises(ArgumentError, match=f"not all among 0..{d_y - 1}"):
        strata.of([d_y])
    with pytest.raises(ArgumentError, match="more than Python's len can return"):
        len(strata)
    found = certify(problem, starts(problem, Planted((0, d_y - 1), 0.1), 1, 0)[:2])
    assert not found.excluded([0, d_y - 1]).any()
    limits = basins.integrate(problem, starts(problem, Planted((0, d_y - 1), 0.1), 1, 0)[:2], engine="reference")
    assert (limits.modes == 1 << (d_y - 1) | 1).all()


def test_integrate_and_classify(deep: Problem) -> None:
    every = (1 << 30) - 1
    limits = basins.integrate(deep, starts(deep, Gaussian(0.2), 1, 0)[:4], rtol=1e-6)
    assert (limits.verdict == basins.Verdict.minimum).all()
    assert (limits.modes == every).all()
    saddles = basins.integrate(deep, starts(deep, Planted(TWENTY, 0.2), 1, 0)[:2], rtol=1e-6)
    assert (saddles.verdict == basins.Verdict.saddle).all()
    assert (saddles.modes == modes_to_mask(TWENTY)).all()
    assert (saddles.rank == 20).all()
    for S, kind, says in ((TWENTY, "nonstrict", Kind.NONSTRICT), ((0, 29), "strict", Kind.STRICT)):
        found = classify(deep, construct(deep, S, kind, seed=1))
        assert found.kind is says
        assert found.modes == S


def test_the_indices_of_one_hidden_layer() -> None:
    problem = Problem.from_spectrum(SIGMA, d_x=31, hidden=(30,))
    found = indices(problem, TWENTY)
    assert found.unstable == 10 * 10
    assert found.unstable + found.zero + found.stable == problem.n
    assert len(unstable_rates(problem, construct(problem, TWENTY, seed=1))) == found.unstable


EXPERIMENT = f"""
name = "thirty"
seed = 1
trajectories = 3
visits_every = 1
data = {{ source = "spectrum", sigma = {SIGMA.tolist()}, d_x = 30 }}
network = {{ hidden = [30, 30] }}
engine = {{ rtol = 1e-6, budget = 1500 }}

[[case]]
name = "gaussian"
law = {{ name = "gaussian", scale = 0.2 }}

[[case]]
name = "beside"
law = {{ name = "near_planted", modes = {list(TWENTY)}, distance = 1e-4, scale = 0.2 }}

[[case]]
name = "control"
law = {{ name = "planted", modes = {list(TWENTY)}, scale = 0.2 }}
"""


def test_run_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thirty.toml").write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == 0, result.output
        return " ".join(result.stdout.split())

    assert "widths 30-30-30-30" in call("describe", "thirty.toml")
    run = basins.run("thirty.toml", "runs/thirty", on="inline")
    estimate = run.estimate()
    by_name = {case.name: case for case in estimate.cases}
    control = by_name["control"]
    assert control.saddle == 3
    met = [stratum for stratum in control.strata if stratum.count]
    assert [(stratum.index, stratum.modes, stratum.count) for stratum in met] == [(None, TWENTY, 3)]
    assert by_name["gaussian"].saddle == by_name["beside"].saddle == 0
    assert by_name["gaussian"].minimum > 0
    # `beside` has a density: it is pooled, and the control is not.
    assert set(estimate.pooled.cases) == {by_name["gaussian"].case, by_name["beside"].case}
    numbers = json.loads(call("estimate", "runs/thirty", "--json"))
    assert all(stratum["index"] is None for case in numbers["cases"] for stratum in case["strata"])
    call("estimate", "runs/thirty")
    shown = call("show", "runs/thirty", "--case", "control", "--id", "0")
    assert "Saddle S = {0,1,2," in shown
    assert "rank 20" in shown
    rows = run.trajectories()
    assert set(rows[rows.verdict == "saddle"].modes) == {modes_to_mask(TWENTY)}
    assert len(run.visits()) > 0


def test_digits_data_set(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    experiment = load(Path(__file__).parents[2] / "examples" / "digits.toml")
    problem = experiment.cases[0].problem
    assert (problem.d_y, len(problem.strata())) == (10, 1024)
    assert problem.strata()[-1].modes == tuple(range(10))
    W = starts(problem, Gaussian(0.5), 1, 0)[:4]
    proved = certify(problem, W)
    assert proved.nonstrict_ranks.shape == (4, 10)
    limits = basins.integrate(problem, W, rtol=1e-6)
    assert (limits.verdict == basins.Verdict.minimum).all()
    near = starts(problem, NearPlanted((0, 1), 1e-6, 0.3), 1, 0)[:2]
    assert (basins.integrate(problem, near, rtol=1e-6).verdict != basins.Verdict.saddle).all()
    S = (0, 1, 2)
    assert classify(problem, construct(problem, S, "nonstrict", seed=1), hessian=False).kind is Kind.NONSTRICT
    text = experiment.text.replace("trajectories = 1024", "trajectories = 8")
    (tmp_path / "digits.toml").write_text(text)
    run = basins.run(tmp_path / "digits.toml", tmp_path / "run", on="inline")
    (case,) = run.estimate().cases
    assert case.minimum == 8
    assert [stratum.index for stratum in case.strata if stratum.count] == [1024]

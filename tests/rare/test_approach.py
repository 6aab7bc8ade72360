"""G, the closest approach to a stratum: against the exact chain row by row, its law, and splitting to 1e-5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scalar_chain import chain, written
from scipy.stats import binomtest

from basins import Problem
from basins.cli import main
from basins.errors import ArgumentError, AssumptionWarning
from basins.integrators.base import Settings
from basins.rare.approach import Approach
from basins.rare.approach_truth import far, nearer
from basins.rare.exponents import approach_power
from basins.rare.level_streams import Stream
from basins.rare.tail import read_tail, tail


def exact(W: np.ndarray, sigma: float) -> np.ndarray:
    """sigma prod sqrt(w_i^2 - min w^2) over the others where the product is negative; up to 2 sigma inf."""
    squares = np.sort(W**2, axis=1)
    G = sigma * np.sqrt(np.prod(squares[:, 1:] - squares[:, :1], axis=1))
    return np.where(W.prod(axis=1) < 0, G, np.where(W.prod(axis=1) <= 2 * sigma, np.inf, np.nan))


@pytest.mark.parametrize("H", [1, 2, 3])
def test_the_approach_of_a_chain_has_its_closed_form(H: int) -> None:
    problem = chain(H, 1.5)
    W = np.random.default_rng(H).standard_normal((1500, H + 1))
    W[:20] *= 1e-2  # some come very near
    membership = Approach(problem, Settings(), problem.strata().saddle(1)).starts(W, 0.3)
    G = exact(W, 1.5)
    assert not membership.undecided.any()
    known = ~np.isnan(G)
    np.testing.assert_allclose(membership.value[known], G[known], rtol=1e-7)
    np.testing.assert_array_equal(membership.inside, known & (G < 0.3))
    assert (membership.value[~known] > far(problem)).all()
    assert membership.value.min() < 1e-2


def test_each_stratum_has_its_own_approach() -> None:
    """A start planted on I(J) comes to rest there: G = 0 for J, and it never comes near a stratum above it."""
    from basins.landscapes.deep_linear.critical.stable_manifold import on_stable_manifold

    problem, settings = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=[2, 2]), Settings(budget=500)
    for J in (2, 3):
        modes = problem.strata().saddle(J).modes
        start = on_stable_manifold(problem, modes, seed=3, scale=0.5)[None, :]
        membership = Approach(problem, settings, problem.strata().saddle(J)).starts(start, 1e-9)
        assert membership.undecided.all()
        assert membership.inside.all()
        for above in range(1, J):
            passed = Approach(problem, settings, problem.strata().saddle(above)).starts(start, 1e-9)
            assert not passed.inside.any()


@pytest.mark.parametrize("hidden", [[2], [3, 3]])
def test_the_approach_is_the_gradient_norm_at_the_critical_value(hidden: list[int]) -> None:
    """scipy, integrating from the start to the crossing, gives the same gradient norm in both flows."""
    from scipy.integrate import solve_ivp

    rng = np.random.default_rng(5)
    X, Y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    for problem in (
        Problem.from_spectrum([2.0, 1.0], d_x=4, hidden=hidden),
        Problem.from_data(X, Y, hidden=hidden, flow="raw"),
    ):
        J = problem.strata().saddle(2)
        W = rng.standard_normal((6, problem.n))
        membership = Approach(problem, Settings(), J).starts(W, 1.0)
        seen = 0
        for w, G in zip(W, membership.value, strict=True):
            if problem.loss(w) < J.loss:
                assert np.isinf(G)
                continue

            def passing(_: float, w: np.ndarray, problem: Problem = problem, value: float = J.loss) -> float:
                return float(problem.loss(w)) - value

            passing.terminal = True  # type: ignore[attr-defined]
            path = solve_ivp(
                lambda _, w, problem=problem: -problem.gradient(w),  # type: ignore[misc]
                (0, 1e4),
                w,
                rtol=1e-10,
                atol=1e-12,
                events=passing,
            )
            assert np.linalg.norm(problem.gradient(path.y_events[0][0])) == pytest.approx(G, rel=1e-6)  # type: ignore[index]
            seen += 1
        assert seen >= 2


@pytest.mark.parametrize("H", [1, 2])
@pytest.mark.parametrize("g", [0.5, 0.02])
def test_the_law_of_the_approach_agrees_with_random_draws(H: int, g: float) -> None:
    N = 400_000
    W = 0.8 * Stream(1, 2, 3, H).normals(N, H + 1)
    inside = int((exact(W, 1.5) < g).sum())
    assert binomtest(inside, N, nearer(chain(H, 1.5), 0.8, g)).pvalue > 1e-3


def test_the_law_of_the_approach_is_accurate_and_has_the_expected_power() -> None:
    for H in (1, 2):
        assert nearer(chain(H), 1.0, 1e-6) == pytest.approx(nearer(chain(H), 1.0, 1e-6, step=1 / 48), rel=1e-10)
    power = np.log(nearer(chain(2), 1.0, 1e-8) / nearer(chain(2), 1.0, 1e-9)) / np.log(10)
    assert power == pytest.approx(approach_power(chain(2), chain(2).strata().saddle(1)), abs=1e-3)
    with pytest.raises(ArgumentError, match="no law of G"):
        nearer(Problem.from_spectrum([1.0], d_x=1, hidden=[2]), 1.0, 1e-3)


def test_the_predicted_power_of_the_approach() -> None:
    def of(hidden: list[int], J: int) -> float | None:
        problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=hidden)
        return approach_power(problem, problem.strata().saddle(J))

    assert of([2], 3) is None  # H = 1, S = {0}
    assert of([2, 2], 3) == 1.5
    assert of([2, 2], 1) == 6.0
    assert of([2, 3], 3) == pytest.approx(5 / 2)
    assert of([2, 2], 2) is None  # S = {1}: strict


@pytest.mark.parametrize("H", [1, 2])
def test_splitting_on_the_approach_agrees_with_its_truth(tmp_path: Path, H: int) -> None:
    experiment = written(tmp_path, H)
    arguments = {"stratum": 1, "target": 1e-4, "population": 120, "sweeps": 6, "on": "inline"}
    (found,) = tail(experiment, tmp_path / "run", **arguments)  # type: ignore[arg-type]
    truth = [nearer(chain(H), 1.0, level.threshold) for level in found.levels]
    assert found.last is not None
    assert found.last.P < 5e-4
    inside = [level.lower <= P <= level.upper for level, P in zip(found.levels, truth, strict=True)]
    assert np.mean(inside) >= 0.8
    assert found.last.exponent == pytest.approx(2.0 if H == 1 else 1.5, abs=0.35)
    assert read_tail(tmp_path / "run")[0].stratum == found.stratum


def test_the_command_bounds_a_stratum_and_refuses_an_invalid_one(tmp_path: Path) -> None:
    experiment = written(tmp_path)
    few = ["--target", "1e-2", "--population", "40", "--sweeps", "2", "--on", "inline"]
    result = CliRunner().invoke(main, ["tail", str(experiment), "--stratum", "1", "--out", str(tmp_path / "run"), *few])
    assert result.exit_code == 0, result.output
    assert "level 1: P(G <" in result.output
    said = " ".join(result.output.split())
    assert "The measure of starts that converge to I(1), S = {}, whose critical value is 0.5" in said
    again = CliRunner().invoke(main, ["tail", str(experiment), "--out", str(tmp_path / "run"), *few])
    assert again.exit_code == 2
    assert "stratum = 1 there, None here" in again.output
    for J, why in (("2", "global minima"), ("0", "there is no I(0)")):
        refused = CliRunner().invoke(
            main, ["tail", str(experiment), "--stratum", J, "--out", str(tmp_path / "other"), *few]
        )
        assert refused.exit_code == 2
        assert why in refused.output
        assert not (tmp_path / "other").exists()


def test_strata_of_one_critical_value_are_named_together() -> None:
    """3^2 + 4^2 = 5^2: the losses that {0} and {1, 2} leave are equal."""
    with pytest.warns(AssumptionWarning):
        problem = Problem.from_spectrum([5.0, 4.0, 3.0], d_x=3, hidden=[3, 3])
    (tied,) = problem.strata().tied_values()
    assert {one.modes for one in problem.strata().of_value(problem.strata().of(tied[0]))} == set(tied)


def test_a_slow_passage_is_as_accurate_as_a_fast_one() -> None:
    """The stiff engine steps far beyond the crossing; following the flow backwards would lose every digit."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=[2, 2])
    J, W = problem.strata().saddle(3), 0.4 * np.random.default_rng(3).standard_normal((600, 12))
    rough, fine = (Approach(problem, Settings(rtol=rtol, atol=rtol / 100), J).starts(W, 1.0) for rtol in (1e-6, 1e-9))
    seen = np.isfinite(fine.value)
    np.testing.assert_allclose(rough.value[seen], fine.value[seen], rtol=1e-3)
    assert fine.value.min() < 1e-2


def test_a_start_that_crosses_at_once_is_bracketed_by_its_start() -> None:
    """A single start for which no earlier time exists."""
    J = chain(1).strata().saddle(1)
    membership = Approach(chain(1), Settings(), J).starts(np.array([[1e-9, -1.0]]), 2.0)
    assert membership.value == pytest.approx([1.0], rel=1e-7)

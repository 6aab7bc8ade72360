"""Planted starts stay on the stable manifold in floating point; starts beside it have the distance asked for."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from points import problem_of, raw_problem

from basins import Problem
from basins.errors import ArgumentError, AssumptionError
from basins.integrators.base import IntegrationRequest, IntegrationResult, Settings, Stop
from basins.integrators.scipy import Reference
from basins.landscapes.deep_linear.critical import Kind, classify, on_stable_manifold


def flow_to(problem: Problem, W: np.ndarray, t_end: float, level: float = -np.inf) -> IntegrationResult:
    leg = IntegrationRequest(
        starts=np.atleast_2d(W),
        t_start=np.zeros(1),
        level=np.array([level]),
        rest_after=np.array([np.inf]),
        budget=np.array([200_000]),
        t_end=np.array([t_end]),
        max_step=np.array([np.inf]),
        watch=np.array([False]),
    )
    return Reference().integrate(problem, leg, Settings(method="DOP853", rtol=1e-10, atol=1e-12))


def saddles(d_y: int) -> list[tuple[int, ...]]:
    return [S for r in range(d_y) for S in combinations(range(d_y), r)]


@pytest.mark.parametrize("widths", [(3, 3, 2), (3, 2, 3, 2), (2, 3, 2, 2, 2)], ids=str)
def test_zeros_stay_zero_and_the_limit_is_where_planted(widths: tuple[int, ...]) -> None:
    problem = problem_of(widths)
    for S in saddles(problem.d_y):
        W = on_stable_manifold(problem, S, seed=4, scale=0.8)
        end = flow_to(problem, W, 60.0).state[0]
        unfitted = [i for i in range(problem.d_y) if i not in S]
        first, *_, last = problem.unpack(end)
        assert not first[:, unfitted].any()
        assert not last[unfitted].any()
        assert problem.loss(end) == pytest.approx(problem.strata().of(S).loss, rel=1e-6)
        found = classify(problem, end, reach=1e-2)
        assert found.modes == S
        if problem.H == 1:
            assert found.kind is Kind.STRICT


def runge_kutta(problem: Problem, W: np.ndarray, t_end: float, step: float) -> np.ndarray:
    """The classical method, every component by the same operations in the same order."""
    for _ in range(round(t_end / step)):
        k1 = -problem.gradient(W)
        k2 = -problem.gradient(W + step / 2 * k1)
        k3 = -problem.gradient(W + step / 2 * k2)
        k4 = -problem.gradient(W + step * k3)
        W = W + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return W


def test_a_diagonal_start_is_zero_off_the_first_d_y_modes() -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=5, hidden=(4,))
    W_1, W_2 = problem.unpack(on_stable_manifold(problem, (0,), "diagonal", seed=2))
    assert [*zip(*np.nonzero(W_1), strict=True)] == [*zip(*np.nonzero(W_2), strict=True)] == [(0, 0), (1, 1)]
    assert W_2[1, 1] == -W_1[1, 1]


def test_diagonal_starts_stay_without_zeros() -> None:
    """As long as the integrator treats components alike. scipy's explicit methods sum stages in a BLAS that rounds a
    component by its position, and on this shape such a start escapes there: theory.md 6.8 needs that proviso."""
    problem = problem_of((4, 5, 3))
    for S in saddles(3):
        W = on_stable_manifold(problem, S, "diagonal", seed=2)
        end = runge_kutta(problem, W, 40.0, 0.02)  # an escape from rounding would take about 36 / sigma_j
        W_1, W_2 = problem.unpack(end)
        for j in range(3):
            assert (W_2[j, j] == -W_1[j, j]) == (j not in S)
        assert problem.loss(end) == pytest.approx(problem.strata().of(S).loss, rel=1e-6)
        assert classify(problem, end, reach=1e-2).modes == S


def test_a_distance_is_kept_to_and_the_flow_leaves() -> None:
    problem = problem_of((3, 3, 2))
    S = (0,)
    planted = on_stable_manifold(problem, S, seed=1)
    critical_value = problem.strata().of(S).loss
    for distance in (1e-2, 1e-5):
        W = on_stable_manifold(problem, S, seed=1, distance=distance)
        assert np.linalg.norm(W - planted) == pytest.approx(distance, rel=1e-9)
        ends = flow_to(problem, W, 1e4, level=0.9 * critical_value)
        assert ends.stop[0] == Stop.LEVEL
    near, far = (on_stable_manifold(problem, S, seed=1, distance=x) - planted for x in (1e-2, 1.0))
    assert np.allclose(100 * near, far, atol=1e-12)  # one direction a seed


def test_refusals() -> None:
    problem = problem_of((3, 3, 3, 2))
    with pytest.raises(AssumptionError, match="raw flow"):
        on_stable_manifold(raw_problem((3,)), (0,), seed=0)
    with pytest.raises(AssumptionError, match="H = 2"):
        on_stable_manifold(problem, (0,), "diagonal", seed=0)
    with pytest.raises(ArgumentError, match="not a saddle"):
        on_stable_manifold(problem, (0, 1), seed=0)
    with pytest.raises(ArgumentError, match="kind"):
        on_stable_manifold(problem, (0,), "zero", seed=0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="modes"):
        on_stable_manifold(problem, (2,), seed=0)
    for distance in (-1.0, np.inf, np.nan):
        with pytest.raises(ArgumentError, match="distance"):
            on_stable_manifold(problem, (0,), seed=0, distance=distance)
    with pytest.raises(ArgumentError, match="scale"):
        on_stable_manifold(problem, (0,), seed=0, scale=0.0)

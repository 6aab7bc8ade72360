"""The counterexamples of docs/verdicts.md: their numbers are computed again."""

from __future__ import annotations

import numpy as np
import pytest

from basins import Problem
from basins.integrators.base import IntegrationRequest, Settings
from basins.integrators.scipy import Reference
from basins.landscapes.deep_linear.critical import Kind, classify, on_stable_manifold


def flow_to(problem: Problem, W: np.ndarray, t: float, method: str, atol: float) -> tuple[float, float, np.ndarray]:
    """Loss, gradient norm and state at t."""
    leg = IntegrationRequest(
        starts=np.atleast_2d(W),
        t_start=np.zeros(1),
        level=np.array([-np.inf]),
        rest_after=np.array([np.inf]),
        budget=np.array([50_000]),
        t_end=np.array([t]),
        max_step=np.array([np.inf]),
        watch=np.array([False]),
    )
    ends = Reference().integrate(problem, leg, Settings(method=method, rtol=1e-8, atol=atol))
    assert ends.t[0] == t
    state = ends.state[0]
    return float(problem.loss(state)), float(np.linalg.norm(problem.gradient(state))), state


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))


def test_a_passage_that_looks_like_a_saddle(problem: Problem) -> None:
    start = 1e-8 * np.random.default_rng(1).standard_normal(problem.n)
    for t, level in ((1e3, 2.5), (1e7, 2.5), (5e7, 2.5), (1e8, 0.5), (2e8, 0.5)):
        loss, gradient_norm, state = flow_to(problem, start, t, "LSODA", 1e-14)
        assert abs(loss - level) <= 2 * np.spacing(level)
        assert gradient_norm < 1e-13
        found = classify(problem, state)
        assert found.kind is Kind.UNDECIDED  # no norm decides, and neither do ranks
        assert 1e-8 < found.moved < 2e-7
    loss, _, state = flow_to(problem, start, 2.2e8, "LSODA", 1e-14)
    assert loss < 1e-20
    assert classify(problem, state).kind is Kind.MINIMUM


def test_a_saddle_whose_loss_is_the_level(problem: Problem) -> None:
    level = 0.5 * problem.sigma_min**2
    losses = np.array(
        [
            flow_to(problem, on_stable_manifold(problem, (0,), seed=seed, scale=0.8), 100.0, "DOP853", 1e-10)[0]
            for seed in range(20)
        ]
    )
    assert np.abs(losses - level).max() < 1e-14
    assert np.sum(losses == level) >= 5  # to the last bit: a comparison without a margin would hang on one rounding
    assert np.all(losses > (1 - 1e-6) * level)

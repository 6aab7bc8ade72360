"""The constants of the certificate for gradient descent: they hold at every point tried, and are attained."""

from __future__ import annotations

import numpy as np
import pytest

from basins import Problem
from basins.landscapes.deep_linear.certificates.descent import Norms, constants, margins, spectral_bound

SHAPES = [
    Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2)),
    Problem.from_spectrum([2.0, 0.5], d_x=4, hidden=(3,)),
    Problem.from_spectrum([1.5, 1.0, 0.7], d_x=3, hidden=(3, 4, 3)),
]


def raw() -> Problem:
    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(30, 3)) / np.sqrt(30), rng.normal(size=(30, 2)) / np.sqrt(30)
    return Problem.from_data(X, Y, hidden=(2, 2), flow="raw")


def norms_of(problem: Problem, W: np.ndarray) -> Norms:
    return Norms([np.ascontiguousarray(layer) for layer in problem.unpack(np.atleast_2d(W))])


def near_minima(problem: Problem, N: int, rng: np.random.Generator) -> np.ndarray:
    """States below the level: where the flow from random starts has come."""
    from basins import integrate

    found = integrate(problem, rng.normal(size=(N, problem.n)) * 0.6)
    return np.asarray(found.state[found.verdict == 0])


def holds(problem: Problem, W: np.ndarray, rho: float, rng: np.random.Generator, points: int = 20) -> int:
    """Whether both constants hold at random points of the ball about W within {L <= L(W)}; how many there were."""
    L_0, norms, tried = float(problem.loss(W)), norms_of(problem, W), 0
    error, least = np.sqrt(2 * np.array([L_0])), np.array([problem.sigma_min])
    (mu,), (smooth,) = constants(problem, norms, np.array([rho]), error, least)
    for _ in range(points):
        move = rng.normal(size=problem.n)
        V = W + rho * rng.uniform() ** 0.1 * move / np.linalg.norm(move)
        loss, gradient = problem.loss_and_gradient(V)
        if loss <= L_0:
            tried += 1
            assert np.linalg.eigvalsh(problem.hessian(V))[-1] <= smooth
            assert gradient @ gradient >= 2 * mu * loss * (1 - 1e-12)
    return tried


@pytest.mark.parametrize("problem", [*SHAPES, raw()], ids=["2222", "432", "33433", "raw"])
def test_constants_hold_on_the_ball(problem: Problem) -> None:
    """The largest eigenvalue of the Hessian is at most Lam, and ||grad L||^2 >= 2 mu l, at points of many balls."""
    rng = np.random.default_rng(5)
    states = near_minima(problem, 24, rng)
    assert sum(holds(problem, W, rho, rng) for W in states for rho in (0.02, 0.2)) > 100


@pytest.mark.parametrize("weights", [(0.1, 2.0), (0.1, 0.1), (2.0, 0.1), (0.3, 0.4, 0.5), (0.1, 1.5, 1.5)])
def test_constants_hold_far_from_a_minimum(weights: tuple[float, ...]) -> None:
    """Chains of small product, where the residual's part of either constant is what matters."""
    problem = Problem.from_spectrum([1.0], d_x=1, hidden=(1,) * (len(weights) - 1))
    assert holds(problem, np.array(weights), 1e-3, np.random.default_rng(1), 200) > 20


def test_smoothness_is_attained_at_a_balanced_minimum() -> None:
    """There the Hessian's largest eigenvalue is N sigma_1^(2 - 2/N), and Lam is no more than its bounds of norms."""
    problem = SHAPES[0]
    W = _balanced_minimum(problem)
    assert problem.loss(W) < 1e-25
    zero = np.zeros(1)
    smooth = norms_of(problem, W).smoothness(zero, zero, 1.0)[0]
    top = np.linalg.eigvalsh(problem.hessian(W))[-1]
    assert top == pytest.approx(3 * 2.0 ** (2 - 2 / 3))
    assert top <= smooth <= 1.1 * top


def _balanced_minimum(problem: Problem) -> np.ndarray:
    root = problem.sigma ** (1 / (problem.H + 1))
    return problem.pack([np.diag(root) for _ in range(problem.H + 1)])


def test_growth_of_a_product_is_attained_by_equal_layers() -> None:
    """Three layers of one weight 1.3, moved alike: the product becomes (1.3 + rho / sqrt 3)^3, which is the bound."""
    layers = [np.full((1, 1, 1), 1.3) for _ in range(3)]
    for rho in (0.0, 0.1, 1.0):
        found = Norms(layers).on_ball(0, 2, np.array([rho]))[0]
        assert found == pytest.approx((1.3 + rho / np.sqrt(3)) ** 3, rel=1e-7)


def test_spectral_bound_is_above_and_close() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 3), (2, 7), (9, 4)):
        for scale in (1.0, 1e-150, 1e100):
            A = rng.normal(size=(50, *shape)) * scale
            exact = np.linalg.norm(A, 2, axis=(1, 2))
            bound = spectral_bound(A)
            assert (bound >= exact).all()
            assert (bound <= 1.08 * exact).all()
    assert spectral_bound(np.zeros((2, 3, 3))).tolist() == [0.0, 0.0]


def test_nothing_is_certified_from_what_is_not_finite_or_not_below() -> None:
    problem = SHAPES[0]
    states = np.stack([np.full(problem.n, np.nan), np.full(problem.n, 1e200), np.zeros(problem.n)])
    above = np.array([np.nan, np.inf, 2.5])
    free = np.zeros((3, problem.d_y), dtype=bool)
    assert np.isnan(margins(problem, states, above, free, 0.1, 1e-6)).all()
    minimum = _balanced_minimum(problem)[None] * (1 + 1e-3)
    close = np.asarray(problem.loss(minimum))
    assert margins(problem, minimum, close, free[:1], 0.1, 1e-6)[0] > 0
    assert np.isnan(margins(problem, minimum, close, free[:1], 0.3, 1e-6))[0], "2 / (3 * 2^(4/3)) = 0.265"

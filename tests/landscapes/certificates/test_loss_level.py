"""The loss level (theory.md 3a): no saddle is below it, rounding included."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from certified_starts import SIGMA, raw_problem, spectrum_problem

from basins import Problem
from basins.landscapes.deep_linear.certificates import level, level_margin, level_rate, loss_rounding, reachable


def test_last_saddle_is_above_the_level_and_a_wrong_level_would_certify_it(rng, critical_point):
    """At S = {1..d_y - 1} the loss is the level to rounding: only delta keeps it out."""
    problem = spectrum_problem(4, (4, 3), 3)
    W = np.array([critical_point(problem, [0, 1], rng) for _ in range(50)])
    W = W[np.abs(W).max(axis=1) < 100]
    assert len(W) > 20
    loss = problem.loss(W)
    np.testing.assert_allclose(loss, level(problem, 0.0), rtol=1e-8)
    assert not (loss < level(problem)).any()
    assert not (level_margin(problem, W) > 1e-7).any()
    assert (loss < level(problem, delta=-1e-6)).all()


def test_loss_bound_covers_rounding(rng):
    """Layers of norm 1e5 that cancel: the computed loss is off, within the bound, and the margin does not certify
    it."""
    problem = spectrum_problem(2, (2, 2), 2)
    big = 1e5
    Q = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    W = problem.pack([Q * big, np.linalg.inv(Q) / big**2, np.diag(SIGMA[:2]) * big])
    layers = [[[Fraction(float(x)) for x in row] for row in W_j] for W_j in problem.unpack(W)]
    product = layers[0]
    for W_j in layers[1:]:
        product = [
            [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*product, strict=True)]
            for row in W_j
        ]
    target = problem.target
    exact = sum((Fraction(float(target[i, j])) - product[i][j]) ** 2 for i in range(2) for j in range(2)) / 2
    assert abs(float(Fraction(float(problem.loss(W))) - exact)) <= loss_rounding(problem, W)[0]
    ill = problem.pack([np.eye(2) * 1e6, np.eye(2) * 1e6, np.diag(SIGMA[:2]) * 1e-12])
    assert level_margin(problem, ill) > 0.9  # large layers, but their product of norms is that of sigma
    cancels = problem.pack(
        [np.array([[1e6, 0.0], [1e6, 1.1e-6]]), np.array([[2e6, 0.0], [-1e6, 1e6]]), np.eye(2) * 1e-6]
    )
    assert np.abs(problem.loss(cancels)) < np.inf
    assert loss_rounding(problem, cancels) > 1e-12


def test_level_margin_is_the_excess_below_the_level(rng):
    problem = spectrum_problem(2, (2,), 2)
    W = problem.pack([np.eye(2), np.diag(SIGMA[:2] - [0.0, 0.3])])
    np.testing.assert_allclose(level_margin(problem, W), 1 - 0.3**2 / SIGMA[1] ** 2, rtol=1e-12)
    assert level(problem) == (1 - 1e-6) * 0.5 * SIGMA[1] ** 2


@pytest.mark.parametrize("flow", ["reduced", "raw"])
def test_level_rate_bounds_the_decay_below_the_level(flow, rng):
    problem = raw_problem(rng) if flow == "raw" else spectrum_problem(3, (3, 3), 2)
    inputs = np.eye(3) if problem.gram_root is None else np.linalg.inv(problem.gram_root)
    solution = problem.target @ inputs
    W_2, W_3 = rng.standard_normal((2000, 3, 3)), rng.standard_normal((2000, 2, 3))
    W = problem.pack([np.linalg.pinv(W_3 @ W_2) @ solution, W_2, W_3])
    W = W[np.abs(W).max(axis=1) < 10]
    W = W + 0.03 * rng.standard_normal(W.shape)
    L, gradient = problem.loss_and_gradient(W)
    rate = level_rate(problem, W)
    below = problem.loss(W) < level(problem)
    assert below.sum() > 50
    np.testing.assert_array_equal(rate > 0, 0.5 * problem.sigma_min**2 > L)
    assert (np.sum(gradient**2, axis=-1) >= 2 * rate * L * (1 - 1e-9)).all()


@pytest.mark.parametrize("flow", ["reduced", "raw"])
def test_level_rate_is_sharp_where_the_first_layer_is_small(flow):
    """All widths 1, w_1 << w_2: -L' / (2 L) = (w_1^2 + w_2^2) g^2 and the bound is w_2^2 g^2."""
    X, Y = np.array([[1.0], [2.0], [2.0]]), np.array([[3.0], [1.0], [0.0]])
    problem = Problem.from_data(X, Y, hidden=(1,), flow=flow)
    g = 3.0 if flow == "raw" else 1.0
    W = np.array([1e-3 * np.sign(problem.target[0, 0]), 0.9 * problem.sigma_min / (1e-3 * g)])
    if flow == "raw":
        W[0] *= np.sign(problem.gram_root[0, 0])  # type: ignore[index]
    L, gradient = problem.loss_and_gradient(W)
    assert level(problem) > L
    np.testing.assert_allclose(level_rate(problem, W), gradient @ gradient / (2 * L), rtol=1e-5)


def test_reachable_strata_by_loss_and_rank():
    problem = spectrum_problem(3, (3,), 3)  # sigma^2 / 2 = 2, 0.605, 0.08
    assert set(reachable(problem, np.inf)) == set(range(8))
    assert set(reachable(problem, 0.05)) == {0b111}
    assert set(reachable(problem, 0.08)) == {0b111, 0b011}  # at the critical value itself: it may be there already
    assert set(reachable(problem, 0.7)) == {0b111, 0b011, 0b101, 0b001}
    assert set(reachable(problem, 0.7, least_rank=2)) == {0b111, 0b011, 0b101}
    assert set(reachable(problem, np.inf, least_rank=3)) == {0b111}

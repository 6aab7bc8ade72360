"""The vector field against independent derivatives, the paper's statements about it, and its conserved quantities."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from basins import Problem
from basins.landscapes.deep_linear import gradient as gradient_module

SHAPES = [(3, (2,), 2), (3, (4, 2), 2), (2, (3, 2, 4), 2), (4, (3, 3), 3)]


def raw_problem(rng, hidden=(3, 4), X=None):
    X = rng.standard_normal((7, 3)) if X is None else X
    Y = rng.standard_normal((len(X), 2))
    return Problem.from_data(X, Y, hidden=hidden, flow="raw"), Problem.from_data(X, Y, hidden=hidden)


@pytest.fixture(params=[*SHAPES, "raw"], ids=str)
def problem(request, rng):
    if request.param == "raw":
        return raw_problem(rng)[0]
    d_x, hidden, d_y = request.param
    return Problem.from_spectrum(np.array([2.0, 1.1, 0.4])[:d_y], d_x=d_x, hidden=hidden)


def loss_of(problem, W):
    """L of a state that may be complex: analytic in W, so Im L(W + i h w) / h is its derivative without
    cancellation."""
    layers = problem._split(W)
    return gradient_module.loss(problem.target, problem.gram_root, layers)


def gradient_of(problem, W):
    layers = gradient_module.loss_and_gradient(problem.target, problem.gram_root, problem._split(W))[1]
    return np.concatenate([g.reshape(*g.shape[:-2], -1) for g in layers], axis=-1)


STEP = 1e-40


def test_gradient_is_the_derivative_of_the_loss(problem, rng):
    W = rng.standard_normal(problem.n)
    by_step = loss_of(problem, W + 1j * STEP * np.eye(problem.n)).imag / STEP
    np.testing.assert_allclose(problem.gradient(W), by_step, rtol=1e-12, atol=1e-13)


def test_hessian_is_the_derivative_of_the_gradient_and_symmetric(problem, rng):
    W = rng.standard_normal(problem.n)
    by_step = gradient_of(problem, W + 1j * STEP * np.eye(problem.n)).imag / STEP
    hessian = problem.hessian(W)
    np.testing.assert_allclose(hessian, by_step, rtol=1e-11, atol=1e-12)
    assert (hessian == hessian.T).all()
    w = rng.standard_normal((3, problem.n))
    np.testing.assert_allclose(problem.hessian_product(W, w), w @ hessian, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(problem.hessian_product(W, w[0]), hessian @ w[0], rtol=1e-11, atol=1e-12)


def test_loss_is_half_the_squared_residual_written_out(problem, rng):
    W = rng.standard_normal(problem.n)
    product = np.eye(problem.d_x)
    for W_j in problem.unpack(W):
        product = W_j @ product
    G = np.eye(problem.d_x) if problem.gram_root is None else problem.gram_root
    assert problem.loss(W) == pytest.approx(0.5 * np.sum((problem.target - product @ G) ** 2), rel=1e-13)


def test_batch_equals_single_states(problem, rng):
    W = rng.standard_normal((4, problem.n))
    L, gradient = problem.loss_and_gradient(W)
    assert L.shape == (4,)
    assert gradient.shape == W.shape
    for k in range(4):
        np.testing.assert_allclose(L[k], problem.loss(W[k]), rtol=1e-14)
        np.testing.assert_allclose(gradient[k], problem.gradient(W[k]), rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(problem.hessian(W)[k], problem.hessian(W[k]), rtol=1e-13, atol=1e-14)
        for C, C_k in zip(problem.invariants(W), problem.invariants(W[k]), strict=True):
            np.testing.assert_allclose(C[k], C_k, rtol=1e-13, atol=1e-14)
    assert problem.hessian(W[:0]).shape == (0, problem.n, problem.n)


def test_invariants_are_constant(problem, rng, flow_to):
    """Lemma 2.3: their derivative along the field is zero to rounding, and along a trajectory they drift with its
    tolerance."""
    W = rng.standard_normal((3, problem.n))
    layers, velocity = problem.unpack(W), problem.unpack(-problem.gradient(W))
    for j in range(problem.H):
        up, own = np.swapaxes(velocity[j + 1], 1, 2) @ layers[j + 1], velocity[j] @ np.swapaxes(layers[j], 1, 2)
        change = up + np.swapaxes(up, 1, 2) - own - np.swapaxes(own, 1, 2)
        assert np.abs(change).max() < 1e-13 * np.abs(own).max()
    later = flow_to(problem, W, 2.0)
    for C_0, C_t in zip(problem.invariants(W), problem.invariants(later), strict=True):
        np.testing.assert_allclose(C_t, C_0, rtol=0, atol=2e-7)
    assert (problem.loss(later) < problem.loss(W)).all()


def test_norms_of_layers_differ_by_traces_of_invariants(problem, rng, flow_to):
    """Eq. (8) reads ||W_{j+1}||^2 = ||W_1||^2 + sum_{k <= j} tr C_k; the paper's c_{j+1} is not defined for j = H
    (errata 10)."""
    layers = problem.unpack(flow_to(problem, rng.standard_normal((1, problem.n)), 1.0))
    C = problem.invariants(problem.pack(layers))
    for j in range(1, problem.H + 1):
        traces = sum(np.trace(C_k, axis1=-2, axis2=-1) for C_k in C[:j])
        np.testing.assert_allclose(np.sum(layers[j] ** 2), np.sum(layers[0] ** 2) + traces, rtol=1e-12)


def test_zeros_stay_zeros_bitwise(rng, flow_to):
    """The S^c columns of W_1 and S^c rows of W_{H+1}: the reduced flow keeps them, the raw flow does not (theory.md
    6.7)."""
    for d_x, hidden, d_y in SHAPES:
        problem = Problem.from_spectrum(np.array([2.0, 1.1, 0.4])[:d_y], d_x=d_x, hidden=hidden)
        W = rng.standard_normal((1, problem.n))
        layers = problem.unpack(W)
        layers[0][..., 0], layers[-1][:, 0] = 0.0, 0.0
        ends = problem.unpack(flow_to(problem, W, 3.0, "RK45"))
        assert not ends[0][..., 0].any()
        assert not ends[-1][:, 0].any()
    raw, _ = raw_problem(rng)
    W = rng.standard_normal((1, raw.n))
    layers = raw.unpack(W)
    layers[0][..., 0], layers[-1][:, 0] = 0.0, 0.0
    assert raw.unpack(raw.gradient(W))[0][..., 0].any()


def bar(raw, W):
    """The paper's bars: Wbar_1 = W_1 U_X S_X V_Y, Wbar_{H+1} = U_Y^T W_{H+1}."""
    layers = list(raw.unpack(W))
    layers[0] = layers[0] @ raw.gram_root @ raw.V_Y
    layers[-1] = raw.U_Y.T @ layers[-1]
    return raw.pack(layers)


def test_raw_and_reduced_flows_differ_by_the_metric_of_the_inputs(rng):
    """dWbar_1/dt = A_1^T M (V_Y^T S_X^2 V_Y) in the raw flow, A_1^T M in the reduced one; other layers agree (errata
    1)."""
    raw, reduced = raw_problem(rng)
    W = rng.standard_normal(raw.n)
    np.testing.assert_allclose(raw.loss(W), reduced.loss(bar(raw, W)), rtol=1e-12)
    moved = raw.unpack(bar(raw, -raw.gradient(W)))  # bars are linear in each layer
    gdd = reduced.unpack(-reduced.gradient(bar(raw, W)))
    metric = raw.V_Y.T @ raw.gram_root.T @ raw.gram_root @ raw.V_Y
    np.testing.assert_allclose(moved[0], gdd[0] @ metric, rtol=1e-11, atol=1e-11)
    for j in (1, 2):
        np.testing.assert_allclose(moved[j], gdd[j], rtol=1e-11, atol=1e-11)
    # What the paper's identification of the two would say is off by far more than rounding.
    assert np.abs(moved[0] - gdd[0]).max() > 0.1 * np.abs(gdd[0]).max()


def test_raw_and_reduced_flows_agree_for_orthonormal_inputs(rng, flow_to):
    X = np.linalg.qr(rng.standard_normal((7, 3)))[0]
    raw, reduced = raw_problem(rng, X=X)
    W = rng.standard_normal(raw.n)
    np.testing.assert_allclose(
        bar(raw, flow_to(raw, W, 2.0)[0]), flow_to(reduced, bar(raw, W), 2.0)[0], rtol=1e-6, atol=1e-7
    )


def test_critical_sets_and_inertia_agree_in_both_flows(rng, critical_point):
    """What does carry over by the bars (errata 1): gradients vanish together and Hessians have one inertia."""
    raw, reduced = raw_problem(rng)
    for S in ([], [0], [1], [0, 1]):
        W_bar = critical_point(reduced, S, rng)
        layers = list(reduced.unpack(W_bar))
        layers[0] = layers[0] @ np.linalg.inv(raw.gram_root @ raw.V_Y)
        layers[-1] = raw.U_Y @ layers[-1]
        W = raw.pack(layers)
        assert np.abs(raw.gradient(W)).max() < 1e-11
        signs = []
        for problem, point in ((raw, W), (reduced, W_bar)):
            eigenvalues = np.linalg.eigvalsh(problem.hessian(point))
            cut = 1e-9 * np.abs(eigenvalues).max()
            signs.append((np.sum(eigenvalues > cut), np.sum(eigenvalues < -cut)))
        assert signs[0] == signs[1]


def quadratic_part(problem, W, w, pairs):
    """The paper's H_W(w) (Prop. 3, without its split of W_1): second variations over these pairs of layers, squared
    first ones."""
    W, w = problem.unpack(W), problem.unpack(w)

    def product(replaced):
        P = np.eye(problem.d_x)
        for j in range(len(W)):
            P = (w if j in replaced else W)[j] @ P
        return P

    M = problem.target - product(())
    first = sum(product((j,)) for j in range(len(W)))
    return 0.5 * np.sum(first**2) - sum(np.sum(product(pair) * M) for pair in pairs)


def test_the_papers_quadratic_form_is_half_the_hessians_with_each_pair_once(rng):
    """H_W is the t^2 coefficient of L(W + t w), half of <w, Hess w> (errata 5), and "j != k" in its sums is j < k
    (errata 6)."""
    problem = Problem.from_spectrum([2.0, 1.1], d_x=2, hidden=(3, 2, 4))
    W, w = rng.standard_normal((2, problem.n))
    form = w @ problem.hessian(W) @ w
    pairs = list(combinations(range(problem.H + 1), 2))
    assert quadratic_part(problem, W, w, pairs) == pytest.approx(form / 2, rel=1e-12)
    assert quadratic_part(problem, W, w, pairs) != pytest.approx(form, rel=0.1)
    inner = [(j, k) for j, k in pairs if j >= 1 and k <= problem.H - 1]  # the paper's 2 <= j, k <= H
    assert quadratic_part(problem, W, w, [*pairs, *inner]) != pytest.approx(form / 2, rel=1e-3)


@pytest.mark.parametrize("hidden", [(2,), (2, 3), (2, 3, 2)])
def test_the_loss_has_degree_twice_the_number_of_layers(hidden, rng):
    """Degree 2 (H + 1), not (H + 1)^2 (errata 9): on the ray s W, L is a polynomial whose coefficients are fitted
    exactly."""
    problem = Problem.from_spectrum([2.0, 1.1], d_x=3, hidden=hidden)
    layers = len(hidden) + 1
    s = np.cos(np.pi * (np.arange(30) + 0.5) / 30)  # Chebyshev points: a well-conditioned fit of a high degree
    L = problem.loss(s[:, None] * rng.standard_normal(problem.n))
    coefficients = np.polynomial.chebyshev.chebfit(s, L, 20)
    top = np.abs(coefficients) > 1e-10 * np.abs(coefficients).max()
    assert np.flatnonzero(top).max() == 2 * layers


def test_the_residual_has_the_shape_of_the_target(problem, rng):
    """M is d_y x d_x in section 2; from Prop. 3 on the paper's M is its first d_y columns (errata 11)."""
    W = rng.standard_normal((2, problem.n))
    E = gradient_module.residual(problem.target, problem.gram_root, problem.unpack(W))
    assert E.shape == (2, problem.d_y, problem.d_x)

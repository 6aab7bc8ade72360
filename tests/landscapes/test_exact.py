"""Closed forms against scipy's solvers, in multiples of the tolerance, and against the field itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

from basins import Problem
from basins.errors import ArgumentError
from basins.landscapes.deep_linear import exact

WITHIN = 5.0
"""Multiples of atol + rtol |y| (rms over components) that a solver's global error may have; the largest seen is
1.1."""

TIMES = (0.4, 3.0, 20.0)


def chain_problem(H, sigma=1.3):
    return Problem.from_spectrum([sigma], d_x=1, hidden=(1,) * H)


def derivative(state, t, h):
    """Central difference of order four."""
    y = [state(t + k * h) for k in (-2, -1, 1, 2)]
    return (y[0] - 8 * y[1] + 8 * y[2] - y[3]) / (12 * h)


def solves_the_flow(problem, state, t, h=1e-3, rtol=1e-7):
    """The closed form's time derivative is the field at its own state: a check that no integrator has a part in."""
    field = -problem.gradient(state(t))
    np.testing.assert_allclose(derivative(state, t, h), field, rtol=rtol, atol=rtol * np.abs(field).max())


# --- 6.1 ------------------------------------------------------------------------------------------------------------

CHAINS = {
    "positive product": [0.64, 0.13, 1.2, 0.9],
    "negative product": [-0.7, -1.27, -0.62, 1.1],
    "from above": [1.5, 1.9, 1.7, 1.3],
    "from zero": [0.0, 0.5, 0.9, -0.8],
    "equal": [0.4, 0.4, 0.4, 0.4],
}


@pytest.mark.parametrize("H", [1, 2, 3])
@pytest.mark.parametrize("name", CHAINS)
def test_scalar_chain_against_scipy(H, name, flow_to, off_by):
    problem, w = chain_problem(H), np.array(CHAINS[name][: H + 1])
    states = exact.scalar_chain(problem, w, TIMES)
    for method in ("RK45", "DOP853"):
        for t, state in zip(TIMES, states, strict=True):
            assert off_by(flow_to(problem, w, t, method)[0], state) < WITHIN
    assert states[-1].prod() == pytest.approx(1.3, rel=1e-12)
    solves_the_flow(problem, lambda t: exact.scalar_chain(problem, w, t), 0.7)


def test_scalar_chain_against_radau(flow_to, off_by):
    problem, w = chain_problem(2), np.array([-0.7, -1.27, 0.62])
    assert off_by(flow_to(problem, w, 3.0, "Radau")[0], exact.scalar_chain(problem, w, 3.0)) < 30


def test_scalar_chain_time_inverts_the_state(rng):
    """Through the state and back to 1e-12, also where the product changes sign, and as theory.md 6.1 writes the
    integral."""
    for H in (1, 2, 3, 4):
        problem = chain_problem(H)
        w = rng.uniform(0.2, 0.9, H + 1)
        for start in (w, w * np.where(np.arange(H + 1) == 0, -1, 1)):
            for t in (0.3, 2.0):
                p = float(np.prod(exact.scalar_chain(problem, start, t)))
                assert exact.scalar_chain_time(problem, start, p) == pytest.approx(t, rel=1e-11)
        p = 0.9 * 1.3
        least = (w**2).min()
        a = w**2 - least
        end = float(np.min(exact.scalar_chain(problem, w, exact.scalar_chain_time(problem, w, p)) ** 2 - a))

        def integrand(x, a=a):
            p = np.sqrt(np.prod(x + a))
            return 1 / (2 * p * (1.3 - p))

        by_letter = quad(integrand, least, end, epsabs=0, epsrel=1e-12)[0]
        assert exact.scalar_chain_time(problem, w, p) == pytest.approx(by_letter, rel=1e-11)
    assert exact.scalar_chain_time(problem, w, float(np.prod(w))) == 0.0
    assert exact.scalar_chain_time(problem, w, 1.3) == np.inf
    assert exact.scalar_chain_time(problem, w, -1.0) == np.inf


def test_one_hidden_unit_by_three_formulas():
    """H = 1: quadrature (6.1), the Riccati form (6.5 with m = 1) and 6.4 in its own letters agree to 1e-12."""
    problem, sigma, t = chain_problem(1), 1.3, np.array([0.3, 1.0, 4.0])
    for a, b in [(0.9, 0.2), (-0.9, 0.2), (0.3, -1.4)]:
        W0 = np.array([b, a])
        by_quadrature, by_riccati = exact.scalar_chain(problem, W0, t), exact.width_chain(problem, W0, t)
        np.testing.assert_allclose(by_quadrature, by_riccati, rtol=1e-12, atol=1e-13)
        c = a**2 - b**2
        z = (by_riccati[:, 1] + by_riccati[:, 0]) / (by_riccati[:, 1] - by_riccati[:, 0])
        np.testing.assert_allclose(by_riccati.prod(axis=1), c / 4 * (z - 1 / z), rtol=1e-11)
        # z' = 2 sigma z - (c/2)(z^2 - 1): distances to the two fixed points, through t in closed form.
        root = np.sqrt(sigma**2 + c**2 / 4)
        fixed, other = (2 * sigma + 2 * root) / c, (2 * sigma - 2 * root) / c
        z0 = (a + b) / (a - b)
        ratio = (z - fixed) / (z - other)
        np.testing.assert_allclose(ratio, (z0 - fixed) / (z0 - other) * np.exp(-2 * root * t), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("gap", [2.0**-6, 2.0**-20, 2.0**-40])
def test_quadrature_keeps_its_accuracy_through_a_slow_passage(gap):
    """b = -a + gap passes the saddle at a distance of gap, in a time log(1 / gap) / sigma: still the Riccati state."""
    problem, t = chain_problem(1), np.array([1.0, 10.0, 25.0])
    W0 = np.array([-0.9 + gap, 0.9])
    np.testing.assert_allclose(
        exact.scalar_chain(problem, W0, t), exact.width_chain(problem, W0, t), rtol=1e-10, atol=1e-13
    )


@pytest.mark.parametrize("w", [[0.7, -0.7, 1.9], [-0.5, 0.5, 0.5], [-0.4, -0.4, -0.4], [0.0, 0.0, 0.9]], ids=str)
def test_tied_chains_with_no_positive_product_go_to_the_saddle(w, flow_to, off_by):
    problem, w = chain_problem(2), np.array(w)
    early = exact.scalar_chain(problem, w, 1.5)
    assert off_by(flow_to(problem, w, 1.5)[0], early) < WITHIN
    late = exact.scalar_chain(problem, w, [10.0, 100.0])
    assert (late.prod(axis=1) <= 0).all()
    assert abs(late[1].prod()) <= abs(late[0].prod()) < 1e-3
    assert exact.scalar_chain_time(problem, w, 0.5) == np.inf
    if w.prod() < 0:
        p = float(early.prod())
        assert exact.scalar_chain_time(problem, w, p) == pytest.approx(1.5, rel=1e-11)


def test_a_tied_start_escapes_by_rounding(flow_to):
    """theory.md 6.9: on the stable manifold in exact arithmetic; any solver leaves it, so it is a control and no
    oracle."""
    problem = chain_problem(2)
    w = exact.tied_chain_start(problem, 0.7, [1.9])
    np.testing.assert_array_equal(w, [0.7, -0.7, 1.9])
    assert abs(exact.scalar_chain(problem, w, 100.0).prod()) < 1e-12
    assert flow_to(problem, w, 100.0, "RK45")[0].prod() == pytest.approx(1.3)
    for magnitude, others in ((0.7, [0.7]), (0.7, []), (-0.7, [1.9]), (0.7, [1.0, 1.9])):
        with pytest.raises(ArgumentError, match="others"):
            exact.tied_chain_start(problem, magnitude, others)


# --- 6.2 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "v",
    [[0.6, 0.9, 1.2], [-0.6, 0.9, 1.2], [0.0, 0.9, 1.2], [0.6, 0.9, 1.2, 1.4], [-0.6, 0.9, 1.2, 1.4], [0.5] * 5],
    ids=str,
)
def test_small_chains_leave_zero_at_the_blow_up_time(v):
    """From eps v the product reaches sigma / 2 at eps^-(H-1) blow_up_time (1 + o(1)); by Carlson's R_F for H = 2."""
    v, sigma = np.array(v), 1.3
    H = len(v) - 1
    problem = chain_problem(H, sigma)
    predicted = exact.blow_up_time(sigma, v)
    ratios = [
        exact.scalar_chain_time(problem, eps * v, sigma / 2) * eps ** (H - 1) / predicted for eps in (1e-1, 1e-2, 1e-3)
    ]
    assert np.all(np.diff(np.abs(np.array(ratios) - 1)) < 0)
    assert ratios[-1] == pytest.approx(1, abs=1e-3)
    if (v > 0).all():
        direct = quad(lambda x: 0.5 / np.sqrt(np.prod(v**2 + x)), 0, np.inf, epsabs=0, epsrel=1e-11)[0] / sigma
        assert predicted == pytest.approx(direct, rel=1e-9)


def test_tied_chains_blow_up_only_with_a_positive_product():
    assert exact.blow_up_time(1.0, [-0.5, 0.5, 1.0]) == np.inf
    assert exact.blow_up_time(1.0, [0.0, 0.0, 1.0]) == np.inf
    assert np.isfinite(exact.blow_up_time(1.0, [-0.5, -0.5, 1.0]))
    # R_F(a, a, a) = 1 / sqrt(a)
    assert exact.blow_up_time(2.0, [0.25, 0.25, 0.25]) == pytest.approx(1 / (2 * 0.25), rel=1e-14)
    for sigma, v in ((1.0, [1.0, 2.0]), (0.0, [1.0, 2.0, 3.0])):
        with pytest.raises(ArgumentError):
            exact.blow_up_time(sigma, v)


# --- 6.3 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(4,), (3, 4), (3, 3, 5)], ids=str)
def test_balanced_modes_against_scipy(hidden, rng, flow_to, off_by):
    problem = Problem.from_spectrum([2.0, 1.1, 0.5], d_x=5, hidden=hidden)
    gauges = [np.linalg.qr(rng.standard_normal((d, 3)))[0] for d in hidden]
    s0 = [0.3, 3.0, 0.02]
    start = exact.balanced(problem, s0, 0.0, gauges)
    assert max(np.abs(C).max() for C in problem.invariants(start)) < 1e-14
    for t, state in zip(TIMES, exact.balanced(problem, s0, TIMES, gauges), strict=True):
        for method in ("RK45", "DOP853"):
            assert off_by(flow_to(problem, start, t, method)[0], state) < WITHIN
    solves_the_flow(problem, lambda t: exact.balanced(problem, s0, t, gauges), 0.5)
    # The mode itself, s' = (H + 1) s^{2 - 2/(H+1)} (sigma - s).
    layers = problem.H + 1

    def modes(t):
        return problem.fitted(exact.balanced(problem, s0, t, gauges)) * problem.sigma

    s = modes(0.5)
    np.testing.assert_allclose(
        derivative(modes, 0.5, 1e-3), layers * s ** (2 - 2 / layers) * (problem.sigma - s), rtol=1e-8, atol=1e-9
    )


def test_balanced_modes_at_zero_stay_and_late_ones_arrive():
    problem = Problem.from_spectrum([2.0, 0.5], d_x=2, hidden=(2,))
    late = problem.unpack(exact.balanced(problem, [0.0, 1e-300], 5000.0))
    np.testing.assert_allclose(late[1] @ late[0], np.diag([0.0, 0.5]), atol=1e-12)
    s = problem.fitted(exact.balanced(problem, [1e-3, 3.0], 1.0)) * problem.sigma
    grown = np.exp(2 * problem.sigma * 1.0)
    np.testing.assert_allclose(s, problem.sigma * grown / (grown - 1 + problem.sigma / [1e-3, 3.0]), rtol=1e-13)


# --- 6.4, 6.5 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 5])
def test_width_chain_against_scipy(m, rng, flow_to, off_by):
    problem = Problem.from_spectrum([1.7], d_x=1, hidden=(m,))
    u, v = rng.standard_normal((2, m))
    for W0 in (np.concatenate([u, v]), np.concatenate([u, u]), 0.01 * np.concatenate([v, u])):
        states = exact.width_chain(problem, W0, TIMES)
        for t, state in zip(TIMES, states, strict=True):
            for method in ("RK45", "DOP853"):
                assert off_by(flow_to(problem, W0, t, method)[0], state) < WITHIN
        solves_the_flow(problem, lambda t, W0=W0: exact.width_chain(problem, W0, t), 0.5)
    far = exact.width_chain(problem, np.concatenate([u, v]), 1e6)
    assert far[:m] @ far[m:] == pytest.approx(1.7, rel=1e-14)


@pytest.mark.parametrize("m", [1, 2, 4])
def test_width_chain_ends_in_the_saddle_iff_opposite(m, rng):
    """u_0 = -v_0: codimension m, the unstable index of I(1) (theory.md 6.5); the nearest float away leaves it."""
    problem = Problem.from_spectrum([1.7], d_x=1, hidden=(m,))
    assert problem.strata()[0].unstable_index == m
    u = rng.standard_normal(m)
    W0 = np.concatenate([u, -u])
    late = exact.width_chain(problem, W0, [10.0, 1000.0])
    np.testing.assert_allclose(
        late[0], W0 * np.exp(-1.7 * 10) / np.sqrt(1 + (u @ u) / 1.7 * (1 - np.exp(-34))), rtol=1e-12
    )
    assert not late[1].any()
    W0[0] = np.nextafter(W0[0], np.inf)
    left = exact.width_chain(problem, W0, 1000.0)
    assert left[:m] @ left[m:] == pytest.approx(1.7)


# --- 6.6 ------------------------------------------------------------------------------------------------------------


def with_invariant(problem, lam, rng):
    """A start with C_1 = lam I: lam <= 0 needs d_1 <= d_x, lam > 0 needs d_1 = d_y."""
    d_x, d_1, d_y = problem.widths
    if lam > 0:
        W_1 = rng.standard_normal((d_1, d_x))
        W_2 = np.linalg.qr(rng.standard_normal((d_y, d_y)))[0] @ root(W_1 @ W_1.T + lam * np.eye(d_1))
    else:
        W_2 = rng.standard_normal((d_y, d_1))
        W_1 = root(W_2.T @ W_2 - lam * np.eye(d_1)) @ np.linalg.qr(rng.standard_normal((d_x, d_x)))[0][:d_1]
    return problem.pack([W_1, W_2])


def root(A):
    values, vectors = np.linalg.eigh(A)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


RICCATI = [
    (0.0, (3, 3, 2)),
    (0.0, (4, 2, 2)),
    (0.8, (4, 3, 3)),
    (-0.8, (4, 3, 2)),
    (-0.8, (3, 3, 3)),
    (1e-9, (4, 2, 2)),
]


@pytest.mark.parametrize(("lam", "widths"), RICCATI, ids=str)
def test_matrix_riccati_against_scipy(lam, widths, rng, flow_to, off_by):
    d_x, d_1, d_y = widths
    problem = Problem.from_spectrum([2.0, 1.1, 0.5][:d_y], d_x=d_x, hidden=(d_1,))
    W0 = with_invariant(problem, lam, rng)
    grams = exact.matrix_riccati(problem, W0, TIMES)
    for t, gram in zip(TIMES, grams, strict=True):
        amplified = 2 * np.sqrt(np.trace(gram))  # d(Q Q^T) = dQ Q^T + Q dQ^T
        for method in ("RK45", "DOP853"):
            assert off_by(exact.gram(problem, flow_to(problem, W0, t, method))[0], gram) < WITHIN * amplified
    # Z' = F Z + Z F - Z^2, no integrator.
    F = np.zeros((d_x + d_y, d_x + d_y))
    F[:d_x, :d_x], F[d_x:, d_x:] = -lam / 2 * np.eye(d_x), lam / 2 * np.eye(d_y)
    F[d_x:, :d_x] = problem.target
    F[:d_x, d_x:] = problem.target.T
    Z = exact.matrix_riccati(problem, W0, 0.6)
    change = derivative(lambda t: exact.matrix_riccati(problem, W0, t), 0.6, 1e-3)
    np.testing.assert_allclose(change, F @ Z + Z @ F - Z @ Z, rtol=1e-8, atol=1e-9)
    late = exact.matrix_riccati(problem, W0, 500.0)
    np.testing.assert_allclose(late[d_x:, :d_x], problem.target, atol=1e-12)


def test_matrix_riccati_by_the_papers_letters(rng):
    """One step of the formula as theory.md 6.6 writes it, with dense exponentials, equals many."""
    problem = Problem.from_spectrum([2.0, 1.1], d_x=3, hidden=(3,))
    lam, t = -0.8, 1.7
    W0 = with_invariant(problem, lam, rng)
    W_1, W_2 = problem.unpack(W0)
    Q = np.concatenate([W_1.T, W_2])
    F = np.block([[-lam / 2 * np.eye(3), problem.target.T], [problem.target, lam / 2 * np.eye(2)]])
    integral = np.linalg.solve(2 * F, expm(2 * F * t) - np.eye(5))
    bracket = np.eye(3) + Q.T @ integral @ Q
    Z = expm(F * t) @ Q @ np.linalg.solve(bracket, Q.T @ expm(F * t))
    np.testing.assert_allclose(exact.matrix_riccati(problem, W0, t), Z, rtol=1e-10, atol=1e-11)


def test_matrix_riccati_keeps_planted_zeros(rng):
    """A mode whose column of W_1 and row of W_2 are zero is never fitted, however late."""
    problem = Problem.from_spectrum([2.0, 1.1], d_x=2, hidden=(2,))
    W_2 = np.array([[0.0, 0.0], [0.3, -0.7]])
    W_1 = np.outer([0.3, -0.7], [0.0, 1.0])
    late = exact.matrix_riccati(problem, problem.pack([W_1, W_2]), 1000.0)
    assert not late[[0, 2]].any()
    assert late[3, 1] == pytest.approx(1.1, rel=1e-13)


# --- 6.8 ------------------------------------------------------------------------------------------------------------


def runge_kutta_4(problem, W, t, steps):
    """The classical method, each component by the same operations: what it does to W_1 it does to W_2."""
    h = t / steps
    for _ in range(steps):
        k1 = -problem.gradient(W)
        k2 = -problem.gradient(W + h / 2 * k1)
        k3 = -problem.gradient(W + h / 2 * k2)
        k4 = -problem.gradient(W + h * k3)
        W = W + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return W


@pytest.mark.parametrize("S", [[], [0], [1], [2], [0, 2]], ids=str)
def test_diagonal_starts_stay_on_the_stable_manifold(S, rng, flow_to):
    """(W_2)_jj = -(W_1)_jj off S stays bitwise under any method that treats components alike, and ends on I_S.
    scipy's steps are BLAS dot products, whose rounding depends on a component's place, so they agree only for a while
    (theory.md 6.8 promises more)."""
    problem = Problem.from_spectrum([2.0, 1.1, 0.5], d_x=4, hidden=(3,))
    W0 = exact.diagonal_start(problem, S, rng.uniform(0.3, 1, 3), rng.uniform(0.3, 1, 3))
    off = [i for i in range(3) if i not in S]
    late = runge_kutta_4(problem, W0, 80.0, 1600)
    W_1, W_2 = problem.unpack(late)
    np.testing.assert_array_equal(np.diag(W_2)[off], -np.diag(W_1)[off])
    np.testing.assert_allclose(problem.fitted(late), np.isin(range(3), S), atol=1e-9)
    assert problem.loss(late) == pytest.approx(problem.strata().of(S).loss, rel=1e-12, abs=1e-12)
    early = flow_to(problem, W0, 8.0)[0]
    W_1, W_2 = problem.unpack(early)
    np.testing.assert_allclose(np.diag(W_2)[off], -np.diag(W_1)[off], rtol=0, atol=1e-10)


# --- refusals -------------------------------------------------------------------------------------------------------


def test_problems_without_closed_form_are_refused(rng):
    chain, wide = chain_problem(2), Problem.from_spectrum([2.0, 1.1], d_x=3, hidden=(3,))
    raw = Problem.from_data(rng.standard_normal((5, 1)), rng.standard_normal((5, 1)), hidden=(1,), flow="raw")
    refused = [
        (lambda: exact.scalar_chain(wide, np.ones(wide.n), 1.0), "all 1"),
        (lambda: exact.scalar_chain(raw, np.ones(2), 1.0), "raw"),
        (lambda: exact.width_chain(chain, np.ones(3), 1.0), "d_x = d_y = 1"),
        (lambda: exact.matrix_riccati(chain, np.ones(3), 1.0), "H = 1"),
        (lambda: exact.matrix_riccati(wide, rng.standard_normal(wide.n), 1.0), "multiple of I"),
        (lambda: exact.scalar_chain(chain, np.ones(3), -1.0), "at least 0"),
        (lambda: exact.scalar_chain(chain, np.ones(3), np.inf), "finite"),
        (lambda: exact.scalar_chain(chain, np.ones((2, 3)), 1.0), "one start"),
        (lambda: exact.balanced(wide, [1.0], 1.0), "2 numbers"),
        (lambda: exact.balanced(wide, [1.0, -1.0], 1.0), "at least 0"),
        (lambda: exact.balanced(wide, [1.0, 1.0], 1.0, [np.ones((3, 2))]), "orthonormal"),
        (lambda: exact.diagonal_start(chain, [0], [1.0], [1.0]), "H = 1"),
        (lambda: exact.diagonal_start(wide, [2], [1.0, 1.0], [1.0, 1.0]), "0..1"),
        (lambda: exact.diagonal_start(wide, [0], [1.0, 1.0], [-1.0, 1.0]), "fitted"),
    ]
    for call, says in refused:
        with pytest.raises(ArgumentError, match=says):
            call()

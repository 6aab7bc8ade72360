"""P(T > t) where it is known, against engines, closed forms and other parametrisations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scalar_chain import chain
from scipy.special import elliprf
from scipy.stats import binomtest, chi

from basins import Problem
from basins.errors import ArgumentError
from basins.integrators.base import IntegrationRequest, Settings, Stop
from basins.integrators.simd.integrator import Lanes
from basins.landscapes.deep_linear import exact
from basins.landscapes.deep_linear.certificates import level
from basins.rare import truth
from basins.rare.chain_tail import passage

Array = NDArray[np.float64]


def waiting(problem: Problem, starts: Array, t: float) -> int:
    """How many of the starts (N, n) have T > t: an engine integrates them to t without passing the loss level."""
    N = len(starts)
    ends = Lanes().integrate(
        problem,
        IntegrationRequest(
            starts=starts,
            t_start=np.zeros(N),
            level=np.full(N, level(problem)),
            rest_after=np.full(N, np.inf),
            budget=np.full(N, 10**6),
            t_end=np.full(N, t),
            max_step=np.full(N, np.inf),
            watch=np.zeros(N, dtype=bool),
        ),
        Settings(),
    )
    assert set(ends.stop) <= {Stop.LEVEL, Stop.T_END}
    return int(np.sum(ends.stop == Stop.T_END))


# (hidden, sigma, scale per layer, t): P from 6e-2 down to 3e-4
CASES = [
    ((1,), 1.0, (1.0, 1.0), 3.0),
    ((1,), 2.0, (0.5, 1.5), 1.0),
    ((3,), 1.0, (0.7, 0.7), 1.0),
    ((2,), 1.5, (0.4, 1.2), 1.0),
    ((1, 1), 1.0, (1.0, 1.0, 1.0), 10.0),
    ((1, 1), 2.0, (0.5, 1.0, 1.5), 4.0),
    ((1, 1, 1), 1.0, (1.0, 1.0, 1.0, 1.0), 30.0),
    pytest.param((1, 1, 1), 1.5, (1.2, 0.8, 1.0, 0.6), 10.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("hidden", "sigma", "scales", "t"), CASES)
def test_counting_with_an_engine_agrees(
    hidden: tuple[int, ...], sigma: float, scales: tuple[float, ...], t: float, rng: np.random.Generator
) -> None:
    problem = Problem.from_spectrum([sigma], d_x=1, hidden=hidden)
    N = 100_000
    parts = [s * rng.standard_normal((N, size)) for s, (rows, size) in zip(scales, entries(problem), strict=True)]
    P = truth.survival(problem, scales, t)
    assert 1e-4 < P < 0.1
    count = waiting(problem, np.concatenate(parts, axis=1), t)
    assert binomtest(count, N, P).pvalue > 1e-3
    assert binomtest(count, N, 2 * P).pvalue < 1e-2  # there are enough starts to reject 2 P


def entries(problem: Problem) -> list[tuple[int, int]]:
    return [(j, rows * columns) for j, (rows, columns) in enumerate(problem.shapes)]


@pytest.mark.parametrize("H", [1, 2, 3])
def test_the_passage_time_is_exact(H: int, rng: np.random.Generator) -> None:
    sigma, p_end = 1.3, 1e-3
    problem = chain(H, sigma)
    for scale in (1e-2, 0.3, 1.0):
        w = scale * rng.standard_normal(H + 1)
        w[0] = -np.abs(w[0]) * np.sign(np.prod(w[1:]))  # a negative product
        order = np.argsort(np.abs(w))
        v, others = -np.abs(w[order[0]]), np.abs(w[order[1:]])
        b = np.sqrt((others - np.abs(v)) * (others + np.abs(v)))
        time, change = passage(float(v), b, sigma, p_end)
        assert time == pytest.approx(exact.scalar_chain_time(problem, w, p_end), rel=1e-8)
        longer, shorter = (passage(float(v), np.exp(e) * b, sigma, p_end)[0] for e in (-1e-4, 1e-4))
        assert change == pytest.approx((shorter - longer) / 2e-4, rel=1e-5)


@pytest.mark.parametrize("t", [1.0, 4.0, 10.0])
def test_two_independent_formulas_for_one_hidden_layer_agree(t: float) -> None:
    """The closed form in alpha and beta and the chain's integral in v and b share no code."""
    for scales in ((1.0, 1.0), (0.5, 2.0)):
        low = truth._checked(chain(1), scales, None)[2]
        assert truth._chain(1.0, scales, t, low, order=8) == pytest.approx(
            truth.survival(chain(1), scales, t), rel=1e-7
        )


def test_two_hidden_layers_in_polar_coordinates() -> None:
    """Far in the tail T is the blow-up time, homogeneous of degree -1 (theory.md 6.2): P(T > t) is the mean over
    directions of the chi law of F(direction) / (sigma t)."""
    t, sigma = 1e6, 1.0
    node, weight = np.polynomial.legendre.leggauss(40)
    eta, deta = 20 * (1 + node) / 2, 20 * weight / 2
    eta, deta = np.concatenate([0.05 * eta, 1 + eta]), np.concatenate([0.05 * deta, deta])
    total = 0.0
    for falls in (False, True):
        # a < b < c = 1, x = a/b, y = b/c: towards a tie (x -> 1) where the product is negative, else towards 0
        x = -np.expm1(-eta) if falls else np.exp(-eta)
        x, y = np.meshgrid(x, np.exp(-eta), indexing="ij")
        gap = np.meshgrid(np.exp(-eta), eta, indexing="ij")[0] if falls else 1 - x  # 1 - x with its digits
        dx = np.outer(deta * np.exp(-eta), deta * np.exp(-eta))
        for sign in (1, -1):
            a, b, c = x * y, y, np.ones_like(y)
            near = x > 0.5 if falls else x <= 0.5
            r = np.sqrt(a**2 + b**2 + c**2)
            F = elliprf(a**2, b**2, c**2)
            if sign < 0:
                F = 2 * elliprf(0.0, b**2 * gap * (1 + x), c**2 - a**2) - F
            # the solid angle of (a, b) at c = 1 is da db / r^3, da db = y dx dy; 3! orders, 4 of 8 signs each way
            angle = 6 * 4 * y * dx / r**3 / (4 * np.pi)
            total += float(np.sum(np.where(near, angle * chi(3).cdf(r * F / (sigma * t)), 0.0)))
    assert total == pytest.approx(truth.survival(chain(2), 1.0, t), rel=1e-3)


def test_a_change_of_units_changes_nothing() -> None:
    """W -> a W, sigma -> a^{H+1} sigma, t -> t / (a^{2H} ...): the flow is equivalent to itself at another scale."""
    a = 1.7
    for H in (1, 2):
        here = truth.survival(chain(H), 1.0, 50.0 if H == 2 else 5.0)
        there = truth.survival(chain(H, a ** (H + 1)), a, (50.0 if H == 2 else 5.0) / a ** (2 * H))
        assert there == pytest.approx(here, rel=1e-6)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_the_exponent_is_the_codimension(m: int) -> None:
    """d_x = d_y = 1, width m: P(T > t) ~ exp(-m sigma t) (theory.md 2, 6.5)."""
    problem = Problem.from_spectrum([2.0], d_x=1, hidden=(m,))
    early, late = truth.survival(problem, 1.0, 9.0), truth.survival(problem, 1.0, 10.0)
    assert np.log(early / late) == pytest.approx(2.0 * m, rel=1e-5)


def test_the_constant_of_three_weights() -> None:
    """P(T > t) ~ C_2 (sigma s t)^-3 with C_2 = 23.48 (theory.md 5)."""
    assert truth.survival(chain(2, 2.0), 0.5, 1e9) * 1e27 == pytest.approx(23.48, abs=0.005)


def test_time_of_inverts_survival() -> None:
    for problem, P in ((chain(1), 1e-2), (chain(1), 1e-12), (chain(2), 1e-9)):
        assert truth.survival(problem, 1.0, truth.time_of(problem, 1.0, P)) == pytest.approx(P, rel=1e-8)


def test_every_start_comes_down_by_the_descent_time() -> None:
    for H in (1, 2, 3):
        problem, sigma = chain(H), 1.0
        last = truth.descent_time(problem)
        huge = np.full((1, H + 1), 1e3)
        assert waiting(problem, huge, 0.99 * last) == 1
        assert waiting(problem, huge, 1.01 * last) == 0
        assert waiting(problem, np.array([[1e3, 30.0, 1.0, 0.5][: H + 1]]), 0.99 * last) == 0
        assert sigma == problem.sigma[0]


@pytest.mark.parametrize(
    ("problem", "scale", "t", "level", "said"),
    [
        (Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,)), 1.0, 1.0, None, "known for all widths 1"),
        (chain(4), 1.0, 1.0, None, "known for all widths 1"),
        (chain(2), 1.0, 0.01, None, "give a time from"),
        (chain(2), 1.0, np.nan, None, "give a time from"),
        (chain(2), (1.0, 1.0), 1.0, None, "one positive scale, or 3"),
        (chain(2), -1.0, 1.0, None, "one positive scale"),
        (chain(2), 1.0, 1.0, 0.1, "give a loss in"),
        (chain(1), 1.0, 1e3, None, "give a smaller time"),
    ],
)
def test_problems_without_a_known_law_are_refused(
    problem: Problem, scale: float, t: float, level: float | None, said: str
) -> None:
    with pytest.raises(ArgumentError, match=said):
        truth.survival(problem, scale, t, loss_level=level)


@pytest.mark.slow
@pytest.mark.parametrize("t", [1.0, 100.0, 1e5])
def test_more_nodes_change_nothing(t: float) -> None:
    for H in (2, 3):
        low = truth._checked(chain(H), 1.0, None)[2]
        assert truth._chain(1.0, (1.0,) * (H + 1), t, low, order=9) == pytest.approx(
            truth.survival(chain(H), 1.0, t), rel=1e-6
        )


@pytest.mark.slow
def test_three_hidden_layers_by_sampling_directions(rng: np.random.Generator) -> None:
    """As in polar coordinates above, but by sampling: T is homogeneous of degree -2, and F is `exact.blow_up_time`."""
    t, N = 1e8, 4000
    w = rng.standard_normal((N, 4))
    w /= np.linalg.norm(w, axis=1)[:, None]
    P = chi(4).cdf(np.sqrt(np.array([exact.blow_up_time(1.0, one) for one in w]) / t))
    assert abs(P.mean() - truth.survival(chain(3), 1.0, t)) < 4 * P.std() / np.sqrt(N)
    assert P.std() / np.sqrt(N) < 0.15 * P.mean()

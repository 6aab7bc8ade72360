"""The bound of a step's growth, piece by piece: each is held against eigenvalues and integrals found by other means,
so that a piece left out, or halved, shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import oracle
import pytest
from cases import SHAPES, SQUARE, gaussian
from scipy.integrate import solve_ivp

from basins import Problem
from basins.proof import carry, enclosures, labels
from basins.proof.bounds import perron
from basins.proof.cholesky import eigenvalue_bound, minus_hessian, runs_through
from basins.proof.constants import constants_of
from basins.proof.double_double import V
from basins.proof.log_norm import second_order, tube
from basins.proof.memory import work_for
from basins.proof.models import chords, defect
from basins.proof.shape import shape_of
from basins.proof.steps import Tier, at_step, coefficients, power_of_two
from basins.rounding import U

NORMS, CHOLESKY = Tier(12, 1e-9, 0.3, False, False, 300), Tier(16, 1e-16, 0.1, True, False, 2000)
PAIRS = Tier(28, 1e-30, 0.1, True, True, 4000)


class Bench:
    """One problem's memory in one tier, with a state put at the node."""

    def __init__(self, problem: Problem, tier: Tier) -> None:
        self.problem, self.tier = problem, tier
        self.shape, self.constants = shape_of(problem.enclosure()), constants_of(problem.enclosure())
        self.path, self.models, self.node, self.scratch = work_for(self.shape, tier)

    def at(self, W: np.ndarray) -> float:
        """The bound of max(0, lambda_max(-Hess L)) at W."""
        self.node.W[0] = W
        return float(
            carry.growth_at(
                self.shape, self.constants, self.tier, self.node, self.scratch, 0.0, self.tier.pairs or None
            )
        )

    def step(self, h: float) -> tuple[float, float, float]:
        """The Taylor coefficients at the node and all bounds for a step h: the defect, its truncation, the second-order
        term."""
        first, clock = self.node.first.copy(), power_of_two(1.0, h)
        of = self.shape, self.constants, self.tier
        known = carry.coefficients_pairs if self.tier.pairs else coefficients
        known(*of, self.path, self.models, self.node, clock)
        unit = V if self.tier.pairs else U
        found: Any = at_step(*of, self.models, first, self.scratch, h, clock, unit)
        return found

    def along(self, h: float, t: float) -> np.ndarray:
        """u(t) of the computed coefficients."""
        clock = power_of_two(1.0, h)
        return np.polynomial.polynomial.polyval(t / clock, self.path.W)


def largest(problem: Problem, W: np.ndarray) -> float:
    return float(np.linalg.eigvalsh(-problem.hessian(W))[-1])


@pytest.mark.parametrize("name", SHAPES)
def test_a_nodes_value_is_above_the_largest_eigenvalue(name: str) -> None:
    problem = SHAPES[name]
    norms, cholesky, pairs = Bench(problem, NORMS), Bench(problem, CHOLESKY), Bench(problem, PAIRS)
    excess = []
    for W in gaussian(problem, 20, 1, scale=0.7):
        true = max(0.0, largest(problem, W))
        assert true <= cholesky.at(W) <= norms.at(W) * (1 + 1e-12)
        assert true <= pairs.at(W) <= norms.at(W) * (1 + 1e-12)
        excess.append(cholesky.at(W) - true - 4e-3 * true - 3e-4 * norms.at(W))
    assert max(excess) < 1e-9, "Cholesky is sharp"


@pytest.mark.parametrize("name", SHAPES)
def test_minus_the_hessian_is_formed_to_its_rounding(name: str) -> None:
    problem = SHAPES[name]
    bench = Bench(problem, CHOLESKY)
    for W in gaussian(problem, 5, 2):
        bench.at(W)
        N = np.zeros((problem.n, problem.n))
        rounding = minus_hessian(bench.shape, bench.constants, bench.node, N)
        lower = np.tril(N) + np.tril(N, -1).T
        wrong = np.linalg.norm(lower + problem.hessian(W), 2)
        assert wrong < 100 * rounding  # numpy's Hessian has rounding of its own
        assert 0 < rounding < 1e-11 * np.linalg.norm(lower, 2)


def test_cholesky_runs_through_above_the_largest_eigenvalue_alone() -> None:
    rng = np.random.default_rng(3)
    for n in (1, 2, 7, 40):
        N = rng.normal(size=(n, n))
        N = N + N.T
        top, L = float(np.linalg.eigvalsh(N)[-1]), np.zeros((n, n))
        gap = 1e-12 * n * np.abs(N).max()
        assert runs_through(N, top + gap, L)
        assert not runs_through(N, top - gap, L)
        assert top <= eigenvalue_bound(N, top + gap) <= top + gap + 1e-11 * n * n
        N[-1, 0] = np.nan
        assert not runs_through(N, 1e3, L)


@pytest.mark.parametrize("tier", [NORMS, CHOLESKY])
@pytest.mark.parametrize("name", ["2222", "chain", "4443", "22222", "raw 3322"])
def test_the_chord_and_the_second_order_term_hold_the_growth(name: str, tier: Tier) -> None:
    """int lambda_max(-Hess L(u)) over one long step is below the trapezoidal rule plus the second-order term."""
    problem = SHAPES[name]
    bench = Bench(problem, tier)
    for W in gaussian(problem, 30, 4, scale=0.8):
        before = bench.at(W)
        h = 0.25 / np.linalg.norm(problem.hessian(W), 2)
        _, _, bend = bench.step(h)
        after = bench.at(bench.along(h, h))
        t = (np.arange(40) + 0.5) / 40 * h
        mean = np.mean([max(0.0, largest(problem, bench.along(h, s))) for s in t])
        assert mean <= 0.5 * (before + after) + bend + 1e-6 * before


@pytest.mark.parametrize("gauss_newton", [False, True])
@pytest.mark.parametrize("name", ["2222", "4443", "22222", "raw 3322"])
def test_the_second_order_term_bounds_each_block(name: str, gauss_newton: bool) -> None:
    """The mean distance of each block of -Hess L from its own chord; without the Gauss-Newton part it is smaller."""
    problem, worst = SHAPES[name], 0.0
    bench = Bench(problem, CHOLESKY if gauss_newton else NORMS)
    m, at = bench.shape.m, bench.shape.at
    for W in gaussian(problem, 4, 5, scale=0.7):
        bench.at(W)
        h = 0.25 / np.linalg.norm(problem.hessian(W), 2)
        bench.step(h)
        C = bench.scratch.C
        start, end = hessian_part(problem, W, gauss_newton), hessian_part(problem, bench.along(h, h), gauss_newton)
        total = np.zeros((m, m))
        for s in (np.arange(20) + 0.5) / 20:
            gap = hessian_part(problem, bench.along(h, s * h), gauss_newton) - (1 - s) * start - s * end
            for i, j in np.ndindex(m, m):
                total[i, j] += np.linalg.norm(gap[at[i] : at[i + 1], at[j] : at[j + 1]], 2) / 20
        assert (total <= C + 1e-9 * C.max()).all()
        worst = max(worst, float((total / np.maximum(C, 1e-300)).max()))
    assert worst > 0.02


def hessian_part(problem: Problem, W: np.ndarray, gauss_newton: bool) -> np.ndarray:
    """-Hess L, or the residual's part of it alone: the Gauss-Newton part is J^T J, J the Jacobian of P G."""
    N = -problem.hessian(W)
    if gauss_newton:
        return N
    G = np.eye(problem.d_x) if problem.gram_root is None else problem.gram_root
    layers, columns = problem.unpack(W), []
    for k in range(problem.n):
        change = problem.unpack(np.eye(problem.n)[k])
        total = 0.0
        for c in range(len(layers)):
            product = G
            for index, layer in enumerate(layers):
                product = (change[index] if index == c else layer) @ product
            total = total + product
        columns.append(np.ravel(total))
    J = np.array(columns).T
    return N + J.T @ J


@pytest.mark.parametrize("gauss_newton", [False, True])
@pytest.mark.parametrize("name", ["2222", "4443", "raw 3322"])
def test_the_tube_term_bounds_what_a_tube_changes(name: str, gauss_newton: bool) -> None:
    """Each block, for directions in the tube; dropped, the bound would be 0."""
    problem, rng, worst = SHAPES[name], np.random.default_rng(6), 0.0
    bench = Bench(problem, CHOLESKY if gauss_newton else NORMS)
    m, at, scratch = bench.shape.m, bench.shape.at, bench.scratch
    for W in gaussian(problem, 3, 7, scale=0.7):
        bench.at(W)
        bench.step(1e-9)  # the path stands still
        here = hessian_part(problem, W, gauss_newton)
        for radius in (1e-4, 1e-2, 0.3):
            second_order(bench.shape, bench.models, bench.constants.gram_top, gauss_newton, scratch.J, scratch.C)
            tube(bench.shape, bench.constants, bench.models, radius, gauss_newton, scratch.J, scratch.b, scratch.C_tube)
            for _ in range(20):
                e = rng.normal(size=problem.n)
                e *= radius / np.linalg.norm(e)
                gap = hessian_part(problem, W + e, gauss_newton) - here
                for i, j in np.ndindex(m, m):
                    change = np.linalg.norm(gap[at[i] : at[i + 1], at[j] : at[j + 1]], 2)
                    assert change <= scratch.C_tube[i, j] + 1e-12
                    worst = max(worst, change / scratch.C_tube[i, j] if scratch.C_tube[i, j] > 0 else 0.0)
    assert worst > 0.1
    assert perron(scratch.C_tube, m, scratch.v, 12) > 0.1


def test_a_proofs_growth_is_above_the_integral_over_its_tube() -> None:
    """int sup lambda_max(-Hess L) over the tube of a large ball: the sup is taken along the eigenvalue's own gradient.
    Without the tube's term the growth of these steps is below it."""
    needed = 0.0
    for seed in (1, 3, 5, 6):
        start = gaussian(SQUARE, 1, seed)[0]
        found = enclosures(SQUARE, start, 2e-2, tier="D")
        last = int(np.searchsorted(found.error, 0.3))
        integral = without = 0.0
        for k in range(min(last, len(found.h) - 1)):
            path = solve_ivp(
                lambda t, w: -SQUARE.gradient(w), (0, found.h[k + 1]), found.W[k], rtol=1e-9, atol=1e-11,
                t_eval=np.linspace(0, found.h[k + 1], 5),
            ).y.T  # fmt: skip
            tops = [max(0.0, largest(SQUARE, w + steepest(w, found.error[k]))) for w in path]
            integral += float(np.trapezoid(tops, dx=found.h[k + 1] / 4))
            without += float(np.trapezoid([max(0.0, largest(SQUARE, w)) for w in path], dx=found.h[k + 1] / 4))
        growth = np.log(found.error[last - 1] / found.error[0])
        assert integral <= growth * (1 + 1e-3)
        needed = max(needed, (integral - without) / growth)
    assert needed > 0.03


def test_a_long_steps_growth_is_above_the_integral_along_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """int lambda_max(-Hess L) over steps of order 28, so long that on some the trapezoidal rule is 3 % below: without
    the second-order term the growth would be, too."""
    monkeypatch.setattr(labels, "tier_of", lambda name, n: Tier(28, 1e-12, 3.0, True, False, 5))
    needed = 0.0
    for seed in (0, 1, 9):
        found = enclosures(SQUARE, gaussian(SQUARE, 1, seed, scale=0.6)[0], 1e-6, tier="D")
        for k, h in enumerate(found.h[1:]):
            path = solve_ivp(
                lambda t, w: -SQUARE.gradient(w), (0, h), found.W[k], rtol=1e-9, atol=1e-11,
                t_eval=np.linspace(0, h, 25),
            ).y.T  # fmt: skip
            tops = [max(0.0, largest(SQUARE, w)) for w in path]
            integral, trapezoid = float(np.trapezoid(tops, dx=h / 24)), 0.5 * h * (tops[0] + tops[-1])
            assert integral <= np.log(found.error[k + 1] / found.error[k]) * (1 + 1e-4) + 1e-9
            needed = max(needed, integral / max(trapezoid, 1e-9) - 1)
    assert needed > 0.03


def steepest(W: np.ndarray, radius: float) -> np.ndarray:
    """The move of length radius along the gradient of lambda_max(-Hess L)."""
    v, g = np.linalg.eigh(-SQUARE.hessian(W))[1][:, -1], np.zeros(len(W))
    for q in range(len(W)):
        e = 1e-5 * np.eye(len(W))[q]
        g[q] = v @ (SQUARE.hessian(W - e) - SQUARE.hessian(W + e)) @ v
    return radius * g / np.linalg.norm(g)


@pytest.mark.parametrize("tier", [NORMS, CHOLESKY, PAIRS])
@pytest.mark.parametrize("name", ["2222", "chain", "4443", "raw 3322"])
def test_the_defects_bound_holds_and_rounding_is_in_it(name: str, tier: Tier) -> None:
    """u' - f(u) in 256 bits, on a step so short that only rounding is left, and on one where truncation rules."""
    problem, (places, weights) = SHAPES[name], np.polynomial.legendre.leggauss(16)
    bench = Bench(problem, tier)
    for h, least in ((2.0**-12, 5e-5), (0.1, 5e-5)):
        reached = 0.0
        for W in gaussian(problem, 5, 8):
            bench.at(W)
            step = h / np.linalg.norm(problem.hessian(W), 2)
            bound, truncated, _ = bench.step(step)
            clock = power_of_two(1.0, step)
            low = bench.path.W_low if tier.pairs else np.zeros_like(bench.path.W)
            sizes = [oracle.defect(problem, bench.path.W, low, clock, 0.5 * step * (1 + x)) for x in places]
            mean = 0.5 * step * float(np.dot(sizes, weights))
            assert mean <= bound
            assert truncated <= bound
            if h < 0.01:
                assert truncated < 0.01 * bound, "rounding alone"
                again = defect(bench.shape, bench.constants, bench.models, step, clock, tier.p, 0.0)[0]
                assert again < 0.01 * bound
                assert mean > again, "a bound without rounding is broken"
            reached = max(reached, mean / bound)
        assert reached > least


def test_chords_hold_a_polynomial() -> None:
    """top, bend and turn of one scalar series: 1 + 2 t + 3 t^2 on [0, 1/2]."""
    bench = Bench(SHAPES["chain"], NORMS)
    models = bench.models
    models.size[:] = 0.0
    models.size[0, :3] = [1.0, 2.0, 3.0]
    models.scaled[0, :3] = [1.0, 1.0, 0.75]
    chords(models, np.ones(len(models.top)), NORMS.p)
    assert models.top[0] == pytest.approx(2.75)
    assert models.turn[0] == pytest.approx(1.75)
    assert models.bend[0] == pytest.approx(0.75 / 6)

"""Polishing returns to the critical set, moves by the distance from it, and ends at a residual of rounding."""

from __future__ import annotations

import numpy as np
import pytest
from points import KINDS, ONE_HIDDEN_LAYER, SHAPES, modes_for, point, problem_of, push, raw_problem

from basins.landscapes.deep_linear.critical import Kind, classify, construct, polish
from basins.landscapes.deep_linear.critical.ranks import Cycle
from basins.landscapes.deep_linear.problem import Problem


@pytest.mark.parametrize("widths", [*SHAPES, *ONE_HIDDEN_LAYER], ids=str)
def test_polish_returns_to_the_point(widths: tuple[int, ...]) -> None:
    for seed in range(9):
        kind = KINDS[seed % 3]
        if len(widths) == 3 and kind == "nonstrict":
            continue
        problem, modes, W = point(widths, kind, seed)
        found = classify(problem, push(W, 1e-6, seed))
        assert 0.05e-6 < found.moved <= 1.001e-6
        assert found.polished_residual < 1e-12 * found.scale ** (problem.H + 1)
        assert found.residual > 1e3 * found.polished_residual
        assert found.modes == modes
        assert np.linalg.norm(found.state - push(W, 1e-6, seed)) == pytest.approx(found.moved, rel=1e-6)


def test_polish_moves_by_the_distance() -> None:
    """H = 1, where the tangent space is the Hessian's kernel: to first order it undoes the push's normal part."""
    problem = problem_of((4, 3, 3))
    for seed in range(6):
        W = construct(problem, (0, 2), "strict", seed=seed)
        pushed = push(W, 1e-6, seed)
        values, vectors = np.linalg.eigh(problem.hessian(W))
        normal = vectors[:, np.abs(values) > 1e-9].T @ (pushed - W)
        assert classify(problem, pushed).moved == pytest.approx(float(np.linalg.norm(normal)), rel=1e-5)


@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_a_far_point_is_not_critical(widths: tuple[int, ...]) -> None:
    for seed in range(6):
        kind = KINDS[seed % 3]
        problem, _, W = point(widths, kind, seed)
        found = classify(problem, push(W, 0.1, seed))
        assert found.kind is Kind.NOT_CRITICAL
        assert np.isnan(found.moved)
        assert found.inertia is None
        assert found.relative_residual > 1e-6
        # The reach is what makes it far: with a longer one something is found, and how far is said.
        longer = classify(problem, push(W, 1e-3, seed), reach=1e-2)
        assert longer.kind is not Kind.NOT_CRITICAL
        assert 1e-5 < longer.moved <= 1.01e-3
        assert classify(problem, push(W, 1e-3, seed), reach=1e-5).kind is Kind.NOT_CRITICAL


def test_gaussian_points_are_not_critical() -> None:
    for widths in SHAPES:
        problem = problem_of(widths)
        for W in np.random.default_rng(1).standard_normal((5, problem.n)):
            assert classify(problem, W).kind is Kind.NOT_CRITICAL


def test_products_and_matrix_give_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The method for large states (LSMR) on small ones, against the dense method."""
    for seed in range(6):
        problem, _, W = point((4, 3, 4, 3), KINDS[seed % 3], seed)
        pushed = push(W, 1e-6, seed)
        dense = classify(problem, pushed, hessian=False)
        with monkeypatch.context() as patch:
            patch.setattr(polish, "DENSE", 0)
            sparse = classify(problem, pushed, hessian=False)
        assert sparse.kind is dense.kind
        assert sparse.moved == pytest.approx(dense.moved, rel=1e-4)
        assert np.linalg.norm(sparse.state - dense.state) < 1e-9
        assert sparse.polished_residual < 1e-12 * sparse.scale ** (problem.H + 1)


def test_polish_converges_quadratically() -> None:
    problem, modes, W = point((3, 3, 3, 3, 3), "strict", 2)
    ranks = Cycle(problem.unpack(W), problem.sigma).ranks(1e-12)
    scale = float(np.linalg.norm(W))
    layers = list(problem.unpack(push(W, 1e-4, 0)))
    point_ = polish.polish(layers, problem.sigma, modes, ranks, scale=scale, reach=1e-3, goal=1e-13)
    assert point_ is not None
    assert point_.steps <= 3


def test_ranks_of_no_critical_point_give_none() -> None:
    problem, _, W = point((3, 3, 3, 3), "strict", 2)
    layers = list(problem.unpack(W))
    full = {path: 3 for path in Cycle(layers, problem.sigma).paths()}
    assert polish.polish(layers, problem.sigma, (0,), full, scale=1.0, reach=1.0, goal=1e-13) is None


@pytest.mark.parametrize(
    "problem",
    [
        Problem.from_spectrum(np.linspace(3, 0.5, 30), d_x=31, hidden=(31, 30)),
        Problem.from_spectrum(np.geomspace(2, 0.3, 10), d_x=61, hidden=(12, 11)),
    ],
    ids=["d_y = 30", "digits-like"],
)
def test_large_problems(problem: Problem) -> None:
    """2^30 strata are not listed; n = 2,791 and 974 use products alone."""
    for kind in ("strict", "nonstrict", "minimum"):
        modes = modes_for(problem, kind, 3)
        W = construct(problem, modes, kind, seed=3)
        found = classify(problem, push(W, 1e-6, 0))
        assert found.modes == modes
        assert 0.05e-6 < found.moved <= 1.001e-6
        assert found.polished_residual < 1e-11
        assert found.inertia is not None
        assert found.inertia.negative is None
        expected = {"strict": Kind.STRICT, "nonstrict": Kind.UNDECIDED, "minimum": Kind.MINIMUM}
        assert found.kind is expected[kind]
        assert found.inertia.has_negative == (kind == "strict")
        assert classify(problem, W, hessian=False).kind is not Kind.UNDECIDED


def test_raw_flow() -> None:
    problem = raw_problem((3, 3))
    for seed in range(4):
        W = construct(problem, (0,), "strict", seed=seed)
        found = classify(problem, push(W, 1e-7, seed))
        assert found.kind is Kind.STRICT
        assert found.polished_residual < 1e-6 * found.residual
        assert np.linalg.norm(found.state - W) < 1e-5

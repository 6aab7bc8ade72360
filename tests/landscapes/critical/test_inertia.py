"""Signs of the Hessian: the indices of theory.md 2 for H = 1, and products of the Hessian against the dense matrix."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from points import ONE_HIDDEN_LAYER, SHAPES, point, problem_of, raw_problem

from basins.errors import ArgumentError
from basins.landscapes.deep_linear.critical import construct, indices, inertia, unstable_rates
from basins.landscapes.deep_linear.critical.inertia import hessian_size, lowest_eigenvalue


def every_saddle(d_y: int) -> list[tuple[int, ...]]:
    return [S for r in range(d_y) for S in combinations(range(d_y), r)]


@pytest.mark.parametrize("widths", ONE_HIDDEN_LAYER, ids=str)
def test_indices_and_rates_on_every_stratum(widths: tuple[int, ...]) -> None:
    """Nullity d(r), index m_u and unstable rates, against the dense Hessian at two points of each stratum."""
    problem = problem_of(widths)
    for S in every_saddle(problem.d_y):
        expected = indices(problem, S)
        for seed in range(2):
            W = construct(problem, S, "strict", seed=seed)
            found = inertia(problem, W)
            assert (found.negative, found.zero, found.positive) == (
                expected.unstable,
                expected.zero,
                expected.stable,
            )
            rates = unstable_rates(problem, W)
            lowest = np.linalg.eigvalsh(problem.hessian(W))[: expected.unstable]
            assert rates.shape == (expected.unstable,)
            assert np.allclose(rates, -lowest, rtol=1e-10)
    everything = indices(problem, range(problem.d_y))
    at_minimum = inertia(problem, construct(problem, range(problem.d_y), "minimum", seed=0))
    assert (everything.unstable, everything.zero) == (0, at_minimum.zero)


def test_the_papers_dimension_fails() -> None:
    """Eq. (27) has (d_y - r) where (d_1 - r) is meant (theory.md 1.2): right for d_1 = d_y only."""
    wrong = 0
    for widths in ONE_HIDDEN_LAYER:
        d_x, d_1, d_y = widths
        for r in range(d_y):
            paper = r * d_1 + (d_y - r) * r + (d_y - r) * (d_x - d_y)
            differs = indices(problem_of(widths), range(r)).zero != paper
            assert not differs or d_1 > d_y
            wrong += differs
    assert wrong >= 5


def test_raw_flow_has_the_same_indices_and_other_rates() -> None:
    problem = raw_problem((3,))
    for S in every_saddle(2):
        expected = indices(problem, S)
        W = construct(problem, S, "strict", seed=1)
        found = inertia(problem, W, distance=1e-13)
        assert (found.negative, found.zero, found.positive) == (expected.unstable, expected.zero, expected.stable)
        rates = unstable_rates(problem, W)
        assert len(rates) == expected.unstable
        assert rates[0] == pytest.approx(-found.lowest, rel=1e-12)


def test_indices_are_refused_for_two_hidden_layers() -> None:
    problem = problem_of((2, 2, 2, 2))
    with pytest.raises(ArgumentError, match="H = 2"):
        indices(problem, (0,))
    with pytest.raises(ArgumentError, match="H = 2"):
        unstable_rates(problem, np.zeros(problem.n))


@pytest.mark.parametrize("widths", SHAPES[:6], ids=str)
def test_lowest_eigenvalue_from_products(widths: tuple[int, ...]) -> None:
    for seed, kind in enumerate(("strict", "nonstrict", "minimum")):
        problem, _, W = point(widths, kind, seed)
        value, error = lowest_eigenvalue(problem, W)
        exact = float(np.linalg.eigvalsh(problem.hessian(W))[0])
        assert abs(value - exact) <= error + 1e-12 * hessian_size(problem, W)
        assert error <= 1e-5 * hessian_size(problem, W)


@pytest.mark.parametrize("widths", [*SHAPES, *ONE_HIDDEN_LAYER], ids=str)
def test_hessian_size_bounds_the_hessian(widths: tuple[int, ...]) -> None:
    """The size that tolerances are relative to bounds the Hessian, at the state and after a move."""
    for seed, kind in enumerate(("strict", "minimum")):
        problem, _, W = point(widths, kind, seed)
        size = hessian_size(problem, W)
        norm = float(np.linalg.norm(problem.hessian(W), 2))
        assert norm <= size
        assert norm >= 1e-3 * size
        move = np.random.default_rng(seed).standard_normal(problem.n)
        move *= 1e-3 / np.linalg.norm(move)
        change = float(np.linalg.norm(problem.hessian(W + move) - problem.hessian(W), 2))
        assert change <= hessian_size(problem, W, 1e-3) - size


def test_hessian_of_rounding_has_no_sign() -> None:
    """At W = 0 and next to it the Hessian is rounding: relative to its own norm its eigenvalues would have signs."""
    problem = problem_of((3, 3, 3, 3))
    W = 1e-18 * np.random.default_rng(0).standard_normal(problem.n)
    eigenvalues = np.linalg.eigvalsh(problem.hessian(W))
    assert np.sum(eigenvalues < -1e-9 * np.abs(eigenvalues).max()) > 5
    assert inertia(problem, W, distance=1e-17).negative == 0
    assert lowest_eigenvalue(problem, np.zeros(problem.n)) == (0.0, 0.0)

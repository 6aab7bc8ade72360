"""What must not be proved: starts on a stable manifold, and what is no start. And never a hang."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CHAIN, SHAPES, SQUARE, gaussian, planted, spectrum

from basins import Problem
from basins.errors import ArgumentError, AssumptionError
from basins.proof import CHOLESKY_N, TIERS, UNPROVED, Unproved, enclosures, largest_ball, prove, tiers_for

TIED = [(0.7, -0.7, 1.9), (1.9, 0.7, -0.7), (-0.7, 1.9, 0.7), (0.5, -0.5, 0.5)]
"""Chains with a product that is not positive and the least magnitude twice: on the stable manifold (theory.md 5)."""


@pytest.mark.parametrize("tier", TIERS)
def test_tied_chains_are_refused(tier: str) -> None:
    assert not prove(CHAIN, TIED, tiers=tier).proved.any()


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("modes", [(), (0,), (1,)])
def test_planted_zeros_are_refused(tier: str, modes: tuple[int, ...]) -> None:
    assert not prove(SQUARE, planted(SQUARE, modes, 10, 1), tiers=tier).proved.any()


@pytest.mark.parametrize("modes", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_planted_zeros_of_three_modes_are_refused(modes: tuple[int, ...]) -> None:
    problem = SHAPES["4443"]
    assert not prove(problem, planted(problem, modes, 3, 2), tiers="BD").proved.any()


@pytest.mark.parametrize("tier", TIERS)
def test_opposite_layers_are_refused(tier: str) -> None:
    """W_2 = -W_1^T: E stays symmetric with W_2 W_1 negative semi-definite, for ever."""
    problem = SHAPES["222"]
    W = gaussian(problem, 10, 3)
    W[:, 4:] = -W[:, :4].reshape(-1, 2, 2).transpose(0, 2, 1).reshape(-1, 4)
    assert not prove(problem, W, tiers=tier).proved.any()


@pytest.mark.parametrize("tier", TIERS)
def test_a_planted_diagonal_is_refused(tier: str) -> None:
    """Diagonal layers whose second mode is a tied chain."""
    diagonal = np.array([np.diag([0.4, 0.7]), np.diag([0.3, -0.7]), np.diag([0.6, 1.9])])
    assert not prove(SQUARE, SQUARE.pack(list(diagonal)), tiers=tier).proved.any()
    diagonal[1, 1, 1] = 0.7
    assert prove(SQUARE, SQUARE.pack(list(diagonal))).proved.all(), "the same with a positive product"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.0, {Unproved.steps, Unproved.step_size, Unproved.error}),
        (1e-160, {Unproved.steps, Unproved.step_size, Unproved.error}),
        (1e-20, {Unproved.steps, Unproved.step_size, Unproved.error}),
        (np.nan, {Unproved.non_finite}),
        (np.inf, {Unproved.non_finite}),
        (1e80, {Unproved.non_finite, Unproved.size}),
        (1e7, {Unproved.size}),
    ],
)
def test_starts_that_are_none_are_refused(value: float, reason: set[Unproved]) -> None:
    found = prove(SQUARE, np.full((1, SQUARE.n), value))
    assert not found.proved.any()
    assert set(found.reason) <= reason, UNPROVED[found.reason[0]]


def test_products_of_norms_above_1e18_are_refused() -> None:
    layers = [1e7 * np.eye(2), 1e7 * np.eye(2), 1e-14 * np.diag([2.0, 1.0])]
    below = [1e5 * np.eye(2), 1e5 * np.eye(2), 1e-10 * np.diag([2.0, 1.0])]
    assert prove(SQUARE, SQUARE.pack(below)).proved.all(), "a global minimum as it is"
    found = prove(SQUARE, SQUARE.pack([1e3 * layers[0], 1e3 * layers[1], 1e-6 * layers[2]]))
    assert found.reason.tolist() == [Unproved.size]


def test_one_entry_that_is_not_finite_is_refused() -> None:
    W = gaussian(SQUARE, SQUARE.n, 4)
    np.fill_diagonal(W, np.nan)
    assert not prove(SQUARE, W).proved.any()


def test_a_ball_that_holds_a_saddle_start_is_refused() -> None:
    """A proved start beside a planted one, and a radius that reaches it."""
    for start in planted(SQUARE, (0,), 5, 5):
        moved = start.copy()
        moved[[1, 3, 10, 11]] += 1e-2  # its zeros
        distance = float(np.linalg.norm(moved - start))
        assert prove(SQUARE, moved, 1e-9).proved.all()
        assert not prove(SQUARE, moved, distance * (1 + 1e-12)).proved.any()
        assert largest_ball(SQUARE, moved)[0] < distance


@pytest.mark.parametrize("radius", [-1.0, np.nan, np.inf, [1.0, 2.0], "wide"])
def test_radii_without_meaning_are_refused(radius: object) -> None:
    with pytest.raises(ArgumentError, match="radius"):
        prove(SQUARE, gaussian(SQUARE, 3, 1), radius)  # type: ignore[arg-type]


def test_tiers_without_meaning_are_refused() -> None:
    with pytest.raises(ArgumentError, match="unknown tier 'F'"):
        prove(SQUARE, gaussian(SQUARE, 1, 1), tiers="F")
    wide = spectrum([2.0, 1.0], 20, 16, 2)
    assert wide.n > CHOLESKY_N
    assert tiers_for(wide) == ("B", "C")
    with pytest.raises(ArgumentError, match="tier D for states of size"):
        enclosures(wide, gaussian(wide, 1, 1)[0], tier="D")
    with pytest.raises(ArgumentError, match="accuracy"):
        largest_ball(SQUARE, gaussian(SQUARE, 1, 1), accuracy=2.0)
    with pytest.raises(ArgumentError, match="a state of shape"):
        prove(SQUARE, np.zeros(5))


def test_a_raw_problem_that_may_be_singular_is_refused() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    X[:, 2] = X[:, 0] + 1e-9 * X[:, 2]
    problem = Problem.from_data(X, rng.normal(size=(30, 2)), hidden=(3,), flow="raw")
    with pytest.raises(AssumptionError, match="full row rank cannot be shown"):
        prove(problem, gaussian(problem, 1, 1))

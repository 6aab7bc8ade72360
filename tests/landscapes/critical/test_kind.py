"""Which states are decided; the others are "undecided", with the gap that is too small."""

from __future__ import annotations

import numpy as np
import pytest
from points import SHAPES, point, problem_of, push

from basins import Problem
from basins.errors import ArgumentError
from basins.landscapes.deep_linear.critical import Inertia, Kind, classify, construct, inertia
from basins.landscapes.deep_linear.critical.kind import kind_of, layer_pairs
from basins.landscapes.deep_linear.critical.ranks import Cycle


@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_a_strict_saddle_is_strict_from_nearby(widths: tuple[int, ...]) -> None:
    for seed in range(0, 24, 3):
        problem, _, W = point(widths, "strict", seed)
        found = classify(problem, push(W, 1e-6, seed))
        assert found.kind is Kind.STRICT
        assert found.inertia is not None
        assert found.inertia.has_negative


@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_a_non_strict_saddle_from_nearby_is_undecided(widths: tuple[int, ...]) -> None:
    """Strict critical points are 1e-6 away too, so neither answer would be justified."""
    non_strict_nearest = 0
    for seed in range(1, 25, 3):
        problem, _, W = point(widths, "nonstrict", seed)
        found = classify(problem, push(W, 1e-6, seed))
        assert found.kind is Kind.UNDECIDED
        assert found.undecided
        assert "singular value r + 1" in found.undecided
        non_strict_nearest += classify(problem, found.state).kind is Kind.NONSTRICT
        assert classify(problem, W).kind is Kind.NONSTRICT
    assert non_strict_nearest >= 1


def line_of_strict_saddles(H: int, eps: float) -> tuple[Problem, np.ndarray]:
    """W_1 = W_{H+1} = 0 and eps Q_l between, on d = 2: exactly critical and strict, with lowest eigenvalue
    -eps^{H-1} sigma_1, and at distance eps sqrt(2 (H - 1)) of the non-strict saddle W = 0."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,) * H)
    rotations = [np.linalg.qr(M)[0] for M in np.random.default_rng(H).standard_normal((H - 1, 2, 2))]
    zero = np.zeros((2, 2))
    return problem, problem.pack([zero, *(eps * Q for Q in rotations), zero])


@pytest.mark.parametrize("H", [2, 3, 4])
@pytest.mark.parametrize("eps", [1e-1, 1e-3, 1e-6, 1e-9])
def test_curvature_vanishes_as_eps_to_the_h_minus_1(H: int, eps: float) -> None:
    """Ranks and Hessian are judged within each product, so curvature of 1e-27 is still seen: the point is exact."""
    problem, W = line_of_strict_saddles(H, eps)
    found = classify(problem, W)
    assert found.kind is Kind.STRICT
    assert found.deciding == ((H + 1, 1),)
    assert found.rank_Z == 2
    assert found.inertia is not None
    assert found.inertia.lowest == pytest.approx(-2.0 * eps ** (H - 1), rel=1e-4)
    assert found.inertia.has_negative


@pytest.mark.parametrize("H", [2, 3, 4])
def test_gap_below_the_distance_is_undecided(H: int) -> None:
    """The same points, known only to 1e-6: decided while eps is well above that, undecided from there on."""
    for eps, kind in ((1e-3, Kind.STRICT), (1e-4, Kind.STRICT), (3e-6, Kind.UNDECIDED), (1e-8, Kind.UNDECIDED)):
        problem, W = line_of_strict_saddles(H, eps)
        found = classify(problem, push(W, 1e-6, H))
        assert found.kind is kind, (H, eps, found.why, found.undecided)


def test_small_gaussian_starts_are_undecided_or_not_critical() -> None:
    """Scale 1e-8 on (2,2,2,2): |grad| is 1e-15, and yet this is on the way to a minimum (docs/verdicts.md)."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    for W in 1e-8 * np.random.default_rng(0).standard_normal((20, problem.n)):
        found = classify(problem, W)
        assert found.residual < 1e-14
        assert found.kind is Kind.UNDECIDED
        assert found.moved > 1e-9


def test_contradicting_hessian_withdraws_the_answer() -> None:
    problem, modes, W = point((3, 3, 3, 3), "nonstrict", 1)
    fit = problem.fitted(W)
    pairs = layer_pairs(Cycle(problem.unpack(W), problem.sigma), len(modes), 1e-13)
    calm = inertia(problem, W)
    alarm = Inertia(1, calm.zero, calm.positive, -1e-3, 1e-12, 1e-12, 1.0)
    assert kind_of(problem, fit, 0.0, 1e-13, 1e-4, pairs, calm).kind is Kind.NONSTRICT
    answer = kind_of(problem, fit, 0.0, 1e-13, 1e-4, pairs, alarm)
    assert answer.kind is Kind.UNDECIDED
    assert "-0.001" in str(answer.undecided)
    assert kind_of(problem, np.ones(3), 0.0, 1e-13, 1e-4, (), alarm).kind is Kind.UNDECIDED


@pytest.mark.parametrize("entry", [0.46, -4.06, 2.0, 7.0])
def test_modes_that_cannot_be_read_are_undecided(entry: float) -> None:
    """An entry near another whole number than 0 and 1 is near neither."""
    problem = problem_of((3, 3, 3, 3))
    answer = kind_of(problem, np.array([1.0, entry, 0.0]), 1e-6, 1e-13, 1e-4, (), None)
    assert answer.kind is Kind.UNDECIDED
    assert f"mode 1 of D_W is {entry:.3g}, neither 0 nor 1" in str(answer.undecided)


def test_fit_gap_is_the_distance_from_zeros_and_ones() -> None:
    """1e-4 beside a saddle whose least mode is 1e-3: its entry of D_W is -6.13, near -6, and says nothing of S."""
    problem = Problem.from_spectrum([2.0, 1.0, 1e-3], d_x=3, hidden=(3, 3))
    W = push(construct(problem, (), "strict", seed=3), 1e-4, 3)
    fit = problem.fitted(W)
    found = classify(problem, W)
    assert fit[2] == pytest.approx(-6.126, abs=1e-3)
    assert found.fit_gap == pytest.approx(-fit[2])
    assert found.kind is Kind.UNDECIDED


def test_reasons_name_the_products() -> None:
    problem = problem_of((3, 3, 3, 3))
    strict = classify(problem, construct(problem, (1,), "strict", seed=0))
    assert "not mode 0, but a smaller one" in strict.why
    assert strict.pairs == ()
    nonstrict = classify(problem, construct(problem, (0,), "nonstrict", seed=0))
    assert set(nonstrict.deciding) == {(2, 1), (3, 1), (3, 2)}
    assert {pair.outer for pair in nonstrict.pairs} == {"Sigma_Y^T W_3", "Sigma_Y^T", "W_1 Sigma_Y^T"}
    assert nonstrict.rank_Z == nonstrict.rank == nonstrict.product("W_2").rank == 1
    assert nonstrict.product("W_2").gap > 1e6


def test_bad_arguments() -> None:
    problem = problem_of((2, 2, 2, 2))
    W = np.zeros(problem.n)
    for bad in (np.zeros((2, problem.n)), np.full(problem.n, np.nan), np.zeros(3)):
        with pytest.raises(ArgumentError):
            classify(problem, bad)
    for reach in (0.0, 1.0, -1.0, np.nan):
        with pytest.raises(ArgumentError, match="reach"):
            classify(problem, W, reach=reach)

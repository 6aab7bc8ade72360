"""The contract of a reaction coordinate (coordinate.py), tested for T and G on one problem."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from basins import Problem
from basins.integrators.base import SMALLEST_TOLERANCE, Settings
from basins.landscapes.deep_linear.critical.stable_manifold import on_stable_manifold
from basins.rare.approach import Approach
from basins.rare.certification_time import CertificationTime
from basins.rare.coordinate import Coordinate

PROBLEM = Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=[2, 2])
SADDLE = PROBLEM.strata().saddle(3)

Make = Callable[[Settings], Coordinate]
COORDINATES: dict[str, tuple[Make, tuple[float, ...]]] = {
    "T": (lambda settings: CertificationTime(PROBLEM, settings), (0.5, 1.0, 2.0, 4.0)),
    "G": (lambda settings: Approach(PROBLEM, settings, SADDLE), (3.0, 2.0, 1.0, 0.3)),
}
each = pytest.mark.parametrize(("make", "thresholds"), COORDINATES.values(), ids=COORDINATES)


def starts(N: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal((N, PROBLEM.n))


@each
def test_sets_shrink(make: Make, thresholds: tuple[float, ...]) -> None:
    W, coordinate = starts(400), make(Settings())
    inside = [coordinate.starts(W, x).inside for x in thresholds]
    assert all((later <= earlier).all() for earlier, later in pairwise(inside))
    assert 0 < inside[-1].sum() < inside[0].sum() < 400


@each
def test_a_row_does_not_depend_on_other_rows(make: Make, thresholds: tuple[float, ...]) -> None:
    W, coordinate = starts(50), make(Settings())
    whole, some = coordinate.starts(W, thresholds[1]), coordinate.starts(W[::-3], thresholds[1])
    np.testing.assert_array_equal(some.inside, whole.inside[::-3])
    np.testing.assert_array_equal(some.value, whole.value[::-3])


@each
def test_undecided_starts_are_inside(make: Make, thresholds: tuple[float, ...]) -> None:
    membership = make(Settings(budget=5)).starts(starts(50), thresholds[-1])
    assert membership.undecided.any()
    assert membership.inside[membership.undecided].all()


@each
def test_starts_that_stay_at_the_saddle_are_inside_every_set(make: Make, thresholds: tuple[float, ...]) -> None:
    W = np.array([on_stable_manifold(PROBLEM, SADDLE.modes, seed=seed, scale=0.5) for seed in range(2)])
    for x in (thresholds[0], thresholds[-1], thresholds[-1] ** 3):
        assert make(Settings(budget=500)).starts(W, x).inside.all()


@each
def test_next_returns_a_set_with_about_the_requested_share(make: Make, thresholds: tuple[float, ...]) -> None:
    W, coordinate = starts(2000), make(Settings())
    x, trajectories, evaluations = coordinate.next(W, coordinate.first, 0.1)
    assert trajectories == 2000
    assert evaluations > 2000
    assert coordinate.starts(W, x).inside.mean() == pytest.approx(0.1, abs=0.02)
    inside = W[coordinate.starts(W, x).inside]
    later = coordinate.next(inside, x, 0.5).threshold
    assert coordinate.starts(inside, later).inside.mean() == pytest.approx(0.5, abs=0.05)


@each
def test_tighter_tolerances_agree_down_to_the_limit_of_double_precision(
    make: Make, thresholds: tuple[float, ...]
) -> None:
    W, coordinate = starts(300), make(Settings())
    sharper = coordinate.tighter(100.0)
    assert sharper is not None
    same = sharper.starts(W, thresholds[1]).inside == coordinate.starts(W, thresholds[1]).inside
    assert same.mean() > 0.99
    assert make(Settings(rtol=SMALLEST_TOLERANCE)).tighter(100.0) is None

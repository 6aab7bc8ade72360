"""Notes on digits lost to rounding, with a remedy; sizes beyond double precision are refused for that reason."""

from __future__ import annotations

import re

import numpy as np
import pytest

from basins import Problem
from basins.errors import AssumptionError, AssumptionWarning, BasinsError, DataError

LONG = np.finfo(np.longdouble).eps < 1e-18
"""Whether this machine has a floating-point type with more digits than double precision."""


def sigma_in_longer_numbers(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """The singular values of Y projected on X's columns, by Gram-Schmidt, pivoted and done three times, in 80 bits."""
    rest = [column / np.sqrt((column**2).sum()) for column in X.T.astype(np.longdouble)]
    basis: list[np.ndarray] = []
    while rest:
        for _ in range(3):
            for q in basis:
                rest = [v - q * (q * v).sum() for v in rest]
        sizes = [np.sqrt((v**2).sum()) for v in rest]
        k = int(np.argmax(sizes))
        basis.append(rest.pop(k) / sizes[k])
    target = [[(y * q).sum() for q in basis] for y in Y.T.astype(np.longdouble)]
    return np.linalg.svd(np.array(target, dtype=np.float64), compute_uv=False)


def said_digits(problem: Problem) -> tuple[int, int] | None:
    """Digits of sigma, and of X's smallest singular value, that the notes say are left."""
    found = [re.search(r"at least (\d+) of sigma and (\d+) of X's", note) for note in problem.notes]
    return next(((int(match[1]), int(match[2])) for match in found if match), None)


@pytest.mark.skipif(not LONG, reason="no longer numbers here to compare with")
@pytest.mark.parametrize("apart", [1e-8, 1e-10, 1e-12, 1e-13])
@pytest.mark.parametrize("kind", ["collinear", "small column", "units"])
def test_reported_digits_are_correct(kind: str, apart: float) -> None:
    closest = 16.0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, Y = rng.normal(size=(40, 4)), rng.normal(size=(40, 2))
        if kind == "collinear":
            X[:, 1] = X[:, 0] + apart * X[:, 1]
        elif kind == "small column":
            X[:, 3] *= apart
        else:
            X *= np.sqrt(apart) ** rng.uniform(-1, 1, size=4)
        problem = Problem.from_data(X, Y, hidden=(2,))
        true = sigma_in_longer_numbers(X, Y)
        kept = float(-np.log10(np.maximum(np.abs(problem.sigma - true) / true, 1e-16)).min())
        said = said_digits(problem)
        assert kept >= (8 if said is None else said[0])
        if said is not None:
            closest = min(closest, kept - said[0])
    if kind == "collinear":
        assert said is not None  # the case is noted ...
        assert closest < 2.5  # ... and not by a number that any data would keep


def test_collinear_columns_are_noted_with_digits_and_a_remedy() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    assert Problem.from_data(X, Y, hidden=(2,)).notes == ()
    X[:, 1] = X[:, 0] * (1 + 1e-12 * rng.normal(size=30))
    (note,) = Problem.from_data(X, Y, hidden=(2,)).notes
    assert note.startswith("cond(X) = ")
    assert "of 16 digits rounding leaves at least" in note
    assert "drop inputs that are nearly combinations of others" in note


def test_column_lost_to_its_unit_is_noted_and_remedies_keep_it() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    mixed = X * [1e9, 1.0, 1e-7]
    problem = Problem.from_data(mixed, Y, hidden=(2,))
    assert problem.d_x == 2
    assert "1 of the input directions left out are lost to rounding alone" in problem.notes[1]
    assert "standardise = true" in problem.notes[1]
    kept = Problem.from_data(mixed, Y, hidden=(2,), standardise=True)
    assert kept.d_x == 3
    np.testing.assert_allclose(kept.sigma, Problem.from_data(X, Y, hidden=(2,), standardise=True).sigma, rtol=1e-12)
    # A column that is a combination of others is not lost to its unit.
    dependent = Problem.from_data(np.column_stack([X, X[:, 0] - X[:, 1]]), Y, hidden=(2,))
    assert not any("rounding alone" in note for note in dependent.notes)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-150, 1e150, 1e200, 1e300])
def test_inputs_of_any_size_give_the_same_reduced_problem(scale: float) -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    for options in ({}, {"standardise": True}):
        plain, scaled = (Problem.from_data(inputs, Y, hidden=(2,), **options) for inputs in (X, X * scale))
        np.testing.assert_allclose(scaled.sigma, plain.sigma, rtol=1e-12)
        assert scaled.condition == pytest.approx(plain.condition, rel=1e-10)
    one = X * [1.0, scale, 1.0]
    np.testing.assert_allclose(
        Problem.from_data(one, Y, hidden=(2,), standardise=True).sigma,
        Problem.from_data(X, Y, hidden=(2,), standardise=True).sigma,
        rtol=1e-12,
    )
    with pytest.raises(DataError, match=r"X: singular values of X from .*: the raw flow is of their squares"):
        Problem.from_data(X * scale, Y, hidden=(2,), flow="raw")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("scale", "size"), [(1e200, "large"), (1e160, "large"), (1e-160, "small"), (1e-200, "small")])
def test_targets_whose_squares_overflow_or_underflow_are_refused(scale: float, size: str) -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    with pytest.raises(DataError, match=f"Y: targets as {size} as .*: the loss is of their squares") as refusal:
        Problem.from_data(X, Y * scale, hidden=(2,))
    assert "rank" not in str(refusal.value)


@pytest.mark.parametrize("sigma", [[1e200, 1e199], [1e200, 1.0], [1.0, 1e-200], [1e-200, 1e-201], [5e-324]])
def test_singular_values_whose_squares_overflow_or_underflow_are_refused(sigma: list[float]) -> None:
    with pytest.raises(BasinsError, match=r"sigma: singular values from .*: the loss is of their squares"):
        Problem.from_spectrum(sigma, d_x=3, hidden=(2,))


@pytest.mark.parametrize("scale", [1e-130, 1e130])
def test_sizes_within_the_bounds_work(scale: float) -> None:
    problem = Problem.from_spectrum([2 * scale, scale], d_x=3, hidden=(2,))
    assert [stratum.loss for stratum in problem.strata()] == pytest.approx(
        [2.5 * scale**2, 2 * scale**2, 0.5 * scale**2, 0], rel=1e-12
    )


def test_targets_in_units_too_far_apart_name_that_remedy() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    with pytest.raises(AssumptionError, match=r"Assumption 2.*; the targets' sizes differ .*give them in like units"):
        Problem.from_data(X, Y * [1e9, 1e-9], hidden=(2,))


@pytest.mark.parametrize("sigma", [[1e100, 1e-100], [1.0, 1e-16], [3.0, 2.0, 1e-15]])
def test_a_singular_value_that_is_zero_to_rounding_is_refused(sigma: list[float]) -> None:
    with pytest.raises(AssumptionError, match=r"sigma: Assumption 2: the singular value .* is zero to rounding beside"):
        Problem.from_spectrum(sigma, d_x=3, hidden=(3,))


def test_small_but_resolved_singular_value_is_kept() -> None:
    with pytest.warns(AssumptionWarning, match="tied"):  # 1/2 (1 + 1e-26) is 1/2 to rounding
        problem = Problem.from_spectrum([1.0, 1e-13], d_x=2, hidden=(2,))
    assert problem.sigma.tolist() == [1.0, 1e-13]


def test_two_class_targets_name_what_to_drop() -> None:
    X = np.random.default_rng(0).normal(size=(12, 5))
    Y = np.column_stack([np.eye(2)[np.arange(12) % 2], np.eye(3)[np.arange(12) % 3]])
    with pytest.raises(AssumptionError, match=r"Assumption 2.*the classes of each class target sum to one: keep one"):
        Problem.from_data(X, Y, hidden=(5,))

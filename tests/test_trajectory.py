"""The flow at given times, beside exact solutions; what is refused; what a row that ends early says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import basins
from basins import Problem, Verdict
from basins.classification.verdict import Reason
from basins.errors import ArgumentError
from basins.landscapes.deep_linear import exact, passage
from basins.trajectories import Trajectory

TIMES = np.array([0.0, 1.4e-3, 0.4, 1.9, 3.0, 6.2, 14.3, 20.0])
WAYS: dict[str, dict[str, Any]] = {
    "lanes": {},
    "lanes, DOP853": {"method": "DOP853"},
    "DOP853": {"engine": "reference", "method": "DOP853"},
    "RK45": {"engine": "reference", "method": "RK45"},
    "LSODA": {"engine": "reference", "method": "LSODA"},
    "Radau": {"engine": "reference", "method": "Radau"},
}
WITHIN = 5.0
"""Multiples of atol + rtol |W| (rms over components) that the global error may have; the largest seen is 3.7, of
LSODA."""


def square(hidden: int = 2) -> Problem:
    return Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(2,) * hidden)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tolerance", [1e-6, 1e-9])
def test_states_are_those_of_a_scalar_chain(way, tolerance, off_by):
    problem = Problem.from_spectrum([1.3], d_x=1, hidden=(1, 1, 1))
    starts = np.array([[0.64, 0.13, 1.2, 0.9], [-0.7, -1.27, -0.62, 1.1], [1.5, 1.9, 1.7, 1.3]])
    found = basins.trajectory(problem, starts, TIMES, rtol=tolerance, atol=tolerance / 100, **WAYS[way])
    for row, start in enumerate(starts):
        expected = exact.scalar_chain(problem, start, TIMES)
        for k in range(len(TIMES)):
            error = off_by(found.state[row, k], expected[k], tolerance, tolerance / 100)
            assert error < WITHIN, (TIMES[k], error)
        np.testing.assert_array_equal(found.state[row, 0], start)
    assert found.complete.all()
    np.testing.assert_array_equal(found.reached, 20.0)


@pytest.mark.parametrize("way", ["lanes", "DOP853"])
@pytest.mark.parametrize("d_x", [3, 12])
def test_what_is_read_of_balanced_layers(way, d_x):
    """Compressed (d_x = 12) or not: loss, gradient, singular values and modes are the closed form's."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=d_x, hidden=(3, 2))
    assert (problem.reduce() is not None) == (d_x == 12)
    states = exact.balanced(problem, [0.02, 0.01], TIMES)
    found = basins.trajectory(problem, states[0], TIMES, **WAYS[way])
    s = np.array([np.diag(problem.unpack(W)[-1] @ problem.unpack(W)[1] @ problem.unpack(W)[0]) for W in states])
    np.testing.assert_allclose(found.state, states, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.singular_values, np.sort(s)[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(found.fitted, s / problem.sigma, atol=1e-6)
    np.testing.assert_allclose(found.loss, 0.5 * ((problem.sigma - s) ** 2).sum(axis=1), atol=1e-6)
    np.testing.assert_allclose(found.gradient_norm, np.linalg.norm(problem.gradient(states), axis=1), atol=1e-6)
    masks = ((s / problem.sigma > 0.5) * [1, 2]).sum(axis=1)
    np.testing.assert_array_equal(found.nearest, masks)
    assert set(masks) == {0, 1, 3}
    np.testing.assert_array_equal(found.rank, [bin(mask).count("1") for mask in masks])
    assert [W_j.shape for W_j in found.weights] == [(8, 3, d_x), (8, 2, 3), (8, 2, 2)]
    np.testing.assert_array_equal(found.weights[1], [problem.unpack(W)[1] for W in found.state])


def test_distance_is_that_of_visits_and_near_a_minimum_that_of_the_weights():
    problem = square()
    states = exact.balanced(problem, [0.02, 0.01], TIMES)
    found = basins.trajectory(problem, states[0], TIMES)
    saddles = found.rank < 2
    there = passage.distance(problem, found.nearest, found.loss, found.gradient_norm)
    np.testing.assert_array_equal(found.distance[saddles], there[saddles])
    assert found.distance[0] == pytest.approx(0.01 ** (1 / 3) / 1.0, rel=0.5)  # ||W|| over the weights to be grown
    # Balanced layers, mode 1 off by e: the step to the minimum is e w / ((H + 1) sigma) in each of H + 1 layers.
    near = exact.balanced(problem, [2.0, 1.0 - 1e-6], [0.0])
    (distance,) = basins.trajectory(problem, near[0], [0.0]).distance
    minimum = exact.balanced(problem, [2.0, 1.0], [0.0])
    assert distance == pytest.approx(np.linalg.norm(near - minimum), rel=1e-4)


def test_raw_flow_reads_the_network_in_the_targets_coordinates(rng):
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    problem = Problem.from_data(X, Y, hidden=(3,), flow="raw")
    found = basins.trajectory(problem, 0.5 * rng.normal(size=problem.n), [0.0, 50.0])
    np.testing.assert_allclose(found.singular_values[-1], problem.sigma, rtol=1e-6)
    np.testing.assert_allclose(found.fitted[-1], 1.0, atol=1e-6)


@pytest.mark.parametrize("method", ["DOP853", "RK45", "LSODA", "Radau"])
def test_a_state_does_not_depend_on_the_other_times(method):
    """Of an explicit method on none, of an implicit one on the last alone."""
    problem, start = square(), np.random.default_rng(1).normal(size=square().n)
    many = basins.trajectory(problem, start, np.linspace(0, 10, 41), engine="reference", method=method)
    for k in (1, 17, 40):
        times = [many.t[k]] if method in ("DOP853", "RK45") else sorted({many.t[k], 10.0})
        alone = basins.trajectory(problem, start, times, engine="reference", method=method)
        np.testing.assert_array_equal(alone.state[0], many.state[k])


@pytest.mark.parametrize("way", WAYS)
def test_a_start_that_never_moves(way):
    problem = square()
    found = basins.trajectory(problem, np.zeros(problem.n), [0.0, 1.0, 1e6], **WAYS[way])
    assert found.complete.all()
    np.testing.assert_array_equal(found.state, 0.0)
    np.testing.assert_array_equal(found.distance, 0.0)


def test_rows_do_not_depend_on_each_other(rng):
    problem = square()
    starts = rng.normal(size=(5, problem.n))
    found = basins.trajectory(problem, starts, [1.0, 2.0])
    for row in range(5):
        np.testing.assert_array_equal(basins.trajectory(problem, starts[row], [1.0, 2.0]).state, found.state[row])


# --- rows that end early ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["lanes", "DOP853", "LSODA"])
def test_a_budget_that_is_spent_gives_nan_and_says_so(way, rng):
    problem = square()
    starts = np.array([0.5 * rng.normal(size=problem.n), exact.balanced(problem, [2.0, 1.0], 0.0)])
    times = np.linspace(0.0, 30.0, 61)
    found = basins.trajectory(problem, starts, times, budget=1500 if way == "lanes" else 150, **WAYS[way])
    ended = ~found.complete
    assert ended[0]
    assert (found.reason[ended] == Reason.evaluation_budget).all()
    assert 0 < found.reached[0] < 30
    reached = times <= found.reached[0]
    assert np.isfinite(found.state[0, reached]).all()
    for name in ("state", "loss", "gradient_norm", "singular_values", "fitted", "distance"):
        assert np.isnan(getattr(found, name)[0, ~reached]).all(), name
        assert np.isfinite(getattr(found, name)[0, reached]).all(), name
    assert (found.rank[0, ~reached] == -1).all()
    assert "before the last time" in repr(found)
    assert "evaluation budget" in repr(found)
    assert f"t = {found.reached[ended].min():.6g}" in repr(found)
    table = found.to_pandas()
    assert table.loss.isna().sum() == (~np.isfinite(found.loss)).sum()
    assert table["modes"].isna().sum() == table["loss"].isna().sum()


@pytest.mark.parametrize("way", ["lanes", "DOP853"])
def test_the_budget_is_of_all_times_together(way, rng):
    problem = square()
    start = 0.01 * rng.normal(size=problem.n)
    (first,) = np.atleast_1d(basins.trajectory(problem, start, [10.0], **WAYS[way]).evaluations)
    budget = int(first) + 40
    found = basins.trajectory(problem, start, [10.0, 500.0], budget=budget, **WAYS[way])
    assert np.isfinite(found.loss[0])
    assert np.isnan(found.loss[1])
    assert found.evaluations <= budget + 24


def test_a_start_that_overflows_has_its_start_alone():
    problem = square()
    found = basins.trajectory(problem, [np.full(problem.n, 1e160), np.full(problem.n, 0.1)], [0.0, 1.0])
    assert found.reason.tolist() == [Reason.non_finite, -1]
    assert np.isnan(found.state[0, 1]).all()
    np.testing.assert_array_equal(found.state[0, 0], 1e160)
    assert not np.isfinite(found.loss[0]).any()
    assert np.isfinite(found.loss[1]).all()


# --- integrate(t_eval=) -----------------------------------------------------------------------------------------------


def test_limits_are_those_without_times(rng):
    problem = square()
    starts = 0.7 * rng.normal(size=(9, problem.n))
    plain = basins.integrate(problem, starts)
    found = basins.integrate(problem, starts, t_eval=[0.0, 2.0, 100.0])
    for name in ("state", "time", "loss", "verdict", "margin", "evaluations", "drift"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))
    assert plain.trajectory is None
    assert isinstance(found.trajectory, Trajectory)
    np.testing.assert_array_equal(found.trajectory.state, basins.trajectory(problem, starts, [0.0, 2.0, 100.0]).state)
    minima = found.verdict == Verdict.minimum
    assert (found.time[minima] < 100).all()
    assert (found.trajectory.loss[minima, -1] < 1e-12).all()  # no certificate stops it
    np.testing.assert_array_equal(found[minima].trajectory.loss, found.trajectory.loss[minima])
    assert "times" in repr(found)


def test_times_beyond_t_end_are_refused():
    problem = square()
    W = np.ones(problem.n)
    within = basins.integrate(problem, W, t_end=3.0, t_eval=[3.0]).trajectory
    assert within is not None
    assert within.complete.all()
    with pytest.raises(ArgumentError, match=r"^t_eval: t = 3\.5 is after t_end = 3; ask up to t_end"):
        basins.integrate(problem, W, t_end=3.0, t_eval=[1.0, 3.5])


# --- what is refused --------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Any, str]] = {
    "falling": ([2.0, 1.0], r"^t_eval: time 1 \(1\) is not after time 0 \(2\); give times that rise"),
    "twice": ([0.0, 1.0, 1.0], r"^t_eval: time 2 \(1\) is not after time 1 \(1\); give times that rise"),
    "negative": ([-1.0, 1.0], r"^t_eval: t = -1 is before the start; the flow starts at t = 0"),
    "nan": ([0.0, np.nan], r"^t_eval: time 1 is nan; give finite times"),
    "infinite": ([0.0, np.inf], r"^t_eval: time 1 is inf; give finite times"),
    "none": ([], r"^t_eval: no time; give a list of times"),
    "a number": (1.0, r"^t_eval: times of shape \(\); give a list of times"),
    "a table": ([[0.0, 1.0]], r"^t_eval: times of shape \(1, 2\); give a list of times"),
    "text": (["0", "1"], r"^t_eval: not an array of numbers but of text"),
    "nothing": (None, r"^t_eval: not an array of numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_times_that_are_none(name):
    times, said = REFUSED[name]
    problem = square()
    with pytest.raises(ArgumentError, match=said) as refusal:
        basins.trajectory(problem, np.ones(problem.n), times)
    assert "\n" not in str(refusal.value)
    if times is not None:
        with pytest.raises(ArgumentError, match=said):
            basins.integrate(problem, np.ones(problem.n), t_eval=times)


def test_arguments_without_a_meaning():
    problem = square()
    W = np.ones(problem.n)
    with pytest.raises(ArgumentError, match=r"^problem: ndarray is no problem; give a basins.Problem"):
        basins.trajectory(W, problem, [1.0])  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"^W0, row 1: a start that is not finite"):
        basins.trajectory(problem, [W, W * np.inf], [1.0])
    with pytest.raises(ArgumentError, match=r"^W: a state of shape"):
        basins.trajectory(problem, W[1:], [1.0])
    with pytest.raises(ArgumentError, match="unknown engine 'scipy'"):
        basins.trajectory(problem, W, [1.0], engine="scipy")
    with pytest.raises(ArgumentError, match="budget = 0; give evaluations"):
        basins.trajectory(problem, W, [1.0], budget=0)
    with pytest.raises(ArgumentError, match=r"^t_eval: 1,000 starts at 100,000 times are .* numbers; ask for fewer"):
        basins.trajectory(problem, np.ones((1000, problem.n)), np.arange(100_000.0))


# --- rows, tables, figures --------------------------------------------------------------------------------------------


def test_rows_and_tables(rng):
    problem = square()
    found = basins.trajectory(problem, 0.5 * rng.normal(size=(4, problem.n)), [0.0, 1.0, 5.0])
    assert len(found) == 4
    assert [one.state.shape for one in found] == [(3, problem.n)] * 4
    some = found[found.loss[:, -1] < np.median(found.loss[:, -1])]
    assert len(some) == 2
    table = found.to_pandas()
    assert list(table) == [
        "row", "t", "loss", "gradient_norm", "distance", "modes", "rank", "singular_0", "singular_1",
    ]  # fmt: skip
    np.testing.assert_array_equal(table.loss, found.loss.ravel())
    np.testing.assert_array_equal(table[table.row == 2].t, [0.0, 1.0, 5.0])
    single = found[1]
    assert "row" not in single.to_pandas()
    assert len(single) == 1
    np.testing.assert_array_equal(single[0].state, single.state)
    assert repr(found) == "Trajectory(4 starts of widths (3, 2, 2, 2), at 3 times, t = 0 to 5)"
    assert repr(single).startswith("Trajectory(one start of widths (3, 2, 2, 2), at 3 times, t = 0 to 5; loss ")
    assert "<table" in found._repr_html_()


def test_figures(rng):
    problem = square()
    found = basins.trajectory(problem, 0.5 * rng.normal(size=(3, problem.n)), np.linspace(0, 10, 30))
    assert len(found.plot().axes) == 1
    above, below, _ = found[0].plot().axes
    (curve,) = [line for line in above.lines if line.get_label() == "loss at 30 times"]
    np.testing.assert_array_equal(curve.get_ydata(), found.loss[0, 1:])
    assert below.get_xlabel() == "time t of the gradient flow"
    with pytest.raises(ArgumentError, match=r"^t_eval: fewer than two times after 0 to draw"):
        basins.trajectory(problem, np.ones(problem.n), [0.0, 1.0]).plot()

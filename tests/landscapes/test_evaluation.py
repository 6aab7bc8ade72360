"""Evaluation agrees with the readable gradient.py, and neither the batch nor the CPU changes a byte of a row."""

import numpy as np
import pytest
from lanes_cases import SHAPES, problem_of

from basins.landscapes.deep_linear import evaluation as evaluation
from basins.landscapes.deep_linear.evaluation import drift, evaluate, loss

U = 2.0**-53


def states(problem, N=41, seed=0):
    return np.random.default_rng(seed).normal(size=(N, problem.n))


def all_bytes(values):
    return b"".join(np.ascontiguousarray(part).tobytes() for part in values)


@pytest.mark.parametrize("raw", [False, True], ids=["reduced", "raw"])
@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_evaluation_agrees_with_the_gradient_module(widths, raw):
    problem = problem_of(widths, raw)
    W = states(problem)
    found = evaluate(problem, W)
    expected, gradient = problem.loss_and_gradient(W)
    scale = 200 * U
    np.testing.assert_allclose(found.loss, expected, rtol=scale)
    np.testing.assert_allclose(found.mode_losses.sum(axis=1), expected, rtol=scale)
    np.testing.assert_allclose(found.gradient_norm, np.linalg.norm(gradient, axis=1), rtol=scale)
    fitted = problem.fitted(W)
    np.testing.assert_allclose(found.fitted, fitted, rtol=0, atol=scale * np.abs(fitted).max())
    squares = [(W_j**2).sum(axis=(-2, -1)) for W_j in problem.unpack(W)]
    np.testing.assert_allclose(found.squares, np.stack(squares, axis=1), rtol=scale)
    assert loss(problem, W).tobytes() == found.loss.tobytes()


@pytest.mark.parametrize("widths", SHAPES, ids=str)
def test_drift_is_that_of_the_invariants(widths):
    problem = problem_of(widths)
    before = states(problem)
    after = before + 0.1 * states(problem, seed=1)
    expected = np.zeros(len(before))
    squares = evaluate(problem, before).squares
    for j, (C_0, C_t) in enumerate(zip(problem.invariants(before), problem.invariants(after), strict=True)):
        relative = np.linalg.norm(C_t - C_0, axis=(-2, -1)) / (squares[:, j] + squares[:, j + 1])
        expected = np.maximum(expected, relative)
    np.testing.assert_allclose(drift(problem, before, after), expected, rtol=1e4 * U)
    assert not drift(problem, before, before).any()


@pytest.mark.parametrize("raw", [False, True], ids=["reduced", "raw"])
def test_every_operation_is_rounded_by_itself(raw, monkeypatch):
    """The compiled loop against the same loop in Python, an operation at a time: nothing is fused or reordered."""
    problem = problem_of((5, 4, 4, 3), raw)
    W, V = states(problem, 7), states(problem, 7, seed=1)
    compiled = all_bytes(evaluate(problem, W)), drift(problem, W, V).tobytes()
    monkeypatch.setattr(evaluation, "_run_sums", evaluation._run_sums.py_func)  # type: ignore[attr-defined]
    assert (all_bytes(evaluate(problem, W)), drift(problem, W, V).tobytes()) == compiled


def test_bytes_do_not_depend_on_neighbours(monkeypatch):
    problem = problem_of((6, 5, 3, 7, 2, 2), raw=True)
    W, V = states(problem, 70), states(problem, 70, seed=1)
    whole, changes = evaluate(problem, W), drift(problem, W, V)
    for rows in (slice(0, 1), slice(3, 36), slice(69, 70)):
        assert all_bytes(evaluate(problem, W[rows])) == all_bytes(part[rows] for part in whole)
        assert drift(problem, W[rows], V[rows]).tobytes() == changes[rows].tobytes()
    monkeypatch.setattr(evaluation, "SIDE_BY_SIDE", 5)
    assert all_bytes(evaluate(problem, W)) == all_bytes(whole)
    monkeypatch.setattr(evaluation, "BUFFER", 1)
    assert all_bytes(evaluate(problem, W)) == all_bytes(whole)


def test_non_finite_rows_do_not_affect_others():
    """What overflows is inf or nan, without a warning: warnings are errors in the tests."""
    problem = problem_of((2, 2, 2, 2))
    W = states(problem, 40)
    bad = W.copy()
    bad[3], bad[7], bad[9, 0] = 1e200, np.inf, np.nan
    whole, spoilt = evaluate(problem, W), evaluate(problem, bad)
    rows = np.setdiff1d(np.arange(40), [3, 7, 9])
    assert all_bytes(part[rows] for part in whole) == all_bytes(part[rows] for part in spoilt)
    assert not np.isfinite(spoilt.loss[[3, 7, 9]]).any()
    assert not np.isfinite(spoilt.gradient_norm[[3, 7, 9]]).any()
    assert np.isnan(drift(problem, W, bad)[[7, 9]]).all()
    assert np.isfinite(drift(problem, W, bad)[rows]).all()


def test_empty_batch():
    problem = problem_of((2, 2, 2, 2))
    assert evaluate(problem, np.empty((0, problem.n))).fitted.shape == (0, 2)
    assert drift(problem, np.empty((0, problem.n)), np.empty((0, problem.n))).shape == (0,)

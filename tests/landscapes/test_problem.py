"""The public API of a problem: construction, states, serialisation and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from basins import Problem
from basins.errors import ArgumentError, AssumptionError


@pytest.fixture
def data(rng):
    return rng.standard_normal((9, 4)), rng.standard_normal((9, 2))


def test_sizes_and_shapes(data):
    problem = Problem.from_data(*data, hidden=(3, 5))
    assert problem.widths == (4, 3, 5, 2)
    assert (problem.d_x, problem.d_y, problem.hidden, problem.H) == (4, 2, (3, 5), 2)
    assert problem.shapes == ((3, 4), (5, 3), (2, 5))
    assert problem.n == 12 + 15 + 10
    assert problem.sigma_min == problem.sigma[-1]
    assert repr(problem).startswith("Problem(widths=(4, 3, 5, 2), flow='reduced', sigma=[")


def test_pack_and_unpack_are_inverse_and_row_major(rng):
    problem = Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(2,))
    W = np.arange(problem.n, dtype=float)
    layers = problem.unpack(W)
    np.testing.assert_array_equal(layers[0], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(layers[1], [[6, 7], [8, 9]])
    np.testing.assert_array_equal(problem.pack(layers), W)
    batch = rng.standard_normal((5, problem.n))
    np.testing.assert_array_equal(problem.pack(problem.unpack(batch)), batch)
    assert np.shares_memory(problem.unpack(batch)[1], batch)
    assert problem.unpack(batch[:0])[0].shape == (0, 2, 3)
    with pytest.raises(ArgumentError, match=r"\(\(2, 3\), \(2, 2\)\)"):
        problem.pack([np.ones((3, 2)), np.ones((2, 2))])


@pytest.mark.parametrize("W", [np.zeros(9), np.zeros((2, 11)), np.zeros((1, 1, 10)), 0.0, "weights"], ids=str)
def test_state_of_wrong_size_is_refused(W):
    problem = Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(2,))
    with pytest.raises(ArgumentError, match="W: "):
        problem.loss(W)


@pytest.mark.parametrize("flow", ["reduced", "raw"])
def test_to_dict_round_trip_is_exact(flow, data, rng):
    problem = Problem.from_data(*data, hidden=(3, 2), flow=flow, intercept=True)
    again = Problem.from_dict(json.loads(json.dumps(problem.to_dict())))
    assert again.to_dict() == problem.to_dict()
    assert (again.widths, again.flow, again.digest, again.notes) == (
        problem.widths,
        flow,
        problem.digest,
        problem.notes,
    )
    assert (again.condition, again.least_squares_loss) == (problem.condition, problem.least_squares_loss)
    for name in ("sigma", "target", "gram_root", "U_Y", "V_Y"):
        np.testing.assert_array_equal(getattr(again, name), getattr(problem, name))
    W = rng.standard_normal((3, problem.n))
    np.testing.assert_array_equal(again.gradient(W), problem.gradient(W))


def test_digest_names_data_widths_flow_and_options(data):
    X, Y = data
    same = Problem.from_data(X.copy(), Y.copy(), hidden=[3, 2])
    problem = Problem.from_data(X, Y, hidden=(3, 2))
    assert problem.digest == same.digest
    others = [
        Problem.from_data(X, Y, hidden=(2, 3)),
        Problem.from_data(X, Y, hidden=(3, 2), flow="raw"),
        Problem.from_data(X, Y, hidden=(3, 2), intercept=True),
        Problem.from_data(X, Y, hidden=(3, 2), standardise=True),
        Problem.from_data(np.nextafter(X, 9), Y, hidden=(3, 2)),
        Problem.from_data(X, -Y, hidden=(3, 2)),
        Problem.from_spectrum(problem.sigma, d_x=4, hidden=(3, 2)),
    ]
    assert len({problem.digest, *(other.digest for other in others)}) == 8


def test_flows_share_their_spectrum_and_differ_in_their_gram_matrix(data):
    reduced, raw = (Problem.from_data(*data, hidden=(3,), flow=flow) for flow in ("reduced", "raw"))
    np.testing.assert_array_equal(reduced.sigma, raw.sigma)
    assert (reduced.gram_floor, reduced.gram_norm) == (1.0, 1.0)
    singular = np.linalg.svd(data[0], compute_uv=False)
    assert raw.gram_floor == pytest.approx(singular[-1] ** 2, rel=1e-10)
    assert raw.gram_norm == pytest.approx(singular[0], rel=1e-12)


def test_fitted_reads_the_same_in_both_flows(data, rng):
    reduced, raw = (Problem.from_data(*data, hidden=(3,), flow=flow) for flow in ("reduced", "raw"))
    W_1, W_2 = rng.standard_normal((3, 4)), rng.standard_normal((2, 3))
    bars = reduced.pack([W_1 @ raw.gram_root @ raw.V_Y, raw.U_Y.T @ W_2])  # type: ignore[union-attr]
    np.testing.assert_allclose(raw.fitted(raw.pack([W_1, W_2])), reduced.fitted(bars), rtol=1e-10, atol=1e-11)


def test_assumptions_are_listed_with_their_numbers():
    problem = Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(2,))
    assert [(a.number, a.holds) for a in problem.assumptions()] == [(1, True), (2, True), (3, True), (4, True)]
    assert "1" in problem.assumptions()[2].evidence


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        ({"sigma": [1.0, 2.0]}, ArgumentError, r"do not fall; write them in order: \[2\.0, 1\.0\]"),
        ({"sigma": [2.0, 2.0]}, AssumptionError, "Assumption 3: singular values 0 and 1 are tied"),
        ({"sigma": [2.0, np.nextafter(2.0, 0)]}, AssumptionError, "Assumption 3"),
        ({"sigma": []}, ArgumentError, "at least one"),
        ({"sigma": [2.0, 0.0]}, ArgumentError, "above zero"),
        ({"sigma": [2.0, -1.0]}, ArgumentError, "above zero"),
        ({"sigma": [np.nan, 1.0]}, ArgumentError, "finite"),
        ({"sigma": [np.inf, 1.0]}, ArgumentError, "finite"),
        ({"sigma": ["big", "small"]}, ArgumentError, "not an array of numbers but of text"),
        ({"d_x": 1}, AssumptionError, "Assumption 1: d_x = 1 is below d_y = 2"),
        ({"hidden": (1,)}, AssumptionError, r"Assumption 1: hidden width\(s\) \[1\] below d_y = 2"),
        ({"hidden": (3, 1, 2)}, AssumptionError, "Assumption 1"),
        ({"hidden": ()}, ArgumentError, "no hidden layer"),
        ({"hidden": (0,)}, ArgumentError, "width 0"),
        ({"hidden": (-2,)}, ArgumentError, "width -2"),
        ({"hidden": (2.5,)}, ArgumentError, r"width 2\.5"),
        ({"hidden": (True,)}, ArgumentError, "width True"),
        ({"hidden": ("4",)}, ArgumentError, "width '4'"),
        ({"d_x": 3.0}, ArgumentError, r"width 3\.0"),
    ],
)
def test_invalid_problems_are_refused_with_a_remedy(arguments, kind, says):
    with pytest.raises(kind, match=says) as refusal:
        Problem.from_spectrum(**{"sigma": [2.0, 1.0], "d_x": 3, "hidden": (2,), **arguments})
    assert refusal.value.remedy
    assert "\n" not in str(refusal.value)


def test_invalid_data_is_refused(data):
    X, Y = data
    with pytest.raises(ArgumentError, match=r"unknown flow 'whole'; choose one of reduced, raw"):
        Problem.from_data(X, Y, hidden=(3,), flow="whole")
    with pytest.raises(AssumptionError, match="Assumption 1: hidden"):
        Problem.from_data(X, Y, hidden=(1,))
    Q = np.linalg.qr(X)[0]
    with pytest.raises(AssumptionError, match="Assumption 3"):
        Problem.from_data(Q, Q[:, :2], hidden=(3,))


def test_numpy_integers_are_accepted_as_widths():
    problem = Problem.from_spectrum([2.0, 1.0], d_x=np.int64(3), hidden=np.array([2, 4]))
    assert problem.widths == (3, 2, 4, 2)
    assert all(type(width) is int for width in problem.widths)

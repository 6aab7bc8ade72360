"""The reduction of data to a problem: what it preserves, notes and refuses."""

from __future__ import annotations

import numpy as np
import pytest

from basins import Problem
from basins.errors import AssumptionError, DataError
from basins.landscapes.deep_linear.reduction import reduce


@pytest.fixture
def data(rng):
    return rng.standard_normal((9, 4)), rng.standard_normal((9, 2))


def full_loss(X, Y, product):
    """1/2 ||Y - X product^T||^2 of the data, the paper's (1)."""
    return 0.5 * np.sum((Y - X @ product.T) ** 2)


def test_effective_loss_and_least_squares_loss_add_up(data, rng):
    """The paper's split of (1): the effective loss plus the least-squares loss, which no network can lower."""
    X, Y = data
    problem = Problem.from_data(X, Y, hidden=(3,), flow="raw")
    W = rng.standard_normal(problem.n)
    W_1, W_2 = problem.unpack(W)
    assert full_loss(X, Y, W_2 @ W_1) == pytest.approx(problem.loss(W) + problem.least_squares_loss, rel=1e-12)  # type: ignore[operator]
    solution = np.linalg.lstsq(X, Y, rcond=None)[0]
    assert full_loss(X, Y, solution.T) == pytest.approx(problem.least_squares_loss, rel=1e-12)
    assert problem.condition == pytest.approx(np.linalg.cond(X), rel=1e-10)
    assert problem.notes == ()


def test_decompositions_reproduce_the_data(data):
    X, Y = data
    reduction = reduce(X, Y)
    np.testing.assert_allclose(reduction.gram_root @ reduction.gram_root.T, X.T @ X, rtol=1e-12, atol=1e-12)
    sigma_matrix = np.zeros((2, 4))
    np.fill_diagonal(sigma_matrix, reduction.sigma)
    np.testing.assert_allclose(reduction.U_Y @ sigma_matrix @ reduction.V_Y.T, reduction.target, atol=1e-13)
    for Q in (reduction.U_Y, reduction.V_Y):
        np.testing.assert_allclose(Q.T @ Q, np.eye(len(Q)), atol=1e-13)
    np.testing.assert_allclose(reduction.target @ reduction.gram_root.T, Y.T @ X, rtol=1e-12, atol=1e-12)
    # sigma are the cosines-weighted sizes of Y in the row space of X
    projected = X @ np.linalg.pinv(X) @ Y
    np.testing.assert_allclose(reduction.sigma, np.linalg.svd(projected, compute_uv=False), rtol=1e-12)


def test_rank_deficient_inputs_are_reduced_exactly(data, rng, flow_to):
    """Remark 1: a dependent column does not change the flow, and the raw flow inside the row space is the true one."""
    X, Y = data
    X = np.column_stack([X, X[:, 0] - 2 * X[:, 1]])
    problem = Problem.from_data(X, Y, hidden=(3,), flow="raw")
    assert problem.widths == (4, 3, 2)
    assert problem.notes == ("X has rank 4 of 5 columns (9 samples): reduced to 4 input directions (Remark 1)",)
    # The same trajectory in all five columns, by an explicit gradient flow of (1).
    U, s, _ = np.linalg.svd(X.T, full_matrices=False)
    W_1, W_2 = rng.standard_normal((3, 5)), rng.standard_normal((2, 3))
    inside = problem.pack([W_1 @ U[:, :4], W_2])
    E = Y.T - W_2 @ W_1 @ X.T
    gradient = problem.unpack(problem.gradient(inside))
    np.testing.assert_allclose(gradient[0] @ U[:, :4].T, -W_2.T @ E @ X, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(gradient[1], -E @ X @ W_1.T, rtol=1e-10, atol=1e-10)
    assert problem.condition == pytest.approx(s[0] / s[3], rel=1e-9)


def test_fewer_samples_than_features(rng):
    X, Y = rng.standard_normal((3, 6)), rng.standard_normal((3, 2))
    problem = Problem.from_data(X, Y, hidden=(2,))
    assert problem.d_x == 3
    assert "3 samples" in problem.notes[0]
    assert problem.least_squares_loss == pytest.approx(0, abs=1e-20)


def test_constant_columns_are_noted_and_standardising_drops_them(data):
    X, Y = data
    X = np.column_stack([X, np.full(9, 3.0)])
    problem = Problem.from_data(X, Y, hidden=(3,))
    assert problem.d_x == 5  # a constant column is an intercept: it informs
    assert problem.notes == ("constant input column(s) at position 4",)
    standard = Problem.from_data(X, Y, hidden=(3,), standardise=True)
    assert standard.d_x == 4
    assert "constant input column(s) at position 4" in standard.notes
    assert "rank 4 of 5" in standard.notes[1]
    X[:, 4] = 2.3e12 / 11  # the mean of nine such rounds: what is left of it must not pass for an input
    assert Problem.from_data(X, Y, hidden=(3,), standardise=True).d_x == 4
    both = Problem.from_data(X, Y, hidden=(3,), standardise=True, intercept=True)
    assert both.d_x == 5


def test_standardise_and_intercept(data):
    X, Y = data
    centred = (X - X.mean(axis=0)) / X.std(axis=0)
    by_option = reduce(X, Y, standardise=True, intercept=True)
    by_hand = reduce(np.column_stack([centred, np.ones(9)]), Y)
    np.testing.assert_allclose(by_option.sigma, by_hand.sigma, rtol=1e-12)
    np.testing.assert_allclose(
        by_option.gram_root @ by_option.gram_root.T, by_hand.gram_root @ by_hand.gram_root.T, atol=1e-11
    )
    assert by_option.digest != reduce(X, Y).digest


def test_inputs_are_not_written_to(data):
    X, Y = data
    before = X.copy(), Y.copy()
    Problem.from_data(X, Y, hidden=(3,), standardise=True, intercept=True)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


def one_hot(rng, intercept=False, drop=0):
    X = rng.standard_normal((12, 4))
    Y = np.eye(3)[np.arange(12) % 3][:, drop:]
    return Problem.from_data(X, Y, hidden=(4,), standardise=True, intercept=intercept)


def test_one_hot_with_centred_inputs_names_both_remedies_and_both_work(rng):
    with pytest.raises(AssumptionError, match=r"Assumption 2.*rank 2 of d_y = 3") as refusal:
        one_hot(rng)
    assert "intercept = true" in str(refusal.value)
    assert "drop a class" in str(refusal.value)
    assert "sum to one" in str(refusal.value)
    assert one_hot(rng, intercept=True).d_y == 3
    assert one_hot(rng, drop=1).d_y == 2


def test_other_rank_deficient_targets_name_another_remedy(data):
    X, Y = data
    with pytest.raises(AssumptionError, match=r"Assumption 2.*combinations of others"):
        reduce(X, np.column_stack([Y, Y[:, 0] + Y[:, 1]]))
    outside = np.linalg.svd(X.T)[2][-1]  # orthogonal to every input
    with pytest.raises(AssumptionError, match="Assumption 2"):
        reduce(X, np.column_stack([Y[:, 0], outside]))


def test_more_targets_than_input_directions(rng):
    with pytest.raises(AssumptionError, match=r"Assumption 1: d_x = 2 input directions is below d_y = 3"):
        reduce(rng.standard_normal((9, 2)), rng.standard_normal((9, 3)))


def spoiled(array, value):
    array = array.astype(object if isinstance(value, str) else float)
    array[2, 1] = value
    return array


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda X, Y: (spoiled(X, np.nan), Y), r"X: 1 value\(s\) not finite, the first at row 2, column 1: nan"),
        (lambda X, Y: (X, spoiled(Y, -np.inf)), r"Y: 1 value\(s\) not finite, the first at row 2, column 1: -inf"),
        (lambda X, Y: (spoiled(X, "red"), Y), r"X: not an array of numbers: 'red' at \[2, 1\]; encode text"),
        (lambda X, Y: (X, Y[:5]), "X has 9 samples and Y has 5"),
        (lambda X, Y: (X[:1], Y[:1]), "1 sample is no data set"),
        (lambda X, Y: (X[:0], Y[:0]), r"X: shape \(0, 4\)"),
        (lambda X, Y: (X[:, :0], Y), r"X: shape \(9, 0\)"),
        (lambda X, Y: (X[None], Y), r"X: shape \(1, 9, 4\)"),
        (lambda X, Y: (0 * X, Y), "every input is zero"),
    ],
)
def test_invalid_data_is_refused(spoil, says, data):
    X, Y = spoil(*data)
    with pytest.raises(DataError, match=says):
        Problem.from_data(X, Y, hidden=(3,))


def test_one_column_may_be_a_vector(data):
    X, Y = data
    vector, column = Problem.from_data(X, Y[:, 0], hidden=(3,)), Problem.from_data(X, Y[:, :1], hidden=(3,))
    assert vector.widths == (4, 3, 1)
    np.testing.assert_array_equal(vector.sigma, column.sigma)
    assert vector.digest == column.digest


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_the_scale_of_the_data_does_not_matter(scale, data):
    """Thresholds are relative; nothing in the reduction squares the data except the least-squares loss."""
    X, Y = data
    reduction = reduce(X * scale, Y)
    np.testing.assert_allclose(reduction.sigma, reduce(X, Y).sigma, rtol=1e-12)

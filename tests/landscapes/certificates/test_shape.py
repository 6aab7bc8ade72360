"""Non-strict saddles for H = 2, and what a shape can test (theory.md 3e)."""

from __future__ import annotations

import numpy as np
import pytest
from certified_starts import gaussian, spectrum_problem

from basins.landscapes.deep_linear.certificates import at_start, can_test


def nonstrict_saddle(problem, r, rng):
    """H = 2, S = {1..r}: W_{1,1,2} = 0, W_{3,2} = 0, rank W_2 = r, W_3 W_2 W_1 = Sigma_S."""
    d_x, d_1, d_2, d_y = problem.widths
    W_2 = rng.standard_normal((d_2, r)) @ rng.standard_normal((r, d_1))
    W_3, W_1 = np.zeros((d_y, d_2)), np.zeros((d_1, d_x))
    W_3[:r] = rng.standard_normal((r, d_2))
    target = np.zeros((r, d_x))
    target[:, :r] = np.diag(problem.sigma[:r])
    free = rng.standard_normal((d_1, d_x))
    free[:, r : problem.d_y] = 0.0
    R = W_3[:r] @ W_2
    W_1 = free + np.linalg.pinv(R) @ (target - R @ free)
    W_1[:, r : problem.d_y] = 0.0
    return problem.pack([W_1, W_2, W_3])


@pytest.mark.parametrize("shape", [(2, (2, 2), 2), (3, (3, 2), 2), (4, (4, 4), 3)], ids=str)
def test_nonstrict_saddles_are_compatible_with_their_invariants(shape, rng):
    """Constructed points are critical, without negative curvature, and their rank is not excluded; generic starts
    exclude some."""
    problem = spectrum_problem(*shape)
    for r in range(problem.d_y):
        for _ in range(20):
            W = nonstrict_saddle(problem, r, rng)
            assert np.abs(problem.gradient(W)).max() < 1e-9 * (1 + np.abs(W).max() ** 3)
            eigenvalues = np.linalg.eigvalsh(problem.hessian(W))
            assert eigenvalues[0] >= -1e-9 * eigenvalues[-1]
            assert at_start(problem, W).nonstrict_least_rank[0] <= r
    assert (at_start(problem, gaussian(problem, rng, 200)).nonstrict_least_rank > 0).any()


def test_share_of_draws_that_can_reach_a_nonstrict_saddle(rng):
    """(2, 2, 2, 2), S = {1}: both C_j indefinite, 63 % of Gaussian draws (theory.md 3e)."""
    problem = spectrum_problem(2, (2, 2), 2)
    share = np.mean(at_start(problem, gaussian(problem, rng, 20_000)).nonstrict_least_rank < 2)
    assert abs(share - 0.635) < 0.015


@pytest.mark.parametrize(
    "shape", [(2, (2, 3), 2), (2, (3, 2), 2), (3, (3, 5), 3), (3, (4, 4), 2), (4, (2, 2), 1)], ids=str
)
def test_shapes_that_cannot_test_exclude_every_nonstrict_saddle(shape, rng):
    problem = spectrum_problem(*shape)
    assert not can_test(problem.widths).can_test
    assert (at_start(problem, gaussian(problem, rng, 1000)).nonstrict_least_rank == problem.d_y).all()


def test_shapes_that_can_test_leave_some_nonstrict_saddle(rng):
    for shape in [(2, (2, 2), 2), (4, (4, 4), 3), (3, (3, 2), 2)]:
        problem = spectrum_problem(*shape)
        assert can_test(problem.widths).can_test
        assert (at_start(problem, gaussian(problem, rng, 1000)).nonstrict_least_rank < problem.d_y).any()


@pytest.mark.parametrize(
    ("widths", "can", "says"),
    [
        ((4, 2, 2), False, "it is a theorem"),
        ((2, 3, 2), False, "almost every start is certified at t = 0"),
        ((10, 4, 4, 1), False, "d_2 = 4 >= 2 d_y - 1 = 1"),
        ((2, 3, 2, 2), False, "d_1 = 3 >= d_x + d_y - 1 = 3"),
        ((2, 2, 2, 2), True, "for H = 2"),
        ((2, 2, 2, 2), True, "; no smaller shape of H = 2 can test it"),
        ((4, 4, 4, 3), True, "for H = 2"),
        ((1, 1, 1, 1, 1), False, "all widths 1"),
        ((2, 2, 2, 2, 2), True, "for H = 3 it is open"),
        ((5, 3, 3, 3, 1), True, "for H = 3 it is open"),
    ],
)
def test_which_shapes_can_test(widths, can, says):
    verdict, sentence = can_test(widths)
    assert verdict is can
    assert says in sentence
    assert sentence.startswith("This shape can" + ("" if can else "not"))
    assert sentence.endswith(".")


def test_the_smallest_shape_of_two_hidden_layers_that_can_test():
    """(2, 2, 2, 2): of all widths up to 4, and with Assumption 1, it is the least in every width."""
    widths = np.array([
        (d_x, d_1, d_2, d_y)
        for d_y in range(1, 5) for d_x in range(d_y, 5) for d_1 in range(d_y, 5) for d_2 in range(d_y, 5)
        if can_test((d_x, d_1, d_2, d_y)).can_test
    ])  # fmt: skip
    assert [2, 2, 2, 2] in widths.tolist()
    assert (widths >= 2).all()

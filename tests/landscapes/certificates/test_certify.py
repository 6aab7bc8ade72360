"""basins.certify: which strata a state excludes, and by which argument. Strata are asked for one at a time."""

from __future__ import annotations

import numpy as np
import pytest

import basins
from basins import Problem, certify
from basins.errors import ArgumentError
from basins.landscapes.deep_linear import certificates
from basins.landscapes.deep_linear.certificates import NO_ARGUMENT, Argument, at_start, reachable
from basins.landscapes.deep_linear.critical import construct
from basins.landscapes.deep_linear.strata import mask_to_modes
from basins.laws import Gaussian, Planted, starts

SIGMA = np.array([2.0, 1.1, 0.4])
SHAPES = [
    (3, (8,), 2), (2, (2,), 2), (5, (4,), 3), (4, (3,), 1), (2, (2, 2), 2), (3, (4, 3), 2), (3, (3, 4), 3),
    (2, (3, 2, 3), 2), (3, (4, 3, 2), 2), (3, (2, 3, 4, 2), 2),
]  # fmt: skip


def spectrum_problem(d_x, hidden, d_y):
    return Problem.from_spectrum(SIGMA[:d_y], d_x=d_x, hidden=hidden)


def any_scales(problem, rng, count):
    """Gaussian starts with one scale for each layer and start, over two decades, so that every argument occurs."""
    W = rng.standard_normal((count, problem.n))
    for W_j in problem.unpack(W):
        W_j *= 10 ** rng.uniform(-1, 1, (count, 1, 1))
    return W


def near_minimum(problem, rng, count):
    """Starts around points that fit some or all modes: the loss excludes strata."""
    W = [construct(problem, range(problem.d_y), "minimum", seed=seed) for seed in range(count)]
    return np.array(W) + 0.1 * rng.standard_normal((count, problem.n))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_excluded_combines_level_and_ranks(shape, rng):
    """Against `reachable`, which lists: for every start and every S."""
    problem = spectrum_problem(*shape)
    W = np.concatenate([any_scales(problem, rng, 60), near_minimum(problem, rng, 40)])
    found, start = certify(problem, W), at_start(problem, W)
    np.testing.assert_array_equal(found.rate, start.rate)
    by_mask = np.array([found.excluded(mask) for mask in range(1 << problem.d_y)])
    for row in range(len(W)):
        left = set(reachable(problem, found.loss_at_most[row], int(start.least_rank[row])).tolist())
        if start.rate[row] > 0:
            left = {(1 << problem.d_y) - 1}
        assert set(np.flatnonzero(~by_mask[:, row]).tolist()) == left
        assert found.least_rank[row] == min(len(mask_to_modes(mask)) for mask in left)
        assert found.global_minimum[row] == (len(left) == 1)
    assert (found.argument == NO_ARGUMENT).sum() == (found.least_rank == 0).sum()
    assert (found.nonstrict_least_rank >= found.least_rank).all()


def test_every_argument_occurs_and_is_the_one_that_proves_the_rank(rng):
    seen = set()
    for shape in SHAPES:
        problem = spectrum_problem(*shape)
        W = np.concatenate([any_scales(problem, rng, 400), near_minimum(problem, rng, 40)])
        found = certify(problem, W)
        start = found.start
        for code, least in (
            (Argument.inertia, start.least_rank),
            (Argument.ranks, start.least_rank),
            (Argument.rate, np.where(start.rate > 0, problem.d_y, 0)),
        ):
            rows = found.argument == code
            np.testing.assert_array_equal(found.least_rank[rows], least[rows])
        assert (found.argument[start.by_rate] == Argument.rate).all()
        rows = found.argument == Argument.level
        assert (found.least_rank[rows] > np.maximum(start.least_rank, 0)[rows]).all()
        one_layer, deep = Argument.inertia in found.argument, Argument.ranks in found.argument
        assert not (deep if problem.H == 1 else one_layer)
        for S in [(), (0,)]:
            by = found.excluded_by(S)
            np.testing.assert_array_equal(by != NO_ARGUMENT, found.excluded(S))
            seen |= set(by.tolist())
        seen |= set(found.argument.tolist())
    assert seen == {NO_ARGUMENT, *Argument}
    assert len(certificates.ARGUMENTS) == len(Argument)


def planted_excluded(rng):
    """Starts planted on every S of every shape: how many exclude the stratum they end on, or call it non-strict."""
    wrong = 0
    for shape in SHAPES:
        problem = spectrum_problem(*shape)
        for mask in range((1 << problem.d_y) - 1):
            W = any_scales(problem, rng, 60)
            layers = problem.unpack(W)
            unfitted = [i for i in range(problem.d_y) if not mask >> i & 1]
            layers[0][:, :, unfitted] = 0.0
            layers[-1][:, unfitted, :] = 0.0
            found = certify(problem, W)
            wrong += int((found.excluded(mask) | found.global_minimum).sum())
            assert not found.excluded((1 << problem.d_y) - 1).any()
    return wrong


def test_planted_start_does_not_exclude_its_limit(rng):
    assert planted_excluded(rng) == 0


def test_counting_eigenvalues_by_sign_excludes_limits_of_planted_starts(rng, monkeypatch):
    monkeypatch.setattr(certificates.spectra, "U", 1e-60)
    assert planted_excluded(rng) > 100


def test_a_saddle_does_not_exclude_itself():
    """Strict and non-strict ones, constructed: the level, the ranks and 3e allow each."""
    for shape in [(2, (2, 2), 2), (3, (4, 3), 2), (3, (4, 4), 3), (2, (2, 2, 2), 2), (3, (4, 3, 3), 3)]:
        problem = spectrum_problem(*shape)
        for mask in range((1 << problem.d_y) - 1):
            S = mask_to_modes(mask)
            W = np.array([construct(problem, S, seed=seed) for seed in range(10)])
            assert not certify(problem, W).excluded(S).any()
            if tuple(range(len(S))) == S:
                W = np.array([construct(problem, S, "nonstrict", seed=seed) for seed in range(10)])
                found = certify(problem, W)
                assert not found.excluded(S).any()
                assert not found.excluded_nonstrict(S).any()
                assert found.nonstrict_ranks[:, len(S)].all()


def test_which_ranks_carry_a_nonstrict_saddle(rng):
    """H = 2 by 3e; none for H = 1; only S = {0, ..., r - 1}; never more than the strata that are left."""
    one, two = spectrum_problem(5, (4,), 3), spectrum_problem(3, (4, 3), 3)
    assert not certify(one, any_scales(one, rng, 50)).nonstrict_ranks.any()
    found = certify(two, starts(two, Gaussian(0.5), 1, 0))
    left = found.nonstrict_ranks
    assert left.shape == (1024, 3)
    np.testing.assert_array_equal(left, np.arange(3) >= found.start.nonstrict_least_rank[:, None])
    assert 0 < left.any(axis=1).mean() < 1
    assert not (left[:, 0] & found.excluded([])).any()
    for r in range(3):
        np.testing.assert_array_equal(found.excluded_nonstrict(range(r)), ~left[:, r])
    assert found.excluded_nonstrict([1]).all()  # all saddles of S = {1} are strict
    assert found.excluded_nonstrict([0, 2]).all()
    assert not found.excluded_nonstrict([0, 1, 2]).any()  # the global minima
    wide = spectrum_problem(2, (2, 3), 2)
    assert not certify(wide, any_scales(wide, rng, 50)).nonstrict_ranks.any()


def test_level_excludes_strata_above_the_loss_but_not_at_it():
    problem = spectrum_problem(3, (3,), 3)  # sigma^2 / 2 = 2, 0.605, 0.08
    at = construct(problem, [0, 1], seed=1)  # L = 0.08: at I({0, 1}) itself
    found = certify(problem, at)
    assert found.least_rank == 2
    assert found.argument == Argument.level or found.start.least_rank == 2
    assert not found.excluded([0, 1])
    assert found.excluded([0, 2])
    assert found.excluded([])
    closer = problem.pack([np.eye(3), np.diag(SIGMA - [0.0, 0.0, 0.39])])
    assert certify(problem, closer).global_minimum
    nearer = problem.pack([np.eye(3), np.diag(SIGMA - [0.0, 0.0, 0.4 * (1 - 1e-7)])])  # within delta of the level
    assert not certify(problem, nearer).excluded([0, 1])
    assert certify(problem, nearer, delta=1e-9).excluded([0, 1])


def test_a_loss_within_its_own_rounding_excludes_nothing():
    """Layers of norm 1e8 whose product is of size 1: the loss is exact here by luck, and off by up to 1 elsewhere."""
    problem = spectrum_problem(2, (2, 2), 2)
    W = problem.pack([np.diag([1e8, 1e-8]), np.diag([1e-8, 1e8]), np.diag(SIGMA[:2])])
    assert problem.loss(W) < 1e-15
    found = certify(problem, W)
    assert found.loss_at_most > 0.5
    assert not found.excluded([0])


def test_the_loss_bound_starts_at_the_loss_and_falls_at_twice_the_rate(rng):
    problem = spectrum_problem(2, (2, 2), 2)
    W = any_scales(problem, rng, 300)
    found = certify(problem, W)
    rows = found.rate > 0
    assert 0 < rows.sum() < 300
    np.testing.assert_allclose(found.loss_bound(0.0), problem.loss(W), rtol=1e-9)
    t = np.where(rows, 1 / np.where(rows, found.rate, 1.0), 1.0)
    np.testing.assert_allclose((found.loss_bound(t) / found.loss_bound(0.0))[rows], np.exp(-2), rtol=1e-12)
    np.testing.assert_array_equal(found.loss_bound(7.0)[~rows], found.loss_at_most[~rows])


@pytest.mark.parametrize(("modes", "said"), [([2], "0..1"), ([-1], "0..1"), (4, "0..1"), (-1, "0..1")])
def test_unknown_stratum_is_refused(modes, said, rng):
    problem = spectrum_problem(2, (2,), 2)
    found = certify(problem, any_scales(problem, rng, 2))
    for ask in (found.excluded, found.excluded_by, found.excluded_nonstrict):
        with pytest.raises(ArgumentError, match=said):
            ask(modes)


@pytest.mark.parametrize("delta", [0.0, -1e-6, 1.0, np.nan])
def test_margin_outside_0_1_is_refused(delta, rng):
    problem = spectrum_problem(2, (2,), 2)
    with pytest.raises(ArgumentError, match="delta: delta = "):
        certify(problem, any_scales(problem, rng, 2), delta=delta)


def test_single_state_overflow_and_empty_batch(rng):
    problem = spectrum_problem(2, (2, 2), 2)
    W = any_scales(problem, rng, 3)
    assert certify(problem, W[1]).rate == certify(problem, W).rate[1]
    assert len(certify(problem, W[1])) == 1
    assert len(certify(problem, W[:0])) == 0
    for scale in (1e160, np.inf, np.nan):
        with np.errstate(invalid="ignore"):
            found = certify(problem, W * scale)
        assert not found.global_minimum.any()
        assert (found.least_rank == 0).all()
        assert not found.excluded([]).any()
    assert basins.certify is certify


def test_thirty_targets_need_no_list_of_strata():
    """2^30 strata: asked for one at a time, by positions or bitmask."""
    problem = Problem.from_spectrum(np.linspace(3.0, 0.5, 30), d_x=31, hidden=(30, 30))
    law = Planted(tuple(range(20)), 0.3)
    W = np.concatenate([starts(problem, Gaussian(0.2), 1, 0)[:20], starts(problem, law, 1, 0)[:20]])
    found = certify(problem, W)
    assert not found.excluded(range(20))[20:].any()
    assert not found.global_minimum.any()
    assert found.nonstrict_ranks.shape == (40, 30)
    some = (1 << 29) | 5
    np.testing.assert_array_equal(found.excluded(some), found.excluded([0, 2, 29]))
    wide = Problem.from_spectrum(np.linspace(3.0, 0.5, 30), d_x=30, hidden=(59,))
    proved = certify(wide, starts(wide, Gaussian(0.2), 1, 0)[:20])
    assert proved.global_minimum.all()
    assert (proved.start.least_rank == 30).all()
    assert proved.excluded(some).all()

"""Inertia and the ranks that the C_j force (theory.md 3c, 3d): no excluded stratum is reached, and without a tolerance
some would be."""

from __future__ import annotations

import numpy as np
import pytest
from certified_starts import SHAPES, any_scales, gaussian, naive, planted, spectrum_problem

from basins.integrators.base import IntegrationRequest, Settings
from basins.integrators.scipy import Reference
from basins.landscapes.deep_linear.certificates import at_start, level_margin, spectra
from basins.landscapes.deep_linear.certificates.spectra import spectra_of
from basins.landscapes.deep_linear.certificates.start_certificates import _least_rank


def test_structural_zeros_do_not_count(rng, monkeypatch):
    """(3, 8, 2): rank C_1 <= 5 and n+ <= 2. Counting signs finds n+ > 2 in nearly every draw: a false certificate."""
    problem = spectrum_problem(3, (8,), 2)
    W = gaussian(problem, rng, 1000)
    right = at_start(problem, W)
    assert (right.least_rank == 2).all()
    assert right.inertia_margin.min() > 1e6
    spectra = spectra_of(problem, problem.unpack(W))
    assert (spectra[0].positive == 2).all()
    assert (spectra[0].negative == 3).all()
    assert (np.abs(spectra[0].eigenvalues) <= spectra[0].tolerance[:, None]).sum() == 3000
    naive(monkeypatch)
    assert (spectra_of(problem, problem.unpack(W))[0].positive > 2).mean() > 0.9


def test_balanced_starts_have_no_inertia(rng, monkeypatch):
    """C_j is the rounding of its two products. A tolerance relative to ||C_j|| would find signs in it."""
    problem = spectrum_problem(3, (4, 5), 3)
    s = rng.uniform(0.5, 2, (200, 3))
    Q = [np.linalg.qr(rng.standard_normal((200, d, 3)))[0] for d in (3, 4, 5, 3)]
    W = problem.pack([(Q[j + 1] * s[:, None, :]) @ np.swapaxes(Q[j], 1, 2) for j in range(3)])
    found = at_start(problem, W)
    assert (found.least_rank == 0).all()
    assert (found.nonstrict_least_rank == 0).all()
    assert (found.rate == 0).all()
    assert np.isinf(found.inertia_margin).all()
    naive(monkeypatch)
    assert (at_start(problem, W).nonstrict_least_rank > 0).mean() > 0.9


def planted_excluded(rng):
    """Over shapes and S: the number of planted starts whose own limit is called excluded."""
    excluded, stated = 0, 0
    for shape in SHAPES:
        problem = spectrum_problem(*shape)
        for mask in range((1 << problem.d_y) - 1):
            S = [i for i in range(problem.d_y) if mask >> i & 1]
            found = at_start(problem, planted(problem, S, rng, 100))
            excluded += int((found.excludes(S) | found.global_minimum).sum())
            stated += int((found.least_rank > 0).sum())
    assert stated > 500  # something is said
    return excluded


def test_a_planted_start_is_never_certified_away_from_its_saddle(rng):
    assert planted_excluded(rng) == 0


def test_without_a_tolerance_planted_starts_are_excluded(rng, monkeypatch):
    naive(monkeypatch)
    assert planted_excluded(rng) > 100


def test_a_critical_point_is_compatible_with_its_own_invariants(rng, critical_point):
    for shape in SHAPES:
        problem = spectrum_problem(*shape)
        for mask in range(1 << problem.d_y):
            S = [i for i in range(problem.d_y) if mask >> i & 1]
            W = np.array([critical_point(problem, S, rng) for _ in range(10)])
            found = at_start(problem, W)
            assert (found.least_rank <= len(S)).all()
            assert not found.excludes(S).any()


def test_one_hidden_layer_is_exact(rng):
    """3c: least rank max(n+, n- - e), counted here by the true rank of the factors' difference."""
    for shape in [(3, (8,), 2), (5, (4,), 3), (2, (2,), 2)]:
        problem = spectrum_problem(*shape)
        W = any_scales(problem, rng, 500)
        eigenvalues = np.linalg.eigvalsh(problem.invariants(W)[0])
        size = np.sum(W**2, axis=1)[:, None]
        plus, minus = (eigenvalues > 1e-12 * size).sum(axis=1), (eigenvalues < -1e-12 * size).sum(axis=1)
        e = problem.d_x - problem.d_y
        np.testing.assert_array_equal(at_start(problem, W).least_rank, np.maximum(np.maximum(plus, minus - e), 0))


@pytest.mark.parametrize("shape", [(2, (3,), 2), (3, (4,), 2), (5, (7,), 3), (3, (9,), 1)], ids=str)
def test_wide_single_layers_certify_every_draw(shape, rng):
    """H = 1, d_1 >= d_x + d_y - 1; one unit narrower does not."""
    d_x, (d_1,), d_y = shape
    problem = spectrum_problem(*shape)
    assert at_start(problem, any_scales(problem, rng, 1000)).global_minimum.all()
    assert at_start(problem, gaussian(problem, rng, 1000)).by_rank.all()
    if d_1 == d_x + d_y - 1 and d_y > 1:
        narrower = spectrum_problem(d_x, (d_1 - 1,), d_y)
        assert not at_start(narrower, gaussian(narrower, rng, 1000)).global_minimum.all()


@pytest.mark.parametrize("shape", [(3, (3,), 2), (2, (2, 2), 2), (2, (2, 2, 2), 2)], ids=str)
def test_excluded_strata_are_not_reached(shape, rng, flow_to):
    """Certified starts reach L < 1e-10 sigma_min^2; planted ones end at a rank that was not excluded."""
    problem = spectrum_problem(*shape)
    W = any_scales(problem, rng, 20_000)
    W = W[np.abs(W).max(axis=1) < 2.5]
    found = at_start(problem, W)
    for rows in (found.by_rate & (found.rate > 0.2), found.by_rank):
        certified = W[np.flatnonzero(rows)[:4]]
        assert len(certified) == 4
        below = 1e-10 * problem.sigma_min**2
        assert (problem.loss(flow_until(problem, certified, below)) < below).all()
    for S in ([], [0], [1]):
        starts = planted(problem, S, rng, 400)
        starts = starts[np.abs(starts).max(axis=1) < 2.5]
        least_rank = at_start(problem, starts).least_rank
        first = np.argsort(-least_rank, kind="stable")[:3]
        ends = flow_to(problem, starts[first], 30.0, rtol=1e-6, atol=1e-8)
        rank = (problem.fitted(ends) > 0.5).sum(axis=-1)
        assert (rank >= least_rank[first]).all()
        assert (rank <= len(S)).all()


def flow_until(problem, W, below):
    """States (N, n) at which the loss is below a level for the first time, by scipy."""
    N = len(W)
    settings = Settings(method="DOP853", rtol=1e-6, atol=1e-9, budget=10**6)
    never = np.full(N, np.inf)
    leg = IntegrationRequest(
        W, np.zeros(N), np.full(N, below), never, np.full(N, 10**6), never, never, np.zeros(N, dtype=bool)
    )
    return Reference().integrate(problem, leg, settings).state


def test_ranks_for_more_layers_by_hand():
    """(2, 2, 2, 2) with C_1 > 0 and C_2 > 0: all of W_2, W_3 have rank 2, so rank A_1 = 2; with C_1, C_2 < 0 rank B_3
    = 2."""
    plus, minus = [np.array([2]), np.array([2])], [np.array([0]), np.array([0])]
    assert _least_rank((2, 2, 2, 2), plus, minus) == 2
    assert _least_rank((2, 2, 2, 2), minus, plus) == 2
    # Both indefinite: every layer has rank >= 1, and A_2, B_2 of rank 1 exclude nothing.
    one = [np.array([1]), np.array([1])]
    assert _least_rank((2, 2, 2, 2), one, one) == 0
    # C_1 < 0 < C_2: rank W_1 = rank W_3 = 2, nothing is known of W_2: j = 2 gives r >= 2 + 2 - 2.
    assert _least_rank((2, 2, 2, 2), [minus[0], plus[0]], [plus[0], minus[0]]) == 2
    # e = 3 surplus inputs weaken n-(C_1) by 3, H = 1.
    assert _least_rank((5, 7, 2), [np.array([1])], [np.array([5])]) == 2
    assert _least_rank((5, 7, 2), [np.array([1])], [np.array([3])]) == 1


def test_more_tolerance_certifies_less(rng, monkeypatch):
    problem = spectrum_problem(3, (4, 3), 2)
    W = any_scales(problem, rng, 3000)
    before = at_start(problem, W)
    for factor in (1e9, 1e13, 1e15):
        monkeypatch.setattr(spectra, "U", 2.0**-53 * factor)
        after = at_start(problem, W)
        assert (after.rate <= before.rate).all()
        assert (after.least_rank <= before.least_rank).all()
        assert (after.nonstrict_least_rank <= before.nonstrict_least_rank).all()
        before = after
    assert not before.global_minimum.any()


def test_overflow_and_underflow_certify_nothing(rng):
    problem = spectrum_problem(2, (3,), 2)
    W = gaussian(problem, rng, 1)
    assert at_start(problem, W).global_minimum.all()
    for scale in (1e160, 1e-160, 0.0, np.inf, np.nan):
        with np.errstate(invalid="ignore"):
            W_s = W * scale
        found = at_start(problem, W_s)
        assert found.rate == 0
        assert found.least_rank == 0
        assert not found.global_minimum.any()
        assert not (level_margin(problem, W_s) > 0).any()
    deep = spectrum_problem(2, (2, 2, 2), 2)
    huge = deep.pack([1e-3 * np.eye(2), *(10.0 ** (50 * j) * np.eye(2) for j in (1, 2, 3))])
    assert np.isfinite(at_start(deep, huge).rate).all()


def test_single_state_equals_batch_of_one(rng):
    problem = spectrum_problem(2, (2, 2), 2)
    W = gaussian(problem, rng, 3)
    batch = at_start(problem, W)
    one = at_start(problem, W[1])
    assert one.rate.shape == (1,)
    assert one.rate[0] == batch.rate[1]
    assert one.least_rank[0] == batch.least_rank[1]
    assert len(at_start(problem, W[:0]).rate) == 0

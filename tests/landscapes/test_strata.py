"""Strata: their order and losses, and for H = 1 their dimension and index against the Hessian at random points on
them."""

from __future__ import annotations

import numpy as np
import pytest

from basins import Problem
from basins.errors import ArgumentError, AssumptionWarning
from basins.landscapes.deep_linear.strata import dimension, mask_to_modes, modes_to_mask, subset_sums, unstable_index

SIGMA = np.array([2.0, 1.1, 0.4, 0.15])


def problem_of(widths):
    return Problem.from_spectrum(SIGMA[: widths[-1]], d_x=widths[0], hidden=widths[1:-1])


def test_order_is_by_falling_loss_from_one():
    strata = problem_of((5, 4, 4)).strata()
    assert len(strata) == 16
    losses = [stratum.loss for stratum in strata]
    assert losses == sorted(losses, reverse=True)
    assert [stratum.index for stratum in strata] == list(range(1, 17))
    assert strata[0].modes == ()
    assert strata[0].loss == pytest.approx(0.5 * np.sum(SIGMA**2))
    assert strata[-1].modes == (0, 1, 2, 3)
    assert strata[-1].loss == 0.0
    for stratum in strata:
        assert strata.of(stratum.modes) == strata.of(stratum.mask) == stratum
        assert stratum.rank == len(stratum.modes)
    assert strata[2:4] == [strata[2], strata[3]]


def test_loss_is_of_the_modes_not_fitted(rng, critical_point):
    """1/2 sum over S^c, not over S as page 13 says (errata 3): at exact critical points, H = 1 and H = 2."""
    for widths in ((4, 3, 3), (4, 3, 4, 3)):
        problem = problem_of(widths)
        for stratum in problem.strata():
            loss = problem.loss(critical_point(problem, stratum.modes, rng))
            assert loss == pytest.approx(stratum.loss, rel=1e-9, abs=1e-12)
            fitted = 0.5 * float(np.sum(SIGMA[list(stratum.modes)] ** 2))
            assert abs(loss - fitted) > 0.01


def test_diagonal_of_the_product_reads_the_modes(rng, critical_point):
    """D_W is diagonal with zeros and ones at every critical point (Lemma 3.2), also where subset sums tie."""
    with pytest.warns(AssumptionWarning):
        tied = Problem.from_spectrum([5.0, 4.0, 3.0], d_x=4, hidden=(3, 3))
    for problem in (problem_of((4, 3, 3)), problem_of((3, 3, 4, 3)), tied):
        for stratum in problem.strata():
            W = critical_point(problem, stratum.modes, rng)
            assert np.abs(problem.gradient(W)).max() < 1e-9 * (1 + np.abs(W).max() ** 3)
            np.testing.assert_allclose(problem.fitted(W), np.isin(np.arange(3), stratum.modes), atol=1e-9)


INDEXED = [(2, 2, 2), (3, 2, 2), (2, 4, 2), (4, 3, 2), (3, 3, 3), (4, 5, 3), (3, 4, 1), (5, 4, 4)]


def inertia(problem, stratum, rng, critical_point):
    """(negative, zero) eigenvalues of the Hessian at a random point of the stratum."""
    eigenvalues = np.linalg.eigvalsh(problem.hessian(critical_point(problem, stratum.modes, rng)))
    size = np.abs(eigenvalues)
    order = np.sort(size)
    zero = size < 1e-10 * size.max()
    if zero.any():  # a gap that no counting can blur
        assert order[zero.sum()] > 1e3 * order[zero.sum() - 1]
    return int((eigenvalues < 0)[~zero].sum()), int(zero.sum())


def paper_dimension(widths, r):
    """Eq. (27) as printed."""
    d_x, d_1, d_y = widths
    return r * d_1 + (d_y - r) * r + (d_y - r) * (d_x - d_y)


def test_dimension_and_index_against_the_hessian(rng, critical_point):
    """Nullity d(r) and negative index m_u on every saddle stratum of eight shapes; eq. (27) as printed fails where
    d_1 > d_y (errata 2), and (d_y - r)^2 unstable directions in Q_2 would (errata 4)."""
    strata = printed = squares = 0
    for widths in INDEXED:
        problem = problem_of(widths)
        d_1, d_y = widths[1:]
        for stratum in list(problem.strata())[:-1]:
            negative, zero = inertia(problem, stratum, rng, critical_point)
            assert zero == stratum.dimension, (widths, stratum)
            assert negative == stratum.unstable_index, (widths, stratum)
            strata += 1
            printed += zero == paper_dimension(widths, stratum.rank)
            exchanges = stratum.unstable_index - (d_1 - stratum.rank) * (d_y - stratum.rank)
            squares += negative == (d_y - stratum.rank) ** 2 + exchanges
    assert (strata, printed, squares) == (42, 29, 28)


def test_global_minima_have_dimension_d_of_d_y(rng, critical_point):
    """d(d_y) is the dimension of the minima too, and the Hessian has no negative eigenvalue there: minimum, not
    maximum, in Prop. 4(i) (errata 9)."""
    for widths in INDEXED:
        problem = problem_of(widths)
        last = problem.strata()[-1]
        assert inertia(problem, last, rng, critical_point) == (0, last.dimension)
        assert last.unstable_index == 0
        W = critical_point(problem, last.modes, rng)
        assert problem.loss(W) < 1e-18
        assert np.linalg.eigvalsh(problem.hessian(W))[-1] > 0


def test_no_saddle_is_a_local_maximum(rng, critical_point):
    """The other half of errata 9: where there is a negative eigenvalue there is a positive one."""
    for widths in INDEXED:
        problem = problem_of(widths)
        for stratum in list(problem.strata())[:-1]:
            eigenvalues = np.linalg.eigvalsh(problem.hessian(critical_point(problem, stratum.modes, rng)))
            assert eigenvalues[0] < 0 < eigenvalues[-1]


def test_dimension_and_index_by_hand():
    assert dimension((3, 4, 2), 1) == 1 * 4 + 3 * 1 + 3 * 1
    assert unstable_index((3, 4, 2), [0]) == 3
    assert unstable_index((3, 4, 2), [1]) == 3 + 1  # mode 0 is larger and not fitted
    assert unstable_index((3, 4, 2), []) == 8
    assert dimension((3, 4, 4, 2), 1) is None
    assert unstable_index((3, 4, 4, 2), [1]) is None


def test_tied_sums_warn_and_are_ordered_by_mask():
    with pytest.warns(AssumptionWarning, match=r"Assumption 4 fails: tied: \{.*\} and \{.*\}"):
        problem = Problem.from_spectrum([5.0, 4.0, 3.0], d_x=3, hidden=(3,))
    strata = problem.strata()
    tied = [stratum for stratum in strata if stratum.loss == 12.5]
    assert [stratum.modes for stratum in tied] == [(0,), (1, 2)]  # 1/2 (16 + 9) and 1/2 25; masks 1 and 6
    assert tied[1].index == tied[0].index + 1  # type: ignore[operator]
    assert problem.assumptions()[3].holds is False
    assert strata.tied_values() == [((0,), (1, 2))]


def test_masks():
    assert modes_to_mask([0, 2]) == 0b101
    assert modes_to_mask([2, 0, 2]) == 0b101
    assert mask_to_modes(0b101) == (0, 2)
    assert mask_to_modes(0) == ()
    np.testing.assert_allclose(subset_sums(np.array([2.0, 1.0])), [0, 4, 1, 5])


def test_below_lists_reachable_strata():
    strata = problem_of((3, 3, 3)).strata()
    assert set(strata.below(np.inf)) == set(range(8))
    assert set(strata.below(0.5 * SIGMA[2] ** 2)) == {0b111}
    assert 0b011 in strata.below(0.5 * SIGMA[2] ** 2 * 1.01)


def test_strata_of_thirty_modes_are_not_listed():
    sigma = np.linspace(3.0, 1.0, 30)
    problem = Problem.from_spectrum(sigma, d_x=30, hidden=(30,))
    strata = problem.strata()
    assert len(strata) == 2**30
    stratum = strata.of([0, 29])
    assert stratum.index is None
    assert stratum.rank == 2
    assert stratum.mask == 1 + (1 << 29)
    assert stratum.loss == pytest.approx(0.5 * (np.sum(sigma**2) - 10.0))
    assert strata.of(range(30)).loss == 0.0
    for ask in (lambda: strata[0], lambda: list(strata), lambda: strata.critical_values, lambda: strata.below(1.0)):
        with pytest.raises(ArgumentError, match=r"strata\.of"):
            ask()
    assert problem.assumptions()[3].holds is None


@pytest.mark.parametrize("modes", [[3], [-1], 8, -1], ids=str)
def test_unknown_mode_is_refused(modes):
    with pytest.raises(ArgumentError, match=r"0\.\.2"):
        problem_of((3, 3, 3)).strata().of(modes)

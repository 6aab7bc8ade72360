"""What the invariants C_j prove at t = 0: the rate of the residual, and the ranks they force (theory.md 3b to 3e)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.landscapes.deep_linear.certificates.batch import Array, Integers, layers_of, unless_nan
from basins.landscapes.deep_linear.certificates.spectra import Spectrum, spectra_of
from basins.landscapes.deep_linear.problem import Problem


@dataclass(frozen=True)
class StartCertificates:
    """What the invariants of N starts prove before any integration.

    rate (N,): ||E|| decays at least like exp(-rate t), so L like exp(-2 rate t), and the limit is global if it is
    positive (3b); 0 where nothing is proved; in units of 1/t, its own relative rounding a few u.
    least_rank (N,): no limit is on a stratum of a rank below it; d_y says the limit is global (3c for H = 1, 3d for
    any H).
    nonstrict_least_rank (N,): the same for saddles without negative curvature, at least `least_rank` (3e for H = 2;
    d_y for H = 1, which has none). Strict saddles attract almost no start, so d_y here says "global" for almost every
    start, and proves nothing of this one.
    inertia_margin (N,): the smallest |eigenvalue| that was counted as nonzero, over the bound on its rounding error;
    above 1; inf where none was counted.
    """

    rate: Array
    least_rank: Integers
    nonstrict_least_rank: Integers
    inertia_margin: Array
    d_y: int

    @property
    def by_rate(self) -> NDArray[np.bool_]:
        """Rows whose limit is global because ||E|| decays (3b)."""
        return self.rate > 0

    @property
    def by_rank(self) -> NDArray[np.bool_]:
        """Rows whose limit is global because their invariants exclude every rank below d_y (3c, 3d)."""
        return self.least_rank >= self.d_y

    @property
    def global_minimum(self) -> NDArray[np.bool_]:
        """Rows whose limit is proved to be a global minimum."""
        return self.by_rate | self.by_rank

    def excludes(self, modes: Sequence[int]) -> NDArray[np.bool_]:
        """Rows that cannot end on the saddle stratum that fits these modes."""
        return (self.least_rank > len(set(modes))) | (self.by_rate & (len(set(modes)) < self.d_y))


def at_start(problem: Problem, W: ArrayLike) -> StartCertificates:
    """Certificates of theory.md 3b to 3e for a state (n,) or a batch (N, n); arrays (N,) in either case.

    It costs one eigenvalue decomposition for each C_j. Nothing is certified of a row that is not finite, or whose
    squares overflow. Raises ArgumentError for a W that is no state.
    """
    spectra = spectra_of(problem, layers_of(problem, W))
    plus = [s.positive for s in spectra]
    minus = [s.negative for s in spectra]
    least_rank = _least_rank(problem.widths, plus, minus)
    e = problem.d_x - problem.d_y
    nonstrict = least_rank
    if problem.H == 1:
        nonstrict = np.full_like(least_rank, problem.d_y)
    elif problem.H == 2:
        # A non-strict saddle has rank W_3 = rank W_2 = r and rank W_1 <= r + e.
        nonstrict = np.maximum.reduce([least_rank, plus[1], minus[1], plus[0], minus[0] - e])
    return StartCertificates(
        rate=_rate(problem, spectra),
        least_rank=least_rank,
        nonstrict_least_rank=np.minimum(nonstrict, problem.d_y),
        inertia_margin=np.min([s.margin for s in spectra], axis=0),
        d_y=problem.d_y,
    )


def paper_rate(problem: Problem, W: ArrayLike) -> Array:
    """The rate of Proposition 2 alone, (N,), for comparison: prod_l lam_{d_{l+1}}(C_l) if all are positive, else 0.

    It is asserted for d_1 >= ... >= d_H >= d_y; 0 elsewhere. (The paper's "d_{j+1}-smallest" means lam_{d_{j+1}},
    theory.md 1.7.)
    """
    spectra = spectra_of(problem, layers_of(problem, W))
    rate = np.ones(len(spectra[0].tolerance))
    for s, d_below, d_above in zip(spectra, problem.widths[1:], problem.widths[2:], strict=False):
        if d_above > d_below:
            return np.zeros_like(rate)
        with np.errstate(over="ignore", invalid="ignore"):
            rate = rate * np.maximum(0.0, s.largest(d_above))
    return problem.gram_floor * unless_nan(rate, 0.0)


def _rate(problem: Problem, spectra: Sequence[Spectrum]) -> Array:
    """lam_min(X X^T) sum_j alpha_j, (N,): the two-sided bound of theory.md 3b.

    ||E||' <= -sum_j alpha_j ||E|| with alpha_j = prod_{l>j} mu_l prod_{k<j} nu_k, where mu_l <= lam_min(W_l W_l^T)
    and nu_k <= lam_min(W_k^T W_k) for all t, by Weyl's inequality on W_{l+1}^T W_{l+1} = C_l + W_l W_l^T:

        mu_1 = 0,      mu_{l+1} = max(0, lam_{d_{l+1}}(C_l) + mu_l),
        nu_{H+1} = 0,  nu_k = max(0, lam_{d_{k-1}}(-C_k) + nu_{k+1}).

    theory.md starts the backward bound at nu_j = 0 for each j. Starting once at nu_{H+1} = 0 is as valid (nu_k bounds
    the same eigenvalue for every j) and never worse. On (2,2,2,2) both certify the same starts: of 20,000 Gaussian
    draws 798 +- 25 at equal scales (theory.md: 821; Prop. 2: 66 +- 10, there 72), and 1803 +- 42 at scales .5, 1, 1.5
    (Prop. 2: 1135 +- 33, there 1189). theory.md has 1677 for the latter, which no reading gives.

    mu_{l+1} = 0 where d_{l+1} > d_l, whatever mu_l is: W_{l+1} W_{l+1}^T is then singular. "lam_k of a d x d matrix
    with k > d counts as 0" must not be read as max(0, 0 + mu_l), which certifies starts that end in saddles
    (docs/errata.md, 13). The same for nu.
    """
    d, layers = problem.widths, problem.H + 1
    zero = np.zeros(len(spectra[0].tolerance))
    mu, nu = {1: zero}, {layers: zero}
    with np.errstate(over="ignore", invalid="ignore"):
        for l in range(1, layers):  # noqa: E741 - the paper's letter
            narrows = d[l + 1] <= d[l]
            mu[l + 1] = np.maximum(0.0, spectra[l - 1].largest(d[l + 1]) + mu[l]) if narrows else zero
        for k in range(layers - 1, 0, -1):
            widens = d[k - 1] <= d[k]
            nu[k] = np.maximum(0.0, spectra[k - 1].largest_of_minus(d[k - 1]) + nu[k + 1]) if widens else zero
        rate = zero
        for j in range(1, layers + 1):
            above = [mu[l] for l in range(j + 1, layers + 1)]  # noqa: E741
            below = [nu[k] for k in range(1, j)]
            rate = rate + unless_nan(np.prod([*above, *below], axis=0), 0.0)
        rate = problem.gram_floor * rate
    return np.minimum(rate, np.finfo(np.float64).max)


def _least_rank(widths: Sequence[int], plus: Sequence[Integers], minus: Sequence[Integers]) -> Integers:
    """The least rank of a critical point with invariants of these inertias, (N,), 0 to d_y (theory.md 3c, 3d).

    A critical point of rank r has A_j^T E B_j^T = 0 with rank E = d_y - r, so rank A_j + rank B_j <= r + d_x for
    every j. Sylvester's inequality bounds these ranks from rho_l = max(n+(C_{l-1}), n-(C_l)) <= rank W_l, each
    clipped at 0. For H = 1 this is max(n+, n- - e), which is exact: every other stratum is compatible with C_1.
    """
    d_x, d_y, layers = widths[0], widths[-1], len(widths) - 1
    zero = np.zeros_like(plus[0])
    rho = {
        l: np.maximum(plus[l - 2] if l > 1 else zero, minus[l - 1] if l < layers else zero)
        for l in range(1, layers + 1)  # noqa: E741
    }
    A, B = {layers: zero + d_y}, {1: zero + d_x}
    for j in range(layers - 1, 0, -1):  # A_j = A_{j+1} W_{j+1}, joined at d_{j+1}
        A[j] = np.maximum(0, A[j + 1] + rho[j + 1] - widths[j + 1])
    for j in range(2, layers + 1):  # B_j = W_{j-1} B_{j-1}, joined at d_{j-2}
        B[j] = np.maximum(0, rho[j - 1] + B[j - 1] - widths[j - 2])
    least: Integers = np.maximum.reduce([zero, *(A[j] + B[j] - d_x for j in range(1, layers + 1))])
    return least

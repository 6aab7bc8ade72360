"""What the invariants and the loss level already prove: the limit is known before it is reached (theory.md 3).

A certificate is a theorem about the state it is given. Rounding can only take one away: an eigenvalue that may be
zero counts on the side that excludes less, lower bounds give up what rounding may have added, and the loss is taken
at its upper bound.

Notation: C_j = W_{j+1}^T W_{j+1} - W_j W_j^T, lam_k the k-th LARGEST eigenvalue, n+ and n- the numbers of positive
and negative ones, e = d_x - d_y, A_j = W_{H+1}...W_{j+1}, B_j = W_{j-1}...W_1. In the raw flow W_1 is the raw one;
ranks are the same in both flows, rates are multiplied by lam_min(X X^T) (theory.md 1.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins import flow
from basins.errors import ArgumentError
from basins.problem import Problem
from basins.strata import Strata, mask_to_modes

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

U = float(np.finfo(np.float64).eps) / 2
"""Unit roundoff u = 2^-53."""

DELTA = 1e-6
"""The loss level's relative margin (design.md, Limits)."""

SOLVER = 10
"""Backward error of eigvalsh on a (d, d) matrix in units of d u ||C||. LAPACK promises a "modestly growing function"
of d; the proved bound, of order d^2, is never approached, and with 10 d the tolerance is some 70 times the largest
structural zero seen."""


# --- (a) the loss level, any H --------------------------------------------------------------------------------------


def level(problem: Problem, delta: float = DELTA) -> float:
    """(1 - delta) 1/2 sigma_min^2: a loss below it proves a global minimum (theory.md 3a).

    L falls strictly off the critical set and the flow converges (Prop. 1), so a limit's critical value is below L(t),
    and every stratum but the global minima has at least 1/2 sigma_min^2. delta keeps the loss's rounding out of it
    (see `level_margin`).
    """
    return (1 - delta) * 0.5 * problem.sigma_min**2


def loss_rounding(problem: Problem, W: ArrayLike, loss: Array | None = None, size: Array | None = None) -> Array:
    """A bound on |computed L - exact L|, (N,), in units of L; inf where the state overflows.

    loss: L at W, size: prod ||W_j|| (N,), where they are known.

    The residual is a chain of products, so its error is at most gamma (||T|| + prod ||W_j|| ||G||) in the Frobenius
    norm, gamma = k u with k the sum of the inner dimensions and two (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, section 3.5).
    """
    layers = _layers(problem, W)
    with np.errstate(over="ignore", invalid="ignore"):
        if size is None:
            size = np.prod([_norm(W_j) for W_j in layers], axis=0)
        inner = sum(problem.hidden) + 2
        if problem.gram_root is not None:
            size, inner = size * _size(problem.gram_root), inner + problem.d_x
        error = inner * U * (_size(problem.target) + size)
        if loss is None:
            loss = flow.loss(problem.target, problem.gram_root, layers)
        bound = (np.sqrt(2 * loss) + error) * error + problem.d_x * problem.d_y * U * loss
    return _or(bound, np.inf)


def level_margin(problem: Problem, W: ArrayLike) -> Array:
    """1 - L / (1/2 sigma_min^2), (N,), L at its upper bound: positive where W proves a global minimum.

    A loss below `level` has a positive margin unless rounding uses up delta: at layers of norm about 1e3 (H = 2) and
    more, whose products cancel to sigma.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        loss = flow.loss(problem.target, problem.gram_root, _layers(problem, W))
        margin = 1 - (loss + loss_rounding(problem, W, loss)) / (0.5 * problem.sigma_min**2)
    return _or(margin, -np.inf)


def reachable(problem: Problem, loss: float, least_rank: int = 0, delta: float = DELTA) -> Integers:
    """Bitmasks, ascending, of the strata that a trajectory at this loss may still end in.

    They have (1 - delta) 1/2 sum_{S^c} sigma^2 <= loss and |S| >= least_rank; the global minima are always among them.
    For d_y <= 20 (raises ArgumentError beyond).
    """
    values = problem.strata().critical_values
    masks = np.flatnonzero((1 - delta) * values <= loss)
    rank = np.array([len(mask_to_modes(int(mask))) for mask in masks])
    return masks[rank >= min(least_rank, problem.d_y)]


def level_rate(problem: Problem, W: ArrayLike) -> Array:
    """A lower bound of -L' / (2 L) at W, (N,): c^2 lam_min(X X^T) / ||W_1 G||^2, c = sigma_min - sqrt(2 L), or 0.

    sigma_min(A_1) ||W_1 G|| >= sigma_min(A_1 W_1 G) >= c, and -L' >= ||A_1^T E G^T||^2 (theory.md 3a). It holds at
    this W only: ||W_1|| may grow.
    """
    layers = _layers(problem, W)
    with np.errstate(over="ignore", invalid="ignore"):
        loss = _or(flow.loss(problem.target, problem.gram_root, layers), np.inf)
    c = np.maximum(0.0, problem.sigma_min - np.sqrt(2 * loss))
    below = c > 0
    first = np.where(below[:, None, None], layers[0], 0.0)
    size = np.linalg.norm(first if problem.gram_root is None else first @ problem.gram_root, 2, axis=(-2, -1))
    rate: Array = problem.gram_floor * np.divide(c, size, out=np.zeros_like(c), where=below) ** 2
    return rate


# --- (b) to (e) the invariants, at t = 0 ----------------------------------------------------------------------------


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
    inertia_margin (N,): the smallest eigenvalue that was counted as positive or negative, over what rounding may have
    made of it; above 1; inf where none was counted.
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

    Costs one eigenvalue decomposition for each C_j. A row that is not finite, or whose squares overflow, is certified
    nothing.
    """
    spectra = _spectra(problem, _layers(problem, W))
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
    spectra = _spectra(problem, _layers(problem, W))
    rate = np.ones(len(spectra[0].tolerance))
    for s, d_below, d_above in zip(spectra, problem.widths[1:], problem.widths[2:], strict=False):
        if d_above > d_below:
            return np.zeros_like(rate)
        with np.errstate(over="ignore", invalid="ignore"):
            rate = rate * np.maximum(0.0, s.largest(d_above))
    return problem.gram_floor * _or(rate, 0.0)


def _rate(problem: Problem, spectra: Sequence[_Spectrum]) -> Array:
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
            rate = rate + _or(np.prod([*above, *below], axis=0), 0.0)
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


@dataclass(frozen=True)
class _Spectrum:
    """Eigenvalues of a computed C_j, (N, d_j) ascending, and how far rounding may have moved any of them, (N,)."""

    eigenvalues: Array
    tolerance: Array

    @property
    def positive(self) -> Integers:
        """At most n+ of the exact C_j."""
        count: Integers = np.count_nonzero(self.eigenvalues > self.tolerance[:, None], axis=-1)
        return count

    @property
    def negative(self) -> Integers:
        """At most n- of the exact C_j."""
        count: Integers = np.count_nonzero(-self.eigenvalues > self.tolerance[:, None], axis=-1)
        return count

    def largest(self, k: int) -> Array:
        """At most lam_k(C_j), (N,), for k <= d_j."""
        return self.eigenvalues[:, -k] - self.tolerance

    def largest_of_minus(self, k: int) -> Array:
        """At most lam_k(-C_j), (N,), for k <= d_j."""
        return -self.eigenvalues[:, k - 1] - self.tolerance

    @property
    def margin(self) -> Array:
        """The smallest counted |eigenvalue| over the tolerance, (N,), inf where none counts."""
        multiples = np.abs(self.eigenvalues) / self.tolerance[:, None]
        smallest: Array = np.where(multiples > 1, multiples, np.inf).min(axis=-1)
        return smallest


def _spectra(problem: Problem, layers: Sequence[Array]) -> list[_Spectrum]:
    """The spectra of C_1, ..., C_H.

    The tolerance is c u (||W_{j+1}||^2 + ||W_j||^2) in the Frobenius norm, not c u ||C_j||: the two products cancel,
    and on a balanced start C_j is nothing but their rounding. c = d_{j+1} + d_{j-1} (the inner dimensions of the
    products) + 2 (the subtraction, the sums of the bounds) + SOLVER d_j (eigvalsh). A tiny absolute part stands for
    products that underflow.
    """
    d = problem.widths
    with np.errstate(over="ignore", invalid="ignore"):
        squares = [_norm(W_j) ** 2 for W_j in layers]
        C = flow.invariants(layers)
    spectra = []
    for j, C_j in enumerate(C, start=1):
        c = d[j + 1] + d[j - 1] + 2 + SOLVER * d[j]
        with np.errstate(over="ignore", invalid="ignore"):
            tolerance = c * (U * (squares[j] + squares[j - 1]) + np.finfo(np.float64).tiny)
        finite = np.isfinite(tolerance) & np.isfinite(C_j).all(axis=(-2, -1))
        eigenvalues = np.linalg.eigvalsh(np.where(finite[:, None, None], C_j, 0.0))
        spectra.append(_Spectrum(eigenvalues, np.where(finite, tolerance, np.inf)))
    return spectra


# --- (a) to (e) together: what one state excludes --------------------------------------------------------------------


class Argument(IntEnum):
    """By what a stratum is excluded: codes into ARGUMENTS, the more telling before the less."""

    rate = 0
    inertia = 1
    ranks = 2
    level = 3


ARGUMENTS = (
    "the rate of the residual (theory.md 3b)",
    "the inertia of C_1, exact for H = 1 (theory.md 3c)",
    "the ranks that the C_j force (theory.md 3d)",
    "the loss level (theory.md 3a)",
)
NO_ARGUMENT = -1
"""Code of an argument where nothing is excluded."""


@dataclass(frozen=True, eq=False)
class Certified:
    """What is proved of the limits of N states before any integration; arrays have N rows.

    start: what the invariants prove. least_rank: no limit is on a stratum of lower rank; d_y: it is a global minimum.
    argument: by which that is proved (codes of Argument, -1 where least_rank is 0). nonstrict_least_rank: the same for
    saddles without negative curvature (3e for H = 2; H = 1 has none); d_y: almost every start of these invariants goes
    to a global minimum, since strict saddles attract almost none. loss, and loss_at_most, the upper end of its
    rounding: units of L. delta: the level's relative margin.

    It answers for any one stratum (`excluded`) and lists none: there are 2^d_y.
    """

    start: StartCertificates
    least_rank: Integers
    argument: NDArray[np.int8]
    nonstrict_least_rank: Integers
    loss: Array
    loss_at_most: Array
    strata: Strata
    delta: float

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def rate(self) -> Array:
        """||E|| falls at least like exp(-rate t) and L like exp(-2 rate t), (N,); 0 where nothing is proved; 1 / t."""
        return self.start.rate

    @property
    def d_y(self) -> int:
        return self.strata.d_y

    @property
    def global_minimum(self) -> NDArray[np.bool_]:
        """Rows whose limit is proved to be a global minimum, (N,)."""
        proved: NDArray[np.bool_] = self.least_rank >= self.d_y
        return proved

    def excluded(self, modes: Iterable[int] | int) -> NDArray[np.bool_]:
        """Rows that cannot end on the stratum that fits these modes (positions, or a bitmask), (N,).

        Raises ArgumentError for a mode that is not there. The global minima are never excluded.
        """
        excluded: NDArray[np.bool_] = self.excluded_by(modes) != NO_ARGUMENT
        return excluded

    def excluded_by(self, modes: Iterable[int] | int) -> NDArray[np.int8]:
        """By which argument each row excludes the stratum, (N,): codes of Argument, -1 where it does not."""
        stratum = self.strata.of(modes)
        found = np.full(len(self), NO_ARGUMENT, dtype=np.int8)
        if stratum.rank == self.d_y:
            return found
        found[(1 - self.delta) * stratum.loss > self.loss_at_most] = Argument.level
        found[self.start.least_rank > stratum.rank] = _of_ranks(self.strata.widths)
        found[self.start.by_rate] = Argument.rate
        return found

    def excluded_nonstrict(self, modes: Iterable[int] | int) -> NDArray[np.bool_]:
        """Rows that cannot end on a saddle of this stratum without negative curvature, (N,).

        Only S = {0, ..., r - 1} has such saddles, and only for H >= 2 (theory.md 5).
        """
        stratum = self.strata.of(modes)
        leading = stratum.modes == tuple(range(stratum.rank))
        if stratum.rank < self.d_y and not leading:
            return np.ones(len(self), dtype=bool)
        excluded: NDArray[np.bool_] = self.nonstrict_least_rank > stratum.rank
        return excluded

    @property
    def nonstrict_ranks(self) -> NDArray[np.bool_]:
        """Ranks r < d_y at which a saddle without negative curvature may still attract each row, (N, d_y).

        All False: almost every start of these invariants goes to a global minimum.
        """
        open_ranks: NDArray[np.bool_] = np.arange(self.d_y) >= self.nonstrict_least_rank[:, None]
        return open_ranks

    def loss_bound(self, t: ArrayLike) -> Array:
        """L(0) e^{-2 rate t} >= L(t), (N,), for a time t >= 0 or one a row; L(0) at the upper end of its rounding."""
        bound: Array = self.loss_at_most * np.exp(-2 * self.rate * np.asarray(t, dtype=np.float64))
        return bound


def certify(problem: Problem, W: ArrayLike, *, delta: float = DELTA) -> Certified:
    """What is proved of where the flow from a state (n,) or a batch (N, n) goes, before any integration.

    The loss level (theory.md 3a), the two-sided rate (3b), the inertia of C_1 (3c, H = 1) or the ranks that the C_j
    force (3d), and for saddles without negative curvature 3e (H = 2). Every rounding error is taken on the side that
    excludes less; delta is the level's relative margin. Costs one eigenvalue decomposition for each C_j: more than
    integrating a small net. Arrays have N rows, one for a single state. Raises ArgumentError for a delta that is no
    margin.
    """
    if not 0 < delta < 1:
        raise ArgumentError(f"delta = {delta!r}", where="delta", remedy="give a margin between 0 and 1")
    layers = _layers(problem, W)
    start = at_start(problem, W)
    with np.errstate(over="ignore", invalid="ignore"):
        loss = _or(flow.loss(problem.target, problem.gram_root, layers), np.inf)
        at_most = _or(loss + loss_rounding(problem, W, loss), np.inf)
    # Of the strata of rank r, S = {0, ..., r - 1} has the least loss: what it is excluded by excludes them all.
    squares = 0.5 * problem.sigma**2
    least_loss = np.append(np.cumsum(squares[::-1])[::-1], 0.0)  # by rank, 0 to d_y
    level_rank = np.count_nonzero((1 - delta) * least_loss > at_most[:, None], axis=-1)
    by_rank = np.where(start.by_rate, problem.d_y, start.least_rank)
    least_rank = np.maximum(by_rank, level_rank)
    argument = np.full(len(loss), NO_ARGUMENT, dtype=np.int8)
    argument[level_rank > 0] = Argument.level
    argument[(start.least_rank > 0) & (start.least_rank == least_rank)] = _of_ranks(problem.widths)
    argument[start.by_rate] = Argument.rate
    nonstrict = np.maximum(least_rank, start.nonstrict_least_rank)
    return Certified(start, least_rank, argument, nonstrict, loss, at_most, problem.strata(), delta)


def _of_ranks(widths: Sequence[int]) -> Argument:
    """Which argument the least rank of the invariants is by: 3c is for one hidden layer."""
    return Argument.inertia if len(widths) == 3 else Argument.ranks


# --- (c), (e) what a shape proves -----------------------------------------------------------------------------------


class ShapeVerdict(NamedTuple):
    """Whether a run of this shape can test the conjecture, and why, in one sentence. Unpacks as (bool, sentence)."""

    can_test: bool
    sentence: str


def can_test(widths: Sequence[int]) -> ShapeVerdict:
    """Whether runs of widths (d_x, d_1, ..., d_H, d_y) can tell what is not proved yet (theory.md 3c, 3e, 5).

    The smallest shape that can is (2, 2, 2, 2) for H = 2. What 3e says of H = 2 is our derivation, itself to be tested.
    """
    d_x, *hidden, d_y = (int(width) for width in widths)
    # The smallest for H = 2: d_1 < d_x + d_y - 1 and d_2 < 2 d_y - 1 leave out d_y = 1, where d_2 would have to be 0.
    H, d_1, d_H = len(hidden), hidden[0], hidden[-1]
    wide = f"d_1 = {d_1} >= d_x + d_y - 1 = {d_x + d_y - 1}" if d_1 >= d_x + d_y - 1 else ""
    cannot, can = "This shape cannot test the conjecture: ", "This shape can test the conjecture: "
    if H == 1:
        ending = (
            f"and with {wide} almost every start is certified at t = 0" if wide else "a saddle would be an error here"
        )
        return ShapeVerdict(False, f"{cannot}for H = 1 it is a theorem (the paper, section 4), {ending}.")
    if max(d_x, *hidden, d_y) == 1:
        return ShapeVerdict(False, f"{cannot}with all widths 1 the saddle basin is known, and null for every H.")
    if H >= 3:
        return ShapeVerdict(True, f"{can}for H = {H} it is open.")
    if d_H >= 2 * d_y - 1:
        wide = f"d_2 = {d_H} >= 2 d_y - 1 = {2 * d_y - 1}"
    if wide:
        return ShapeVerdict(
            False,
            f"{cannot}for H = 2 and {wide} the invariants of almost every start exclude every non-strict saddle, and "
            "strict saddles attract almost none (theory.md 3e, our derivation).",
        )
    smallest = "; no smaller shape of H = 2 can test it" if max(d_x, *hidden, d_y) == 2 else ""
    return ShapeVerdict(
        True,
        f"{can}for H = 2, d_1 = {d_1} < d_x + d_y - 1 = {d_x + d_y - 1} and d_2 = {d_H} < 2 d_y - 1 = {2 * d_y - 1} it "
        f"is open whether non-strict saddles attract more than a null set{smallest}.",
    )


# --- small helpers --------------------------------------------------------------------------------------------------


def _layers(problem: Problem, W: ArrayLike) -> tuple[Array, ...]:
    """Layers of a batch: one state counts as a batch of one."""
    return problem.unpack(np.atleast_2d(problem.state(W)))


def _norm(W_j: Array) -> Array:
    """Frobenius norm, (N,)."""
    norm: Array = np.sqrt(np.einsum("...ij,...ij->...", W_j, W_j))
    return norm


def _size(matrix: Array) -> float:
    """Frobenius norm; np.linalg.norm leaves its last bits to BLAS."""
    return float(np.sqrt(np.add.reduce(np.square(matrix), axis=None)))


def _or(values: Array, otherwise: float) -> Array:
    """The values, nan (of inf - inf or 0 inf) replaced by the value that proves nothing."""
    return np.where(np.isnan(values), otherwise, values)

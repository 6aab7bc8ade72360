"""The loss level and the invariants together: which strata a state excludes, and by which argument (theory.md 3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import floats, number
from basins.errors import ArgumentError
from basins.landscapes.deep_linear import gradient
from basins.landscapes.deep_linear.certificates.batch import Array, Integers, layers_of, unless_nan
from basins.landscapes.deep_linear.certificates.loss_level import DELTA, loss_rounding
from basins.landscapes.deep_linear.certificates.start_certificates import StartCertificates, at_start
from basins.landscapes.deep_linear.problem import Problem, the_problem
from basins.landscapes.deep_linear.strata import Strata


class Argument(IntEnum):
    """The argument that excludes a stratum: codes into ARGUMENTS, stronger ones first."""

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
    """What is proved of the limits of N states before any integration. Arrays have N rows.

    start: what the invariants prove. least_rank: no limit is on a stratum of lower rank; if it is d_y, the limit is a
    global minimum. argument: what proves that (codes of Argument, -1 where least_rank is 0). nonstrict_least_rank: the
    same for saddles without negative curvature (3e for H = 2; H = 1 has none); if it is d_y, almost every start of
    these invariants goes to a global minimum, since strict saddles attract almost none. loss, and loss_at_most, the
    upper end of its rounding error: units of L. delta: the level's relative margin.

    `excluded` answers for one stratum. The strata are not listed, since there are 2^d_y.
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

    @property
    def by_level(self) -> NDArray[np.bool_]:
        """Rows whose limit is a global minimum because the loss is below every saddle's (3a), (N,)."""
        proved: NDArray[np.bool_] = self.loss_at_most < (1 - self.delta) * (0.5 * self.strata.sigma[-1] ** 2)
        return proved

    def excluded(self, modes: Iterable[int] | int) -> NDArray[np.bool_]:
        """Rows that cannot end on the stratum that fits these modes (positions, or a bitmask), (N,).

        Raises ArgumentError for a mode that is not there. The global minima are never excluded.
        """
        excluded: NDArray[np.bool_] = self.excluded_by(modes) != NO_ARGUMENT
        return excluded

    def excluded_by(self, modes: Iterable[int] | int) -> NDArray[np.int8]:
        """The argument by which each row excludes the stratum, (N,): codes of Argument, -1 where it does not. Raises
        ArgumentError for a mode that is not there."""
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
        bound: Array = self.loss_at_most * np.exp(-2 * self.rate * floats(t, "t", remedy="give a time, or one a row"))
        return bound


def certify(problem: Problem, W: ArrayLike, *, delta: float = DELTA) -> Certified:
    """What is proved of the limits of a state (n,) or a batch (N, n), before any integration.

    The arguments are the loss level (theory.md 3a), the two-sided rate (3b), the inertia of C_1 (3c, H = 1) or the
    ranks that the C_j force (3d), and for saddles without negative curvature 3e (H = 2). Every rounding error counts on
    the side that excludes less. delta: the level's relative margin. Arrays have N rows, one for a single state.

    It costs one eigenvalue decomposition for each C_j, more than integrating a small network. Raises ArgumentError for
    a W that is no state, and a delta outside (0, 1).
    """
    if not 0 < number(delta, "delta") < 1:
        raise ArgumentError(f"delta = {delta!r}", where="delta", remedy="give a margin between 0 and 1")
    layers = layers_of(the_problem(problem), W)
    start = at_start(problem, W)
    with np.errstate(over="ignore", invalid="ignore"):
        loss = unless_nan(gradient.loss(problem.target, problem.gram_root, layers), np.inf)
        at_most = unless_nan(loss + loss_rounding(problem, W, loss), np.inf)
    # Of the strata of rank r, S = {0, ..., r - 1} has the least loss: an argument that excludes it excludes them all.
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

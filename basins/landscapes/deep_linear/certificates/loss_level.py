"""The loss level: below it every limit is a global minimum, for any H (theory.md 3a)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from basins.landscapes.deep_linear import gradient
from basins.landscapes.deep_linear.certificates.batch import Array, Integers, layers_of, norm, unless_nan
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import mask_to_modes
from basins.rounding import U

DELTA = 1e-6
"""The loss level's relative margin (design.md, Limits)."""


def level(problem: Problem, delta: float = DELTA) -> float:
    """(1 - delta) 1/2 sigma_min^2: a loss below it proves a global minimum (theory.md 3a).

    L falls strictly off the critical set and the flow converges (Prop. 1), so a limit's critical value is below L(t).
    Every stratum but the global minima has a value of at least 1/2 sigma_min^2. delta leaves room for the rounding of
    the loss (see `level_margin`).
    """
    return (1 - delta) * 0.5 * problem.sigma_min**2


def loss_rounding(problem: Problem, W: ArrayLike, loss: Array | None = None, size: Array | None = None) -> Array:
    """A bound on |computed L - exact L|, (N,), in units of L; inf where the state overflows.

    loss: L at W; size: prod ||W_j|| (N,). Both are computed if they are not given.

    The residual is a chain of products, so its error is at most gamma (||T|| + prod ||W_j|| ||G||) in the Frobenius
    norm, gamma = k u with k the sum of the inner dimensions and two (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, section 3.5).
    """
    layers = layers_of(problem, W)
    with np.errstate(over="ignore", invalid="ignore"):
        if size is None:
            size = np.prod([norm(W_j) for W_j in layers], axis=0)
        inner = sum(problem.hidden) + 2
        if problem.gram_root is not None:
            size, inner = size * _size(problem.gram_root), inner + problem.d_x
        error = inner * U * (_size(problem.target) + size)
        if loss is None:
            loss = gradient.loss(problem.target, problem.gram_root, layers)
        bound = (np.sqrt(2 * loss) + error) * error + problem.d_x * problem.d_y * U * loss
    return unless_nan(bound, np.inf)


def level_margin(problem: Problem, W: ArrayLike) -> Array:
    """1 - L / (1/2 sigma_min^2), (N,), with L at the upper end of its rounding error: positive where W proves a global
    minimum.

    A loss below `level` has a positive margin unless its rounding exceeds delta. That happens at layers of norm about
    1e3 (H = 2) and more, whose products cancel to sigma.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        loss = gradient.loss(problem.target, problem.gram_root, layers_of(problem, W))
        margin = 1 - (loss + loss_rounding(problem, W, loss)) / (0.5 * problem.sigma_min**2)
    return unless_nan(margin, -np.inf)


def reachable(problem: Problem, loss: float, least_rank: int = 0, delta: float = DELTA) -> Integers:
    """Bitmasks, ascending, of the strata that a trajectory at this loss may still end in.

    They have (1 - delta) 1/2 sum_{S^c} sigma^2 <= loss and |S| >= least_rank; the global minima are always among them.
    Raises ArgumentError for d_y > 20.
    """
    values = problem.strata().critical_values
    masks = np.flatnonzero((1 - delta) * values <= loss)
    rank = np.array([len(mask_to_modes(int(mask))) for mask in masks])
    return masks[rank >= min(least_rank, problem.d_y)]


def level_rate(problem: Problem, W: ArrayLike) -> Array:
    """A lower bound of -L' / (2 L) at W, (N,): c^2 lam_min(X X^T) / ||W_1 G||^2, c = sigma_min - sqrt(2 L), or 0.

    sigma_min(A_1) ||W_1 G|| >= sigma_min(A_1 W_1 G) >= c, and -L' >= ||A_1^T E G^T||^2 (theory.md 3a). It holds at
    this W alone, because ||W_1|| may grow.
    """
    layers = layers_of(problem, W)
    with np.errstate(over="ignore", invalid="ignore"):
        loss = unless_nan(gradient.loss(problem.target, problem.gram_root, layers), np.inf)
    c = np.maximum(0.0, problem.sigma_min - np.sqrt(2 * loss))
    below = c > 0
    first = np.where(below[:, None, None], layers[0], 0.0)
    size = np.linalg.norm(first if problem.gram_root is None else first @ problem.gram_root, 2, axis=(-2, -1))
    rate: Array = problem.gram_floor * np.divide(c, size, out=np.zeros_like(c), where=below) ** 2
    return rate


def _size(matrix: Array) -> float:
    """Frobenius norm; np.linalg.norm leaves its last bits to BLAS."""
    return float(np.sqrt(np.add.reduce(np.square(matrix), axis=None)))

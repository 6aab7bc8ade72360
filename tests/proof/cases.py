"""Problems and starts that the tests of basins.proof share."""

from __future__ import annotations

import warnings

import numpy as np

from basins import Problem


def spectrum(sigma: list[float], *widths: int) -> Problem:
    """The reduced problem of widths (d_x, d_1, ..., d_H); d_y is len(sigma). Tied subset sums are no matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Problem.from_spectrum(sigma, d_x=widths[0], hidden=widths[1:])


def raw(d_x: int, d_y: int, *hidden: int, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(30, d_x)), rng.normal(size=(30, d_y))
    return Problem.from_data(X, Y, hidden=hidden, flow="raw")


CHAIN = spectrum([1.0], 1, 1, 1)
SQUARE = spectrum([2.0, 1.0], 2, 2, 2)
IRIS_LIKE = spectrum([3.0, 2.0, 1.0], 4, 4, 4)

SHAPES = {
    "2222": SQUARE,
    "222": spectrum([2.0, 1.0], 2, 2),
    "chain": CHAIN,
    "4443": IRIS_LIKE,
    "54-one": spectrum([1.5], 5, 4),
    "22222": spectrum([2.0, 1.0], 2, 2, 2, 2),
    "raw 3322": raw(3, 2, 3, 2),
    "raw 432": raw(4, 2, 3),
}


def gaussian(problem: Problem, count: int, seed: int, scale: float = 0.5) -> np.ndarray:
    return scale * np.random.default_rng(seed).normal(size=(count, problem.n))


def planted(problem: Problem, modes: tuple[int, ...], count: int, seed: int) -> np.ndarray:
    from basins.landscapes.deep_linear.invariant_zeros import planted_zeros

    W = gaussian(problem, count, seed)
    W[:, planted_zeros(problem, modes)] = 0.0
    return W

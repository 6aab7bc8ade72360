"""Constructed critical points for the tests of deep_linear/critical: eight shapes, H = 2 to 4, every kind."""

from __future__ import annotations

import numpy as np

from basins import Problem
from basins.landscapes.deep_linear.critical import construct

SHAPES = (
    (2, 2, 2, 2),
    (3, 2, 3, 2),
    (4, 3, 4, 3),
    (5, 3, 3, 3),
    (3, 3, 3, 3, 3),
    (2, 3, 2, 2, 2),
    (2, 2, 2, 2, 2, 2),
    (4, 3, 4, 3, 3, 3),
)
ONE_HIDDEN_LAYER = ((2, 2, 2), (3, 2, 2), (4, 3, 3), (5, 4, 3), (3, 8, 2), (3, 3, 3), (1, 2, 1))
KINDS = ("strict", "nonstrict", "minimum")


def problem_of(widths: tuple[int, ...], seed: int = 0) -> Problem:
    """The reduced problem of these widths with spaced random singular values between 1/2 and 3."""
    d_y = widths[-1]
    rng = np.random.default_rng([seed, *widths])
    sigma = 0.5 + 2.5 * (np.arange(d_y)[::-1] + rng.uniform(0.2, 0.8, d_y)) / d_y
    return Problem.from_spectrum(sigma, d_x=widths[0], hidden=widths[1:-1])


def raw_problem(hidden: tuple[int, ...], seed: int = 0) -> Problem:
    """A raw problem with d_x = 4, d_y = 2 and cond(X) about 10."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, 4)) * np.array([2.0, 1.0, 0.5, 0.2])
    Y = X @ rng.standard_normal((4, 2)) + 0.1 * rng.standard_normal((60, 2))
    return Problem.from_data(X, Y, hidden=hidden, flow="raw")


def modes_for(problem: Problem, kind: str, seed: int) -> tuple[int, ...]:
    """Random modes that a critical point of this kind can fit; for a strict saddle {1..r} half the time."""
    rng = np.random.default_rng([7, seed])
    d_y = problem.d_y
    if kind == "minimum":
        return tuple(range(d_y))
    if kind == "nonstrict" or rng.random() < 0.5:
        return tuple(range(int(rng.integers(0, d_y))))
    modes = tuple(i for i in range(d_y) if rng.random() < 0.5)
    return modes if len(modes) < d_y else modes[1:]


def point(widths: tuple[int, ...], kind: str, seed: int) -> tuple[Problem, tuple[int, ...], np.ndarray]:
    """(problem, modes, state) of the seed's point."""
    problem = problem_of(widths, seed)
    modes = modes_for(problem, kind, seed)
    return problem, modes, construct(problem, modes, kind, seed=seed)


def push(W: np.ndarray, distance: float, seed: int) -> np.ndarray:
    """W moved by `distance` in a random direction."""
    direction = np.random.default_rng([3, seed]).standard_normal(W.size)
    return W + distance / np.linalg.norm(direction) * direction

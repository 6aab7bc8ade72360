"""Problems, legs and starts that the tests of the lanes engine and of its kernel share."""

import warnings

import numpy as np

from basins import Problem
from basins.integrators.base import IntegrationRequest

SHAPES = [
    (1, 1, 1),
    (2, 2, 2, 2),
    (3, 2, 2),
    (4, 4, 3),
    (5, 4, 4, 3),
    (8, 8, 8, 8, 4),
    (6, 5, 3, 7, 2, 2),
    (16, 20, 10),
    (7, 1, 1),
]


def problem_of(widths, raw=False):
    if raw:
        rng = np.random.default_rng(5)
        X = rng.normal(size=(60, widths[0])) / 6
        Y = X @ rng.normal(size=(widths[0], widths[-1])) + 0.1 * rng.normal(size=(60, widths[-1]))
        return Problem.from_data(X, Y, hidden=widths[1:-1], flow="raw")
    sigma = np.sqrt(np.linspace(4.01, 0.3, widths[-1])) if widths[-1] > 1 else [1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Problem.from_spectrum(sigma, d_x=widths[0], hidden=widths[1:-1])


def leg(starts, level=-np.inf, budget=100_000, t_end=np.inf, watch=False):
    N = len(starts)

    def column(value, kind=float):
        return np.broadcast_to(np.asarray(value, dtype=kind), (N,)).copy()

    return IntegrationRequest(
        np.array(starts, dtype=float), column(0), column(level), column(np.inf), column(budget, np.int64),
        column(t_end), column(np.inf), column(watch, bool),
    )  # fmt: skip


def gaussian(problem, N, scale=0.5, seed=0):
    return np.random.default_rng(seed).normal(size=(N, problem.n)) * scale


def everything(ends):
    names = ("state", "t", "stop", "steps", "rejected", "evaluations", "loss_increase")
    visits = ends.visits
    parts = [getattr(ends, name) for name in names] + [visits.row, visits.t, visits.gradient_norm, visits.state]
    return b"".join(part.tobytes() for part in parts)

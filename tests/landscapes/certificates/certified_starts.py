"""Problems and starts for the tests of certificates, and a patch that ignores rounding."""

from __future__ import annotations

import numpy as np

from basins import Problem
from basins.landscapes.deep_linear.certificates import spectra

SIGMA = np.array([2.0, 1.1, 0.4])
SHAPES = [
    (3, (8,), 2), (2, (2,), 2), (5, (4,), 3), (4, (3,), 1), (2, (2, 2), 2), (3, (4, 3), 2), (4, (2, 5), 2),
    (3, (3, 4), 3), (2, (3, 2, 3), 2), (3, (4, 3, 2), 2), (3, (2, 3, 4, 2), 2),
]  # fmt: skip


def spectrum_problem(d_x, hidden, d_y):
    return Problem.from_spectrum(SIGMA[:d_y], d_x=d_x, hidden=hidden)


def raw_problem(rng, hidden=(3, 3)):
    return Problem.from_data(rng.standard_normal((9, 3)), rng.standard_normal((9, 2)), hidden=hidden, flow="raw")


def gaussian(problem, rng, count, scales=None):
    scales = np.ones(problem.H + 1) if scales is None else scales
    return problem.pack(
        [s * rng.standard_normal((count, *shape)) for s, shape in zip(scales, problem.shapes, strict=True)]
    )


def any_scales(problem, rng, count):
    """Gaussian starts with one scale for each layer and start, over two decades, so that every kind of certificate
    occurs."""
    W = gaussian(problem, rng, count)
    for W_j in problem.unpack(W):
        W_j *= 10 ** rng.uniform(-1, 1, (count, 1, 1))
    return W


def planted(problem, S, rng, count):
    """Starts whose limit is in the closure of I_S or below it in rank: certainly of rank <= |S| (theory.md 6.7)."""
    W = any_scales(problem, rng, count)
    unfitted = [i for i in range(problem.d_y) if i not in S]
    layers = problem.unpack(W)
    layers[0][:, :, unfitted] = 0.0
    layers[-1][:, unfitted, :] = 0.0
    return W


def naive(monkeypatch):
    """Count every eigenvalue by its sign, rounding included."""
    monkeypatch.setattr(spectra, "U", 1e-60)

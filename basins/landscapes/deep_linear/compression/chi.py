"""Chi-distributed numbers from a fixed number of uniforms, with the same bits on any machine.

A chi number is the norm of nu standard normals. If nu is small, their squares are summed. If it is large, the number
comes from Marsaglia and Tsang's rejection method (ACM Transactions on Mathematical Software 26, 2000): chi^2 = 2 d v,
d = nu/2 - 1/3, v = (1 + x / sqrt(9 d))^3, accepted if log u < x^2/2 + d - d v + d log v.

The number of uniforms must not depend on how many are rejected, so each number has TRIES tries, of which more than 95
in 100 are accepted. If none is, which has a probability below 1e-15, the number is the mode.
"""

from __future__ import annotations

import numpy as np

from basins.random.normals import logarithm, normals
from basins.random.philox import Array

TRIES = 12


def draws(nu: int) -> int:
    """How many uniforms one number of nu degrees of freedom takes."""
    return min(nu, 2 * TRIES)


def chi(q: Array, nu: int) -> Array:
    """Chi numbers (N,) of nu >= 1 degrees of freedom, of centred uniforms q (N, draws(nu)) in (-1/2, 1/2)."""
    if nu <= 2 * TRIES:
        z = normals(q)
        total = z[:, 0] * z[:, 0]
        for i in range(1, nu):  # in order: numpy does not promise the order of np.sum
            total += z[:, i] * z[:, i]
        return np.sqrt(total)
    d = nu / 2.0 - 1.0 / 3.0
    x, u = normals(np.ascontiguousarray(q[:, :TRIES])), q[:, TRIES:] + 0.5
    v = 1.0 + x / np.sqrt(9.0 * d)
    v = v * v * v
    positive = np.where(v > 0.0, v, 1.0)
    # u may round to 1 (its log is 0) and is never 0.
    accepted = (v > 0.0) & (logarithm(u) < 0.5 * x * x + (d - d * positive + d * logarithm(positive)))
    chosen = np.ones(len(q))
    for k in range(TRIES - 1, -1, -1):
        chosen = np.where(accepted[:, k], v[:, k], chosen)
    return np.sqrt(2.0 * d * chosen)

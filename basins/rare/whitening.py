"""A law as a function of a standard normal: the coordinates z in which chains move, W = w(z) with z normal in R^n.

Laws of independent normal entries scale each entry; the uniform law is W = 2 box (Phi(z) - 1/2). A law without a
density has no such z, and the conjecture says nothing about the probability of {T > t} under it. It is refused.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from basins import laws
from basins.errors import ArgumentError
from basins.integrators.base import Array
from basins.landscapes.deep_linear.problem import Problem
from basins.laws import Law
from basins.random.normals import normals

_QUARTER = np.full((1, 1), 0.25)


class Whitening:
    """z (N, n) -> W (N, n) for a problem and a law. Raises ArgumentError for a law that has no such coordinates."""

    def __init__(self, problem: Problem, law: Law) -> None:
        law.check(problem)
        if law.null:
            raise ArgumentError(
                f"law {law.name!r} has no density: its starts fill a null set, and their probabilities bound no "
                "measure",
                where="law",
                remedy="choose a law with a density, such as gaussian, or near_planted at a distance",
            )
        if law.draws(problem) != problem.n:
            raise ArgumentError(
                f"law {law.name!r} draws compressed states",
                where="law: draw",
                remedy='omit draw ("full"): T has the same law, and states are still compressed',
            )
        self.problem, self.law = problem, law
        self.uniform = isinstance(law, laws.Uniform)
        # Every other law multiplies normals(q) by a scale for each entry, so one draw gives the scales.
        one = law.sample(problem, np.repeat(_QUARTER, problem.n, axis=1))[0]
        self.scale: Array = np.ones(problem.n) if self.uniform else one / normals(_QUARTER)[0, 0]

    def weights(self, z: Array) -> Array:
        """W (N, n) of z (N, n)."""
        if isinstance(self.law, laws.Uniform):
            W: Array = (2.0 * self.law.box) * (ndtr(z) - 0.5)
            return W
        return z * self.scale

    def slope(self, z: Array) -> Array:
        """dW_i/dz_i, (N, n)."""
        if isinstance(self.law, laws.Uniform):
            density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
            slope: Array = (2.0 * self.law.box) * density
            return slope
        return np.broadcast_to(self.scale, z.shape)

"""A move from the flow's own linearisation: small steps across the tube {T > t}, large ones along it.

At a guide z the Hessian of the loss at a later time tau of the flow is pulled back to the start,

    Q = P^T Hess L(W(tau)) P,    P = dW(tau)/dz,    the tangent flow,

so that z' Q z' / 2 is what a move of the start does to the loss there, to second order. Q's few steep directions lead
across the tube, along its flat ones the start slides on the stable manifold. With (q_i, u_i) its eigenvalues, the
largest scaled to 1, and directions, a move is

    z' = z + sum_i min(s / sqrt(q_i), sqrt(s)) / sqrt(n) xi_i u_i,    xi normal, s = size times a factor (proposals.py):

a step of sqrt(s) along a curved manifold leaves it by s. A chain takes the frame of one of its NEAREST guides, drawn;
the move is refused where that guide is not among the NEAREST of z' too, so it is symmetric. Guides are what survives of
the population before, at most so many that their flights are no more than the level's moves.

P is found by differences of the flow itself, at the engine's speed: 2 n starts beside each guide. An error in it makes
a frame less good, and the move no less exact, for a frame is a constant of the move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from basins.engines.base import Array
from basins.rare.coordinate import Coordinate
from basins.rare.proposals import factors, normal_ratio
from basins.rare.streams import Stream
from basins.rare.whitening import Whitening

NEAREST = 3
BESIDE = 1e-4
"""Of the differences, in standard deviations of the law."""
FEWEST = 4
"""Guides, at least."""
SMALLEST = 1e-300


@dataclass(frozen=True)
class Frames:
    """Guides z (M, n), their directions u (M, n, n) in columns, and steepness q (M, n), in (0, 1]; what finding them
    took.
    """

    z: Array
    u: Array
    q: Array
    trajectories: int = 0
    evaluations: int = 0

    def nearest(self, z: Array) -> Array:
        """|z - guide|^2 less |z|^2, (N, M)."""
        near: Array = np.einsum("mi,mi->m", self.z, self.z) - 2.0 * z @ self.z.T
        return near

    def move(self, z: Array, partners: Array, size: float, stream: Stream) -> tuple[Array, Array]:
        """The move of this module's docstring; partners are not asked."""
        N, n = z.shape
        k = min(NEAREST, len(self.z))
        among = np.argpartition(self.nearest(z), k - 1, axis=1)[:, :k]
        guide = among[np.arange(N), stream.integers(k, N)]
        across = size * factors(N, stream)
        step = np.minimum(across / np.sqrt(self.q[guide]), np.sqrt(across)) / np.sqrt(n)
        z_new = z + np.einsum("nij,nj->ni", self.u[guide], step * stream.normals(N, n))
        back = self.nearest(z_new)
        symmetric = back[np.arange(N), guide] <= np.partition(back, k - 1, axis=1)[:, k - 1]
        return z_new, np.where(symmetric, normal_ratio(z, z_new), -np.inf)


def frames(whitening: Whitening, coordinate: Coordinate, z: Array, threshold: float, moves: int) -> Frames:
    """The frames of the first guides of z (M, n), as many as a level of so many moves affords."""
    n = z.shape[1]
    z = z[: max(FEWEST, moves // (2 * n))]
    M = len(z)
    beside = BESIDE * np.concatenate([np.eye(n), -np.eye(n)])
    starts = np.concatenate([z, (z[:, None, :] + beside).reshape(-1, n)])
    carrier = coordinate.carrier
    state, t = carrier.begin(whitening.weights(starts)), np.full(len(starts), coordinate.horizon(threshold))
    ends = carrier.carry(state, np.zeros(len(starts)), t, -np.inf)
    at, around = ends.state[:M], ends.state[M:].reshape(M, 2, n, -1)
    P = (around[:, 0] - around[:, 1]) / (2 * BESIDE)  # (M, n, n'): dW(tau) / dz_i in rows
    Q = P @ carrier.problem.hessian(at) @ P.mT
    finite = np.isfinite(Q).all(axis=(1, 2))
    z, Q = z[finite], Q[finite]
    q, u = np.linalg.eigh(0.5 * (Q + Q.mT))
    steep = np.abs(q)
    steep /= np.maximum(steep.max(axis=1, keepdims=True, initial=SMALLEST), SMALLEST)
    return Frames(z, u, np.maximum(steep, SMALLEST), len(starts), int(ends.evaluations.sum()))

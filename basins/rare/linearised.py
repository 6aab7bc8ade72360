"""A move from the flow's own linearisation: small steps across the tube {T > t}, larger ones along it.

At z the Hessian of the loss at a later time tau of the flow is pulled back to the start,

    Q = P^T Hess L(W(tau)) P,    P = dW(tau)/dz,    the tangent flow,

so that dz^T Q dz / 2 is what a change of the start does to the loss there, to second order. Q's few steep directions
lead across the tube, along its flat ones the start slides on the stable manifold. With (q_i, u_i) its eigenvalues, in
size and relative to the largest, and its directions, a move is

    z' = z + sum_i d_i xi_i u_i,    d_i = min(s / sqrt(q_i), sqrt(s)) / sqrt(n),    xi normal,

s = size times a factor (proposals.py): a step of sqrt(s) along a curved manifold leaves it by s. The frame is that of
the place, so the way back has another, and z' is taken by the ratio of both densities (Metropolis and Hastings):

    log q(z' -> z) - log q(z -> z'),    log q(z -> z') = - sum_i log d_i - sum_i (u_i . (z' - z) / d_i)^2 / 2.

Frames of other places are cheaper and were wrong: where chains begin at the places whose frames they use, their law
given the frames is not the one that the moves keep (docs/tail.md).

P is found by differences of the flow itself, at the engine's speed: n starts beside each z. An error in it makes a
frame less good and the move no less exact, for a frame is a function of z and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basins.integrators.base import Array
from basins.rare.coordinate import Coordinate
from basins.rare.proposals import factors, normal_ratio
from basins.rare.streams import Stream
from basins.rare.whitening import Whitening

Indices = NDArray[np.int64]

BESIDE = 1e-4
"""Of the differences, in standard deviations of the law."""
SMALLEST = 1e-300


@dataclass(frozen=True)
class Frames:
    """Of N places: directions u (N, n, n) in columns, and how steep they are, q (N, n) in (0, 1]."""

    u: Array
    q: Array

    def __getitem__(self, rows: Indices | NDArray[np.bool_]) -> Frames:
        return Frames(self.u[rows], self.q[rows])

    def __setitem__(self, rows: Indices | NDArray[np.bool_], new: Frames) -> None:
        self.u[rows], self.q[rows] = new.u, new.q

    def steps(self, s: Array) -> Array:
        """d (N, n), the lengths of a move's steps, of s (N, 1)."""
        d: Array = np.minimum(s / np.sqrt(self.q), np.sqrt(s)) / np.sqrt(self.q.shape[1])
        return d

    def log_density(self, step: Array, s: Array) -> Array:
        """log q of the steps (N, n), less a constant, (N,)."""
        d = self.steps(s)
        along = np.einsum("nij,ni->nj", self.u, step) / d
        density: Array = -np.log(d).sum(axis=1) - 0.5 * np.einsum("nj,nj->n", along, along)
        return density


@dataclass(frozen=True)
class Found:
    """Frames, and what finding them took."""

    frames: Frames
    trajectories: int
    evaluations: int


def frames(whitening: Whitening, coordinate: Coordinate, z: Array, threshold: float) -> Found:
    """The frames of the places z (N, n); where a flight is lost, one that favours no direction."""
    N, n = z.shape
    starts = np.concatenate([z, (z[:, None, :] + BESIDE * np.eye(n)).reshape(-1, n)])
    carrier = coordinate.carrier
    state, tau = carrier.begin(whitening.weights(starts)), np.full(len(starts), coordinate.horizon(threshold))
    ends = carrier.carry(state, np.zeros(len(starts)), tau, -np.inf)
    at, around = ends.state[:N], ends.state[N:].reshape(N, n, -1)
    P = (around - at[:, None, :]) / BESIDE  # dW(tau) / dz_i in rows
    Q = P @ carrier.problem.hessian(at) @ P.mT
    Q[~np.isfinite(Q).all(axis=(1, 2))] = np.eye(n)
    q, u = np.linalg.eigh(0.5 * (Q + Q.mT))
    steep = np.abs(q)
    steep /= np.maximum(steep.max(axis=1, keepdims=True, initial=SMALLEST), SMALLEST)
    return Found(Frames(u, np.maximum(steep, SMALLEST)), len(starts), int(ends.evaluations.sum()))


class Linearised:
    """The linearised moves of a level's N chains, whose frames are found when they are asked for.

    find: z (M, n) -> their frames; share: of all moves.
    """

    def __init__(self, find: Callable[[Array], Found], share: float, N: int, n: int) -> None:
        self.find, self.share = find, share
        self.trajectories = self.evaluations = 0
        N = N if share else 0
        self._here, self._known = Frames(np.zeros((N, n, n)), np.zeros((N, n))), np.zeros(N, dtype=bool)
        self._there, self._asked = self._here, np.zeros(0, dtype=np.int64)

    def propose(self, rows: Indices, z: Array, size: float, stream: Stream) -> tuple[Array, Array]:
        """z' (M, n) of the chains `rows`, which are at z (M, n), and their s (M, 1)."""
        new = ~self._known[rows]
        self._here[rows[new]] = self._frames(z[new])
        self._known[rows] = True
        here, s = self._here[rows], size * factors(len(z), stream)
        return z + np.einsum("nij,nj->ni", here.u, here.steps(s) * stream.normals(*z.shape)), s

    def log_ratio(self, rows: Indices, z: Array, z_new: Array, s: Array) -> Array:
        """log of pi(z') q(z' -> z) / (pi(z) q(z -> z')), (M,), of moves that were proposed; pi: the normal density."""
        step, here, there = z_new - z, self._here[rows], self._frames(z_new)
        self._asked, self._there = rows, there
        ratio: Array = normal_ratio(z, z_new) + there.log_density(step, s) - here.log_density(step, s)
        return ratio

    def moved(self, rows: Indices) -> None:
        """The chains `rows` went where they proposed to go; by a move of another kind if they asked for no ratio."""
        if not self.share:
            return
        self._known[rows] = False
        gone = np.isin(self._asked, rows)
        self._here[self._asked[gone]] = self._there[gone]
        self._known[self._asked[gone]] = True

    def _frames(self, z: Array) -> Frames:
        if not len(z):
            return self._here[np.zeros(0, dtype=np.int64)]
        found = self.find(z)
        self.trajectories += found.trajectories
        self.evaluations += found.evaluations
        return found.frames

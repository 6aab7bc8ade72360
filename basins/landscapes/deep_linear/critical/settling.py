"""What a state at rest rests on: the saddle stratum beside it, how far it is, and whether it is on its way out.

Near a critical set at which the Hessian's nullity is the set's own dimension (`normally_hyperbolic`), everything but
the directions along the set falls or grows at a clear rate, so that "the unstable directions are empty" has a meaning.
Elsewhere no wait is long enough: beside a non-strict saddle the flow takes its time, of order eps^-(H-1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.deep_linear import gradient as gradient_module
from basins.landscapes.deep_linear.critical.classify import classify
from basins.landscapes.deep_linear.critical.inertia import hessian_size
from basins.landscapes.deep_linear.critical.kind import CLEAR, ROUNDING, Kind
from basins.landscapes.deep_linear.critical.ranks import Cycle, codimension, paper_layers, segments
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import modes_to_mask
from basins.landscapes.lengths import length
from basins.rounding import U

Array = NDArray[np.float64]

SETTLED = 1e4 * U
"""K u: a state has settled within this distance of a critical point, relative to the trajectory's size (K = 10^4,
about 1e-12).
"""

EMPTY = 1 / 8
"""So many n u, times the fastest rate and the trajectory's size, is what rounding leaves of a gradient along unstable
directions that are empty (1e-6 u where zeros keep them so, some u / 10 elsewhere).
"""

NEAR = 1e-3
"""How far D_W may be from zeros and ones, and L from the critical value (relative), for a stratum to be read at all."""

COARSE = 1e-3
"""Where telling clear eigenvalues from those along the critical set begins, relative to the largest."""


@dataclass(frozen=True)
class Settling:
    """A state beside a saddle stratum: what is read there, by the Hessian's eigenvalues.

    modes (bitmask), rank; distance: length of the Newton step onto the critical set over the trajectory's size, over
    all eigenvalues above K u of the largest; leaving: its part along unstable directions; rank_gap:
    sigma_{r+1}(R) / sigma_r(R); fastest: the largest eigenvalue in size. The rest by eigenvalues whose sign is clear
    at this distance: unstable: the Newton step's part along those below zero; empty: whether the gradient's part along
    them is rounding; slowest_out, fastest_out: the smallest and largest rate at which the saddle is left, 0 where none
    is clear; slowest_in: the smallest rate of attraction; hyperbolic: whether those that are not clear are as many as
    the critical set has dimensions.
    """

    modes: int
    rank: int
    distance: float
    leaving: float
    rank_gap: float
    fastest: float
    unstable: float
    empty: bool
    slowest_out: float
    fastest_out: float
    slowest_in: float
    hyperbolic: bool

    @property
    def code(self) -> int:
        """The critical set's: modes."""
        return self.modes

    @property
    def evidence(self) -> dict[str, float]:
        """What the row of an outlasted saddle keeps besides."""
        return {"rank_gap": self.rank_gap}

    @property
    def settled(self) -> bool:
        """Within K u of the stratum, relative to the trajectory's size."""
        return self.distance <= SETTLED

    @property
    def rests(self) -> bool:
        """Whether nothing is read that would carry it away: beside a normally hyperbolic saddle, unstable directions
        that are empty to rounding; elsewhere, that it has settled."""
        return (self.empty and self.unstable <= SETTLED) if self.hyperbolic else self.settled


def settling(problem: Problem, W: Array, size: float) -> Settling | None:
    """Read the saddle stratum beside W (n,), or None where D_W, rank and loss do not agree on one.

    size: ||W|| at the trajectory's start; distances are relative to the larger of it and ||W||, since a limit may be
    W = 0. The distance is the Newton step -H^+ grad.
    """
    fitted = problem.fitted(W)
    S = np.flatnonzero(fitted > 0.5)
    critical_value = 0.5 * float(np.sum(np.delete(problem.sigma, S) ** 2))
    loss, gradient = problem.loss_and_gradient(W)
    scale = max(size, length(W))
    if len(S) == problem.d_y or scale == 0:
        return None
    if np.abs(fitted - np.isin(np.arange(problem.d_y), S)).max() > NEAR or abs(loss - critical_value) > NEAR * loss:
        return None
    rank_gap = _rank_gap(problem, W, len(S), scale)
    if rank_gap > NEAR:
        return None
    eigenvalues, vectors = np.linalg.eigh(problem.hessian(W))
    along = vectors.T @ gradient
    fastest = float(np.abs(eigenvalues).max())
    curved = np.abs(eigenvalues) > SETTLED * fastest
    step = along[curved] / eigenvalues[curved]
    zero = _clear_from(problem, W, eigenvalues, along)
    falls, held = eigenvalues < -zero, eigenvalues[eigenvalues > zero]
    out = -eigenvalues[falls]
    return Settling(
        modes=modes_to_mask(S),
        rank=len(S),
        distance=length(step) / scale,
        leaving=length(step[eigenvalues[curved] < 0]) / scale,
        rank_gap=rank_gap,
        fastest=fastest,
        unstable=length(along[falls] / eigenvalues[falls]) / scale,
        empty=length(along[falls]) <= EMPTY * problem.n * U * fastest * scale,
        slowest_out=float(out.min()) if len(out) else 0.0,
        fastest_out=float(out.max(initial=0.0)),
        slowest_in=float(held.min()) if len(held) else fastest,
        hyperbolic=bool(len(out)) and _flat_as_the_set(problem, W, len(S), eigenvalues, along, zero),
    )


def normally_hyperbolic(problem: Problem, W: Array) -> bool:
    """Whether the critical point at W (n,) is a strict saddle whose Hessian's nullity is the dimension of its critical
    set, each eigenvalue's sign clear (`classify`)."""
    point = classify(problem, W)
    signs = point.inertia
    return (
        point.kind is Kind.STRICT
        and signs is not None
        and signs.zero is not None
        and signs.zero == point.dimension
        and signs.gap is not None
        and signs.gap >= CLEAR
    )


def _move(eigenvalues: Array, along: Array, above: float) -> float:
    """Length of the Newton step over eigenvalues larger than `above` in size."""
    some = np.abs(eigenvalues) > above
    return length(along[some] / eigenvalues[some])


def _clear_from(problem: Problem, W: Array, eigenvalues: Array, along: Array) -> float:
    """From which size on an eigenvalue's sign at W is that at the critical point beside it.

    The step over the large eigenvalues says how far that point is, how far it is how much an eigenvalue may change,
    and so which others are clear: those count, and the same again until no other is.
    """
    sizes = np.abs(eigenvalues)
    above = COARSE * float(sizes.max())
    while True:
        clear = CLEAR * _change(problem, W, 2 * _move(eigenvalues, along, above))
        if clear >= above or not np.any((sizes > clear) & (sizes <= above)):
            return clear
        above = clear


def _change(problem: Problem, W: Array, distance: float) -> float:
    """How much an eigenvalue of the Hessian at W can be off by rounding, and change within this distance."""
    around = hessian_size(problem, W, distance)
    return 8 * problem.n * U * around + (around - hessian_size(problem, W))


def _flat_as_the_set(problem: Problem, W: Array, r: int, eigenvalues: Array, along: Array, zero: float) -> bool:
    """Whether the eigenvalues that are not clear are as many as the critical set beside W has dimensions, r modes
    fitted."""
    layers = paper_layers(problem, W)
    near = 2 * _move(eigenvalues, along, zero) * max(1.0, problem.gram_norm)
    scale = max(length(W), float(problem.sigma[0]) ** (1 / (problem.H + 1)))
    cycle = Cycle(layers, problem.sigma)
    ranks = cycle.ranks(max(near, ROUNDING * scale))
    if min(ranks.values()) < r:
        return False
    pattern = segments(cycle.nodes, r, ranks)
    flat, unclear = (int(np.sum(np.abs(eigenvalues) <= most)) for most in (zero / CLEAR, zero))
    return pattern is not None and flat == unclear == problem.n - codimension(problem.widths, r, pattern)


def _rank_gap(problem: Problem, W: Array, rank: int, size: float) -> float:
    """sigma_{r+1}(R) / sigma_r(R), R = W_{H+1}...W_2; for r = 0, where R vanishes, over (size / sqrt(H + 1))^H."""
    each = size / np.sqrt(problem.H + 1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # sizes that double precision cannot divide by
        R = gradient_module.network([W_j / each for W_j in problem.unpack(W)[1:]])
    if not np.isfinite(R).all():
        return np.inf
    singular = np.linalg.svd(R, compute_uv=False)
    scale = float(singular[rank - 1]) if rank else 1.0
    return float(singular[rank]) / scale if scale > 0 else np.inf

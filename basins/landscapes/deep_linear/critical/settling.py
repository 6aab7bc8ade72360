"""The saddle beside a state at rest: which stratum it is, how far away, and whether the state is on its way out.

Beside a normally hyperbolic saddle (`Inertia.flat_along`) every direction but those along the critical set falls or
rises at a clear rate, so "the unstable directions are empty" has a meaning. Elsewhere no wait is long enough: beside a
non-strict saddle the flow needs a time of order eps^-(H-1).

`classify` answers the same question and moves the state onto the critical point to do so. Both read S, the ranks, the
dimension of the critical set and the Hessian's signs by the same functions. The step differs, because the wait asks for
what `polish` does not give: the part of the step, and of the gradient, along the unstable directions at W itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.deep_linear import gradient as gradient_module
from basins.landscapes.deep_linear.critical.inertia import eigenvalue_error, escape_rates, signs
from basins.landscapes.deep_linear.critical.kind import ROUNDING, fit_distances, fitted_modes
from basins.landscapes.deep_linear.critical.ranks import CLEAR, Cycle, dimension, paper_layers, scale_of, segments
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import modes_to_mask
from basins.landscapes.lengths import length
from basins.rounding import U

Array = NDArray[np.float64]

SETTLED = 1e4 * U
"""A state has settled within this distance of a critical point, relative to the trajectory's size: about 1e-12."""

EMPTY = 1 / 8
"""A gradient along unstable directions that are empty is at most this many n u times the fastest rate and the
trajectory's size: 1e-6 u where zeros keep the directions empty, some u / 10 elsewhere.
"""

NEAR = 1e-3
"""How far D_W may be from zeros and ones, and L from the critical value (relative), for a stratum to be read at all."""

COARSE = 1e-3
"""Eigenvalues above this, relative to the largest, are taken to be clear when the search for the others begins."""


@dataclass(frozen=True)
class Settling:
    """A state beside a saddle stratum, read from the Hessian's eigenvalues there.

    code: S as a bitmask; rank: |S|; distance: length of the Newton step onto the critical set, over all eigenvalues
    above SETTLED times the largest, relative to the trajectory's size; rank_gap: sigma_{r+1}(R) / sigma_r(R); fastest:
    the largest eigenvalue in size.

    The rest is read from the eigenvalues whose sign is clear at this distance. unstable: the Newton step's part along
    those below zero, relative to the trajectory's size; empty: whether the gradient's part along them is rounding;
    slowest_out, fastest_out: the smallest and the largest rate at which the saddle is left, 0 where none is clear;
    slowest_in: the smallest rate of attraction; hyperbolic: whether there is a way out and the eigenvalues that are not
    clear are as many as the critical set has dimensions. Rates are in 1 / time.
    """

    code: int
    rank: int
    distance: float
    rank_gap: float
    fastest: float
    unstable: float
    empty: bool
    slowest_out: float
    fastest_out: float
    slowest_in: float
    hyperbolic: bool

    @property
    def evidence(self) -> dict[str, float]:
        """What the row of an outlasted saddle keeps besides."""
        return {"rank_gap": self.rank_gap}

    @property
    def settled(self) -> bool:
        """Within SETTLED of the stratum, relative to the trajectory's size."""
        return self.distance <= SETTLED

    @property
    def rests(self) -> bool:
        """Whether nothing would carry the state away: beside a normally hyperbolic saddle, the unstable directions are
        empty to rounding; elsewhere, the state has settled."""
        return (self.empty and self.unstable <= SETTLED) if self.hyperbolic else self.settled


def settle(problem: Problem, W: Array, size: float) -> Settling | None:
    """The saddle stratum beside W (n,), or None where D_W, rank and loss do not agree on one.

    size: ||W|| at the trajectory's start. Distances are relative to the larger of it and ||W||, since a limit may be
    W = 0. The distance is the length of the Newton step -H^+ grad.
    """
    fit = problem.fitted(W)
    S = fitted_modes(fit)
    code = modes_to_mask(S)
    critical_value = problem.strata().loss(code)
    loss, gradient = problem.loss_and_gradient(W)
    scale = max(size, length(W))
    if len(S) == problem.d_y or scale == 0:
        return None
    if fit_distances(fit).max() > NEAR or abs(loss - critical_value) > NEAR * loss:
        return None
    rank_gap = _rank_gap(problem, W, len(S), scale)
    if rank_gap > NEAR:
        return None
    eigenvalues, vectors = np.linalg.eigh(problem.hessian(W))
    along = vectors.T @ gradient
    fastest = float(np.abs(eigenvalues).max())
    tolerance = _tolerance(problem, W, eigenvalues, along)
    clear = CLEAR * tolerance
    falls, held = eigenvalues < -clear, eigenvalues[eigenvalues > clear]
    out = escape_rates(eigenvalues, clear)
    pattern_distance = 2 * _step_length(eigenvalues, along, clear)
    return Settling(
        code=code,
        rank=len(S),
        distance=_step_length(eigenvalues, along, SETTLED * fastest) / scale,
        rank_gap=rank_gap,
        fastest=fastest,
        unstable=length(along[falls] / eigenvalues[falls]) / scale,
        empty=length(along[falls]) <= EMPTY * problem.n * U * fastest * scale,
        slowest_out=float(out[-1]) if len(out) else 0.0,
        fastest_out=float(out[0]) if len(out) else 0.0,
        slowest_in=float(held.min()) if len(held) else fastest,
        hyperbolic=bool(len(out))
        and signs(eigenvalues, tolerance).flat_along(_dimension(problem, W, len(S), pattern_distance)),
    )


def _step_length(eigenvalues: Array, along: Array, above: float) -> float:
    """Length of the Newton step over eigenvalues larger than `above` in size."""
    some = np.abs(eigenvalues) > above
    return length(along[some] / eigenvalues[some])


def _tolerance(problem: Problem, W: Array, eigenvalues: Array, along: Array) -> float:
    """How far an eigenvalue at W can be from the one at the critical point beside it; clear from CLEAR times that.

    The step over the large eigenvalues says how far away that point is. The distance says how much an eigenvalue may
    change, and so which others are clear. Those are counted in, and the search is repeated until no other is.
    """
    sizes = np.abs(eigenvalues)
    above = COARSE * float(sizes.max())
    while True:
        tolerance = eigenvalue_error(problem, W, 2 * _step_length(eigenvalues, along, above))
        clear = CLEAR * tolerance
        if clear >= above or not np.any((sizes > clear) & (sizes <= above)):
            return tolerance
        above = clear


def _dimension(problem: Problem, W: Array, r: int, distance: float) -> int | None:
    """Dimension of the critical set within `distance` of W, r modes fitted; None where the ranks are no critical
    point's."""
    layers = paper_layers(problem, W)
    cycle = Cycle(layers, problem.sigma)
    known = max(distance * max(1.0, problem.gram_norm), ROUNDING * scale_of(problem, layers))
    pattern = segments(cycle.nodes, r, cycle.ranks(known))
    return None if pattern is None else dimension(problem, r, pattern)


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

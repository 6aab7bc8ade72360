"""From ranks to a kind: the block-rank test of theory.md 5, and which answers are left undecided.

Tolerances. Lengths are in the paper's coordinates (ranks.paper_layers) and relative to scale = max(||W||,
sigma_1^{1/(H+1)}), the size of a state that fits the largest mode. Polishing ends at `ROUNDING` times the scale. The
tolerance of a rank is the largest change of that product's singular values which rounding and the distance moved can
cause (Weyl; ranks.Cycle.tolerance). A singular value is clearly nonzero from `CLEAR` times that.

What can be decided. Ranks only rise under small changes, so "strict" is a statement about a neighbourhood: every
critical point of the same modes within about CLEAR times the distance moved is strict too. "Non-strict" is not, because
strict saddles exist arbitrarily close to non-strict ones: W_2 = eps V between W_1 = W_3 = 0 is strict, with eigenvalue
-eps sigma (eps^{H-1} for H hidden layers). So "non-strict" is the answer only for a state that is at such a saddle to
rounding. Further away the answer is "undecided", with the gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.deep_linear.critical.inertia import Inertia
from basins.landscapes.deep_linear.critical.ranks import (
    CLEAR,
    Cycle,
    Path,
    both_paths,
    outer_name,
    pairs_of_layers,
)
from basins.landscapes.deep_linear.problem import Problem
from basins.rounding import U

Array = NDArray[np.float64]

ROUNDING = 256 * U
"""A residual or a move of at most this times the scale is rounding."""

FIT = 0.25
"""A diagonal entry of D_W further than this from both 0 and 1 leaves S itself undecided."""


def fitted_modes(fit: Array) -> tuple[int, ...]:
    """S as read from the diagonal of D_W (d_y,): the entries nearer to 1 than to 0."""
    return tuple(int(i) for i in np.flatnonzero(fit > 0.5))


def fit_distances(fit: Array) -> Array:
    """How far each diagonal entry of D_W (d_y,) is from the nearer of 0 and 1."""
    distances: Array = np.abs(fit - (fit > 0.5))
    return distances


class Kind(StrEnum):
    """What a state is; see `classify`."""

    MINIMUM = "global minimum"
    STRICT = "strict saddle"
    NONSTRICT = "non-strict saddle"
    UNDECIDED = "undecided"
    NOT_CRITICAL = "not critical"


@dataclass(frozen=True)
class LayerPair:
    """Two layers i > j and the two products of theory.md 5: tightened if one has rank r, no more.

    inner_excess, outer_excess: singular value r + 1 of each product, in its tolerances: at most 1 is zero,
    from CLEAR on it is not.
    """

    layers: tuple[int, int]
    inner: str
    outer: str
    inner_excess: float
    outer_excess: float

    @property
    def excess(self) -> float:
        """The smaller of the two: a pair is tightened if this is at most 1."""
        return min(self.inner_excess, self.outer_excess)


def layer_pairs(cycle: Cycle, r: int, distance: float) -> tuple[LayerPair, ...]:
    """Every pair of layers at a critical point known to `distance`, with singular value r + 1 of its two
    products."""

    def excess(path: Path) -> float:
        s = np.linalg.svd(cycle.matrix(path), compute_uv=False)
        tolerance = cycle.tolerance(path, distance)
        return float(s[r]) / tolerance if tolerance > 0 else (np.inf if s[r] > 0 else 0.0)

    pairs = []
    for i, j in pairs_of_layers(cycle.H):
        inner, outer = both_paths(i, j, cycle.H)
        pairs.append(LayerPair((i, j), inner.name(cycle.H), outer_name(i, j, cycle.H), excess(inner), excess(outer)))
    return tuple(pairs)


@dataclass(frozen=True)
class Answer:
    """Kind, why, which gap is too small if undecided, and the pairs of layers that decide."""

    kind: Kind
    why: str
    undecided: str | None = None
    deciding: tuple[tuple[int, int], ...] = ()


def kind_of(
    problem: Problem,
    fit: Array,
    moved: float | None,
    rounding: float,
    reach: float,
    pairs: tuple[LayerPair, ...],
    curvature: Inertia | None,
) -> Answer:
    """The kind of a state with D_W's diagonal `fit`, at the distance `moved` from an exact critical point (None if
    there is none within reach).

    pairs: from `layer_pairs`, used where S = {1..r}, r < d_y. curvature: the Hessian's inertia, which can only withdraw
    an answer.
    """
    modes = fitted_modes(fit)
    fits = f"fits modes {set(modes) or '{}'} of {problem.d_y}"
    if moved is None:
        return Answer(Kind.NOT_CRITICAL, f"no critical point that {fits} was found within {reach:.2g}")
    point = f"the critical point {'at rounding' if moved <= rounding else f'{moved:.2g} away'} {fits}"
    between = int(np.argmax(fit_distances(fit)))
    if fit_distances(fit)[between] > FIT:
        gap = f"mode {between} of D_W is {fit[between]:.3g}, neither 0 nor 1: which critical point is near is open"
        return Answer(Kind.UNDECIDED, point, gap)
    answer = _by_modes(problem, modes, point) or _by_pairs(point, moved, rounding, pairs)
    if answer.kind in (Kind.MINIMUM, Kind.NONSTRICT) and curvature is not None and curvature.has_negative:
        gap = (
            f"the ranks allow no negative curvature, but the Hessian's lowest eigenvalue is {curvature.lowest:.3g}, "
            f"beyond its tolerance {curvature.tolerance:.2g}"
        )
        return Answer(Kind.UNDECIDED, point, gap)
    return answer


def _by_modes(problem: Problem, modes: tuple[int, ...], point: str) -> Answer | None:
    """r = d_y is a global minimum; S != {1..r} is strict."""
    if len(modes) == problem.d_y:
        return Answer(Kind.MINIMUM, point)
    left_out = next(i for i in range(problem.d_y) if i not in modes)
    if left_out < len(modes):
        return Answer(Kind.STRICT, f"{point}: not mode {left_out}, but a smaller one")
    return None


def _by_pairs(point: str, moved: float, rounding: float, pairs: tuple[LayerPair, ...]) -> Answer:
    """S = {1..r}, r < d_y: strict iff some pair of layers is not tightened."""
    clear = [pair for pair in pairs if pair.excess >= CLEAR]
    if clear:
        first = max(clear, key=lambda pair: pair.excess)
        why = (
            f"{point}; layers {first.layers} are not tightened: singular value r + 1 of {first.inner} is "
            f"{first.inner_excess:.2g}, and of {first.outer} {first.outer_excess:.2g} times its tolerance"
        )
        return Answer(Kind.STRICT, why, deciding=tuple(pair.layers for pair in clear))
    closest = max(pairs, key=lambda pair: pair.excess)
    if closest.excess > 1:
        gap = (
            f"layers {closest.layers}: singular value r + 1 of {closest.inner} and {closest.outer} is at least "
            f"{closest.excess:.2g} times its tolerance, too near zero to tell (clear from {CLEAR:g})"
        )
        return Answer(Kind.UNDECIDED, point, gap)
    if moved > rounding:
        gap = (
            f"that point is a non-strict saddle, but strict ones may be as near: {moved:.2g} away, "
            f"singular value r + 1 of {closest.inner} or {closest.outer} cannot be told from zero"
        )
        return Answer(Kind.UNDECIDED, point, gap)
    why = f"{point}; each of {len(pairs)} pairs of layers has a product of rank r, to rounding"
    return Answer(Kind.NONSTRICT, why, deciding=tuple(pair.layers for pair in pairs))

"""Classification of a state: the nearest exact critical point, its modes, its ranks and its kind.

The second-order test is that of theory.md 5. kind.py says what it can and cannot decide, and what its tolerances are
relative to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.errors import ArgumentError
from basins.landscapes.deep_linear.critical.inertia import Inertia, inertia
from basins.landscapes.deep_linear.critical.kind import (
    ROUNDING,
    Kind,
    LayerPair,
    fit_distances,
    fitted_modes,
    kind_of,
    layer_pairs,
)
from basins.landscapes.deep_linear.critical.polish import Polished, polish
from basins.landscapes.deep_linear.critical.ranks import (
    Cycle,
    PartialProduct,
    Path,
    Segments,
    dimension,
    paper_layers,
    scale_of,
    segments,
    state_of_paper_layers,
)
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]

REACH = 1e-4
"""An exact critical point is looked for within this distance, relative to the scale."""


@dataclass(frozen=True)
class CriticalPoint:
    """What `classify` found.

    kind: the answer; why: the numbers that show it; undecided: the gap that is too small, else None.

    residual: the gradient norm at W; relative_residual: the same over sigma_1 ||G|| (scale / sqrt(H + 1))^H.

    state: the nearest exact critical point that was found, (n,), or W itself; moved: its distance from W, nan without;
    scale: max(||W||, sigma_1^{1/(H+1)}). Both are lengths in the paper's coordinates. polished_residual: the gradient
    norm at `state`; loss: L there.

    modes: S, read from D_W; rank: r = |S|; fit_gap: the distance of the diagonal of D_W from zeros and ones, at W;
    rank_Z: rank of W_H ... W_2 (None for H = 1, where Z = I); products: the rank of every path, with its gap;
    segments: what these ranks mean (ranks.py), None where W is not critical; dimension: of the set of critical points
    with this rank pattern.

    pairs: every pair of layers, for a saddle with S = {1..r}; deciding: those that make it strict, or all if it is not;
    inertia: of the Hessian at `state`, None where W is not critical and where it was not asked for.
    """

    kind: Kind
    why: str
    undecided: str | None
    residual: float
    relative_residual: float
    state: Array
    moved: float
    scale: float
    polished_residual: float
    loss: float
    modes: tuple[int, ...]
    rank: int
    fit_gap: float
    rank_Z: int | None
    products: tuple[PartialProduct, ...]
    segments: Segments | None
    dimension: int | None
    pairs: tuple[LayerPair, ...]
    deciding: tuple[tuple[int, int], ...]
    inertia: Inertia | None

    def product(self, name: str) -> PartialProduct:
        """The partial product of this name, as in "W_2 W_1 Sigma_Y^T W_4"."""
        return next(product for product in self.products if product.name == name)

    @property
    def normally_hyperbolic(self) -> bool:
        """Whether it is a strict saddle whose Hessian is flat along its critical set alone, each sign clear
        (`Inertia.flat_along`)."""
        signs = self.inertia
        return self.kind is Kind.STRICT and signs is not None and signs.flat_along(self.dimension)


def classify(problem: Problem, W: ArrayLike, *, reach: float = REACH, hessian: bool = True) -> CriticalPoint:
    """What the state W (n,) is: a global minimum, a strict or non-strict saddle, not critical, or undecided.

    W is moved onto the nearest exact critical point that has its modes and, at some distance up to reach times the
    scale, its ranks. There the block-rank test of theory.md 5 decides: r = d_y is a global minimum; S != {1..r} is
    strict; otherwise the point is strict iff some pair of layers has both its products of rank above r. The Hessian can
    only withdraw an answer, which is then undecided; hessian=False leaves it out.

    It takes milliseconds for n < 100, seconds for n = 3,000. Raises ArgumentError for a batch, a state that is not
    finite, or a reach outside (0, 1).
    """
    state = _one_finite_state(problem, W)
    if not 0 < reach < 1:
        raise ArgumentError(f"reach = {reach!r}", where="reach", remedy="a distance relative to the state, in (0, 1)")
    layers = list(paper_layers(problem, state))
    scale = scale_of(problem, layers)
    goal = ROUNDING * scale * _raw_rounding(problem, state, scale)
    residual = float(np.linalg.norm(problem.gradient(state)))
    unit = float(problem.sigma[0]) * problem.gram_norm * (scale / np.sqrt(problem.H + 1)) ** problem.H
    fit = problem.fitted(state)
    modes = fitted_modes(fit)
    found = nearest(problem, layers, modes, scale=scale, reach=reach * scale, goal=goal)
    before = Cycle(layers, problem.sigma)
    distance = goal if found is None else max(found[0].moved, goal)
    ranks = before.ranks(distance) if found is None else found[1]
    after = before if found is None else Cycle(found[0].layers, problem.sigma)
    polished = state
    if found is not None and found[0].steps:
        polished = state_of_paper_layers(problem, found[0].layers)
    critical = found is not None
    pairs = layer_pairs(after, len(modes), distance) if critical and _is_open(problem, modes) else ()
    pattern = segments(after.nodes, len(modes), ranks) if critical else None
    # In raw coordinates W_1 is known less well: a length there is up to 1 / s_min(X) times the paper's.
    own = goal * max(1.0, problem.gram_floor**-0.5)
    curvature = inertia(problem, polished, distance=own) if critical and hessian else None
    answer = kind_of(problem, fit, None if found is None else found[0].moved, goal, reach * scale, pairs, curvature)
    return CriticalPoint(
        kind=answer.kind,
        why=answer.why,
        undecided=answer.undecided,
        residual=residual,
        relative_residual=residual / unit,
        state=polished,
        moved=np.nan if found is None else found[0].moved,
        scale=scale,
        polished_residual=float(np.linalg.norm(problem.gradient(polished))),
        loss=float(problem.loss(polished)),
        modes=modes,
        rank=len(modes),
        fit_gap=float(fit_distances(fit).max()),
        rank_Z=ranks[Path(1, problem.H - 1)] if problem.H > 1 else None,
        products=tuple(_product(before, after, path, rank, distance) for path, rank in ranks.items()),
        segments=pattern,
        dimension=None if pattern is None else dimension(problem, len(modes), pattern),
        pairs=pairs,
        deciding=answer.deciding,
        inertia=curvature,
    )


def _one_finite_state(problem: Problem, W: ArrayLike) -> Array:
    state = problem.state(W)
    if state.ndim != 1 or not np.isfinite(state).all():
        raise ArgumentError(
            "not one finite state" if state.ndim == 1 else f"a batch of shape {state.shape}",
            where="classify",
            remedy=f"give one finite state, ({problem.n},)",
        )
    return state


def nearest(
    problem: Problem, layers: list[Array], modes: tuple[int, ...], *, scale: float, reach: float, goal: float
) -> tuple[Polished, dict[Path, int]] | None:
    """The nearest exact critical point with these modes, and its ranks; None where none is within reach.

    Which singular values are zero there depends on how far away it is. So distances are tried in factors of ten, from
    rounding up, and each rank pattern once. The first that leads to a point no more than ten times as far is taken,
    else the nearest that was found.
    """
    cycle = Cycle(layers, problem.sigma)
    tried: list[dict[Path, int]] = []
    best: tuple[Polished, dict[Path, int]] | None = None
    distance = goal
    while True:
        ranks = cycle.ranks(distance)
        if ranks not in tried:
            tried.append(ranks)
            point = polish(layers, problem.sigma, modes, ranks, scale=scale, reach=reach, goal=goal)
            if point is not None and (best is None or point.moved < best[0].moved):
                best = point, ranks
        if best is not None and best[0].moved <= 10 * distance:
            return best
        if distance >= reach:
            return best
        distance = min(10 * distance, reach)


def _is_open(problem: Problem, modes: tuple[int, ...]) -> bool:
    """Whether S = {1..r} with r < d_y, so that the pairs of layers decide."""
    return len(modes) < problem.d_y and modes == tuple(range(len(modes)))


def _product(before: Cycle, after: Cycle, path: Path, rank: int, distance: float) -> PartialProduct:
    """The kept singular values at the polished point, and the dropped ones at the state itself."""
    there, here = after.partial_product(path, rank, distance), before.partial_product(path, rank, distance)
    return PartialProduct(path, there.name, rank, there.kept, here.dropped, there.tolerance)


def _raw_rounding(problem: Problem, state: Array, scale: float) -> float:
    """The factor by which rounding in the raw W_1 grows in the paper's coordinates: up to cond(X)."""
    if problem.flow == "reduced":
        return 1.0
    W_1 = problem.unpack(state)[0]
    return max(1.0, float(np.linalg.norm(W_1)) * problem.gram_norm / scale)

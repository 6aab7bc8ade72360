"""From a state to the nearest exact critical point of one rank pattern, by Gauss-Newton.

The equations grad L = 0 are singular where it matters: at W = 0 and H >= 2 their derivative vanishes. So the equations
of Lemma 3.1-3.2 are solved instead, for the modes and ranks of the state. For given modes S and ranks of all paths
(ranks.py), r < d_y:

    W_{H+1} ... W_1 = Sigma_Y D_S                     (Lemma 3.2, item 1; the first two lines of eq. (20))
    N^T (path product) K = 0 for every path           (its third line, and the rest of eq. (17))

where the columns of K and N span the kernel and cokernel that a path of this rank has. For r = d_y there is the first
equation alone. K and N follow the iterate, so each step is Newton's step for "the path has this rank". On the stratum
the derivative has constant rank, the stratum's codimension, which is known. The step is the shortest that solves the
linear equations in that rank. It converges quadratically, and to first order it moves by the distance to the stratum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.deep_linear.critical.ranks import Cycle, Path, codimension, segments
from basins.rounding import U

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

Array = NDArray[np.float64]

DENSE = 600
"""Up to this size of a state, equations are solved and Hessians diagonalised as dense matrices."""

STEPS = 20
"""The most Gauss-Newton steps. From 1e-4 away 2 or 3 are enough."""


@dataclass(frozen=True)
class Equation:
    """N^T (product) K - value = 0 in units of length: residual, and derivative as a sum of left dW_layer right."""

    residual: Array
    terms: list[tuple[int, Array, Array]]


@dataclass(frozen=True)
class Polished:
    """Where Gauss-Newton ended: layers in the paper's coordinates, how far it moved, the largest residual
    left, in units of length."""

    layers: list[Array]
    moved: float
    residual: float
    steps: int


def polish(
    layers: list[Array], sigma: Array, modes: tuple[int, ...], ranks: dict[Path, int], *, scale: float, reach: float,
    goal: float,
) -> Polished | None:  # fmt: skip
    """The critical point of these modes and ranks that is nearest, or None where no point within `reach` has
    them.

    layers: in the paper's coordinates (ranks.paper_layers); scale: a length that makes equations of different degree
    comparable; goal: the residual to reach, a length at rounding. None where no critical point has these ranks, where
    the iterate moves beyond reach, and where it stalls.
    """
    start = Cycle(layers, sigma)
    widths = (layers[0].shape[1], *(len(W_j) for W_j in layers))
    pattern = segments(start.nodes, len(modes), ranks)
    if pattern is None:
        return None
    codim = codimension(widths, len(modes), pattern)
    cycle, best = start, Polished(layers, 0.0, np.inf, 0)
    for steps in range(STEPS + 1):
        equations = _equations(cycle, modes, ranks, scale)
        residual = max((float(np.linalg.norm(eq.residual)) for eq in equations), default=0.0)
        moved = float(np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(cycle.layers, layers, strict=True))))
        if not moved <= reach:
            return None
        falling = residual < 0.5 * best.residual
        if residual < best.residual:
            best = Polished(cycle.layers, moved, residual, steps)
        if best.residual <= goal and (not falling or best.steps == 0):
            return best  # a start at rounding stays where it is; else one step more than needed, for the last digits
        if not falling:
            return None
        cycle = Cycle(_step(cycle.layers, equations, codim), sigma)
    return None


def _equations(cycle: Cycle, modes: tuple[int, ...], ranks: dict[Path, int], scale: float) -> list[Equation]:
    H, sigma = cycle.H, cycle.sigma
    d_y, d_x = len(sigma), cycle.layers[0].shape[1]
    r = len(modes)
    fitted = np.zeros((d_y, d_x))
    fitted[modes, modes] = sigma[list(modes)]
    chain = [(layer, cycle.layers[layer - 1]) for layer in range(1, H + 2)]
    equations = [_equation(chain, np.eye(d_x), np.eye(d_y), fitted, scale**H)]
    if r == d_y:
        return equations
    complete: list[Path] = []  # paths already held at rank r: every longer path through one of them is too
    for path in cycle.paths():
        if any(path.contains(shorter, H) for shorter in complete):
            continue
        rank = ranks[path]
        if rank == r:
            complete.append(path)
        left, _, right = np.linalg.svd(cycle.matrix(path))
        kernel, cokernel = right[rank:].T, left[:, rank:]
        if kernel.size and cokernel.size:
            size = scale ** (path.arrows - 1) * (sigma[0] if path.passes_target(H) else 1.0)
            equations.append(_equation(cycle.factors(path), kernel, cokernel, None, size))
    return equations


def _equation(
    factors: list[tuple[int, Array]], kernel: Array, cokernel: Array, value: Array | None, size: float
) -> Equation:
    before = [kernel]  # right parts: the product of the factors applied so far, on the kernel
    for _, factor in factors:
        before.append(factor @ before[-1])
    after = cokernel.T  # left part
    residual = after @ before[-1] - (0.0 if value is None else value)
    terms = []
    for k in range(len(factors) - 1, -1, -1):
        layer, factor = factors[k]
        if layer:
            terms.append((layer, after / size, before[k]))
        after = after @ factor
    return Equation(residual / size, terms)


def _step(layers: list[Array], equations: list[Equation], codim: int) -> list[Array]:
    """layers minus the shortest solution of the linearised equations, in their `codim` strongest
    directions."""
    n = sum(W_j.size for W_j in layers)
    f = np.concatenate([eq.residual.ravel() for eq in equations])
    if n <= DENSE:
        left, s, right = np.linalg.svd(_derivative(layers, equations), full_matrices=False)
        k = min(codim, int(np.sum(s > n * U * s[0])))
        step = right[:k].T @ ((left[:, :k].T @ f) / s[:k])
    else:
        from scipy.sparse.linalg import lsmr  # not needed by most runs

        # Stopping early leaves the spurious directions alone: their share of f is quadratic in the distance.
        step = lsmr(_operator(layers, equations), f, atol=1e-7, btol=1e-7, maxiter=4 * n)[0]
    return _subtract(layers, step)


def _subtract(layers: list[Array], step: Array) -> list[Array]:
    moved, at = [], 0
    for W_j in layers:
        moved.append(W_j - step[at : at + W_j.size].reshape(W_j.shape))
        at += W_j.size
    return moved


def _offsets(layers: list[Array]) -> list[int]:
    return [0, *np.cumsum([W_j.size for W_j in layers])]


def _derivative(layers: list[Array], equations: list[Equation]) -> Array:
    """The derivative as a matrix: left dW right is (left kron right^T) on row-major dW."""
    at = _offsets(layers)
    rows = []
    for eq in equations:
        row = np.zeros((eq.residual.size, at[-1]))
        for layer, left, right in eq.terms:
            row[:, at[layer - 1] : at[layer]] += np.kron(left, right.T)
        rows.append(row)
    return np.concatenate(rows)


def _operator(layers: list[Array], equations: list[Equation]) -> LinearOperator:
    from scipy.sparse.linalg import LinearOperator

    at = _offsets(layers)
    rows = [0, *np.cumsum([eq.residual.size for eq in equations])]

    def matvec(w: Array) -> Array:
        w = w.ravel()
        parts = [w[at[k] : at[k + 1]].reshape(W.shape) for k, W in enumerate(layers)]
        images = [np.zeros(eq.residual.shape) for eq in equations]
        for image, eq in zip(images, equations, strict=True):
            for layer, left, right in eq.terms:
                image += left @ parts[layer - 1] @ right
        return np.concatenate([image.ravel() for image in images])

    def rmatvec(f: Array) -> Array:
        f = f.ravel()
        parts = [np.zeros(W.shape) for W in layers]
        for k, eq in enumerate(equations):
            part = f[rows[k] : rows[k + 1]].reshape(eq.residual.shape)
            for layer, left, right in eq.terms:
                parts[layer - 1] += left.T @ part @ right.T
        return np.concatenate([part.ravel() for part in parts])

    return LinearOperator((rows[-1], at[-1]), matvec=matvec, rmatvec=rmatvec, dtype=np.float64)

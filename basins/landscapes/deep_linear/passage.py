"""Which visits pass a saddle: the distance of a visit from its stratum, unchanged by a common change of scale.

A visit is a local minimum of the gradient norm. Far from every critical point the flow only slows down there: iris from
weights of scale 0.5 has one or two such minima a trajectory, at |grad L| = 12.

The row of a visit has the loss L, |grad L| and the modes S that are nearest by D_W. Let k be the unfitted mode with the
largest singular value. Its weights grow to w = sigma_k^(1/(H+1)) in every layer. A mode whose weights are delta w in
all layers, delta small, has |grad L| = sqrt(H + 1) sigma_k w^H delta^H, so

    delta = (|grad L| / (sqrt(H + 1) sigma_k w^H))^(1/H)

estimates the distance to the stratum, relative to the size of the weights that the flow is about to grow. At a strict
saddle |grad L| is proportional to the distance itself, so delta is no smaller than it. At a non-strict one, such as
W = 0 for H >= 2, |grad L| is proportional to its H-th power, and delta equals it. Mode k holds the loss 1/2 sigma_k^2,
and a state whose loss is that far from the critical value is not near either:

    distance = max(delta, |L - L(S)| / (1/2 sigma_k^2)),      and a visit passes a saddle if distance <= NEAR.

Gaussian weights of scale 0.1 on (2,2,2,2), sigma = (2, 1), start at a median distance of 0.096 from W = 0, of scale
0.01 at 0.008. sigma -> c sigma with weights times c^(1/(H+1)) and times t c^(-2H/(H+1)) changes no distance.

In the raw flow the product of a fitted mode has the norm sigma_k / y_k, y_k = 1 / ||G^-T v_k|| (v_k: of the target's
SVD). So w = (sigma_k / y_k)^(1/(H+1)), and the unit of a gradient is sigma_k y_k w^H. X times c changes no distance
there either.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.landscapes.base import NEAR
from basins.landscapes.codes import CodeLayout
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]


def distance(problem: Problem, modes: NDArray[np.uint64], loss: ArrayLike, gradient_norm: ArrayLike) -> Array:
    """The distance of visits (M,) from their nearest strata, relative to the weights about to be grown, (M,).

    modes: bitmasks of S; loss: L; gradient_norm: |grad L|, of the visits. nan where one of them is not known, and where
    S has all modes, since the global minima are no saddles.
    """
    H, d_y, sigma = problem.H, problem.d_y, problem.sigma
    unfitted = CodeLayout(d_y).unpack(modes) == 0
    k = np.argmax(unfitted, axis=1)  # sigma falls: the first is the largest
    value = sigma[k]
    slope = np.asarray(gradient_norm, dtype=np.float64) / _unit(problem)[k]
    delta = (slope / np.sqrt(H + 1)) ** (1 / H)
    critical = 0.5 * (unfitted @ sigma**2)
    excess = np.abs(np.asarray(loss, dtype=np.float64) - critical) / (0.5 * value**2)
    found: Array = np.where(unfitted.any(axis=1), np.maximum(delta, excess), np.nan)
    return found


def passes(distance: ArrayLike) -> NDArray[np.bool_]:
    """Which visits pass a saddle, by their distance; one that is not known passes none."""
    near: NDArray[np.bool_] = np.asarray(distance, dtype=np.float64) <= NEAR
    return near


def _unit(problem: Problem) -> Array:
    """|grad L| for every mode (d_y,) where a layer's weights are of the size that fits it: sigma_k y_k w^H."""
    H, sigma = problem.H, problem.sigma
    y = np.ones(problem.d_y)
    if problem.gram_root is not None:
        assert problem.V_Y is not None
        y = 1 / np.linalg.norm(np.linalg.solve(problem.gram_root.T, problem.V_Y[:, : problem.d_y]), axis=0)
    unit: Array = sigma * y * (sigma / y) ** (H / (H + 1))
    return unit

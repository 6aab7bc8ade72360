"""What is looked at of states on their way: loss, gradient, the network's singular values, the nearest stratum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.base import NONE, Codes
from basins.landscapes.deep_linear import gradient, passage
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """Of states of any leading shape (...): loss (...), units of L; gradient_norm (...), units of L / W; singular
    (..., d_y): the network's singular values, in the coordinates in which the target has sigma; fitted (..., d_y): the
    diagonal of D_W, 1 where a mode is fitted; code (...): bitmask of the modes fitted by more than a half, those of the
    nearest stratum; rank (...): how many; distance (...): from that stratum, relative to the weights about to be grown.
    A state that is not finite has nan, code 0 and rank -1.
    """

    loss: Array
    gradient_norm: Array
    singular: Array
    fitted: Array
    code: Codes
    rank: NDArray[np.int16]
    distance: Array


def observe(problem: Problem, states: Array) -> Observed:
    """Look at states (..., n).

    distance: of a saddle stratum that of `Run.visits` (passage.py); of the global minima ||E|| / (sqrt(H + 1)
    sigma_min), the length of the step that fits the last mode where the layers are balanced, over their size.
    """
    shape, flat = states.shape[:-1], states.reshape(-1, problem.n)
    good = np.asarray(np.isfinite(flat).all(axis=-1))
    some = flat[good]
    there = problem.critical.evaluate(some)
    with np.errstate(over="ignore", invalid="ignore"):
        network = gradient.network(problem.unpack(some))
        if problem.gram_root is not None:
            network = network @ problem.gram_root
        fitted = problem.fitted(some)
        distance = passage.distance(problem, there.code, there.loss, there.gradient_norm)
        at_minima = np.sqrt(2 * there.loss) / (np.sqrt(problem.H + 1) * problem.sigma_min)
    full = there.rank == problem.d_y

    def spread(values: NDArray[Any], missing: float) -> NDArray[Any]:
        found = np.full((len(flat), *values.shape[1:]), missing, dtype=values.dtype)
        found[good] = values
        return found.reshape((*shape, *values.shape[1:]))

    return Observed(
        loss=spread(there.loss, np.nan),
        gradient_norm=spread(there.gradient_norm, np.nan),
        singular=spread(_singular_values(network), np.nan),
        fitted=spread(fitted, np.nan),
        code=spread(there.code, 0),
        rank=spread(there.rank.astype(np.int16), NONE),
        distance=spread(np.where(full, at_minima, distance), np.nan),
    )


def _singular_values(matrices: Array) -> Array:
    """Of (N, d_y, d_x), falling, (N, d_y); nan where a product overflowed."""
    finite = np.asarray(np.isfinite(matrices).all(axis=(-2, -1)))
    values = np.full((len(matrices), min(matrices.shape[1:])), np.nan)
    values[finite] = np.linalg.svd(matrices[finite], compute_uv=False)
    return values

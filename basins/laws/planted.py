"""Starts on the stable manifold of a saddle, and at a given distance beside it (theory.md 6.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from basins.errors import ArgumentError
from basins.keys import Key
from basins.landscapes.base import Landscape
from basins.landscapes.deep_linear.invariant_zeros import check_saddle, planted_zeros
from basins.landscapes.deep_linear.problem import Problem
from basins.laws.base import Law
from basins.laws.independent import Gaussian
from basins.laws.parameters import A_POSITIVE, A_SCALE, Scale, check_scales, deep_linear, modes_of, positive, scale_of
from basins.random.normals import normals
from basins.random.philox import Array

FITTED, MODES = "The modes that the saddles fit.", "a list of distinct whole numbers from 0"


@dataclass(frozen=True)
class Planted(Law):
    """Null: starts on the stable manifold of the saddles that fit `modes` (theory.md 6.7), otherwise as `Gaussian`.

    With S = modes (0-based positions in sigma), the S^c columns of W_1 among the first d_y and the S^c rows of W_{H+1}
    are zero, bitwise. The reduced flow keeps them zero, so the limit is on I_S. In other flows X X^T mixes the columns
    and the start escapes, so the law is refused there.
    """

    modes: Annotated[tuple[int, ...], Key(FITTED, "positions in sigma, from 0", [0], MODES)]
    scale: Annotated[Scale, Key("Standard deviation of the other entries.", "as weights", 0.5, A_SCALE)] = 1.0
    name: ClassVar[str] = "planted"
    null: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", modes_of(self.modes))
        object.__setattr__(self, "scale", scale_of(self.scale))

    def check(self, problem: Landscape) -> None:
        _check_plant(self.modes, self.scale, deep_linear(problem))

    def sample(self, problem: Landscape, q: Array) -> Array:
        W = Gaussian(self.scale).sample(problem, q)
        W[:, planted_zeros(deep_linear(problem), self.modes)] = 0.0
        return W


@dataclass(frozen=True)
class NearPlanted(Law):
    """Starts beside the stable manifold of the saddles that fit `modes`: as `Planted`, but the k zeros are replaced by
    normal entries of standard deviation distance / sqrt(k).

    distance: the root mean square of the Euclidean distance to the planted starts, a linear space of codimension k. The
    smaller it is, the more closely the starts pass those saddles. The law has a density, so it is not null. It tests
    the conjecture as any other law does, for its own mixture of starts, most of which are near one stable manifold.
    """

    modes: Annotated[tuple[int, ...], Key(FITTED, "positions in sigma, from 0", [0], MODES)]
    distance: Annotated[
        float, Key("Root mean square distance from the stable manifold.", "as weights", 1e-3, A_POSITIVE)
    ]
    scale: Annotated[Scale, Key("Standard deviation of the other entries.", "as weights", 0.5, A_SCALE)] = 1.0
    name: ClassVar[str] = "near_planted"

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", modes_of(self.modes))
        object.__setattr__(self, "distance", positive("distance", self.distance))
        object.__setattr__(self, "scale", scale_of(self.scale))

    def check(self, problem: Landscape) -> None:
        _check_plant(self.modes, self.scale, deep_linear(problem))

    def sample(self, problem: Landscape, q: Array) -> Array:
        W = Gaussian(self.scale).sample(problem, q)
        planted = planted_zeros(deep_linear(problem), self.modes)
        W[:, planted] = (self.distance / np.sqrt(np.count_nonzero(planted))) * normals(q[:, planted])
        return W


def _check_plant(modes: tuple[int, ...], scale: Scale, problem: Problem) -> None:
    """Raises ArgumentError unless a start may be planted on these modes, or beside them."""
    check_scales(scale, problem)
    if problem.flow != "reduced":
        raise ArgumentError(
            f"a planted start escapes in the {problem.flow} flow: X X^T mixes the columns of W_1",
            where="name",
            remedy='set flow = "reduced", or choose another law',
        )
    if modes and modes[-1] >= problem.d_y:
        raise ArgumentError(
            f"mode {modes[-1]} is not among 0..{problem.d_y - 1}",
            where="modes",
            remedy="modes are 0-based positions in sigma",
        )
    check_saddle(problem, modes, "modes")

"""Laws of independent entries: Gaussian, uniform, and the three whose variance follows from the widths."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from basins.errors import ArgumentError, nearest
from basins.keys import Key
from basins.landscapes.base import Landscape
from basins.landscapes.deep_linear.compression import factors
from basins.laws.base import Law
from basins.laws.parameters import A_POSITIVE, A_SCALE, Scale, check_scales, deep_linear, positive, scale_of
from basins.random.normals import normals
from basins.random.philox import Array

DRAWS = ("full", "compressed")


@dataclass(frozen=True)
class Gaussian(Law):
    """Independent normal entries of standard deviation `scale`, one for all layers or one per layer (W_1 first).

    draw: "full", or "compressed" to draw the compressed factors directly if a width shrinks (theory.md 4). This needs
    fewer numbers and gives the same law of all recorded values, but other points
    (landscapes/deep_linear/compression/factors.py).
    """

    scale: Annotated[Scale, Key("Standard deviation of the entries.", "as weights", 0.5, A_SCALE)]
    draw: Annotated[
        str,
        Key(
            "compressed: draw the factors that the flow can tell apart, fewer numbers for wide layers.",
            "",
            "compressed",
            '"full" or "compressed"',
        ),
    ] = "full"
    name: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", scale_of(self.scale))
        if self.draw not in DRAWS:
            raise ArgumentError(f"draw = {self.draw!r}", where="draw", remedy=nearest(self.draw, DRAWS))

    def canonical(self, problem: Landscape) -> dict[str, Any]:
        """As every law's; a full draw goes without saying."""
        return {key: value for key, value in super().canonical(problem).items() if (key, value) != ("draw", "full")}

    def check(self, problem: Landscape) -> None:
        check_scales(self.scale, problem)
        if self.draw == "compressed":
            factors.compression_of(deep_linear(problem))

    def draws(self, problem: Landscape) -> int:
        return factors.draws(deep_linear(problem)) if self.draw == "compressed" else problem.n

    def sample(self, problem: Landscape, q: Array) -> Array:
        scales = self.scale if isinstance(self.scale, tuple) else (self.scale,) * len(problem.layers)
        if self.draw == "compressed":
            return factors.sample(deep_linear(problem), scales, q)
        return _scaled(problem, normals(q), scales)


@dataclass(frozen=True)
class Uniform(Law):
    """Independent entries, uniform in [-box, box]."""

    box: Annotated[float, Key("Entries are uniform in [-box, box].", "as weights", 0.5, A_POSITIVE)]
    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", positive("box", self.box))

    def sample(self, problem: Landscape, q: Array) -> Array:
        return (2.0 * self.box) * q


@dataclass(frozen=True)
class _Fan(Law):
    """Independent normal entries whose variance follows from the layer's widths."""

    @staticmethod
    @abstractmethod
    def variance(fan_in: int, fan_out: int) -> float:
        """The variance of one entry of a layer with this many inputs and outputs."""

    def sample(self, problem: Landscape, q: Array) -> Array:
        variances = [self.variance(columns, rows) for rows, columns in problem.layers]
        return _scaled(problem, normals(q), tuple(float(np.sqrt(v)) for v in variances))


@dataclass(frozen=True)
class Lecun(_Fan):
    """Normal entries of variance 1 / fan_in, fan_in = d_{j-1} (LeCun et al., Efficient BackProp, 1998)."""

    name: ClassVar[str] = "lecun"

    @staticmethod
    def variance(fan_in: int, fan_out: int) -> float:
        return 1.0 / fan_in


@dataclass(frozen=True)
class He(_Fan):
    """Normal entries of variance 2 / fan_in, fan_in = d_{j-1} (He et al., 2015)."""

    name: ClassVar[str] = "he"

    @staticmethod
    def variance(fan_in: int, fan_out: int) -> float:
        return 2.0 / fan_in


@dataclass(frozen=True)
class Xavier(_Fan):
    """Normal entries of variance 2 / (fan_in + fan_out), d_{j-1} + d_j (Glorot and Bengio, 2010)."""

    name: ClassVar[str] = "xavier"

    @staticmethod
    def variance(fan_in: int, fan_out: int) -> float:
        return 2.0 / (fan_in + fan_out)


def _scaled(problem: Landscape, z: Array, scales: tuple[float, ...]) -> Array:
    """z (N, n) with layer j multiplied by scales[j - 1]."""
    entries = [rows * columns for rows, columns in problem.layers]
    weights: Array = z * np.repeat(np.array(scales), entries)
    return weights

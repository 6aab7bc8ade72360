"""A dynamics outside the package: explicit Euler of fixed step, W -> W - rate grad L, which is gradient descent.

One file: no line of basins knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.codegen.llvm_ir import Function, Index
from basins.codegen.vector_sums import combine, over_components
from basins.errors import ArgumentError
from basins.integrators.simd.fixed_step import emit_norms
from basins.landscapes.base import GradientCode, Landscape

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EulerStep:
    """The step as vector code: new = old + h rate slope, in one multiply-add a component."""

    rate: float

    def emit(self, code: GradientCode, lanes: int, velocity: Function) -> Function:
        f = Function("step", ("old", "slope", "new", "new_slope", "h", "scratch", "shared", "out"), lanes)
        size = f.mul(f.load(f["h"]), f.constant(self.rate))

        def move(at: Index, count: int, _: list[str]) -> list[str]:
            old, new = f.shift(f["old"], at, 1), f.shift(f["new"], at, 1)
            moved = combine(f, [f.load(old + i) for i in range(count)], [(size, f["slope"])], at)
            for i, value in enumerate(moved):
                f.store(value, new + i)
            return []

        over_components(f, code.n, [], move)
        f.call(velocity, f["new"], f["new_slope"], f["scratch"], f["shared"])
        emit_norms(f, code, f["new"], f["new_slope"], f["scratch"])
        return f


@dataclass(frozen=True)
class Euler:
    """A `Dynamics` (basins/dynamics/base.py)."""

    rate: float
    kind: str = "euler"
    time: str = "steps of gradient descent"
    continuous: bool = False
    conserves: bool = False
    potential: str | None = None
    equivariant: bool = True
    recheck: str = "gradient descent has no tolerances: its labels are those of the map itself, but for rounding"

    @property
    def text(self) -> str:
        return f"gradient descent, rate {self.rate:g}"

    @property
    def descent_rate(self) -> float:
        return self.rate

    def state_size(self, n: int) -> int:
        return n

    def begin(self, W: Array) -> Array:
        return W

    def step(self, landscape: Landscape, state: ArrayLike) -> Array:
        state = np.asarray(state, dtype=np.float64)
        moved: Array = state - self.rate * landscape.loss_and_gradient(state)[1]
        return moved

    def step_code(self) -> EulerStep:
        return EulerStep(self.rate)

    def to_dict(self) -> dict[str, Any]:
        return {"rate": self.rate}

    @classmethod
    def from_table(cls, values: Mapping[str, Any]) -> Euler:
        rate = dict(values).pop("rate", None)
        number = isinstance(rate, float | int) and not isinstance(rate, bool)
        if set(values) != {"rate"} or not number or not 0 < rate < np.inf:
            raise ArgumentError(f"{dict(values)}", where="rate", remedy="give a rate above zero, such as rate = 0.05")
        return cls(float(rate))

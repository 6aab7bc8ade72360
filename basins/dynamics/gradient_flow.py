"""The gradient flow dW/dt = -grad L: the dynamics of the paper, and of every experiment that names no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.landscapes.base import Landscape

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GradientFlow:
    """dW/dt = -grad L. Integrators follow it with methods of their own, so it has no step."""

    kind: str = "gradient_flow"
    text: str = "gradient flow"
    time: str = "time t of the gradient flow"
    continuous: bool = True
    conserves: bool = True
    potential: str | None = "loss"
    descent_rate: float | None = None
    equivariant: bool = True
    recheck: str = ""

    def state_size(self, n: int) -> int:
        return n

    def begin(self, W: Array) -> Array:
        return W

    def step(self, landscape: Landscape, state: ArrayLike) -> Array:
        raise NotImplementedError("a flow has no step: an integrator follows it")

    def step_code(self) -> None:
        return None

    def to_dict(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_table(cls, values: Mapping[str, Any]) -> GradientFlow:
        return cls()


FLOW = GradientFlow()

"""What a discrete dynamics need not say: members of the contract (base.py) with answers that claim the least.

A dynamics that derives from this class states its step. NumPy carries it out, one trajectory at a time; its states are
the weights alone; nothing is taken to be conserved, and states are not compressed. Whoever knows more overrides a
member: `step_code` for speed, `descent_rate` where the map is gradient descent, `equivariant` where it commutes with
orthogonal changes of coordinates, `state_size` and `begin` for a velocity or moments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.dataclass_tables import field_types, from_table
from basins.dynamics.base import StepCode
from basins.errors import ArgumentError
from basins.landscapes.base import Landscape

Array = NDArray[np.float64]


class DynamicsDefaults(ABC):
    """A discrete dynamics that is a frozen dataclass: its fields are the keys of [dynamics].

    A subclass states `step`.
    """

    time: ClassVar[str] = "steps"
    continuous: ClassVar[bool] = False
    conserves: ClassVar[bool] = False
    potential: ClassVar[str | None] = None
    equivariant: ClassVar[bool] = False

    @abstractmethod
    def step(self, landscape: Landscape, state: ArrayLike) -> Array:
        """The state after one step, shape of `state`."""

    def __post_init__(self) -> None:
        rate = self.descent_rate
        if rate is not None and not 0 < rate < np.inf:
            raise ArgumentError(f"rate = {rate!r}", where="rate", remedy="give a finite rate above zero")

    @property
    def kind(self) -> str:
        return type(self).__name__

    @property
    def text(self) -> str:
        return ", ".join([self.kind, *(f"{name} {value}" for name, value in self.to_dict().items())])

    @property
    def descent_rate(self) -> float | None:
        return None

    @property
    def recheck(self) -> str:
        return f"{self.kind} takes steps of its own: there is no tolerance to tighten"

    def state_size(self, n: int) -> int:
        return n

    def begin(self, W: Array) -> Array:
        return W

    def step_code(self) -> StepCode | None:
        return None

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in field_types(type(self))}

    @classmethod
    def from_table(cls, values: Mapping[str, Any]) -> Self:
        """The dynamics of these keys. Raises as `dataclass_tables.from_table` does."""
        return from_table(cls, values)

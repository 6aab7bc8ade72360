"""The contract of a law: its parameters, the problems that it accepts, and starts from uniform numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar

from basins.landscapes.base import Landscape
from basins.later import defaults_of_later_fields, without_defaults
from basins.random.philox import Array


class Law(ABC):
    """The probability measure of initial weights. Laws are frozen dataclasses; their fields are their
    parameters."""

    name: ClassVar[str]
    null: ClassVar[bool] = False

    def parameters(self) -> dict[str, Any]:
        """The parameters as given, JSON-able: `law_of(law.name, **law.parameters()) == law`.

        A parameter that was declared `LATER` is left out while it has its default (later.py).
        """
        given = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        given = without_defaults(given, defaults_of_later_fields(self))
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    def canonical(self, problem: Landscape) -> dict[str, Any]:
        """Name and parameters, one spelling a law: a scale given a layer and the same in each is that one
        scale."""
        parameters = self.parameters()
        scale = parameters.get("scale")
        if isinstance(scale, list) and len(set(scale)) == 1:
            parameters["scale"] = scale[0]
        return {"name": self.name, **parameters}

    def check(self, problem: Landscape) -> None:  # noqa: B027 - most laws make sense on every problem
        """Raises ArgumentError where this law makes no sense on the problem."""

    def draws(self, problem: Landscape) -> int:
        """Uniform numbers that one start takes."""
        return problem.n

    @abstractmethod
    def sample(self, problem: Landscape, q: Array) -> Array:
        """Starts (N, n) of centred uniforms q (N, draws) in (-1/2, 1/2), row by row."""

"""Dynamics by their import path, "module:Class", so that a worker finds one that is outside the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basins.dynamics.base import Dynamics, DynamicsClass
from basins.dynamics.gradient_flow import FLOW
from basins.errors import ArgumentError
from basins.import_path import class_at


def import_path(dynamics: Dynamics) -> str:
    """The import path of a dynamics' class; "" for the gradient flow. Raises ArgumentError for a class that no worker
    could import: one of a notebook or a script, or inside a function."""
    if dynamics == FLOW:
        return ""
    kind = type(dynamics)
    if kind.__module__ == "__main__" or "." in kind.__qualname__:
        what = f"workers cannot import {kind.__qualname__}"
        raise ArgumentError(what, where="dynamics", remedy="put the class into a module of its own")
    return f"{kind.__module__}:{kind.__qualname__}"


def dynamics_of(kind: str, values: Mapping[str, Any]) -> Dynamics:
    """The dynamics whose class has this import path, with these parameters; the gradient flow for "".

    Raises ArgumentError for a class that is not there, is no dynamics', or is continuous: integrators follow the
    gradient flow alone.
    """
    if not kind:
        return FLOW
    there: DynamicsClass = class_at(kind, ("from_table", "begin", "step", "step_code"), "dynamics")
    found = there.from_table(values)
    if found.continuous:
        what = f"{kind} is continuous, and the gradient flow is the one flow that integrators follow"
        raise ArgumentError(what, where="kind", remedy="give a discrete dynamics, or take [dynamics] out")
    return found

"""What Python hands over, checked: numbers, names, laws and problems, each refused in a line of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from basins.dynamics.base import Dynamics
from basins.errors import ArgumentError
from basins.experiment.document import short
from basins.landscapes.deep_linear.problem import Problem
from basins.laws import Law

A_PROBLEM = "give a basins.Problem: basins.Problem.from_data(X, Y, hidden=...) or .from_spectrum(...)"
A_LAW = "give a law, such as basins.Gaussian(0.5)"


def plain(value: Any) -> Any:
    """The value as TOML would have it: numbers of numpy as Python's, arrays, tuples and ranges as lists, paths as
    texts."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(inner) for inner in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def whole(name: str, value: Any) -> int:
    """The value as a whole number of at least 1. Raises ArgumentError."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number < 1 << 53:
        remedy = "give a whole number of at least 1, below 2^53"
        if isinstance(number, float) and 1 <= number < 1e15:
            remedy += f", such as {int(number):_}"
        raise ArgumentError(f"{short(value)}", where=name, remedy=remedy)
    return number


def a_path(name: str, value: Any) -> str | os.PathLike[str]:
    """The value as a path or a URI. Raises ArgumentError."""
    if not isinstance(value, str | os.PathLike):
        raise ArgumentError(short(value), where=name, remedy="give the path of a file or folder, as text or as a Path")
    return value


def a_name(value: Any) -> str:
    """The value as a name. Raises ArgumentError unless it is a text."""
    if not isinstance(value, str):
        raise ArgumentError(short(value), where="name", remedy="give a text")
    return value


def a_law(value: Any) -> Law:
    """The value as a law. Raises ArgumentError for anything else: its class, its name, a path."""
    if not isinstance(value, Law):
        raise ArgumentError(f"{_kind(value)} is no law", where="law", remedy=A_LAW)
    return value


def a_problem(value: Any) -> Problem:
    """The value as a problem. Raises ArgumentError for anything else: an array, a path, another landscape."""
    if isinstance(value, Problem):
        return value
    if hasattr(value, "gradient_code"):
        remedy = 'name its class: basins.Experiment(landscape={"kind": "module:Class", ...}, law=..., n=...)'
        raise ArgumentError(f"{_kind(value)} is no deep linear network", where="problem", remedy=remedy)
    remedy = A_PROBLEM
    if isinstance(value, str | os.PathLike):
        remedy = "give a basins.Problem; of a TOML file, basins.Experiment.from_toml(path) or basins.run(path)"
    raise ArgumentError(f"{_kind(value)} is no problem", where="problem", remedy=remedy)


def a_dynamics(value: Any) -> Dynamics:
    """The value as a dynamics. Raises ArgumentError for anything else: its class, its import path."""
    members = ("begin", "step", "step_code", "to_dict", "descent_rate")
    if isinstance(value, type) or not all(hasattr(value, name) for name in members):
        remedy = "give an object of a dynamics' class (basins.dynamics.base), or leave it out for the gradient flow"
        raise ArgumentError(f"{_kind(value)} is no dynamics", where="dynamics", remedy=remedy)
    found: Dynamics = value
    return found


def _kind(value: Any) -> str:
    """A value of a wrong type, in a few words: the value where it is short, else its type."""
    if value is None or isinstance(value, str | os.PathLike | bool | int | float):
        return short(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"a value of type {type(value).__name__}"

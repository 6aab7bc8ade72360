"""Validation of the laws' parameters, by themselves and for a problem."""

from __future__ import annotations

from typing import Any

import numpy as np

from basins.errors import ArgumentError
from basins.landscapes.base import Landscape
from basins.landscapes.deep_linear.problem import Problem

Scale = float | tuple[float, ...]
"""One standard deviation for all layers, or one per layer, that of W_1 first."""

A_POSITIVE = "a number above zero"
A_SCALE = "a number above zero, or a list of one for each layer, that of W_1 first"


def positive(name: str, value: Any) -> float:
    """The value as a number. Raises ArgumentError unless it is above zero and finite."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not 0 < value <= float(np.finfo(np.float64).max):
        raise ArgumentError(f"{name} = {value!r}", where=name, remedy=f"give a {name} above zero and finite")
    return float(value)


def scale_of(value: Any) -> Scale:
    """The value as a scale. Raises ArgumentError unless its numbers are above zero and finite."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(positive("scale", one) for one in value)
    return positive("scale", value)


def modes_of(value: Any) -> tuple[int, ...]:
    """The value as modes, rising. Raises ArgumentError unless they are distinct whole numbers from 0."""
    whole = isinstance(value, (list, tuple, set, frozenset, range)) and all(
        isinstance(i, (int, np.integer)) and not isinstance(i, bool) and i >= 0 for i in value
    )
    if not whole or len(set(value)) != len(value):
        raise ArgumentError(
            f"modes = {value!r}",
            where="modes",
            remedy="give distinct 0-based positions in sigma, such as [0]",
        )
    return tuple(sorted(int(i) for i in value))


def deep_linear(problem: Landscape) -> Problem:
    """The landscape of a law that is written for deep linear networks. Raises ArgumentError for another one."""
    if not isinstance(problem, Problem):
        raise ArgumentError(
            f"a law of deep linear networks, and the landscape is {problem.kind}",
            where="name",
            remedy="choose a law of independent weights, such as gaussian",
        )
    return problem


def check_scales(scale: Scale, problem: Landscape) -> None:
    """Raises ArgumentError for scales that are not one a layer."""
    if isinstance(scale, tuple) and len(scale) != len(problem.layers):
        raise ArgumentError(
            f"{len(scale)} scale(s) for {len(problem.layers)} layers",
            where="scale",
            remedy=f"give one scale, or {len(problem.layers)}, that of W_1 first",
        )

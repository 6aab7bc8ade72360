"""The memory that a tier's rows are carried in, one row at a time or a row in each lane."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from basins.codegen.vectors import zeros
from basins.proof.log_norm import Node, node_for
from basins.proof.models import Models, models_for
from basins.proof.shape import Array, Shape
from basins.proof.steps import GOES_ON, Tier


class Path(NamedTuple):
    """Taylor coefficients: W (p + 1, n), S, E, F (p, ...), and their lower parts if the arithmetic is in pairs."""

    W: Array
    S: Array
    E: Array
    F: Array
    W_low: Array
    S_low: Array
    E_low: Array
    F_low: Array


class Scratch(NamedTuple):
    """C, C_tube (m, m), J (3, m), b (m,), v (2, m); N and L (n, n) for Cholesky, else empty."""

    C: Array
    C_tube: Array
    J: Array
    b: Array
    v: Array
    N: Array
    L: Array


class Knots(NamedTuple):
    """The enclosures of one row, for those who check them: h (K,) the step that led to each, W and W_low (K, n) whose
    sum is the centre, error (K,) the radius. Empty: not kept."""

    h: Array
    W: Array
    W_low: Array
    error: Array


class Ended(NamedTuple):
    """Of N rows at their last knot: code (above), t, error: the enclosure's radius, margin: the radius the test would
    have allowed there, growth: the sum of the steps' bounds of int lambda_max(-Hess L), steps."""

    code: Any
    t: Array
    error: Array
    margin: Array
    growth: Array
    steps: Any


def path_for(shape: Shape, tier: Tier) -> Path:
    p, n, s, e = tier.p, int(shape.at[-1]), int(shape.s_at[-1]), int(shape.d[-1] * shape.d[0])
    sizes = [(p + 1, n), (p, s), (p, e), (p, s)]
    W, S, E, F = (np.zeros(size) for size in sizes)
    W_low, S_low, E_low, F_low = (np.zeros(size if tier.pairs else (size[0], 0)) for size in sizes)
    return Path(W, S, E, F, W_low, S_low, E_low, F_low)


def scratch_for(shape: Shape, tier: Tier) -> Scratch:
    m = shape.m
    square = (int(shape.at[m]),) * 2 if tier.cholesky else (0, 0)
    return Scratch(
        np.zeros((m, m)), np.zeros((m, m)), np.zeros((3, m)), np.zeros(m), np.zeros((2, m)),
        np.zeros(square), np.zeros(square),
    )  # fmt: skip


def ended_for(N: int) -> Ended:
    code, steps = np.full(N, GOES_ON, dtype=np.int64), np.zeros(N, dtype=np.int64)
    return Ended(code, np.zeros(N), np.zeros(N), np.zeros(N), np.zeros(N), steps)


def work_for(shape: Shape, tier: Tier) -> tuple[Path, Models, Node, Scratch]:
    """The memory of one row."""
    return path_for(shape, tier), models_for(shape, tier.p), node_for(shape, tier.pairs), scratch_for(shape, tier)


def work_in_lanes(shape: Shape, tier: Tier) -> tuple[Path, Models, Node, Scratch]:
    """The same for a row in each lane: every number of `work_for` becomes one of each lane."""
    path, models, node, scratch = work_for(shape, tier)
    return (
        Path(*(zeros(*one.shape) for one in path)),
        Models(*(zeros(*one.shape) for one in models)),
        Node(*(zeros(*one.shape) for one in node)),
        Scratch(*(zeros(*one.shape) for one in scratch)),
    )

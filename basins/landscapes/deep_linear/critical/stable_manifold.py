"""Starts on a saddle's stable manifold that floating point keeps there, and starts at a given distance from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError, AssumptionError
from basins.landscapes.deep_linear.invariant_zeros import check_saddle, planted_zeros
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]
Plant = Literal["zeros", "diagonal"]
PLANTS: tuple[Plant, ...] = ("zeros", "diagonal")


def on_stable_manifold(
    problem: Problem,
    S: Iterable[int],
    kind: Plant = "zeros",
    *,
    seed: int,
    scale: float = 1.0,
    distance: float = 0.0,
) -> Array:
    """A random start (n,) whose limit under the reduced flow fits exactly the modes S, moved by `distance`.

    kind "zeros" (theory.md 6.7, any H): the S^c columns of W_1 (among the first d_y) and the S^c rows of W_{H+1} are
    zero, the other entries normal of standard deviation `scale`. The flow keeps these zeros bitwise, so the start stays
    on the manifold for ever. With probability one its limit is on I_S.

    kind "diagonal" (theory.md 6.8, H = 1): W_1 and W_2 are diagonal, with (W_2)_jj = -(W_1)_jj for j in S^c, and of one
    sign for j in S. No entry need be zero. The start stays only if the integrator rounds every component alike, as
    numpy's elementwise arithmetic does. scipy's explicit methods sum their stages in a BLAS whose rounding depends on
    the position, and from shapes such as (4, 5, 3) the start escapes before t = 100. So it is a control for numerical
    escape, not an oracle.

    distance: Euclidean length of a move in a direction that is uniform on the sphere. The direction has a random stream
    of its own, so the same seed gives the same planted start and the same direction at every distance. The distance
    from the stable manifold is at most this. Without a distance the law is null; with one it has a density. `construct`
    gives critical points of the saddle itself.

    Raises AssumptionError in the raw flow, where X X^T mixes the columns and the start escapes, and for "diagonal" with
    H > 1; ArgumentError for modes that are not there or are all there are (`check_saddle`), an unknown kind, and a
    scale or distance without meaning.
    """
    modes = problem.strata().of(S).modes
    _check(problem, modes, kind, scale, distance)
    planted = np.random.Generator(np.random.Philox(key=np.array([seed, 0], dtype=np.uint64)))
    if kind == "zeros":
        W = scale * planted.standard_normal(problem.n)
        W[planted_zeros(problem, modes)] = 0.0
    else:
        first, last = scale * np.abs(planted.standard_normal((2, problem.d_y)))
        unfitted = [i for i in range(problem.d_y) if i not in modes]
        last[unfitted] = -first[unfitted]
        W_1, W_2 = (np.zeros(shape) for shape in problem.shapes)
        i = np.arange(min(problem.d_y, problem.hidden[0]))
        W_1[i, i], W_2[i, i] = first[i], last[i]
        W = problem.pack([W_1, W_2])
    if distance > 0:
        off = np.random.Generator(np.random.Philox(key=np.array([seed, 1], dtype=np.uint64)))
        direction = off.standard_normal(problem.n)
        W = W + (distance / float(np.linalg.norm(direction))) * direction
    return W


def _check(problem: Problem, modes: tuple[int, ...], kind: str, scale: float, distance: float) -> None:
    if kind not in PLANTS:
        raise ArgumentError(f"unknown kind {kind!r}", where="kind", remedy=f"choose one of {', '.join(PLANTS)}")
    if problem.flow != "reduced":
        raise AssumptionError(
            f"a planted start escapes in the {problem.flow} flow: X X^T mixes the columns of W_1 (theory.md 6.7)",
            where="on_stable_manifold",
            remedy='make the problem with flow = "reduced"',
        )
    if kind == "diagonal" and problem.H != 1:
        raise AssumptionError(
            f"H = {problem.H}: the diagonal start is for one hidden layer (theory.md 6.8)",
            where="kind",
            remedy='ask for kind="zeros"',
        )
    check_saddle(problem, modes, "S")
    if not (np.isfinite(scale) and scale > 0):
        raise ArgumentError(f"scale = {scale!r}", where="scale", remedy="a scale is positive and finite")
    if not (np.isfinite(distance) and distance >= 0):
        raise ArgumentError(f"distance = {distance!r}", where="distance", remedy="give a length, zero or more")

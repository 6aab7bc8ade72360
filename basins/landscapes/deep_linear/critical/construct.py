"""Exact critical points of any kind, random otherwise.

Up to invertible changes of basis at the hidden nodes, a critical point is a fitted part (W_l =
diag(sigma_S)^{1/(H+1)} in every layer) beside segments (ranks.py), which are runs of nodes with ones on their arrows.
So segments are drawn, and then bases. No equation is solved, and every rank pattern that the widths allow can occur.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError, AssumptionError
from basins.landscapes.deep_linear.critical.ranks import Segments, covers, state_of_paper_layers
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]
Wanted = Literal["strict", "nonstrict", "minimum"]
WANTED: tuple[Wanted, ...] = ("strict", "nonstrict", "minimum")


def construct(problem: Problem, S: Iterable[int], kind: Wanted = "strict", *, seed: int) -> Array:
    """A random critical point (n,) of this kind that fits exactly the modes S. Its gradient is zero to rounding.

    kind: "strict" or "nonstrict" saddle (theory.md 5), or "minimum" (global, with all modes in S). Bases at the hidden
    nodes have singular values in [0.6, 1.6], so no singular value that decides a rank is small by accident.

    Raises ArgumentError for an unknown kind, for a mode that is not there, and for a kind that no critical point with
    this S has; AssumptionError for a non-strict saddle with H = 1, where there is none (Proposition 5).
    """
    modes = _modes(problem, S)
    _check_kind(problem, modes, kind)
    rng = np.random.Generator(np.random.Philox(key=seed))
    pattern = random_segments(problem, modes, kind, rng)
    return state_of_paper_layers(problem, _layers(problem, modes, pattern, rng))


def random_segments(problem: Problem, modes: tuple[int, ...], kind: Wanted, rng: np.random.Generator) -> Segments:
    """Random segments that fill the widths which the fitted modes leave, made by joining ends to starts."""
    H, r = problem.H, len(modes)
    width = [problem.d_y - r, *(d - r for d in problem.hidden)]
    pattern = Pattern(H, width)
    if kind == "strict" and _is_prefix(modes):
        # Two segments that cover the cycle between them: node a and the p - 1 after it, and the rest.
        a, p = int(rng.integers(H + 1)), int(rng.integers(1, H + 1))
        for start, length in ((a, p), ((a + p) % (H + 1), H + 1 - p)):
            for k in range(1, length):
                pattern.join((start, k), ((start + k) % (H + 1), 1))
    for _ in range(int(rng.integers(0, 2 * sum(width) + 1))):
        joint = pattern.possible_joints(longest=H)
        if not joint:
            break
        left, right = joint[int(rng.integers(len(joint)))]
        pattern.join(left, right)
        # A joint makes one segment longer, so it can only cover more; it may use up the two that make the
        # point strict.
        strict = bool(covers(pattern.count, H)) or not _is_prefix(modes)
        if kind != "minimum" and strict != (kind == "strict"):
            pattern.cut(left, right)
    return pattern.count


class Pattern:
    """Segments while they are joined: {(start, length): count}."""

    def __init__(self, H: int, width: list[int]) -> None:
        self.N = H + 1
        self.count: Segments = {(node, 1): m for node, m in enumerate(width) if m}

    def possible_joints(self, longest: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Pairs of segments, the second starting where the first ends, together of at most `longest`
        nodes."""
        return [
            (left, right)
            for left in self.count
            for right in self.count
            if (left[0] + left[1]) % self.N == right[0] and left[1] + right[1] <= longest
        ]

    def join(self, left: tuple[int, int], right: tuple[int, int]) -> None:
        self._add(left, -1)
        self._add(right, -1)
        self._add((left[0], left[1] + right[1]), 1)

    def cut(self, left: tuple[int, int], right: tuple[int, int]) -> None:
        self._add((left[0], left[1] + right[1]), -1)
        self._add(left, 1)
        self._add(right, 1)

    def _add(self, segment: tuple[int, int], change: int) -> None:
        count = self.count.get(segment, 0) + change
        if count:
            self.count[segment] = count
        else:
            del self.count[segment]


def _layers(problem: Problem, modes: tuple[int, ...], pattern: Segments, rng: np.random.Generator) -> list[Array]:
    """The layers in the paper's coordinates: fitted part and segments, then a random basis at every node."""
    H, d_x, d_y, r = problem.H, problem.d_x, problem.d_y, len(modes)
    unfitted = [i for i in range(d_y) if i not in modes]
    width = [d_y - r, *(d - r for d in problem.hidden)]
    rest = [np.zeros((width[(j + 1) % (H + 1)], width[j])) for j in range(H + 1)]  # rest[j] is the arrow from node j
    used = [0] * (H + 1)  # basis vectors at each node that a segment has taken
    for (start, length), count in sorted(pattern.items()):
        for _ in range(count):
            nodes = [(start + k) % (H + 1) for k in range(length)]
            for here, there in pairwise(nodes):
                rest[here][used[there], used[here]] = rng.uniform(0.5, 1.5)
            for node in nodes:
                used[node] += 1

    # Node 0: a basis g of the unfitted modes. Outputs carry Sigma^{-1} g Sigma, so that Sigma W_{H+1} changes
    # by g as W_1 does.
    g, g_inverse = _basis(d_y - r, rng)
    sigma = problem.sigma[unfitted]
    rest[0] = rest[0] @ g_inverse
    rest[H] = (g @ rest[H]) / sigma[:, None] * (sigma.max() if len(sigma) else 1.0)

    share = problem.sigma[list(modes)] ** (1 / (H + 1))
    layers: list[Array] = []
    inverse = np.eye(0)
    for j in range(H + 1):
        rows = r + width[j + 1] if j < H else d_y
        columns = r + width[j] if j > 0 else d_x
        W_j = np.zeros((rows, columns))
        at_output = [*modes, *unfitted] if j == H else list(range(rows))
        at_input = [*modes, *unfitted] if j == 0 else list(range(columns))
        W_j[np.ix_(at_output[:r], at_input[:r])] = np.diag(share)
        W_j[np.ix_(at_output[r:], at_input[r:])] = rest[j]
        if j == 0 and d_x > d_y:  # further inputs may enter anywhere outside the fitted part (RW_{1,2} = 0)
            W_j[r:, d_y:] = _of_random_rank(rows - r, d_x - d_y, rng)
        if j > 0:
            W_j = W_j @ inverse
        if j < H:
            basis, inverse = _basis(rows, rng)
            W_j = basis @ W_j
        layers.append(W_j)
    return layers


def _basis(d: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """A random invertible (d, d) matrix with singular values in [0.6, 1.6], and its inverse."""
    left, right = (np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(2))
    s = rng.uniform(0.6, 1.6, d)
    return (left * s) @ right.T, (right / s) @ left.T


def _of_random_rank(rows: int, columns: int, rng: np.random.Generator) -> Array:
    rank = int(rng.integers(0, min(rows, columns) + 1))
    product: Array = rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, columns))
    product /= np.sqrt(max(rank, 1))
    return product


def _is_prefix(modes: tuple[int, ...]) -> bool:
    """Whether S = {1..r} (0-based: 0, ..., r - 1)."""
    return modes == tuple(range(len(modes)))


def _modes(problem: Problem, S: Iterable[int]) -> tuple[int, ...]:
    return problem.strata().of(S).modes


def _check_kind(problem: Problem, modes: tuple[int, ...], kind: str) -> None:
    where, every = "kind", len(modes) == problem.d_y
    if kind not in WANTED:
        raise ArgumentError(f"unknown kind {kind!r}", where=where, remedy=f"choose one of {', '.join(WANTED)}")
    if kind == "minimum" and not every:
        raise ArgumentError(
            f"a critical point that fits only the modes {set(modes) or '{}'} is a saddle",
            where=where,
            remedy=f"a minimum fits all {problem.d_y} modes; ask for strict or nonstrict",
        )
    if kind != "minimum" and every:
        raise ArgumentError(
            "a critical point that fits every mode is a global minimum", where=where, remedy='ask for kind="minimum"'
        )
    if kind == "nonstrict" and problem.H == 1:
        raise AssumptionError(
            "H = 1: with one hidden layer every saddle is strict (Proposition 5)",
            where=where,
            remedy="ask for strict, or give two hidden layers or more",
        )
    if kind == "nonstrict" and not _is_prefix(modes):
        missing = next(i for i in range(problem.d_y) if i not in modes)
        raise ArgumentError(
            f"S = {set(modes)} leaves out mode {missing} but fits a smaller one, so the saddle is strict (theory.md 5)",
            where=where,
            remedy=f"a non-strict saddle fits the largest modes, as {set(range(len(modes)))} does",
        )

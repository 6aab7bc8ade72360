"""The compressed state: exact smaller coordinates, in which the flow is the same (theory.md 4).

Two reductions of a width are exact and commute with the flow: the flow of the compressed start is the compressed flow.

- Input (reduced flow). The target's columns beyond the first d_y are zero, so the last e = d_x - d_y columns of W_1,
  W_{1,2}, follow dW_{1,2}/dt = -A_1^T A_1 W_{1,2}, and act on the rest only through W_{1,2} W_{1,2}^T. With
  W_{1,2} = L Q, Q constant with orthonormal rows, L (d_1, min(d_1, e)) follows the same equation: q_0 =
  min(d_x, d_1 + d_y) columns are enough for W_1.
- Hidden layer j. The d_{j-1} columns of W_j and the d_{j+1} rows of W_{j+1} span at most q_j = d_{j-1} + d_{j+1} of d_j
  dimensions, and stay in that span: dW_j/dt = W_{j+1}^T (...), dW_{j+1}/dt = (...) W_j^T. With W_j = Q^T a and
  W_{j+1} = b Q, Q constant with orthonormal rows, (a, b) follows the flow of width q_j.

In both, m vectors of d > m dimensions, the lines, are written in an orthonormal frame Q of what they span at the start.
Loss, gradient norm, ||W_j||, D_W and ||C_j(t) - C_j(0)|| are those of the original state. Zeros planted in the first
d_y columns of W_1 and in rows of W_{H+1} (theory.md 6.7) are zeros of the compressed state, bitwise, and of the
expanded one. Of two neighbouring widths at most one shrinks, so each is reduced by itself.

Exact means to rounding. The last bits of LAPACK's factorisations depend on the CPU, so the frames are made by
Gram-Schmidt in a stated order (frames.py), row by row. A row's bytes depend on neither CPU nor batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]

SMALLER = 1.5
"""A compression by less than this does not pay for its frames: the error norm of a step is taken over fewer components,
which costs a few per cent more steps."""

SOON = 50
"""Frames must pay for themselves within this many evaluations. Short trajectories take about 60."""


def compressed_widths(problem: Problem) -> tuple[int, ...]:
    """(q_0, ..., q_H, d_y): q_0 = min(d_x, d_1 + d_y) in the reduced flow, q_j = min(d_j, d_{j-1} + d_{j+1})."""
    d = problem.widths
    first = d[0] if problem.flow == "raw" else min(d[0], d[1] + d[-1])
    return (first, *(min(d[j], d[j - 1] + d[j + 1]) for j in range(1, len(d) - 1)), d[-1])


def compression(problem: Problem) -> Compression | None:
    """The problem's compression, or None where none pays."""
    found = Compression.of(problem)
    return found if found.pays else None


@dataclass(frozen=True)
class Compression:
    """original: the problem as posed; problem: the one of the compressed states, same sigma and flow."""

    original: Problem
    problem: Problem

    @classmethod
    def of(cls, problem: Problem) -> Compression:
        """The compression whether or not it pays; the identity where nothing shrinks."""
        widths = compressed_widths(problem)
        target = np.ascontiguousarray(problem.target[:, : widths[0]])
        return cls(problem, replace(problem, widths=widths, target=target, digest=f"{problem.digest} compressed"))

    @property
    def pays(self) -> bool:
        """Whether integrating the compressed states takes less time, frames included."""
        return self.original.n >= SMALLER * self.problem.n and self.break_even <= SOON

    @property
    def break_even(self) -> float:
        """The number of evaluations of the vector field after which the frames have paid for themselves, by
        multiply-adds: they cost 3 d m^2 for m lines of d dimensions (made twice, applied once), and each evaluation
        saves 3 d_y for each number that is left out."""
        frames = sum(d * m * m for d, m in self.triangles())
        return frames / (self.original.d_y * max(1, self.original.n - self.problem.n))

    @property
    def landscape(self) -> Problem:
        """The landscape of the compressed states."""
        return self.problem

    def compress(self, W: Array) -> Array:
        """The compressed states (N, n') of W (N, n)."""
        from basins.landscapes.deep_linear.compression import frames

        small = np.empty((len(W), self.problem.n))
        self._copy_kept(self.original, W, self.problem, small)
        for lines, coordinates in zip(self._lines(self.original, W), self._lines(self.problem, small), strict=True):
            frames.coordinates(*lines, *coordinates)
        return small

    def expand(self, small: Array, starts: Array) -> Array:
        """The states (N, n) whose compressed ones are small (N, n'), on the trajectories from starts (N, n)."""
        from basins.landscapes.deep_linear.compression import frames

        W = np.empty((len(small), self.original.n))
        self._copy_kept(self.problem, small, self.original, W)
        for from_lines, coordinates, lines in zip(
            self._lines(self.original, starts),
            self._lines(self.problem, small),
            self._lines(self.original, W),
            strict=True,
        ):
            frames.vectors(*from_lines, *coordinates, *lines)
        return W

    def triangles(self) -> list[tuple[int, int]]:
        """(d, m) for each width that shrinks: m lines of d dimensions, whose coordinates start as a triangle."""
        d, q, kept = self.original.widths, self.problem.widths, self.original.d_y
        return [(d[j], q[j]) if j else (d[0] - kept, q[0] - kept) for j in self._shrunk()]

    def embed(self, small: Array) -> Array:
        """The states (N, n) with compressed ones small (N, n') whose frames are the first axes: the simplest of all."""
        W = np.zeros((len(small), self.original.n))
        self._copy_kept(self.problem, small, self.original, W)
        for coordinates, lines in zip(self.lines(small), self._lines(self.original, W), strict=True):
            for y, x in zip(coordinates, lines, strict=True):
                x[..., : y.shape[-1]] = y
        return W

    def lines(self, small: Array) -> list[tuple[Array, Array]]:
        """For each width that shrinks, its lines' coordinates as views of compressed states: (N, p, m), (N, q, m)."""
        return list(self._lines(self.problem, small))

    def _shrunk(self) -> list[int]:
        """Positions of the widths that shrink; never two neighbours."""
        pairs = zip(self.original.widths, self.problem.widths, strict=True)
        return [j for j, (d, q) in enumerate(pairs) if q < d]

    def _copy_kept(self, source: Problem, W: Array, target: Problem, out: Array) -> None:
        """Copy the layers and columns that no reduction touches."""
        shrunk = self._shrunk()
        for j, (W_j, out_j) in enumerate(zip(source.unpack(W), target.unpack(out), strict=True)):
            if j == 0 and 0 in shrunk:
                out_j[..., : source.d_y] = W_j[..., : source.d_y]
            elif j not in shrunk and j + 1 not in shrunk:
                out_j[...] = W_j

    def _lines(self, problem: Problem, W: Array) -> Iterator[tuple[Array, Array]]:
        """The lines of each width that shrinks, (N, p, d) and (N, q, d): views of states W (N, n) of either problem."""
        layers = problem.unpack(W)
        for j in self._shrunk():
            if j == 0:  # the rows of W_{1,2}
                rows = layers[0][..., problem.d_y :]
                yield rows, rows[:, :0]
            else:  # the columns of W_j, the rows of W_{j+1}
                yield layers[j - 1].mT, layers[j]

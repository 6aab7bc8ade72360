"""Gaussian starts drawn in compressed form: the compressed factors directly (theory.md 4).

Lines of independent normals, written in the frame of what they span (states.py), are a triangle. Line k has normals
before the diagonal, and on it a chi number of d - k degrees of freedom, the norm of what the lines before it leave
(Bartlett). So a start of n numbers takes n' draws. Many points share this triangle; the one that is drawn has the first
axes as its frame. All that is recorded of its trajectory has the same law as for a full draw, but the same id is
another point.
"""

from __future__ import annotations

import numpy as np

from basins.errors import ArgumentError
from basins.landscapes.deep_linear.compression import Compression, chi
from basins.landscapes.deep_linear.problem import Problem
from basins.random.normals import normals
from basins.random.philox import Array


def compression_of(problem: Problem) -> Compression:
    """The problem's compression. Raises ArgumentError where nothing shrinks."""
    found = Compression.of(problem)
    if found.problem.n == problem.n:
        what = f"widths {problem.widths} have nothing to compress"
        raise ArgumentError(what, where="draw", remedy='set draw = "full"')
    return found


def draws(problem: Problem) -> int:
    """How many uniforms one start takes: one for each number of the compressed state, and those of the chi numbers.
    Raises ArgumentError where nothing shrinks."""
    small = compression_of(problem)
    return small.problem.n + sum(chi.draws(d - k) for d, m in small.triangles() for k in range(m))


def sample(problem: Problem, scales: tuple[float, ...], q: Array) -> Array:
    """Starts (N, n) of centred uniforms q (N, draws), entries of layer j of standard deviation scales[j - 1]."""
    small = compression_of(problem)
    n = small.problem.n
    state = normals(np.ascontiguousarray(q[:, :n]))
    at = n
    for (d, m), lines in zip(small.triangles(), small.lines(state), strict=True):
        line = [part[:, k] for part in lines for k in range(part.shape[1])]  # views (N, m) of state
        for k in range(m):
            taken = chi.draws(d - k)
            line[k][:, k] = chi.chi(np.ascontiguousarray(q[:, at : at + taken]), d - k)
            line[k][:, k + 1 :] = 0.0
            at += taken
    entries = [rows * columns for rows, columns in small.problem.shapes]
    return small.embed(state * np.repeat(np.array(scales), entries))

"""Loss, gradient norm, layer norms, D_W and drift of a batch of states, with the same bytes on any CPU.

`classification.verdict.judge` evaluates the ends of every engine here, so that labels do not depend on where a row was
integrated. The formulas are gradient.py's, in the same association. numpy's matmul passes even the smallest matrices to
BLAS, whose last bits depend on the CPU: OpenBLAS's kernels for Haswell and for Sandy Bridge differ on 4 x 5 matrices.
Here every + - * is rounded by itself, sums run over rising indices, and no two rows are mixed. So a row's bytes depend
on neither CPU nor batch.

Formulas are written once for each shape, as a list of sums of products over numbered lines of memory (`Formulas`). A
line holds one number of every row. One compiled loop runs the list, whatever the shape.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basins.jit_cache import njit
from basins.landscapes.deep_linear.problem import Array, Problem
from basins.landscapes.lengths import sum_in_order

Integers = NDArray[np.int64]

SIDE_BY_SIDE = 32
"""Rows evaluated at a time, if their lines fit into BUFFER bytes. It changes speed and no byte."""
BUFFER = 1 << 24


class Values(NamedTuple):
    """Of N states: loss (N,); mode_losses (N, d_y): 1/2 ||row i of E||^2, whose sum is the loss; gradient_norm (N,);
    squares (N, H + 1): ||W_j||^2; fitted (N, d_y): the diagonal of D_W (Lemma 3.2)."""

    loss: Array
    mode_losses: Array
    gradient_norm: Array
    squares: Array
    fitted: Array


def evaluate(problem: Problem, W: Array) -> Values:
    """The values of states W (N, n). A number that overflows is inf or nan."""
    d_y = problem.d_y
    found = _run(_of_state(problem.widths, problem.gram_root is not None), _constants(problem), W, W[:, :0])
    mode_losses, fitted, squares = 0.5 * found[:, :d_y], found[:, d_y : 2 * d_y] / problem.sigma, found[:, 2 * d_y : -1]
    return Values(sum_in_order(mode_losses), mode_losses, np.sqrt(found[:, -1]), squares, fitted)


def loss(problem: Problem, W: Array) -> Array:
    """The loss alone of states W (N, n), (N,): the bytes of `evaluate`, at a fraction of its cost."""
    formulas = _of_state(problem.widths, problem.gram_root is not None, loss_alone=True)
    return sum_in_order(0.5 * _run(formulas, _constants(problem), W, W[:, :0]))


def drift(problem: Problem, before: Array, after: Array) -> Array:
    """max_j ||C_j(after) - C_j(before)|| / (||W_{j+1}||^2 + ||W_j||^2 before), Frobenius norms, (N,), of two (N, n)."""
    H = problem.H
    found = _run(_of_change(problem.widths), np.empty(0), before, after)
    worst, squares = np.zeros(len(before)), found[:, 2 * H :]
    for j in range(H):
        change = np.sqrt(found[:, 2 * j] + 2.0 * found[:, 2 * j + 1])
        scale = squares[:, j + 1] + squares[:, j]
        np.maximum(worst, np.divide(change, scale, out=np.zeros_like(change), where=scale > 0), out=worst)
    return worst


# --- the formulas of a shape ------------------------------------------------------------------------------------------


class Matrix(NamedTuple):
    """A (rows, columns) matrix in memory: its entry i, j is line `at + i * down + j * right`."""

    at: int
    rows: int
    columns: int
    down: int
    right: int

    @property
    def T(self) -> Matrix:
        return Matrix(self.at, self.columns, self.rows, self.right, self.down)


class Formulas:
    """Sums of products over numbered lines, evaluated in the order in which they are written.

    A sum is (out, sign, a, a_step, b, b_step, count): line `out` becomes (sign 0), or grows or falls by (sign 1, -1),
    the sum over k < count of lines a + k a_step times b + k b_step. The first lines are the states, then come the
    constants, of which the last is 1.
    """

    def __init__(self, states: int, constants: int) -> None:
        self.size = states + constants + 1
        self.one = self.size - 1
        self.sums: list[Integers] = []
        self.results: list[int] = []

    def lines(self, count: int) -> int:
        """The first of `count` new lines."""
        self.size += count
        return self.size - count

    def sum(self, out: object, sign: int, a: object, a_step: int, b: object, b_step: int, count: int) -> None:
        """One sum, or several if `out`, `a` and `b` are arrays of lines."""
        sums = np.broadcast_arrays(*(np.asarray(x, dtype=np.int64) for x in (out, sign, a, a_step, b, b_step, count)))
        self.sums.append(np.stack([x.ravel() for x in sums], axis=1))

    def product(self, A: Matrix, B: Matrix) -> Matrix:
        """A B, in new lines that lie in one piece."""
        rows, columns = np.arange(A.rows)[:, None], np.arange(B.columns)
        at = self.lines(A.rows * B.columns)
        out = at + rows * B.columns + columns
        self.sum(out, 0, A.at + rows * A.down, A.right, B.at + columns * B.right, B.down, A.columns)
        return Matrix(at, A.rows, B.columns, B.columns, 1)

    def difference(self, a: int, b: int, count: int) -> int:
        """`count` lines from a on minus those from b on, in new lines."""
        at, k = self.lines(count), np.arange(count)
        self.sum(at + k, 0, a + k, 0, self.one, 0, 1)
        self.sum(at + k, -1, b + k, 0, self.one, 0, 1)
        return at

    def result(self, *lines: int) -> None:
        """Return these lines: they are columns of the result, in this order."""
        self.results.extend(lines)

    def square(self, at: int, count: int) -> None:
        """Return the sum of squares of `count` lines."""
        line = self.lines(1)
        self.sum(line, 0, at, 1, at, 1, count)
        self.result(line)

    def done(self) -> tuple[Integers, Integers, int]:
        return np.concatenate(self.sums), np.array(self.results), self.size


def _layers(widths: tuple[int, ...], at: int = 0) -> list[Matrix]:
    """W_1, ..., W_{H+1} of the state that begins at a line."""
    W = []
    for rows, columns in zip(widths[1:], widths[:-1], strict=True):
        W.append(Matrix(at, rows, columns, columns, 1))
        at += rows * columns
    return W


@lru_cache(maxsize=8)
def _of_state(widths: tuple[int, ...], raw: bool, loss_alone: bool = False) -> tuple[Integers, Integers, int]:
    """||row i of E||^2; then the diagonal of S_Y D_W; ||W_j||^2; ||gradient||^2. Constants: T; raw: G, U_Y, V_Y."""
    W = _layers(widths)
    n, d_x, d_y = W[-1].at + W[-1].rows * W[-1].columns, widths[0], widths[-1]
    formulas = Formulas(n, d_y * d_x + (2 * d_x * d_x + d_y * d_y if raw else 0))
    A = [W[-1]]
    for W_j in W[-2::-1]:
        A.insert(0, formulas.product(A[0], W_j))  # A_{j-1} = A_j W_j
    P = A.pop(0)
    if raw:
        G = Matrix(n + d_y * d_x, d_x, d_x, d_x, 1)
        U_Y = Matrix(G.at + d_x * d_x, d_y, d_y, d_y, 1)
        V_Y = Matrix(U_Y.at + d_y * d_y, d_x, d_y, d_x, 1)  # the first d_y of its columns
        P = formulas.product(P, G)
    E = Matrix(formulas.difference(n, P.at, d_y * d_x), d_y, d_x, d_x, 1)  # T - P
    for i in range(d_y):
        formulas.square(E.at + i * d_x, d_x)
    if loss_alone:
        return formulas.done()
    fitted = formulas.product(formulas.product(U_Y.T, P), V_Y) if raw else P
    formulas.result(*(fitted.at + i * (fitted.columns + 1) for i in range(d_y)))
    for W_j in W:
        formulas.square(W_j.at, W_j.rows * W_j.columns)
    slope = formulas.lines(1)  # the gradient is -A_j^T F_j, F_1 = E G^T, F_{j+1} = F_j W_j^T, layer by layer
    F = formulas.product(E, G.T) if raw else E
    for j, (A_j, W_j) in enumerate(zip(A, W, strict=False)):
        g = formulas.product(A_j.T, F)
        formulas.sum(slope, int(j > 0), g.at, 1, g.at, 1, g.rows * g.columns)
        F = formulas.product(F, W_j.T)
    formulas.sum(slope, 1, F.at, 1, F.at, 1, F.rows * F.columns)
    formulas.result(slope)
    return formulas.done()


@lru_cache(maxsize=8)
def _of_change(widths: tuple[int, ...]) -> tuple[Integers, Integers, int]:
    """For j = 1 ... H: the squares of the change of C_j on its diagonal, and above it; then ||W_j||^2 before."""
    W = _layers(widths)
    n = W[-1].at + W[-1].rows * W[-1].columns
    formulas = Formulas(2 * n, 0)
    after = _layers(widths, n)
    for j in range(len(W) - 1):
        d = W[j].rows
        a, b = np.triu_indices(d)
        order = np.argsort(a != b, kind="stable")  # the diagonal first
        a, b = a[order], b[order]
        C = []
        for low, high in ((W[j], W[j + 1]), (after[j], after[j + 1])):
            at = formulas.lines(len(a))
            out = at + np.arange(len(a))
            formulas.sum(out, 0, high.at + a, d, high.at + b, d, high.rows)
            formulas.sum(out, -1, low.at + a * low.down, 1, low.at + b * low.down, 1, low.columns)
            C.append(at)
        change = formulas.difference(C[1], C[0], len(a))
        formulas.square(change, d)
        formulas.square(change + d, len(a) - d)
    for W_j in W:
        formulas.square(W_j.at, W_j.rows * W_j.columns)
    return formulas.done()


def _constants(problem: Problem) -> Array:
    numbers = [problem.target]
    if problem.gram_root is not None:
        assert problem.U_Y is not None and problem.V_Y is not None
        numbers += [problem.gram_root, problem.U_Y, problem.V_Y]
    return np.concatenate([array.ravel() for array in numbers])


# --- running them -----------------------------------------------------------------------------------------------------


def _run(formulas: tuple[Integers, Integers, int], constants: Array, first: Array, second: Array) -> Array:
    """The results (N, columns) of rows whose states are first (N, n) and, after it, second (N, n or 0)."""
    sums, results, size = formulas
    memory = np.empty((size, max(1, min(SIDE_BY_SIDE, len(first), BUFFER // (8 * size)))))
    found = np.empty((len(first), len(results)))
    first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
    _run_sums(sums, results, constants, first, second, memory, found)
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _run_sums(
    sums: Integers, results: Integers, constants: Array, first: Array, second: Array, m: Array, found: Array
) -> None:
    """Every sum, for as many rows at a time as a line of m (lines, rows) holds. The results go to found."""
    N, n, more, rows = len(first), first.shape[1], second.shape[1], m.shape[1]
    for k in range(len(constants) + 1):
        value = constants[k] if k < len(constants) else 1.0
        for r in range(rows):
            m[n + more + k, r] = value
    for start in range(0, N, rows):
        there = min(rows, N - start)
        for r in range(rows):
            row = start + min(r, there - 1)  # beyond the last row it is taken again
            for i in range(n):
                m[i, r] = first[row, i]
            for i in range(more):
                m[n + i, r] = second[row, i]
        for s in range(len(sums)):
            out, sign, a, a_step, b, b_step, count = sums[s]
            for k in range(count):
                if sign < 0:
                    for r in range(rows):
                        m[out, r] -= m[a, r] * m[b, r]
                elif sign > 0 or k > 0:
                    for r in range(rows):
                        m[out, r] += m[a, r] * m[b, r]
                else:
                    for r in range(rows):
                        m[out, r] = m[a, r] * m[b, r]
                a, b = a + a_step, b + b_step
            if sign == 0 and count == 0:
                for r in range(rows):
                    m[out, r] = 0.0
        for r in range(there):
            for k in range(len(results)):
                found[start + r, k] = m[results[k], r]

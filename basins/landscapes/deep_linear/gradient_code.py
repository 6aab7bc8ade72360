"""The gradient of a deep linear network as vector code: a chain of matrix products (theory.md 7).

`emit` has the formula, codegen/matrix_product.py the products. gradient.py states the same gradient in NumPy, and
tests/landscapes/test_landscape_contract.py tests that the two agree.
"""

from __future__ import annotations

from dataclasses import dataclass

from basins.codegen.llvm_ir import Function, Pointer
from basins.codegen.matrix_product import Matrix, product
from basins.codegen.vector_sums import sum_of_squares


@dataclass(frozen=True)
class DeepLinearCode:
    """What the generated code depends on: widths (d_x, d_1, ..., d_y), and whether there is a Gram root (raw flow).

    A `GradientCode` (landscapes/base.py); its parameters are the target, row by row, and then the Gram root.
    """

    widths: tuple[int, ...]
    raw: bool = False

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """(d_j, d_{j-1}) for j = 1 ... H + 1."""
        return tuple(zip(self.widths[1:], self.widths[:-1], strict=True))

    @property
    def n(self) -> int:
        """Size of a state."""
        return sum(rows * columns for rows, columns in self.layers)

    @property
    def parameters(self) -> int:
        """Numbers all lanes share: target, Gram root."""
        d_x, d_y = self.widths[0], self.widths[-1]
        return d_y * d_x + (d_x * d_x if self.raw else 0)

    @property
    def scratch(self) -> int:
        """Vectors that one evaluation keeps."""
        return _Workspace(self).size

    @property
    def residuals(self) -> int:
        """Elements of E, with L = 1/2 ||E||^2."""
        return self.widths[0] * self.widths[-1]

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one evaluation, a lane."""
        d_y, inner = self.widths[-1], self.layers[:-1]  # no product for A_H, nor for the last layer's slope
        flow = 3 * sum(d_y * rows * columns for rows, columns in inner)
        return flow + (2 * d_y * self.widths[0] ** 2 if self.raw else 0)

    def emit(self, lanes: int) -> Function:
        """dW/dt at W, by d_y rows (theory.md 7); E stays at the start of the scratch.

        A_{j-1} = A_j W_j; E = T - A_0 G; F_1 = E G^T, F_{j+1} = F_j W_j^T; slope of W_j = A_j^T F_j.
        """
        f = Function("velocity", ("W", "slope", "scratch", "shared"), lanes, internal=True)
        d, d_y, d_x = self.widths, self.widths[-1], self.widths[0]
        last = len(d) - 1
        space = _Workspace(self)

        def rows(data: Pointer, columns: int) -> Matrix:
            return Matrix(data, columns, 1)

        W, slope, at = {}, {}, 0
        for j, (d_j, d_before) in enumerate(self.layers, start=1):
            W[j], slope[j] = rows(f["W"] + at, d_before), rows(f["slope"] + at, d_before)
            at += d_j * d_before
        shared = f["shared"]._replace(shared=True)
        T = rows(shared + 2, d_x)
        G = rows(shared + (2 + d_y * d_x), d_x)
        scratch = f["scratch"]
        A = {j: rows(scratch + place, d[j]) for j, place in space.A.items()}
        F = {j: rows(scratch + place, d[j - 1]) for j, place in space.F.items()}
        E = rows(scratch + space.E, d_x)
        A[last - 1], F[last] = W[last], slope[last]

        for j in range(last - 1, 1, -1):
            product(f, A[j - 1], A[j], W[j], (d_y, d[j - 1], d[j]))
        if self.raw:
            P = rows(scratch + space.P, d_x)
            product(f, P, A[1], W[1], (d_y, d_x, d[1]))
            product(f, E, P, G, (d_y, d_x, d_x), start=T)
            product(f, F[1], E, G.T, (d_y, d_x, d_x))
        else:
            product(f, E, A[1], W[1], (d_y, d_x, d[1]), start=T)
        for j in range(1, last):
            product(f, slope[j], A[j].T, F[j], (d[j], d[j - 1], d_y))
            product(f, F[j + 1], F[j], W[j].T, (d_y, d[j], d[j - 1]))
        return f

    def emit_loss(self, f: Function, scratch: Pointer) -> str:
        """1/2 ||E||^2."""
        return f.mul(f.constant(0.5), sum_of_squares(f, scratch, self.residuals))


class _Workspace:
    """The places of A_j, E and F_j in the scratch of one evaluation, counted in vectors from its start."""

    def __init__(self, shape: DeepLinearCode) -> None:
        d, d_y = shape.widths, shape.widths[-1]
        self.A: dict[int, int] = {}
        self.F: dict[int, int] = {}
        self.E = at = 0
        at += d_y * d[0]
        if shape.raw:
            self.P = at  # the network's matrix; E G^T takes its place once E is known
            at += d_y * d[0]
        for j in range(1, len(d) - 2):
            self.A[j] = at
            at += d_y * d[j]
        for j in range(2, len(d) - 1):
            self.F[j] = at
            at += d_y * d[j - 1]
        self.F[1] = self.P if shape.raw else self.E
        self.size = at

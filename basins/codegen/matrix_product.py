"""Products of matrices whose elements are vectors of lanes, in register tiles, unrolled or kept as loops."""

from __future__ import annotations

from typing import NamedTuple

from basins.codegen.llvm_ir import Function, Index, Pointer

WRITTEN_OUT = 64
"""Products of at most this many multiply-adds are unrolled; larger ones keep loops over their tiles."""

LONG = 16
"""Inner dimensions above this keep a loop over k."""


class Matrix(NamedTuple):
    """A matrix in memory: its address, and the strides of its rows and columns in elements."""

    data: Pointer
    row: int
    column: int

    @property
    def T(self) -> Matrix:
        """Its transpose, which only exchanges the strides."""
        return Matrix(self.data, self.column, self.row)


def tile_of(rows: int, columns: int) -> tuple[int, int]:
    """The tile (rows, columns) of a product's result that fits 16 registers with the fewest loads per multiply-add."""

    def cost(tile: tuple[int, int]) -> float:
        a, b = tile
        blocks = -(-rows // a) * -(-columns // b)
        return blocks * (a + b + 0.5 * a * b)  # remainders count as whole tiles

    # Sums, one side's elements and the other's current one, with room for the scheduler: 3 x 4 fits and is slower.
    fits = [(a, b) for a in range(1, 5) for b in range(1, 5) if a <= rows and b <= columns and a * b + min(a, b) <= 12]
    return min(fits, key=cost)


def block(f: Function, out: Matrix, X: Matrix, Y: Matrix, start: Matrix | None, size: tuple[int, int, int]) -> None:
    """One tile (a, b) of a product, with its sums in registers over the inner dimension: (a, b, inner) = size."""
    a, b, inner = size
    cells = [(r, c) for r in range(a) for c in range(b)]

    def term(k: Index, sums: list[str]) -> list[str]:
        Xk, Yk = f.shift(X.data, k, X.column), f.shift(Y.data, k, Y.row)
        x = [f.load(Xk + r * X.row) for r in range(a)]
        y = [f.load(Yk + c * Y.column) for c in range(b)]
        if start is not None:
            x = [f.negate(value) for value in x]
        if not sums:
            return [f.mul(x[r], y[c]) for r, c in cells]
        return [f.fma(x[r], y[c], sums[i]) for i, (r, c) in enumerate(cells)]

    if start is None:
        sums, first = term(0, []), 1
    else:
        sums, first = [f.load(start.data + (r * start.row + c * start.column)) for r, c in cells], 0
    X, Y = X._replace(data=X.data + first * X.column), Y._replace(data=Y.data + first * Y.row)
    sums = f.loop(inner - first, sums, term, unroll=inner <= LONG)
    for value, (r, c) in zip(sums, cells, strict=True):
        f.store(value, out.data + (r * out.row + c * out.column))


def moved(f: Function, M: Matrix, index: Index, stride: int) -> Matrix:
    """The submatrix that begins at these multiples of the strides."""
    return M._replace(data=f.shift(M.data, index, stride))


def product(
    f: Function,
    out: Matrix,
    X: Matrix,
    Y: Matrix,
    size: tuple[int, int, int],
    start: Matrix | None = None,
) -> None:
    """out = X Y, or start - X Y: (rows, columns, inner) = size; each element is one chain of FMAs over rising k."""
    rows, columns, inner = size
    tile = tile_of(rows, columns)
    unroll = rows * columns * inner <= WRITTEN_OUT

    def strip(out: Matrix, X: Matrix, start: Matrix | None, a: int) -> None:
        whole, rest = divmod(columns, tile[1])

        def body(j: Index, _: list[str]) -> list[str]:
            b = tile[1]
            s = None if start is None else moved(f, start, j, b * start.column)
            block(f, moved(f, out, j, b * out.column), X, moved(f, Y, j, b * Y.column), s, (a, b, inner))
            return []

        f.loop(whole, [], body, unroll=unroll)
        if rest:
            at = whole * tile[1]
            s = None if start is None else moved(f, start, at, start.column)
            block(f, moved(f, out, at, out.column), X, moved(f, Y, at, Y.column), s, (a, rest, inner))

    whole, rest = divmod(rows, tile[0])

    def body(i: Index, _: list[str]) -> list[str]:
        a = tile[0]
        s = None if start is None else moved(f, start, i, a * start.row)
        strip(moved(f, out, i, a * out.row), moved(f, X, i, a * X.row), s, a)
        return []

    f.loop(whole, [], body, unroll=unroll)
    if rest:
        at = whole * tile[0]
        s = None if start is None else moved(f, start, at, start.row)
        strip(moved(f, out, at, out.row), moved(f, X, at, X.row), s, rest)

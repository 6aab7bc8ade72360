"""The lanes engine's generated code: a chain of products and a tableau become one step for a whole group of lanes.

Formulas here (`velocity`, `attempt`, `first`, `trial`, `stage`), vectors below (matrix_product.py, llvm_ir.py), LLVM in
jit.py. One number of the state is one vector with an entry for each lane, so nothing ever mixes lanes, and the
order of every operation is stated here and not by a compiler: products sum over rising k, stages over rising s, squares
over blocks of four components. A tile only says which of these sums run side by side; it changes no byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from basins.codegen.llvm_ir import Function, Index, Pointer, module
from basins.codegen.matrix_product import Matrix, product
from basins.integrators.simd.dop853 import SAFETY, Tableau, dop853

BLOCK = 4
"""Components whose sums run side by side, and whose squares are added up before they join a norm."""


@dataclass(frozen=True)
class Shape:
    """What the generated code depends on: widths (d_x, d_1, ..., d_y), and whether there is a Gram root (raw flow)."""

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
        """Numbers all lanes share: atol, rtol, target, Gram root."""
        d_x, d_y = self.widths[0], self.widths[-1]
        return 2 + d_y * d_x + (d_x * d_x if self.raw else 0)

    @cached_property
    def scratch(self) -> int:
        """Vectors of scratch: the stages' slopes, then what one evaluation of the vector field keeps."""
        return _Stages(self.n, dop853()).size + _Workspace(self).size

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one evaluation, a lane."""
        d_y, inner = self.widths[-1], self.layers[:-1]  # no product for A_H, nor for the last layer's slope
        flow = 3 * sum(d_y * rows * columns for rows, columns in inner)
        return flow + (2 * d_y * self.widths[0] ** 2 if self.raw else 0)


class _Workspace:
    """Where one evaluation keeps A_j, E and F_j: vectors from the start of its scratch."""

    def __init__(self, shape: Shape) -> None:
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


class _Stages:
    """Where a step keeps its slopes: a stage whose slope is no longer needed lends its place to a later one."""

    def __init__(self, n: int, tableau: Tableau) -> None:
        rows = [*tableau.rows, tableau.weights + tableau.fifth + tableau.third]
        last_use = {stage: r for r, row in enumerate(rows) for stage, _ in row}
        self.at: dict[int, int] = {}
        free: list[int] = []
        places = 0
        for s in range(1, len(tableau.rows) + 1):  # stage s is written after row s - 1 is formed
            free += [self.at[k] for k, r in last_use.items() if k and r == s - 1]
            if free:
                self.at[s] = free.pop()
            else:
                self.at[s] = places * n
                places += 1
        self.size = places * n


# --- the formulas -------------------------------------------------------------------------------------------------


def velocity(shape: Shape, lanes: int) -> Function:
    """dW/dt at W, by d_y rows (theory.md 7); E stays at the start of the scratch.

    A_{j-1} = A_j W_j; E = T - A_0 G; F_1 = E G^T, F_{j+1} = F_j W_j^T; slope of W_j = A_j^T F_j.
    """
    f = Function("velocity", ("W", "slope", "scratch", "shared"), lanes, internal=True)
    d, d_y, d_x = shape.widths, shape.widths[-1], shape.widths[0]
    last = len(d) - 1
    space = _Workspace(shape)

    def rows(data: Pointer, columns: int) -> Matrix:
        return Matrix(data, columns, 1)

    W, slope, at = {}, {}, 0
    for j, (d_j, d_before) in enumerate(shape.layers, start=1):
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
    if shape.raw:
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


def over_components(
    f: Function, n: int, carried: list[str], body: Callable[[Index, int, list[str]], list[str]]
) -> list[str]:
    """body(first component, how many, carried) over blocks of BLOCK components, the last one shorter."""
    whole, rest = divmod(n, BLOCK)

    def block(i: Index, values: list[str]) -> list[str]:
        first = i * BLOCK if isinstance(i, int) else f.let(f"mul nuw nsw i64 {i}, {BLOCK}")
        return body(first, BLOCK, values)

    values = f.loop(whole, carried, block)
    return body(whole * BLOCK, rest, values) if rest else values


def squares(f: Function, values: list[str]) -> str:
    """v_0^2 + v_1^2 + ... as one fused chain."""
    total = f.mul(values[0], values[0])
    for value in values[1:]:
        total = f.fma(value, value, total)
    return total


def sum_of_squares(f: Function, data: Pointer, n: int) -> str:
    """The sum of squares of n vectors."""

    def body(first: Index, count: int, total: list[str]) -> list[str]:
        at = f.shift(data, first, 1)
        return [f.add(total[0], squares(f, [f.load(at + i) for i in range(count)]))]

    return over_components(f, n, [f.constant(0.0)], body)[0]


def combine(f: Function, sums: list[str], terms: list[tuple[str, Pointer]], first: Index) -> list[str]:
    """sums[i] + sum over the terms of weight * data[first + i]."""
    for weight, data in terms:
        at = f.shift(data, first, 1)
        sums = [f.fma(weight, f.load(at + i), s) for i, s in enumerate(sums)]
    return sums


def weigh(f: Function, sums: list[str], weight: float | None, values: list[str]) -> list[str]:
    """sums[i] + weight * values[i], where sums of "" have no term yet; sums as they are for no weight."""
    if weight is None:
        return sums
    by = f.constant(weight)
    return [f.fma(by, v, s) if s else f.mul(by, v) for s, v in zip(sums, values, strict=True)]


OUT = ("loss", "slope", "state", "error", "factor", "stiffness")
"""Rows of `attempt`'s result, a vector each: the loss; norms of slope and state; error norm; SAFETY / error^(1/8);
h times a lower bound of the field's largest rate (Hairer and Wanner's test of stiffness in their DOP853)."""


def _norms(f: Function, shape: Shape, state: str, slope: Pointer, scratch: Pointer) -> None:
    """The first three rows of the result: 1/2 ||E||^2, ||slope||, ||W||."""
    E2 = sum_of_squares(f, scratch, shape.widths[0] * shape.widths[-1])
    f.store(f.mul(f.constant(0.5), E2), f["out"] + 0)
    f.store(f.sqrt(sum_of_squares(f, slope, shape.n)), f["out"] + 1)
    f.store(f.sqrt(state), f["out"] + 2)


def _scale(f: Function, shared: Pointer, sizes: list[str]) -> list[str]:
    """1 / (atol + size rtol)."""
    atol, rtol = f.load(shared), f.load(shared + 1)
    return [f.div(f.constant(1.0), f.fma(size, rtol, atol)) for size in sizes]


def _error_norm(f: Function, h: str, fifth: str, third: str, n: int) -> str:
    """DOP853's: |h| e5^2 / sqrt((e5^2 + 0.01 e3^2) n), and 0 where both are 0; from the squared norms e5^2, e3^2."""
    both = f.fma(f.constant(0.01), third, fifth)
    error = f.div(f.mul(f.abs(h), fifth), f.sqrt(f.mul(both, f.constant(float(n)))))
    return f.where_zero(both, f.constant(0.0), error)


def attempt(shape: Shape, tableau: Tableau, lanes: int, field: Function) -> Function:
    """One attempted step of size h from `old`, with slope `slope`: the state `new`, its slope, and all of OUT."""
    f = Function("attempt", ("old", "slope", "new", "new_slope", "h", "scratch", "shared", "out"), lanes)
    n, places = shape.n, _Stages(shape.n, tableau)
    h, old, new, shared = f.load(f["h"]), f["old"], f["new"], f["shared"]._replace(shared=True)
    slopes = {s: f["scratch"] + at for s, at in places.at.items()} | {0: f["slope"]}
    space = f["scratch"] + places.size

    for s, row in enumerate(tableau.rows, start=1):
        terms = [(f.mul(h, f.constant(a)), slopes[k]) for k, a in row]

        def stage(first: Index, count: int, _: list[str], terms: list[tuple[str, Pointer]] = terms) -> list[str]:
            at = f.shift(old, first, 1)
            sums = combine(f, [f.load(at + i) for i in range(count)], terms, first)
            to = f.shift(new, first, 1)
            for i, value in enumerate(sums):
                f.store(value, to + i)
            return []

        over_components(f, n, [], stage)
        f.call(field, new, slopes[s], space, f["shared"])

    latest = slopes[len(tableau.rows)]  # of the last stage, whose state is still in `new`: it too is at t + h
    parts = (dict(tableau.weights), dict(tableau.fifth), dict(tableau.third))
    final = {s: [part.get(s) for part in parts] for s in {s for part in parts for s in part}}

    def finish(first: Index, count: int, totals: list[str]) -> list[str]:
        step, fives, threes = (["" for _ in range(count)] for _ in range(3))
        for s, (b, e5, e3) in sorted(final.items()):
            at = f.shift(slopes[s], first, 1)
            k = [f.load(at + i) for i in range(count)]
            step, fives = weigh(f, step, b, k), weigh(f, fives, e5, k)
            threes = weigh(f, threes, e3, k)
        threes = [f.add(b, e) for b, e in zip(step, threes, strict=True)]
        at, to = f.shift(old, first, 1), f.shift(new, first, 1)
        before = [f.load(at + i) for i in range(count)]
        after = [f.fma(h, k, y) for k, y in zip(step, before, strict=True)]
        apart = [f.sub(a, f.load(to + i)) for i, a in enumerate(after)]
        for i, value in enumerate(after):
            f.store(value, to + i)
        sizes = [f.larger(f.abs(a), f.abs(b)) for a, b in zip(before, after, strict=True)]
        scale = _scale(f, shared, sizes)
        errors = ([f.mul(e, r) for e, r in zip(es, scale, strict=True)] for es in (fives, threes))
        return [f.add(t, squares(f, v)) for t, v in zip(totals, (after, *errors, apart), strict=True)]

    state, five, three, apart = over_components(f, n, [f.constant(0.0)] * 4, finish)
    f.call(field, new, f["new_slope"], space, f["shared"])
    _norms(f, shape, state, f["new_slope"], space)
    error = _error_norm(f, h, five, three, n)
    f.store(error, f["out"] + 3)
    f.store(f.div(f.constant(SAFETY), f.sqrt(f.sqrt(f.sqrt(error)))), f["out"] + 4)

    def change(at: Index, count: int, totals: list[str]) -> list[str]:
        a, b = (f.shift(data, at, 1) for data in (f["new_slope"], latest))
        return [f.add(totals[0], squares(f, [f.sub(f.load(a + i), f.load(b + i)) for i in range(count)]))]

    changed = over_components(f, n, [f.constant(0.0)], change)[0]
    f.store(f.mul(f.abs(h), f.sqrt(f.div(changed, apart))), f["out"] + 5)
    return f


def first(shape: Shape, lanes: int, field: Function) -> Function:
    """The slope at a start, its norms, and the scaled squared norms of state and slope, for the first step's size."""
    f = Function("first", ("old", "slope", "scratch", "shared", "out"), lanes)
    shared = f["shared"]._replace(shared=True)
    f.call(field, f["old"], f["slope"], f["scratch"], f["shared"])

    def body(at: Index, count: int, totals: list[str]) -> list[str]:
        y = [f.load(f.shift(f["old"], at, 1) + i) for i in range(count)]
        k = [f.load(f.shift(f["slope"], at, 1) + i) for i in range(count)]
        scale = _scale(f, shared, [f.abs(value) for value in y])
        scaled = ([f.mul(v, r) for v, r in zip(vs, scale, strict=True)] for vs in (y, k))
        return [f.add(t, squares(f, v)) for t, v in zip(totals, (y, *scaled), strict=True)]

    state, d0, d1 = over_components(f, shape.n, [f.constant(0.0)] * 3, body)
    _norms(f, shape, state, f["slope"], f["scratch"])
    f.store(d0, f["out"] + 3)
    f.store(d1, f["out"] + 4)
    return f


def trial(shape: Shape, lanes: int, field: Function) -> Function:
    """The slope after an Euler step of size h; its scaled squared change goes to row 3 of the result."""
    f = Function("trial", ("old", "slope", "new", "new_slope", "h", "scratch", "shared", "out"), lanes)
    shared = f["shared"]._replace(shared=True)
    h = f.load(f["h"])

    def euler(at: Index, count: int, _: list[str]) -> list[str]:
        y = [f.load(f.shift(f["old"], at, 1) + i) for i in range(count)]
        to = f.shift(f["new"], at, 1)
        for i, value in enumerate(combine(f, y, [(h, f["slope"])], at)):
            f.store(value, to + i)
        return []

    def change(at: Index, count: int, totals: list[str]) -> list[str]:
        y, k, k_new = (
            [f.load(f.shift(f[name], at, 1) + i) for i in range(count)] for name in ("old", "slope", "new_slope")
        )
        scale = _scale(f, shared, [f.abs(value) for value in y])
        scaled = [f.mul(f.sub(b, a), r) for a, b, r in zip(k, k_new, scale, strict=True)]
        return [f.add(totals[0], squares(f, scaled))]

    over_components(f, shape.n, [], euler)
    f.call(field, f["new"], f["new_slope"], f["scratch"], f["shared"])
    f.store(over_components(f, shape.n, [f.constant(0.0)], change)[0], f["out"] + 3)
    return f


def stage(shape: Shape, lanes: int, field: Function) -> Function:
    """One stage of a recurrence with every lane's own coefficients (a, b, c, e), and the slope there (rkc.py).

    D_j = a D_{j-1} + b D_{j-2} + c F_{j-1} + e F_0 is the distance from `old`, Y_j = old + D_j the stage, F_j its
    slope. `delta` is D_{j-1}; `earlier` holds D_{j-2} and then D_j; `stage_slope` holds F_{j-1} and then F_j.
    """
    f = Function(
        "stage",
        ("old", "slope", "delta", "earlier", "stage_slope", "new", "coefficients", "scratch", "shared"),
        lanes,
    )
    weights = [f.load(f["coefficients"] + i) for i in range(4)]
    sources = [f[name] for name in ("delta", "earlier", "stage_slope", "slope")]

    def body(at: Index, count: int, _: list[str]) -> list[str]:
        data = f.shift(sources[0], at, 1)
        sums = [f.mul(weights[0], f.load(data + i)) for i in range(count)]
        sums = combine(f, sums, list(zip(weights[1:], sources[1:], strict=True)), at)
        y, to, delta = (f.shift(f[name], at, 1) for name in ("old", "new", "earlier"))
        for i, value in enumerate(sums):
            f.store(value, delta + i)
            f.store(f.add(f.load(y + i), value), to + i)
        return []

    over_components(f, shape.n, [], body)
    f.call(field, f["new"], f["stage_slope"], f["scratch"], f["shared"])
    return f


def source(shape: Shape, lanes: int) -> str:
    """The kernel's LLVM IR for groups of `lanes` lanes."""
    field = velocity(shape, lanes)
    steps = [attempt(shape, dop853(), lanes, field), first(shape, lanes, field), trial(shape, lanes, field)]
    return module([field, *steps, stage(shape, lanes, field)], lanes)

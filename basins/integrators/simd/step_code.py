"""The generated code of a step: a landscape's gradient and a tableau become one step for a whole group of lanes.

`attempt`, `first`, `trial` and `stage` are functions of vectors (codegen/); the gradient is the landscape's
(`GradientCode`). One number of the state is one vector with an entry for each lane, so nothing ever mixes lanes, and
the order of every operation is stated here and not by a compiler: stages sum over rising s, squares over blocks of four
components.
"""

from __future__ import annotations

from functools import lru_cache

from basins.codegen.llvm_ir import Function, Index, Pointer, module
from basins.codegen.vector_sums import combine, over_components, squares, sum_of_squares, weigh
from basins.integrators.simd.dop853 import DOP853, SAFETY, Tableau
from basins.landscapes.base import GradientCode


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


OUT = ("loss", "slope", "state", "error", "factor", "stiffness")
"""Rows of `attempt`'s result, a vector each: the loss; norms of slope and state; error norm; SAFETY / error^(1/8);
h times a lower bound of the field's largest rate (Hairer and Wanner's test of stiffness in their DOP853)."""


def _norms(f: Function, code: GradientCode, state: str, slope: Pointer, scratch: Pointer) -> None:
    """The first three rows of the result: L, ||slope||, ||W||."""
    f.store(code.emit_loss(f, scratch), f["out"] + 0)
    f.store(f.sqrt(sum_of_squares(f, slope, code.n)), f["out"] + 1)
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


def attempt(code: GradientCode, tableau: Tableau, lanes: int, field: Function) -> Function:
    """One attempted step of size h from `old`, with slope `slope`: the state `new`, its slope, and all of OUT."""
    f = Function("attempt", ("old", "slope", "new", "new_slope", "h", "scratch", "shared", "out"), lanes)
    n, places = code.n, _Stages(code.n, tableau)
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
    _norms(f, code, state, f["new_slope"], space)
    error = _error_norm(f, h, five, three, n)
    f.store(error, f["out"] + 3)
    f.store(f.div(f.constant(SAFETY), f.sqrt(f.sqrt(f.sqrt(error)))), f["out"] + 4)

    def change(at: Index, count: int, totals: list[str]) -> list[str]:
        a, b = (f.shift(data, at, 1) for data in (f["new_slope"], latest))
        return [f.add(totals[0], squares(f, [f.sub(f.load(a + i), f.load(b + i)) for i in range(count)]))]

    changed = over_components(f, n, [f.constant(0.0)], change)[0]
    f.store(f.mul(f.abs(h), f.sqrt(f.div(changed, apart))), f["out"] + 5)
    return f


def first(code: GradientCode, lanes: int, field: Function) -> Function:
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

    state, d0, d1 = over_components(f, code.n, [f.constant(0.0)] * 3, body)
    _norms(f, code, state, f["slope"], f["scratch"])
    f.store(d0, f["out"] + 3)
    f.store(d1, f["out"] + 4)
    return f


def trial(code: GradientCode, lanes: int, field: Function) -> Function:
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

    over_components(f, code.n, [], euler)
    f.call(field, f["new"], f["new_slope"], f["scratch"], f["shared"])
    f.store(over_components(f, code.n, [f.constant(0.0)], change)[0], f["out"] + 3)
    return f


def stage(code: GradientCode, lanes: int, field: Function) -> Function:
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

    over_components(f, code.n, [], body)
    f.call(field, f["new"], f["stage_slope"], f["scratch"], f["shared"])
    return f


def source(code: GradientCode, lanes: int) -> str:
    """The kernel's LLVM IR for groups of `lanes` lanes."""
    field = code.emit(lanes)
    steps = [attempt(code, DOP853, lanes, field), first(code, lanes, field), trial(code, lanes, field)]
    return module([field, *steps, stage(code, lanes, field)], lanes)


def scratch_of(code: GradientCode) -> int:
    """Vectors of scratch: the stages' slopes, then what one evaluation of the gradient keeps."""
    return _stages(code.n).size + code.scratch


@lru_cache(maxsize=64)
def _stages(n: int) -> _Stages:
    return _Stages(n, DOP853)

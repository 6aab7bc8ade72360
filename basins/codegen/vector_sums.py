"""Sums over the components of a state, each a vector of lanes, in a stated order.

Components are taken in blocks of four with independent sums; squares are added up within a block before they are added
to the total. The order affects the bytes of a run.
"""

from __future__ import annotations

from collections.abc import Callable

from basins.codegen.llvm_ir import Function, Index, Pointer

BLOCK = 4
"""The number of components with independent sums, whose squares are added up before they are added to a norm."""


def over_components(
    f: Function, n: int, carried: list[str], body: Callable[[Index, int, list[str]], list[str]]
) -> list[str]:
    """Execute body(first component, count, carried) over blocks of BLOCK components; the last block may be shorter."""
    whole, rest = divmod(n, BLOCK)

    def block(i: Index, values: list[str]) -> list[str]:
        first = i * BLOCK if isinstance(i, int) else f.let(f"mul nuw nsw i64 {i}, {BLOCK}")
        return body(first, BLOCK, values)

    values = f.loop(whole, carried, block)
    return body(whole * BLOCK, rest, values) if rest else values


def squares(f: Function, values: list[str]) -> str:
    """v_0^2 + v_1^2 + ... as one chain of FMAs."""
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
    """sums[i] + weight * values[i]; a sum of "" has no term yet; without a weight the sums are unchanged."""
    if weight is None:
        return sums
    by = f.constant(weight)
    return [f.fma(by, v, s) if s else f.mul(by, v) for s, v in zip(sums, values, strict=True)]

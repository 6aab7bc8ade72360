"""Vectors of lanes in compiled code: each lane has the bits of the same function of floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from basins.codegen.vectors import LANES, larger, no, smaller, some, vectors, where, zeros

ODD = [0.0, -0.0, 1.0, -1.5, 5e-324, -(2.0**-1040), 1.8e308, np.inf, -np.inf, np.nan, 2.0**-600, 3.0, 0.1]
"""Numbers that arithmetic treats in its own way, subnormals among them."""


def operands() -> tuple[np.ndarray, np.ndarray]:
    """Pairs of odd and random numbers, in groups of LANES."""
    rng = np.random.default_rng(1)
    a, b = (part.ravel() for part in np.meshgrid(ODD, ODD))
    x, y = rng.normal(size=(2, LANES * 40)) * 10.0 ** rng.integers(-12, 12, size=(2, LANES * 40))
    a, b = np.concatenate([a, x]), np.concatenate([b, y])
    whole = len(a) // LANES * LANES
    return a[:whole], b[:whole]


def arithmetic(x: Any, y: Any) -> Any:
    return (x + y) * 3.0 - y / x + np.sqrt(x * x) * 0.1 + (-y) * x


def with_integers(x: Any, y: Any) -> Any:
    total = 0
    for k in range(1, 5):
        total = total + x / k
        total *= 2 - y
        total -= k
        total /= 3
    return total


def decisions(x: Any, y: Any) -> Any:
    known = (x >= 0.0) & (y < 1e3)
    either = (x > 1.0) | (x <= 0.5 * y)
    return where(known, larger(x, y), smaller(2.0, where(no(either), y, -x)))


def a_loop(x: Any, y: Any) -> Any:
    """A number of turns that differs from lane to lane."""
    turns, goes_on = 0.0, True
    for _ in range(100):
        goes_on = goes_on & (x > 1.0)
        if not some(goes_on):
            break
        x, turns = where(goes_on, 0.5 * x, x), turns + where(goes_on, 1.0, 0.0)
    return turns * 1000.0 + x


@pytest.mark.parametrize("function", [arithmetic, with_integers, decisions, a_loop])
def test_each_lane_has_the_bits_of_the_function_of_floats(function: Callable[[Any, Any], Any]) -> None:
    compiled = njit(error_model="numpy")(function)

    @njit(error_model="numpy")
    def over_lanes(x: Any, y: Any, out: Any) -> None:
        a, b, c = vectors(x), vectors(y), vectors(out)
        for i in range(len(a)):
            c[i] = compiled(a[i], b[i])

    @njit(error_model="numpy")
    def one_by_one(x: Any, y: Any, out: Any) -> None:
        for i in range(len(x)):
            out[i] = compiled(x[i], y[i])

    x, y = operands()
    expected, found = np.empty(len(x)), zeros(len(x) // LANES)
    one_by_one(x, y, expected)
    over_lanes(x.reshape(-1, LANES).copy(), y.reshape(-1, LANES).copy(), found)
    known = ~np.isnan(expected)
    assert known.sum() > LANES
    assert (np.isnan(found.ravel()) == ~known).all()
    assert found.ravel()[known].tobytes() == expected[known].tobytes()
    (text,) = over_lanes.inspect_llvm().values()
    assert f"<{LANES} x double>" in text
    assert not any(word in text for word in (" fast ", " contract ", " reassoc ", "llvm.fma", "llvm.fmuladd"))


def test_python_alone_gives_the_same() -> None:
    """The functions are also plain ones of floats."""
    assert (where(True, 1.0, 2.0), where(False, 1.0, 2.0)) == (1.0, 2.0)
    assert (some(True), some(False), no(True), no(False)) == (True, False, False, True)
    assert (larger(1.0, 2.0), smaller(1.0, 2.0)) == (2.0, 1.0)


def test_a_named_tuple_of_arrays_becomes_one_of_vectors() -> None:
    class Pair(NamedTuple):
        one: Any
        two: Any

    @njit(error_model="numpy")
    def fill(pair: Any) -> None:
        of = vectors(pair)
        for i in range(of.one.shape[0]):
            for j in range(of.one.shape[1]):
                of.one[i, j] = of.two[i] + j

    pair = Pair(zeros(3, 2), zeros(3))
    pair.two[:] = np.random.default_rng(2).normal(size=(3, LANES))
    fill(pair)
    assert np.array_equal(pair.one[:, 0], pair.two)
    assert np.array_equal(pair.one[:, 1], pair.two + 1)


def test_memory_begins_at_a_multiple_of_a_vector() -> None:
    for shape in ((), (1,), (3,), (2, 5), (0,), (4, 0)):
        memory = zeros(*shape)
        assert memory.shape == (*shape, LANES)
        assert memory.flags.c_contiguous
        assert memory.size == 0 or memory.ctypes.data % (8 * LANES) == 0


def test_other_memory_is_refused() -> None:
    @njit
    def first(x: Any) -> Any:
        vectors(x)

    for wrong in (np.zeros((4, LANES), dtype=np.float32), np.zeros((LANES, 4)).T, np.zeros((LANES, 2), dtype=np.int64)):
        with pytest.raises(TypingError):
            first(wrong)

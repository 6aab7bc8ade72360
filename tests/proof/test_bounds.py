"""The arithmetic that a proof rests on, against exact rationals."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import flint
import numpy as np
import pytest
from cases import SQUARE
from numba import njit
from numba.core.dispatcher import Dispatcher

from basins.proof import bounds, carry, carry_lanes, cholesky, double_double, log_norm, models, steps, taylor
from basins.proof.double_double import V
from basins.rounding import U

MODULES = (bounds, carry, carry_lanes, cholesky, double_double, log_norm, models, steps, taylor)

Rational = list[list[Fraction]]


def rational(A: np.ndarray, low: np.ndarray | None = None) -> Rational:
    """The matrix, or the sum of a pair's two, exactly."""
    rest = np.zeros_like(A) if low is None else low
    return [[Fraction(x) + Fraction(y) for x, y in zip(*rows, strict=True)] for rows in zip(A, rest, strict=True)]


def times(A: Rational, B: Rational) -> Rational:
    return [[sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0)) for column in zip(*B)] for row in A]  # noqa: B905


def plus(*matrices: Rational) -> Rational:
    return [[sum(cells, Fraction(0)) for cells in zip(*rows)] for rows in zip(*matrices)]  # noqa: B905


def distance(A: Rational, B: Rational) -> float:
    """||A - B||_F."""
    square = sum((a - b) ** 2 for x, y in zip(A, B, strict=True) for a, b in zip(x, y, strict=True))
    return root(square)


def root(square: Fraction | int) -> float:
    """The square root of a rational that may be far below the smallest double."""
    shift = 2 ** (2 * 600)
    return float(Fraction(math.isqrt(int(square * shift * shift)), shift))


# --- assumptions ----------------------------------------------------------------------------------------------------


def compiled(module: ModuleType) -> list[Dispatcher]:
    return [f for f in vars(module).values() if isinstance(f, Dispatcher) and f.py_func.__module__ == module.__name__]


def test_nothing_is_compiled_with_fast_math() -> None:
    functions = [function for module in MODULES for function in compiled(module)]
    assert len(functions) > 40
    for function in functions:
        assert not function.targetoptions.get("fastmath"), function
        assert function.targetoptions["error_model"] == "numpy", "a division by 0 must not end a row"


def check_llvm(text: str) -> int:
    """No flag of fast-math, no fused multiply-add and no function of libm; how many operations on floats there are."""
    operations = [
        line for line in text.splitlines() if re.search(r" = (tail call |call )?f(add|sub|mul|div|cmp)", line)
    ]
    for flag in ("fast", "nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc"):
        assert not any(f" {flag} " in line for line in operations), flag
    for name in ("llvm.fma", "llvm.fmuladd", "llvm.pow", "llvm.exp.", "llvm.log", "@pow", "@exp", "@log"):
        assert name not in text, name
    return len(operations)


def test_no_flag_of_fast_math_is_in_the_compiled_code() -> None:
    """Compiled anew: numba does not show what it has from its cache. The slow test below looks at all of it."""
    one = np.ones((2, 9))
    calls: list[tuple[Dispatcher, tuple[Any, ...]]] = [
        (taylor.cauchy, (one, 0, 1, 1, one, 0, 1, 1, one.copy(), 0, 1, 2, 2, 2)),
        (double_double.two_product, (1.5, 2.5)),
        (double_double.multiply, (1.5, 0.0, 2.5, 0.0)),
        (bounds.frobenius, (one, 0, 0, 9)),
        (bounds.schatten4, (one, 0, 0, 3, 3)),
        (bounds.exp_up, (0.3,)),
        (bounds.perron, (one, 2, one.copy(), 3)),
        (cholesky.runs_through, (np.eye(2), 3.0, np.eye(2))),
    ]
    for function, arguments in calls:
        options = {k: v for k, v in function.targetoptions.items() if k not in ("cache", "nopython")}
        again = njit(**options)(function.py_func)
        again(*arguments)
        (text,) = again.inspect_llvm().values()
        assert check_llvm(text) > 2, function


@pytest.mark.slow
def test_no_flag_of_fast_math_is_in_a_whole_proof(tmp_path: Path) -> None:
    script = (
        "import sys\nsys.path[:0] = sys.argv[1:]\n"
        "from cases import SQUARE, gaussian\nfrom basins.proof import carry, carry_lanes, prove\n"
        "prove(SQUARE, gaussian(SQUARE, 1, 1), tiers='B')\n"
        "prove(SQUARE, gaussian(SQUARE, 1, 1), tiers='D')\n"
        "print(*carry.carry.inspect_llvm().values(), *carry_lanes.carry_lanes.inspect_llvm().values())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), *sys.path],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert check_llvm(done.stdout) > 1000


def test_the_arithmetic_rounds_to_nearest_and_keeps_subnormals() -> None:
    assert 1.0 + U == 1.0
    assert 1.0 + 3 * U == 1.0 + 4 * U  # ties to even
    assert (1.0 + 2 * U) - U == 1.0
    out, one = np.zeros((1, 1)), np.full((1, 1), 2.0**-600)
    taylor.cauchy(one, 0, 1, 1, one * 2.0**150, 0, 1, 1, out, 0, 0, 1, 1, 1)
    assert out[0, 0] == 2.0**-1050


# --- norms ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1e-140, 1e-170, 1e-300, 1e120])
def test_norms_are_bounds_from_above(scale: float) -> None:
    rng = np.random.default_rng(1)
    for rows, columns in ((1, 1), (2, 2), (3, 7), (7, 3), (20, 40)):
        X = np.ascontiguousarray(scale * rng.normal(size=(rows, columns)))
        square = sum(Fraction(x) ** 2 for x in X.ravel().tolist())
        norm = bounds.frobenius(X.reshape(1, -1), 0, 0, X.size)
        assert Fraction(norm) ** 2 >= square
        assert norm <= 1.0000001 * root(square) + 1e-139
        spectral = bounds.schatten4(X.reshape(1, -1), 0, 0, rows, columns) if scale < 1e70 else np.inf
        assert spectral >= np.linalg.svd(X, compute_uv=False)[0]
        if scale == 1.0:
            values = np.linalg.svd(X, compute_uv=False)
            assert spectral == pytest.approx((values**4).sum() ** 0.25, rel=1e-9)


def test_the_exponential_is_from_above() -> None:
    for g in [0.0, 1e-300, 1e-17, 1e-3, 0.5, 0.51, 1.0, 3.3, 20.0, 49.9]:
        assert flint.arb(bounds.exp_up(g)) >= flint.arb(g).exp()
        assert bounds.exp_up(g) <= math.exp(g) * (1 + 1e-9)
    for g in (50.0, np.inf, np.nan, -1e-9):
        assert bounds.exp_up(g) == np.inf


def test_perron_roots_are_from_above_and_sharp() -> None:
    rng = np.random.default_rng(2)
    for m in (1, 2, 3, 5, 8):
        for kind in range(4):
            K = rng.exponential(size=(m, m)) ** (1 + kind)
            K = K + K.T
            if kind % 2:
                np.fill_diagonal(K, 0.0)
            true = float(np.linalg.eigvalsh(K)[-1])
            found = bounds.perron(K, m, np.zeros((2, m)), steps.TURNS)
            assert true * (1 - 1e-13) <= found <= 1.05 * true + 1e-9
    assert bounds.perron(np.zeros((3, 3)), 3, np.zeros((2, 3)), 12) < 1e-250
    for bad in (np.nan, np.inf):
        K = np.ones((3, 3))
        K[1, 2] = K[2, 1] = bad
        assert not bounds.perron(K, 3, np.zeros((2, 3)), 12) < np.inf


def test_powers_are_good_to_three_digits() -> None:
    for x in (1e-30, 0.3, 1.0, 7.0, 1e25):
        for exponent in (1 / 9, 1 / 11, 1 / 29, 0.333, 0.5):
            assert bounds.power(x, exponent) == pytest.approx(x**exponent, rel=0.02)


# --- products -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1e-155, 1e-160])
def test_cauchy_products_keep_to_their_gamma(scale: float) -> None:
    """In double precision, subnormals included."""
    rng = np.random.default_rng(3)
    worst = 0.0
    for rows, inner, columns, i in ((2, 2, 2, 3), (3, 9, 4, 7), (1, 30, 1, 9), (4, 1, 5, 0)):
        S, T = scale * rng.normal(size=(i + 1, rows * inner)), scale * rng.normal(size=(i + 1, inner * columns))
        out = np.zeros((i + 1, rows * columns))
        taylor.cauchy(S, 0, inner, 1, T, 0, columns, 1, out, 0, i, rows, inner, columns)
        exact = plus(
            *(
                times(rational(S[k].reshape(rows, inner)), rational(T[i - k].reshape(inner, columns)))
                for k in range(i + 1)
            )
        )
        wrong = distance(rational(out[i].reshape(rows, columns)), exact)
        sizes = sum(root(square(S[k])) * root(square(T[i - k])) for k in range(i + 1))
        assert wrong <= bounds.gamma(inner + i + 2, U) * sizes + bounds.TINY
        worst = max(worst, wrong / (bounds.gamma(inner + i + 2, U) * sizes)) if scale == 1.0 else 1.0
    assert worst > 0.02


def square(x: np.ndarray) -> Fraction:
    return sum((Fraction(v) ** 2 for v in x.tolist()), Fraction(0))


def pairs(rng: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    high = rng.normal(size=shape) * 10.0 ** rng.integers(-6, 6, size=shape)
    return high, high * U * rng.uniform(-1, 1, size=shape)


def test_operations_on_pairs_keep_to_their_bounds() -> None:
    """4 u^2 (|a| + |b|), 9 u^2 |a b| and 6 u^2 |a / b|, of which V = 16 u^2; and pairs stay pairs."""
    rng = np.random.default_rng(4)
    (a, a_low), (b, b_low) = pairs(rng, 20_000), pairs(rng, 20_000)
    b[:5000] = -a[:5000] * (1 + rng.integers(-3, 4, size=5000) * 2 * U)  # sums that cancel
    b_low[:5000] = b[:5000] * U * rng.uniform(-1, 1, size=5000)
    worst = np.zeros(3)
    for k in range(len(a)):
        x, y = Fraction(a[k]) + Fraction(a_low[k]), Fraction(b[k]) + Fraction(b_low[k])
        results = (
            (double_double.add(a[k], a_low[k], b[k], b_low[k]), x + y, abs(x) + abs(y), 4),
            (double_double.multiply(a[k], a_low[k], b[k], b_low[k]), x * y, abs(x * y), 9),
            (double_double.divide(a[k], a_low[k], b[k]), x / Fraction(b[k]), abs(x / Fraction(b[k])), 6),
        )
        for j, ((high, low), exact, size, most) in enumerate(results):
            wrong = abs(Fraction(high) + Fraction(low) - exact)
            assert wrong <= most * Fraction(U) ** 2 * size
            assert abs(low) <= U * abs(high)
            worst[j] = max(worst[j], float(wrong / (Fraction(U) ** 2 * size)))
    assert (worst > 1).all(), worst


def test_sums_and_products_are_error_free() -> None:
    rng = np.random.default_rng(5)
    for a, b in rng.normal(size=(2000, 2)) * 10.0 ** rng.integers(-8, 9, size=(2000, 2)):
        s, e = double_double.two_sum(a, b)
        assert Fraction(s) + Fraction(e) == Fraction(a) + Fraction(b)
        p, e = double_double.two_product(a, b)
        assert Fraction(p) + Fraction(e) == Fraction(a) * Fraction(b)


def test_cauchy_products_of_pairs_keep_to_their_gamma() -> None:
    rng = np.random.default_rng(6)
    worst = 0.0
    for rows, inner, columns, i in ((2, 2, 2, 3), (3, 9, 4, 7), (1, 30, 1, 9), (4, 1, 5, 0)):
        (S, S_low), (T, T_low) = pairs(rng, i + 1, rows * inner), pairs(rng, i + 1, inner * columns)
        out, low = np.zeros((i + 1, rows * columns)), np.zeros((i + 1, rows * columns))
        double_double.cauchy_pairs(S, S_low, 0, inner, 1, T, T_low, 0, columns, 1, out, low, 0, i, rows, inner, columns)
        exact = plus(
            *(
                times(
                    rational(S[k].reshape(rows, inner), S_low[k].reshape(rows, inner)),
                    rational(T[i - k].reshape(inner, columns), T_low[i - k].reshape(inner, columns)),
                )
                for k in range(i + 1)
            )
        )
        wrong = distance(rational(out[i].reshape(rows, columns), low[i].reshape(rows, columns)), exact)
        bound = bounds.gamma(inner + i + 2, V) * sum(
            float(np.linalg.norm(S[k]) * np.linalg.norm(T[i - k])) for k in range(i + 1)
        )
        assert wrong <= bound
        worst = max(worst, wrong / bound)
    assert worst > 1e-4


# --- a step's end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_pairs", [False, True])
def test_the_jump_at_a_steps_end_is_bounded(in_pairs: bool) -> None:
    """y = fl(x + Horner) against the polynomial in rationals."""
    rng = np.random.default_rng(7)
    n, p, h, worst = SQUARE.n, 10, 0.37, 0.0
    shape, tier = carry_shape(), steps.Tier(p, 1e-9, 0.3, False, in_pairs, 10)
    memory = models.models_for(shape, p)
    for _ in range(20):
        W = rng.normal(size=(p + 1, n)) * 0.3 ** np.arange(p + 1)[:, None]
        low = W * U * rng.uniform(-1, 1, size=W.shape) if in_pairs else np.zeros_like(W)
        y, y_low = np.zeros((1, n)), np.zeros((1, n))
        if in_pairs:
            double_double.end_point_pairs(W, low, h, p, n, y, y_low)
        else:
            taylor.end_point(W, h, p, n, y)
        wrong = Fraction(0)
        for q in range(n):
            exact = sum((Fraction(W[i, q]) + Fraction(low[i, q])) * Fraction(h) ** i for i in range(p + 1))
            wrong += (Fraction(y[0, q]) + Fraction(y_low[0, q]) - exact) ** 2
        for layer in range(shape.m):
            for i in range(p + 1):
                memory.size[layer, i] = np.linalg.norm(W[i, shape.at[layer] : shape.at[layer + 1]]) * (1 + 1e-12)
        models.scale(memory, h, p)
        bound = models.jump(memory, shape.m, p, V if tier.pairs else U)
        assert root(wrong) <= bound
        worst = max(worst, root(wrong) / bound)
    assert worst > (0.002 if in_pairs else 0.05)


def carry_shape() -> object:
    from basins.proof.shape import shape_of

    return shape_of(SQUARE)

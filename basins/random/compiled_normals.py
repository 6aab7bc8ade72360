"""The streams of philox.py and the formulas of normals.py, compiled.

The operations and their order are the same, so the bits are the same; they are drawn faster.

Every + - * / and square root here is rounded separately: numba gets no fast-math flag, and LLVM fuses a product with a
sum only if it is told to. Each loop first does what a CPU can vectorise; the tails are then gathered and computed
together. tests/random/test_compiled_normals.py compares these functions with theirs, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from basins.jit_cache import njit
from basins.random.coefficients import ATANH, CENTRE, FAR_TAIL, LN2_HIGH, LN2_LOW, NEAR_TAIL

Array = NDArray[np.float64]

CHUNK = 1024
"""Numbers transformed at a time, so that they and their tails stay in a core's L1 cache. No number depends on it."""

TIMES_A, TIMES_C = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
STEP_A, STEP_B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
WORDS, ROUNDS = 4, 10
"""Philox4x64-10's constants (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011)."""


def _high(context: Any, a: Any, b: Any) -> Any:
    """The upper word of the product of two words of 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


high: Any = intrinsic(_high)


def centred_uniforms(seed: int, stream: int, block: int, count: int) -> Array:
    """As `philox.centred_uniforms`: shape (count,)."""
    q = np.empty(-(-count // WORDS) * WORDS)
    _fill_uniforms(np.uint64(seed), np.uint64(stream), np.uint64(block), q)
    return q[:count]


def normals(q: Array) -> Array:
    """As `normals.normals`: shape of q."""
    flat = np.ascontiguousarray(q).reshape(-1)
    z = np.empty_like(flat)
    _fill_normals(flat, z)
    return z.reshape(q.shape)


# --- Philox4x64-10 ----------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _centred(word: Any) -> float:
    """(k + 1/2) 2^-53 - 1/2, k the word's high 53 bits."""
    return (np.float64(word >> np.uint64(11)) - (2.0**52 - 0.5)) * 2.0**-53


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_uniforms(seed: np.uint64, stream: np.uint64, block: np.uint64, q: Array) -> None:
    """Key (seed, stream), counters (1, 0, 0, block), (2, 0, 0, block), ...: four numbers each."""
    for number in range(len(q) // WORDS):
        a, b, c, d = np.uint64(number + 1), np.uint64(0), np.uint64(0), block
        key_a, key_b = seed, stream
        for _ in range(ROUNDS):
            a, b, c, d = high(TIMES_C, c) ^ b ^ key_a, TIMES_C * c, high(TIMES_A, a) ^ d ^ key_b, TIMES_A * a
            key_a, key_b = key_a + STEP_A, key_b + STEP_B
        at = WORDS * number
        q[at], q[at + 1], q[at + 2], q[at + 3] = _centred(a), _centred(b), _centred(c), _centred(d)


# --- AS 241 -----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _polynomial(falling: tuple[float, ...], x: float) -> float:
    """Horner's rule, with one rounding per operation."""
    value = falling[0] * x
    for k in range(1, len(falling) - 1):
        value = (value + falling[k]) * x
    return value + falling[-1]


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_normals(q: Array, z: Array) -> None:
    """Transforms one chunk at a time: the central formula for all of it, then the tails together."""
    where, p, value = np.empty(CHUNK, dtype=np.int64), np.empty(CHUNK), np.empty(CHUNK)
    words: NDArray[np.uint64] = p.view(np.uint64)
    for start in range(0, len(q), CHUNK):
        stop = min(start + CHUNK, len(q))
        for i in range(start, stop):
            x = 0.180625 - q[i] * q[i]
            z[i] = q[i] * (_polynomial(CENTRE[0], x) / _polynomial(CENTRE[1], x))
        tails = 0
        for i in range(start, stop):
            where[tails] = i
            tails += abs(q[i]) > 0.425
        for k in range(tails):
            p[k] = 0.5 - abs(q[where[k]])
        for k in range(tails):  # frexp: p becomes m in [1/2, 1), value its exponent
            value[k] = np.float64(words[k] >> np.uint64(52)) - 1022.0
            words[k] = (words[k] & np.uint64(0x000FFFFFFFFFFFFF)) | np.uint64(0x3FE0000000000000)
        for k in range(tails):  # p becomes r = sqrt(-log p)
            small = p[k] < 0.7071067811865476
            m = p[k] + p[k] if small else p[k]
            e = value[k] - (1.0 if small else 0.0)
            f = (m - 1.0) / (m + 1.0)
            log_m = (f + f) * _polynomial(ATANH, f * f)
            p[k] = np.sqrt(-(e * LN2_HIGH + (log_m + e * LN2_LOW)))
        for k in range(tails):
            x = p[k] - 1.6
            value[k] = _polynomial(NEAR_TAIL[0], x) / _polynomial(NEAR_TAIL[1], x)
        for k in range(tails):
            if p[k] > 5.0:
                x = p[k] - 5.0
                value[k] = _polynomial(FAR_TAIL[0], x) / _polynomial(FAR_TAIL[1], x)
        for k in range(tails):
            z[where[k]] = np.copysign(value[k], q[where[k]])

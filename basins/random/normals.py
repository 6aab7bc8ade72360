"""From uniform to normal numbers, with the same bits on any machine. philox.py draws the uniform ones.

A start must not depend on the CPU that drew it. So normals are not drawn by numpy's ziggurat, and the inverse normal
distribution function is not scipy.special.ndtri: both call the C library's log, whose last bit depends on the library
and on whether the CPU has fused multiply-add. Instead this module uses Wichura's algorithm AS 241 (PPND16, Applied
Statistics 37, 1988, 477-484), accurate to about 1 part in 10^16. It needs only + - * / and square roots, each rounded
once as in IEEE 754; the logarithm that its tails need is a series in the same operations.

Here each operation is a separate numpy ufunc. compiled_normals.py compiles the same operations, which takes a third of
the time for the same bits; it is used if numba is installed.
"""

from __future__ import annotations

import numpy as np

from basins.random import philox
from basins.random.coefficients import ATANH, CENTRE, FAR_TAIL, LN2_HIGH, LN2_LOW, NEAR_TAIL
from basins.random.philox import Array

CHUNK = 8192
"""Numbers transformed at a time, so that the temporaries stay in a core's cache. No number depends on it."""


def normals(q: Array) -> Array:
    """The standard normals z with Phi(z) = 1/2 + q, for q in (-1/2, 1/2) as `centred_uniforms` gives them;
    shape of q."""
    drawing = philox.compiled_functions()
    if drawing is not None:
        drawn: Array = drawing.normals(q)
        return drawn
    flat = np.ascontiguousarray(q).reshape(-1)
    z = np.empty_like(flat)
    for at in range(0, len(flat), CHUNK):
        _normals(flat[at : at + CHUNK], z[at : at + CHUNK])
    return z.reshape(q.shape)


def _normals(q: Array, z: Array) -> None:
    """AS 241 on one chunk, into z. The central formula is computed everywhere, because branching would cost more."""
    size = np.abs(q)
    np.multiply(q, _ratio(CENTRE, 0.180625 - q * q), out=z)
    tail = np.flatnonzero(size > 0.425)
    if len(tail) == 0:
        return
    r = np.sqrt(-logarithm(0.5 - size[tail]))  # 1/2 - |q| is exact: a multiple of 2^-54 below 2^-1
    value = _ratio(NEAR_TAIL, r - 1.6)
    far = np.flatnonzero(r > 5.0)
    if len(far):
        value[far] = _ratio(FAR_TAIL, r[far] - 5.0)
    z[tail] = np.copysign(value, q[tail])


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    above, below = (_polynomial(falling, x) for falling in coefficients)
    return np.divide(above, below, out=above)


def _polynomial(falling: tuple[float, ...], x: Array) -> Array:
    """Horner's rule, with one rounding per operation."""
    value = falling[0] * x
    for coefficient in falling[1:-1]:
        value += coefficient
        value *= x
    value += falling[-1]
    return value


def logarithm(x: Array) -> Array:
    """log x of positive normal numbers, for 0 < x <= 1/2: relative error about 2 u, in + - * / and exact
    scalings alone."""
    m, exponent = np.frexp(x)
    small = m < 0.7071067811865476
    m = np.where(small, m + m, m)
    e = exponent - small.astype(np.float64)
    f = (m - 1.0) / (m + 1.0)
    series = _polynomial(ATANH, f * f)
    log_m = (f + f) * series
    return e * LN2_HIGH + (log_m + e * LN2_LOW)

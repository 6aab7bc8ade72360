"""From Philox's bits to uniform and normal numbers, with the same bits on any machine.

A start must not depend on the CPU that drew it. So normals are not drawn by numpy's ziggurat, and
the inverse normal distribution function is not scipy.special.ndtri: both call the C library's log, whose last
bit depends on the library and on whether the CPU has fused multiply-add. Here it is Wichura's algorithm AS
241 (PPND16, Applied Statistics 37, 1988, 477-484), about 1 part in 10^16, in + - * / and square roots alone,
each rounded once, as IEEE 754 says; the logarithm that its tails need is a series in the same operations.

Here each operation is a numpy ufunc of its own; compiled.py compiles the same operations, which takes a third of the
time for the same bits, and is what draws where numba is there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CHUNK = 8192
"""Numbers transformed at a time: the temporaries then stay in a core's cache. No number depends on it."""

# AS 241's rational functions, numerator and denominator by falling power: for |q| <= 0.425 in 0.180625 - q^2,
# then in r = sqrt(-log p) for the smaller tail p: r - 1.6 up to r = 5, and r - 5 beyond.
CENTRE = (
    (
        2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
        4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
        1.3314166789178437745e2, 3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
        2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
        4.2313330701600911252e1, 1.0,
    ),
)  # fmt: skip
NEAR_TAIL = (
    (
        7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
        1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
        4.63033784615654529590e0, 1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
        1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
        2.05319162663775882187e0, 1.0,
    ),
)  # fmt: skip
FAR_TAIL = (
    (
        2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
        2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
        5.46378491116411436990e0, 6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
        7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
        5.99832206555887937690e-1, 1.0,
    ),
)  # fmt: skip

LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42fefap-1"), float.fromhex("0x1.cf79abc9e3b3ap-40")
"""log 2 in two parts; the first ends in 17 zero bits, so that an exponent times it is exact."""

ATANH = tuple(1.0 / k for k in range(21, 0, -2))
"""log m = 2 atanh f, f = (m - 1)/(m + 1): coefficients of the series in f^2, falling; |f| <= 0.1716 leaves
7e-19 out."""


@cache
def _compiled() -> Any:
    """compiled.py, or None without numba: loaded when first drawn from, because numba takes its time."""
    try:
        from basins.random import compiled
    except ImportError:
        return None
    return compiled


def centred_uniforms(seed: int, stream: int, block: int, count: int) -> Array:
    """`count` numbers q = (k + 1/2) 2^-53 - 1/2 in (-1/2, 1/2), k the high 53 bits of a Philox word: shape
    (count,).

    Philox4x64-10 has key (seed, stream) and counter (number, 0, 0, block), each a word of 64 bits of its own,
    so no two of seed, stream and block ever share a stream. numpy counts up before it draws: number starts at
    1. The half-step keeps q exact (53 bits), symmetric about zero and off the ends; q, not q + 1/2, is handed
    on because the sum would be rounded.
    """
    drawing = _compiled()
    if drawing is not None:
        q: Array = drawing.centred_uniforms(seed, stream, block, count)
        return q
    key = np.array([seed, stream], dtype=np.uint64)
    bits = np.random.Philox(key=key, counter=np.array([0, 0, 0, block], dtype=np.uint64))
    k = (bits.random_raw(count) >> np.uint64(11)).view(np.int64)
    return (k.astype(np.float64) - (2.0**52 - 0.5)) * 2.0**-53


def normals(q: Array) -> Array:
    """The standard normals z with Phi(z) = 1/2 + q, for q in (-1/2, 1/2) as `centred_uniforms` gives them;
    shape of q."""
    drawing = _compiled()
    if drawing is not None:
        drawn: Array = drawing.normals(q)
        return drawn
    flat = np.ascontiguousarray(q).reshape(-1)
    z = np.empty_like(flat)
    for at in range(0, len(flat), CHUNK):
        _normals(flat[at : at + CHUNK], z[at : at + CHUNK])
    return z.reshape(q.shape)


def _normals(q: Array, z: Array) -> None:
    """AS 241 on one chunk, into z. The centre's formula is computed everywhere: branching costs more than it
    saves."""
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
    """Horner's rule, one rounding an operation."""
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

"""Random streams: Philox's words as uniform numbers, one stream for each (seed, stream, block).

Philox4x64-10 is a counter-based generator (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011). Its key
and counter alone give a stream, so any worker can draw any block without what came before it.

numpy draws the words here. compiled_normals.py compiles the same words, and is used if numba is installed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@cache
def compiled_functions() -> Any:
    """compiled_normals.py, or None without numba. It is loaded at the first draw, because numba is slow to import."""
    try:
        from basins.random import compiled_normals
    except ImportError:
        return None
    return compiled_normals


def centred_uniforms(seed: int, stream: int, block: int, count: int) -> Array:
    """`count` numbers q = (k + 1/2) 2^-53 - 1/2 in (-1/2, 1/2), k the high 53 bits of a Philox word: shape
    (count,).

    Philox4x64-10 has the key (seed, stream) and the counter (number, 0, 0, block). Each is a separate 64-bit word, so
    different (seed, stream, block) never share a stream. numpy increments the counter before it draws, so number starts
    at 1. The half-step keeps q exact (53 bits), symmetric about zero and inside the interval. q is returned, not q +
    1/2, because the sum would be rounded.
    """
    drawing = compiled_functions()
    if drawing is not None:
        q: Array = drawing.centred_uniforms(seed, stream, block, count)
        return q
    key = np.array([seed, stream], dtype=np.uint64)
    bits = np.random.Philox(key=key, counter=np.array([0, 0, 0, block], dtype=np.uint64))
    k = (bits.random_raw(count) >> np.uint64(11)).view(np.int64)
    return (k.astype(np.float64) - (2.0**52 - 0.5)) * 2.0**-53

"""The start of each id: blocks of ids, their streams, and their starts."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from basins.errors import ArgumentError
from basins.landscapes.base import Landscape
from basins.laws.base import Law
from basins.random.philox import Array, centred_uniforms

BLOCK = 1024
"""The number of ids that share one Philox stream."""


def stream_key(problem: Landscape, law: Law) -> int:
    """The case's word of the Philox key: the first 64 bits of SHA-256 over the problem's digest and the law,
    not the engine."""
    canonical = json.dumps(law.canonical(problem), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(hashlib.sha256(f"{problem.digest} {canonical}".encode()).digest()[:8], "big")


def starts(problem: Landscape, law: Law, seed: int, block: int) -> Array:
    """Starts (1024, n) of the ids block * 1024, ..., block * 1024 + 1023. A block cut short is a
    prefix of it."""
    for name, word in (("seed", seed), ("block", block)):
        if isinstance(word, bool) or not isinstance(word, (int, np.integer)) or not 0 <= word < 1 << 64:
            raise ArgumentError(f"{name} = {word!r}", where=name, remedy="give a whole number from 0 to 2^64 - 1")
    law.check(problem)
    draws = law.draws(problem)
    try:
        q = centred_uniforms(int(seed), stream_key(problem, law), int(block), BLOCK * draws)
        return law.sample(problem, q.reshape(BLOCK, draws))
    except MemoryError:
        raise ArgumentError(
            f"{BLOCK:,} starts of {problem.n:,} numbers do not fit in this machine's memory",
            where=problem.size_text,
            remedy="give smaller widths, or run where there is more memory",
        ) from None

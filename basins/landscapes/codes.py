"""Codes of critical sets that say one whole number of each mode, packed into the 64 bits of a row.

A deep linear network needs one bit a mode (fitted or not). A landscape whose modes have more states than two needs
more: three states, two bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.errors import ArgumentError
from basins.landscapes.base import CODE_BITS, Codes


@dataclass(frozen=True)
class CodeLayout:
    """The number of mode i is in bits i * bits to (i + 1) * bits - 1 of the code.

    modes: how many numbers a code holds; bits: of each. Raises ArgumentError where they are fewer than one, or more
    than 64 bits in all.
    """

    modes: int
    bits: int = 1

    def __post_init__(self) -> None:
        for name in ("modes", "bits"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ArgumentError(f"{name} = {value!r}", where=name, remedy="give a whole number of at least 1")
        check_code_bits(self.modes * self.bits)

    @property
    def code_bits(self) -> int:
        """Bits of a whole code."""
        return self.modes * self.bits

    @property
    def _shifts(self) -> NDArray[np.uint64]:
        return np.arange(self.modes, dtype=np.uint64) * np.uint64(self.bits)

    def pack(self, numbers: ArrayLike) -> Codes:
        """Codes (...,) of whole numbers (..., modes). Raises ArgumentError for one that its bits cannot hold."""
        given = np.asarray(numbers)
        if given.size and (given.min() < 0 or int(given.max()) >= 1 << self.bits):
            raise ArgumentError(
                f"a number outside 0..{(1 << self.bits) - 1}", where="numbers", remedy=f"each has {self.bits} bits"
            )
        codes: Codes = np.bitwise_or.reduce(given.astype(np.uint64) << self._shifts, axis=-1)
        return codes

    def unpack(self, codes: ArrayLike) -> NDArray[np.uint64]:
        """The numbers (..., modes) of codes (...,)."""
        each = np.asarray(codes, dtype=np.uint64)[..., None] >> self._shifts
        return each & np.uint64((1 << self.bits) - 1)


def check_code_bits(bits: int) -> None:
    """Raises ArgumentError where a code needs more bits than a row keeps."""
    if bits > CODE_BITS:
        raise ArgumentError(
            f"a critical set's code needs {bits} bits",
            remedy=f"a row keeps {CODE_BITS}: take fewer modes, or fewer bits",
        )

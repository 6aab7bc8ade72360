"""Memory for the compiled step's arguments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def aligned(numbers: int) -> NDArray[np.float64]:
    """Zeros that start on a cache line, as the vector loads of generated code need."""
    memory: NDArray[np.float64] = np.zeros(numbers + 16)
    skip = -memory.ctypes.data % 128 // 8
    return memory[skip : skip + numbers]

"""What the compiled drivers share: calling a kernel's function, when and how a row stops, the smallest step."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from basins.integrators.base import REST, Array, Stop
from basins.integrators.simd.row_states import GOES_ON
from basins.jit_cache import njit

LEVEL, RESTING, T_END = int(Stop.LEVEL), int(Stop.RESTING), int(Stop.T_END)
BUDGET, NON_FINITE = int(Stop.BUDGET), int(Stop.NON_FINITE)


def _call(context: Any, address: Any, pointers: Any) -> Any:
    """Call the C function void(ptr, ...) at an address, with a tuple of addresses."""
    signature = types.void(address, pointers)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        values = [builder.extract_value(arguments[1], k) for k in range(len(pointers))]
        kind = ir.FunctionType(ir.VoidType(), [pointer] * len(values)).as_pointer()
        function = builder.inttoptr(arguments[0], kind)
        builder.call(function, [builder.inttoptr(value, pointer) for value in values])
        return context.get_dummy_value()

    return signature, generate


call: Any = intrinsic(_call)


@njit(cache=True, error_model="numpy", inline="always")
def reason(row: Any, t: float, loss: float, slope: float, state: float, H: int, gram_norm: float) -> int:
    """The contract's tests in its order, from the loss and the norms of slope and state; GOES_ON or a Stop."""
    if not (np.isfinite(loss) and np.isfinite(slope) and np.isfinite(state)):
        return NON_FINITE
    if loss < row.level:
        return LEVEL
    if t >= row.t_end:
        return T_END
    if t >= row.rest_after:  # base.at_rest, its power as a product
        each = max(state, row.first_norm) / np.sqrt(H + 1.0)
        size = np.sqrt(2.0 * loss) * gram_norm
        for _ in range(H):
            size *= each
        if slope <= REST * size:
            return RESTING
    if row.evaluations >= row.budget:
        return BUDGET
    return GOES_ON


@njit(cache=True, error_model="numpy")
def stop(lane: Any, row: Any, why: int, states: Array, k: int, state: Array) -> None:
    """The row stops where the lane is, lane k of states (n, lanes), and leaves it."""
    row.stop, row.t = why, lane.t
    for i in range(states.shape[0]):
        state[lane.row, i] = states[i, k]
    lane.row = -1


@njit(cache=True, error_model="numpy", inline="always")
def least_step(t: float) -> float:
    """scipy's: ten times the spacing of floats at t."""
    return 10.0 * abs(np.nextafter(t, np.inf) - t)  # type: ignore[no-any-return]


@njit(cache=True, error_model="numpy", inline="always")
def too_small(size: float, t: float) -> bool:
    """size < least_step(t); the first test is nearly always enough and cheaper, 1 ulp of t being at most 2.3e-16 t."""
    return not size > 3e-15 * t + 1e-300 and size < least_step(t)

"""RKC's coefficients, stage by stage, and how many stages a step takes (Sommeijer, Shampine, Verwer, 1997)."""

from __future__ import annotations

from typing import Any

import numpy as np

from basins.integrators.base import Array
from basins.jit_cache import njit

DAMPING = 2.0 / 13.0


@njit(cache=True, error_model="numpy", inline="always")
def cube_root(x: float) -> float:
    """x^(1/3) to a factor x^(1/3072), as x^(1/4 + 1/16 + 1/64 + 1/256 + 1/1024): good enough for a step's size."""
    root = 1.0
    for _ in range(5):
        x = np.sqrt(np.sqrt(x))
        root *= x
    return root


@njit(cache=True, error_model="numpy", inline="always")
def stages_for(x: float) -> int:
    """The least s with h rho = x inside the interval of stability: s^2 - 1 >= 1.54 x."""
    return max(2, 1 + int(np.sqrt(1.54 * x + 1.0)))


@njit(cache=True, error_model="numpy", inline="always")
def reach(s: int) -> float:
    """The largest h rho that s stages are stable for."""
    return (s * s - 1.0) / 1.54


@njit(cache=True, error_model="numpy")
def slope_at(w0: float, s: int) -> float:
    """w_1 = T_s'(w_0) / T_s''(w_0), by the recurrence of Chebyshev's polynomials."""
    T, dT, ddT = w0, 1.0, 0.0
    T_, dT_, ddT_ = 1.0, 0.0, 0.0
    for _ in range(s - 1):
        T, T_, dT, dT_, ddT, ddT_ = (
            2.0 * w0 * T - T_, T, 2.0 * w0 * dT - dT_ + 2.0 * T, dT, 2.0 * w0 * ddT - ddT_ + 4.0 * dT, ddT,
        )  # fmt: skip
    return dT / ddT


@njit(cache=True, error_model="numpy")
def begin_stages(lane: Any) -> None:
    """w_0 and w_1 of a lane's s stages, and T_1, T_0, b_1, b_0 with them."""
    lane.w0 = 1.0 + DAMPING / (lane.s * lane.s)
    lane.w1 = slope_at(lane.w0, lane.s)
    lane.T, lane.dT, lane.ddT = lane.w0, 1.0, 0.0
    lane.T_, lane.dT_, lane.ddT_ = 1.0, 0.0, 0.0
    lane.b = lane.b_ = 1.0 / (4.0 * lane.w0 * lane.w0)  # b_0 = b_1 = b_2 = T_2'' / T_2'^2


@njit(cache=True, error_model="numpy")
def next_stage(lane: Any, weights: Array, k: int) -> None:
    """The next stage's coefficients (4, lanes): of D_{j-1}, D_{j-2}, F_{j-1} and F_0 (kernel.stage)."""
    lane.j += 1
    if lane.j == 1:
        weights[3, k] = lane.b * lane.w1 * lane.h
        lane.a = 1.0 - lane.w0 * lane.b
        return
    # T_j = 2 w_0 T_{j-1} - T_{j-2} and its derivatives; b_j = T_j'' / T_j'^2
    w0, T, dT, ddT = lane.w0, lane.T, lane.dT, lane.ddT
    lane.T = 2.0 * w0 * T - lane.T_
    lane.dT = 2.0 * w0 * dT - lane.dT_ + 2.0 * T
    lane.ddT = 2.0 * w0 * ddT - lane.ddT_ + 4.0 * dT
    lane.T_, lane.dT_, lane.ddT_ = T, dT, ddT
    b = lane.b if lane.j == 2 else lane.ddT / (lane.dT * lane.dT)
    mu = 2.0 * w0 * b / lane.b
    mu_t = 2.0 * lane.w1 * b / lane.b * lane.h
    weights[0, k], weights[1, k] = mu, -b / lane.b_
    weights[2, k], weights[3, k] = mu_t, -mu_t * lane.a
    lane.b_, lane.b = lane.b, b
    lane.a = 1.0 - lane.T * b

"""Where everything lies: the widths and offsets that the compiled code, which knows no shape, is given.

Layers are counted from 0 here: W_l, l = 0 ... m - 1, is (d[l+1], d[l]), m = H + 1 (the paper's W_{l+1}). With them

    S_l = W_{m-1} ... W_l           (d_y, d[l])     suffix products; S_0 is the network, S_m = I is not stored
    E   = T - S_0 G                 (d_y, d_x)      G = I in the reduced flow
    F_0 = E G^T,  F_{l+1} = F_l W_l^T   (d_y, d[l])
    f_l = S_{l+1}^T F_l             (d[l+1], d[l])  the flow: dW_l/dt = f_l

(the paper's A_j = S_{j+1} here, F_j as in flow.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.base import MatrixChain

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


class Shape(NamedTuple):
    """m layers; d (m + 1,) widths; at (m + 1,) offsets of the layers in a state; s_at (m + 1,) of S_l, and of F_l; b_at
    (m + 1,) of the prefix products B_l = W_{l-1} ... W_0 G (d[l], d_x); raw: whether there is a Gram root."""

    m: int
    d: Integers
    at: Integers
    s_at: Integers
    b_at: Integers
    raw: bool


class Constants(NamedTuple):
    """T (1, d_y d_x), G (1, d_x d_x; empty if G = I); target: ||T||_F, gram: ||G||_F and gram_top: ||G||_2, all from
    above (1, 1 if G = I); level: a loss residual ||E||_F below it proves a minimum; size: the problem's own length,
    for when to stop."""

    T: Array
    G: Array
    target: float
    gram: float
    gram_top: float
    level: float
    size: float


def shape_of(chain: MatrixChain) -> Shape:
    d = np.array(chain.widths, dtype=np.int64)

    def offsets(sizes: Integers) -> Integers:
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    m = len(d) - 1
    return Shape(
        m, d, offsets(d[1:] * d[:-1]), offsets(d[-1] * d[:-1]), offsets(d[:-1] * d[0]), chain.gram_root is not None
    )

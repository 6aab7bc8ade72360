"""The gradient flow of a deep linear network, readable beside the paper.

Layers are a sequence (W_1, ..., W_{H+1}) of arrays (..., d_j, d_{j-1}); leading axes are a batch. With the target
T (d_y, d_x) and the root of the Gram matrix G (d_x, d_x; None stands for the identity)

    E = T - W_{H+1} ... W_1 G,    L = 1/2 ||E||^2,    dW_j/dt = A_j^T E G^T B_j^T,                       (paper, eq.
    (6)) A_j = W_{H+1} ... W_{j+1},    B_j = W_{j-1} ... W_1.

The reduced flow (the paper's GDD) has T = Sigma_Y and G = I; the raw flow has T = Y V_X^1 and G = U_X S_X, which is the
gradient flow in the coordinates of the data (theory.md 1.1: the two are not related by an isometry).

Since d_y <= d_x, products carry d_y rows from the output side, not d_x columns (theory.md 7). Every product of an
exact zero is an exact zero here, which is what keeps a planted start planted (theory.md 6.7).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Layers = Sequence[Array]


def suffix_products(W: Layers) -> list[Array | None]:
    """[A_0, A_1, ..., A_{H+1}] with A_j = W_{H+1}...W_{j+1} of shape (..., d_y, d_j); A_{H+1} = I is given as None."""
    A: list[Array | None] = [None] * (len(W) + 1)
    product = W[-1]
    A[len(W) - 1] = product
    for j in range(len(W) - 2, -1, -1):
        product = product @ W[j]
        A[j] = product
    return A


def network(W: Layers) -> Array:
    """The network's matrix W_{H+1}...W_1, shape (..., d_y, d_x)."""
    P = suffix_products(W)[0]
    assert P is not None
    return P


def residual(T: Array, G: Array | None, W: Layers) -> Array:
    """E = T - W_{H+1}...W_1 G, shape (..., d_y, d_x) (the paper's M of section 2, eq. (5))."""
    P = network(W)
    return T - (P if G is None else P @ G)


def half_square(E: Array) -> Array:
    """1/2 ||E||^2, shape (...,)."""
    square: Array = 0.5 * np.einsum("...ij,...ij->...", E, E)
    return square


def loss(T: Array, G: Array | None, W: Layers) -> Array:
    """L = 1/2 ||E||^2 (eq. (3)), shape (...,)."""
    E = residual(T, G, W)
    return half_square(E)


def loss_and_gradient(T: Array, G: Array | None, W: Layers) -> tuple[Array, list[Array]]:
    """L, shape (...,), and its gradient, one array (..., d_j, d_{j-1}) a layer: -A_j^T F_j (eq. (6), theory.md 7)."""
    A = suffix_products(W)
    P = A[0]
    assert P is not None
    E = T - (P if G is None else P @ G)
    L = half_square(E)
    F = E if G is None else E @ G.T
    gradient = []
    for j, W_j in enumerate(W, start=1):  # F = F_j = E G^T B_j^T, shape (..., d_y, d_{j-1})
        A_j = A[j]
        gradient.append(-F if A_j is None else -(A_j.mT @ F))
        if j < len(W):
            F = F @ W_j.mT
    return L, gradient


def invariants(W: Layers) -> list[Array]:
    """[C_1, ..., C_H], C_j = W_{j+1}^T W_{j+1} - W_j W_j^T (..., d_j, d_j), constant along the flow (Lemma 2.3)."""
    return [W[j + 1].mT @ W[j + 1] - W[j] @ W[j].mT for j in range(len(W) - 1)]


def hessian_product(T: Array, G: Array | None, W: Layers, w: Layers) -> list[Array]:
    """The Hessian at W applied to w: the derivative of the gradient along w, by the product rule.

    W: layers (d_j, d_{j-1}) or a batch of them; w: layers with the same or further leading axes.
    The paper's H_W (Prop. 3) is the t^2 coefficient of L(W + t w), so half of <w, Hessian w> (theory.md 1.5).
    """
    A = suffix_products(W)
    P = A[0]
    assert P is not None
    dA: list[Array | None] = [None] * (len(W) + 1)  # dA_{j-1} = dA_j W_j + A_j w_j; dA_{H+1} = 0
    for j in range(len(W), 0, -1):
        A_j, dA_j = A[j], dA[j]
        step = w[j - 1] if A_j is None else A_j @ w[j - 1]
        dA[j - 1] = step if dA_j is None else dA_j @ W[j - 1] + step
    dP = dA[0]
    assert dP is not None
    E = T - (P if G is None else P @ G)
    F, dF = (E, -dP) if G is None else (E @ G.T, -dP @ (G @ G.T))
    product = []
    for j, (W_j, w_j) in enumerate(zip(W, w, strict=True), start=1):
        A_j, dA_j = A[j], dA[j]
        change = dF if A_j is None else A_j.mT @ dF
        product.append(-change if dA_j is None else -(dA_j.mT @ F + change))
        if j < len(W):
            F, dF = F @ W_j.mT, dF @ W_j.mT + F @ w_j.mT
    return product

"""Balanced starts: every invariant C_j is zero up to rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from basins.keys import Key
from basins.landscapes.base import Landscape
from basins.laws.base import Law
from basins.laws.parameters import A_POSITIVE, deep_linear, positive
from basins.random.normals import normals
from basins.random.philox import Array


@dataclass(frozen=True)
class Balanced(Law):
    """Null: every invariant C_j = W_{j+1}^T W_{j+1} - W_j W_j^T is zero up to rounding.

    W_j = U_j S U_{j-1}^T, U_j (d_j, r) with orthonormal columns, uniform (Haar), r the smallest width, S (r, r) a
    diagonal with entries scale |z|, z standard normal. All layers share S, and adjacent layers share the U_j between
    them, so that both products are U_j S^2 U_j^T.
    """

    scale: Annotated[float, Key("Size of the layers' common singular values.", "as weights", 0.5, A_POSITIVE)] = 1.0
    name: ClassVar[str] = "balanced"
    null: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", positive("scale", self.scale))

    def check(self, problem: Landscape) -> None:
        deep_linear(problem)

    def draws(self, problem: Landscape) -> int:
        widths = deep_linear(problem).widths
        return (sum(widths) + 1) * min(widths)

    def sample(self, problem: Landscape, q: Array) -> Array:
        network = deep_linear(problem)
        r = min(network.widths)
        z = np.ascontiguousarray(normals(q).T)  # (draws, N): each operation below is one over the N
        S = self.scale * np.abs(z[:r])
        frames, at = [], r
        for d in network.widths:
            frames.append(_orthonormal(z[at : at + d * r].reshape(d, r, -1)))
            at += d * r
        W = np.empty((len(q), problem.n))
        layers = network.unpack(W)  # views
        for W_j, U_j, U_before in zip(layers, frames[1:], frames, strict=False):
            product = np.zeros((len(U_j), len(U_before), len(q)))
            for k in range(r):
                product += (U_j[:, k] * S[k])[:, None] * U_before[None, :, k]
            W_j[...] = product.transpose(2, 0, 1)
        return W


def _orthonormal(A: Array) -> Array:
    """The Q, (d, r, N), of the QR factorisations of A (d, r, N), r <= d, with R's diagonal positive: Haar for
    Gaussian A.

    It uses Gram-Schmidt, twice on each column (orthogonal to rounding: Giraud et al., 2005), because LAPACK's bits
    depend on the CPU.
    """
    Q = np.empty_like(A)
    for k in range(A.shape[1]):
        column = A[:, k].copy()
        for _ in range(2):
            for l in range(k):  # noqa: E741
                column -= _dot(Q[:, l], column) * Q[:, l]
        Q[:, k] = column / np.sqrt(_dot(column, column))
    return Q


def _dot(a: Array, b: Array) -> Array:
    """Inner products over the first axis, (d, N) to (N,), summed in order, because the order of np.sum is
    unspecified."""
    total: Array = a[0] * b[0]
    for i in range(1, len(a)):
        total = total + a[i] * b[i]
    return total

"""A certificate for gradient descent: a ball that its iterates do not leave, and in which they converge.

The loss level proves nothing for a discrete dynamics: with a step that is too long, iterates stay below the level and
never converge. What proves a limit is a ball around the state W, of radius rho, on which the loss has a
Polyak-Lojasiewicz constant mu and a smoothness constant Lam. If eta Lam < 2 and

    R = sqrt(2 l / mu) / (1 - eta Lam / 2) <= rho,        l = L(W) - min L,

then W - eta grad L and all later iterates stay in the ball, the excess l falls by the factor 1 - 2 mu eta (1 - eta Lam
/ 2) at each step, and the limit is a global minimum. Along a step the excess falls by eta (1 - eta Lam / 2) ||grad
L||^2, so that eta ||grad L|| <= 2 (sqrt l_k - sqrt l_{k+1}) / (sqrt(2 mu) (1 - eta Lam / 2)), whose sum is at most R.

The constants, with A_j = W_N ... W_{j+1}, B_j = W_{j-1} ... W_1 G (G the Gram root, of the raw flow), E the residual:
- On {L <= L_0} the singular values of A_1 are at least c = (sigma_min - sqrt(2 L_0)) / ||W_1 G||, because those of
  A_1 W_1 G = P G are at least sigma_min - ||E||. So ||grad L||^2 >= ||A_1^T E G^T||^2 >= 2 mu l with mu = c^2
  lam_min(G G^T).
- The Hessian is at most sum_j ||A_j||^2 ||B_j||^2 + ||E|| lam_max(c), c_jk = ||A_k|| ||W_{k-1}...W_{j+1}|| ||B_j||.
- On the ball a product of n layers changes by at most Delta = sum_k rho^k sqrt(C(n,k) n^-k sum_{|T|=k} c_T^2), with c_T
  the product of the norms of the pieces that are left when the layers T are taken out (Cauchy-Schwarz over T, and
  Maclaurin's inequality for the layers' parts of rho).

Norms are spectral, bounded from above by ||(A A^T)^16||_F^(1/32); all sums are taken in a stated order, without BLAS,
so a row's bytes depend on neither CPU nor batch.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.lengths import sum_in_order

Array = NDArray[np.float64]

ROUNDING = 1 + 1e-9
"""A norm's bound is raised by this: above all rounding of its own, for products of up to 1e5 terms."""

TRIES = 60
"""Radii that are tried, each 3 % above what the last one asks for."""

SQUARINGS = 4
"""The bound of a spectral norm uses the power 2^SQUARINGS of the Gram matrix."""


def margins(problem: Problem, W: Array, above: Array, unfitted: NDArray[np.bool_], rate: float, delta: float) -> Array:
    """1 - eta Lam / 2 on a ball that proves where gradient descent ends from W (N, n), (N,); nan where none is found.

    above (N,): the excess of the loss over its minimum, at its upper end; unfitted (N, d_y): modes that planted zeros
    keep out, so that the minimum is that of the problem on the others; rate: eta; delta: the relative margin of both
    inequalities.
    """
    found = np.full(len(W), np.nan)
    least = np.where(unfitted, np.inf, problem.sigma).min(axis=-1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        error = np.sqrt(2 * above)
        below = np.isfinite(least) & (error < (1 - delta) * least)
    rows = np.flatnonzero(below)
    if len(rows):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found[rows] = _margins(problem, W[rows], above[rows], least[rows], rate, delta)
    return found


def _margins(problem: Problem, W: Array, above: Array, least: Array, rate: float, delta: float) -> Array:
    layers = [np.ascontiguousarray(layer) for layer in problem.unpack(W)]
    norms = Norms(layers)
    error = np.sqrt(2 * above) * ROUNDING
    found, rho, open_ = np.full(len(W), np.nan), np.zeros(len(W)), np.ones(len(W), dtype=bool)
    for _ in range(TRIES):
        mu, smooth = constants(problem, norms, rho, error, least)
        room = 1 - 0.5 * rate * smooth * (1 + delta)
        radius = np.sqrt(2 * above / mu) / room * (1 + delta)
        open_ &= room > 0
        proved = open_ & (radius <= rho)
        found[proved] = room[proved]
        open_ &= ~(radius <= rho)
        if not open_.any():
            break
        rho = np.where(open_, 1.03 * radius, rho)
    return found


def constants(problem: Problem, norms: Norms, rho: Array, error: Array, least: Array) -> tuple[Array, Array]:
    """mu and Lam on the ball of radius rho (N,) within {L <= L_0}; error: sqrt(2 L_0); least: the least sigma that is
    to be fitted."""
    gram = 1.0 if problem.gram_root is None else problem.gram_norm * ROUNDING
    mu = problem.gram_floor * ((least - error) / ((norms.of(0, 0) + rho) * gram)) ** 2 / ROUNDING
    return mu, norms.smoothness(rho, error, gram) * ROUNDING


class Norms:
    """Upper bounds of the spectral norms of all products W_b ... W_a of N states, and of them on a ball."""

    def __init__(self, layers: list[Array]) -> None:
        self.count, self.rows = len(layers), len(layers[0])
        self.norm: dict[tuple[int, int], Array] = {}
        self._growth: dict[tuple[int, int], list[Array]] = {}
        for a in range(self.count):
            product = layers[a]
            self.norm[a, a] = spectral_bound(product)
            for b in range(a + 1, self.count):
                product = times(layers[b], product)
                self.norm[a, b] = spectral_bound(product)

    def of(self, a: int, b: int) -> Array:
        """Of W_b ... W_a, counted from 0; 1 where it is empty."""
        return self.norm[a, b] if a <= b else np.ones(self.rows)

    def on_ball(self, a: int, b: int, rho: Array) -> Array:
        """The same for every state within rho (N,)."""
        total = self.of(a, b).copy()
        for k, coefficient in enumerate(self._coefficients(a, b), start=1):
            total += rho**k * coefficient
        return total

    def _coefficients(self, a: int, b: int) -> list[Array]:
        """Those of rho, rho^2, ... in the growth of a product, computed once for all radii."""
        if (a, b) not in self._growth:
            n, found = b - a + 1, []
            for k in range(1, n + 1):
                squares = np.zeros(self.rows)
                for taken in combinations(range(a, b + 1), k):
                    squares += self._left(a, b, taken) ** 2
                found.append(np.sqrt(comb(n, k) * float(n) ** -k * squares))
            self._growth[a, b] = found
        return self._growth[a, b]

    def _left(self, a: int, b: int, taken: tuple[int, ...]) -> Array:
        product, start = np.ones(self.rows), a
        for layer in (*taken, b + 1):
            product = product * self.of(start, layer - 1)
            start = layer + 1
        return product

    def smoothness(self, rho: Array, error: Array, gram: float) -> Array:
        """Lam on the ball within {L <= L_0}; error: sqrt(2 L_0) (N,); gram: ||G||."""
        last = self.count - 1
        before = [self.on_ball(0, j - 1, rho) * gram for j in range(self.count)]
        after = [self.on_ball(j + 1, last, rho) for j in range(self.count)]
        squares, sums = np.zeros(self.rows), np.zeros((self.count, self.rows))
        for j in range(self.count):
            squares += (after[j] * before[j]) ** 2
            for k in range(j + 1, self.count):
                each = after[k] * self.on_ball(j + 1, k - 1, rho) * before[j]
                sums[j] += each
                sums[k] += each
        result: Array = squares + error * sums.max(axis=0)  # lam_max of a non-negative matrix is at most a row's sum
        return result


def spectral_bound(A: Array) -> Array:
    """An upper bound of the spectral norms of matrices A (N, r, c), (N,): ||(A A^T)^16||_F^(1/32)."""
    if A.shape[1] > A.shape[2]:
        A = A.transpose(0, 2, 1)
    largest = np.abs(A).max(axis=(1, 2))  # squares of what is left must neither overflow nor underflow
    A = A / np.where(largest > 0, largest, 1.0)[:, None, None]
    gram, scale = times(A, A.transpose(0, 2, 1)), np.ones(len(A))
    for power in range(SQUARINGS + 1):
        size = np.sqrt(sum_in_order(np.square(gram).reshape(len(A), -1)))
        root = size
        for _ in range(power):
            root = np.sqrt(root)
        scale = scale * root
        if power < SQUARINGS:
            gram = gram / np.where(size > 0, size, 1.0)[:, None, None]
            gram = times(gram, gram)
    bound: Array = np.sqrt(scale) * largest * ROUNDING
    return bound


def times(A: Array, B: Array) -> Array:
    """The products A B of matrices (N, r, k) and (N, k, c), summed over rising indices."""
    total = A[:, :, 0, None] * B[:, 0, None, :]
    for k in range(1, A.shape[2]):
        total += A[:, :, k, None] * B[:, k, None, :]
    result: Array = total
    return result

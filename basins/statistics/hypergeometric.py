"""Exact bounds on how many of N are wrong, from a sample drawn without replacement: tails of the hypergeometric law.

Of N labels, w are wrong; n are drawn at random and k of those are wrong: P(k | w) = C(w, k) C(N - w, n - k) / C(N, n).
The upper bound at confidence 1 - alpha is the largest w with P(X <= k | w) >= alpha, the lower bound the smallest w
with P(X >= k | w) >= alpha. Each covers with at least its confidence, whatever w is. This is binomial.py for a finite
population. If the sample is the whole population, n = N, then w = k and nothing is inferred.

A tail is summed outward from its largest term by the ratios of neighbouring terms. The largest term is a quotient of
three binomial ones with p = n / N (Loader 2000; R's dhyper). For N = 10^10 the tails have 12 correct digits and more;
those of scipy's hypergeometric law have 6 to 8.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from basins.errors import ArgumentError

ROUNDING = 1e-9
"""A tail that is below alpha by no more than this, relatively, counts as alpha, which gives the wider bound."""

TERMS = 1024
"""The number of terms of a tail that are summed at a time."""


def upper(k: int, n: int, N: int, confidence: float) -> int:
    """The upper bound on how many of N are wrong, at this confidence, if k of n drawn are: k for n = N, and N for n =
    0."""
    alpha = _alpha(k, n, N, confidence)
    return _last(lambda w: at_most(k, w, n, N) >= alpha, k, N - n + k)


def lower(k: int, n: int, N: int, confidence: float) -> int:
    """The lower bound on how many of N are wrong, at this confidence, if k of n drawn are: k for n = N, and 0 for k =
    0."""
    alpha = _alpha(k, n, N, confidence)
    return N - _last(lambda right: at_least(k, N - right, n, N) >= alpha, n - k, N - k)


def draws(w: int, N: int, confidence: float) -> int:
    """The smallest n for which n drawn, none of them wrong, bound the number of wrong ones of N by w; at most N - w."""
    alpha = _alpha(0, 0, N, confidence)
    return 0 if w >= N else 1 + _last(lambda n: at_most(0, w + 1, n, N) >= alpha, 0, N - w - 1)


def at_most(k: int, w: int, n: int, N: int) -> float:
    """P(X <= k), n drawn of N with w wrong ones."""
    if k < max(0, n + w - N):
        return 0.0
    if k >= min(n, w):
        return 1.0
    return _tail(k, w, n, N, -1) if k * N < n * w else 1.0 - _tail(k + 1, w, n, N, 1)


def at_least(k: int, w: int, n: int, N: int) -> float:
    """P(X >= k), n drawn of N with w wrong ones."""
    if k <= max(0, n + w - N):
        return 1.0
    if k > min(n, w):
        return 0.0
    return _tail(k, w, n, N, 1) if k * N > n * w else 1.0 - _tail(k - 1, w, n, N, -1)


def _tail(k: int, w: int, n: int, N: int, step: int) -> float:
    """P(X = k) + P(X = k + step) + ..., on the side of the mean on which terms fall."""
    total, term = 0.0, _term(k, w, n, N)
    while term > 1e-18 * total:
        j = k + step * np.arange(TERMS, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # beyond the last term, which the product makes 0
            if step < 0:
                ratios = j * (N - w - n + j) / ((w - j + 1) * (n - j + 1))
            else:
                ratios = (w - j) * (n - j) / ((j + 1) * (N - w - n + j + 1))
        ends = np.flatnonzero(ratios <= 0)
        terms = term * np.cumprod(ratios[: ends[0] + 1] if len(ends) else ratios)
        total += term + float(terms[:-1].sum())
        k, term = k + step * TERMS, float(terms[-1])
    return total


def _term(k: int, w: int, n: int, N: int) -> float:
    from scipy.stats import binom

    terms = np.asarray(binom.pmf([k, n - k, n], [w, N - w, N], n / N))
    return float(terms[0] * (terms[1] / terms[2]))


def _last(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The largest number from low to high for which `holds` is true; it is true at low, and up to some point."""
    if holds(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _alpha(k: int, n: int, N: int, confidence: float) -> float:
    if not 0 <= k <= n <= N:
        raise ArgumentError(f"{k} of {n} of {N}", where="hypergeometric", remedy="give 0 <= k <= n <= N")
    if not 0 < confidence < 1:
        raise ArgumentError(f"confidence = {confidence!r}", where="confidence", remedy="give a value between 0 and 1")
    return (1.0 - confidence) * (1.0 - ROUNDING)

"""Exact intervals for a probability from a count: Clopper and Pearson (1934), in tails of the binomial law.

k of n independent trials succeeded. The upper bound at confidence 1 - alpha is the largest p with
P(Bin(n, p) <= k) >= alpha, the lower bound the smallest p with P(Bin(n, p) >= k) >= alpha, so either covers
with at least its confidence for every p, zero included.

Trials of unequal probabilities (a pool of cases) are covered too, with p their mean: by Hoeffding (1956,
Theorem 4) a sum of independent trials has, beyond its mean +- 1, no heavier tail than the binomial of that
mean, and alpha < 1/2 keeps the count that matters beyond it.
"""

from __future__ import annotations

from basins.errors import ArgumentError

CONFIDENCE, ALPHA = 0.95, 0.05
"""Confidence of the one-sided bounds on the saddle-basin measure, and jointly of the strata's intervals; 1 minus it."""


def one_sided_upper(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """The upper bound on p at this confidence: 1 for k = n, 1 - (1 - confidence)^(1/n) for k = 0 (20,000: 1.498e-4)."""
    return _upper(*_counts(k, n), 1.0 - _probability(confidence, "confidence"))


def one_sided_lower(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """The lower bound on p at this confidence: 0 for k = 0, (1 - confidence)^(1/n) for k = n."""
    return _lower(*_counts(k, n), 1.0 - _probability(confidence, "confidence"))


def two_sided(k: int, n: int, alpha: float) -> tuple[float, float]:
    """(lower, upper), each missing p with probability at most alpha/2."""
    k, n = _counts(k, n)
    tail = 0.5 * _probability(alpha, "alpha")
    return _lower(k, n, tail), _upper(k, n, tail)


def trials(bound: float, k: int = 0, confidence: float = CONFIDENCE) -> int:
    """The smallest n for which k of n bound p by at most `bound`: the number of trials to plan if k should succeed."""
    alpha, bound = 1.0 - _probability(confidence, "confidence"), _probability(bound, "bound")
    low, high = k, k + 1  # the bound falls with n, from 1 at n = k
    while _upper(k, high, alpha) > bound:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _upper(k, middle, alpha) <= bound else (middle, high)
    return high


def _upper(k: int, n: int, alpha: float) -> float:
    # P(Bin(n, p) <= k) = 1 - I_p(k + 1, n - k); the complement keeps a tiny alpha's digits (2^d_y strata).
    from scipy.special import betainccinv

    return 1.0 if k == n else float(betainccinv(k + 1, n - k, alpha))


def _lower(k: int, n: int, alpha: float) -> float:
    from scipy.special import betaincinv  # P(Bin(n, p) >= k) = I_p(k, n - k + 1)

    return 0.0 if k == 0 else float(betaincinv(k, n - k + 1, alpha))


def _counts(k: int, n: int) -> tuple[int, int]:
    if not 0 <= k <= n or n < 1:
        raise ArgumentError(f"{k} of {n}", where="interval", remedy="give 0 <= k <= n and n >= 1")
    return int(k), int(n)


def _probability(value: float, name: str) -> float:
    if not 0 < value < 1:
        raise ArgumentError(f"{name} = {value!r}", where=name, remedy="give a value between 0 and 1")
    return value

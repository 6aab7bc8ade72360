"""An exponent fitted to counts on a ladder of rungs: independent binomials whose probabilities follow a power law.

At rung k, K_k of N_k trials succeed, each with probability q_k = exp(a + o_k - theta x_k). o_k is known (the correction
for importance sampling); a and theta are not. theta is estimated by maximum likelihood, and its interval is that of the
profile likelihood: it contains the theta whose log-likelihood, maximised over a, is within half the chi-square(1)
quantile of 1 - alpha of the maximum. Its coverage is tested (tests/rare/test_ladder.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import chdtri, xlog1py

from basins.errors import ArgumentError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Exponent:
    """theta and its interval."""

    value: float
    low: float
    high: float

    def holds(self, number: float) -> bool:
        """Whether the interval contains the number."""
        return self.low <= number <= self.high


def exponent(counts: NDArray[np.int64], trials: int, offsets: Array, x: Array, *, alpha: float = 0.05) -> Exponent:
    """theta in q_k = exp(a + o_k - theta x_k), from counts (R,) of `trials` each; offsets and x (R,).

    The interval misses theta with probability about alpha. Raises ArgumentError unless at least two rungs are
    informative, which means that neither none nor all of their trials succeeded.
    """
    telling = (counts > 0) & (counts < trials)
    if telling.sum() < 2 or np.ptp(x[telling]) == 0:
        raise ArgumentError(
            f"counts {counts.tolist()} of {trials:,} do not determine an exponent",
            where="ladder",
            remedy="give more samples",
        )
    x = x - x.mean()
    offsets = offsets - offsets.mean()

    def profile(theta: float) -> float:
        """The log-likelihood, maximised over a."""
        shift = offsets - theta * x
        top = -float(shift.max())  # q <= 1 everywhere

        def score(a: float) -> float:
            q = np.minimum(np.exp(a + shift), 1 - 1e-12)
            return float(np.sum((counts - trials * q) / (1 - q)))

        low = top - 50.0
        a = top if score(top) >= 0 else float(brentq(score, low, top, xtol=1e-12))
        log_q = np.minimum(a + shift, -1e-12)
        return float(np.sum(counts * log_q + xlog1py(trials - counts, -np.exp(log_q))))

    rough = -np.polyfit(x[telling], np.log(counts[telling] / trials) - offsets[telling], 1)[0]
    error = np.sqrt(np.sum(1.0 / counts[telling])) / np.ptp(x[telling])
    bounds = (rough - 20 * error, rough + 20 * error)
    best = minimize_scalar(lambda theta: -profile(theta), bounds=bounds, method="bounded", options={"xatol": 1e-7})
    value, most = float(best.x), -float(best.fun)

    def drop(theta: float) -> float:
        return profile(theta) - most + 0.5 * float(chdtri(1, alpha))

    step = float(error)
    low, high = value - step, value + step
    while drop(low) > 0:
        low -= step
    while drop(high) > 0:
        high += step
    return Exponent(value, float(brentq(drop, low, value)), float(brentq(drop, value, high)))

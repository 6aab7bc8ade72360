"""Dormand and Prince's method of order 8(5,3), its coefficients read from scipy.integrate.DOP853."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import DOP853

SAFETY, MIN_FACTOR, MAX_FACTOR = 0.9, 0.2, 10.0
"""Of the step control: scipy's, of scipy.integrate._ivp.rk."""

Terms = tuple[tuple[int, float], ...]
"""A linear combination of stages: (stage, coefficient) by rising stage, zeros left out."""


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method for an autonomous flow, with two error estimates (Hairer, Norsett, Wanner, II.10).

    rows[s] gives stage s + 1 from the stages before it; weights: the step; fifth: the error estimate of order 5; third:
    what the estimate of order 3 adds to `weights` (three terms where the whole has eight).
    """

    rows: tuple[Terms, ...]
    weights: Terms
    fifth: Terms
    third: Terms

    @property
    def stages(self) -> int:
        """Evaluations of the vector field an attempted step costs: each row one, and one at the new state."""
        return len(self.rows) + 1


def _terms(coefficients: NDArray[np.float64]) -> Terms:
    return tuple((int(s), float(coefficients[s])) for s in np.flatnonzero(coefficients))


def dop853() -> Tableau:
    """scipy's DOP853."""
    stages = DOP853.n_stages
    return Tableau(
        rows=tuple(_terms(DOP853.A[s, :s]) for s in range(1, stages)),
        weights=_terms(DOP853.B),
        fifth=_terms(DOP853.E5[:stages]),
        third=_terms(DOP853.E3[:stages] - DOP853.B),
    )

"""P(T > t) and P(G < g) at the thresholds of a tail, where they are known exactly (truth.py, approach_truth.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError
from basins.experiment import Case
from basins.landscapes.deep_linear.certificates import level
from basins.landscapes.deep_linear.strata import Stratum
from basins.laws import Gaussian
from basins.rare.approach_truth import nearer
from basins.rare.truth import survival

Array = NDArray[np.float64]

MOST = 8
"""The most thresholds at which it is computed: one takes up to 6 s (truth.py)."""


def known(case: Case, stratum: Stratum | None, thresholds: Sequence[float]) -> tuple[Array, Array] | None:
    """Thresholds (m,), at most MOST of those given, spread evenly and the last among them, and P there (m,); None where
    P is not known: for other problems than scalar chains and (1, m, 1), other laws than Gaussian ones, and thresholds
    outside the range in which it is known.
    """
    if not isinstance(case.law, Gaussian) or case.law.draw != "full" or not len(thresholds):
        return None
    scale = case.law.scale
    picked = np.unique(np.linspace(0, len(thresholds) - 1, min(MOST, len(thresholds))).round().astype(int))
    x, P = [], []
    for one in np.asarray(thresholds, dtype=float)[picked]:
        try:
            if stratum is None:
                at = survival(case.problem, scale, float(one), loss_level=level(case.problem, case.settings.delta))
            elif isinstance(scale, float):
                at = nearer(case.problem, scale, float(one))
            else:
                return None
        except ArgumentError:
            continue
        x.append(one)
        P.append(at)
    return (np.array(x), np.array(P)) if x else None

"""Estimates the measure of the saddle basins from counts, with exact intervals. Reads the store and knows no engine.

Of N trajectories drawn from a law, k_s end on a saddle and k_c are censored. The estimate of the saddle-basin
measure is k_s / N. Its lower bound uses k = k_s and its upper bound k = k_s + k_c, because a censored row may end on a
saddle. Each stratum has a two-sided interval at 0.05 / (number of strata), so all of them hold together. A censored row
counts in the upper end of every stratum it may still reach: those with (1 - delta) 1/2 sum_{S^c} sigma^2 <= L at its
stop, with the margin delta of the verdict `minimum` (theory.md 3a).

A run in progress is counted over a contiguous prefix of ids, because fast shards finish first and counting all finished
shards would be biased. These bounds are about computed trajectories. proved.py bounds the measure by starts that were
proved (`basins verify --prove`), without labels. labels.py includes the label error in the bounds where `basins verify`
has checked labels. For random data, pairs.py bounds the share of bad pairs (X, Y).
"""

from basins.estimate.case import CaseEstimate, case_estimate
from basins.estimate.counts import Counts, Measure, StratumMeasure, saddle_measure, strata_measures
from basins.estimate.labels import Frame, LabelError, label_error
from basins.estimate.of_run import Estimate, estimate_run
from basins.estimate.pairs import PairsEstimate
from basins.estimate.pool import PooledEstimate, pool
from basins.estimate.proved import Proved
from basins.laws import law_text

__all__ = [
    "CaseEstimate",
    "Counts",
    "Estimate",
    "Frame",
    "LabelError",
    "Measure",
    "PairsEstimate",
    "PooledEstimate",
    "Proved",
    "StratumMeasure",
    "case_estimate",
    "estimate_run",
    "label_error",
    "law_text",
    "pool",
    "saddle_measure",
    "strata_measures",
]

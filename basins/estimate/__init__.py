"""Counts -> the measure of the saddle basins, with exact intervals. Knows the store and no engine.

Of N trajectories drawn from a law, k_s end on a saddle and k_c are censored. The estimate of the saddle-basin
measure is k_s / N; its lower bound takes k = k_s, its upper bound k = k_s + k_c, for a censored row may be one. Each
stratum has a two-sided interval at 0.05 / (number of strata), so all hold together; a censored row counts in the
upper end of every stratum it may still reach: those with (1 - delta) 1/2 sum_{S^c} sigma^2 <= L at its stop, with
the margin delta of the verdict `minimum` (theory.md 3a).

A run in progress is counted over a contiguous prefix of ids: fast shards finish first, so what is finished is biased.
All of it speaks of computed trajectories. Where starts were proved (`basins verify --prove`), proved.py says what is
so without any label. Where `basins verify` has checked labels, labels.py says what the bounds are
with the label error counted in; over random data, pairs.py bounds the share of bad pairs (X, Y).
"""

from basins.estimate.case import CaseEstimate, case_estimate, law_text
from basins.estimate.counts import Counts, Measure, StratumMeasure, saddle_measure, strata_measures
from basins.estimate.labels import Frame, LabelError, label_error
from basins.estimate.of_run import Estimate, estimate_run
from basins.estimate.pairs import PairsEstimate
from basins.estimate.pool import PooledEstimate, pool
from basins.estimate.proved import Proved

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

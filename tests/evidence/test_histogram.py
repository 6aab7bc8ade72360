"""Bins of the logarithm: edges, octaves, quantiles."""

from __future__ import annotations

import numpy as np
import pytest

from basins.errors import ArgumentError
from basins.store.schemas import LOG2_T_BINS, LOG2_T_HIGH, LOG2_T_LOW, octave
from basins.summary.histogram import LogHistogram, log_edges


def test_powers_of_two_are_exact_edges() -> None:
    edges = log_edges(-20, 44, 16)
    assert (edges[::16] == 2.0 ** np.arange(-20, 45)).all()
    assert (np.diff(edges) > 0).all()


def test_octaves_agree_with_the_blocks(rng: np.random.Generator) -> None:
    """With one bin per octave the counts are those of store/schemas.py, including times on an edge and zeros."""
    t = np.concatenate([[0.0, 2.0**-21, 2.0**-20, 1.0, 2.0**44, 1e300], 2 ** rng.uniform(-25, 50, 10_000)])
    counted = LogHistogram(log_edges(LOG2_T_LOW, LOG2_T_HIGH, 1))
    counted.add(t)
    assert counted.counts.tolist() == np.bincount(octave(t), minlength=LOG2_T_BINS).tolist()


def test_below_is_exact_at_every_edge(rng: np.random.Generator) -> None:
    x = 2 ** rng.uniform(-3, 3, 1000)
    counted = LogHistogram(log_edges(-2, 2, 4))
    for part in np.array_split(x, 7):
        counted.add(part)
    counted.add([np.nan])
    assert counted.total == 1000
    assert counted.below().tolist() == [int((x < edge).sum()) for edge in counted.edges]


def test_quantiles_are_upper_edges() -> None:
    counted = LogHistogram(log_edges(0, 4, 1))
    assert np.isnan(counted.quantile(0.5))
    counted.add([1.5, 1.5, 3.0, 9.0])
    assert [counted.quantile(q) for q in (0.0, 0.5, 0.75, 1.0)] == [2.0, 2.0, 4.0, 16.0]
    counted.add([100.0])
    assert counted.quantile(1.0) == np.inf


def test_counts_that_do_not_match_the_edges_are_refused() -> None:
    with pytest.raises(ArgumentError, match="3 counts for 5 edges"):
        LogHistogram(log_edges(0, 4, 1), np.zeros(3, dtype=np.int64))

"""`settle` and `classify` are one detector: beside a saddle they name the same set and agree on what kind it is."""

from __future__ import annotations

import numpy as np
import pytest
from points import ONE_HIDDEN_LAYER, SHAPES, point, push, raw_problem

from basins.landscapes.deep_linear.critical import classify, construct, unstable_rates
from basins.landscapes.deep_linear.critical.settling import settle
from basins.landscapes.deep_linear.strata import modes_to_mask


@pytest.mark.parametrize("widths", [*ONE_HIDDEN_LAYER[:-1], *SHAPES], ids=str)
def test_settle_agrees_with_classify(widths: tuple[int, ...]) -> None:
    """At constructed saddles, and 1e-13 beside them: the same S, and normally hyperbolic for both or for neither."""
    kinds = ("strict",) if len(widths) == 3 else ("strict", "nonstrict")
    read = 0
    for kind in kinds:
        for seed in range(6):
            problem, modes, W = point(widths, kind, seed)
            for state in (W, push(W, 1e-13, seed)):
                at = settle(problem, state, float(np.linalg.norm(state)))
                if at is None:  # W = 0 is named by no size
                    continue
                there = classify(problem, state)
                assert (
                    (at.code, at.rank) == (modes_to_mask(modes), len(modes)) == (modes_to_mask(there.modes), there.rank)
                )
                assert at.hyperbolic == there.normally_hyperbolic
                assert at.settled or not at.hyperbolic
                read += 1
    assert read >= 6


def test_settle_reads_the_rates_of_theory() -> None:
    """H = 1: the smallest and the largest rate out are those of `unstable_rates`, in both flows."""
    for problem in (point((4, 3, 3), "strict", 2)[0], raw_problem((3,))):
        W = construct(problem, (0,), "strict", seed=4)
        at = settle(problem, W, float(np.linalg.norm(W)))
        rates = unstable_rates(problem, W)
        assert at is not None
        assert (at.fastest_out, at.slowest_out) == (pytest.approx(rates[0]), pytest.approx(rates[-1]))

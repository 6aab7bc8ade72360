"""Proofs as rows, as a table and in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basins
from basins import Problem
from basins.errors import ArgumentError
from basins.proof import TIERS, UNPROVED, Proof


@pytest.fixture(scope="module")
def proof() -> Proof:
    """Two starts that are proved, one planted on a saddle's stable manifold, one that is no number."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,))
    starts = np.random.default_rng(0).normal(size=(4, problem.n))
    starts[1], starts[3] = 0.0, np.nan
    return basins.prove(problem, starts, [0.0, 0.0, 1e-9, 0.0])


def test_rows(proof: Proof) -> None:
    assert proof.proved.tolist() == [True, False, True, False]
    for k, row in enumerate(proof):
        for name in ("proved", "reason", "t", "error", "margin", "growth", "steps", "tier", "radius"):
            np.testing.assert_array_equal(getattr(row, name), getattr(proof, name)[k])
    assert proof[0].reason_text == ""
    assert proof[1].reason_text == UNPROVED[proof.reason[1]]
    assert proof[0].tier_text == TIERS[proof.tier[0]]
    assert repr(proof[0]).startswith("ProofOfRow(proved, at t = ")
    assert repr(proof[1]).startswith(f"ProofOfRow(not proved: {UNPROVED[proof.reason[1]]}, at t = ")
    some = proof[proof.proved]
    assert isinstance(some, Proof)
    assert len(some) == 2
    np.testing.assert_array_equal(some.radius, [0.0, 1e-9])
    with pytest.raises(ArgumentError, match="a mask of 2 for 4 rows"):
        _ = proof[[True, False]]


def test_a_table(proof: Proof) -> None:
    table = proof.to_pandas()
    assert list(table) == list(vars(proof))
    assert table.reason.dtype == pd.CategoricalDtype(list(UNPROVED))
    assert table.reason.isna().tolist() == proof.proved.tolist()
    assert table.tier.tolist() == [TIERS[code] for code in proof.tier]
    np.testing.assert_array_equal(table.error, proof.error)


def test_in_words(proof: Proof) -> None:
    assert repr(proof).startswith("Proof(2 of 4 starts (balls) proved to flow to a global minimum; not proved: 1 ")
    assert repr(proof[[0]]) == "Proof(1 of 1 starts proved to flow to a global minimum)"
    assert "2 of 4 starts" in proof._repr_html_()

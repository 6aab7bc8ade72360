"""Limits as rows, in words and as a table: each beside the arrays they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import basins
from basins import Limits, Problem, Reason, Verdict
from basins.classification.verdict import REASONS
from basins.errors import ArgumentError
from basins.landscapes.deep_linear.critical_sets import CERTIFICATES, VERDICTS, Certificate

ARRAYS = ("time", "loss_start", "loss", "gradient_norm", "verdict", "reason", "certificate", "margin", "code", "rank")


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(2, 2))


@pytest.fixture(scope="module")
def limits(problem: Problem) -> Limits:
    """Minima, one saddle by its planted zeros, one that settles, one whose budget is spent."""
    rng = np.random.default_rng(3)
    starts = 0.6 * rng.normal(size=(8, problem.n))
    layers = problem.unpack(starts)
    layers[0][2, :, 1], layers[-1][2, 1] = 0.0, 0.0
    fitted = 2 ** (1 / 3)
    starts[4] = problem.pack([np.diag([fitted, e]) @ np.eye(2, d) for e, d in ((1e-200, 3), (1.0, 2), (1e-200, 2))])
    starts[6] *= 1e-5
    return basins.integrate(problem, starts, budget=2000)


def test_the_rows_are_of_every_kind(limits: Limits) -> None:
    assert set(limits.verdict) == {Verdict.minimum, Verdict.saddle, Verdict.censored}
    assert set(limits.reason) == {-1, Reason.settled, Reason.evaluation_budget}
    assert len(limits.visits.row) > 3


def test_a_row(limits: Limits) -> None:
    for k, row in enumerate(limits):
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(row, name), getattr(limits, name)[k], err_msg=name)
        np.testing.assert_array_equal(row.state, limits.state[k])
        assert row.modes == limits.modes[k]
        assert row.verdict_text == VERDICTS[limits.verdict[k]]
        assert row.reason_text == ("" if limits.reason[k] < 0 else REASONS[limits.reason[k]])
        np.testing.assert_array_equal(row.visits.t, limits.visits.t[limits.visits.row == k])
    assert limits[2].verdict is Verdict.saddle
    assert limits[-1].time == limits.time[7]
    assert repr(limits[2]).startswith("Limit(saddle (by invariant), t = ")
    assert repr(limits[4]) == "Limit(censored (settled), t = 0, loss 0.5, 1 evaluations)"
    with pytest.raises(AttributeError, match="a Limit has no 'verdikt': it has state, time"):
        _ = limits[0].verdikt


CHOICES: dict[str, Any] = {
    "mask": np.arange(8) % 3 == 0,
    "list of booleans": [True, False] * 4,
    "slice": slice(1, 7, 2),
    "positions": [5, 2, 2, -1],
    "none": [],
    "nothing": np.zeros(8, dtype=bool),
    "all": slice(None),
}


@pytest.mark.parametrize("name", CHOICES)
def test_some_rows(limits: Limits, name: str) -> None:
    rows = np.arange(8)[CHOICES[name] if name != "none" else slice(0)]
    some = limits[CHOICES[name]]
    assert isinstance(some, Limits)
    assert len(some) == len(rows)
    for array in (*ARRAYS, "state"):
        np.testing.assert_array_equal(getattr(some, array), getattr(limits, array)[rows], err_msg=array)
    np.testing.assert_array_equal(some.rank_gap, limits.rank_gap[rows])
    for new, old in enumerate(rows):
        was, now = limits.visits.row == old, some.visits.row == new
        np.testing.assert_array_equal(some.visits.loss[now], limits.visits.loss[was])
    assert len(some.visits.row) == sum((limits.visits.row == old).sum() for old in rows)
    assert len(some.to_pandas()) == len(rows)


def test_choices_that_are_none(limits: Limits) -> None:
    with pytest.raises(ArgumentError, match=r"^rows: a mask of 3 for 8 rows; give a row, a slice, a mask of 8"):
        _ = limits[np.array([True, False, True])]
    for rows in ("minimum", 1.5, [0.0, 1.0], {"verdict": 0}, np.zeros((8, 2), dtype=bool), True):
        with pytest.raises(ArgumentError, match=r"^rows: \w+ chooses no rows; give a row"):
            _ = limits[rows]
    for beyond in (8, -9, [0, 8]):
        with pytest.raises(IndexError):
            _ = limits[beyond]


def test_the_table(limits: Limits) -> None:
    table = limits.to_pandas()
    for name, words in (("verdict", VERDICTS), ("reason", REASONS), ("certificate", CERTIFICATES)):
        assert isinstance(table[name].dtype, pd.CategoricalDtype)
        assert tuple(table[name].cat.categories) == words
        codes = getattr(limits, name)
        assert table[name].astype(object).where(table[name].notna(), None).tolist() == [
            None if code < 0 else words[code] for code in codes
        ]
    assert (table.verdict == "minimum").sum() == (limits.verdict == Verdict.minimum).sum()
    np.testing.assert_array_equal(table.t, limits.time)
    np.testing.assert_array_equal(table.margin, limits.margin)
    assert table["modes"].isna().tolist() == (limits.rank < 0).tolist()
    assert table["modes"].dtype == pd.UInt64Dtype()
    assert table.certificate[2] == Certificate.invariant.name
    assert table["modes"][2] == 1
    assert table.groupby("verdict", observed=False).size()["saddle"] == 1


def test_a_table_without_rows_keeps_its_columns(limits: Limits) -> None:
    assert list(limits[[]].to_pandas()) == list(limits.to_pandas())
    assert tuple(limits[[]].to_pandas().verdict.cat.categories) == VERDICTS


def test_words(limits: Limits) -> None:
    assert repr(limits) == (
        "Limits(8 trajectories: 5 minimum, 1 saddle, 2 censored; censored: 1 evaluation budget, 1 settled)"
    )
    assert repr(limits[[2]]) == "Limits(1 trajectory: 1 saddle)"
    assert repr(limits[[]]) == "Limits(0 trajectories)"
    page = limits._repr_html_()
    assert "8 trajectories: 5 minimum" in page
    assert page.count("<tr") == 9

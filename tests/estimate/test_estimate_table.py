"""An estimate as rows, as a table and in words: the numbers of `to_dict`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import basins
from basins.errors import ArgumentError
from basins.estimate import Estimate
from basins.estimate.sentences import sentence

RUN = Path(__file__).parents[1] / "runs" / "schema-2" / "all"


@pytest.fixture(scope="module")
def estimate() -> Estimate:
    return basins.open_run(RUN).estimate()


def test_cases(estimate: Estimate) -> None:
    assert len(estimate) == 2
    assert [case.name for case in estimate] == ["gaussian", "control"]
    gaussian = estimate["gaussian"]
    assert estimate[0] is estimate[-2] is estimate[gaussian.case] is gaussian
    for missing in ("gausian", True, 1.0, None, b"gaussian"):
        with pytest.raises(ArgumentError, match=r"^estimate: no case "):
            _ = estimate[missing]  # type: ignore[index]
    with pytest.raises(ArgumentError, match="did you mean 'gaussian'"):
        _ = estimate["gausian"]
    with pytest.raises(IndexError):
        _ = estimate[2]


def test_the_table(estimate: Estimate) -> None:
    table = estimate.to_pandas()
    for line, case in zip(table.to_dict("records"), estimate.to_dict()["cases"], strict=True):
        for name in ("case", "name", "law", "null", "planned", "trajectories", "minimum", "saddle", "censored"):
            assert line[name] == case[name], name
        for name in ("estimate", "lower", "upper"):
            assert line[name] == case["saddle_measure"][name], name
        assert np.isnan(line["upper_proved"])
        assert np.isnan(line["upper_with_label_error"])


def test_the_strata_of_a_case(estimate: Estimate) -> None:
    table = estimate[0].to_pandas()
    strata = estimate[0].to_dict()["strata"]
    assert [list(S) for S in table.S] == [stratum["modes"] for stratum in strata]
    for name in ("index", "rank", "loss", "count", "lower", "upper"):
        assert table[name].tolist() == [stratum[name] for stratum in strata], name
    assert isinstance(table.kind.dtype, pd.CategoricalDtype)


def test_in_words(estimate: Estimate) -> None:
    for case in estimate:
        assert sentence(case) in repr(estimate)
        assert sentence(case) in repr(case)
        assert case.law in repr(case)
    assert "Estimate of 'schema 1'" in repr(estimate)
    page = estimate._repr_html_()
    assert page.count("<tr") == 3
    assert estimate[1]._repr_html_().count("<tr") == 5

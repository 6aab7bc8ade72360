"""Problems compared by content, as a table of strata, in a notebook."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from basins import Problem
from basins.errors import ArgumentError
from basins.landscapes.deep_linear.strata import unstable_index

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(20, 3)), RNG.normal(size=(20, 2))


def of_data(**given: Any) -> Problem:
    return Problem.from_data(X, Y, **{"hidden": (3,), "flow": "raw", **given})


def test_problems_of_the_same_content_are_equal_and_one_key() -> None:
    one, other = of_data(), Problem.from_data(X.tolist(), Y.copy(), hidden=[3], flow="raw")
    assert one == other
    assert hash(one) == hash(other)
    assert {one: "here"}[other] == "here"
    assert one == Problem.from_dict(json.loads(json.dumps(one.to_dict())))
    assert one == replace(one, notes=("said of it",))
    assert Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(2,)) == Problem.from_spectrum((2, 1), d_x=3, hidden=(2,))


@pytest.mark.parametrize(
    "other",
    [
        of_data(flow="reduced"),
        of_data(hidden=(4,)),
        of_data(hidden=(3, 3)),
        Problem.from_data(np.nextafter(X, 9.0), Y, hidden=(3,), flow="raw"),
        Problem.from_data(X, Y[::-1], hidden=(3,), flow="raw"),
        "a problem",
        None,
    ],
    ids=["flow", "width", "depth", "last bit of X", "Y", "text", "None"],
)
def test_problems_of_other_content_are_not(other: object) -> None:
    assert of_data() != other


def test_numbers_count_where_the_data_are_the_same() -> None:
    """A manifest of another CPU may have another last bit of sigma: the same starts, another flow."""
    one = of_data()
    other = replace(one, sigma=np.nextafter(one.sigma, 9.0))
    assert one != other
    assert hash(one) == hash(other)


def test_the_strata_as_a_table() -> None:
    problem = Problem.from_spectrum([3.0, 2.0, 1.0], d_x=4, hidden=(3,))
    table = problem.to_pandas()
    assert table["index"].tolist() == list(range(1, 9))
    for line, stratum in zip(table.itertuples(), problem.strata(), strict=True):
        assert (line.S, line.modes, line.rank) == (stratum.modes, stratum.mask, len(stratum.modes))
        assert line.loss == stratum.loss
        assert line.unstable_index == unstable_index((4, 3, 3), stratum.modes)
    assert table.kind.tolist() == ["strict saddle"] * 7 + ["global minimum"]
    deep = Problem.from_spectrum([3.0, 2.0], d_x=4, hidden=(3, 2)).to_pandas()
    assert deep.kind.tolist() == ["saddle", "strict saddle", "saddle", "global minimum"]
    assert "dimension" not in deep
    many = Problem.from_spectrum(np.arange(21, 0, -1.0), d_x=21, hidden=(21,))
    with pytest.raises(ArgumentError, match="too many to list"):
        many.to_pandas()


def test_in_a_notebook() -> None:
    problem = replace(of_data(), notes=("<script>",))
    page = problem._repr_html_()
    assert "Problem(widths=(3, 3, 2), flow=&#x27;raw&#x27;" in page
    assert "note: &lt;script&gt;" in page
    assert page.count("<tr") == 5
    many = Problem.from_spectrum(np.arange(21, 0, -1.0), d_x=21, hidden=(21,))
    assert "<table" not in many._repr_html_()

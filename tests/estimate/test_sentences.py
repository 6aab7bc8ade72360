"""Each form of the sentence for its case; bounds are rounded outward."""

from __future__ import annotations

import pytest
from chosen_counts import BALANCED, CONTROL, counts, experiment, one

from basins import estimate as estimates
from basins.estimate.sentences import LABELS, at_least, at_most, number, sentence
from basins.laws import Gaussian, Law, Planted

SENTENCES = {
    "none": (experiment(), counts(3000), {}, ["No saddle among 3,000", "none censored", "less than 9.981e-4"]),
    "censored": (
        experiment(),
        counts(2998, {}, [1.0, 2.0]),
        {"reasons": {"evaluation budget": 2}},
        [
            "2 are censored (evaluation budget: 2; basins extend RUN --budget B, or raise engine.budget)",
            "Each counts as a saddle",
            "less than 0.002098",
        ],
    ),
    "saddle": (
        experiment(),
        counts(2999, {1: 1}),
        {"doubtful": [17]},
        [
            "1 of 3,000",
            "I(3), S = {0}: 1",
            "evidence against the conjecture",
            "--id 17 --reintegrate",
            "more than 1.709e-5 and less than 0.001581",
        ],
    ),
    "saddle and censored": (
        experiment(),
        counts(2990, {1: 1, 0: 2}, [1.0] * 7),
        {"doubtful": [4], "reasons": {"settled": 7}},
        ["I(1), S = {}: 2; I(3), S = {0}: 1", "with 7 censored"],
    ),
    "cannot test": (
        experiment(hidden=(2, 3)),
        counts(3000),
        {},
        [
            "This shape cannot test the conjecture",
            "H = 2",
            "checks the machinery: no saddle among 3,000",
            "bound 9.981e-4",
        ],
    ),
    "a theorem contradicted": (
        experiment(hidden=(3,)),
        counts(2999, {1: 1}),
        {"doubtful": [17]},
        ["H = 1", "theorem", "suspect the labels before the theorem", "--id 17"],
    ),
    "H = 1": (experiment(hidden=(2,)), counts(3000), {}, ["for H = 1 it is a theorem", "checks the machinery"]),
}


@pytest.mark.parametrize("form", SENTENCES)
def test_each_form_of_the_sentence(form: str) -> None:
    of, counted, more, phrases = SENTENCES[form]
    said = sentence(one(of, counted, **more))
    for phrase in phrases:
        assert phrase in said
    assert LABELS in said  # wherever a bound is


def test_the_control_says_whether_the_detector_works() -> None:
    of = experiment(CONTROL)
    assert "does (500 of 500): the detector works" in sentence(one(of, counts(0, {1: 500})))
    for wrong in (counts(1, {1: 499}), counts(0, {1: 499, 0: 1}), counts(0, {1: 499}, [1.0])):
        said = sentence(one(of, wrong, reasons={"settled": wrong.censored}, doubtful=[3]))
        assert said.startswith("CONTROL FAILED: planted on I(3), S = {0}")
        assert "499 of 500" in said
        assert "--id 3" in said


def test_a_null_law_says_nothing_of_the_conjecture() -> None:
    said = sentence(one(experiment(BALANCED), counts(9, {1: 1})))
    assert "null law" in said.lower()
    assert "says nothing of the conjecture" in said


@pytest.mark.parametrize(
    ("value", "below", "nearest", "above"),
    [
        (0.0, "0", "0", "0"),
        (1.0, "1", "1", "1"),
        (1.49775e-4, "1.497e-4", "1.498e-4", "1.498e-4"),
        (1.49715e-13, "1.497e-13", "1.497e-13", "1.498e-13"),
        (0.12344, "0.1234", "0.1234", "0.1235"),
        (0.25, "0.25", "0.25", "0.25"),
        (9.9996e-4, "9.999e-4", "0.001", "0.001"),
        (0.99855934, "0.998559", "0.998559", "0.99856"),
        (0.999925124, "0.99992512", "0.99992512", "0.99992513"),
    ],
)
def test_measures_have_four_figures_and_bounds_are_rounded_outward(
    value: float, below: str, nearest: str, above: str
) -> None:
    assert (at_least(value), number(value), at_most(value)) == (below, nearest, above)
    assert float(below) <= value <= float(above)


@pytest.mark.parametrize(
    ("law", "text"),
    [
        (Gaussian(0.5), "gaussian, scale 0.5"),
        (Gaussian((0.5, 1.0), "compressed"), "gaussian, scale {0.5,1}, draw compressed"),
        (Planted((0,), 0.5), "planted, modes {0}, scale 0.5"),
    ],
)
def test_a_law_in_words(law: Law, text: str) -> None:
    assert estimates.law_text(law) == text

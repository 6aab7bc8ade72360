"""What a bound needs: the smallest numbers that suffice with the intervals of `estimate`; and what is refused."""

from __future__ import annotations

import json
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from chosen_counts import counts
from click.testing import CliRunner

from basins.cli import main
from basins.errors import ArgumentError
from basins.estimate import label_error, saddle_measure
from basins.experiment import Experiment
from basins.planning import costs, needed
from basins.statistics.binomial import one_sided_upper

TEXT = """
name = "plan"
seed = 1
trajectories = 40
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }
network = { hidden = [2] }
engine = { name = "reference" }
[[case]]
name = "gaussian"
law = { name = "gaussian", scale = 0.5 }
[[case]]
name = "control"
law = { name = "planted", modes = [0], scale = 0.5 }
[[case]]
name = "tight"
law = { name = "gaussian", scale = 0.5 }
engine = { rtol = 1e-13, atol = 1e-13, budget = 40 }
"""


@pytest.mark.parametrize(("bound", "saddles"), [(1e-6, 0), (1e-3, 2), (0.2, 5)])
def test_the_smallest_number_whose_estimate_meets_the_bound(bound: float, saddles: int) -> None:
    N = needed(bound, saddles=saddles).trajectories
    assert saddle_measure(counts(N - saddles, {0: saddles})).upper <= bound
    assert saddle_measure(counts(N - 1 - saddles, {0: saddles})).upper > bound


def test_censored_rows_count_against_the_bound() -> None:
    N = needed(1e-3, censored_share=1e-4).trajectories
    assert one_sided_upper(ceil(1e-4 * N), N) <= 1e-3
    assert one_sided_upper(ceil(1e-4 * (N - 1)), N - 1) > 1e-3
    for share in (1e-3, 0.5):
        with pytest.raises(ArgumentError, match=r"bound = 0\.001 is out of reach: a censored share of"):
            needed(1e-3, censored_share=share)


@pytest.mark.parametrize(
    ("bound", "saddles", "share"), [(0.01, 0, 0.0), (1e-4, 2, 0.0), (0.02, 0, 0.002), (0.9, 0, 0.0)]
)
def test_with_label_error_the_estimate_meets_the_bound(bound: float, saddles: int, share: float) -> None:
    found = needed(bound, saddles=saddles, censored_share=share)
    N, n, losses = found.labelled, found.checked, [9.0] * ceil(share * found.labelled)
    seen = counts(N - saddles - len(losses), {0: saddles}, losses)
    assert 0 < n <= seen.minimum  # there are no more to check
    error = label_error(seen, {("minimum", "agreed"): n})
    assert error is not None
    assert error.saddle_measure.upper <= bound
    fewer = label_error(seen, {("minimum", "agreed"): n - 1})
    assert fewer is None or fewer.saddle_measure.upper > bound
    assert saddle_measure(seen, 0.975).upper <= bound / 2
    assert one_sided_upper(saddles + ceil(share * (N - 1)), N - 1, 0.975) > bound / 2


def test_the_number_of_pairs_and_the_measure_that_makes_one_bad() -> None:
    found = needed(1e-6, share=0.0583)
    assert found.pairs == 50
    assert one_sided_upper(0, 50) / 0.999 <= 0.0583 < one_sided_upper(0, 49) / 0.999
    assert found.eps == pytest.approx(np.log(1000) / (found.trajectories / 50), rel=1e-3)
    assert needed(1e-6).pairs is None


@pytest.mark.parametrize("name", ["bound", "confidence", "share"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, float("nan")])
def test_numbers_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ArgumentError, match=f"{name} = {value}"):
        needed(**{"bound": 0.1, name: value})


def test_the_cost_is_measured_on_each_case_with_a_density() -> None:
    measured = costs(Experiment.from_toml(TEXT, Path()))
    assert [cost.case.name for cost in measured] == ["gaussian", "tight"]
    assert measured[0].seconds > 0
    assert measured[0].check_seconds is not None
    assert measured[0].check_seconds > 0
    assert measured[1].check_seconds is None  # 1e-13 cannot be 100 times tighter
    assert measured[1].censored > 0


def test_the_plan_command(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(TEXT)
    said = CliRunner().invoke(main, ["plan", "--bound", "1e-6", "--share", "0.0583", str(tmp_path / "plan.toml")])
    assert said.exit_code == 0, said.output
    assert "trajectories, for the labels as computed" in said.output
    assert "2,995,731" in said.output
    assert '"data.seed" = { count = 50 }' in said.output
    assert "its labels cannot be checked" in said.output
    assert all(len(line) <= 100 for line in said.output.splitlines())
    plain = CliRunner().invoke(main, ["plan", "--bound", "1e-6", "--json"])
    assert json.loads(plain.stdout)["trajectories"] == 2_995_731
    refused = CliRunner().invoke(main, ["plan", "--bound", "2"])
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: bound: bound = 2.0; give a number between 0 and 1")

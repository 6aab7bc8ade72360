"""The description of a case before it is run; describing it neither runs nor writes anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from basins import description as described
from basins.description import Cost, PlannedCase, describe, plan, sample_cost
from basins.experiment import Experiment
from basins.integrators import engine_of
from basins.landscapes.deep_linear.certificates import certify
from basins.landscapes.deep_linear.problem import Problem
from basins.laws import starts
from basins.output.console.description import wall
from basins.output.console.screen import duration, size

TOML = """
name = "tiny"
seed = 3
trajectories = {trajectories}
law = {{ name = "gaussian", scale = 0.5 }}
network = {{ hidden = {hidden} }}
data = {{ source = "spectrum", sigma = {sigma}, d_x = {d_x} }}
engine = {{ name = "reference" }}
"""


def tiny(hidden: list[int], sigma: list[float], trajectories: int = 3000) -> Experiment:
    text = TOML.format(hidden=hidden, sigma=sigma, d_x=len(sigma), trajectories=trajectories)
    return Experiment.from_toml(text, Path())


def test_the_share_certified_at_t_0_is_of_the_first_starts() -> None:
    of = tiny([2, 2], [2.0, 1.0])
    found, problem, law = describe(of, of.cases[0]), of.cases[0].problem, of.cases[0].law
    first = np.concatenate([starts(problem, law, 3, block) for block in range(10)])[:10_000]
    proved = certify(problem, first)
    assert found.at_start.starts == 10_000
    assert found.at_start.certified == int(proved.global_minimum.sum())
    assert 0 < found.at_start.certified < 1000
    assert found.shape.can_test
    # 63 % of Gaussian draws have both C_j indefinite (theory.md 3e); the level excludes few of these.
    assert found.at_start.testing == int(proved.nonstrict_ranks.any(axis=-1).sum())
    assert 6200 < found.at_start.testing < 6500


def test_a_shape_with_a_wide_layer_is_certified_and_cannot_test_the_conjecture() -> None:
    of = tiny([3], [2.0, 1.0])  # H = 1, d_1 = d_x + d_y - 1 (theory.md 3c)
    found = describe(of, of.cases[0])
    assert found.at_start.certified == found.at_start.rank == 10_000
    assert found.at_start.testing == 0
    assert not found.shape.can_test


def test_strata_are_listed_up_to_32() -> None:
    of = tiny([6], [7.1, 5.3, 4.2, 3.05, 2.01, 1.0], trajectories=1)
    found = describe(of, of.cases[0])
    assert [s.index for s in found.strata] == list(range(1, 33))
    assert found.strata[0].modes == ()


def test_the_cost_is_measured_on_the_first_twenty_trajectories() -> None:
    of = tiny([2, 2], [2.0, 1.0])
    cost = sample_cost(of, of.cases[0])
    assert cost.trajectories == 20
    assert sum(cost.verdicts.values()) == 20
    assert cost.seconds > 0
    assert cost.evaluations > 10
    assert 20 < cost.bytes_per_row < 1000
    few = tiny([2, 2], [2.0, 1.0], trajectories=3)
    assert sample_cost(few, few.cases[0]).trajectories == 3


def test_a_sample_of_slow_trajectories_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(described, "LONG_ENOUGH", 0.0)
    of = tiny([2, 2], [2.0, 1.0])
    assert sample_cost(of, of.cases[0]).trajectories == 1


def test_the_plan_is_that_of_the_experiment() -> None:
    of = tiny([2, 2], [2.0, 1.0])
    (planned,) = plan(of)
    assert (planned.blocks, planned.shards) == (3, 3)
    assert planned.seconds == pytest.approx(3000 * planned.cost.seconds)


def test_a_run_takes_no_less_than_its_longest_shard() -> None:
    cost = Cost(20, 0.01, 100.0, {"minimum": 20}, 1000.0, 50.0)
    case = tiny([2, 2], [2.0, 1.0], trajectories=4096).cases[0]
    planned = PlannedCase(case, 4, 4, cost)
    assert wall([planned], 2) == pytest.approx(20.48)
    assert wall([planned], 400) == pytest.approx(10.24)
    assert planned.size == 4 * 1000 + 4096 * 50


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0081, "8.1 ms"),
        (0.0249, "25 ms"),
        (1.5, "1.5 s"),
        (32.4, "32 s"),
        (320, "5.3 min"),
        (7560, "2.1 h"),
        (3e5, "3.5 days"),
    ],
)
def test_durations_are_formatted(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(22_900, "23 kB"), (1.26e6, "1.3 MB"), (4.2e9, "4.2 GB"), (3e13, "30 TB"), (340, "0.34 kB")]
)
def test_sizes_are_formatted(value: float, text: str) -> None:
    assert size(value) == text


def test_the_notes_of_the_engine_on_a_shape_are_shown() -> None:
    of = tiny([2, 2], [2.0, 1.0])
    assert describe(of, of.cases[0]).notes == ()
    large = Problem.from_spectrum([2.0, 1.0], d_x=300, hidden=(300, 2))
    (note,) = engine_of("lanes").notes(large)
    assert "runs from memory" in note


def test_a_compression_is_reported() -> None:
    of = tiny([2, 2], [2.0, 1.0])
    wide = of.cases[0].changed(landscape=Problem.from_spectrum([2.0, 1.0], d_x=40, hidden=(4,)))
    (note,) = describe(of, wide).notes
    assert note.startswith("widths (40, 4, 2) are integrated as widths (6, 4, 2): 32 numbers per state instead of 168")
    assert describe(of, wide.changed(settings=replace(wide.settings, compress=False))).notes == ()

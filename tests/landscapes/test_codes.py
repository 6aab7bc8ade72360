"""Codes of several bits a mode, and a landscape that has them, from its TOML through rows to its estimate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from many_wells import LEFT, RIGHT, ZERO, ManyWells, ManyWellsSets

from basins.classification.classify_batch import integrate_batch
from basins.errors import ArgumentError, BasinsError
from basins.estimate.counts import Counts, strata_measures
from basins.execution.run import run
from basins.experiment import Experiment
from basins.integrators.base import Settings
from basins.landscapes.base import CriticalSet, Landscape, Verdict, Vocabulary
from basins.landscapes.codes import CodeLayout
from basins.landscapes.deep_linear.problem import Problem
from basins.run_tables import Run, open_run
from basins.verify import verify

TEXT = """
name = "wells"
seed = 5
trajectories = {trajectories}
visits_every = 20

[landscape]
kind = "many_wells:ManyWells"
n = {n}

[law]
name = "gaussian"
scale = 0.7
"""


def made(folder: Path, n: int, trajectories: int) -> Run:
    run(Experiment.from_toml(TEXT.format(n=n, trajectories=trajectories), Path()), out=folder / "run", on="inline")
    return open_run(folder / "run")


@pytest.mark.parametrize(("modes", "bits"), [(1, 1), (64, 1), (5, 2), (32, 2), (21, 3), (4, 16)])
def test_numbers_survive_packing(modes: int, bits: int) -> None:
    layout, rng = CodeLayout(modes, bits), np.random.default_rng(modes)
    numbers = rng.integers(0, 1 << bits, size=(50, modes))
    numbers[0] = (1 << bits) - 1
    codes = layout.pack(numbers)
    assert codes.dtype == np.uint64
    assert codes.shape == (50,)
    assert int(codes[0]) == (1 << modes * bits) - 1
    assert np.array_equal(layout.unpack(codes), numbers)
    by_hand = sum(int(number) << (i * bits) for i, number in enumerate(numbers[1]))
    assert int(codes[1]) == by_hand


def test_one_bit_a_mode_is_the_bitmask_of_a_deep_linear_network() -> None:
    critical = Problem.from_spectrum([3.0, 2.0, 1.0], d_x=3, hidden=(3,)).critical
    assert critical.code_bits == 3
    assert int(CodeLayout(3).pack([True, False, True])) == critical.describe(0b101).code


@pytest.mark.parametrize(
    ("modes", "bits", "words"),
    [(33, 2, "needs 66 bits"), (65, 1, "needs 65 bits"), (22, 3, "needs 66"), (0, 1, "modes = 0"), (2, 0, "bits = 0")],
)
def test_codes_of_more_than_64_bits_are_refused(modes: int, bits: int, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        CodeLayout(modes, bits)


@pytest.mark.parametrize("number", [-1, 4])
def test_a_number_that_its_bits_cannot_hold_is_refused(number: int) -> None:
    with pytest.raises(ArgumentError, match=r"outside 0\.\.3"):
        CodeLayout(3, 2).pack([1, number, 2])


@pytest.mark.parametrize(("code", "rank"), [(1 << 64, 0), (-1, 0), (0, 256), (0, -1)])
def test_a_set_that_a_row_cannot_name_is_refused(code: int, rank: int) -> None:
    with pytest.raises(ArgumentError, match="code" if rank == 0 else "rank"):
        CriticalSet(code, "x", 1.0, rank, "saddle")


def test_a_landscape_of_33_modes_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BasinsError, match="66 bits") as refused:
        Experiment.from_toml(TEXT.format(n=33, trajectories=10), tmp_path)
    assert "\n" not in str(refused.value)
    assert "landscape" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("code_bits", 65, "needs 65 bits"),
        ("vocabulary", Vocabulary(("minimum", "saddle", "censored"), ("level",), "modes"), "called 'modes'"),
    ],
)
def test_invalid_code_bits_and_column_names_are_refused(
    name: str, value: object, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ManyWellsSets, name, value)
    with pytest.raises(BasinsError, match=words):
        Experiment.from_toml(TEXT.format(n=2, trajectories=10), tmp_path)


def test_starts_end_on_the_set_of_their_signs_and_zeros() -> None:
    landscape: Landscape = ManyWells(4)
    starts = np.random.default_rng(2).normal(size=(40, 4))
    starts[:10, 1] = starts[5:10, 3] = 0.0
    found = integrate_batch(landscape, starts, Settings(engine="reference", method="DOP853"), np.zeros(40, dtype=bool))
    numbers = np.where(starts == 0, ZERO, np.where(starts < 0, LEFT, RIGHT))
    assert np.array_equal(CodeLayout(4, 2).unpack(found.code), numbers)
    assert (found.verdict == np.where((starts == 0).any(axis=1), Verdict.saddle, Verdict.minimum)).all()
    assert found.rank.tolist() == np.count_nonzero(numbers, axis=1).tolist()


def test_saddles_are_counted_by_their_whole_code() -> None:
    """0- and -0 are two sets of one value and one number of fitted modes."""
    critical = ManyWells(2).critical
    first, second = (int(critical.codes.pack(one)) for one in ([ZERO, LEFT], [LEFT, ZERO]))
    measured = strata_measures(critical, Counts(90, {first: 7, second: 3}, minima={5: 90}), 1e-6)
    assert len(measured) == 9
    assert {one.of.name: one.count for one in measured if one.count} == {"0-": 7, "-0": 3, "--": 90}


def test_from_toml_to_estimate(tmp_path: Path) -> None:
    """Each of the four basins has measure 1/4, and its interval holds it."""
    opened = made(tmp_path, n=2, trajectories=1200)
    rows = opened.trajectories()
    assert rows["wells"].dtype == "UInt64"
    assert set(rows["wells"]) == {0b0101, 0b0110, 0b1001, 0b1010}
    (case,) = opened.estimate().cases
    assert (case.minimum, case.saddle, case.censored) == (1200, 0, 0)
    minima = [one for one in case.strata if one.is_minimum]
    assert [one.of.name for one in minima] == ["--", "+-", "-+", "++"]
    assert all(one.lower < 0.25 < one.upper for one in minima)
    said = [one for one in case.to_dict()["strata"] if one["name"] == "+-"]
    assert said[0]["wells"] == 0b0110
    assert verify(tmp_path / "run", sample=0, blocks=1).findings == ()


def test_codes_of_all_64_bits_from_toml_to_estimate(tmp_path: Path) -> None:
    """n = 32: 3^32 sets, none listed, and codes above 2^63."""
    opened = made(tmp_path, n=32, trajectories=24)
    rows = opened.trajectories()
    assert rows["wells"].max() >= 1 << 63
    assert opened.visits()["wells"].notna().all()
    (case,) = opened.estimate().cases
    assert case.minimum == 24
    by_code = {one.of.code: one.count for one in case.strata if one.count}
    assert by_code == rows["wells"].value_counts().to_dict()
    assert json.loads(json.dumps(case.to_dict()))["strata"][0]["wells"] in by_code
    assert verify(tmp_path / "run", sample=0, blocks=1).findings == ()

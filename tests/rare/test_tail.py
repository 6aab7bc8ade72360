"""The tail of a case, end to end: bytes after a kill and on other runners, refusals, and the final sentences."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scalar_chain import written

from basins import Problem
from basins.cli import main
from basins.errors import ArgumentError, RunError
from basins.rare import work
from basins.rare.combine import Estimated, combine, log_mean_interval, warnings
from basins.rare.exponents import kappa
from basins.rare.replicates import SplittingLevel
from basins.rare.splitting_step import LevelResult, Tried
from basins.rare.tail import read_tail, tail


def digests(run: Path) -> dict[str, str]:
    files = (path for path in run.rglob("*") if path.is_file())
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


SMALL = {"target": 1e-2, "replicates": 4, "population": 60, "sweeps": 2, "on": "inline"}


@pytest.mark.parametrize("changed", [{}, {"stratum": 1}], ids=["T", "G"])
def test_a_killed_tail_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object]
) -> None:
    experiment, arguments = written(tmp_path), SMALL | changed
    tail(experiment, tmp_path / "whole", **arguments)  # type: ignore[arg-type]
    whole, commit = digests(tmp_path / "whole"), work.commit
    assert sum(name.startswith("levels/") for name in whole) >= 6
    for killed_after in (1, 7):
        done = 0

        def killed(*arguments: object, after: int = killed_after) -> None:
            nonlocal done
            if done == after:
                raise KeyboardInterrupt
            done += 1
            commit(*arguments)  # type: ignore[arg-type]

        with monkeypatch.context() as patched:
            patched.setattr(work, "commit", killed)
            with pytest.raises(KeyboardInterrupt):
                tail(experiment, tmp_path / f"killed-{killed_after}", **arguments)  # type: ignore[arg-type]
        tail(experiment, tmp_path / f"killed-{killed_after}", **arguments)  # type: ignore[arg-type]
        assert digests(tmp_path / f"killed-{killed_after}") == whole


def test_a_half_written_level_is_written_again(tmp_path: Path) -> None:
    experiment, run = written(tmp_path), tmp_path / "run"
    tail(experiment, run, **SMALL)  # type: ignore[arg-type]
    whole = digests(run)
    last = sorted((run / "levels").rglob("replicate=0002/*.parquet"))[-1]
    last.unlink()
    assert digests(run) != whole
    tail(experiment, run, **SMALL)  # type: ignore[arg-type]
    assert digests(run) == whole


@pytest.mark.slow
@pytest.mark.parametrize(("on", "workers"), [("processes", 1), ("processes", 3), ("ray", 2)])
def test_any_runner_and_any_number_of_workers_write_the_same_bytes(tmp_path: Path, on: str, workers: int) -> None:
    experiment = written(tmp_path)
    tail(experiment, tmp_path / "inline", **SMALL)  # type: ignore[arg-type]
    arguments = SMALL | {"on": on, "workers": workers}
    tail(experiment, tmp_path / "other", **arguments)  # type: ignore[arg-type]
    assert digests(tmp_path / "other") == digests(tmp_path / "inline")


def test_adding_replicates_keeps_the_existing_ones(tmp_path: Path) -> None:
    experiment, run = written(tmp_path), tmp_path / "run"
    tail(experiment, run, **SMALL)  # type: ignore[arg-type]
    before = digests(run)
    (more,) = tail(experiment, run, **SMALL | {"replicates": 5})  # type: ignore[arg-type]
    assert more.replicates == 5
    assert len(digests(run)) > len(before)
    assert before.items() <= digests(run).items()
    assert read_tail(run)[0].replicates == 5


def made_with(run: Path, linearised: float) -> None:
    """The tail at `run`, in its record, as one that was made while there was an option `linearised`."""
    record = json.loads((run / "tail.json").read_bytes())
    assert "linearised" not in record["plan"]
    record["plan"]["linearised"] = linearised
    (run / "tail.json").write_text(json.dumps(record))


def test_a_tail_made_before_linearised_went_is_continued(tmp_path: Path) -> None:
    experiment, run = written(tmp_path), tmp_path / "run"
    (made,) = tail(experiment, run, **SMALL)  # type: ignore[arg-type]
    tail(experiment, tmp_path / "anew", **SMALL | {"replicates": 5})  # type: ignore[arg-type]
    made_with(run, 0.0)
    assert [row.P for row in read_tail(run)[0].levels] == [row.P for row in made.levels]
    tail(experiment, run, **SMALL | {"replicates": 5})  # type: ignore[arg-type]
    continued, whole = digests(run), digests(tmp_path / "anew")
    assert continued.pop("tail.json") != whole.pop("tail.json")
    assert continued == whole


def test_a_tail_of_linearised_moves_is_read_but_not_continued(tmp_path: Path) -> None:
    experiment, run = written(tmp_path), tmp_path / "run"
    (made,) = tail(experiment, run, **SMALL)  # type: ignore[arg-type]
    made_with(run, 0.5)
    assert [row.P for row in read_tail(run)[0].levels] == [row.P for row in made.levels]
    before = digests(run)
    arguments = ["--target", "1e-2", "--replicates", "5", "--population", "60", "--sweeps", "2", "--on", "inline"]
    result = CliRunner().invoke(main, ["tail", str(experiment), "--out", str(run), *arguments])
    assert result.exit_code == 2
    assert result.output == (
        f"error: {run}: made with linearised = 0.5, moves that were removed: it can be read, but not continued; "
        "give another --out; basins.rare.tail.read_tail reports this one\n"
    )
    assert digests(run) == before


def test_a_place_of_another_tail_is_refused(tmp_path: Path) -> None:
    experiment, run = written(tmp_path), tmp_path / "run"
    tail(experiment, run, **SMALL)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="sweeps = 2 there, 4 here"):
        tail(experiment, run, **SMALL | {"sweeps": 4})  # type: ignore[arg-type]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").write_text("mine")
    with pytest.raises(RunError, match="not a tail's run"):
        tail(experiment, tmp_path / "full", **SMALL)  # type: ignore[arg-type]
    with pytest.raises(RunError, match=r"no tail\.json"):
        read_tail(tmp_path / "full")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"target": 0.0}, "between 0 and 1"),
        ({"population": 19}, "at least 20"),
        ({"population": 30, "keep": 0.1}, "at least 40"),
        ({"replicates": 1}, "at least 4"),
        ({"replicates": 3}, "at least 4: fewer give no interval, and so no bound"),
        ({"on": "abacus"}, "unknown runner"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        tail(written(tmp_path), tmp_path / "run", **SMALL | arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_a_null_law_is_refused_in_one_line(tmp_path: Path) -> None:
    experiment = written(tmp_path, law='{ name = "planted", modes = [] }')
    result = CliRunner().invoke(main, ["tail", str(experiment), "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "no density" in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_command_prints_levels_and_the_bound(tmp_path: Path) -> None:
    arguments = ["--target", "1e-2", "--replicates", "8", "--population", "40", "--sweeps", "2", "--on", "inline"]
    result = CliRunner().invoke(main, ["tail", str(written(tmp_path)), "--out", str(tmp_path / "run"), *arguments])
    assert result.exit_code == 0, result.output
    assert "pilot, level 1" in result.output
    assert "replicate 8, level" in result.output
    assert "The saddle measure of this law is below P(T >" in result.output
    assert "8 independent replicates" in result.output


def test_a_tail_stops_at_the_limit_of_double_precision_and_says_so(tmp_path: Path) -> None:
    """Two weights: the tube about a = -b is P wide, so rounding limits it near 1e-16, and no smaller P is reported."""
    deep = {"target": 1e-25, "replicates": 4, "population": 300, "sweeps": 5, "keep": 0.1, "on": "inline"}
    (found,) = tail(written(tmp_path, H=1), tmp_path / "run", **deep)  # type: ignore[arg-type]
    assert found.pilot.ending == "resolution"
    assert found.last is not None
    assert 1e-18 < found.last.P < 1e-6
    from basins.rare.formatting import sentences

    said = " ".join(sentences(found))
    assert "the target 1e-25 was not reached" in said
    assert "weights change by their rounding error" in said
    assert ("Double precision cannot distinguish" in said) == (min(found.levels[-1].rounded, found.pilot.rounded) < 0.9)


# --- from replicates to an interval ---------------------------------------------------------------------------------


DRAWS = 300


@pytest.mark.parametrize("deviation", [0.5, 1.0])
def test_the_interval_covers_the_mean_of_a_lognormal_law(deviation: float) -> None:
    rng, covered, bounded = np.random.default_rng(1), 0, 0
    for _ in range(DRAWS):
        lower, upper, bound = log_mean_interval(rng.normal(-(deviation**2) / 2, deviation, 8))
        covered += lower <= 0 <= upper
        bounded += bound >= 0
    assert covered >= 0.92 * DRAWS
    assert bounded >= 0.92 * DRAWS


def level(
    number: int, t: float, log_P: float, ancestors: int = 50, spread: float = 1e-3, ending: str = ""
) -> SplittingLevel:
    result = LevelResult(0.2, spread, 0.3, 0, 100, 1000, {"pcn": Tried(100, 25, 0.1)})
    return SplittingLevel(number, t, log_P, result, ancestors, 1.0, 1.0, ending)  # type: ignore[arg-type]


def test_levels_of_replicates_are_combined_into_a_row_with_an_exponent() -> None:
    replicates = [[level(1, 10.0, -2.0 + e), level(2, 20.0, -4.0 + e, ending="levels")] for e in (-0.1, 0.0, 0.1)]
    replicates += replicates[1:2]
    rows = combine(replicates)
    assert [row.threshold for row in rows] == [10.0, 20.0]
    assert rows[1].exponent == pytest.approx(2 / np.log(2))
    assert rows[1].rate == pytest.approx(0.2)
    assert pytest.approx(np.exp([-2.1, -2.0, -1.9, -2.0]).mean()) == rows[0].P
    assert rows[1].within == pytest.approx(np.sqrt(2e-3 / 0.04))
    assert rows[0].lower < rows[0].P < rows[0].upper
    assert rows[0].acceptance == 0.25
    assert rows[0].autocorrelation == pytest.approx(0.3)


def test_a_level_that_one_replicate_did_not_reach_is_not_estimated() -> None:
    dead = [level(1, 10.0, -2.0), level(2, 20.0, -np.inf, ending="extinct")]
    assert len(combine([dead, [level(1, 10.0, -2.0), level(2, 20.0, -4.0, ending="levels")]])) == 1


def said(**changes: object) -> str:
    rows: list[Estimated] = combine([[level(1, 10.0, -2.0 + 0.05 * k, **changes)] for k in range(8)])  # type: ignore[arg-type]
    return "; ".join(warnings(rows, 8))


def test_warnings_when_replicates_disagree_or_ancestors_collapse() -> None:
    assert said() == ""
    assert "differ by" in said(spread=1e-5)
    assert "fewer than 10" in said(ancestors=9)
    rows = combine([[level(1, 10.0, -2.0 + 0.05 * k)] for k in range(5)])
    assert "5 replicates: the interval is calibrated for 8 or more" in warnings(rows, 5)[0]


def test_kappa_of_a_chain_and_its_minimum_over_ranks_of_a_network() -> None:
    def of(*widths: int) -> float | None:
        sigma = np.arange(widths[-1], 0, -1.0)
        return kappa(Problem.from_spectrum(sigma, d_x=widths[0], hidden=widths[1:-1]))

    assert of(2, 2, 2) is None
    assert of(1, 1, 1, 1) == 3.0
    assert of(1, 1, 1, 1, 1) == 2.0
    assert of(2, 2, 2, 2) == 3.0
    assert of(3, 3, 3, 3) == 3.0
    assert of(2, 2, 2, 2, 2) == 2.0
    assert of(2, 3, 3, 2) == 2 * 1 + 2 * 2 + 1 * 2

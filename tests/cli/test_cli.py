"""The command line end to end, in this process, on a tiny experiment; a few tests start a new process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import basins
from basins import show
from basins.classification.verdict import REASONS, Reason
from basins.cli import main, runs
from basins.description import plan
from basins.estimate.sentences import REMEDIES
from basins.experiment import Case, Experiment, load
from basins.landscapes.deep_linear.critical_sets import CERTIFICATES, Certificate
from basins.run_tables import open_run

TINY = """
name = "tiny"
seed = 3
visits_every = 10
[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2
[network]
hidden = [2, 2]
[engine]
name = "reference"
[[case]]
name = "gaussian"
trajectories = 40
law = { name = "gaussian", scale = 0.5 }
[[case]]
name = "control"
trajectories = 20
law = { name = "planted", modes = [0], scale = 0.5 }
[[case]]
name = "starved"
trajectories = 5
law = { name = "gaussian", scale = 0.5 }
engine = { budget = 40 }
"""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def snapshot(folder: Path) -> dict[str, str]:
    """Every path under a folder, with a digest of its contents."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the experiment and its finished run, which is also the working folder."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "tiny.toml").write_text(TINY)
    before = Path.cwd()
    os.chdir(folder)
    result = call("run", "tiny.toml", "--on", "inline")
    assert result.exit_code == 0, result.output
    (folder / "said").write_text(result.stdout)
    yield folder
    os.chdir(before)


# --- run ------------------------------------------------------------------------------------------------------------


def test_a_run_ends_with_its_estimate(home: Path) -> None:
    said = (home / "said").read_text()
    assert "gaussian  2-2-2-2, gaussian, scale 0.5, 40 trajectories" in said
    assert "j   modes S   rank   loss   count   measure   95 % interval, jointly" in said
    assert "40 minimum, 0 saddle, 0 censored; saddle-basin measure 0, below 0.07216 at 95 %, one-sided" in said
    flat = " ".join(said.split())
    assert "No saddle among 40 trajectories, none censored" in flat
    assert "label error: not measured" in flat
    assert "does (20 of 20): the detector works" in flat
    assert "are censored (evaluation budget: " in flat
    assert said.endswith(f"complete: {home / 'runs' / 'tiny'}\n")


def test_piped_output_fits_100_columns_and_has_no_colour(home: Path) -> None:
    for arguments in (["estimate", "runs/tiny"], ["describe", "tiny.toml"], ["run", "tiny.toml", "--dry-run"]):
        lines = call(*arguments).stdout.splitlines()
        assert all(len(line) <= 100 and line == line.rstrip() for line in lines)
        assert not any("\x1b" in line for line in lines)


def test_the_same_command_computes_nothing_again(home: Path) -> None:
    before = snapshot(home / "runs" / "tiny")
    again = call("run", "tiny.toml", "--on", "inline")
    assert again.exit_code == 0
    assert again.stdout == (home / "said").read_text()
    after = snapshot(home / "runs" / "tiny")
    assert {k: v for k, v in after.items() if not k.startswith("telemetry")} == {
        k: v for k, v in before.items() if not k.startswith("telemetry")
    }


def test_a_dry_run_writes_nothing(home: Path, tmp_path: Path) -> None:
    before = snapshot(home)
    result = call("run", "tiny.toml", "--dry-run", "--out", str(tmp_path / "new"), "--workers", "3")
    assert result.exit_code == 0
    assert snapshot(home) == before
    assert not (tmp_path / "new").exists()
    flat = " ".join(result.stdout.split())
    assert "tiny 3 cases, seed 3" in flat
    assert "65 trajectories in 3 shards: about" in flat
    assert "on 3 workers like this machine's once started" in flat
    assert "Nothing was written." in flat


def test_the_size_of_the_plan_is_about_that_of_the_run(home: Path) -> None:
    planned = sum(one.size for one in plan(load("tiny.toml")))
    written = sum(path.stat().st_size for path in (home / "runs" / "tiny").rglob("part-*.parquet"))
    assert 0.7 < planned / written < 1.4


def test_out_is_named_after_the_experiment() -> None:
    assert runs._folder("iris") == "iris"
    assert runs._folder("a sweep: 1/2") == "a-sweep-1-2"
    assert runs._folder("../..") == "run"


def test_an_interrupted_run_says_how_to_resume(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("basins.execution.inline.Inline.run", interrupted)
    result = call("run", "tiny.toml", "--on", "inline", "--out", str(tmp_path / "run"))
    assert result.exit_code == 130
    assert f"interrupted: finished shards are kept in {tmp_path / 'run'}" in result.stderr
    assert "the same command resumes the run" in result.stderr
    assert "Traceback" not in result.output


def test_an_unexpected_error_is_one_line_without_debug(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("by nought\nand a second line")

    monkeypatch.setattr("basins.run_tables.Run.estimate", broken)
    result = call("estimate", "runs/tiny")
    assert result.exit_code == 1
    assert result.stderr == "unexpected: ZeroDivisionError: by nought and a second line; run again with --debug\n"
    for arguments in (["--debug", "estimate", "runs/tiny"], ["estimate", "runs/tiny", "--debug"]):
        result = call(*arguments)
        assert result.exit_code == 1
        assert "Traceback (most recent call last)" in result.stderr


def test_a_refusal_has_a_traceback_with_debug(home: Path) -> None:
    result = call("estimate", "nowhere", "--debug")
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")


# --- estimate -------------------------------------------------------------------------------------------------------


def test_estimate_as_json(home: Path) -> None:
    result = call("estimate", "runs/tiny", "--json")
    assert result.exit_code == 0
    read = json.loads(result.stdout)
    assert read == open_run("runs/tiny").estimate().to_dict()
    assert [case["name"] for case in read["cases"]] == ["gaussian", "control", "starved"]
    gaussian, control, starved = read["cases"]
    assert gaussian["minimum"] == gaussian["trajectories"] == 40
    assert gaussian["saddle_measure"]["upper"] == pytest.approx(1 - 0.05 ** (1 / 40))
    assert control["null"]
    assert control["saddle_measure"]["estimate"] == 1.0
    assert starved["censored"] == starved["reasons"]["evaluation budget"] > 0
    # The case with a small budget has the starts of the first case, which count once.
    assert read["pooled"]["cases"] == [gaussian["case"]]
    assert read["pooled"]["twins"] == [starved["case"]]


def test_estimate_prints_what_the_run_printed(home: Path) -> None:
    assert (home / "said").read_text().startswith(call("estimate", "runs/tiny").stdout)


# --- describe -------------------------------------------------------------------------------------------------------


def test_describe(home: Path) -> None:
    before = snapshot(home)
    result = call("describe", "tiny.toml", "--workers", "2")
    assert result.exit_code == 0
    assert snapshot(home) == before
    flat = " ".join(result.stdout.split())
    for phrase in (
        "reduced flow, widths 2-2-2-2: H = 2, a state has n = 12 numbers",
        "sigma = 2, 1",
        "distinct singular values of Ybar yes smallest gap 1",
        "1 {} 0 2.5 2 {1} 1 2 3 {0} 1 0.5 4 {0,1} 2 0",
        "This shape can test the conjecture",
        "certified global at t = 0: ",
        "by the rate (theory.md 3b) ",
        "left to test the conjecture, a saddle without negative curvature not being excluded (3a to 3e): ",
        "evaluations (mean of 20: 20 minimum, 0 saddle, 0 censored)",
        "the case: 40 trajectories in 1 shard, about",
        "on 2 workers",
    ):
        assert phrase in flat
    assert flat.count("sigma = 2, 1") == 1  # one problem, three cases
    assert flat.count("certified global") == 3
    assert flat.count("left to test") == 2  # not in the control
    alone = call("describe", "tiny.toml", "--case", "control")
    assert "planted" in alone.stdout
    assert "case gaussian" not in alone.stdout


def test_one_hidden_layer_shows_dimensions_and_unstable_indices(tmp_path: Path) -> None:
    (tmp_path / "shallow.toml").write_text(TINY[: TINY.index('[[case]]\nname = "control"')].replace("[2, 2]", "[3]", 1))
    result = call("describe", str(tmp_path / "shallow.toml"))
    assert result.exit_code == 0
    flat = " ".join(result.stdout.split())
    assert "j modes S rank loss dimension unstable 1 {} 0 2.5 0 6" in flat  # d(0) = 0, m_u = d_1 d_y (theory.md 2)
    assert "10,000 of 10,000 starts, 100 %" in flat
    assert "cannot test the conjecture" in flat


# --- show -----------------------------------------------------------------------------------------------------------


def test_show_and_reintegrate(home: Path) -> None:
    result = call("show", "runs/tiny", "--case", "gaussian", "--id", "20", "--reintegrate")
    assert result.exit_code == 0
    flat = " ".join(result.stdout.split())
    assert "Minimum, proved at t = " in flat
    assert "visits: closest approaches" in flat  # 20 is watched
    assert "Integrated again: every number of the row is the same, bit for bit." in flat
    assert "At tolerances 100 times tighter: the same limit." in flat
    row = pq.read_table("runs/tiny/trajectories").to_pandas().set_index(["case", "id"]).loc[key("gaussian"), 20]
    for name in ("steps", "evaluations"):
        assert f"{name} {int(row[name]):,} " in flat


def key(name: str) -> str:
    return open_run("runs/tiny").case(name).key


def test_show_by_key_a_censored_and_a_planted_row(home: Path) -> None:
    control = " ".join(call("show", "runs/tiny", "--case", key("control"), "--id", "7").stdout.split())
    assert "Saddle I(3), S = {0}, proved: in W_1 the columns and in W_3 the rows of modes {1} are zero" in control
    assert "this id was not watched" in control
    frame = open_run("runs/tiny").trajectories("starved", verdict="censored")
    starved = call("show", "runs/tiny", "--case", "starved", "--id", str(frame["id"][0])).stdout
    assert "Censored: its 40 evaluations were spent at t = " in " ".join(starved.split())
    assert "To decide it, basins extend RUN --budget B, or raise engine.budget." in " ".join(starved.split())


def test_a_changed_row_is_detected(home: Path) -> None:
    """A row with another step count, and one with another limit, are reported as different."""
    run = open_run("runs/tiny")
    shown = show.show(run, 3, "gaussian")
    counted = show.Shown(shown.case, {**shown.row, "steps": shown.row["steps"] + 1}, None)
    first, second = show.reintegrate(run, counted)
    assert first.differs == ("steps",)
    assert "the same limit; steps differ" in show.compared(counted, first, second)[0]
    moved = show.Shown(shown.case, {**shown.row, "verdict": "saddle", "modes": 1, "rank": 1}, None)
    first, second = show.reintegrate(run, moved)
    assert all("ANOTHER LIMIT, minimum I(4), S = {0,1}" in said for said in show.compared(moved, first, second))


def test_a_tolerance_that_cannot_be_tightened_is_reported(home: Path) -> None:
    run = open_run("runs/tiny")
    shown = show.show(run, 3, "gaussian")
    first, _ = show.reintegrate(run, shown)
    assert "not possible" in show.compared(shown, first, None)[1]


@pytest.fixture(scope="module")
def a_case() -> Case:
    return Experiment.from_toml(TINY, Path()).cases[0]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_with_its_remedy(a_case: Case, reason: Reason) -> None:
    row: dict[str, Any] = {"verdict": "censored", "certificate": None, "reason": REASONS[reason], "margin": None}
    row |= {"t": 12.5, "loss": None if reason is Reason.non_finite else 0.75, "modes": None}
    said = show.why(a_case, row)
    assert said.startswith("Censored: ")
    assert "12.5" in said or reason is Reason.t_end
    assert said.endswith(f"To decide it, {REMEDIES[REASONS[reason]]}.")


@pytest.mark.parametrize("certificate", list(Certificate))
def test_every_certificate_has_a_sentence(a_case: Case, certificate: Certificate) -> None:
    saddle = certificate in (Certificate.invariant, Certificate.outlasted)
    row: dict[str, object] = {"verdict": "saddle" if saddle else "minimum", "reason": None}
    row["certificate"] = CERTIFICATES[certificate]
    row |= {"t": 1.0, "loss": 0.4, "margin": float(np.float32(0.2)), "modes": 1 if saddle else 3}
    said = show.why(a_case, row)
    assert said.startswith("Saddle I(3), S = {0}, " if saddle else "Minimum, proved")
    assert "0.2" in said or certificate is Certificate.rank


# --- in a new process ------------------------------------------------------------------------------------------------


def test_the_installed_command_runs(home: Path) -> None:
    command = [str(Path(sys.executable).parent / "basins")]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"basins, version {basins.__version__}\n"
    bare = subprocess.run(command, capture_output=True, text=True, check=False)
    assert bare.returncode == 2
    assert bare.stderr.startswith("Usage: basins")
    code = "import sys, basins.cli\nassert not {'ray', 'matplotlib', 'pandas', 'scipy'} & set(sys.modules)\n"
    subprocess.run([sys.executable, "-c", code], check=True)  # --help is quick

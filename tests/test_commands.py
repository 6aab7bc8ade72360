"""Everything that the command line does has a function or a method that gives back what the command prints."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import basins
from basins import Problem, Run
from basins.cli import main
from basins.cli.figures import PLOTS
from basins.commands import Job
from basins.errors import ArgumentError, BasinsError, RunError
from basins.verify import Verification

TWINS = {
    "codim": "basins.codim",
    "compare": "basins.compare",
    "describe": "basins.describe",
    "estimate": "Run.estimate",
    "extend": "Run.extend",
    "follow": "basins.follow",
    "init": "basins.draft",
    "migrate": "Run.migrate",
    "plan": "basins.plan",
    "plot": "Run.plot",
    "report": "Run.report",
    "run": "basins.run",
    "show": "Run.show",
    "status": "Run.status",
    "stop": "basins.stop",
    "submit": "basins.submit",
    "tail": "basins.tail",
    "verify": "Run.verify",
}
"""Command -> its twin in Python."""

OF_THE_COMMAND_LINE = {"examples", "help"}
"""They print files and docstrings, which Python has as they are."""

OLD = Path(__file__).parent / "runs" / "schema-1" / "all"

TEXT = """
name = "small"
seed = 3
visits_every = 10
[data]
source = "spectrum"
sigma = [2, 1]
d_x = 2
[network]
hidden = [2, 2]
[engine]
budget = 150
[[case]]
name = "gaussian"
trajectories = 60
law = { name = "gaussian", scale = 0.5 }
[[case]]
name = "control"
trajectories = 10
law = { name = "planted", modes = [0], scale = 0.5 }
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "small.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def original(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "small"
    basins.run(experiment, out, on="inline")
    return out


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Run:
    shutil.copytree(original, tmp_path / "small")
    return basins.open_run(tmp_path / "small")


def said(*arguments: object) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def silently(function: Callable[[], Any]) -> Any:
    """What a function gives back, having printed nothing."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = function()
    assert out.getvalue() == err.getvalue() == ""
    return found


def test_every_command_has_a_twin() -> None:
    assert set(TWINS) == set(main.commands) - OF_THE_COMMAND_LINE
    for name in TWINS.values():
        owner, _, twin = name.partition(".")
        function = getattr(basins if owner == "basins" else Run, twin)
        assert callable(function), name
        assert len(function.__doc__) > 80, name


def same_text(found: object, printed: str) -> None:
    assert [line.rstrip() for line in repr(found).splitlines()] == [
        line.rstrip() for line in printed.rstrip().splitlines()
    ]


def test_show(run: Run) -> None:
    found = silently(lambda: run.show(10, "gaussian"))
    assert found.row["id"] == 10
    same_text(found, said("show", run.path, "--id", 10, "--case", "gaussian"))
    again, tighter = silently(lambda: run.reintegrate(10, "gaussian"))
    assert again.differs == ()
    assert tighter.same_limit(found.row)


def test_status(run: Run) -> None:
    found = silently(run.status)
    censored = run.estimate()["gaussian"].censored
    assert censored > 0
    printed = json.loads(said("status", run.path, "--json"))
    mine = json.loads(json.dumps(found.to_dict()))
    assert mine["levels"] == printed["levels"]
    assert found.counts() == {"minimum": 60 - censored, "saddle": 10, "censored": censored}
    assert "complete" in repr(found)


def test_verify(run: Run) -> None:
    found = silently(lambda: run.verify(sample=10, blocks=1, seed=2))
    assert isinstance(found, Verification)
    assert found.left == ()
    kept = {path.name for path in (Path(run.path) / "verified").iterdir()}
    printed = json.loads(said("verify", run.path, "--sample", 10, "--blocks", 1, "--seed", 2, "--json"))
    assert json.loads(json.dumps(found.to_dict())) == printed
    assert {path.name for path in (Path(run.path) / "verified").iterdir()} == kept
    same_text(found, said("verify", run.path, "--sample", 10, "--blocks", 1, "--seed", 2))


def test_damage_is_returned_not_raised(run: Run) -> None:
    (part,) = (Path(run.path) / "blocks" / f"case={run['control'].key}").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-100])
    found = silently(lambda: run.verify(sample=0, blocks=0))
    assert [one.case for one in found.left] == [run["control"].key]
    repaired = silently(lambda: run.verify(sample=0, blocks=0, repair=True))
    assert repaired.left == ()
    assert basins.open_run(run.path).missing() == {run["control"].key: [0]}


def test_prove_and_extend(run: Run) -> None:
    silently(lambda: run.prove(20, case="gaussian", on="inline"))
    proved = run.estimate()["gaussian"].proved
    assert proved is not None
    assert proved.tried == 20
    extended = silently(lambda: run.extend(100_000, on="inline"))
    assert extended.estimate()["gaussian"].censored == 0
    assert repr(extended).endswith("70 trajectories, 1 layer(s))")


@pytest.mark.parametrize("name", [name for name in PLOTS if name != "tail"])
def test_plot(run: Run, name: str, tmp_path: Path) -> None:
    case = None if name in ("occupancy", "survival", "certified", "drift", "cost") else "gaussian"
    figure = silently(lambda: run.plot(name, case, id=7 if name == "trajectory" else None))
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "mine.svg")
    assert "</svg>" in (tmp_path / "mine.svg").read_text()


def test_a_figure_is_that_of_the_command(run: Run, tmp_path: Path) -> None:
    from basins.output.figures import svg

    said("plot", "survival", run.path, "-o", tmp_path / "theirs.svg")
    assert svg(run.plot("survival")) == (tmp_path / "theirs.svg").read_bytes()


def test_report(run: Run, tmp_path: Path) -> None:
    page = silently(lambda: run.report(tmp_path / "mine.html"))
    said("report", run.path, "-o", tmp_path / "theirs.html")
    assert (tmp_path / "mine.html").read_bytes() == (tmp_path / "theirs.html").read_bytes() == page.encode()
    assert page._repr_html_().startswith('<iframe srcdoc="&lt;!')
    assert repr(page).startswith("Page(")
    assert len(repr(page)) < 100
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArgumentError, match="a folder; give a file's name"):
        run.report(tmp_path / "folder")


def test_estimate_and_tables(run: Run) -> None:
    assert silently(run.estimate).to_dict() == json.loads(said("estimate", run.path, "--json"))
    table = run.to_pandas()
    assert table.verdict.dtype == pd.CategoricalDtype(["minimum", "saddle", "censored"])
    assert len(table) == 70
    assert [case.name for case in run] == ["gaussian", "control"]
    assert len(run) == 2
    assert run[0] is run["gaussian"] is run[run[0].key]
    assert run
    assert repr(run) == f"Run({run.path!r}: 'small', 2 case(s), 70 trajectories)"
    assert run._repr_html_().count("<tr") == 3


def test_migrate(tmp_path: Path) -> None:
    old = basins.open_run(OLD)
    new = silently(lambda: old.migrate(tmp_path / "method"))
    other = silently(lambda: basins.migrate(OLD, tmp_path / "function"))
    said("migrate", OLD, "--out", tmp_path / "command")
    assert isinstance(new, Run)
    assert new.trajectories().equals(other.trajectories())
    manifests = {(tmp_path / name / "manifest.json").read_bytes() for name in ("method", "function", "command")}
    assert len(manifests) == 1
    with pytest.raises(RunError, match="which is the current one"):
        basins.migrate(tmp_path / "method", tmp_path / "again")


def test_describe(experiment: Path) -> None:
    found = silently(lambda: basins.describe(experiment))
    assert [one.case.name for one in found] == ["gaussian", "control"]
    assert found[0].planned.shards == 1
    assert found[0].planned.seconds > 0
    assert "left to test the conjecture" in repr(found[0])
    assert found[0].shape.sentence.split(":")[0] in " ".join(repr(found[0]).split())
    (control,) = basins.describe(str(experiment), "control")
    assert control.case.name == "control"
    with pytest.raises(BasinsError, match="no case 'controll'"):
        basins.describe(experiment, "controll")


def test_plan(experiment: Path) -> None:
    found = silently(lambda: basins.plan(1e-3, saddles=1, share=0.05))
    assert found.to_dict() == json.loads(said("plan", "--bound", "1e-3", "--saddles", 1, "--share", 0.05, "--json"))
    same_text(found, said("plan", "--bound", "1e-3", "--saddles", 1, "--share", 0.05))
    (cost,) = silently(lambda: basins.plan(1e-3, experiment)).costs
    assert cost.case.name == "gaussian"
    assert cost.seconds > 0


def test_codim(experiment: Path) -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    found = silently(lambda: basins.codim(problem, 3, samples=400))
    printed = json.loads(said("codim", experiment, "--stratum", 3, "--case", "gaussian", "--samples", 400, "--json"))
    assert json.loads(json.dumps(found.to_dict())) == {name: printed[name] for name in found.to_dict()}
    of_file = basins.codim(experiment, 3, case="gaussian", samples=400)
    assert of_file.to_dict() == found.to_dict()
    assert "The share of an eps-ball that stays" in repr(found)


# --- what is refused --------------------------------------------------------------------------------------------------

PROBLEM = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
W = [0.1] * PROBLEM.n

WRONG: dict[str, tuple[Callable[[Any], object], tuple[Any, ...]]] = {
    "integrate": (lambda wrong: basins.integrate(wrong, W), (None, 3, "problem", W)),
    "trajectory": (lambda wrong: basins.trajectory(wrong, W, [1.0]), (None, 3, "problem", W)),
    "where": (lambda wrong: basins.where(wrong, W), (None, 3, "problem", W)),
    "certify": (lambda wrong: basins.certify(wrong, W), (None, 3, "problem", W)),
    "prove": (lambda wrong: basins.prove(wrong, W), (None, 3, "problem", W)),
    "largest_ball": (lambda wrong: basins.largest_ball(wrong, W), (None, 3, "problem", W)),
    "a state": (lambda wrong: basins.integrate(PROBLEM, wrong), (None, "W", {"W": 1}, object(), [[1.0]], [W, W[:-1]])),
    "rtol": (lambda wrong: basins.integrate(PROBLEM, W, rtol=wrong), (None, "1e-8", [1e-8], True)),
    "t_end": (lambda wrong: basins.integrate(PROBLEM, W, t_end=wrong), (None, "1", [1.0])),
    "budget": (lambda wrong: basins.integrate(PROBLEM, W, budget=wrong), (None, "100", 1e6, True, 0)),
    "engine": (lambda wrong: basins.integrate(PROBLEM, W, engine=wrong), (None, 3, "scipy", ["lanes"])),
    "method": (lambda wrong: basins.integrate(PROBLEM, W, method=wrong), (3, "RK4", ["DOP853"])),
    "certify=": (lambda wrong: basins.integrate(PROBLEM, W, certify=wrong), (None, "yes", 1)),
    "wait": (lambda wrong: basins.integrate(PROBLEM, W, wait=wrong), (None, "yes", 1)),
    "delta": (lambda wrong: basins.certify(PROBLEM, W, delta=wrong), (None, "1e-6", [1e-6])),
    "radius": (lambda wrong: basins.prove(PROBLEM, W, wrong), ("x", [1.0, 2.0], {"r": 1}, -1.0)),
    "tiers": (lambda wrong: basins.prove(PROBLEM, W, tiers=wrong), (3, "Z", ["Z"], [3])),
    "accuracy": (lambda wrong: basins.largest_ball(PROBLEM, W, accuracy=wrong), (None, "x", [0.5])),
    "hidden": (
        lambda wrong: Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=wrong),
        (None, 3, "22", 2.5, [2.5], [None]),
    ),
    "sigma": (lambda wrong: Problem.from_spectrum(wrong, d_x=2, hidden=(2,)), (None, "21", {"a": 1})),
    "d_x": (lambda wrong: Problem.from_spectrum([2.0, 1.0], d_x=wrong, hidden=(2,)), (None, "2", 2.5, True)),
    "open_run": (basins.open_run, (None, 3, b"\xff", PROBLEM, ["runs"])),
    "layers": (lambda wrong: basins.open_run(OLD, wrong), ("1", 1.0, True, -1)),
    "extend": (lambda wrong: basins.extend(wrong, 1000, on="inline"), (None, 3, PROBLEM)),
    "prove_run": (lambda wrong: basins.prove_run(wrong, on="inline"), (None, 3, PROBLEM)),
    "tail": (lambda wrong: basins.tail(wrong, "tail"), (None, 3, PROBLEM)),
    "describe": (basins.describe, (None, 3, PROBLEM, ["t.toml"], "/nowhere/t.toml")),
    "plan": (basins.plan, (None, "1e-6", [1e-6], 2.0, True)),
    "saddles": (lambda wrong: basins.plan(1e-3, saddles=wrong), (None, 1.5, "1", True, -1)),
    "codim": (lambda wrong: basins.codim(wrong, 1), (None, 3, ["t.toml"])),
    "stratum": (lambda wrong: basins.codim(PROBLEM, wrong), (None, "1", 1.0, True, 0, 4)),
    "samples": (lambda wrong: basins.codim(PROBLEM, 1, samples=wrong), (None, "1", 1e3, 0)),
    "migrate": (lambda wrong: basins.migrate(wrong, "new"), (None, 3, PROBLEM)),
    "migrate to": (lambda wrong: basins.migrate(OLD, wrong), (None, 3, PROBLEM)),
    "submit": (lambda wrong: basins.submit(wrong, "s3://b/r", "http://h:8265"), (None, 3, PROBLEM)),
    "stop": (lambda wrong: basins.stop(wrong, "http://h:8265"), (None, 3, "")),
    "address": (lambda wrong: basins.stop("job", wrong), (None, 3, "ftp://h", "")),
    "follow": (lambda wrong: basins.follow(wrong), (None, 3, "job")),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_types_have_the_lines_of_the_package(name: str) -> None:
    call, values = WRONG[name]
    for wrong in values:
        with pytest.raises(BasinsError) as refusal:
            call(wrong)
        assert "\n" not in str(refusal.value), wrong
        assert refusal.value.remedy, wrong


def test_wrong_arguments_of_a_run(run: Run) -> None:
    calls: dict[str, Callable[[], object]] = {
        "no figure 'survivals'": lambda: run.plot("survivals"),
        "no id for 'trajectory'": lambda: run.plot("trajectory"),
        "an id for 'loss'": lambda: run.plot("loss", id=3),
        "2 cases": lambda: run.plot("loss"),
        "no case 'gausian'": lambda: run.show(3, "gausian"),
        "id = '3'": lambda: run.show("3", "gaussian"),  # type: ignore[arg-type]
        "id 60 is not in case": lambda: run.show(60, "gaussian"),
        "sample = -1": lambda: run.verify(sample=-1),
        "sample = 'all'": lambda: run.verify(sample="all"),  # type: ignore[arg-type]
        "None is no case": lambda: run[None],  # type: ignore[index]
        "no case 3": lambda: run.trajectories(3),  # type: ignore[arg-type]
        "3 names no file": lambda: run.report(3),  # type: ignore[arg-type]
        "many": lambda: run.extend("many", on="inline"),  # type: ignore[arg-type]
        "unknown runner": lambda: run.extend(1000, on="threads"),
    }
    for what, call in calls.items():
        with pytest.raises(BasinsError) as refusal:
            call()
        assert what in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_job_is_followed_and_stopped_by_what_submit_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    class Answers:
        open = True

        def __init__(self, address: str) -> None:
            self.address = address

        def follow(self, job: str, say: Callable[[str], object]) -> int:
            asked.append(("follow", self.address, job))
            say("a line")
            return 3

        def stop(self, job: str) -> str:
            asked.append(("stop", self.address, job))
            return "STOPPED"

        def submit(self, job: str, entrypoint: str, runtime_env: dict[str, Any]) -> str:
            asked.append(("submit", self.address, entrypoint))
            return job

    monkeypatch.setattr("basins.job.dashboard.Dashboard", Answers)
    lines: list[str] = []
    job = Job("basins-1", "http://h:8265")
    assert job.follow(lines.append) == 3
    assert basins.stop(job) == "STOPPED"
    assert lines == ["a line"]
    assert asked == [("follow", "http://h:8265", "basins-1"), ("stop", "http://h:8265", "basins-1")]


def test_submit_gives_a_job_and_its_warnings(monkeypatch: pytest.MonkeyPatch, experiment: Path) -> None:
    sent: list[str] = []

    class Answers:
        open = True

        def __init__(self, address: str) -> None:
            self.address = address

        def submit(self, job: str, entrypoint: str, runtime_env: dict[str, Any]) -> str:
            sent.append(entrypoint)
            return job

    monkeypatch.setattr("basins.job.dashboard.Dashboard", Answers)
    job = silently(lambda: basins.submit(experiment, "s3://bucket/run", "http://h:8265", options=["--workers", "8"]))
    assert job.id.startswith("basins-small-")
    assert job.address == "http://h:8265"
    assert job.warnings == ("http://h:8265 accepts jobs from anyone: start Ray with RAY_AUTH_MODE=token and a token",)
    assert sent == ["python -m basins.job . --out s3://bucket/run --workers 8"]

"""`basins.run` from Python: a problem and a law, or a path; the temporary folder that a run owns; what is refused."""

from __future__ import annotations

import gc
import html
import io
import os
import re
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import data_files, tiny

import basins
from basins.errors import ArgumentError, BasinsError, RunError
from basins.execution.base import Runner
from basins.execution.notebook_progress import EVERY, NotebookProgress, Shown, listener_of
from basins.execution.ray import Ray
from basins.execution.run import run as execute
from basins.progress import Event, PlainProgress, RunEnded, RunStarted, ShardDone
from basins.store import files_at, layout
from basins.verify import verify

RNG = np.random.default_rng(4)
PROBLEM = basins.Problem.from_data(RNG.normal(size=(12, 2)), RNG.normal(size=(12, 1)), hidden=(1,))
LAW = basins.Gaussian(0.5)
CHEAP: dict[str, Any] = {"engine": "reference", "budget": 1}


def quick(**options: Any) -> basins.Run:
    return basins.run(PROBLEM, LAW, 1500, on="inline", **CHEAP, **options)


# --- the run -------------------------------------------------------------------------------------------------------


def test_a_problem_and_a_law_on_any_runner(make: Callable[..., Runner], tmp_path: Path) -> None:
    """The same bytes as from the equivalent Experiment, though workers have neither the arrays nor the problem."""
    made = basins.run(
        PROBLEM, LAW, 2500, seed=3, name="own", visits_every=5, on=make(), workers=2, out=tmp_path / "one", **CHEAP
    )
    assert made.path == str(tmp_path / "one")
    experiment = basins.Experiment(PROBLEM, LAW, 2500, seed=3, name="own", visits_every=5, **CHEAP)
    basins.run(experiment, out=tmp_path / "other", on="inline")
    assert data_files(tmp_path / "one") == data_files(tmp_path / "other")
    assert set(data_files(tmp_path / "one")) >= {"data.npz", "experiment.toml", "manifest.json"}


def test_a_path_an_experiment_and_a_runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out by name, or by position as it always could be."""
    (tmp_path / "tiny.toml").write_text(tiny().text)
    monkeypatch.chdir(tmp_path)
    expected = data_files(Path(execute(tiny(), tmp_path / "expected", on="inline").path))
    for experiment in ("tiny.toml", tmp_path / "tiny.toml", tiny(), "expected"):
        with basins.run(experiment, on="inline") as made:
            assert data_files(Path(made.path)) == expected
    assert basins.run("tiny.toml", "by position", on="inline").path == str(tmp_path / "by position")
    assert basins.run("tiny.toml", Path("by position"), on="inline").missing() == {}
    assert data_files(tmp_path / "by position") == expected


def test_the_same_call_resumes_and_another_problem_is_refused(tmp_path: Path) -> None:
    made = quick(out=tmp_path / "run")
    expected = data_files(tmp_path / "run")
    key = made.manifest.cases[0].key
    (tmp_path / "run" / layout.part("trajectories", key, 1)).unlink()
    events: list[Event] = []
    assert quick(out=tmp_path / "run", listeners=[events.append]).missing() == {}
    assert [event.summary.task.shard for event in events if isinstance(event, ShardDone)] == [1]
    assert data_files(tmp_path / "run") == expected
    X, Y = PROBLEM.samples.X, PROBLEM.samples.Y  # type: ignore[union-attr]
    other = basins.Problem.from_data(X, Y + 1, hidden=(1,))
    with pytest.raises(RunError, match=r"a run of another experiment: .*data\.sha256"):
        basins.run(other, LAW, 1500, out=tmp_path / "run", on="inline", **CHEAP)
    assert not verify(tmp_path / "run", sample=0).findings


# --- the temporary folder ------------------------------------------------------------------------------------------


def test_without_out_the_run_owns_a_folder_that_goes_with_it() -> None:
    for end in ("close", "with", "last reference"):
        made = quick()
        path = Path(made.path)
        assert len(made.trajectories()) == 1500
        if end == "close":
            made.close()
            made.close()
        elif end == "with":
            with made as same:
                assert same is made
        else:
            del made
            gc.collect()
        assert not path.exists(), end


def test_a_closed_run_says_so_instead_of_being_empty() -> None:
    made = quick()
    made.close()
    for read in (made.trajectories, made.missing, made.estimate, lambda: made.save("elsewhere"), lambda: made.path):
        with pytest.raises(RunError, match=r"closed, and its temporary folder with it; run it again, with out="):
            read()
    assert "basins-run-" in repr(made)


def test_rows_that_are_being_read_keep_the_folder() -> None:
    rows = quick().stream("trajectories", "experiment")
    gc.collect()
    assert sum(len(part) for part in rows) == 1500


def test_closing_a_run_that_has_a_place_leaves_it(tmp_path: Path) -> None:
    with quick(out=tmp_path / "run") as made:
        pass
    assert len(made.trajectories()) == 1500
    del made
    gc.collect()
    assert (tmp_path / "run" / "manifest.json").exists()


SCRIPT = """
import os, basins
problem = basins.Problem.from_spectrum([1.0], d_x=1, hidden=[1])
run = basins.run(problem, basins.Gaussian(0.5), n=10, on="inline", engine="reference", budget=1)
print(run.path, flush=True)
if os.fork() == 0:
    raise SystemExit(0)  # a fork ends as Python does, and leaves the folder to its owner
os.wait()
print(len(run.trajectories()))
"""


def test_the_folder_goes_when_python_ends_and_not_when_a_fork_does() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    path, rows = ended.stdout.split()
    assert rows == "10"
    assert not Path(path).exists()
    assert ended.stderr == ""


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests were started with it ignored, as a shell starts background jobs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_a_call_that_fails_or_is_interrupted_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def interrupt(event: Event) -> None:
        if isinstance(event, ShardDone):
            assert list(tmp_path.glob("basins-run-*"))
            os.kill(os.getpid(), signal.SIGINT)

    def fail(event: Event) -> None:
        raise ZeroDivisionError

    for listener, error in ((interrupt, KeyboardInterrupt), (fail, ZeroDivisionError)):
        with pytest.raises(error) as caught:
            quick(listeners=[listener])
        assert list(tmp_path.iterdir()) == []
        assert caught.tb is not None  # what is being handled still refers to the call


# --- saved ---------------------------------------------------------------------------------------------------------


def test_a_saved_run_has_every_file_and_the_folder_is_gone(tmp_path: Path) -> None:
    made = quick()
    before, rows = data_files(Path(made.path)), made.trajectories()
    folder = Path(made.path)
    assert made.save(tmp_path / "kept") is made
    assert made.path == str(tmp_path / "kept")
    assert not folder.exists()
    assert data_files(tmp_path / "kept") == before
    assert list((tmp_path / "kept" / "telemetry").iterdir())
    assert made.trajectories().equals(rows)
    assert quick(out=tmp_path / "kept").missing() == {}
    made.close()
    assert (tmp_path / "kept" / "manifest.json").exists()
    made.save(tmp_path / "again")
    assert data_files(tmp_path / "again") == data_files(tmp_path / "kept") == before


def test_a_place_that_holds_something_is_refused_and_the_run_stays(tmp_path: Path) -> None:
    made = quick()
    inside = made.path
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data.npz").write_bytes(b"mine")
    quick(out=tmp_path / "there")
    for place, said in (
        (tmp_path / "mine", r"not empty \(data\.npz is there\)"),
        (tmp_path / "there", "there is a run already"),
        (inside, "the run itself"),
        (f"{inside}/below", "the run itself"),
        ("gs://bucket/run", "no store for gs:// addresses"),
        (5, "path: 5; give the path of a file or folder"),
    ):
        with pytest.raises(BasinsError, match=said):
            made.save(place)  # type: ignore[arg-type]
    assert (tmp_path / "mine" / "data.npz").read_bytes() == b"mine"
    assert len(made.trajectories()) == 1500


def test_a_copy_that_was_interrupted_is_no_run_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = quick()
    before = data_files(Path(made.path))
    files = 0

    def dying(self: Any, path: str, data: Any) -> None:
        nonlocal files
        files += 1
        if files == 4:
            raise KeyboardInterrupt
        local(self, path, data)

    local = type(files_at(tmp_path)).put
    monkeypatch.setattr(type(files_at(tmp_path)), "put", dying)
    with pytest.raises(KeyboardInterrupt):
        made.save(tmp_path / "kept")
    monkeypatch.undo()
    assert len(data_files(tmp_path / "kept")) == 3
    with pytest.raises(RunError, match="not a run"):
        basins.open_run(tmp_path / "kept")
    made.save(tmp_path / "kept")
    assert data_files(tmp_path / "kept") == before


# --- progress ------------------------------------------------------------------------------------------------------


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a kernel is told to show, one state after the other in one output."""
    states: list[Any] = []

    class Handle:
        def update(self, state: Any) -> None:
            states.append(state)

    def display(state: Any, display_id: bool) -> Handle:
        assert display_id
        assert not states, "one output a cell"
        states.append(state)
        return Handle()

    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    return states


def test_a_notebook_shows_one_bar_and_then_what_was_done(notebook: list[Any]) -> None:
    with quick():
        pass
    first, last = notebook[0], notebook[-1]
    assert repr(first) == "inline: 0/1,500 compiling"
    bar = '<progress value="0" max="1500"></progress>'
    assert first._repr_html_() == f"<div>{bar} <code>inline: 0/1,500 compiling</code></div>"
    assert re.fullmatch(r"1,500 of 1,500 trajectories in [\d.]+ s: .*censored [\d,]+", repr(last))
    assert "<progress" not in last._repr_html_()


def test_its_states_are_few_and_say_what_is_left(notebook: list[Any]) -> None:
    shown = NotebookProgress()
    now = 0.0
    shown.tally.clock = lambda: now
    shown(RunStarted("runs/x", "ray", 2, 4096, 1024, 4, 1))
    for _ in range(100):
        now += EVERY / 50
        shown(types.SimpleNamespace())  # type: ignore[arg-type]
    assert 2 <= len(notebook) <= 4
    assert repr(notebook[-1]) == "ray x 2: 1,024/4,096 starting workers"
    shown(RunEnded(complete=False))
    assert repr(notebook[-1]) == "not complete: 1,024 of 4,096 trajectories in 0.5 s"
    assert html.escape("a<b") in Shown("a<b")._repr_html_()


def test_elsewhere_a_run_is_silent_unless_it_is_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick().close()
    quick(progress=None).close()
    assert capsys.readouterr() == ("", "")
    quick(progress=True).close()
    assert "1,500 trajectories in 2 shards" in capsys.readouterr().err
    assert listener_of("auto") is None

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    assert type(listener_of("auto")).__name__ == "RichProgress"
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert listener_of("auto") is None
    assert isinstance(listener_of(True), PlainProgress)


# --- refused -------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "nothing": ((), {}, "problem: no problem; give a problem, a law and n, or cases="),
    "no law": ((PROBLEM,), {}, "law: no law; give one"),
    "no n": ((PROBLEM, LAW), {}, "n: missing; give how many trajectories, such as n=10_000"),
    "a law's name": ((PROBLEM, "gaussian", 5), {}, "law: 'gaussian' is no law"),
    "out in place of the law": ((PROBLEM, Path("runs/x")), {"n": 5}, "is no law"),
    "a path and a law": (("iris.toml", LAW), {}, "run: law given with the experiment 'iris.toml'; leave them out"),
    "a path and n": (("iris.toml",), {"n": 5}, "run: n given with the experiment 'iris.toml'"),
    "a path and arrays": (
        ("iris.toml",),
        {"data": (np.eye(3), np.eye(3)), "network": {"hidden": [3]}},
        "run: data, network given with the experiment 'iris.toml'",
    ),
    "a path and a setting": (("iris.toml",), {"rtol": 1e-6}, "run: rtol given with the experiment 'iris.toml'"),
    "a path and a seed": ((Path("iris.toml"),), {"seed": 0}, "run: seed given with the experiment 'iris.toml'"),
    "an experiment and cases": ((tiny(),), {"cases": []}, "run: cases given with an Experiment"),
    "out twice": (("iris.toml", "runs/x"), {"out": "runs/y"}, "out: given twice: 'runs/x' and 'runs/y'"),
    "no such file": (("nowhere.toml",), {}, "nowhere.toml: no such file; give the path of a TOML file"),
    "a text": ((tiny().text,), {}, "experiment: a text, not a path; give basins.Experiment.from_toml(text)"),
    "an array": ((np.eye(3), LAW, 5), {}, "problem: a value of type ndarray is no problem"),
    "a number": ((3, LAW, 5), {}, "problem: 3 is no problem"),
    "out of another type": ((PROBLEM, LAW, 5), {"out": 3}, "out: 3; give the path of a file or folder"),
    "runner": ((PROBLEM, LAW, 5), {"on": "rey"}, "on: unknown runner 'rey'"),
    "runner of another type": ((PROBLEM, LAW, 5), {"on": 5}, 'on: 5; give "ray", "processes" or "inline", or a Runner'),
    "workers": ((PROBLEM, LAW, 5), {"workers": 1.5}, "workers: workers = 1.5; give a whole number of at least 1"),
    "progress": ((PROBLEM, LAW, 5), {"progress": "bar"}, "progress: progress = 'bar'; give \"auto\", True or False"),
    "listeners": ((PROBLEM, LAW, 5), {"listeners": 5}, "listeners: 5; give a list of functions"),
    "listeners of another type": ((PROBLEM, LAW, 5), {"listeners": [5]}, "listeners: [5]; give a list of functions"),
    "address": ((PROBLEM, LAW, 5), {"address": 5}, "address: 5; give HOST:PORT of a Ray cluster as text"),
    "deadline": ((PROBLEM, LAW, 5), {"deadline": "5"}, "deadline: '5' is not a number; give one number"),
    "argument": ((PROBLEM, LAW, 5), {"visit_every": 5}, "no setting 'visit_every'; did you mean 'visits_every'?"),
    "bytes": ((b"iris.toml",), {}, "problem: a value of type bytes is no problem"),
    "setting": ((PROBLEM, LAW, 5), {"budge": 5}, "budge: no setting 'budge'; did you mean 'budget'?"),
    "cluster": ((PROBLEM, LAW, 5), {"address": "h:1"}, "out: missing, and the run is on the cluster h:1"),
    "runner of a cluster": ((PROBLEM, LAW, 5), {"on": Ray("h:1")}, "out: missing, and the run is on the cluster h:1"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_line_and_nothing_is_left(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, options, said = REFUSED[what]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BasinsError) as refused:
        basins.run(*arguments, **options)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_in_the_environment_needs_a_place_that_it_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    with pytest.raises(ArgumentError, match=r"the run is on the cluster head:6379"):
        basins.run(PROBLEM, LAW, 5)
    quick().close()  # inline: no cluster is asked

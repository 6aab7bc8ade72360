"""`--on auto`: which runner is chosen, why, and that it is said; the bytes are those of any other."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from experiments import data_files, tiny

from basins.cli import main
from basins.errors import ArgumentError, RunError
from basins.execution import auto
from basins.execution import run as run_module
from basins.execution.auto import START, Choice, by_address, by_work, rates_of, seconds_of
from basins.execution.driver import Tasks
from basins.execution.inline import Inline
from basins.execution.run import extend, run
from basins.execution.shard import Task
from basins.progress import Event, Message, RunStarted
from basins.store import files_at


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if "ray" in sys.modules:
        monkeypatch.setattr(sys.modules["ray"], "is_initialized", lambda: False)


def test_ray_where_an_address_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_address(None) is None
    assert by_address("head:6379") == Choice("ray", "the cluster at head:6379 is named")
    monkeypatch.setenv("RAY_ADDRESS", "other:6379")
    assert by_address(None) == Choice("ray", "RAY_ADDRESS is other:6379")
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    assert by_address(None) == Choice("ray", "this process is connected to a Ray")


@pytest.mark.parametrize(
    ("shards", "seconds", "workers", "deadline", "name", "why"),
    [
        (0, None, 2, None, "inline", "nothing is missing"),
        (1, 1e6, 8, None, "inline", "one shard is missing"),
        (9, 1e6, 1, None, "inline", "there is one core"),
        (9, 0.1, 2, 60.0, "processes", "a deadline"),
        (9, None, 2, None, "processes", "9 shards are missing"),
        (9, 4.0, 2, None, "inline", "about 4.0 s on one core, no longer than with workers, which take 4 s to start"),
        (9, 2 * START - 0.1, 2, None, "inline", "about 7.9 s"),
        (9, 2 * START + 0.1, 2, None, "processes", "about 8.1 s on one core"),
        (9, START * 8 / 7 + 0.1, 8, None, "processes", "about 4.7 s"),
        (99, 9000.0, 8, None, "processes", "about 2 h on one core"),
    ],
)
def test_inline_where_workers_would_take_longer_to_start(
    shards: int, seconds: float | None, workers: int, deadline: float | None, name: str, why: str
) -> None:
    choice = by_work(shards, seconds, workers, deadline)
    assert choice.name == name
    assert why in choice.why


@pytest.mark.parametrize("seconds", [0.0001, 1000.0])
def test_what_is_chosen_is_said_and_changes_no_byte(
    seconds: float, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes are stood in for: what matters is that the decision is taken, and by the work."""

    class Processes(Inline):
        name = "processes"

        def __init__(self, work: str, deadline: float | None = None) -> None:
            super().__init__(work)

    monkeypatch.setitem(run_module.RUNNERS, "processes", Processes)
    monkeypatch.setattr(auto, "seconds_a_trajectory", lambda *_: seconds)
    events: list[Event] = []
    run(tiny(), tmp_path / "run", workers=2, listeners=[events.append])
    name = "inline" if seconds < 1 else "processes"
    assert isinstance(events[0], Message)
    assert events[0].text.startswith(f"--on auto: {name}, for what is missing takes about ")
    assert isinstance(events[1], RunStarted)
    assert events[1].runner == name
    assert data_files(tmp_path / "run") == data_files(undisturbed)
    events.clear()
    run(tiny(), tmp_path / "run", listeners=[events.append])
    assert not any(isinstance(event, Message) for event in events)  # nothing to do, nothing to say


def test_a_run_that_has_been_at_work_is_not_timed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny(), tmp_path / "run", on="inline")
    files = files_at(tmp_path / "run")
    rates = rates_of(files)
    assert set(rates) == {case.key for case in tiny().cases}
    log = next((tmp_path / "run" / "telemetry").iterdir())
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    done = [line for line in lines if line["event"] == "ShardDone" and line["case"] == tiny().cases[1].key]
    expected = sum(line["seconds"] for line in done) / 2000
    assert rates[tiny().cases[1].key] == pytest.approx(expected)
    monkeypatch.setattr(auto, "seconds_a_trajectory", lambda *_: pytest.fail("its pace is known"))
    from basins.run_tables import open_run

    missing = {tiny().cases[1].key: [0, 1]}
    assert seconds_of(files, tiny(), open_run(tmp_path / "run").manifest, missing) == pytest.approx(2000 * expected)
    log.write_text(log.read_text() + "half a li")
    assert rates_of(files) == rates


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(tiny(trajectories=900).text)
    done = CliRunner().invoke(main, ["run", "tiny.toml"])
    assert done.exit_code == 0, done.output
    assert "--on auto: inline, for " in done.stderr
    refused = CliRunner().invoke(main, ["run", "tiny.toml", "--on", "processes", "--address", "host:1"])
    assert refused.exit_code == 2
    named = CliRunner().invoke(main, ["run", "tiny.toml", "--address", "nowhere"])
    assert "not the address of a Ray cluster" in named.stderr
    with pytest.raises(ArgumentError, match="deadline = nan"):
        run(tiny(), tmp_path / "none", deadline=float("nan"))
    with pytest.raises(RunError, match="not a run"):
        extend(tmp_path / "none", 10)
    assert "--on ray" in (Path(__file__).parents[2] / "Makefile").read_text()


def test_cases_take_turns_in_proportion() -> None:
    order = list(Tasks({"a": [0, 1, 2, 3], "b": [5, 6], "c": []}))
    assert order == [Task("a", 0), Task("b", 5), Task("a", 1), Task("a", 2), Task("b", 6), Task("a", 3)]
    assert len(Tasks({"a": [0, 1], "b": [1]})) == 3

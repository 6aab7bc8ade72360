"""The status of a run from its files alone: what is committed, what drivers logged, and which drivers are silent."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from basins import status
from basins.errors import RunError
from basins.execution.run import extend, run
from basins.experiment import Experiment
from basins.output.console.screen import console
from basins.output.console.status import activity, print_status, shown
from basins.progress import Event, ShardDone
from basins.run_tables import open_run
from basins.status import Part, Status, Watcher
from basins.store import files_at

TEXT = """
name = "tiny"
seed = 7
blocks_per_shard = 1

[data]
source = "spectrum"
sigma = [1.0]
d_x = 1

[network]
hidden = [1]

[engine]
name = "reference"
budget = 1

[[case]]
name = "gaussian"
trajectories = 4500
law = { name = "gaussian", scale = 0.5 }

[[case]]
name = "planted"
trajectories = 2000
law = { name = "planted", modes = [], scale = 0.5 }
"""


def experiment() -> Experiment:
    return Experiment.from_toml(TEXT, Path())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    run(experiment(), path, on="inline")
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def look(path: Path, later: float = 0.0) -> Status:
    return Watcher(files_at(path)).look(time.time() + later)


def lines(path: Path) -> list[dict[str, Any]]:
    (log,) = (path / "telemetry").iterdir()
    return [json.loads(line) for line in log.read_text().splitlines()]


def rewrite(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    (log,) = (path / "telemetry").iterdir()
    log.write_text("".join(json.dumps(line) + "\n" for line in change(lines(path))))


def check_counts(found: Status, path: Path) -> None:
    """Check that the counts are those of the blocks."""
    blocks = open_run(path, 0).blocks()
    for part in found.levels[0].parts:
        of_case = blocks[blocks["case"] == part.case]
        assert part.done == of_case["count"].sum()
        for name in ("minimum", "saddle", "censored", "evaluations"):
            assert getattr(part, name) == of_case[name].sum()


def test_a_complete_run(whole: Path) -> None:
    found = look(whole, later=1e6)
    assert found.activity.state == "complete"
    assert [(part.shards, part.shards_done) for part in found.levels[0].parts] == [(5, 5), (2, 2)]
    check_counts(found, whole)
    assert found.counts()["saddle"] == 2000


def test_many_cases_are_summed_and_the_exceptional_ones_are_listed() -> None:
    def part(number: int, done: int, saddle: int = 0) -> Part:
        return Part("", f"case {number}", 4, done, 400, done, 100 * done, 100 * done - saddle, saddle)

    parts = [part(0, 4), part(1, 2), *(part(k, 4) for k in range(2, 30)), *(part(k, 4, 7) for k in range(30, 42))]
    parts += [part(k, 0) for k in range(42, 45)]
    rows = shown(parts)
    names = ["all 45 cases", "case 1", *(f"case {k}" for k in range(30, 38))]
    names += ["4 more cases done, with saddles or censored", "29 cases done, minima alone", "3 cases not begun"]
    assert [row.name for row in rows] == names
    assert (rows[0].shards, rows[0].shards_done, rows[0].saddle) == (4 * 45, 4 * 41 + 2, 7 * 12)
    assert [sum(getattr(row, name) for row in rows[1:]) for name in ("shards", "done", "minimum", "saddle")] == [
        getattr(rows[0], name) for name in ("shards", "done", "minimum", "saddle")
    ], "each case is in one row below the sum"
    assert shown(parts[:20]) == parts[:20]


def test_shards_without_telemetry_are_read_from_their_blocks(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(copy, lambda log: log[:4])
    check_counts(look(copy), copy)
    monkeypatch.setattr(status, "BLOCKS", 1)
    first = look(copy).levels[0].parts[0]
    assert (first.shards_done, first.counted, first.done) == (5, 3, 3 * 1024)  # of the three lines two are its own


def test_a_reported_shard_that_is_gone_is_not_counted(copy: Path) -> None:
    next((copy / "trajectories").rglob("part-00000001.parquet")).unlink()
    found = look(copy)
    check_counts(found, copy)
    assert found.activity.state == "stopped"
    assert "resumes it" in activity(found)[0]


class Stops(Exception):
    pass


def test_running_stalled_and_stopped(tmp_path: Path) -> None:
    """A driver is killed after three shards, so it never logs its end."""
    seen: list[Event] = []

    def stop(event: Event) -> None:
        seen.append(event)
        if sum(isinstance(one, ShardDone) for one in seen) == 3:
            raise Stops

    with pytest.raises(Stops):
        run(experiment(), tmp_path / "run", on="inline", listeners=[stop])
    assert look(tmp_path / "run").activity.state == "stopped"
    rewrite(tmp_path / "run", lambda log: [line for line in log if line["event"] != "RunEnded"])
    told = lines(tmp_path / "run")
    began, last = min(line["started"] for line in told if line["event"] == "ShardDone"), told[-1]["time"]
    watcher = Watcher(files_at(tmp_path / "run"))
    at_once, soon, late = (watcher.look(last + after) for after in (0.0, 30.0, 300.0))
    assert at_once.activity.state == soon.activity.state == "running"
    assert soon.activity.rate == pytest.approx(3 * 1024 / (last + 30.0 - began))
    assert soon.activity.seconds_left == pytest.approx((6500 - 3 * 1024) / soon.activity.rate)
    assert at_once.activity.rate > soon.activity.rate
    assert (late.activity.state, late.activity.seconds_left) == ("stalled", None)
    assert late.activity.silent == pytest.approx(300.0)
    rewrite(tmp_path / "run", lambda log: [{**line, "seconds": 200.0} if "seconds" in line else line for line in log])
    assert watcher.look(last + 300.0).activity.state == "running", "its shards take longer than that"
    run(experiment(), tmp_path / "run", on="inline")
    assert watcher.look().activity.state == "complete"


def test_the_last_losses_are_shown(copy: Path) -> None:
    lost = [
        {"time": 1e9 + n, "event": "AttemptLost", "case": "c", "shard": n, "attempt": 1, "cause": f"cause {n}"}
        for n in range(5)
    ]
    rewrite(copy, lambda log: lost + log)
    found = look(copy)
    assert found.activity.losses == 5
    assert [loss["cause"] for loss in found.activity.last_losses] == ["cause 2", "cause 3", "cause 4"]
    assert activity(found)[-1] == "  2001-09-09 01:46:44Z shard 4 of case c, attempt 1: cause 4"


def test_each_layer_has_a_line(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = look(copy).counts()
    extend(copy, 40, on="inline")
    found = look(copy)
    layer = found.levels[1]
    assert (layer.number, layer.budget, layer.complete) == (1, 40, True)
    assert layer.parts[0].done == before["censored"] > 0
    blocks = open_run(copy).blocks()
    assert found.counts() == {name: blocks[name].sum() for name in ("minimum", "saddle", "censored")}
    assert found.counts() != before
    print_status(console(), found)
    said = capsys.readouterr().out
    assert "layer 1, budget 40" in said
    assert "with the layers applied:" in said


def test_full_files_are_read_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from basins.store import layout

    monkeypatch.setattr(layout, "TELEMETRY_LINES", 4)
    watcher = Watcher(files_at(copy))
    first = watcher.look()
    (log,) = (copy / "telemetry").iterdir()
    log.write_text("")
    assert watcher.look().levels == first.levels


def test_the_status_command(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from basins.cli import main

    for options in ([], ["--watch"], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["status", str(copy), *options])
        assert ended.value.code == 0
    *shown, as_json = capsys.readouterr().out.splitlines()
    assert json.loads(as_json)["activity"]["state"] == "complete"
    assert shown.count("  complete") == 2


def test_a_folder_that_is_not_a_run_and_damaged_telemetry_are_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run"):
        look(tmp_path)
    (copy / "telemetry" / "x-00000000.jsonl").write_text("{")
    with pytest.raises(RunError, match=r"telemetry/x-00000000.jsonl is damaged"):
        look(copy)

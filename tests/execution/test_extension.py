"""A run that is extended to a budget has the same bytes as one that had this budget from the start, on any runner and
after interruptions, and the files that it had before do not change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from forms import DEEP_LINEAR

import basins
from basins.errors import ArgumentError, RunError
from basins.execution import extension
from basins.execution.run import Inline, Processes, extend, run
from basins.experiment import Experiment
from basins.progress import Event, RunEnded, RunStarted, ShardDone
from basins.run_tables import Run, open_run
from basins.show import show
from basins.store import layout, parquet

SMALL, MIDDLE, LARGE = 170, 400, 3000

TEXT = """
name = "short of budget"
seed = 5
blocks_per_shard = 1
visits_every = 3
rows = "{rows}"

[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2

[network]
hidden = [2, 2]

[law]
name = "gaussian"
scale = 0.4

[engine]
budget = {budget}

[[case]]
name = "wide"
trajectories = 2300

[[case]]
name = "narrow"
trajectories = 60
law = {{ name = "gaussian", scale = 1.0 }}

[[case]]
name = "control"
trajectories = 50
law = {{ name = "planted", modes = [0], scale = 0.5 }}
"""


def experiment(budget: int, rows: str = "all") -> Experiment:
    return Experiment.from_toml(TEXT.format(budget=budget, rows=rows), Path())


def made(path: Path, budget: int, rows: str = "all") -> Path:
    run(experiment(budget, rows), path, on="inline")
    return path


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose budget is too small for many rows."""
    return made(tmp_path_factory.mktemp("short") / "run", SMALL)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with the large budget from the start."""
    return made(tmp_path_factory.mktemp("full") / "run", LARGE)


@pytest.fixture(scope="module")
def extended(short: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The short run, extended twice, to the large budget."""
    path = tmp_path_factory.mktemp("extended") / "run"
    shutil.copytree(short, path)
    for budget in (MIDDLE, LARGE):
        extend(path, budget, on="inline")
    return path


def table(opened: Run, kind: layout.Kind, case: int = 0) -> pa.Table:
    """A case's rows as one table."""
    the_case = opened.manifest.cases[case]
    parts = [opened.view.part(kind, the_case, shard) for shard in opened.manifest.shards(the_case)]
    return pa.concat_tables([DEEP_LINEAR.schema(kind).empty_table(), *parts]).combine_chunks()


def data_files(path: Path) -> dict[str, bytes]:
    files = [file for file in path.rglob("*") if file.is_file() and "telemetry" not in file.parts]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


# --- the same rows ---------------------------------------------------------------------------------------------------


def test_each_budget_is_too_small_for_some_rows_and_large_enough_for_others(
    short: Path, extended: Path, full: Path
) -> None:
    spent = [int((open_run(short, n).trajectories()["reason"] == "evaluation budget").sum()) for n in (0,)]
    spent += [int((open_run(extended, n).trajectories()["reason"] == "evaluation budget").sum()) for n in (0, 1, 2)]
    assert spent[0] == spent[1] > 500
    assert spent[1] > spent[2] > 20
    assert spent[2] > spent[3]
    assert len(open_run(extended).layers) == 2
    # Not every shard, and not every case, had such rows.
    assert len(open_run(extended).layers[1].of_case) < 3


@pytest.mark.parametrize("case", [0, 1, 2])
@pytest.mark.parametrize("kind", ["trajectories", "visits"])
def test_rows_equal_those_of_a_run_with_the_budget_from_the_start_byte_for_byte(
    kind: layout.Kind, case: int, extended: Path, full: Path
) -> None:
    one, other = table(open_run(extended), kind, case), table(open_run(full), kind, case)
    assert len(one) > 0 or kind == "visits"
    assert one.equals(other)
    assert parquet.encode(one, {}).equals(parquet.encode(other, {}))
    before = table(open_run(extended, layers=0), kind, case)
    assert (case == 0) <= (not before.equals(one))


@pytest.mark.parametrize("case", [0, 1, 2])
def test_blocks_count_the_merged_rows(case: int, extended: Path, full: Path) -> None:
    one, other = (
        table(open_run(extended), "blocks", case).to_pylist(),
        table(open_run(full), "blocks", case).to_pylist(),
    )
    for mine, theirs in zip(one, other, strict=True):
        assert (mine.pop("worst_drift") or 0) >= (theirs.pop("worst_drift") or 0)
        assert mine == theirs


def test_the_base_does_not_change(short: Path, extended: Path) -> None:
    before, after = data_files(short), data_files(extended)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith(("layer-0001/", "layer-0002/")) for name in set(after) - set(before))
    pd.testing.assert_frame_equal(open_run(extended, layers=0).trajectories(), open_run(short).trajectories())
    with_base = pd.read_parquet(extended / "trajectories")
    assert len(with_base) == len(open_run(short).trajectories())


def test_the_estimate_counts_newly_decided_rows(short: Path, extended: Path, full: Path) -> None:
    base, top, whole = (open_run(path).estimate().to_dict() for path in (short, extended, full))
    assert base["cases"][0]["censored"] > top["cases"][0]["censored"]
    for one, other in zip(top["cases"], whole["cases"], strict=True):
        assert {k: v for k, v in one.items() if k != "case"} == {k: v for k, v in other.items() if k != "case"}
    assert open_run(extended, layers=0).estimate().to_dict() == base


def test_a_run_that_keeps_exceptions_is_extended_to_the_same_counts(extended: Path, tmp_path: Path) -> None:
    """Only rows that were kept can be integrated again; these include every censored row."""
    path = made(tmp_path / "run", SMALL, "exceptions")
    extend(path, MIDDLE, on="inline")
    extend(path, LARGE, on="inline")
    for case in range(3):
        assert table(open_run(path), "blocks", case).equals(table(open_run(extended), "blocks", case))
        everything = table(open_run(extended), "trajectories", case).to_pylist()
        kept = table(open_run(path), "trajectories", case).to_pylist()
        of_id = {row["id"]: row for row in everything}
        assert all(of_id[row["id"]] == row for row in kept)
        assert {row["id"] for row in kept} >= {row["id"] for row in everything if row["verdict"] != "minimum"}
    assert len(kept) > 0


# --- layers behave as runs do ----------------------------------------------------------------------------------------


def test_any_runner_writes_the_same_bytes(short: Path, extended: Path, tmp_path: Path) -> None:
    shutil.copytree(short, tmp_path / "run")
    for budget in (MIDDLE, LARGE):
        extend(tmp_path / "run", budget, on=Processes(extension.WORK), workers=2)
    assert data_files(tmp_path / "run") == data_files(extended)


class Stops(Exception):
    pass


def test_an_unfinished_layer_is_resumed_and_another_budget_is_refused(
    short: Path, extended: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    shutil.copytree(short, path)

    def stop(event: Event) -> None:
        if isinstance(event, ShardDone):
            raise Stops

    with pytest.raises(Stops):
        extend(path, MIDDLE, on="inline", listeners=[stop])
    opened = open_run(path)
    assert opened.view.over(opened.manifest.cases[0], 0) == opened.layers
    assert opened.view.over(opened.manifest.cases[0], 1) == []
    half, base, whole = (
        estimate.to_dict()["cases"][0]
        for estimate in (opened.estimate(), open_run(path, 0).estimate(), open_run(extended, 1).estimate())
    )
    assert base["censored"] > half["censored"] > whole["censored"], "what is not yet integrated again stays censored"
    assert half["trajectories"] == base["trajectories"]
    with pytest.raises(RunError, match=f"layer 1, with budget = {MIDDLE}, is not finished"):
        extend(path, LARGE, on="inline")
    events: list[Event] = []
    extend(path, MIDDLE, on="inline", listeners=[events.append])
    layer = open_run(path).layers[0]
    shards = sum(map(len, layer.of_case.values()))
    started = events[0]
    assert isinstance(started, RunStarted)
    assert (started.shards, started.shards_done) == (shards, 1)
    assert started.trajectories == sum(layer.trajectories.values()) > started.trajectories_done > 0
    assert sum(isinstance(event, ShardDone) for event in events) == shards - 1
    assert events[-1] == RunEnded(complete=True)
    events.clear()
    extend(path, MIDDLE, on="inline", listeners=[events.append])
    assert [type(event) for event in events] == [RunStarted, RunEnded], "the same command again has nothing to do"
    extend(path, LARGE, on="inline")
    assert data_files(path) == data_files(extended)


def test_digests_of_a_layer_match_its_files(extended: Path) -> None:
    import hashlib

    for number in (1, 2):
        folder = extended / layout.layer(number)
        lines = [line for file in (folder / "digests").rglob("*.sha256") for line in file.read_text().splitlines()]
        assert len(lines) == 3 * sum(map(len, open_run(extended).layers[number - 1].of_case.values()))
        for line in lines:
            sha, name = line.split("  ")
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha


def test_a_row_reports_its_layer_and_budget(extended: Path) -> None:
    opened = open_run(extended)
    evaluations = opened.trajectories("wide").set_index("id")["evaluations"]
    for number, id in ((0, evaluations.idxmin()), (2, evaluations.idxmax())):
        shown = show(opened, int(id), "wide")
        assert shown.layer == number
        assert shown.case.settings.budget == (SMALL, MIDDLE, LARGE)[number]
        assert shown.row["evaluations"] == evaluations[id]
    folder = extended / layout.layer(2)
    footer = parquet.footer(
        open_run(extended).files, f"layer-0002/{next((folder / 'trajectories').rglob('*.parquet')).relative_to(folder)}"
    )
    assert (footer.keys["layer"], footer.keys["budget"]) == ("2", str(LARGE))
    assert json.loads((folder / layout.LAYER).read_text())["budget"] == LARGE


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0, -1, True, 10**12, 2.5, SMALL, SMALL - 1])
def test_an_invalid_budget_is_refused(budget: Any, short: Path) -> None:
    before = data_files(short)
    with pytest.raises(ArgumentError, match="budget"):
        extend(short, budget, on="inline")
    assert data_files(short) == before


def test_an_unfinished_run_is_refused(short: Path, tmp_path: Path) -> None:
    shutil.copytree(short, tmp_path / "run")
    next((tmp_path / "run" / "trajectories").rglob("*.parquet")).unlink()
    with pytest.raises(RunError, match=r"1 shards are not computed yet.*run it to its end"):
        extend(tmp_path / "run", LARGE, on="inline")
    with pytest.raises(RunError, match="not a run"):
        extend(tmp_path / "nothing", LARGE, on="inline")


def test_a_run_without_rows_to_extend_gets_no_layer(tmp_path: Path) -> None:
    text = (
        TEXT.format(budget=LARGE, rows="all")
        .partition("[[case]]")[0]
        .replace("visits_every", "trajectories = 9\nvisits_every")
    )
    run(Experiment.from_toml(text, Path()), tmp_path / "run", on="inline")
    assert extend(tmp_path / "run", 10 * LARGE, on="inline").layers == []
    assert not (tmp_path / "run" / "layer-0001").exists()


@pytest.mark.parametrize("damage", ["layer", "footer", "gone"])
def test_a_damaged_layer_is_named(damage: str, extended: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(extended, path)
    part = next((path / "layer-0002" / "blocks").rglob("*.parquet"))
    if damage == "layer":
        (path / "layer-0002" / layout.LAYER).write_text("{}")
    elif damage == "footer":
        shutil.copy(path / "layer-0001" / part.relative_to(path / "layer-0002"), part)
    else:
        part.unlink()
    said = {
        "layer": "layer-0002/layer.json is damaged",
        "footer": "belongs to another layer, budget",
        "gone": "is gone",
    }[damage]
    with pytest.raises(RunError, match=said):
        extend(path, LARGE, on="inline") if damage == "footer" else open_run(path).estimate()


def test_the_python_call_and_the_command_extend_alike(
    short: Path, extended: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from basins.cli import main

    shutil.copytree(short, tmp_path / "run")
    assert basins.extend(tmp_path / "run", MIDDLE, on=Inline(extension.WORK)).layers[0].budget == MIDDLE
    with pytest.raises(SystemExit) as ended:
        main(["extend", str(tmp_path / "run"), "--budget", str(LARGE), "--on", "inline"])
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert "looking for the rows whose budget was spent" in said.err
    assert f"extended to {LARGE:,} evaluations." in said.out
    assert data_files(tmp_path / "run") == data_files(extended)

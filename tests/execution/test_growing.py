"""A run that grows has the bytes of one that had it all from the start, on any runner, and is read all the while."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from driver import started
from experiments import data_files, tiny
from growing import NARROW, but_for_growth, growing

import basins
from basins.errors import ExperimentError, RunError
from basins.execution.base import Runner
from basins.execution.inline import Inline
from basins.execution.run import extend, prove_run, run
from basins.execution.shard import Task, work
from basins.experiment import Experiment, experiment
from basins.progress import Event, Message, RunStarted, ShardDone
from basins.run_tables import open_run
from basins.status import Watcher
from basins.store import files_at
from basins.verify import verify

Make = Callable[..., Runner]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,500 + 50 trajectories: a shard and 476 ids, and a short shard."""
    path = tmp_path_factory.mktemp("small") / "run"
    run(growing(1500), path, on="inline")
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """2,300 + 60, and a case more, from the start."""
    path = tmp_path_factory.mktemp("large") / "run"
    run(growing(2300, 60, more=NARROW), path, on="inline")
    return data_files(path)


@pytest.fixture
def grows(small: Path, tmp_path: Path) -> Path:
    shutil.copytree(small, tmp_path / "run")
    return tmp_path / "run"


# --- bytes -----------------------------------------------------------------------------------------------------------


def test_the_same_bytes_as_from_the_start_on_any_runner(make: Make, grows: Path, large: dict[str, bytes]) -> None:
    events: list[Event] = []
    run(growing(2300, 60, more=NARROW), grows, on=make(), workers=2, listeners=[events.append])
    assert but_for_growth(data_files(grows)) == but_for_growth(large)
    said = (
        "the run grows by 850 trajectories (stage 2): case 'wide' 1,500 -> 2,300, case 'control' 50 -> 60, new case "
        "'narrow' 40; 2 short last shards are replaced"
    )
    assert events[0] == Message(said)
    assert isinstance(events[1], RunStarted)
    wide, control, narrow = (case.key for case in growing(2300, 60, more=NARROW).cases)
    done = sorted(event.summary.task for event in events if isinstance(event, ShardDone))
    assert done == sorted([Task(wide, 1), Task(wide, 2), Task(control, 0), Task(narrow, 0)])


@pytest.mark.parametrize("rows", ["all", "exceptions"])
@pytest.mark.parametrize("sizes", [(300, 700, 1024, 1500), (1500, 1600, 4096)])
def test_grown_several_times(rows: str, sizes: tuple[int, ...], tmp_path: Path) -> None:
    for size in sizes:
        run(growing(size, rows=rows, blocks_per_shard=2), tmp_path / "run", on="inline")
    run(growing(sizes[-1], rows=rows, blocks_per_shard=2), tmp_path / "at once", on="inline")
    there = data_files(tmp_path / "run")
    assert but_for_growth(there) == but_for_growth(data_files(tmp_path / "at once"))
    kept = json.loads(there["manifest.json"])["grown"]
    assert [stage["cases"][0]["trajectories"] for stage in kept] == list(sizes[:-1])
    assert verify(tmp_path / "run", sample=20).findings == ()


def test_more_cases_of_a_sweep(tmp_path: Path) -> None:
    text = """
        name = "swept"
        seed = 3
        trajectories = {N}
        data = {{ source = "spectrum", sigma = [1.0], d_x = 1 }}
        network = {{ hidden = [1] }}
        law = {{ name = "gaussian"{scale} }}
        engine = {{ name = "reference", budget = 1 }}
        {sweep}
    """

    def swept(scales: list[float], N: int = 700) -> Experiment:
        sweep = f'sweep = {{ "law.scale" = {scales} }}'
        return Experiment.from_toml(text.format(N=N, scale="", sweep=sweep), tmp_path)

    alone = Experiment.from_toml(text.format(N=700, scale=", scale = 0.5", sweep=""), tmp_path)
    run(alone, tmp_path / "run", on="inline")  # one case, whose name is the experiment's
    run(swept([0.25, 0.5]), tmp_path / "run", on="inline")
    run(swept([0.25, 0.375, 0.5], N=900), tmp_path / "run", on="inline")
    run(swept([0.25, 0.375, 0.5], N=900), tmp_path / "at once", on="inline")
    there = but_for_growth(data_files(tmp_path / "run"))
    assert there == but_for_growth(data_files(tmp_path / "at once"))
    with pytest.raises(RunError, match=r"case 'swept, law.scale = 0.375' is not in it"):
        run(swept([0.25, 0.5], N=1000), tmp_path / "run", on="inline")


def test_rows_are_kept_as_they_were_above_ten_million(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "ALL_ROWS", 1000)
    text = growing(900).text.replace('rows = "all"\n', "")

    def of(N: int, rows: str = "") -> Experiment:
        return Experiment.from_toml(f"{rows}\n{text.replace('trajectories = 900', f'trajectories = {N}')}", tmp_path)

    assert (of(900).rows, of(1100).rows) == ("all", "exceptions")
    run(of(900), tmp_path / "run", on="inline")
    run(of(1100), tmp_path / "run", on="inline")
    run(of(1100, 'rows = "all"'), tmp_path / "at once", on="inline")
    there = data_files(tmp_path / "run")
    assert but_for_growth(there) == but_for_growth(data_files(tmp_path / "at once"))
    run(of(1100), tmp_path / "run", on="inline")  # resumed, not refused
    with pytest.raises(RunError, match=r'another experiment: rows = "all" there, "exceptions" here'):
        run(of(1200, 'rows = "exceptions"'), tmp_path / "run", on="inline")
    assert data_files(tmp_path / "run") == there


def test_an_automatic_plan_is_the_one_that_the_run_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(N: int) -> Experiment:
        text = growing(N, blocks_per_shard=2).text.replace("blocks_per_shard = 2", 'blocks_per_shard = "auto"')
        return Experiment.from_toml(text, tmp_path)

    run(of(300), tmp_path / "run", on="inline")
    monkeypatch.setattr("basins.experiment.pilot.decided", lambda _: pytest.fail("there is no second pilot"))
    run(of(1100), tmp_path / "run", on="inline")
    assert open_run(tmp_path / "run").manifest.blocks_per_shard == 1


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (growing(1400), "a run grows and never shrinks: case[wide].trajectories = 1500 there, 1400 here"),
        (growing(1600, 40), "a run grows and never shrinks: case[control].trajectories = 50 there, 40 here"),
        (growing(1600, seed=6), "a run of another experiment: seed = 5 there, 6 here"),
        (growing(1600, blocks_per_shard=2), "a run of another experiment: blocks_per_shard = 1 there, 2 here"),
        (growing(1600, rows="exceptions"), 'a run of another experiment: rows = "all" there, "exceptions" here'),
    ],
)
def test_what_cannot_grow_is_refused_naming_just_that(asked: Experiment, named: str, small: Path) -> None:
    before = data_files(small)
    with pytest.raises(RunError) as raised:
        run(asked, small, on="inline")
    assert raised.value.what == named
    assert data_files(small) == before


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("scale = 0.4", "scale = 0.45", "case[wide].law.scale = 0.4 there, 0.45 here"),
        ('"gaussian", scale', '"uniform", box', 'case[wide].law.name = "gaussian" there, "uniform" here'),
        ("budget = 170", "rtol = 1e-9\nbudget = 170", "case[wide].engine.rtol = 1e-08 there, 1e-09 here"),
        ("hidden = [2, 2]", "hidden = [2, 3]", "case[wide].network.hidden = [2, 2] there, [2, 3] here"),
        ('name = "wide"', 'name = "wider"', ""),
        ("visits_every = 7", "visits_every = 8", "visits_every = 7 there, 8 here"),
        ('name = "growing"', 'name = "grown"', 'name = "growing" there, "grown" here'),
    ],
)
def test_another_law_engine_problem_or_name(old: str, new: str, named: str, grows: Path) -> None:
    from growing import TEXT

    text = TEXT.format(wide=2300, control=50, rows="all", blocks_per_shard=1).replace(old, new, 1)
    asked, before = Experiment.from_toml(text, Path()), data_files(grows)
    if not named:  # no byte of a shard depends on a case's name
        run(asked, grows, on="inline")
        assert [case.name for case in open_run(grows).manifest.cases] == ["wider", "control"]
        return
    with pytest.raises(RunError) as raised:
        run(asked, grows, on="inline")
    assert raised.value.what.startswith("a run of another experiment: ")
    assert named in raised.value.what
    assert "trajectories" not in raised.value.what
    assert data_files(grows) == before


def test_data_that_changed_is_named(tmp_path: Path) -> None:
    def of(N: int, y: float) -> Experiment:
        (tmp_path / "data.csv").write_text(f"x,y\n1,2\n2,{y}\n")
        text = f"""
            name = "own"
            seed = 1
            trajectories = {N}
            data = {{ path = "data.csv", targets = ["y"] }}
            network = {{ hidden = [1] }}
            law = {{ name = "gaussian", scale = 0.5 }}
            engine = {{ name = "reference", budget = 1 }}
        """
        return Experiment.from_toml(text, tmp_path)

    run(of(10, 3.0), tmp_path / "run", on="inline")
    with pytest.raises(RunError, match="the data of case 'own' has changed"):
        run(of(20, 3.5), tmp_path / "run", on="inline")
    run(of(20, 3.0), tmp_path / "run", on="inline")


def test_there_are_no_more_ids() -> None:
    assert growing(2**53 - 1).cases[0].trajectories == 2**53 - 1
    with pytest.raises(ExperimentError, match=r"trajectories = 9007199254740992; .* at least 1, below 2\^53"):
        growing(2**53)


# --- who else reads and writes ---------------------------------------------------------------------------------------


class Stops(Exception):
    """The session is over."""


def stopped_before(path: Path, asked: Experiment, shard: int, case: int = 0) -> None:
    """Grow a run, and stop when this shard is to be done."""

    class Stopping(Inline):
        def __init__(self) -> None:
            def working(run: str, key: str, number: int, attempt: int) -> object:
                if (key, number) == (asked.cases[case].key, shard):
                    raise Stops
                return work(run, key, number, attempt)

            self.work = working  # type: ignore[assignment]

    with pytest.raises(RunError, match="Stops"):
        run(asked, path, on=Stopping())


def test_a_short_shard_counts_until_it_is_replaced(grows: Path) -> None:
    before = open_run(grows)
    key = before.manifest.cases[0].key
    rows, estimate = before.trajectories("wide"), before.estimate().cases[0]
    long_open = Watcher(files_at(grows))
    assert long_open.look().activity.state == "complete"
    stopped_before(grows, growing(2300), 1)
    during = open_run(grows)
    assert during.missing() == {key: [1, 2]}
    assert during.contiguous_prefix(key) == 2
    assert during.trajectories("wide").equals(rows)
    counted = during.estimate().cases[0]
    assert (counted.trajectories, counted.planned) == (1500, 2300)
    assert (counted.minimum, counted.censored) == (estimate.minimum, estimate.censored)
    looked = verify(grows, sample=30)
    assert (looked.findings, looked.good, looked.missing) == ((), 2, 2)
    part = long_open.look().levels[0].parts[0]
    assert (part.shards, part.shards_done, part.trajectories, part.done) == (3, 1, 2300, 1500)
    assert before.trajectories("wide").equals(rows)
    with pytest.raises(RunError, match="is not computed yet"):
        basins.show.show(before, 1500, "wide")
    run(growing(2300), grows, on="inline")
    assert list(before.trajectories("wide")["id"]) == list(range(2300))  # a run that was opened before follows
    assert before.estimate().cases[0].trajectories == 2300
    after = long_open.look()
    assert (after.levels[0].parts[0].done, after.sizes, after.activity.state) == (2300, (1550, 2350), "complete")


def test_shards_after_a_short_one_are_not_counted(grows: Path) -> None:
    asked = growing(3072)

    class Others(Inline):
        def run(self, tasks, run_path, workers, on_event):  # type: ignore[no-untyped-def]
            super().run([task for task in tasks if task.shard != 1], run_path, workers, on_event)

    with pytest.raises(RunError, match="ended with shards missing: shard 1 of case 'wide'"):
        run(asked, grows, on=Others())
    opened = open_run(grows)
    assert opened.committed("wide") == [0, 1, 2]
    assert opened.estimate().cases[0].trajectories == 1500
    assert list(opened.trajectories("wide", ["id"], contiguous=True)["id"]) == list(range(1500))
    assert len(opened.trajectories("wide")) == 1500 + 1024


def test_a_driver_that_was_at_work_when_the_run_grew(tmp_path: Path) -> None:
    """The worker of a short shard finds the plan larger when it commits, and computes the larger one."""
    path = tmp_path / "run"

    def grows_meanwhile(run_path: str, case: str, shard: int, attempt: int) -> object:
        commit = work(run_path, case, shard, attempt)
        if (case, shard) == (asked.cases[0].key, 1):
            run(growing(2300), path, on="inline")
        return commit

    asked, runner = growing(1500), Inline()
    runner.work = grows_meanwhile  # type: ignore[assignment]
    run(asked, path, on=runner)
    run(growing(2300), tmp_path / "at once", on="inline")
    assert but_for_growth(data_files(path)) == but_for_growth(data_files(tmp_path / "at once"))


def test_a_reader_that_is_overtaken_says_so(grows: Path) -> None:
    opened = open_run(grows)
    run(growing(2300), grows, on="inline")
    with pytest.raises(RunError, match="the run has grown since it was opened; open it again"):
        list(opened.stream("blocks", "wide"))


# --- layers, samples, proofs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", ["all", "exceptions"])
def test_a_layer_stays_over_what_it_was_made_for(rows: str, tmp_path: Path) -> None:
    """The rows of a grown run are those of a run that had all of them from the start, for the ids that the layer has;
    those that came later have had the run's own budget, until it is extended again."""
    path, whole = tmp_path / "run", tmp_path / "at once"
    run(growing(1500, rows=rows), path, on="inline")
    extend(path, 3000, on="inline")
    layer = {name: data for name, data in data_files(path).items() if name.startswith("layer-")}
    run(growing(2300, 60, rows=rows), path, on="inline")
    run(growing(2300, 60, rows=rows), whole, on="inline")
    assert {name: data for name, data in data_files(path).items() if name.startswith("layer-")} == layer
    base = open_run(whole)
    extend(whole, 3000, on="inline")
    full = open_run(whole)
    opened = open_run(path)
    there, of_base, of_full = (one.trajectories("wide").set_index("id") for one in (opened, base, full))
    assert there.loc[:1499].equals(of_full.loc[:1499])
    assert there.loc[1500:].equals(of_base.loc[1500:])
    blocks = opened.blocks("wide")
    assert list(blocks["count"]) == [1024, 1024, 252]
    assert blocks["censored"].sum() == (there["verdict"] == "censored").sum()
    counted = opened.estimate().cases[0]
    assert (counted.trajectories, counted.censored) == (2300, int((there["verdict"] == "censored").sum()))
    assert counted.censored > 100
    assert verify(path, sample=30).findings == ()
    extend(path, 3000, on="inline")  # the same budget, for what was added
    again = open_run(path)
    assert [one.budget for one in again.layers] == [3000, 3000]
    for kind in ("trajectories", "visits"):
        assert getattr(again, kind)("wide").equals(getattr(full, kind)("wide")), kind
    exact = [name for name in full.blocks("wide").columns if name != "worst_drift"]
    assert again.blocks("wide")[exact].equals(full.blocks("wide")[exact])
    assert verify(path, sample=30).findings == ()
    extend(path, 3000, on="inline")  # nothing is left for it
    assert len(open_run(path).layers) == 2


def test_a_sample_of_labels_keeps_what_it_was_drawn_from(grows: Path) -> None:
    first = verify(grows, sample=150).labels
    assert first is not None
    counted = open_run(grows).estimate().cases[0].label_error
    assert counted is not None
    checked = counted.minimum.checked
    assert checked > 50
    run(growing(2300), grows, on="inline")
    found = open_run(grows).estimate().cases[0].label_error
    assert found is not None
    of_first = [one.row for one in first.rows if one.row.verdict == "minimum" and one.row.id < 1024]
    kept = [row for row in of_first if row.case == growing(1500).cases[0].key]
    assert found.minimum.checked == len(kept) > 20  # those of the short shard are of a larger population now
    assert found.minimum.uncovered > 0
    verify(grows, sample=150)
    after = open_run(grows).estimate().cases[0].label_error
    assert after is not None
    assert after.minimum.uncovered == 0


def provable(N: int) -> Experiment:
    """Starts that are proved at once, most of them."""
    text = f"""
        name = "provable"
        seed = 5
        trajectories = {N}
        data = {{ source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }}
        network = {{ hidden = [2] }}
        law = {{ name = "gaussian", scale = 1.5 }}
        engine = {{ budget = 100 }}
    """
    return Experiment.from_toml(text, Path())


def test_proofs_of_a_run_that_grows(tmp_path: Path) -> None:
    path, whole = tmp_path / "run", tmp_path / "at once"
    run(provable(1100), path, on="inline")
    prove_run(path, 40, on="inline")
    prove_run(path, on="inline")
    before = open_run(path).estimate().cases[0].proved
    assert before is not None
    assert (before.tried, before.every) == (1100, True)
    sample = {name: data for name, data in data_files(path).items() if name.startswith("proved/1/seed-")}
    run(provable(1200), path, on="inline")
    during = open_run(path).estimate().cases[0].proved
    assert during is not None
    assert (during.tried, during.proved, during.every) == (1100, before.proved, False)
    assert verify(path, sample=0).findings == ()
    prove_run(path, 40, on="inline")  # a sample of what is there now
    prove_run(path, on="inline")
    after = open_run(path).estimate().cases[0].proved
    assert after is not None
    assert (after.tried, after.every) == (1200, True)
    run(provable(1200), whole, on="inline")
    prove_run(whole, on="inline")
    there = data_files(path)
    at_once = {name: data for name, data in data_files(whole).items() if name.startswith("proved/1/all/r")}
    assert {name: there[name] for name in at_once} == at_once
    assert {name: there[name] for name in sample} == sample
    assert len({name.split("/")[2] for name in there if name.startswith("proved/1/seed-")}) == 2
    assert verify(path, sample=0).findings == ()


# --- killed ----------------------------------------------------------------------------------------------------------


def test_a_driver_that_is_killed_while_the_run_grows(tmp_path: Path) -> None:
    """SIGKILL at three moments, on worker processes; the rows that were there are there all the while."""
    path = tmp_path / "run"
    run(tiny(trajectories=6500), path, on="inline")
    run(tiny(trajectories=12_500), tmp_path / "at once", on="inline")
    rows = open_run(path).trajectories("gaussian")
    for said in (1, 3):
        with started(path, "processes", 2, 12_500) as driver:
            assert driver.stdout is not None
            for _ in range(said):
                driver.stdout.readline()
            time.sleep(0.02)
            os.kill(driver.pid, signal.SIGKILL)
        there = open_run(path).trajectories("gaussian").set_index("id")
        assert np.array_equal(there.index[:6500], np.arange(6500))
        assert there.iloc[:6500].reset_index()[rows.columns].equals(rows)
    run(tiny(trajectories=12_500), path, on="inline")
    assert but_for_growth(data_files(path)) == but_for_growth(data_files(tmp_path / "at once"))
    assert open_run(path).manifest.stage == 2

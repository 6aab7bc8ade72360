"""rows = "exceptions": less on disk, and the same estimate."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import basins
from basins import show
from basins.classification.classify_batch import integrate_batch
from basins.classification.verdict import Limits
from basins.cli import main
from basins.errors import ExperimentError, RunError
from basins.execution import shard
from basins.execution.run import run
from basins.experiment import Experiment, load
from basins.run_tables import Run
from basins.store import layout, parquet

TEXT = """
name = "rows"
seed = 5
visits_every = 7
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }
network = { hidden = [2, 2] }

[[case]]
name = "gaussian"
trajectories = 3000
law = { name = "gaussian", scale = 0.3 }
engine = { budget = 400 }

[[case]]
name = "control"
trajectories = 50
law = { name = "planted", modes = [0], scale = 0.5 }

[[case]]
name = "escaped"
trajectories = 50
law = { name = "near_planted", modes = [0], distance = 1e-3, scale = 0.5 }
"""
"""A budget that is too small for some rows, a control, and a law all of whose rows are minima."""


def experiment(rows: str | None, text: str = TEXT) -> Experiment:
    return Experiment.from_toml(text if rows is None else f'rows = "{rows}"\n{text}', Path())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("rows")
    return {rows: run(experiment(rows), folder / rows, on="inline") for rows in ("all", "exceptions")}


def test_the_estimate_is_the_same(runs: dict[str, Run]) -> None:
    made = [runs[rows].estimate() for rows in ("all", "exceptions")]
    assert made[0].to_dict() == made[1].to_dict()
    assert made[0] == made[1]  # the ids worth a look too
    gaussian = made[0].cases[0]
    assert gaussian.minimum > 0
    assert gaussian.censored > 0  # both fates are there, or this test shows little


def test_exceptions_and_watched_ids_keep_their_rows(runs: dict[str, Run]) -> None:
    every, kept = (runs[rows].trajectories() for rows in ("all", "exceptions"))
    exception = (every["verdict"] != "minimum") | (every["id"] % 7 == 0)
    planted = every["case"] == runs["all"].case("control").key
    pd.testing.assert_frame_equal(kept, every[exception | planted].reset_index(drop=True))
    assert len(kept) < len(every) / 2
    pd.testing.assert_frame_equal(runs["all"].visits(), runs["exceptions"].visits())
    pd.testing.assert_frame_equal(runs["all"].blocks(), runs["exceptions"].blocks())


def test_a_minimum_in_a_control_is_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the detector fails, planted starts that are labelled minima keep their rows, so that they can be inspected."""

    def failed(*arguments: Any) -> Limits:
        limits = integrate_batch(*arguments)
        return replace(limits, verdict=np.zeros_like(limits.verdict))

    monkeypatch.setattr(shard, "integrate_batch", failed)
    gaussian, control, _ = experiment("exceptions").cases
    assert len(shard.compute_shard(control, 5, range(1), 0, "exceptions").trajectories) == 50
    assert len(shard.compute_shard(gaussian, 5, range(1), 0, "exceptions").trajectories) == 0


def test_without_watched_ids_only_exceptions_keep_theirs(tmp_path: Path) -> None:
    """An empty file is still a commit mark."""
    made = run(experiment("exceptions", TEXT.replace("= 7", "= 0").replace("400", "20_000")), tmp_path, on="inline")
    assert (made.trajectories("gaussian")["verdict"] != "minimum").all()
    assert made.estimate().cases[0].trajectories == 3000
    assert len(made.trajectories("escaped")) == 0
    path = layout.part("trajectories", made.case("escaped").key, 0)
    assert pq.read_table(tmp_path / path, partitioning=None).num_rows == 0
    assert run(experiment("exceptions", TEXT.replace("= 7", "= 0").replace("400", "20_000")), tmp_path, on="inline")


def test_a_lost_row_is_refused(runs: dict[str, Run], tmp_path: Path) -> None:
    """The number of kept rows is in the block file, not in the plan."""
    text = TEXT.replace("3000", "1000")
    run(experiment("exceptions", text), tmp_path, on="inline")
    path = tmp_path / layout.part("trajectories", basins.open_run(tmp_path).case("gaussian").key, 0)
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.slice(1), path)
    with pytest.raises(RunError, match=rf"has {len(table) - 1} rows instead of {len(table)}"):
        basins.open_run(tmp_path).estimate()


def test_show_integrates_a_row_that_was_not_kept_and_says_so(runs: dict[str, Run]) -> None:
    every = runs["all"].trajectories("gaussian")
    id = int(every["id"][(every["verdict"] == "minimum") & (every["id"] % 7 != 0)].iloc[0])
    shown = show.show(runs["exceptions"], id, "gaussian")
    assert not shown.kept
    assert shown.row == show.show(runs["all"], id, "gaussian").row  # bit for bit
    for rows, said in (("all", False), ("exceptions", True)):
        arguments = ["show", runs[rows].path, "--case", "gaussian", "--id", str(id), "--reintegrate"]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0
        assert ("was not kept" in result.stdout) == said
    assert show.show(runs["exceptions"], 0, "gaussian").kept


def test_a_row_of_iris_takes_at_most_forty_bytes() -> None:
    """Rows of the lanes engine, including the file's overhead; with 10^5 rows it is 29.2 bytes, half of it t and
    loss."""
    iris = load(Path(__file__).parents[2] / "examples" / "iris.toml").cases[0]
    rows = shard.compute_shard(iris, 1, range(4), 100).trajectories
    assert len(parquet.encode(rows, {})) <= 40 * len(rows)


# --- the experiment --------------------------------------------------------------------------------------------------


def test_the_default_keeps_all_up_to_ten_million() -> None:
    for trajectories, rows in ((10**7, "all"), (10**7 + 1, "exceptions")):
        made = experiment(None, TEXT.replace("3000", str(trajectories)))
        assert made.rows == rows
        assert tomllib.loads(made.text)["rows"] == rows


def test_case_keys_do_not_depend_on_the_rows_kept() -> None:
    keys = [[case.key for case in experiment(rows).cases] for rows in ("all", "exceptions")]
    assert keys[0] == keys[1]
    assert experiment("all").digest != experiment("exceptions").digest
    assert experiment("all").digest == experiment(None).digest


def test_an_invalid_value_of_rows_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"""rows = 'some'; give "all" or "exceptions"$"""):
        experiment("some")


def test_a_run_that_keeps_other_rows_is_refused(runs: dict[str, Run]) -> None:
    with pytest.raises(RunError, match=r'rows = "all" there, "exceptions" here'):
        run(experiment("exceptions"), runs["all"].path, on="inline")

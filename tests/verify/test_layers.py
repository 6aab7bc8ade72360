"""An extended run: its layers are checked like its base, and labels are checked with the layers applied."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import data, flip, paths, row

from basins.execution import run as run_module
from basins.experiment import Experiment
from basins.run_tables import open_run
from basins.statistics import hypergeometric
from basins.store import files_at
from basins.store.digests import batch_text, read_batch
from basins.store.layers import read_layers
from basins.store.layout import COMMIT_ORDER, part
from basins.store.verified import read_checks
from basins.verify import Trouble, verify

TEXT = """
name = "to extend"
seed = 5
visits_every = 5
rows = "{rows}"
trajectories = 30
data = {{ source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }}
network = {{ hidden = [2] }}
law = {{ name = "gaussian", scale = 0.2 }}
engine = {{ budget = 100 }}
"""
BUDGETS = (150, 5_000)


class Extended(dict[str, Path]):
    """An extended run for each value of `rows`, made on first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __missing__(self, rows: str) -> Path:
        self[rows] = self.folder / rows
        run_module.run(Experiment.from_toml(TEXT.format(rows=rows), Path()), self[rows], on="inline")
        for budget in BUDGETS:
            run_module.extend(self[rows], budget, on="inline")
        return self[rows]


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Extended:
    return Extended(tmp_path_factory.mktemp("layers"))


@pytest.fixture
def run(extended: dict[str, Path], tmp_path: Path) -> Path:
    shutil.copytree(extended["all"], tmp_path / "run")
    return tmp_path / "run"


def case_of(run: Path) -> str:
    return open_run(run).manifest.cases[0].key


@pytest.mark.parametrize("rows", ["all", pytest.param("exceptions", marks=pytest.mark.slow)])
def test_every_layer_is_without_fault_and_computed_again(extended: dict[str, Path], tmp_path: Path, rows: str) -> None:
    shutil.copytree(extended[rows], tmp_path / "run")
    run = tmp_path / "run"
    assert (
        0 < open_run(run, layers=1).estimate().cases[0].censored < open_run(run, layers=0).estimate().cases[0].censored
    )
    found = verify(run, sample=30, blocks=3)
    assert found.findings == ()
    assert (found.shards, found.good, found.missing, found.trajectories) == (3, 3, 0, 30)
    assert found.again is not None
    assert (found.again.blocks, found.again.outside) == (3, 0)
    assert found.labels is not None
    assert {(one.row.verdict, one.found) for one in found.labels.rows} == {("minimum", "agreed")}
    assert len(found.labels.rows) == 30  # as the layers leave them, none is censored
    estimated = open_run(run).estimate().cases[0].label_error
    assert estimated is not None
    assert estimated.minimum.checked == 30


def test_a_check_made_before_an_extension_counts_for_the_labels_of_that_time(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_module.run(Experiment.from_toml(TEXT.format(rows="all"), Path()), run, on="inline")
    verify(run, sample=9, blocks=0)
    before = open_run(run).estimate().cases[0]
    assert before.label_error is not None
    checked, then = before.label_error.minimum.checked, before.minimum
    assert 0 < checked < then < 30
    run_module.extend(run, 5_000, on="inline")

    def minima(layers: int | None = None) -> tuple[int, int, int, int]:
        error = open_run(run, layers).estimate().cases[0].label_error
        assert error is not None
        return error.minimum.checked, error.minimum.rows, error.minimum.uncovered, error.minimum.wrong

    wrong = hypergeometric.upper(0, checked, then, 0.975)
    assert minima(0) == (checked, then, 0, wrong)  # of the base nothing has changed
    later = 30 - then  # decided since, which no check could draw
    assert minima() == (checked, 30, later, wrong + later)
    verify(run, sample=9, blocks=0)
    samples = sorted(read_checks(open_run(run).files, open_run(run).manifest), key=lambda one: one.layers)
    old, new = (set(sample.rows[case_of(run)]) for sample in samples)
    old -= censored_in_base(run)  # what was checked of these was another label
    kept, n = len(old), len(new - old)
    assert minima() == (kept + n, 30, 0, hypergeometric.upper(0, n, 30 - kept, 0.975))
    verify(run, sample=100, blocks=0)
    assert minima() == (30, 30, 0, 0)


def censored_in_base(run: Path) -> set[int]:
    rows = open_run(run, layers=0).trajectories(columns=["id", "verdict"])
    return set(rows.loc[rows["verdict"] == "censored", "id"])


@pytest.mark.parametrize("kind", ["trajectories", *(pytest.param(k, marks=pytest.mark.slow) for k in COMMIT_ORDER[:2])])
def test_damage_in_a_layer_is_found_set_aside_and_computed_again(run: Path, kind: Any, bytes_of: Any) -> None:
    whole = data(run)
    name = f"layer-0002/{part(kind, case_of(run), 0)}"
    flip(run / name, 500, 3)
    found = bytes_of(run, repair_damage=True)
    assert paths(found) == {name}
    assert found.findings[0].layer == 2
    assert (run / "set-aside/0001" / name).exists()
    assert bytes_of(run).findings == ()
    assert bytes_of(run).missing == 1
    run_module.extend(run, BUDGETS[1], on="inline")
    assert data(run) == whole


def test_damage_below_a_layer_is_reported_at_its_own_path(run: Path, bytes_of: Any) -> None:
    name = part("trajectories", case_of(run), 0)
    flip(run / name, 500, 3)
    assert paths(bytes_of(run)) == {name}


def in_layer(run: Path, number: int, change: Callable[[Any], Any]) -> None:
    """A layer's shard with changed rows, written as a worker would write it, including digests."""
    from basins.store import commit_shard, parquet
    from basins.store.rows import ShardTables

    opened = open_run(run)
    layer = read_layers(opened.files, opened.manifest)[number - 1]
    files, case = layer.files(opened.files), layer.cases[0]
    tables = {kind: parquet.read(files, part(kind, case.key, 0)).replace_schema_metadata(None) for kind in COMMIT_ORDER}
    shas = commit_shard(files, layer, case, 0, change(ShardTables(**tables)))
    files.put(f"digests/case={case.key}/batch-00000000.sha256", batch_text(case.key, {0: shas}).encode())


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda t: t._replace(trajectories=t.trajectories.slice(1)), "trajectories", "its ids are not those below it"),
        (
            row(0, loss=0.7, verdict="minimum", certificate="level", reason=None, modes=3, rank=2),
            "trajectories",
            "by level",
        ),
        (row(0, evaluations=1), "blocks", "its blocks are not those below it"),
    ],
)
def test_wrong_rows_of_a_layer_are_found(
    run: Path, change: Callable[[Any], Any], kind: Any, words: str, bytes_of: Any
) -> None:
    whole = data(run)
    in_layer(run, 2, change)
    found = bytes_of(run, repair_damage=True)
    said = [one for one in found.findings if words in one.what]
    assert [one.path for one in said] == [f"layer-0002/{part(kind, case_of(run), 0)}"]
    assert {one.trouble for one in found.findings} == {Trouble.content}
    run_module.extend(run, BUDGETS[1], on="inline")
    assert data(run) == whole


def test_a_false_row_of_a_layer_is_found_by_recomputation(run: Path, bytes_of: Any) -> None:
    in_layer(run, 2, row(0, gradient_norm=9.0))
    assert bytes_of(run).findings == ()
    found = verify(run, sample=0, blocks=3)
    assert [one.trouble for one in found.findings] == [Trouble.computed]
    assert found.findings[0].path.startswith("layer-0002/trajectories/")


def test_an_edited_layer_json_stops_the_check(run: Path, bytes_of: Any) -> None:
    path = run / "layer-0002/layer.json"
    path.write_text(path.read_text().replace('"over": 1', '"over": 0'))
    found = bytes_of(run, repair_damage=True)
    assert paths(found) == {"layer-0002/layer.json"}
    assert found.set_aside is None


def test_lost_digests_of_a_layer_are_written_again(run: Path, bytes_of: Any) -> None:
    name = f"layer-0001/digests/case={case_of(run)}/batch-00000000.sha256"
    whole = (run / name).read_bytes()
    (run / name).unlink()
    assert paths(bytes_of(run, repair_damage=True)) == {name}
    assert (run / name).read_bytes() == whole
    assert read_batch(read_layers(files_at(run), open_run(run).manifest)[0].files(files_at(run)), case_of(run), 0)

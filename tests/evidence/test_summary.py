"""One pass over a case: rows and blocks give the same, a run in progress works, and a damaged one is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_runs import CONTROL, GAUSSIAN, Fates, experiment, made

from basins.errors import ArgumentError, RunError
from basins.store import layout
from basins.summary import summarise

N = 3000


def fates(rng: np.random.Generator) -> Fates:
    t = 2 ** rng.uniform(-24, 10, N)
    t[::7] = 0.0
    return Fates(t, {5: 1, 1500: 0}, (8, 2100, 2999), drift=t * 1e-9, evaluations=np.arange(N) + 1)


def test_rows_and_blocks_agree_at_every_octave(tmp_path: Path, rng: np.random.Generator) -> None:
    chosen = fates(rng)
    whole = summarise(made(tmp_path / "all", experiment(N), {"gaussian": chosen}), "gaussian")
    blocks = summarise(
        made(tmp_path / "some", experiment(N, rows="exceptions", visits_every=9), {"gaussian": chosen}), "gaussian"
    )
    assert (whole.trajectories, whole.minimum, whole.saddle, whole.censored) == (N, N - 5, 2, 3)
    for name in ("trajectories", "minimum", "saddle", "censored", "first_censored", "total_evaluations"):
        assert getattr(whole, name) == getattr(blocks, name)
    assert whole.worst_drift == blocks.worst_drift == pytest.approx(float(np.max(chosen.drift)))
    assert whole.certified.edges[::16].tolist() == blocks.certified.edges.tolist()
    assert whole.certified.below()[::16].tolist() == blocks.certified.below().tolist()
    minima = np.setdiff1d(np.arange(N), [5, 1500, 8, 2100, 2999])
    assert whole.at_start == int((np.asarray(chosen.t)[minima] == 0).sum())
    assert blocks.at_start is None
    assert whole.first_censored == np.asarray(chosen.t)[[8, 2100, 2999]].min()
    assert (whole.evaluations.total, whole.evaluations_of) == (N, "a trajectory")
    assert (blocks.evaluations.total, blocks.evaluations_of) == (3, "a block's mean")


def test_the_contiguous_prefix_alone_is_counted(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(5000), {"gaussian": Fates(1.0)}, shards=[0, 1, 3])
    assert summarise(run, "gaussian").trajectories == 2048
    assert sum(len(part) for part in run.stream("trajectories", "gaussian", ["id"])) == 2048
    assert [len(part) for part in run.stream("trajectories", "gaussian", ["id"], shards=[3])] == [1024]


def test_a_stream_is_the_table_shard_by_shard(tmp_path: Path, rng: np.random.Generator) -> None:
    run = made(tmp_path, experiment(N), {"gaussian": fates(rng)})
    table = run.trajectories("gaussian", ["id", "t"])
    parts = list(run.stream("trajectories", "gaussian", ["id", "t"]))
    assert [len(part) for part in parts] == [1024, 1024, 952]
    assert np.concatenate([part["t"] for part in parts]).tolist() == table["t"].tolist()
    assert [list(part["id"]) for part in run.stream("trajectories", "gaussian", ["id"], verdict="saddle")] == [
        [5],
        [1500],
        [],
    ]
    with pytest.raises(ArgumentError, match="no column 'tt'"):
        next(run.stream("trajectories", "gaussian", ["tt"]))
    with pytest.raises(ArgumentError, match="no verdict 'sadle'"):
        next(run.stream("trajectories", "gaussian", verdict="sadle"))


def test_an_empty_case_counts_nothing(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(N, GAUSSIAN + CONTROL), {"gaussian": Fates(1.0)})
    nothing = summarise(run, "control")
    assert (nothing.trajectories, nothing.certified.total, nothing.at_start) == (0, 0, 0)
    assert np.isnan(nothing.worst_drift)


def test_a_planted_case_keeps_its_rows(tmp_path: Path) -> None:
    """With rows = "exceptions" all rows of a control are there: they are taken out of the blocks' histogram once."""
    of = experiment(100, CONTROL, rows="exceptions", visits_every=0)
    control = summarise(made(tmp_path, of, {"control": Fates(3.0, dict.fromkeys(range(90), 1))}), "control")
    assert (control.minimum, control.saddle, control.certified.total) == (10, 90, 10)


def test_a_file_of_another_shard_is_refused(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(N), {"gaussian": Fates(1.0)})
    key = run.case("gaussian").key
    for kind in layout.COMMIT_ORDER:
        other = run.files.get(layout.part(kind, key, 1))
        if kind == "blocks":
            run.files.put(layout.part(kind, key, 0), other)
    with pytest.raises(RunError, match="ids are missing between blocks"):
        summarise(run, "gaussian")


def test_missing_rows_are_detected(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(N), {"gaussian": Fates(1.0)})
    short = made(tmp_path / "short", experiment(N - 500), {"gaussian": Fates(1.0)})
    key = run.case("gaussian").key
    last = layout.part("trajectories", key, 2)
    run.files.put(last, short.files.get(last))
    with pytest.raises(RunError, match="rows and blocks disagree on the number of minima"):
        summarise(run, "gaussian")

"""A shard consists of its blocks, each as the engine computes it; `work` is idempotent and relies on the manifest
alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from basins import laws
from basins.classification.classify_batch import integrate_batch
from basins.classification.verdict import REASONS
from basins.errors import RunError
from basins.execution import shard
from basins.execution.shard import Task, compute_shard, work
from basins.experiment import Case, Experiment
from basins.landscapes.deep_linear.critical_sets import CERTIFICATES, VERDICTS
from basins.store import ShardTables, create_or_resume, files_at, layout, schemas

TEXT = """
name = "shards"
seed = 11
trajectories = 1100
visits_every = 40
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }
network = { hidden = [2] }
law = { name = "gaussian", scale = 0.5 }
engine = { name = "reference", budget = 30, rtol = 1e-4, atol = 1e-6 }
"""
"""Two blocks, the second one short; a budget that is enough for most rows but not for all."""


@pytest.fixture(scope="module")
def case() -> Case:
    return experiment().cases[0]


@pytest.fixture(scope="module")
def both(case: Case) -> ShardTables:
    """The tables of both blocks."""
    return compute_shard(case, 11, range(2), 40)


def experiment(seed: int = 11) -> Experiment:
    return Experiment.from_toml(TEXT.replace("seed = 11", f"seed = {seed}"), Path())


def test_rows_equal_the_results_of_the_engine(case: Case) -> None:
    """Every column against a call of the engine, for the short block: ids 1024 ... 1099, visits of id % 40 = 0."""
    tables = compute_shard(case, 11, range(1, 2), 40)
    starts = laws.starts(case.problem, case.law, 11, 1)[:76]
    ids = np.arange(1024, 1100)
    limits = integrate_batch(case.problem, starts, case.settings, ids % 40 == 0)
    rows = tables.trajectories.to_pydict()
    assert rows["id"] == ids.tolist()
    assert rows["verdict"] == [VERDICTS[code] for code in limits.verdict]
    assert rows["reason"] == [None if code < 0 else REASONS[code] for code in limits.reason]
    assert rows["certificate"] == [None if code < 0 else CERTIFICATES[code] for code in limits.certificate]
    assert {None, "evaluation budget"} == set(rows["reason"])  # the test needs both outcomes
    known = limits.rank >= 0
    assert rows["modes"] == [int(m) if k else None for m, k in zip(limits.modes, known, strict=True)]
    assert rows["rank"] == [int(r) if r >= 0 else None for r in limits.rank]
    for column, exact in (("loss", limits.loss), ("t", limits.time)):
        assert np.array_equal(tables.trajectories[column].to_numpy(), exact)
    for name in ("margin", "loss_start", "gradient_norm", "rank_gap", "drift", "loss_increase"):
        exact = getattr(limits, name)
        narrow = np.array(tables.trajectories[name].to_pylist(), dtype=np.float32)  # None becomes nan
        assert np.array_equal(narrow, exact.astype(np.float32), equal_nan=True), name
    for name in ("steps", "rejected", "evaluations"):
        assert rows[name] == getattr(limits, name).tolist()
    visits = tables.visits.to_pydict()
    assert visits["id"] == (1024 + limits.visits.row).tolist()
    assert set(visits["id"]) <= {1040, 1080}
    assert visits["t"] == limits.visits.t.tolist()


def test_a_shard_is_the_concatenation_of_its_blocks(case: Case, both: ShardTables) -> None:
    """The rows of a block do not depend on the shard that it is in."""
    alone = compute_shard(case, 11, range(1, 2), 40)
    for kind in layout.COMMIT_ORDER:
        rows = getattr(both, kind).to_pylist()
        first = [row for row in rows if row.get("block", row.get("id", 0) // 1024) == 0]
        assert rows == first + getattr(alone, kind).to_pylist()
    assert both.trajectories["id"].to_pylist() == list(range(1100))


def test_bytes_do_not_depend_on_how_many_blocks_are_integrated_together(
    case: Case, both: ShardTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BATCH", 1), ("MEMORY", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(shard, name, value)
            assert compute_shard(case, 11, range(2), 40) == both


def test_blocks_count_their_rows(both: ShardTables) -> None:
    rows = both.trajectories.to_pandas()
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-20, 45), [np.inf]])
    for block in both.blocks.to_pylist():
        of_block = rows[rows["id"] // 1024 == block["block"]]
        assert block["first_id"] == of_block["id"].iloc[0]
        assert block["count"] == len(of_block)
        for verdict in VERDICTS:
            assert block[verdict] == (of_block["verdict"] == verdict).sum()
        assert sum(stratum["count"] for stratum in block["strata"]) == len(of_block)
        for stratum in block["strata"]:
            modes = of_block["modes"].isna() if stratum["modes"] is None else of_block["modes"] == stratum["modes"]
            assert stratum["count"] == (modes & (of_block["verdict"] == stratum["verdict"])).sum()
        assert block["evaluations"] == of_block["evaluations"].sum()
        assert block["steps"] == of_block["steps"].sum()
        assert np.float32(block["worst_drift"]) == of_block["drift"].max()
        assert np.float32(block["worst_loss_increase"]) == of_block["loss_increase"].max()
        assert block["log2_t"] == np.histogram(of_block["t"], edges)[0].tolist()


def test_edges_of_the_histogram_octaves() -> None:
    t = np.array([0.0, 2.0**-21, np.nextafter(2.0**-20, 0), 2.0**-20, 1.0, np.nextafter(2.0, 0), 2.0, 2.0**44, np.inf])
    assert schemas.octave(t[:-1]).tolist() == [0, 0, 0, 1, 21, 21, 22, 65]
    assert schemas.LOG2_T_BINS == 66


def test_no_visits_are_kept_unless_asked_for(case: Case) -> None:
    assert compute_shard(case, 11, range(1, 2), 0).visits.num_rows == 0
    assert compute_shard(case, 11, range(1, 2), 1).visits.num_rows > 0


def test_work_commits_once_and_then_returns_the_same_summary(case: Case, tmp_path: Path) -> None:
    create_or_resume(files_at(tmp_path), experiment())
    first = work(str(tmp_path), case.key, 1, 1)()
    path = tmp_path / layout.part("trajectories", case.key, 1)
    changed = path.stat().st_mtime_ns, path.stat().st_ino
    again = work(str(tmp_path), case.key, 1, 2)()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == changed
    assert first.telemetry.computed
    assert not again.telemetry.computed
    assert first.task == again.task == Task(case.key, 1)
    for name in ("trajectories", "counts", "evaluations", "digests"):
        assert getattr(first, name) == getattr(again, name)
    rows = pq.read_table(path, partitioning=None).to_pandas()
    assert (first.trajectories, first.counts["minimum"]) == (76, (rows["verdict"] == "minimum").sum())
    assert first.evaluations == rows["evaluations"].sum()
    assert first.telemetry.peak_memory > 10**7


def test_a_worker_with_other_package_versions_refuses_to_write(case: Case, tmp_path: Path) -> None:
    create_or_resume(files_at(tmp_path), experiment())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["versions"]["scipy"] = "0.1"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"a worker has other versions than the run: scipy = 0\.1 there"):
        work(str(tmp_path), case.key, 1, 1)
    assert not (tmp_path / "visits").exists()


def test_a_process_that_outlives_a_run_reads_the_next_manifest_at_its_path(case: Case, tmp_path: Path) -> None:
    """Same path, same case key, another seed: a manifest cached by path would give the first run's rows."""
    digests = []
    for seed in (11, 12):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        create_or_resume(files_at(tmp_path / "run"), experiment(seed))
        digests.append(work(str(tmp_path / "run"), case.key, 1, 1)().digests["trajectories"])
    assert digests[0] != digests[1]

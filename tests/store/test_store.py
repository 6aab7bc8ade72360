"""The run on disk, checked with pyarrow and the operating system instead of the store itself."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forms import DEEP_LINEAR
from one_shard import experiment, key, limits, part

from basins.classification.verdict import REASONS
from basins.errors import ArgumentError, BasinsError, RunError
from basins.execution.shard import work
from basins.landscapes.deep_linear.critical_sets import CERTIFICATES, VERDICTS
from basins.landscapes.deep_linear.problem import Problem
from basins.run_tables import open_run
from basins.store import Manifest, check_shards, commit, create_or_resume, files_at, missing_shards, parquet
from basins.store.local import LocalFiles
from basins.store.manifest import canonical_json
from basins.store.rows import tables_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: one case, three shards, the last of 452 rows."""
    path = tmp_path_factory.mktemp("store") / "run"
    create_or_resume(files_at(path), experiment())
    for shard in range(3):
        work(str(path), key(), shard, 1)()
    return path


# --- the files -------------------------------------------------------------------------------------------------------


def test_the_layout_is_that_of_the_design(run: Path) -> None:
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    parts = {
        f"{kind}/case={key()}/part-0000000{shard}.parquet"
        for kind in ("visits", "blocks", "trajectories")
        for shard in range(3)
    }
    assert files == {"experiment.toml", "manifest.json", "cases.parquet"} | parts
    assert (run / "experiment.toml").read_text() == experiment().text


def test_rows_have_their_types_and_their_footer(run: Path) -> None:
    file = pq.ParquetFile(part(run, "trajectories", 2))
    word = pa.dictionary(pa.int8(), pa.string())
    assert dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)) == {
        "id": pa.int64(),
        "verdict": word,
        "certificate": word,
        "reason": word,
        "modes": pa.uint64(),
        "rank": pa.uint8(),
        "margin": pa.float32(),
        "loss_start": pa.float32(),
        "loss": pa.float64(),
        "gradient_norm": pa.float32(),
        "rank_gap": pa.float32(),
        "t": pa.float64(),
        "steps": pa.uint32(),
        "rejected": pa.uint32(),
        "evaluations": pa.uint32(),
        "drift": pa.float32(),
        "loss_increase": pa.float32(),
    }
    footer = {k.decode(): v.decode() for k, v in file.metadata.metadata.items() if k != b"ARROW:schema"}
    assert footer == {
        "basins.schema": "2",
        "basins.case": key(),
        "basins.seed": str(experiment().seed),
        "basins.law": '{"name":"gaussian","scale":0.5}',
        "basins.first_id": "2048",
        "basins.trajectories": "452",
        "basins.visits_every": str(experiment().visits_every),
        "basins.kept": "all",
    }
    assert file.metadata.num_rows == 452
    assert file.metadata.num_row_groups == 1
    columns = [file.metadata.row_group(0).column(i) for i in range(file.metadata.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    ids = columns[0].statistics
    assert (ids.min, ids.max, ids.null_count) == (2048, 2499, 0)


def test_the_block_file_carries_the_digests_of_the_other_two(run: Path) -> None:
    footer = pq.read_metadata(part(run, "blocks", 1)).metadata
    for kind in ("visits", "trajectories"):
        content = part(run, kind, 1).read_bytes()
        assert footer[f"basins.sha256.{kind}".encode()].decode() == hashlib.sha256(content).hexdigest()


def test_any_reader_reads_the_whole_folder(run: Path) -> None:
    frame = pd.read_parquet(run / "trajectories")
    assert sorted(frame["id"]) == list(range(2500))
    assert set(frame["case"].astype(str)) == {key()}
    assert len(pd.read_parquet(run / "blocks")) == 3


def test_a_file_has_only_the_words_that_occur_and_a_run_the_whole_vocabulary(run: Path) -> None:
    """So a word that is added later changes no file; `Run` reads categories that do not depend on the rows."""
    table = pq.read_table(part(run, "trajectories", 0), partitioning=None)
    rows = open_run(run).trajectories()
    for column, words in (("verdict", VERDICTS), ("certificate", CERTIFICATES), ("reason", REASONS)):
        occur = set(table[column].to_pylist())
        assert table[column].chunk(0).dictionary.to_pylist() == [word for word in words if word in occur]
        assert rows[column].cat.categories.tolist() == list(words)
    assert "saddle" not in table["verdict"].to_pylist()


def test_every_value_survives_and_unknown_values_are_null(tmp_path: Path) -> None:
    given = limits()
    (tmp_path / "x.parquet").write_bytes(parquet.encode(tables_of(DEEP_LINEAR, 3072, given).trajectories, {}))
    table = pq.read_table(tmp_path / "x.parquet")
    columns = table.to_pydict()
    assert columns["id"] == list(range(3072, 4096))
    assert columns["verdict"] == [VERDICTS[v] for v in given.verdict]
    assert columns["reason"] == [None if c < 0 else REASONS[c] for c in given.reason]
    assert columns["modes"] == [2**63 + 1 if r >= 0 else None for r in given.rank]
    assert columns["rank"] == [int(r) if r >= 0 else None for r in given.rank]
    assert columns["rejected"] == [None if r < 0 else r for r in given.rejected]
    assert columns["loss"] == [None if np.isnan(loss) else loss for loss in given.loss]
    assert columns["t"] == given.time.tolist()
    assert set(columns["rank_gap"]) == {None}
    assert set(columns["loss_start"]) == {np.inf}  # 1e300 in float32, without a warning


def test_a_row_takes_at_most_forty_bytes() -> None:
    """Measured on rows with random floats, which compress less than real ones."""
    size = len(parquet.encode(tables_of(DEEP_LINEAR, 0, limits()).trajectories, experiment_keys()))
    overhead = len(parquet.encode(DEEP_LINEAR.trajectories.empty_table(), experiment_keys()))
    assert (size - overhead) / 1024 <= 40


def experiment_keys() -> dict[str, str]:
    manifest = Manifest.of(experiment())
    return manifest.footer(manifest.cases[0], 0)


def test_the_same_tables_are_the_same_bytes_in_another_process() -> None:
    """With another hash seed and another number of Arrow threads."""
    code = (
        "import sys, hashlib, os, pyarrow; sys.path[:0] = [sys.argv[1], os.path.dirname(sys.argv[1])]\n"
        "pyarrow.set_cpu_count(int(sys.argv[2]))\n"
        "import test_store as t\n"
        "for table in t.tables_of(t.DEEP_LINEAR, 0, t.limits()):\n"
        "    print(hashlib.sha256(t.parquet.encode(table, t.experiment_keys())).hexdigest())\n"
    )
    tables = tables_of(DEEP_LINEAR, 0, limits())
    here = [hashlib.sha256(parquet.encode(table, experiment_keys())).hexdigest() for table in tables]
    there = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), "2"],
        env={**os.environ, "PYTHONHASHSEED": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == here


def test_a_flipped_bit_in_a_page_is_refused_by_name(run: Path, tmp_path: Path) -> None:
    content = part(run, "trajectories", 0).read_bytes()
    at = pq.read_metadata(part(run, "trajectories", 0)).row_group(0).column(8).data_page_offset + 200  # in `loss`
    target = tmp_path / "flipped.parquet"
    target.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
    with pytest.raises(RunError, match=r"flipped\.parquet is damaged .*; move it away and run again"):
        parquet.read(files_at(tmp_path), "flipped.parquet")


def test_a_disk_error_is_not_reported_as_damage(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error with an errno is a failure of the place, so the remedy is not to move the file away."""

    class Failing:
        closed = False

        def seek(self, *_: int) -> int:
            return 0

        def tell(self) -> int:
            return 1000

        def read(self, *_: int) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        def close(self) -> None: ...

    monkeypatch.setattr(LocalFiles, "open", lambda files, path: pa.PythonFile(Failing(), mode="r"))
    for reader in (parquet.read, parquet.footer):
        with pytest.raises(
            RunError, match="cannot read part: Input/output error; check the disk or the store"
        ) as raised:
            reader(files_at(run), "part")
        assert not isinstance(raised.value, parquet.Damaged)


def test_cases_are_a_table(run: Path) -> None:
    rows = pq.read_table(run / "cases.parquet").to_pylist()
    assert len(rows) == 1
    row = rows[0]
    assert (row["case"], row["name"], row["law"], row["null_law"]) == (key(), "store", "gaussian", False)
    assert (row["widths"], row["sigma"]) == ([3, 2, 2], [2.0, 1.0])
    assert (row["trajectories"], row["blocks"], row["shards"], row["budget"]) == (2500, 3, 3, 1)
    assert row["t_end"] == np.inf


# --- the manifest ----------------------------------------------------------------------------------------------------


def test_the_manifest_restores_the_problem_bit_for_bit() -> None:
    rng = np.random.default_rng(5)
    problem = Problem.from_data(rng.normal(size=(9, 3)), rng.normal(size=(9, 2)), hidden=(2,), flow="raw")
    again = Problem.from_dict(json.loads(canonical_json(problem.to_dict())))
    for name in ("sigma", "target", "gram_root", "U_Y", "V_Y"):
        assert getattr(again, name).tobytes() == getattr(problem, name).tobytes()


def test_the_manifest_is_canonical() -> None:
    manifest = Manifest.of(experiment())
    assert Manifest.of(experiment()).to_json() == manifest.to_json()
    again = Manifest.from_json(manifest.to_json(), "here")
    assert again.to_json() == manifest.to_json()
    assert again.cases[0].key == key()
    assert again.seed == 2**64 - 1
    content = json.loads(manifest.to_json())
    assert set(content) == {"schema", "experiment", "plan", "versions", "cases"}
    assert set(content["versions"]) == {"basins", "python", "numpy", "scipy", "pyarrow", "numba", "llvmlite"}
    assert content["cases"][0]["shards"] == 3


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": [1.5, 2], "a": {"d": [], "c": [{}]}}) == (
        b'{\n  "a": {\n    "c": [\n      {}\n    ],\n    "d": []\n  },\n  "b": [1.5, 2]\n}\n'
    )
    for value in (np.inf, np.nan, [np.inf]):
        with pytest.raises(ValueError):
            canonical_json(value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is damaged"),
        (b'{"schema": 1', "is damaged"),
        (b"[]", "is damaged"),
        (b'{"schema": 1}', "is damaged"),
        (b'{"schema": 3}', "schema version 3"),
    ],
)
def test_an_invalid_manifest_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(RunError, match=words):
        open_run(tmp_path)


# --- the run, read ---------------------------------------------------------------------------------------------------


def test_a_run_gives_its_tables(run: Path) -> None:
    opened = open_run(run)
    rows = opened.trajectories()
    assert list(rows.columns) == ["case", "name", *DEEP_LINEAR.trajectories.names]
    assert list(rows["id"]) == list(range(2500))
    assert set(rows["case"]) == {key()}
    assert rows["modes"].dtype == "UInt64"
    assert list(opened.blocks()["count"]) == [1024, 1024, 452]
    assert list(opened.visits().columns) == ["case", "name", *DEEP_LINEAR.visits.names, "distance", "passes"]
    assert list(opened.cases()["case"]) == [key()]
    assert list(opened.trajectories("store", ["t", "id"]).columns) == ["case", "name", "t", "id"]
    minima = opened.trajectories(verdict="minimum", columns=["verdict"])
    assert len(minima) == (rows["verdict"] == "minimum").sum() > 0
    assert set(minima["verdict"]) == {"minimum"}
    assert opened.missing() == {}
    assert opened.contiguous_prefix(key()) == 3


def test_an_unknown_case_column_or_verdict_is_refused(run: Path) -> None:
    opened = open_run(run)
    refusals: list[tuple[Callable[[], object], str]] = [
        (lambda: opened.trajectories("stare"), "did you mean 'store'"),
        (lambda: opened.trajectories(columns=["losses"]), "no column 'losses'.*did you mean 'loss'"),
        (lambda: opened.trajectories(verdict="minimal"), "no verdict 'minimal'.*did you mean 'minimum'"),
    ]
    for ask, words in refusals:
        with pytest.raises(ArgumentError, match=words):
            ask()


def test_a_run_in_progress_shows_its_committed_shards(tmp_path: Path) -> None:
    """Shards 0 and 2 are done, and 1 has only its visits and blocks: the prefix ends before 1, and no reader sees
    it."""
    manifest = create_or_resume(files_at(tmp_path), experiment())
    opened = open_run(tmp_path)
    assert len(opened.trajectories()) == len(opened.blocks()) == len(opened.visits()) == 0
    assert opened.trajectories()["modes"].dtype == "UInt64"
    for shard in range(3):
        work(str(tmp_path), key(), shard, 1)()
    part(tmp_path, "trajectories", 1).unlink()
    assert opened.committed(key()) == [0, 2]
    assert opened.contiguous_prefix(key()) == 1
    assert opened.missing() == {key(): [1]} == {key(): missing_shards(opened.files, manifest, manifest.cases[0])}
    assert list(opened.blocks()["block"]) == [0, 2]
    assert list(opened.blocks(contiguous=True)["block"]) == [0]
    assert len(opened.trajectories(contiguous=True)) == 1024
    part(tmp_path, "blocks", 2).unlink()
    with pytest.raises(RunError, match=r"blocks/.*part-00000002\.parquet is gone"):
        opened.blocks()
    assert opened.missing() == {key(): [1, 2]}


def test_a_resume_checks_part_of_a_large_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume checks every shard that no digest covers, and FOOTERS_CHECKED of the others, spread evenly."""
    from basins.store.digests import DigestBook

    shutil.copytree(run, tmp_path / "run")
    opened = open_run(tmp_path / "run")
    there = opened.committed(key())
    assert len(there) >= 3
    monkeypatch.setattr(commit, "FOOTERS_CHECKED", 1)
    looked = commit._shards_to_check(opened.files, opened.manifest.cases[0], there)
    assert looked == there, "no digest yet"
    DigestBook(opened.files, opened.manifest).close()
    assert commit._shards_to_check(opened.files, opened.manifest.cases[0], there) == there[:1]
    first, last = (part(tmp_path / "run", "visits", shard) for shard in (there[0], there[-1]))
    shutil.copy(first, last)
    check_shards(opened.files, opened.manifest)
    batch = next((tmp_path / "run" / "digests").rglob("*.sha256"))
    batch.write_text("".join(batch.read_text().splitlines(keepends=True)[:-3]))
    with pytest.raises(RunError, match="belongs to another first_id"):
        check_shards(opened.files, opened.manifest)
    monkeypatch.setattr(commit, "FOOTERS_CHECKED", len(there))
    batch.unlink()
    with pytest.raises(RunError, match="belongs to another first_id"):
        check_shards(opened.files, opened.manifest)


def test_errors_of_the_store_can_be_pickled(run: Path) -> None:
    """They are sent from a worker to the driver."""
    import pickle

    with pytest.raises(BasinsError) as raised:
        open_run(run.parent)
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), str(again)) == (RunError, str(raised.value))

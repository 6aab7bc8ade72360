"""data.npz: the arrays that an experiment was made of are in its run, named by their SHA-256, and no other is taken."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from basins.cli import main
from basins.errors import BasinsError, DataError, ExperimentError, RunError
from basins.execution.run import run
from basins.experiment import load
from basins.experiment.attached import npz, sha256
from basins.experiment.packed import opened, pack
from basins.rare import record
from basins.rare.replicates import Plan
from basins.store import files_at
from basins.store.kept_data import wrong_data
from basins.verify import Trouble, verify

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 2))
CONTENT = npz({"X": X, "Y": Y})
OTHER = npz({"X": X, "Y": Y + 1e-15})
TEXT = """
name = "own arrays"
seed = 1
trajectories = 10
data = {{ path = "data.npz", sha256 = "{}" }}
network = {{ hidden = [2] }}
law = {{ name = "gaussian", scale = 0.5 }}
engine = {{ budget = 1 }}
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    folder = tmp_path / "made here"
    folder.mkdir()
    (folder / "data.npz").write_bytes(CONTENT)
    (folder / "e.toml").write_text(TEXT.format(sha256(CONTENT)))
    return folder / "e.toml"


@pytest.fixture
def done(toml: Path, tmp_path: Path) -> Path:
    """A run of it, moved to another folder, and the folder where it was made gone."""
    run(toml, tmp_path / "first", on="inline")
    shutil.rmtree(toml.parent)
    (tmp_path / "first").rename(tmp_path / "run")
    return tmp_path / "run"


def test_the_same_arrays_are_the_same_bytes_and_numpy_reads_them() -> None:
    with np.load(io.BytesIO(CONTENT)) as file:
        assert file.files == ["X", "Y"]
        assert file["X"].tobytes() == X.tobytes()
        assert file["Y"].tobytes() == Y.tobytes()
    assert npz({"X": np.asfortranarray(X), "Y": Y}) == CONTENT != OTHER
    assert sha256(CONTENT) == hashlib.sha256(CONTENT).hexdigest()


def test_the_run_keeps_them_and_needs_no_other_file(done: Path, tmp_path: Path) -> None:
    assert (done / "data.npz").read_bytes() == CONTENT
    assert not verify(done, sample=0, blocks=0).findings
    for source in (done, done / "experiment.toml"):
        again = run(opened(source), tmp_path / source.name, on="inline")
        assert (Path(again.path) / "data.npz").read_bytes() == CONTENT
        assert (Path(again.path) / "manifest.json").read_bytes() == (done / "manifest.json").read_bytes()


def test_a_changed_file_is_refused_by_name(done: Path, tmp_path: Path) -> None:
    experiment = opened(done)
    (done / "data.npz").write_bytes(OTHER)
    what = f"has changed: its SHA-256 is {sha256(OTHER)}, and the experiment's data have {sha256(CONTENT)}"
    with pytest.raises(RunError) as resumed:
        run(experiment, done, on="inline")
    assert resumed.value.what == f"data.npz {what}"
    for source in (done, done / "experiment.toml"):
        with pytest.raises(DataError) as read:
            opened(source)
        assert read.value.what == what
        assert read.value.where.endswith("data.npz")
    (finding,) = verify(done, sample=0, blocks=0).findings
    assert (finding.path, finding.what, finding.trouble) == ("data.npz", what, Trouble.data)
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(done), "--sample", "0", "--blocks", "0"])
    assert ended.value.code == 2
    assert (done / "data.npz").read_bytes() == OTHER


def test_a_file_that_is_gone_is_named(done: Path) -> None:
    experiment = opened(done)
    (done / "data.npz").unlink()
    with pytest.raises(RunError, match=r"data\.npz is gone; put back a copy of data\.npz"):
        run(experiment, done, on="inline")
    with pytest.raises(ExperimentError, match=r"data\.npz: the data of this experiment: No such file"):
        opened(done)
    assert wrong_data(files_at(done), experiment.text) == {"data.npz": "gone"}


def test_they_are_packed_for_a_cluster(toml: Path, tmp_path: Path) -> None:
    for name, content in pack(load(toml)).items():
        (tmp_path / name).write_bytes(content)
    shutil.rmtree(toml.parent)
    assert opened(tmp_path).files == {"data.npz": CONTENT}


def test_a_tails_run_keeps_them_too(toml: Path, tmp_path: Path) -> None:
    experiment, files = load(toml), files_at(tmp_path / "tail")
    wanted = record.TailManifest.of(experiment, experiment.cases, Plan(1e-6, 100, 0.5, 1, 1))
    record.create_or_resume(files, experiment, wanted)
    assert files.get("data.npz") == CONTENT
    files.put("data.npz", OTHER)
    with pytest.raises(RunError, match=r"data\.npz has changed"):
        record.create_or_resume(files, experiment, wanted)


def test_another_data_npz_in_the_folder_is_not_replaced(toml: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "data.npz").write_bytes(OTHER)
    with pytest.raises(RunError, match=r"not empty and not a run \(data\.npz is there"):
        run(toml, out, on="inline")
    assert (out / "data.npz").read_bytes() == OTHER
    (out / "data.npz").write_bytes(CONTENT)  # as a creation that was killed leaves it
    assert len(run(toml, out, on="inline").trajectories()) == 10


@pytest.mark.parametrize(
    ("digest", "said"),
    [(sha256(OTHER), "data.npz: has changed"), ("F" * 64, "data.sha256: sha256 = 'FFF"), ("12", "data.sha256: sha256")],
    ids=["of other content", "capitals", "short"],
)
def test_a_digest_that_is_none_or_another_is_refused(toml: Path, digest: str, said: str) -> None:
    toml.write_text(TEXT.format(digest))
    with pytest.raises(BasinsError, match=re.escape(said)):
        load(toml)


def test_any_file_may_be_named_by_its_digest_and_is_not_kept(toml: Path, tmp_path: Path) -> None:
    csv = b"x,y\n1,2\n3,5\n"
    (toml.parent / "d.csv").write_bytes(csv)
    table = f'{{ path = "d.csv", targets = ["y"], sha256 = "{sha256(csv)}" }}'
    toml.write_text(TEXT.format("").replace('{ path = "data.npz", sha256 = "" }', table).replace("[2]", "[1]"))
    made = run(toml, tmp_path / "run", on="inline")
    assert load(toml).files == {}
    assert files_at(made.path).paths("d") == []
    (toml.parent / "d.csv").write_bytes(csv + b"\n")
    with pytest.raises(DataError, match=r"d\.csv: has changed"):
        load(toml)

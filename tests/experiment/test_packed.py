"""A packed experiment makes the same run, to the byte, without its data."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from kinds import CSV as DATA

from basins.errors import ExperimentError, RunError
from basins.experiment import Experiment, load
from basins.experiment.packed import opened, pack, unpack
from basins.store import Manifest

EXPERIMENT = """
name = "good"
seed = 1
trajectories = 3000
blocks_per_shard = 2
visits_every = 7
[data]
path = "../elsewhere/data.csv"
targets = ["kind"]
[network]
hidden = [3, 2]
[law]
name = "gaussian"
scale = 0.5
[[case]]
name = "reduced"
[[case]]
name = "raw, stopped early"
network = { flow = "raw" }
engine = { t_end = 3.0, rtol = 1e-7 }
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """An experiment whose data are outside its folder and are deleted before it is unpacked."""
    for folder in ("elsewhere", "here", "packed"):
        (tmp_path / folder).mkdir()
    (tmp_path / "elsewhere" / "data.csv").write_text(DATA)
    (tmp_path / "here" / "good.toml").write_text(EXPERIMENT)
    loaded = load(tmp_path / "here" / "good.toml")
    (tmp_path / "elsewhere" / "data.csv").unlink()
    return loaded


@pytest.fixture
def packed(experiment: Experiment, tmp_path: Path) -> Path:
    for name, content in pack(experiment).items():
        (tmp_path / "packed" / name).write_bytes(content)
    return tmp_path / "packed"


def test_unpacking_gives_the_packed_experiment(experiment: Experiment, packed: Path) -> None:
    found = opened(packed)
    assert found.text == experiment.text
    assert found.digest == experiment.digest
    assert [case.key for case in found.cases] == [case.key for case in experiment.cases]
    assert Manifest.of(found).to_json() == Manifest.of(experiment).to_json()
    assert pack(found) == pack(experiment)


def test_a_changed_file_is_refused(packed: Path) -> None:
    file = packed / "experiment.toml"
    file.write_text(file.read_text().replace("seed = 1", "seed = 2"))
    with pytest.raises(ExperimentError, match=r"experiment\.toml and manifest\.json do not belong together"):
        unpack(packed)


def test_other_versions_are_refused_naming_them(packed: Path) -> None:
    manifest = json.loads((packed / "manifest.json").read_bytes())
    manifest["versions"]["numpy"] = "1.0"
    (packed / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"other versions, whose bytes may differ: numpy = 1\.0 there"):
        unpack(packed)


def test_a_folder_without_an_experiment_is_refused(tmp_path: Path, packed: Path) -> None:
    with pytest.raises(ExperimentError, match="not readable: Is a directory"):
        opened(tmp_path)
    os.unlink(packed / "experiment.toml")
    with pytest.raises(ExperimentError, match=r"no experiment in this folder: experiment\.toml: No such file"):
        opened(packed)
    (packed / "experiment.toml").write_bytes(b"\xff\xfe")
    (packed / "manifest.json").write_bytes(b"{}")
    with pytest.raises(ExperimentError, match="not UTF-8"):
        opened(packed)

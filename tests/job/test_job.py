"""The entry point of a job: its checks before it imports the rest, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import basins
from basins.experiment import Experiment
from basins.experiment.packed import pack
from basins.job import environment
from basins.run_tables import open_run

TREE = Path(basins.__file__).parents[1]
EXPERIMENT = """
name = "good"
seed = 1
trajectories = {trajectories}
[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2
[network]
hidden = [2, 2]
[engine]
name = "reference"
budget = 30
[law]
name = "gaussian"
scale = 0.5
"""


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A folder with a packed experiment of many short shards."""
    experiment = Experiment.from_toml(EXPERIMENT.format(trajectories=10**8), Path())
    (tmp_path / "job").mkdir()
    for name, content in pack(experiment).items():
        (tmp_path / "job" / name).write_bytes(content)
    return tmp_path / "job"


def start(packed: Path, before: str = "pass") -> subprocess.Popen[str]:
    """`python -m basins.job . --out ../run --on inline` in the packed folder, after these statements."""
    code = f"import sys; {before}; from basins.job.entry import main; main(['.', '--out', '../run', '--on', 'inline'])"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=packed,
        env={**os.environ, "PYTHONPATH": str(TREE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_other_versions_are_refused_before_anything_else_is_imported(packed: Path) -> None:
    content = json.loads((packed / "manifest.json").read_text())
    content["versions"]["scipy"] = "0.1"
    (packed / "manifest.json").write_text(json.dumps(content))
    # numpy cannot be imported here, and is not needed.
    refused = start(packed, "sys.modules['numpy'] = None")
    said, errors = refused.communicate(timeout=60)
    assert (refused.returncode, said) == (2, "")
    assert errors.startswith(f"error: Python {sys.executable}: version skew: ")
    assert "scipy = 0.1 there" in errors
    assert errors.count("\n") == 1
    assert not (packed.parent / "run").exists()


def test_a_package_missing_on_the_cluster_is_reported(packed: Path) -> None:
    refused = start(packed, "sys.modules['pydantic'] = None")
    said, errors = refused.communicate(timeout=60)
    assert (refused.returncode, said) == (2, "")
    assert errors.startswith("error: ")
    assert "of the cluster has no pydantic; install the packages of basins' requirements.txt" in errors
    assert errors.count("\n") == 1


def test_sigterm_keeps_finished_shards(packed: Path) -> None:
    running = start(packed)
    while not list(packed.parent.glob("run/trajectories/*/part-*")):
        if running.poll() is not None:
            raise AssertionError(running.communicate()[1])
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    said, errors = running.communicate(timeout=60)
    assert running.returncode == 130, said + errors
    assert "interrupted: finished shards are kept in ../run" in errors
    done = len(list(packed.parent.glob("run/trajectories/*/part-*")))
    [missing] = open_run(packed.parent / "run").missing().values()
    assert 0 < done == 97_657 - len(missing)


def test_variables_are_set_only_from_a_named_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BASINS_A", "before")
    file = tmp_path / "environment.json"
    file.write_text(json.dumps({"BASINS_A": "after"}))
    file.chmod(0o644)
    monkeypatch.delenv(environment.ENVIRONMENT, raising=False)
    environment.adopt_environment()
    assert os.environ["BASINS_A"] == "before"
    monkeypatch.setenv(environment.ENVIRONMENT, file.name)
    environment.adopt_environment()
    assert os.environ["BASINS_A"] == "after"
    assert file.stat().st_mode & 0o777 == 0o600

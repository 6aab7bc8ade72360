"""The Slurm scripts on a real Slurm: two shared nodes, and one exclusive node."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_head import BIN, environment
from slurm_cluster import OWN_PROCESSES, Slurm, missing, slurm, wait_until

import basins

TREE = Path(basins.__file__).parents[1]
CLUSTER = TREE / "cluster"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() != "", reason=missing()),
    pytest.mark.skipif(not (BIN / "activate").is_file(), reason="the scripts need a virtual environment"),
]

EXPERIMENT = """
name = "on slurm"
seed = 5
visits_every = 50
trajectories = {trajectories}
[data]
source = "gaussian"
samples = 20
d_x = 3
d_y = 2
[network]
hidden = [3, 3]
[engine]
name = "reference"
budget = {budget}
[law]
name = "gaussian"
scale = 0.5
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that all nodes share, with a short experiment and one that would take hours."""
    (tmp_path / "short.toml").write_text(EXPERIMENT.format(trajectories=5000, budget=30))
    (tmp_path / "long.toml").write_text(EXPERIMENT.format(trajectories=10**8, budget=3000))
    return tmp_path


@pytest.fixture(scope="module")
def shared() -> Iterator[Slurm]:
    with slurm(nodes=2) as started:
        started.environment.update(BASINS_VENV=sys.prefix, PYTHONPATH=str(TREE), USER=os.environ.get("USER", "root"))
        yield started


@pytest.fixture(scope="module")
def exclusive() -> Iterator[Slurm]:
    if subprocess.run([*OWN_PROCESSES, "true"], capture_output=True).returncode:
        pytest.skip("no process namespace here, and `ray stop` at the job's end would stop other people's Ray")
    with slurm(nodes=1, cpus=2, before_slurmd=OWN_PROCESSES) as started:
        started.environment.update(BASINS_VENV=sys.prefix, PYTHONPATH=str(TREE))
        yield started


def files(run: Path) -> dict[str, bytes]:
    """Every file of a run whose bytes are reproducible."""
    found = {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith("telemetry/")}


def inline(home: Path) -> dict[str, bytes]:
    """The files of the short experiment, made by one process."""
    command = [sys.executable, "-m", "basins.job", "short.toml", "--out", "inline", "--on", "inline"]
    subprocess.run(command, cwd=home, env={**environment(None), "PYTHONPATH": str(TREE)}, check=True)
    expected = files(home / "inline")
    assert sum(name.startswith("trajectories/") for name in expected) == 5
    return expected


def test_parts_of_two_nodes_make_the_bytes_of_a_local_run(shared: Slurm, home: Path) -> None:
    job = shared.submit(CLUSTER / "slurm-shared.sh", ["short.toml", "--out", "run"], cwd=home, options=PARTS)
    state = shared.ended(job)
    said = (home / "said").read_text()
    assert (state["JobState"], state["ExitCode"]) == ("COMPLETED", "0:0"), said
    assert state["NodeList"] == "n[1-2]"
    assert "5,000 trajectories in 5 shards, 0 done; ray, into" in said
    assert files(home / "run") == inline(home)


def test_a_cancelled_job_keeps_finished_shards_and_requires_a_token(shared: Slurm, home: Path) -> None:
    job = shared.submit(CLUSTER / "slurm-shared.sh", ["long.toml", "--out", "run"], cwd=home, options=PARTS)
    wait_until(lambda: list(home.glob("run/trajectories/*/part-*")), 300)
    address = f"{_address()}:{20000 + int(job) % 10000}"
    socket.create_connection((address.partition(":")[0], int(address.partition(":")[2])), timeout=5).close()
    for refused in (environment(None), {**environment(None), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}):
        asked = [str(BIN / "ray"), "status", "--address", address]
        answer = subprocess.run(asked, env=refused, capture_output=True, text=True, timeout=60)
        assert answer.returncode != 0, answer.stdout
        assert "Unauthenticated" in answer.stderr or "AuthenticationError" in answer.stderr, answer.stderr
    shared.call(["scancel", "--batch", "--signal=TERM", job])
    state = shared.ended(job)
    said = (home / "said").read_text()
    assert (state["JobState"], state["ExitCode"]) == ("FAILED", "130:0"), said
    assert f"interrupted: finished shards are kept in {'run'}; the same command resumes" in said


def test_a_refused_job_ends_with_its_line_and_status(shared: Slurm, home: Path) -> None:
    (home / "taken").mkdir()
    (home / "taken" / "thesis.tex").touch()
    job = shared.submit(CLUSTER / "slurm-shared.sh", ["short.toml", "--out", "taken"], cwd=home, options=PARTS)
    assert shared.ended(job)["ExitCode"] == "2:0", (home / "said").read_text()
    assert "not empty and not a run (thesis.tex is there" in (home / "said").read_text()


def test_a_whole_node_by_symmetric_run_makes_the_bytes_of_a_local_run(exclusive: Slurm, home: Path) -> None:
    job = exclusive.submit(CLUSTER / "slurm-exclusive.sh", ["short.toml", "--out", "run"], cwd=home, options=WHOLE)
    state = exclusive.ended(job)
    said = (home / "said").read_text()
    assert (state["JobState"], state["ExitCode"]) == ("COMPLETED", "0:0"), said
    assert "On head node. Starting Ray cluster head" in said
    assert files(home / "run") == inline(home)
    assert not list(home.glob(".basins-status*"))


def test_symmetric_run_without_a_ray_fails(exclusive: Slurm, home: Path) -> None:
    """symmetric-run itself exits with 0 in this case; the script does not."""
    options = [*WHOLE, "--export=ALL,HEAD_IP=192.0.2.1"]
    job = exclusive.submit(CLUSTER / "slurm-exclusive.sh", ["short.toml", "--out", "run"], cwd=home, options=options)
    assert exclusive.ended(job)["ExitCode"] == "1:0", (home / "said").read_text()
    assert not (home / "run").exists()


def test_symmetric_run_passes_on_a_refusal(exclusive: Slurm, home: Path) -> None:
    (home / "taken").mkdir()
    (home / "taken" / "thesis.tex").touch()
    job = exclusive.submit(CLUSTER / "slurm-exclusive.sh", ["short.toml", "--out", "taken"], cwd=home, options=WHOLE)
    assert exclusive.ended(job)["ExitCode"] == "2:0", (home / "said").read_text()


WHOLE = ["--nodes=1", "--time=20"]
PARTS = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--time=20"]


def _address() -> str:
    return subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()[0]

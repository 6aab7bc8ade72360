"""`submit`, `follow` and `stop` as commands, on a real Ray head with its dashboard and a token."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from kinds import CSV as DATA
from ray_head import Head, environment, head, status
from servers import Swift

import basins
from basins.experiment import load
from basins.job.dashboard import Dashboard
from basins.job.submit import fill
from basins.run_tables import open_run
from basins.store import files_at

pytestmark = pytest.mark.slow

TREE = Path(basins.__file__).parents[1]
BASINS = [sys.executable, "-c", "from basins.cli import main; main()"]

EXPERIMENT = """
name = "Two kinds, small"
seed = 5
visits_every = 50
trajectories = {trajectories}
[data]
path = "../data/kinds.csv"
targets = ["kind"]
[network]
hidden = [3, 2]
[engine]
name = "reference"
budget = {budget}
[law]
name = "gaussian"
scale = 0.5
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Head]:
    with head() as started:
        yield started


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a short experiment and one that would take hours; their data are outside it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kinds.csv").write_text(DATA)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "short.toml").write_text(EXPERIMENT.format(trajectories=5000, budget=30))
    (tmp_path / "home" / "long.toml").write_text(EXPERIMENT.format(trajectories=10**8, budget=3000))
    return tmp_path / "home"


def command(cluster: Head, home: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    """The command basins in a separate process group that receives Ctrl-C."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
            "from basins.cli import main; main()",
            *arguments,
        ],
        cwd=home,
        env={**environment(cluster.token), "PYTHONPATH": str(TREE), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def call(cluster: Head, home: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    process = command(cluster, home, *arguments, **more)
    said, errors = process.communicate(timeout=300)
    return process.returncode, said, errors


def files(run: Path) -> dict[str, bytes]:
    """Every file of a run whose bytes are reproducible."""
    found = {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith("telemetry/")}


def test_the_head_refuses_requests_without_a_token(cluster: Head) -> None:
    assert status(cluster.url) == 401
    assert status(cluster.url, "f" * 64) == 403
    assert status(cluster.url, cluster.token.read_text()) == 200


def test_a_job_makes_the_bytes_of_a_local_run(cluster: Head, home: Path) -> None:
    arguments = ["submit", "short.toml", "--out", "on-ray", "--address", cluster.url, "--follow", "--workers", "2"]
    # Ray's own client would prefer RAY_ADDRESS.
    code, said, errors = call(cluster, home, *arguments, RAY_ADDRESS="127.0.0.1:9")
    assert code == 0, said + errors
    warning, submitted = errors.splitlines()
    assert warning == (f"warning: {home / 'on-ray'} is a path: it must be the same folder on every node of the cluster")
    assert re.fullmatch(r"submitted: job basins-two-kinds-small-[0-9a-f]{6}", submitted)
    assert "5,000 trajectories in 5 shards, 0 done; ray x 2, into" in said
    assert f"complete: {home / 'on-ray'}\n" in said
    code, locally, errors = call(cluster, home, "run", "short.toml", "--out", "here", "--on", "inline")
    assert code == 0, errors
    expected = files(home / "here")
    assert sum(name.startswith("trajectories/") for name in expected) == 5
    assert files(home / "on-ray") == expected
    assert locally.splitlines()[:-1] == [line for line in said.splitlines() if line in locally.splitlines()[:-1]]


def test_a_refused_job_ends_submit_with_its_line_and_status(cluster: Head, home: Path) -> None:
    (home / "taken").mkdir()
    (home / "taken" / "thesis.tex").touch()
    code, said, _ = call(cluster, home, "submit", "short.toml", "--out", "taken", "--address", cluster.url, "--follow")
    assert code == 2
    assert f"error: {home / 'taken'}: not empty and not a run (thesis.tex is there" in said
    assert [path.name for path in (home / "taken").iterdir()] == ["thesis.tex"]


def test_version_skew_is_refused_before_anything_is_written(
    cluster: Head, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same job with a manifest made by other package versions."""
    with tempfile.TemporaryDirectory() as folder:
        runtime = fill(Path(folder), load(home / "short.toml"), {})
        manifest = Path(folder) / "job" / "manifest.json"
        content = json.loads(manifest.read_text())
        content["versions"] |= {"numpy": "1.99.0", "basins": "0.0.7"}
        manifest.write_text(json.dumps(content))
        dashboard = dashboard_of(cluster, monkeypatch)
        job = dashboard.submit("skewed", f"python -m basins.job . --out {home / 'run'}", runtime)
    code, said, _ = call(cluster, home, "follow", job, "--address", cluster.url)
    assert code == 2
    refusals = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(refusals) == 1
    assert "version skew: " in refusals[0]
    assert f"basins = 0.0.7 there, {basins.__version__} here; numpy = 1.99.0 there" in refusals[0]
    assert not (home / "run").exists()


def test_ctrl_c_detaches_and_the_printed_commands_follow_and_stop(cluster: Head, home: Path) -> None:
    process = command(cluster, home, "submit", "long.toml", "--out", "long", "--address", cluster.url, "--follow")
    assert process.stdout is not None
    for line in process.stdout:
        if "trajectories in" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    detached = errors.splitlines()[-1]
    match = re.fullmatch(
        r"detached: job (\S+) continues; to watch it: (basins follow \S+ --address \S+); "
        r"to stop it: (basins stop \S+ --address \S+)",
        detached,
    )
    assert match is not None, errors
    assert "Traceback" not in errors
    job, follow, stop = match.groups()
    again = command(cluster, home, *follow.split()[1:])
    assert again.stdout is not None
    seen = ""
    for line in again.stdout:  # from the beginning, and on: a shard was done since, so the job is alive
        seen += line
        if re.search(r"^[1-9][\d,]*/100,000,000 ", line, re.MULTILINE):
            break
    assert "trajectories in" in seen
    assert call(cluster, home, *stop.split()[1:]) == (0, f"job {job}: stopped\n", "")
    rest, errors = again.communicate(timeout=60)
    assert again.returncode == 130, rest + errors
    assert "interrupted: finished shards are kept" in rest
    done = len(list((home / "long").glob("trajectories/*/part-*")))
    assert done > 0
    assert sum(map(len, open_run(home / "long").missing().values())) > 0


SECRET = "correct horse battery staple"
PROBE = """\
import hashlib, os, ray
ray.init(log_to_driver=False)
from basins.job.environment import adopt_environment
adopt_environment()
asked = ray.remote(lambda: hashlib.sha256(os.environ["A_SECRET"].encode()).hexdigest())
print("driver", hashlib.sha256(os.environ["A_SECRET"].encode()).hexdigest())
print("worker", ray.get(asked.remote()))
"""


def test_a_variable_reaches_job_and_workers(cluster: Head, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runtime = fill(Path(folder), load(home / "short.toml"), {"A_SECRET": SECRET})
        (Path(folder) / "job" / "probe.py").write_text(PROBE)
        job = dashboard_of(cluster, monkeypatch).submit("secretive", "python probe.py", runtime)
    code, said, errors = call(cluster, home, "follow", job, "--address", cluster.url)
    assert code == 0, said + errors
    expected = hashlib.sha256(SECRET.encode()).hexdigest()
    assert f"driver {expected}\n" in said
    assert f"worker {expected}\n" in said


def test_a_run_at_s3_with_credentials_that_are_sent_and_not_logged(
    cluster: Head, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head was started without credentials; the job is refused without them, and has the bytes of a local run."""
    if Swift.absent():
        pytest.skip(f"Swift cannot be started: {Swift.absent()} is not installed (requirements-dev.txt has it)")
    arguments = ["submit", "short.toml", "--out", "s3://runs/short", "--address", cluster.url, "--follow"]
    with Swift(tmp_path / "swift") as store:
        store.create("runs")
        here = {**store.environment, "A_SECRET": SECRET}
        where = ["--env", "AWS_ENDPOINT_URL", "--env", "A_SECRET"]
        code, said, errors = call(cluster, home, *arguments, *where, **here)
        assert code == 2, said + errors
        [refusal] = [line for line in said.splitlines() if line.startswith("error: ")]
        assert "credentials" in refusal
        keys = [part for name in sorted(store.environment) for part in ("--env", name)]
        code, said, errors = call(cluster, home, *arguments, *keys, "--env", "A_SECRET", **here)
        assert code == 0, said + errors
        assert "warning" not in errors
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        there = files_at("s3://runs/short")
        found = {name: there.get(name) for name in there.paths("") if not name.startswith("telemetry/")}
    code, _, errors = call(cluster, home, "run", "short.toml", "--out", "here", "--on", "inline")
    assert code == 0, errors
    assert found == files(home / "here")
    assert SECRET not in said + errors
    logs = [path for path in (cluster.session / "logs").rglob("*") if path.is_file()]
    assert any(b"basins.job" in path.read_bytes() for path in logs)
    assert [path.name for path in logs if SECRET.encode() in path.read_bytes()] == []
    kept = [path for path in cluster.session.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept
    assert {(path.name, path.stat().st_mode & 0o777) for path in kept} == {("environment.json", 0o600)}


def test_a_job_that_ray_cannot_start_is_refused_with_its_reason(
    cluster: Head, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = dashboard_of(cluster, monkeypatch).submit("unstarted", "python -V", {"working_dir": "gcs://_ray_pkg_no.zip"})
    code, _, errors = call(cluster, home, "follow", job, "--address", cluster.url)
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert f"Ray could not run job {job}: " in errors


def dashboard_of(cluster: Head, monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    """The cluster's dashboard, for this process."""
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(cluster.token))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    return Dashboard(cluster.url)


def test_an_unknown_job_is_refused(cluster: Head, home: Path) -> None:
    for name in ("follow", "stop"):
        code, said, errors = call(cluster, home, name, "no-such-job", "--address", cluster.url)
        assert (code, said) == (2, "")
        assert errors == f"error: {cluster.url}: no job 'no-such-job'; `ray job list` lists the existing jobs\n"

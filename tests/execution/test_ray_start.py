"""Every error that Ray raises at its start becomes one line with a remedy; a start that timed out is tried again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from basins.errors import RunError
from basins.execution import ray as runner

TIMED_OUT = Exception(
    "The current node timed out during startup. This could happen because some of the raylet failed to startup or the "
    "GCS has become overloaded."
)
LONG = OSError("validate_socket_filename failed: AF_UNIX path length cannot exceed 107 bytes: /tmp/ddd/sockets/plasma")


class FakeRay(SimpleNamespace):
    """A Ray whose starts raise these errors, one after the other, and then succeed."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(errors=list(errors), asked=[], ended=0)

    def init(self, **options: Any) -> None:
        self.asked.append(options)
        if self.errors:
            raise self.errors.pop(0)

    def shutdown(self) -> None:
        self.ended += 1


def test_a_start_that_timed_out_is_retried_once() -> None:
    ray = FakeRay(TIMED_OUT)
    runner._begin(ray, "local", num_cpus=1)
    assert ray.asked == 2 * [{"address": "local", "num_cpus": 1}]
    assert ray.ended == 1


def test_a_second_timeout_is_refused() -> None:
    ray = FakeRay(TIMED_OUT, TimeoutError("again"), TIMED_OUT)
    with pytest.raises(RunError, match="cannot start or join Ray: again; give the same command again when") as caught:
        runner._begin(ray, "local")
    assert "--on processes" in str(caught.value)
    assert len(ray.asked) == 2


@pytest.mark.parametrize(
    "error",
    [
        LONG,
        PermissionError(13, "Permission denied", "/tmp/ray"),
        ConnectionError("Could not find any running Ray instance"),
        RuntimeError("Version mismatch"),
        ValueError("bad"),
        AssertionError("gcs"),
        KeyError("node_ip_address"),
        Exception("some of the processes died"),
        Exception(),
    ],
    ids=lambda error: f"{type(error).__name__}-{str(error)[:12]}",
)
def test_other_errors_are_refused_in_one_line(error: Exception) -> None:
    ray = FakeRay(error)
    with pytest.raises(RunError) as caught:
        runner._begin(ray, "local")
    line = str(caught.value)
    assert line.startswith("local: cannot start or join Ray: ")
    assert "\n" not in line
    assert "--on processes" in line
    assert caught.value.__cause__ is error
    assert len(ray.asked) == 1


def test_an_interrupt_at_the_start_is_passed_on() -> None:
    ray = FakeRay()
    ray.errors = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        runner._begin(ray, "local")


TINY = """
name = "tiny"
seed = 3
[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 2
[network]
hidden = [2]
[engine]
name = "reference"
[[case]]
name = "gaussian"
trajectories = 8
law = { name = "gaussian", scale = 0.5 }
"""


def test_a_too_long_tmpdir_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    folder = tmp_path / ("d" * 61)
    folder.mkdir()
    command = [sys.executable, "-m", "basins.cli", "run", "tiny.toml", "--on", "ray", "--workers", "1", "--out", "r"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(folder)}, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"error: local: cannot start or join Ray: the names of its sockets get too long in {folder}; "
        "set TMPDIR to a shorter path, such as /tmp, or use --on processes"
    )

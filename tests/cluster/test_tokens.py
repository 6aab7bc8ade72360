"""A head started with the exact commands in cluster/ requires a token; Ray with its defaults does not."""

from __future__ import annotations

import subprocess

import pytest
import yaml
from ray_head import BIN, environment, head, status
from test_manifests import CLUSTER

pytestmark = pytest.mark.slow


def words(name: str) -> str:
    """The start command of a `ray up` file, up to its options."""
    [command] = [
        line
        for line in yaml.safe_load((CLUSTER / name).read_text())["head_start_ray_commands"]
        if "ray start --head" in line
    ]
    found, start, _ = str(command).partition("ray start --head")
    return found + start


def test_both_files_start_a_head_with_the_same_command() -> None:
    assert words("aws.yaml") == words("on-premise.yaml")


def test_missing_token_returns_401() -> None:
    with head(cores=1, start=words("aws.yaml")) as started:
        assert status(started.url) == 401
        assert status(started.url, "f" * 64) == 403
        assert status(started.url, started.token.read_text()) == 200


def test_a_head_without_setting_and_token_is_open() -> None:
    """This shows that the test above can fail: it is how Ray starts if it finds neither the setting nor a token."""
    with head(cores=1, start="exec ray start --head", more={"HOME": "/nonexistent"}) as started:
        assert status(started.url) == 200


def test_the_setting_without_a_token_starts_nothing() -> None:
    """The container relies on this."""
    words = [str(BIN / "ray"), "start", "--head", "--include-dashboard=false", "--block", "--port=0"]
    given = {**environment(None), "RAY_AUTH_MODE": "token", "HOME": "/nonexistent"}
    started = subprocess.run(words, env=given, capture_output=True, text=True, timeout=60)
    assert started.returncode != 0
    assert "token" in started.stderr

"""A process without a home folder, or with that of another user, works without the files there."""

from __future__ import annotations

import ast
import os
import pwd
from pathlib import Path

import pytest

import basins
from basins.execution import ray
from basins.home import in_home, is_there
from basins.job import dashboard
from basins.store import s3_client


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an arbitrary uid in a container."""

    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError):
        Path.home()


@pytest.mark.usefixtures("homeless")
def test_a_process_without_a_home_works(monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_home(".ray") is None
    assert not is_there(in_home(".ray"))
    assert dashboard._token() is None
    assert not s3_client._any_credentials()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    ray._prepare_environment()

    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64, "a token of this process's own"


def test_a_home_of_another_user_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Path, "exists", refuse)
    assert not is_there(in_home(".aws", "credentials"))


def test_only_home_py_looks_for_a_home() -> None:
    """Neither Path.home, expanduser nor getuser, which raise or give what is no path."""
    for path in Path(basins.__file__).parent.rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert path.name == "home.py" or not names & {"home", "expanduser", "getuser"}, path

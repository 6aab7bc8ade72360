"""Without Ray, scikit-learn, matplotlib and Jinja2: basins runs, and what needs one of them says so in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from basins.errors import MissingExtraError
from basins.extras import EXTRAS, importing, required

ROOT = Path(__file__).parents[1]
EXPERIMENT = """
name = "plain"
seed = 3
trajectories = 64
[data]
source = "gaussian"
samples = 20
d_x = 3
d_y = 2
[network]
hidden = [2]
[law]
name = "gaussian"
scale = 0.5
"""


@pytest.fixture
def plain(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which no package of an extra can be imported, nor in those that it starts."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({list(EXTRAS)!r}))\n")
    path = os.pathsep.join((str(blocked), str(ROOT), os.environ.get("PYTHONPATH", "")))
    return {**os.environ, "PYTHONPATH": path}


def call(plain: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "basins.cli", *arguments]
    return subprocess.run(command, env=plain, cwd=folder, capture_output=True, text=True)


def test_everything_public_is_there_without_them(plain: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import importlib, basins\n"
        "for name in basins.__all__:\n"
        "    assert getattr(basins, name) is not None\n"
        f"for name in {list(EXTRAS)!r}:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ImportError:\n"
        "        continue\n"
        "    raise AssertionError(name)\n"
    )
    subprocess.run([sys.executable, "-c", code], env=plain, cwd=tmp_path, check=True)


def test_a_run_from_description_to_estimate_needs_none_of_them(plain: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "plain.toml").write_text(EXPERIMENT)
    for arguments in (
        ("describe", "plain.toml"),
        ("run", "plain.toml", "--out", "inline", "--on", "inline"),
        ("run", "plain.toml", "--out", "processes", "--on", "processes", "--workers", "1"),
        ("estimate", "inline"),
        ("status", "inline"),
        ("verify", "inline", "--sample", "4"),
    ):
        done = call(plain, tmp_path, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    one, other = (next((tmp_path / name).rglob("trajectories/*/part-*")) for name in ("inline", "processes"))
    assert one.read_bytes() == other.read_bytes()


RUN = str(ROOT / "tests" / "runs" / "schema-2" / "all")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("run", "plain.toml", "--on", "ray"),
            "--on ray needs Ray, which is not installed (extra 'ray'); "
            'pip install "ovf-basins[ray]", or choose --on processes',
        ),
        (
            ("submit", "plain.toml", "--out", "s3://bucket/run", "--address", "http://127.0.0.1:9"),
            "a job on a Ray cluster needs Ray, which is not installed (extra 'ray'); pip install \"ovf-basins[ray]\"",
        ),
        (
            ("describe", "digits.toml"),
            "digits.toml: data.source: sklearn:digits needs scikit-learn, which is not installed (extra 'data'); "
            'pip install "ovf-basins[data]"',
        ),
        (
            ("plot", "cost", RUN),
            "a figure needs matplotlib, which is not installed (extra 'report'); pip install \"ovf-basins[report]\"",
        ),
        (
            ("report", RUN),
            "a report needs matplotlib, which is not installed (extra 'report'); pip install \"ovf-basins[report]\"",
        ),
    ],
    ids=["ray", "job", "data", "plot", "report"],
)
def test_a_missing_extra_is_named_with_the_line_that_installs_it(
    plain: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "plain.toml").write_text(EXPERIMENT)
    (here / "digits.toml").write_text((ROOT / "examples" / "digits.toml").read_text())
    before = sorted(here.iterdir())
    done = call(plain, here, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {said}\n"
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("package", EXTRAS)
def test_it_is_an_import_error_of_ours(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    line = f'pip install "ovf-basins[{EXTRAS[package]}]"'
    with pytest.raises(MissingExtraError, match="this needs") as raised:
        required(package, "this", instead="do without")
    assert raised.value.remedy == f"{line}, or do without"
    with pytest.raises(ImportError, match="this needs") as at_import, importing(package, "this"):
        __import__(package)
    assert isinstance(at_import.value, MissingExtraError)
    assert at_import.value.remedy == line


def test_a_package_that_is_there_and_broken_is_not_called_missing(tmp_path: Path, plain: dict[str, str]) -> None:
    """Neither where it lacks a package of its own nor where its library cannot be loaded."""
    folder = tmp_path / "blocked"
    (folder / "sitecustomize.py").unlink()
    (folder / "matplotlib").mkdir()
    for broken, reason in (
        ("import kiwi_that_is_not_there\n", "No module named 'kiwi_that_is_not_there'"),
        ("raise ImportError('libfoo.so: cannot open')\n", "libfoo.so: cannot open"),
    ):
        (folder / "matplotlib" / "__init__.py").write_text(broken)
        done = call(plain, tmp_path, "plot", "cost", RUN)
        assert done.returncode == 2
        assert done.stderr == (
            f"error: a figure needs matplotlib, which is there but cannot be imported ({reason}); "
            'install it anew: pip install --force-reinstall "ovf-basins[report]"\n'
        )

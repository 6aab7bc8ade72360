"""The cache of compiled code is optional: damaged or missing code is compiled again, which is reported once."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import basins

PACKAGE = Path(basins.__file__).parent

PROBE = """
from basins.jit_cache import njit

@njit(cache=True)
def double(x):
    return 2 * x

@njit(cache=True)
def square(x):
    return x * x
"""

ASK = """
import sys
{before}
import probe
print(probe.double(21), probe.square(3.0), sum(sum(f.stats.cache_hits.values()) for f in (probe.double, probe.square)))
"""


Answer = tuple[str, list[str]]
"""The output of a process, and its notes on standard error."""

Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two compiled functions."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "probe.py").write_text(PROBE)
    return folder


def answer(code: Path, cache: str, before: str = "", **variables: str) -> Answer:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), str(code)]),
        "NUMBA_CACHE_DIR": cache,
        **variables,
    }
    command = [sys.executable, "-B", "-c", ASK.format(before=before)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), [one for one in done.stderr.splitlines() if "NoteWarning" in one]


@pytest.fixture(scope="module")
def full(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that has both."""
    folder = tmp_path_factory.mktemp("cache")
    assert answer(code, str(folder)) == ("42 9.0 0", [])
    return folder


@pytest.fixture
def cache(full: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(full, tmp_path / "cache")


@pytest.fixture
def ask(code: Path, cache: Path) -> Ask:
    """Ask a fresh process that has this cache."""
    return partial(answer, code, str(cache))


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.rglob(f"*{suffix}"))


def test_second_process_finds_what_the_first_compiled(ask: Ask) -> None:
    assert ask() == ("42 9.0 2", [])


def emptied(path: Path, content: bytes) -> None:
    path.write_bytes(b"")


def truncated(path: Path, content: bytes) -> None:
    path.write_bytes(content[: len(content) // 2])


def zeros(path: Path, content: bytes) -> None:
    path.write_bytes(bytes(len(content)))


def one_bit(path: Path, content: bytes) -> None:
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    path.write_bytes(changed)


def no_cache_at_all(path: Path, content: bytes) -> None:
    path.write_bytes(b"<html>not found</html>")


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", [emptied, truncated, zeros, one_bit, no_cache_at_all])
def test_a_damaged_file_is_a_miss(ask: Ask, cache: Path, suffix: str, damage: Callable[[Path, bytes], None]) -> None:
    there = files(cache, suffix)
    assert len(there) == 2
    for path in there:
        damage(path, path.read_bytes())
    said, lines = ask()
    assert said == "42 9.0 0"
    assert len(lines) == 1, "two functions, one line"
    assert "is damaged: it is compiled again" in lines[0]
    assert "NUMBA_CACHE_DIR" in lines[0]


def test_a_damaged_file_is_replaced(ask: Ask, cache: Path) -> None:
    for path in files(cache, ".nb?"):
        path.write_bytes(b"")
    assert ask()[0] == "42 9.0 0"
    assert ask() == ("42 9.0 2", [])


def test_a_folder_in_a_files_place_is_a_miss(ask: Ask, cache: Path) -> None:
    for path in files(cache, ".nbi"):
        path.unlink()
        path.mkdir()
    said, lines = ask()
    assert said == "42 9.0 0"
    assert "cannot be read (Is a directory)" in lines[0]
    assert "cannot be kept" in lines[1]
    assert len(lines) == 2


def test_a_full_disk_is_reported_once(code: Path, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))"
    said, lines = answer(code, str(tmp_path / "new"), limit)
    assert said == "42 9.0 0"
    assert len(lines) == 1
    assert "cannot be kept" in lines[0]
    assert "File too large" in lines[0]
    assert "NUMBA_CACHE_DIR" in lines[0]
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()], "nothing half-written"


def test_a_cache_dir_that_is_a_file(code: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said, lines = answer(code, str(tmp_path / "file"))
    assert said.startswith("42 9.0")
    assert len(lines) == 1
    assert f"NUMBA_CACHE_DIR={tmp_path / 'file'} cannot be written; {code}/__pycache__ is used" in lines[0]


NOWHERE = """
from numba.core import caching
def refuse(self):
    raise PermissionError(13, "Permission denied")
caching._CacheLocator.ensure_cache_path = refuse
"""


def test_a_cache_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    said, lines = answer(tmp_path, "", NOWHERE)
    assert said == "42 9.0 0"
    assert len(lines) == 1
    assert "neither the installation nor a home can be written" in lines[0]
    assert "set NUMBA_CACHE_DIR to a folder that can be written" in lines[0]


def test_a_read_only_installation_brings_its_code_along(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    assert answer(tmp_path, "") == ("42 9.0 0", [])
    assert answer(tmp_path, "", NOWHERE) == ("42 9.0 2", [])


def test_no_home_makes_no_folder_called_tilde(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "work").mkdir()
    homeless = f"""
import os, pwd
from numba.core import caching
def nobody(*_):
    raise KeyError("uid not found")
def refuse(*_):
    return None
pwd.getpwuid = nobody
caching.InTreeCacheLocator.from_function = refuse
for name in ("HOME", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
os.chdir({str(tmp_path / "work")!r})
"""
    said, lines = answer(tmp_path, "", homeless)
    assert said == "42 9.0 0"
    assert len(lines) == 1
    assert not list((tmp_path / "work").iterdir())


def test_hosts_with_other_cpus_do_not_take_each_others_code(ask: Ask, cache: Path) -> None:
    """numba numbers its files from what the index says, so that two hosts that save at once both take number 1. Here
    the second host has not seen the first one's index."""
    first = {path: path.read_bytes() for path in files(cache, ".nbc")}
    for index in files(cache, ".nbi"):
        index.unlink()
    other = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}
    assert ask(**other) == ("42 9.0 0", [])
    assert {path: path.read_bytes() for path in first} == first
    assert len(files(cache, ".nbc")) == 4
    assert ask(**other) == ("42 9.0 2", [])


def test_code_under_another_name_is_a_miss(ask: Ask, cache: Path) -> None:
    one, other = files(cache, ".nbc")
    one.write_bytes(other.read_bytes())
    assert ask() == ("42 9.0 1", [])


def test_all_compiled_functions_use_this_cache() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "numba":
                names = {alias.name for alias in node.names}
                assert not names & {"jit", "njit", "vectorize", "guvectorize", "cfunc"}, path.name
            if isinstance(node, ast.Import):
                assert path.name == "jit_cache.py" or "numba" not in {alias.name for alias in node.names}, path.name


TWO_SHARDS = """
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
name = "one"
trajectories = 8
law = { name = "gaussian", scale = 0.5 }
[[case]]
name = "two"
trajectories = 8
law = { name = "gaussian", scale = 0.3 }
"""


@pytest.mark.parametrize("runner", [["inline"], ["processes", "--workers", "2"]], ids=lambda one: one[0])
def test_a_run_reports_it_once_on_any_runner(tmp_path: Path, runner: list[str]) -> None:
    """What workers have to say comes with their shards."""
    (tmp_path / "tiny.toml").write_text(TWO_SHARDS)
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "basins.cli", "run", "tiny.toml", "--out", "run", "--on", *runner],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": str(tmp_path / "file")},
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "NUMBA_CACHE_DIR" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"warning: NUMBA_CACHE_DIR={tmp_path / 'file'} cannot be written; ")

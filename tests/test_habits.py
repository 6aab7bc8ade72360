"""The habits of development are there and hold together: make's targets, hooks, pinned tools, the release's script."""

from __future__ import annotations

import io
import re
import runpy
import tarfile
import tomllib
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()


def test_the_targets_that_the_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        named = set(re.findall(r"\bmake ([a-z-]+)(?=`|  )", (ROOT / page).read_text()))
        assert {"quick", "coverage", "release"} <= named, page
        assert named <= targets, page
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == targets


def test_quick_names_tests_that_are_there() -> None:
    """A folder that is moved would be left out, or end the command."""
    (named,) = re.findall(r"^QUICK := \$\(addprefix tests/,(.*?)\)$", MAKEFILE, flags=re.MULTILINE | re.DOTALL)
    paths = [ROOT / "tests" / name for name in named.replace("\\\n", " ").split()]
    assert len(paths) > 15
    for path in paths:
        assert path.suffix == ".py" or list(path.rglob("test_*.py")), path
        assert path.exists(), path


def test_the_tests_that_compile_proofs_are_there() -> None:
    """A file that is moved would compile them a second time, on a worker of its own."""
    for name in runpy.run_path(str(ROOT / "tests" / "conftest.py"))["COMPILE_PROOFS"]:
        assert (ROOT / name).exists(), name


def test_every_test_file_has_a_name_of_its_own() -> None:
    """pytest imports them by name alone: of two with one name the second ends the whole run, and only the whole run."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py")
    assert [name for name, many in names.items() if many > 1] == []


def test_hooks_are_the_tools_of_the_environment() -> None:
    """Nothing is fetched, and the versions are the pinned ones."""
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert [hook["id"] for hook in repository["hooks"]] == ["ruff-check", "ruff-format", "mypy", "mypy-tests"]
    pinned = (ROOT / "requirements-dev.txt").read_text()
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert re.search(rf"^{tool}==", pinned, flags=re.MULTILINE), hook["entry"]


def test_every_development_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = "\n".join((ROOT / name).read_text() for name in ("requirements.txt", "requirements-dev.txt"))
    names = {re.split(r"[=\[]", line)[0].lower().replace("_", "-") for line in pinned.splitlines() if "==" in line}
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    wanted = {re.split(r"[<>=\[;]", one)[0].strip().lower() for one in asked} - {"ovf-basins"}
    assert wanted <= names


def test_a_release_that_lacks_a_file_or_brings_a_foreign_one_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("packaging")
    script: dict[str, Any] = runpy.run_path(str(ROOT / ".ci" / "release.py"))
    metadata = "Metadata-Version: 2.4\nName: ovf-basins\nVersion: 0.1.0\n"
    wheel, sdist = tmp_path / "ovf_basins-0.1.0-py3-none-any.whl", tmp_path / "ovf_basins-0.1.0.tar.gz"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ovf_basins-0.1.0.dist-info/METADATA", metadata)
        archive.writestr("tests/test_foreign.py", "")
        for name in script["IN_WHEEL"][1:]:
            archive.writestr(name, "")
    with tarfile.open(sdist, "w:gz") as tar:
        for name in (*script["IN_SDIST"], "PKG-INFO"):
            content = metadata.encode() if name == "PKG-INFO" else b""
            info = tarfile.TarInfo(f"ovf_basins-0.1.0/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(SystemExit, match=r"lacking: basins/py\.typed; foreign in the wheel: tests/test_foreign\.py"):
        script["check"]({"name": "ovf-basins", "version": "0.1.0"}, wheel, sdist)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ovf_basins-0.1.0.dist-info/METADATA", metadata.replace("0.1.0", "0.1.1"))
        for name in script["IN_WHEEL"]:
            archive.writestr(name, "")
    with pytest.raises(SystemExit, match="version of the wheel and of the sdist differ"):
        script["check"]({"name": "ovf-basins", "version": "0.1.0"}, wheel, sdist)

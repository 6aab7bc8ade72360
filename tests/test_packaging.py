"""What a plain installation asks for is what `basins` imports; the extras have the rest; the metadata are complete."""

from __future__ import annotations

import ast
import io
import re
import runpy
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import basins
from basins.extras import EXTRAS, NAMES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

DISTRIBUTIONS = {"sklearn": "scikit-learn", "tomli_w": "tomli-w"}
"""Where the name to import is not the name to install."""

WITH_RAY = ("aiohttp", "requests")
"""What `ray[default]` brings along, imported where Ray was found."""


def imported(path: Path) -> set[str]:
    """The packages besides the standard library's and basins' own that a file imports, late imports included; those
    under TYPE_CHECKING are not."""
    found: set[str] = set()

    def look(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in child.names)
            if isinstance(child, ast.ImportFrom):
                found.add((child.module or "").partition(".")[0])
            look(child)

    look(ast.parse(path.read_text()))
    return found - set(sys.stdlib_module_names) - {"basins"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[;]", one)[0].strip().lower() for one in requirements}


def test_the_dependencies_are_what_is_imported() -> None:
    """Each of a plain installation is imported somewhere, and each that is imported is installed, or in an extra."""
    used = {package for path in Path(basins.__file__).parent.rglob("*.py") for package in imported(path)}
    # Ray is imported by its name in a string, for its settings have to be there before.
    used = used - set(WITH_RAY) | {"ray"}
    plain = {DISTRIBUTIONS.get(package, package) for package in used - set(EXTRAS)}
    assert plain == names(PROJECT["dependencies"])
    assert set(EXTRAS) <= used


def test_every_extra_has_what_is_asked_of_it() -> None:
    extras = PROJECT["optional-dependencies"]
    assert set(NAMES) == set(EXTRAS)
    for package, extra in EXTRAS.items():
        assert DISTRIBUTIONS.get(package, package) in names(extras[extra]), package
    assert extras["all"] == [f"ovf-basins[{','.join(dict.fromkeys(EXTRAS.values()))}]"]
    assert extras["dev"][0] == "ovf-basins[all]"


def test_requirements_pin_everything_that_is_asked_for() -> None:
    """`make run` has Ray, and `make test` everything."""

    def pinned(file: str) -> set[str]:
        lines = (line for line in (ROOT / file).read_text().splitlines() if "==" in line)
        return {re.split(r"[=\[]", line)[0].lower().replace("_", "-") for line in lines}

    extras = PROJECT["optional-dependencies"]
    assert names(PROJECT["dependencies"]) | names(extras["ray"]) <= pinned("requirements.txt")
    assert names(extras["data"]) | names(extras["report"]) <= pinned("requirements-dev.txt")


def test_the_citation_is_of_this_version_and_complete() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    required = {"cff-version", "message", "type", "title", "abstract", "authors", "version", "license", "keywords"}
    assert required <= set(citation)
    assert (citation["version"], citation["license"]) == (basins.__version__, PROJECT["license"])
    assert citation["authors"] == PROJECT["authors"]
    assert sorted(citation["keywords"]) == sorted(PROJECT["keywords"])
    (paper,) = citation["references"]
    assert {"authors", "title", "journal", "year", "volume", "issue", "start", "end", "doi", "url"} <= set(paper)
    assert PROJECT["urls"] == {"Paper": f"https://doi.org/{paper['doi']}", "Preprint": paper["url"]}


def test_the_version_is_said_once_for_all() -> None:
    assert PROJECT["version"] == basins.__version__


# --- the release's script -----------------------------------------------------------------------------------------


def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / ".ci" / "release.py"))


def test_the_size_of_an_installation_is_what_du_says_without_bytecode(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    empty = script()["on_disk"](tmp_path)
    (tmp_path / "module.py").write_bytes(b"#" * 40_000)
    (tmp_path / "the same.py").hardlink_to(tmp_path / "module.py")
    (tmp_path / "__pycache__" / "module.pyc").write_bytes(b"#" * 400_000)
    assert 40_000 <= script()["on_disk"](tmp_path) - empty < 80_000
    assert script()["MOST"] == 620 * 1024**2


def test_a_long_description_that_links_to_files_is_refused(tmp_path: Path) -> None:
    release = script()
    project = {"name": "ovf-basins", "version": "0.1.0"}
    wheel, sdist = tmp_path / "ovf_basins-0.1.0-py3-none-any.whl", tmp_path / "ovf_basins-0.1.0.tar.gz"
    for link, refused in (("[this](https://doi.org/10.3934/mcrf.2022021)", False), ("[this](docs/tail.md)", True)):
        metadata = f"Metadata-Version: 2.4\nName: ovf-basins\nVersion: 0.1.0\n\nRead {link}.\n"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("ovf_basins-0.1.0.dist-info/METADATA", metadata)
            for name in release["IN_WHEEL"]:
                archive.writestr(name, "")
        with tarfile.open(sdist, "w:gz") as tar:
            for name in (*release["IN_SDIST"], "PKG-INFO"):
                content = metadata.encode() if name == "PKG-INFO" else b""
                info = tarfile.TarInfo(f"ovf_basins-0.1.0/{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        if refused:
            with pytest.raises(SystemExit, match=r"the long description links to files: \]\(docs/tail\.md\)"):
                release["check"](project, wheel, sdist)
        else:
            release["check"](project, wheel, sdist)


def test_the_readme_becomes_a_description_without_links_to_files() -> None:
    """As the build does it."""
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"]
    text = (ROOT / "README.md").read_text()
    for one in hook["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    assert re.findall(r"\]\((?!https?:)", text) == []
    assert "docs/tail.md" in text
    assert "staircase.png)" not in text

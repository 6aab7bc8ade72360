"""What a plain installation asks for is what `basins` imports; the extras have the rest; the metadata are complete."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

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

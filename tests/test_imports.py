"""Who may import whom: downward only, read from the source. And what `import basins` must not pull in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import basins
from basins.called_late import called_late

PACKAGE = Path(basins.__file__).parent

# From the ground up; a room may import rooms on lower floors, and its neighbours on its own floor.
DEEP_LINEAR = "landscapes.deep_linear"
FLOORS = [
    [
        "errors",
        "extras",
        "called_late",
        "dataclass_tables",
        "home",
        "import_path",
        "jit_cache",
        "keys",
        "later",
        "notes",
        "rounding",
        "standard_output",
        "versions",
    ],
    ["arrays", "rows", "random", "statistics", "codegen"],
    ["landscapes"],
    [f"{DEEP_LINEAR}.{name}" for name in ("problem_checks", "precision", "samples")],
    [f"{DEEP_LINEAR}.{name}" for name in ("gradient", "gradient_code", "strata", "reduction", "compression.frames")],
    [f"{DEEP_LINEAR}.compression.chi"],
    [f"{DEEP_LINEAR}.problem", f"{DEEP_LINEAR}.problem_table"],
    [DEEP_LINEAR, "laws"],
    ["certified_share", "dynamics"],
    ["integrators", "proof"],
    ["classification.verdict", "classification.limit_table"],
    ["classification", "trajectories", "endpoint"],
    ["experiment"],
    ["store"],
    ["examples"],
    ["execution.shard", "execution.extension", "estimate"],
    ["run_tables", "run_actions"],
    ["summary", "rare"],
    ["experiment.packed", "job"],
    [
        "progress",
        "execution",
        "description",
        "show",
        "status",
        "verify",
        "planning",
        "comparison",
        "output",
        "output.figures",
    ],
    ["rare.tail", "rare.formatting"],
    ["output.figures.tail"],
    ["output.report", "commands"],
    ["output.console"],
    ["drafting"],
    ["cli"],
    ["job.entry", "job.__main__"],
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def room(module: str) -> str:
    """The longest prefix of a module's name that has a floor: basins.integrators.scipy -> integrators."""
    parts = module.removeprefix("basins").removeprefix(".").split(".")
    prefixes = [".".join(parts[:k]) for k in range(len(parts), 0, -1)]
    return next((prefix for prefix in prefixes if prefix in FLOOR), parts[0])


TYPED_UPWARD = {
    "basins.run_actions types basins.progress",
    "basins.run_actions types basins.show",
    "basins.run_actions types basins.status",
    "basins.run_actions types basins.verify",
    "basins.classification.verdict types basins.trajectories",
    "basins.estimate.frames types basins.run_tables",
    "basins.estimate.of_run types basins.run_tables",
    "basins.estimate.proved types basins.run_tables",
}
"""Imported from a higher floor for annotations alone: an estimate is made of a run, and a run makes its estimate;
limits may hold their trajectories, and a run gives back what is made of it."""


@dataclass
class Imports:
    """The modules of a package that one of its files imports, by full name.

    run: when it is imported or one of its functions runs; typed: under TYPE_CHECKING, for annotations alone.
    """

    run: set[str] = field(default_factory=set)
    typed: set[str] = field(default_factory=set)


def imports(path: Path, package: Path) -> Imports:
    """What a file imports of the package, late imports in functions included."""
    found = Imports()
    _read(ast.parse(path.read_text()), found, package, typed=False)
    return found


def _read(node: ast.AST, found: Imports, package: Path, typed: bool) -> None:
    for child in ast.iter_child_nodes(node):
        into = found.typed if typed else found.run
        if isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports name their module in full"
            if (child.module or "").split(".")[0] == package.name:
                into.update(_module(child.module or "", alias.name, package) for alias in child.names)
        elif isinstance(child, ast.Import):
            into.update(alias.name for alias in child.names if alias.name.split(".")[0] == package.name)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            _read(ast.Module(child.body, []), found, package, typed=True)
            _read(ast.Module(child.orelse, []), found, package, typed)
        else:
            _read(child, found, package, typed)


def _module(module: str, name: str, package: Path) -> str:
    """What `from module import name` imports: the module of that name, where there is one."""
    inner = package.parent / module.replace(".", "/") / name
    return f"{module}.{name}" if inner.with_suffix(".py").exists() or (inner / "__init__.py").exists() else module


def named(path: Path, package: Path) -> str:
    return ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")


def upward(path: Path) -> list[str]:
    name = named(path, PACKAGE)
    if name == "basins":
        return []  # the public door only names what is behind it, and resolves it late
    here, found = FLOOR[room(name)], imports(path, PACKAGE)

    def above(targets: set[str]) -> list[str]:
        return [target for target in sorted(targets - {"basins"}) if FLOOR[room(target)] > here]

    return [f"{name} imports {t}" for t in above(found.run)] + [f"{name} types {t}" for t in above(found.typed)]


def circle(package: Path) -> list[str]:
    """Modules of a package of which each imports the next, the last the first; none where there are none."""
    graph = {named(path, package): imports(path, package).run - {package.name} for path in package.rglob("*.py")}
    del graph[package.name]  # the public door, as above
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_every_room_has_a_floor() -> None:
    rooms = {room(".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts)) for p in PACKAGE.rglob("*.py")}
    assert rooms - {"__init__", ""} <= set(FLOOR)


def test_imports_run_downward_only() -> None:
    """Late ones too; for annotations those that are listed, and no other."""
    assert {line for path in PACKAGE.rglob("*.py") for line in upward(path)} == TYPED_UPWARD


@pytest.mark.parametrize("package", [PACKAGE, PACKAGE.parent / "chaos"], ids=lambda package: package.name)
def test_imports_make_no_circle(package: Path) -> None:
    """Not in a room either, nor by late imports."""
    assert circle(package) == []


LATE = "def f():\n    if True:\n        from basins.store import Files\n"
TRIED = "try:\n    import basins.store\nexcept ImportError:\n    pass\n"
TYPED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from basins.store import Files\n"
IMPORTED, TYPES = "basins.laws imports basins.store", "basins.laws types basins.store"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from basins.store import Files\n", [IMPORTED]),
        ("from basins import store\n", [IMPORTED]),
        (LATE, [IMPORTED]),
        (TRIED, [IMPORTED]),
        (TYPED, [TYPES]),
        (TYPED + "else:\n    import basins.store\n", [IMPORTED, TYPES]),
        ("from basins.errors import RunError\n", []),
    ],
    ids=["top", "module", "late", "tried", "typed", "else", "downward"],
)
def test_an_upward_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: list[str]) -> None:
    house = tmp_path / "basins"
    house.mkdir()
    (house / "__init__.py").touch()
    (house / "laws.py").write_text(text)
    (house / "store.py").write_text("from basins.laws import Law\n")
    (house / "errors.py").touch()
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", house)
    assert upward(house / "laws.py") == said
    assert upward(house / "store.py") == []
    assert set(circle(house)) == ({"basins.laws", "basins.store"} if IMPORTED in said else set())


NUMERICS = FLOORS[:9]


def test_numerics_know_no_ray_and_never_print() -> None:
    rooms = {name for floor in NUMERICS for name in floor}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        if room(name) not in rooms:
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path.name} prints"
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(n.split(".")[0] == "ray" for n in names), f"{path.name} imports ray"


def test_import_basins_is_light() -> None:
    code = (
        "import sys, basins\n"
        "heavy = [m for m in ('ray', 'matplotlib', 'pandas', 'pyarrow', 'sklearn') if m in sys.modules]\n"
        "assert not heavy, heavy\n"
        "basins.Problem, basins.integrate\n"
        "heavy = [m for m in ('ray', 'matplotlib') if m in sys.modules]\n"
        "assert not heavy, heavy\n"
        "basins.run, basins.open_run\n"
        "heavy = [m for m in ('ray', 'matplotlib') if m in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_called_late_is_there() -> None:
    """Names of functions above their callers, which no import and no type checks."""
    names = {
        name for path in PACKAGE.rglob("*.py") for name in re.findall(r'called_late\(\s*"([^"]+)"', path.read_text())
    }
    assert "basins.output.figures.of_trajectory:of_trajectory" in names
    assert all(callable(called_late(name)) for name in names)


def test_a_run_imports_no_proofs_and_no_solvers() -> None:
    """They would add to the start of every command and every worker, scipy's solvers about 0.3 s. What needs them
    imports them late."""
    code = (
        "import sys, basins.execution.run, basins.execution.shard, basins.cli.runs, basins.estimate.of_run\n"
        "import basins.integrators.simd.integrator\n"
        "seldom = ('basins.proof', 'scipy.integrate', 'scipy.optimize', 'scipy.sparse')\n"
        "imported = [m for m in sys.modules if m.startswith(seldom)]\n"
        "assert not imported, imported\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_lists_the_public_names() -> None:
    for name in basins.__all__:
        assert getattr(basins, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        basins.nothing  # noqa: B018

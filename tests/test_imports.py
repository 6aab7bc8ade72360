"""Who may import whom: downward only, read from the source. And what `import basins` must not pull in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import basins

PACKAGE = Path(basins.__file__).parent

# From the ground up; a room may import rooms on lower floors, and its neighbours on its own floor.
DEEP_LINEAR = "landscapes.deep_linear"
FLOORS = [
    ["errors", "home", "jit_cache", "later", "notes", "rounding", "streams", "versions"],
    ["arrays", "random", "statistics", "codegen"],
    ["landscapes"],
    [f"{DEEP_LINEAR}.{name}" for name in ("problem_checks", "precision")],
    [f"{DEEP_LINEAR}.{name}" for name in ("gradient", "gradient_code", "strata", "reduction", "compression.frames")],
    [f"{DEEP_LINEAR}.compression.chi"],
    [f"{DEEP_LINEAR}.problem"],
    [DEEP_LINEAR, "laws"],
    ["integrators", "proof"],
    ["classification.verdict"],
    ["classification", "trajectory"],
    ["experiment"],
    ["store"],
    ["execution.shard", "execution.extension", "estimate"],
    ["run_tables"],
    ["summary", "rare"],
    ["experiment.packed", "job"],
    ["progress", "execution", "describe", "show", "status", "verify", "planning", "output", "output.figures"],
    ["output.report", "rare.tail", "rare.formatting"],
    ["output.console"],
    ["cli"],
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def room(module: str) -> str:
    """The longest prefix of a module's name that has a floor: basins.integrators.scipy -> integrators."""
    parts = module.removeprefix("basins").removeprefix(".").split(".")
    prefixes = [".".join(parts[:k]) for k in range(len(parts), 0, -1)]
    return next((prefix for prefix in prefixes if prefix in FLOOR), parts[0])


def imports(path: Path) -> set[str]:
    """The basins modules that a file imports outside TYPE_CHECKING blocks and functions."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("basins"):
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (PACKAGE.parent / (inner.replace(".", "/") + ".py")).exists()
                is_module |= (PACKAGE.parent / inner.replace(".", "/") / "__init__.py").exists()
                found.add(inner if is_module else node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.startswith("basins"))
    return found


def upward(path: Path) -> list[str]:
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    if name == "basins":
        return []  # the public door only names what is behind it, and resolves it late
    here = FLOOR[room(name)]
    behind = imports(path) - {"basins"}
    return [f"{name} imports {target}" for target in sorted(behind) if FLOOR[room(target)] > here]


def test_every_room_has_a_floor() -> None:
    rooms = {room(".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts)) for p in PACKAGE.rglob("*.py")}
    assert rooms - {"__init__", ""} <= set(FLOOR)


def test_imports_run_downward_only() -> None:
    assert [line for path in sorted(PACKAGE.rglob("*.py")) for line in upward(path)] == []


def test_an_upward_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = tmp_path / "basins"
    house.mkdir()
    (house / "laws.py").write_text("from basins.store import Files\n")
    (house / "store.py").write_text("from basins.laws import Law\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", house)
    assert upward(house / "laws.py") == ["basins.laws imports basins.store"]
    assert upward(house / "store.py") == []


NUMERICS = FLOORS[:8]


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


def test_the_door_names_what_it_has() -> None:
    for name in basins.__all__:
        assert getattr(basins, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        basins.nothing  # noqa: B018

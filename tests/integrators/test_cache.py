"""numba's cache looks at a function's own file: what a file compiles in from others, it must name itself."""

from __future__ import annotations

import ast
import enum
import hashlib
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from numba.core.dispatcher import Dispatcher

import basins

PACKAGE = Path(basins.__file__).parent
CACHED = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if "cache=True" in path.read_text()
)


def imported(module: ModuleType) -> dict[str, Any]:
    """What a module takes from others of basins, by name."""
    names = [
        alias.asname or alias.name
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("basins")
        for alias in node.names
    ]
    return {name: getattr(module, name) for name in sorted(names)}


def compiled_in(module: ModuleType) -> dict[str, str]:
    """What of other files ends up in this one's machine code: files of compiled functions, constants, enumerations."""
    found = {}
    for name, value in imported(module).items():
        if isinstance(value, Dispatcher):
            home = import_module(value.py_func.__module__)
            found |= compiled_in(home) | {home.__name__: inspect.getsource(home)}
        elif isinstance(value, (int, float, tuple)):
            found[name] = repr(value)
        elif isinstance(value, enum.EnumType):
            found[name] = repr(list(value))
    return found


def digest(module: ModuleType) -> str:
    return hashlib.sha256(repr(sorted(compiled_in(module).items())).encode()).hexdigest()[:12]


@pytest.mark.parametrize("name", CACHED)
def test_what_is_compiled_in_is_named(name: str) -> None:
    module = import_module(name)
    named = getattr(module, "COMPILED_IN", None)
    assert named == (digest(module) if compiled_in(module) else None), f"write COMPILED_IN = {digest(module)!r}"


def test_functions_constants_and_enumerations_of_other_files_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from basins.integrators.simd import driver, stopping

    found = compiled_in(driver)
    assert found["basins.integrators.simd.stopping"] == inspect.getsource(stopping)
    assert {"MAX_FACTOR", "GOES_ON", "Stop", "basins.integrators.simd.visits"} < set(found)
    assert "STIFFNESS" not in found, "its own, which numba sees"
    before = digest(driver)
    monkeypatch.setattr(driver, "MAX_FACTOR", 11.0)
    assert digest(driver) != before

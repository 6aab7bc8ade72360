"""numba's cache is keyed by every file that a function's machine code is made of."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import basins
from basins import jit_cache

PACKAGE = Path(basins.__file__).parent
CACHED = sorted(path for path in PACKAGE.rglob("*.py") if "cache=True" in path.read_text() and path.stem != "jit_cache")


def names(files: tuple[Path, ...]) -> set[str]:
    return {file.relative_to(PACKAGE).as_posix() for file in files}


def test_there_are_cached_files() -> None:
    assert len(CACHED) >= 6


@pytest.mark.parametrize("path", CACHED, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_import_of_a_cached_file_is_seen(path: Path) -> None:
    """The line that marks a file that compiles, and all that the file takes from others of basins."""
    assert jit_cache.COMPILES in path.read_text(), "njit comes from basins.jit_cache, by this line"
    seen = jit_cache.compiled_files(path)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("basins") for alias in node.names), "write `from basins... import`"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("basins."):
            folder = PACKAGE.joinpath(*str(node.module).split(".")[1:])
            candidates = [folder.with_suffix(".py"), *(folder / f"{alias.name}.py" for alias in node.names)]
            assert any(one in seen for one in candidates), f"{node.module} is not seen"


def test_helpers_of_helpers_are_seen() -> None:
    driver = names(jit_cache.compiled_files(PACKAGE / "integrators/simd/driver.py"))
    assert {
        f"integrators/simd/{name}.py" for name in ("driver", "stopping", "visits", "row_states", "dop853")
    } <= driver
    assert "integrators/base.py" in driver, "constants and enumerations of it are compiled in"
    assert "errors.py" not in driver, "what a file imports that compiles nothing is not followed"


def test_changed_constant_of_another_file_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = tmp_path / "basins"
    house.mkdir()
    (house / "a.py").write_text(f"{jit_cache.COMPILES}\nfrom basins.b import (\n    X,\n)\n\ndef f():\n    return X\n")
    (house / "b.py").write_text(f"{jit_cache.COMPILES}\nfrom basins import c\n\nX = c.Y\n")
    (house / "c.py").write_text("Y = 1\n")
    monkeypatch.setattr(jit_cache, "PACKAGE", house)
    monkeypatch.setattr(jit_cache.inspect, "getfile", lambda function: str(house / "a.py"))

    def digest() -> str:
        jit_cache.compiled_files.cache_clear()
        return jit_cache.sources_digest(None)

    try:
        before = digest()
        assert digest() == before
        (house / "c.py").write_text("Y = 2\n")
        assert digest() != before
    finally:
        jit_cache.compiled_files.cache_clear()

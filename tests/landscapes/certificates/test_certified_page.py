"""The numbers of docs/certified.md are computed again."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "certified.md").read_text()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("certified_script", ROOT / "docs" / "tables" / "certified.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def figures(text: str) -> list[float | str]:
    """The cells of a line, numbers as numbers."""
    return [float(cell) if cell.replace(".", "").isdigit() else cell for cell in text.strip("| ").split(" | ")]


@pytest.mark.parametrize("widths", [(2, 2, 2, 2), (2, 2, 2, 2, 2)], ids=str)
def test_row_of_the_page_equals_script_output(script: ModuleType, widths: tuple[int, ...]) -> None:
    """To a draw or two, because another LAPACK may put an eigenvalue on the other side of its tolerance."""
    problem = script.problem_of(widths)
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| {widths} |")]
    made = [script.row_by_scale(problem, str(widths)), script.row_by_ratio(problem, str(widths))]
    for row, again in zip(rows, made, strict=True):
        for cell, fresh in zip(figures(row), figures(again), strict=True):
            assert cell == (pytest.approx(fresh, abs=0.06) if isinstance(fresh, float) else fresh)


def test_invariant_certificates_do_not_depend_on_a_common_scale(script: ModuleType) -> None:
    """Why columns are pooled: a start and twice the start have the same certificates."""
    from basins import certify
    from basins.laws import Gaussian, starts

    problem = script.problem_of((3, 3, 2, 2))
    W = starts(problem, Gaussian(0.5), 1, 0)
    one, two = certify(problem, W).start, certify(problem, 2 * W).start
    assert (one.global_minimum == two.global_minimum).all()
    assert (one.nonstrict_least_rank == two.nonstrict_least_rank).all()
    assert two.rate == pytest.approx(one.rate * 2 ** (2 * problem.H))


def test_the_page_has_every_shape_twice(script: ModuleType) -> None:
    assert len(script.SHAPES) > 20
    assert {len(widths) - 2 for widths in script.SHAPES} == {1, 2, 3, 4}
    for widths in script.SHAPES:
        assert PAGE.count(f"| {widths} |") == 2
    for name in script.EXAMPLES:
        assert PAGE.count(f"| {name} (") == 2

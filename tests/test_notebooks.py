"""Every notebook runs from top to bottom, on fewer trajectories; what it keeps is small and holds no error."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
FEW = {
    "1_first_look": "N = 300",
    "2_theorem_one_hidden_layer": "N = 3000",
    "3_two_hidden_layers": "N = 2000",
    "4_real_data": "N = 8",
    "5_planted_saddles": "N = 16",
}
LARGEST = 400_000
"""Bytes of a notebook with its outputs."""


def test_there_are_five() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(FEW)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_small_and_whole(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < LARGEST
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))  # in one go, from the top
    kept = [output for cell in cells for output in cell.outputs]
    assert not [output for output in kept if output.output_type == "error"]
    assert [output for output in kept if "image/png" in output.get("data", {})]
    assert "/tmp/" not in path.read_text()  # nothing of the machine it was run on


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_experiments_are_built_in_python(path: Path) -> None:
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    assert "toml" not in source.lower()
    assert "trajectories =" not in source
    assert ("basins.run(" in source) == (path.stem != "5_planted_saddles")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[] if path.stem.startswith("1") else [pytest.mark.slow], id=path.stem)
        for path in NOTEBOOKS
    ],
)
def test_runs_from_the_top(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In any folder, where it leaves nothing."""
    notebook = nbformat.read(path, as_version=4)
    parameters = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    assert len(parameters) == 1
    parameters[0].source = FEW[path.stem]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    assert list(tmp_path.iterdir()) == []

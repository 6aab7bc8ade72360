"""README's Python and TOML blocks run as they stand, and the commands it names exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from basins.cli import main
from basins.experiment import Experiment

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one namespace, in a folder that has the examples."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    assert len(blocks("python")) == 3
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)
    assert (namespace["limits"].verdict == 0).all()  # type: ignore[attr-defined]
    assert len(namespace["rows"]) == len(namespace["run"].trajectories())  # type: ignore[arg-type, attr-defined]


def test_the_toml_block_is_an_experiment() -> None:
    (block,) = blocks("toml")
    experiment = Experiment.from_toml(block, ROOT / "examples")
    assert [case.trajectories for case in experiment.cases] == [400_000, 400_000]
    assert tomllib.loads(experiment.text)["seed"] == 1


def test_the_commands_and_files_it_names_exist() -> None:
    for command in set(re.findall(r"^    basins (\w+)", README, flags=re.MULTILINE)):
        assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0
    for target in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / target).exists(), target
    for target in re.findall(r"\bexamples/\w+\.toml", README):
        assert (ROOT / target).exists(), target

"""Cases by any part of their names, tables that carry them, and pages of many cases."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "execution"))
from experiments import data_files

from basins.cli import main
from basins.errors import ArgumentError
from basins.execution.run import run
from basins.experiment import Experiment
from basins.run_tables import Run, open_run

TEXT = """
name = "Wide"
seed = 3
trajectories = 20
data = {{ source = "gaussian", samples = 20, d_x = 2, d_y = 1 }}
network = {{ hidden = [2, 2] }}
law = {{ name = "gaussian" }}
engine = {{ name = "reference", budget = 1 }}
sweep = {{ "law.scale" = {scales}, "data.seed" = {{ count = {pairs} }} }}
"""


def swept(scales: list[float], pairs: int) -> Experiment:
    return Experiment.from_toml(TEXT.format(scales=scales, pairs=pairs), Path())


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Twelve cases: three scales, four pairs."""
    path = tmp_path_factory.mktemp("names") / "run"
    run(swept([0.5, 0.55, 1.0], 4), path, on="inline")
    return open_run(path)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("Wide, law.scale = 0.55, data.seed = 2", "Wide, law.scale = 0.55, data.seed = 2"),
        ("0.55, data.seed = 2", "Wide, law.scale = 0.55, data.seed = 2"),
        ("SCALE = 1.0, DATA.SEED = 3", "Wide, law.scale = 1.0, data.seed = 3"),
    ],
)
def test_a_part_that_one_case_has(part: str, name: str, opened: Run) -> None:
    assert opened.case(part).name == name
    assert swept([0.5, 0.55, 1.0], 4).case(part).name == name
    key = opened.case(name).key
    assert opened.case(key).key == opened.case(key[:9]).key == key


def test_a_whole_part_goes_before_a_piece(tmp_path: Path) -> None:
    """law.scale = 0.5 is one case, though law.scale = 0.55 begins with it."""
    alone = swept([0.5, 0.55], 1)
    assert alone.case("law.scale = 0.5").name == "Wide, law.scale = 0.5, data.seed = 0"
    with pytest.raises(
        ArgumentError, match=r"2 cases match 'scale = 0.5': 'Wide, law.scale = 0.5, data.seed = 0', 'Wide"
    ):
        alone.case("scale = 0.5")


def test_a_part_that_several_have_is_refused_with_a_list(opened: Run) -> None:
    with pytest.raises(ArgumentError) as raised:
        opened.case("law.scale = 0.5")
    assert raised.value.what.startswith("4 cases match 'law.scale = 0.5': 'Wide, law.scale = 0.5, data.seed = 0', ")
    assert raised.value.remedy == "give more of the name"
    with pytest.raises(ArgumentError, match=r"12 cases match 'wide': .* and 4 more; give more of the name"):
        opened.case("wide")
    for nothing in ("", "  ", "no such case"):
        with pytest.raises(ArgumentError):
            opened.case(nothing)


def test_commands_take_a_part(opened: Run) -> None:
    done = CliRunner().invoke(main, ["estimate", opened.path, "--case", "1.0, data.seed = 3"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Wide, law.scale = 1.0, data.seed = 3  ")
    refused = CliRunner().invoke(main, ["show", opened.path, "--case", "seed = 3", "--id", "1"])
    assert refused.exit_code == 2
    assert "3 cases match 'seed = 3'" in refused.stderr


def test_tables_have_the_names_and_no_byte_depends_on_them(opened: Run, tmp_path: Path) -> None:
    for table in (opened.trajectories(), opened.blocks(), opened.visits(), opened.trajectories(columns=["id", "name"])):
        assert list(table.columns[:2]) == ["case", "name"]
        assert table["name"].dtype == "category"
        assert list(table["name"].cat.categories) == [case.name for case in opened.manifest.cases]
    rows = opened.trajectories()
    cases = opened.cases().set_index("case")["name"]
    assert (rows["name"].astype(str) == rows["case"].astype(str).map(cases)).all()
    assert rows.groupby("name", observed=True).size().eq(20).all()
    assert "name" not in pd.read_parquet(Path(opened.path) / "trajectories").columns
    renamed = Experiment.from_toml(TEXT.replace('"Wide"', '"Other"').format(scales=[0.5, 0.55, 1.0], pairs=4), Path())
    run(renamed, tmp_path / "run", on="inline")
    shards = [
        {k: v for k, v in data_files(path).items() if "part-" in k} for path in (Path(opened.path), tmp_path / "run")
    ]
    assert shards[0] == shards[1]
    assert len(shards[0]) == 36


def test_a_run_of_twelve_cases_is_a_table(opened: Run) -> None:
    done = CliRunner().invoke(main, ["estimate", opened.path])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "12 cases  --case PART shows one in full"
    assert sum(bool(re.match(r"  Wide, law\.scale = \S+, data\.seed = \d ", line)) for line in lines) == 12
    assert len(lines) < 40


def test_a_hundred_and_fifty_cases_are_described_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "many.toml").write_text(TEXT.format(scales=[0.5, 0.55, 1.0], pairs=50))
    done = CliRunner().invoke(main, ["describe", str(tmp_path / "many.toml")])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "Wide  150 cases, seed 3; --case PART describes one"
    assert sum("data.seed = " in line for line in lines) == 150
    assert "3,000 trajectories in 150 shards." in " ".join(done.stdout.split())
    one = CliRunner().invoke(main, ["describe", str(tmp_path / "many.toml"), "--case", "1.0, data.seed = 33"])
    assert one.exit_code == 0, one.output
    assert "Wide, law.scale = 1.0, data.seed = 33  case " in one.stdout
    assert "assumption" in one.stdout

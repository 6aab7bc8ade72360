"""The examples that come along: all of examples/, in a wheel too, copied whole with their data or not at all."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from basins import examples
from basins.cli import main
from basins.errors import ArgumentError
from basins.experiment import load

ROOT = Path(__file__).parents[1]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["examples", *arguments])


def test_a_wheel_has_every_example_and_all_that_it_needs() -> None:
    """The study has a page and a command of its own."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").iterdir() if path.is_file()}
    assert build["force-include"] == {path: f"basins/{path}" for path in there}
    needed = {file for one in examples.examples() for file in one.files} | {examples.ORIGINS}
    assert {f"examples/{file}" for file in needed} == there


def test_each_is_listed_with_what_it_is() -> None:
    printed = call().stdout
    found = examples.examples()
    assert {one.name for one in found} >= {"iris", "wine", "diabetes", "digits"}
    for one in found:
        assert f"  {one.name} " in printed
        assert 20 < len(one.about) < 150, one
        assert one.about[-1] == ".", one
    assert str(ROOT / "examples" / "DATA.md") in printed.replace("\n  ", " ")


@pytest.mark.parametrize("name", [one.name for one in examples.examples() if one.name not in ("digits", "plain_tail")])
def test_a_copy_loads_where_it_is(name: str, tmp_path: Path) -> None:
    to = tmp_path / "new" / "folder"
    done = call(name, "--to", str(to))
    assert done.exit_code == 0, done.output
    files = [Path(line) for line in done.stdout.split()]
    assert files[0] == to / f"{name}.toml"
    assert sorted(to.iterdir()) == sorted(files)
    for file in files:
        assert file.read_bytes() == (ROOT / "examples" / file.name).read_bytes()
    assert load(files[0]).digest == load(ROOT / "examples" / f"{name}.toml").digest
    assert call(name, "--to", str(to)).exit_code == 0  # the same again is no harm
    assert call(name).stdout == (to / f"{name}.toml").read_text()


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "iris.csv").write_text("mine")
    done = call("iris", "--to", str(tmp_path))
    assert (done.exit_code, done.stdout) == (2, "")
    path = tmp_path / "iris.csv"
    assert done.stderr == f"error: {path}: is there with other content; move it, or give another folder\n"
    assert [one.name for one in tmp_path.iterdir()] == ["iris.csv"]
    assert path.read_text() == "mine"


def test_refusals_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments, said in (
        (("irsi",), "no example 'irsi'; did you mean 'iris'?"),
        (("mnist", "--to", str(tmp_path)), "choose one of diabetes, digits, iris"),
        (("--to", "."), "--to needs the name of an example"),
        (("iris", "--to", str(tmp_path / "file")), "not a folder; give a folder"),
        (("iris", "--to", str(tmp_path / "file" / "below")), "error: "),
    ):
        done = call(*arguments)
        assert (done.exit_code, done.stdout) == (2, ""), arguments
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    with pytest.raises(ArgumentError, match="no example"):
        examples.copy("../iris", tmp_path)

"""The reference of an experiment's keys: every key is in it, what it says is true, and the pages are what it says."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import jsonschema
import pytest
from click.testing import CliRunner
from pydantic import Field

from basins import laws
from basins.cli import main
from basins.errors import ArgumentError, ExperimentError
from basins.experiment import Experiment, document, reference
from basins.experiment.document import Table, validated
from basins.integrators.base import Settings

ROOT = Path(__file__).parents[2]
TABLES = [
    one
    for one in vars(document).values()
    if isinstance(one, type) and issubclass(one, Table) and one is not Table and one.__module__ == document.__name__
]
BASES = (document._Parts, document.Matrix)
"""Tables that others are made of; no file has one."""


def rows() -> Iterator[tuple[str, reference.Row]]:
    return ((section.heading, row) for section in reference.sections() for row in section.rows)


def examples(table: type[Table]) -> dict[str, Any]:
    """The example of each key of a table."""
    found: dict[str, Any] = {}
    for name, field in table.model_fields.items():
        found[name] = reference._key(table, name, field).example
    return found


def test_every_table_and_every_law_is_in_it() -> None:
    headings = {section.heading for section in reference.sections()}
    told = {section.about for section in reference.sections()}
    for table in set(TABLES) - set(BASES):
        assert reference._about(table) in told, table
    assert {f'[law], name = "{name}"' for name in laws.LAWS} <= headings
    for name in document.KINDS:
        assert any(heading.startswith(f"[{name}]") for heading in headings), name


@pytest.mark.parametrize("table", TABLES)
def test_every_field_says_what_it_is_for(table: type[Table]) -> None:
    """A sentence, an example that is accepted, the type in words, and the unit of a number."""
    for name, field in table.model_fields.items():
        key = reference._key(table, name, field)
        assert key.meaning[-1] == ".", name
        assert document.kind_of(field) != "another value", name
        number = any(kind in (int, float) for kind in (field.annotation, *get_args(field.annotation)))
        assert key.unit or not number or name in ("seed", "first"), name
    required = {name: value for name, value in examples(table).items() if table.model_fields[name].is_required()}
    for name, value in examples(table).items():
        validated(table, {**required, name: value}, "example")


@pytest.mark.parametrize("name", laws.LAWS)
def test_every_parameter_of_a_law_says_what_it_is_for(name: str) -> None:
    law = laws.LAWS[name]
    given = {parameter: hint.__metadata__[0].example for parameter, hint, _ in reference._parameters(law)}
    if given:
        assert laws.law_of(name, **given).parameters() == given
    for row in reference._rows_of_law(law):
        assert row.meaning[-1] == "."
        assert row.kind


def test_a_field_without_it_fails() -> None:
    class More(document.Network):
        shortcut: Annotated[bool, Field(description="true or false")] = False

    with pytest.raises(TypeError, match=r"More\.shortcut has no Key"):
        reference._rows_of_table(More)

    @dataclass(frozen=True)
    class Unsaid(laws.Uniform):
        skew: float = 0.0

    with pytest.raises(TypeError, match=r"Unsaid\.skew has no Key"):
        list(reference._rows_of_law(Unsaid))


def test_examples_are_toml_and_defaults_are_those_of_the_code() -> None:
    for heading, row in rows():
        assert list(tomllib.loads(row.example)) == [row.name], (heading, row)
        if row.default not in ("", "required"):
            tomllib.loads(f"k = {row.default}")
    engine = {row.name: row.default for heading, row in rows() if heading == "[engine]"}
    for name in ("rtol", "atol", "t_end", "certify", "at_start", "budget", "delta", "compress"):
        assert tomllib.loads(f"k = {engine[name]}")["k"] == getattr(Settings, name), name


def test_what_it_says_of_limits_is_so() -> None:
    """rtol at least 2.3e-14; delta between 0 and 1; an infinite t_end is none."""
    Settings(rtol=2.3e-14)
    with pytest.raises(ArgumentError, match="below 100 eps"):
        Settings(rtol=2.2e-14)
    for delta in (0.0, 1.0):
        with pytest.raises(ArgumentError, match="between 0 and 1"):
            Settings(delta=delta)


def test_the_pages_are_those_of_the_code() -> None:
    """python docs/tables/experiment.py writes them again."""
    assert (ROOT / "docs" / "experiment.md").read_text() == reference.markdown()
    assert (ROOT / "docs" / "experiment.schema.json").read_text() == reference.schema_text()


def told(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_prints_every_key_and_the_schema() -> None:
    printed = told("help", "experiment")
    assert max(map(len, printed.splitlines())) <= 100
    flat = " ".join(printed.split())
    for _, row in rows():
        assert f"{row.name}: {row.kind}; " in flat, row
        assert " ".join(row.meaning.split()) in flat
        assert " ".join(row.example.split()) in flat
    assert told("help", "experiment", "--json-schema") == reference.schema_text()


def test_help_shows_the_help_of_commands() -> None:
    assert told("help", "run").split("\n", 1)[1] == told("run", "--help").split("\n", 1)[1]
    assert told("help").split("\n", 1)[1] == told("--help").split("\n", 1)[1]
    for arguments, said in (
        (("help", "experimnet"), "no command 'experimnet'; did you mean 'experiment'?"),
        (("help", "run", "--json-schema"), "--json-schema is of `basins help experiment`"),
    ):
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr


# --- the schema against the code ----------------------------------------------------------------------------------

SCHEMA = jsonschema.Draft202012Validator(reference.schema())
FILES = [
    path for folder in ("examples", "docs/tables", "benchmarks", "cluster") for path in (ROOT / folder).rglob("*.toml")
]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(reference.schema())
    assert len(FILES) > 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_takes_every_experiment_here(path: Path) -> None:
    SCHEMA.validate(tomllib.loads(path.read_text()))


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "runs").rglob("experiment.toml")), ids=str)
def test_it_takes_what_runs_keep(path: Path) -> None:
    """Every default explicit."""
    SCHEMA.validate(tomllib.loads(path.read_text()))


WHOLE = """
name = "a"
seed = 1
trajectories = 10

[data]
source = "spectrum"
sigma = [2.0, 1.0]
d_x = 3

[network]
hidden = [2]

[law]
name = "gaussian"
scale = 0.5

[engine]
budget = 1000
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed", "sead"),
        ("seed = 1", "seed = 1\nrow = 'all'"),
        ("trajectories = 10", "trajectories = 10.5"),
        ("trajectories = 10", "trajectories = 0"),
        ("sigma = [2.0, 1.0]", "samples = 3"),
        ('source = "spectrum"', 'source = "spectre"'),
        ('source = "spectrum"\nsigma = [2.0, 1.0]\nd_x = 3', 'source = "sklearn:digit"'),
        ('source = "spectrum"\nsigma = [2.0, 1.0]\nd_x = 3', 'path = "a.csv"\nseparator = "ab"'),
        ("hidden = [2]", 'hidden = ["a"]'),
        ("hidden = [2]", 'hidden = [2]\nflow = "read"'),
        ("gaussian", "gausian"),
        ("scale = 0.5", "scale = 0.5\nbox = 1.0"),
        ("budget", "budgett"),
        ("budget = 1000", "budget = 1000\n[[case]]\ntrajectories = 5"),
        ("scale = 0.5", '[sweep]\n"law.scale" = []'),
    ],
)
def test_it_refuses_what_the_code_refuses(old: str, new: str, tmp_path: Path) -> None:
    SCHEMA.validate(tomllib.loads(WHOLE))
    Experiment.from_toml(WHOLE, tmp_path)
    assert old in WHOLE
    text = WHOLE.replace(old, new)
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(tomllib.loads(text))
    with pytest.raises(ExperimentError):
        Experiment.from_toml(text, tmp_path)

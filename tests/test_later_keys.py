"""A key, a setting, a parameter or a word that is added later changes no byte of a run that does not use it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from basins import laws
from basins.execution.run import run
from basins.experiment import Experiment, case, case_builder, document
from basins.integrators.base import Settings
from basins.landscapes.deep_linear.critical_sets import DeepLinearSets
from basins.later import LATER
from basins.laws import Gaussian
from basins.store import schemas

TEXT = """
name = "later"
seed = 7
trajectories = 1_500
visits_every = 50

[data]
source = "gaussian"
samples = 20
d_x = 3
d_y = 2

[network]
hidden = [2]

[law]
name = "gaussian"
scale = 0.5
"""


def files_of(path: Path, text: str = TEXT) -> dict[str, bytes]:
    """Every file of the run but its telemetry."""
    run(Experiment.from_toml(text, Path()), out=path, on="inline")
    found = (file for file in path.rglob("*.*") if "telemetry" not in file.parts)
    return {str(file.relative_to(path)): file.read_bytes() for file in found}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_of(tmp_path_factory.mktemp("before"))


@dataclass(frozen=True)
class MoreSettings(Settings):
    patience: int = field(default=3, metadata=LATER)


class MoreEngine(document.Engine):
    patience: Annotated[int, Field(json_schema_extra=LATER)] = 3


def a_setting(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setattr(case, "Settings", MoreSettings)
    monkeypatch.setattr(case, "Engine", MoreEngine)
    return "\n[engine]\npatience = 3\n", "\n[engine]\npatience = 4\n"


class MoreNetwork(document.Network):
    shortcut: Annotated[bool, Field(json_schema_extra=LATER)] = False


def a_key_of_a_table(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setattr(case_builder, "Network", MoreNetwork)
    return "\n[network]\nhidden = [2]\nshortcut = false\n", "\n[network]\nhidden = [2]\nshortcut = true\n"


@dataclass(frozen=True)
class MoreGaussian(Gaussian):
    skew: float = field(default=0.0, metadata=LATER)
    name: ClassVar[str] = "gaussian"


def a_parameter_of_a_law(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setitem(laws.LAWS, "gaussian", MoreGaussian)
    table = '\n[law]\nname = "gaussian"\nscale = 0.5\n'
    return f"{table}skew = 0.0\n", f"{table}skew = 1.0\n"


ADDED = {"setting": a_setting, "key of a table": a_key_of_a_table, "parameter of a law": a_parameter_of_a_law}


def with_table(table: str) -> str:
    """TEXT with this table in place of its own of the same name."""
    heading = table.strip().splitlines()[0]
    before, found, after = TEXT.partition(heading)
    if not found:
        return TEXT + table
    return before + table.strip() + "\n" + "".join(after.partition("\n[")[1:])


@pytest.mark.parametrize("kind", ADDED)
def test_at_its_default_it_changes_no_byte(
    before: dict[str, bytes], kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Text, manifest, keys, footers and rows: unsaid, and said at its default."""
    default, _ = ADDED[kind](monkeypatch)
    assert files_of(tmp_path / "unsaid") == before
    assert files_of(tmp_path / "said", with_table(default)) == before


@pytest.mark.parametrize("kind", ADDED)
def test_at_another_value_it_is_in_the_text(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text reads back as the same experiment; of settings and laws the case's key differs too."""
    old = Experiment.from_toml(TEXT, Path())
    default, other = ADDED[kind](monkeypatch)
    same, changed = (Experiment.from_toml(with_table(table), Path()) for table in (default, other))
    assert (same.text, same.cases[0].key) == (old.text, old.cases[0].key)
    assert changed.text != old.text
    assert Experiment.from_toml(changed.text, Path()).text == changed.text
    assert (changed.cases[0].key != old.cases[0].key) == (kind != "key of a table")


def test_setting_that_a_case_has_is_in_cases_and_manifest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, other = a_setting(monkeypatch)
    made = run(Experiment.from_toml(with_table(other), Path()), out=tmp_path / "run", on="inline")
    assert made.cases()["patience"].tolist() == [4]
    assert made.manifest.cases[0].to_dict()["settings"]["patience"] == 4


def test_new_words_change_no_byte(before: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reason and a certificate more, at the end of their vocabularies."""
    words = DeepLinearSets.vocabulary
    more = replace(words, certificates=(*words.certificates, "a new word"))
    monkeypatch.setattr(DeepLinearSets, "vocabulary", more)
    monkeypatch.setattr(schemas, "REASONS", (*schemas.REASONS, "a new word"))
    assert files_of(tmp_path / "run") == before


def test_shard_does_not_depend_on_how_many_follow(tmp_path: Path) -> None:
    """Shard 0 of 2,048 trajectories and of 4,096, with another name, another case beside it: the same three files."""
    short = files_of(tmp_path / "short", TEXT.replace("1_500", "2_048"))
    text = TEXT.replace("1_500", "4_096").replace('"later"', '"longer"')
    text += '\n[[case]]\nname = "first"\n\n[[case]]\nname = "other"\nlaw = { scale = 0.1 }\n'
    long = files_of(tmp_path / "long", text)
    key = Experiment.from_toml(TEXT, Path()).cases[0].key
    shards = [path for path in short if f"case={key}/part-" in path]
    assert len(shards) == 6
    assert {path: long[path] for path in shards} == {path: short[path] for path in shards}


@pytest.mark.parametrize(
    "change",
    [
        ("seed = 7", "seed = 8"),
        ("visits_every = 50", "visits_every = 25"),
        ("visits_every", 'rows = "exceptions"\nvisits_every'),
    ],
    ids=["seed", "visits", "rows kept"],
)
def test_footer_names_what_the_rows_depend_on(change: tuple[str, str]) -> None:
    from basins.store import Manifest

    one, other = (Manifest.of(Experiment.from_toml(text, Path())) for text in (TEXT, TEXT.replace(*change)))
    assert one.footer(one.cases[0], 0) != other.footer(other.cases[0], 0)
    assert "experiment" not in one.footer(one.cases[0], 0)

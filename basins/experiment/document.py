"""The experiment's TOML: the tables with their types, the expansion of cases and sweep, and one-line refusals.

Constraints on values beyond their types belong to the code that uses them (Settings, laws, Problem); case_builder.py
applies them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from basins.errors import ExperimentError, nearest
from basins.integrators.base import Settings
from basins.keys import Key
from basins.landscapes.deep_linear.problem_checks import Flow
from basins.later import without_defaults

Rows = Literal["all", "exceptions"]
"""Which rows of trajectories a run keeps; see `shard.compute_shard`."""

KINDS: dict[str, tuple[str, ...]] = {
    "data": ("source", "path"),
    "network": (),
    "landscape": ("kind",),
    "dynamics": ("kind",),
    "law": ("name",),
    "engine": ("name",),
}
"""The tables of a case, and the keys that select the kind of each table."""


class Table(BaseModel):
    """A TOML table. A field's description is the type of its value in words, and completes the remedy "give ..." if a
    value is refused; its `Key` says what it is for."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def spelt_out(self) -> dict[str, Any]:
        """Every key with its value, as in the canonical text: without keys that have no value, and without keys that
        were declared `LATER` and have their default (later.py)."""
        return without_defaults(self.model_dump(exclude_none=True), self.later_keys())

    @classmethod
    def later_keys(cls) -> dict[str, Any]:
        """Key -> default, for the keys that were declared `LATER`."""
        return {
            name: field.default
            for name, field in cls.model_fields.items()
            if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("later")
        }


Seed = Annotated[int, Field(ge=0, lt=1 << 64, description="a whole number from 0 to 2^64 - 1")]
Count = Annotated[int, Field(ge=1, lt=1 << 53, description="a whole number of at least 1, below 2^53")]
Size = Annotated[int, Field(ge=1, lt=1 << 24, description="a whole number of at least 1, below 2^24")]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$", description="a text of one line")]
Switch = Annotated[bool, Field(description="true or false")]
Names = Annotated[list[Text], Field(min_length=1, description="a list of names")]
Number = Annotated[float, Field(description="a number")]
Character = Annotated[str, Field(pattern=r'^[^"\r\n0-9A-Za-z.+-]$', description='one character, such as ";" or "\\t"')]
SubTable = Annotated[dict[str, Any], Field(description="a table")]


# --- [data], [network], [engine]; [law] is basins.laws' own ---------------------------------------------------


class Matrix(Table):
    """The keys that every source of X and Y has."""

    standardise: Annotated[Switch, Key("Centre every input, and scale it to variance 1.", "", True)] = False
    intercept: Annotated[Switch, Key("Add a column of ones to the inputs.", "", True)] = False


class FileData(Matrix):
    """A file of this machine: CSV, Parquet or NPZ. docs/data.md says what is read as what."""

    path: Annotated[
        str,
        Field(min_length=1, description='a file, or source = "gaussian", "spectrum" or "sklearn:NAME" instead'),
        Key("The file: relative to the experiment's folder, absolute, or under a home (~).", "", "iris.csv", "a path"),
    ]
    inputs: Annotated[
        Names | None,
        Key("Columns to fit from; unless given, all that are neither target nor index.", "", ["length", "width"]),
    ] = None
    targets: Annotated[Names | None, Key("Columns to be fitted; of an NPZ file the array Y.", "", ["species"])] = None
    drop_class: Annotated[Text | None, Key("A class of a target that gets no column.", "", "setosa")] = None
    categorical: Annotated[
        Names | None, Key("Columns that are classes, targets or inputs: one column for each class.", "", ["kind"])
    ] = None
    separator: Annotated[
        Character | None, Key("What separates the fields of a CSV file; found unless given.", "", ";")
    ] = None
    decimal: Annotated[
        Annotated[Literal[".", ","], Field(description='"." or ","')] | None,
        Key("The decimal mark of a CSV file's numbers; found unless given.", "", ","),
    ] = None
    thousands: Annotated[
        Annotated[
            Literal[",", ".", " ", "'", "’", "_", "\u00a0", "\u2009", "\u202f"],
            Field(description="one of , . ' _ or a space"),
        ]
        | None,
        Key("The mark between groups of three digits in a CSV file; never guessed.", "", "."),
    ] = None
    encoding: Annotated[
        Text | None, Key("The encoding of a CSV file; by its byte order mark, or UTF-8, unless given.", "", "cp1252")
    ] = None
    sha256: Annotated[
        Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="64 hexadecimal digits, as sha256sum prints them")]
        | None,
        Key("SHA-256 of the file; another content is refused.", "", "0" * 64),
    ] = None
    index: Annotated[
        Annotated[Names | Text | Literal[False], Field(description="a column's name, a list of them, or false")] | None,
        Key("Columns to leave out; unless given, those that pandas wrote as its index; false: none.", "", "id"),
    ] = None


class SklearnData(Matrix):
    """A data set that scikit-learn ships (the extra `data`); nothing is downloaded."""

    source: Annotated[
        Text,
        Key("Which: sklearn:breast_cancer, diabetes, digits, iris, linnerud or wine.", "", "sklearn:wine"),
    ]
    drop_class: Annotated[Text | None, Key("A class of the target that gets no column.", "", "class_0")] = None


class GaussianData(Matrix):
    """Independent standard normal X and Y: the same bits on any machine."""

    source: Annotated[Text, Key("Always gaussian.", "", "gaussian")]
    samples: Annotated[Size, Key("Rows of X and Y.", "samples", 100)]
    d_x: Annotated[Size, Key("Columns of X.", "columns", 5)]
    d_y: Annotated[Size, Key("Columns of Y.", "columns", 3)]
    seed: Annotated[Seed, Key("Of X and Y alone; another one is another pair.", "", 7)] = 0


class SpectrumData(Table):
    """The target's singular values themselves, without data: the reduced flow depends on nothing else."""

    source: Annotated[Text, Key("Always spectrum.", "", "spectrum")]
    sigma: Annotated[
        list[float],
        Field(description="a list of singular values, falling"),
        Key("The singular values of the target; there are d_y of them.", "as the target", [3.0, 2.0, 1.0]),
    ]
    d_x: Annotated[Size, Key("The width of the input, at least d_y.", "columns", 5)]


class Network(Table):
    """The network: W_{H+1} ... W_1 with H hidden layers, between the data's d_x and d_y."""

    hidden: Annotated[
        list[int],
        Field(description="a list of widths, such as [4, 4]"),
        Key("The widths of the hidden layers, that of W_1's output first; each at least d_y.", "units", [4, 4]),
    ]
    flow: Annotated[
        Flow,
        Field(description='"reduced" or "raw"'),
        Key("reduced: the paper's flow, in the coordinates of X; raw: the data's own.", "", "raw"),
    ] = "reduced"


class Engine(Table):
    """How the flow is integrated; each key has a default that is meant for use as it is."""

    name: Annotated[
        Text, Key("lanes: several trajectories in vector registers; reference: scipy's solvers.", "", "reference")
    ] = Settings.engine
    method: Annotated[Text | None, Key("One of the engine's methods; its first unless given.", "", "DOP853")] = None
    rtol: Annotated[Number, Key("Error of a step relative to each weight, at least 2.3e-14.", "relative", 1e-10)] = (
        Settings.rtol
    )
    atol: Annotated[Number, Key("Error of a step beside the relative one.", "as weights", 1e-12)] = Settings.atol
    t_end: Annotated[
        Number,
        Key("The time at which the flow is read if nothing stops it before; inf: none.", "time of the flow", 16.0),
    ] = Settings.t_end
    certify: Annotated[Switch, Key("Stop where the loss proves the limit.", "", True)] = Settings.certify
    at_start: Annotated[Switch, Key("Try the certificates of theory.md 3b to 3d on the starts too.", "", True)] = (
        Settings.at_start
    )
    budget: Annotated[
        int,
        Field(description="a whole number of evaluations"),
        Key("What a trajectory may cost; then it is censored.", "evaluations of the gradient", 10_000_000),
    ] = Settings.budget
    delta: Annotated[
        Number, Key("Margin below the loss level of the certificate, between 0 and 1.", "relative", 1e-6)
    ] = Settings.delta
    compress: Annotated[
        Switch, Key("Integrate an exact smaller system where a width shrinks (theory.md 4).", "", False)
    ] = Settings.compress


# --- the document ---------------------------------------------------------------------------------------------


class _Parts(Table):
    """The keys that a case and the document share; a value in the document applies to every case."""

    name: Annotated[Text, Key("What the experiment, or the case, is called.", "", "iris")]
    trajectories: Annotated[
        Count | None, Key("Starts to draw; here, or in every case.", "trajectories, in each case", 400_000)
    ] = None
    data: Annotated[SubTable | None, Key("What is learned: X and Y.", "", {"path": "iris.csv"})] = None
    network: Annotated[SubTable | None, Key("Widths, and which flow.", "", {"hidden": [4, 4]})] = None
    landscape: Annotated[
        SubTable | None, Key("A landscape outside the package, instead of data and network.", "", {"kind": "my:Well"})
    ] = None
    dynamics: Annotated[
        SubTable | None,
        Key("How a state moves, if not by the gradient flow.", "", {"kind": "my:Descent", "rate": 0.05}),
    ] = None
    law: Annotated[SubTable | None, Key("The law of the initial weights.", "", {"name": "gaussian", "scale": 0.5})] = (
        None
    )
    engine: Annotated[SubTable | None, Key("How the flow is integrated.", "", {"budget": 10_000_000})] = None


class OneCase(_Parts):
    """One case, with what it has instead of the document's. Its tables are merged over the document's key by key; one
    that names another law, engine, source of data or landscape replaces the table. Without any, the document itself is
    the only case.
    """


class Document(_Parts):
    """The whole file. The tables hold for every case."""

    seed: Annotated[Seed, Key("Of all random streams: the same seed gives the same starts.", "", 1)]
    blocks_per_shard: Annotated[
        Annotated[int, Field(ge=1, lt=1 << 53)] | Literal["auto"],
        Field(description='a whole number of at least 1, or "auto"'),
        Key(
            "The size of a shard: one worker's work, one file, and what a death costs; auto: a pilot decides.",
            "blocks of 1,024 trajectories",
            32,
        ),
    ] = 1
    visits_every: Annotated[
        int,
        Field(ge=0, lt=1 << 53, description="a whole number, 0 for none"),
        Key("Keep the closest approaches of every so many-th trajectory.", "trajectories", 100),
    ] = 0
    rows: Annotated[
        Rows | None,
        Field(description='"all" or "exceptions"'),
        Key(
            "Keep every row, or those that are no minimum and those whose visits are kept; all unless a case has more "
            "than 10^7 trajectories.",
            "",
            "exceptions",
        ),
    ] = None
    case: Annotated[
        list[SubTable],
        Field(description="tables, each headed [[case]]"),
        Key("The cases, where there are several.", "", [{"name": "small", "law": {"scale": 0.1}}]),
    ] = []
    sweep: Annotated[
        SubTable,
        Key("Values of keys, by dotted name: each case once for each combination.", "", {"law.scale": [0.1, 1.0]}),
    ] = {}


class Counted(Table):
    """Instead of a list: whole numbers first, first + 1, ... For data.seed of source = "gaussian", so many random pairs
    (X, Y)."""

    count: Annotated[
        int,
        Field(ge=1, le=100_000, description="a whole number from 1 to 100,000"),
        Key("How many values.", "values", 50),
    ]
    first: Annotated[
        int, Field(ge=0, lt=1 << 53, description="a whole number from 0"), Key("The first of them.", "", 0)
    ] = 0


class Expanded(NamedTuple):
    """An expanded case: its tables by name, and its place for error messages."""

    name: str
    trajectories: int
    tables: dict[str, dict[str, Any]]
    where: str


def expanded(document: Document, source: str) -> Iterator[Expanded]:
    """Every case: those that are listed, or the document's own tables as the only one, each multiplied by the sweep."""
    sweep = _sweep(document.sweep, source)
    _refuse_duplicates(document, sweep, source)
    taken: set[str] = set()
    listed = [
        validated(OneCase, values, f"{source}: case {values.get('name', position)!r}")
        for position, values in enumerate(document.case, start=1)
    ]
    for case in listed or [OneCase(name=document.name)]:
        where = f"{source}: case {case.name!r}" if listed else source
        trajectories = case.trajectories or document.trajectories
        if trajectories is None:
            raise ExperimentError("missing", where=f"{where}: trajectories", remedy="give a whole number of at least 1")
        tables, passed_by = _overlaid(document, case)
        swept = {key: values for key, values in sweep.items() if key.partition(".")[0] not in passed_by}
        swept = {key: values for key, values in swept.items() if key not in passed_by}
        taken |= set(swept)
        for values in itertools.product(*swept.values()):
            chosen = {table: dict(tables[table]) for table in tables}
            for key, value in zip(swept, values, strict=True):
                table, _, name = key.partition(".")
                chosen[table][name] = value
            tag = ", ".join(f"{key} = {short(value)}" for key, value in zip(swept, values, strict=True))
            if tag:
                yield Expanded(f"{case.name}, {tag}", trajectories, chosen, f"{where}: {tag}")
            else:
                yield Expanded(case.name, trajectories, chosen, where)
    for key in sweep:
        if key not in taken:
            table = key.partition(".")[0]
            what = f"no case takes it: each sets {key} itself, or another {table}"
            raise ExperimentError(what, where=f"{source}: sweep.{key}", remedy="take it out of [sweep]")


def _refuse_duplicates(document: Document, sweep: Mapping[str, Any], source: str) -> None:
    """Raises ExperimentError for a swept key that the document's own table sets too: one of the values would be
    lost."""
    for key in sweep:
        table, _, name = key.partition(".")
        above = getattr(document, table) or {}
        if name in above:
            what = f"given twice: [{table}] has {name} = {short(above[name])}"
            remedy = f"take {name} out of [{table}], or {key} out of [sweep]"
            raise ExperimentError(what, where=f"{source}: sweep.{key}", remedy=remedy)


def _overlaid(document: Document, case: OneCase) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """The case's tables merged over the document's, and what the sweep skips: its own keys and tables of another
    kind."""
    tables, passed_by = {}, set()
    for table, kind in KINDS.items():
        above, own = getattr(document, table) or {}, getattr(case, table) or {}
        if any(key in own and own[key] != above.get(key) for key in kind):
            tables[table] = own
            passed_by.add(table)
        else:
            tables[table] = {**above, **own}
            passed_by.update(f"{table}.{key}" for key in own)
    return tables, passed_by


def _sweep(table: Mapping[str, Any], source: str, prefix: str = "") -> dict[str, list[Any]]:
    """[sweep] as dotted keys to lists. To TOML an unquoted law.scale is a table in a table; it means the same."""
    flat: dict[str, list[Any]] = {}
    for key, value in table.items():
        dotted = f"{prefix}{key}"
        where = f"{source}: sweep.{dotted}"
        of = dotted.partition(".")[0]
        if of not in KINDS:
            remedy = f"sweep the keys of {', '.join(KINDS)}"
            raise ExperimentError(f"no table {of!r} to sweep", where=where, remedy=remedy)
        if isinstance(value, dict) and "count" in value and "." in dotted:
            counted = validated(Counted, value, source, f"sweep.{dotted}")
            found = {dotted: list(range(counted.first, counted.first + counted.count))}
        elif isinstance(value, dict):
            found = _sweep(value, source, f"{dotted}.")
        elif "." not in dotted or not isinstance(value, list) or not value:
            remedy = 'give a key a list of values, such as "law.scale" = [0.1, 0.5]'
            raise ExperimentError(f"{dotted} = {short(value)}", where=where, remedy=remedy)
        else:
            found = {dotted: value}
        for again in found.keys() & flat.keys():
            remedy = f'give it once: "{again}" = [...]'
            raise ExperimentError(f"given twice in [sweep]: {again}", where=f"{source}: sweep.{again}", remedy=remedy)
        flat |= found
    return flat


# --- what is refused ------------------------------------------------------------------------------------------

T = TypeVar("T", bound=Table)


def validated(model: type[T], values: Mapping[str, Any], where: str, table: str = "") -> T:
    """The table of these values. Raises ExperimentError for the first error, and for an unknown key before any
    other."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        found = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    first = found[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        what, remedy = f"unknown key {name!r}", nearest(name, model.model_fields)
    else:
        at = name + "".join(f"[{k}]" for k in first["loc"][1:] if isinstance(k, int))
        what = "missing" if first["type"] == "missing" else f"{at} = {short(first['input'])}"
        remedy = f"give {kind_of(model.model_fields[name])}"
    raise ExperimentError(what, where=f"{where}: {table}.{name}" if table else f"{where}: {name}", remedy=remedy)


def kind_of(field: FieldInfo) -> str:
    """The type of a field's value in words: its description, also if that is inside `... | None`."""
    inside = [part for option in get_args(field.annotation) for part in getattr(option, "__metadata__", ())]
    told = [one.description for one in (field, *inside) if isinstance(one, FieldInfo) and one.description]
    return told[0] if told else "another value"


def short(value: Any) -> str:
    """A value as TOML would write it, on one line of at most 60 characters."""
    text = str(value).lower() if isinstance(value, bool) else repr(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."

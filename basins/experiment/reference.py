"""Every key of an experiment, from the declarations themselves: the tables of document.py and the fields of the laws.

`sections` is the reference that `basins help experiment` prints and docs/experiment.md is made of (`markdown`);
`schema` is the same as a JSON Schema, for editors.
"""

from __future__ import annotations

import inspect
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import tomli_w
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from basins.experiment.data import SKLEARN
from basins.experiment.document import (
    Counted,
    Document,
    Engine,
    FileData,
    GaussianData,
    Network,
    OneCase,
    SklearnData,
    SpectrumData,
    Table,
    kind_of,
)
from basins.keys import Key, key_of
from basins.laws import LAWS, Law

DATA: dict[str, type[Table]] = {
    "a file": FileData,
    'source = "sklearn:NAME"': SklearnData,
    'source = "gaussian"': GaussianData,
    'source = "spectrum"': SpectrumData,
}
"""The kinds of [data]."""

LAW_NAME = Key("Which law.", "", "gaussian", "a law's name")
LANDSCAPE = Key("The import path of its class.", "", "double_well:DoubleWell", "module:Class")
DYNAMICS = Key("The import path of its class.", "", "euler:Euler", "module:Class")
NO_DEFAULT = object()


@dataclass(frozen=True)
class Row:
    """A key: the type of its value in words, its default as TOML ("required", or "" where there is none to write), its
    unit ("" for none), what it says, and an example as a line of TOML."""

    name: str
    kind: str
    default: str
    unit: str
    meaning: str
    example: str


@dataclass(frozen=True)
class Section:
    """A table of the document, or one kind of it."""

    heading: str
    about: str
    rows: tuple[Row, ...]


def sections() -> list[Section]:
    """The whole reference, in the order in which a file is written."""
    return [
        Section("The document", _about(Document), _tables_last(_rows_of_table(Document))),
        *(Section(f"[data], {kind}", _about(table), _rows_of_table(table)) for kind, table in DATA.items()),
        Section("[network]", _about(Network), _rows_of_table(Network)),
        Section(
            "[landscape]",
            "A landscape outside the package, instead of [data] and [network]. The other keys are its class's own.",
            (_row("kind", LANDSCAPE.kind, NO_DEFAULT, LANDSCAPE),),
        ),
        Section(
            "[dynamics]",
            "How a state moves, if not by the gradient flow: a discrete dynamics, such as gradient descent. The other "
            "keys are its class's own.",
            (_row("kind", DYNAMICS.kind, NO_DEFAULT, DYNAMICS),),
        ),
        Section(
            "[law]",
            "The probability law of the initial weights. Each law has parameters of its own. Fans are widths.",
            (_row("name", LAW_NAME.kind, NO_DEFAULT, LAW_NAME),),
        ),
        *(Section(f'[law], name = "{name}"', _about(law), tuple(_rows_of_law(law))) for name, law in LAWS.items()),
        Section("[engine]", _about(Engine), _rows_of_table(Engine)),
        Section("[[case]]", _about(OneCase), _rows_of_table(OneCase)),
        Section(
            "[sweep]",
            'Dotted keys of the tables above, each with a list of values, such as "law.scale" = [0.1, 0.5]: every case '
            "is made once for each combination. A key may not stand in its own table too.",
            (),
        ),
        Section('[sweep], "KEY" = { count, first }', _about(Counted), _rows_of_table(Counted)),
    ]


def _tables_last(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: row.kind.startswith(("a table", "tables"))))


def markdown() -> str:
    """The reference as docs/experiment.md has it."""
    lines = [
        "# An experiment, key by key",
        "",
        "Made by `python docs/tables/experiment.py` from the code that reads experiments; `basins help experiment`",
        "prints the same. [experiment.schema.json](experiment.schema.json) is it as a JSON Schema, for editors",
        "(`basins help experiment --json-schema`). A file is TOML; relative paths in it are relative to its folder. An",
        "unknown key is refused.",
    ]
    for section in sections():
        lines += ["", f"## {section.heading}", "", section.about]
        if section.rows:
            lines += ["", "| key | value | default | unit | meaning | example |", "|---|---|---|---|---|---|"]
            lines += [_cells(row) for row in section.rows]
    return "\n".join([*lines, ""])


def _cells(row: Row) -> str:
    default = row.default if row.default in ("", "required") else f"`{row.default}`"
    cells = (f"`{row.name}`", row.kind, default, row.unit, row.meaning, f"`{row.example}`")
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


# --- from the declarations ----------------------------------------------------------------------------------------


def _rows_of_table(table: type[Table]) -> tuple[Row, ...]:
    return tuple(
        _row(name, kind_of(field), NO_DEFAULT if field.is_required() else field.default, _key(table, name, field))
        for name, field in table.model_fields.items()
    )


def _rows_of_law(law: type[Law]) -> Iterator[Row]:
    for name, hint, default in _parameters(law):
        key = key_of(hint.__metadata__) if get_origin(hint) is Annotated else None
        if key is None:
            raise TypeError(f"{law.__name__}.{name} has no Key in its annotation")
        yield _row(name, key.kind, default, key)


def _parameters(law: type[Law]) -> Iterator[tuple[str, Any, Any]]:
    """Name, annotation and default (NO_DEFAULT) of each parameter of a law."""
    hints = get_type_hints(law, include_extras=True)
    for field in fields(law):  # type: ignore[arg-type]
        yield field.name, hints[field.name], NO_DEFAULT if field.default is MISSING else field.default


def _key(table: type[Table], name: str, field: FieldInfo) -> Key:
    key = key_of(field.metadata)
    if key is None:
        raise TypeError(f"{table.__name__}.{name} has no Key in its annotation")
    return key


def _row(name: str, kind: str, default: Any, key: Key) -> Row:
    if default is NO_DEFAULT:
        said = "required"
    else:
        said = "" if default in (None, [], {}) else toml(default)
    return Row(name, key.kind or kind, said, key.unit, key.meaning, f"{name} = {toml(key.example)}")


def _about(home: type) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(inspect.cleandoc(home.__doc__ or "").partition("\n\n")[0].split())


def toml(value: Any) -> str:
    """A value as TOML on one line; tables are inline ones."""
    if isinstance(value, Mapping):
        inside = ", ".join(tomli_w.dumps({key: 0}).partition(" =")[0] + f" = {toml(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(toml, value))}]"
    return tomli_w.dumps({"k": value}).removeprefix("k = ").rstrip("\n")


# --- the JSON Schema ----------------------------------------------------------------------------------------------


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of the file.

    A key may be missing in one table and stand in another (a case's is merged over the document's, and [sweep] fills
    in), so only `name` and `seed` are required; what is missing in the end is found when the file is loaded.
    """
    kind = _described({"type": "string", "pattern": "^[^:]+:[^:]+$"}, LANDSCAPE)
    tables: dict[str, Any] = {
        "data": {"type": "object", "anyOf": [_data(table) for table in DATA.values()]},
        "network": _object(Network),
        "landscape": {"type": "object", "properties": {"kind": kind}},
        "dynamics": {"type": "object", "properties": {"kind": kind | _described({}, DYNAMICS)}},
        "law": {"type": "object", "anyOf": [_law(name, law) for name, law in LAWS.items()]},
        "engine": _object(Engine),
    }
    cases = _object(OneCase, required=("name",))
    document = _object(Document, required=("name", "seed"))
    for properties, name in itertools.product((cases["properties"], document["properties"]), tables):
        kept = {one: properties[name][one] for one in ("description", "examples")}
        properties[name] = {**kept, "$ref": f"#/$defs/{name}"}
    document["properties"]["case"] |= {"type": "array", "items": {"$ref": "#/$defs/case"}}
    values = {"anyOf": [{"type": "array", "minItems": 1}, _object(Counted, required=("count",)), {"type": "object"}]}
    document["properties"]["sweep"] |= {"type": "object", "additionalProperties": values}
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "An experiment of basins"}
    return {**draft, **document, "$defs": {"case": cases, **tables}}


def schema_text() -> str:
    """The schema as docs/experiment.schema.json has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _object(table: type[Table], required: Sequence[str] = ()) -> dict[str, Any]:
    """The schema of a table: of its keys those in `required` have to be there."""
    made = table.model_json_schema(mode="validation")
    properties = {}
    for name, field in table.model_fields.items():
        properties[name] = _described(_without_null(made["properties"][name]), _key(table, name, field))
        if field.default is not None and not field.is_required():
            properties[name] |= _default(field.default)
    return {"type": "object", "properties": properties, "additionalProperties": False, **_required(required)}


def _data(table: type[Table]) -> dict[str, Any]:
    found = _object(table)
    sources = {
        SklearnData: {"enum": [f"sklearn:{name}" for name in SKLEARN]},
        GaussianData: {"const": "gaussian"},
        SpectrumData: {"const": "spectrum"},
    }
    if table in sources:
        found["properties"]["source"] |= sources[table]
    return found


def _law(name: str, law: type[Law]) -> dict[str, Any]:
    properties: dict[str, Any] = {"name": _described({"const": name}, LAW_NAME) | {"examples": [name]}}
    for parameter, hint, default in _parameters(law):
        key = key_of(hint.__metadata__)
        assert key is not None
        properties[parameter] = _described(TypeAdapter(get_args(hint)[0]).json_schema(), key)
        properties[parameter] |= {} if default is NO_DEFAULT else _default(default)
    return {"type": "object", "description": _about(law), "properties": properties, "additionalProperties": False}


def _described(made: dict[str, Any], key: Key) -> dict[str, Any]:
    kept = {name: value for name, value in made.items() if name not in ("title", "default", "description")}
    said = f"{key.meaning} Unit: {key.unit}." if key.unit else key.meaning
    return {"description": said, **kept, "examples": [key.example]}


def _without_null(made: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: a key that may be missing is left out."""
    options = [one for one in made.get("anyOf", []) if one != {"type": "null"}]
    if not options:
        return made
    rest = {name: value for name, value in made.items() if name != "anyOf"}
    options = [{name: value for name, value in one.items() if name != "description"} for one in options]
    return rest | (options[0] if len(options) == 1 else {"anyOf": options})


def _default(value: Any) -> dict[str, Any]:
    """JSON has no infinity."""
    return {} if isinstance(value, float) and math.isinf(value) else {"default": value}


def _required(names: Sequence[str]) -> dict[str, Any]:
    return {"required": list(names)} if names else {}

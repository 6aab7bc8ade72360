"""What is in a data file, column by column, and which columns can be inputs: what `basins init` writes down.

A column is tried by the same code that reads it in a run (columns.py), so that what is said here is what a run does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from basins.errors import DataError
from basins.experiment import columns, numerals
from basins.experiment.columns import Column
from basins.experiment.data import Reading, left_out, marks_of
from basins.experiment.files import refuse_absent, suffix_of, table_of
from basins.experiment.numerals import Marks

Role = Literal["target", "input", "left out"]

NOT_ASKED = "not among the inputs"

FEW_CLASSES = 20
"""A column of words with at most so many is taken for classes, if each occurs three times on average."""


@dataclass(frozen=True)
class Seen:
    """A column of the file. kind: its values in words, or its type in the file; distinct: how many values differ;
    classes: whether it is read as classes; why: why it is left out."""

    name: str
    role: Role
    kind: str
    missing: int
    distinct: int
    classes: bool = False
    why: str = ""


@dataclass(frozen=True)
class Look:
    """A file. reading: how it was read, a line each; columns: in the file's order."""

    rows: int
    reading: tuple[str, ...]
    columns: tuple[Seen, ...] = field(default=())

    @property
    def categorical(self) -> list[str]:
        """The inputs that are read as classes."""
        return [one.name for one in self.columns if one.role == "input" and one.classes]

    @property
    def inputs(self) -> list[str]:
        return [one.name for one in self.columns if one.role == "input"]

    @property
    def without(self) -> list[Seen]:
        """The columns that are left out, an index's not counted."""
        return [one for one in self.columns if one.role == "left out" and one.why != "an index"]


def look(path: Path, targets: Sequence[str], inputs: Sequence[str], categorical: Sequence[str], given: Reading) -> Look:
    """Look at a file. inputs: the only candidates, or none for all columns; categorical: columns that are classes.

    Of the candidates those are left out that a run would refuse (a value that is missing or no number), those that are
    the same in every row, and text of many values; if `inputs` names them, the error that a run would make is raised.
    Raises DataError for a file that cannot be read and a column that is not there.
    """
    refuse_absent(path)
    arrays = suffix_of(path) == ".npz"
    asked = [*(inputs or (["X"] if arrays else [])), *targets]
    table = table_of(path, [*asked, *categorical], given.separator, given.encoding)
    groups = table.groups
    wanted = {part for name in inputs for part in groups.get(name, [name])}
    fitted = {part for name in targets for part in groups.get(name, [name])}
    for name in (*wanted, *fitted, *categorical):
        if name not in table.columns:
            names = ", ".join(repr(one) for one in list(table.columns)[:24])
            raise DataError(f"no column {name!r}", where=str(path), remedy=f"its columns are {names}")
    index = left_out(table, None, [*wanted, *fitted, *categorical], str(path))
    free = [one for one in table.columns if one not in fitted and one not in index]
    named = bool(wanted) or arrays
    candidates = [one for one in free if one in wanted] if wanted else free

    def column(name: str) -> Column:
        place, tagged = f"{path}, column {name!r}", name in table.categories
        return Column(name, table.columns[name], place, table.text, name in categorical, tagged)

    marks = marks_of(table, [column(name) for name in (*candidates, *fitted)], given)
    found = []
    for name in table.columns:
        one = column(name)
        kind, missing, distinct = _described(one, marks)
        if name in fitted:
            found.append(Seen(name, "target", kind, missing, distinct, classes=_is_classes(one, marks)))
        elif name in index:
            found.append(Seen(name, "left out", kind, missing, distinct, why="an index"))
        elif name not in candidates:
            found.append(Seen(name, "left out", kind, missing, distinct, why=NOT_ASKED))
        else:
            found.append(_tried(one, marks, kind, missing, distinct, named, table.rows))
    how = f"read with {', '.join(table.said)}" if table.text else "read with the file's own types"
    return Look(table.rows, (how, *table.reading), tuple(found))


def _tried(column: Column, marks: Marks, kind: str, missing: int, distinct: int, named: bool, rows: int) -> Seen:
    """A candidate as an input: as it is, as classes, or left out."""

    def seen(role: Role, classes: bool = False, why: str = "") -> Seen:
        return Seen(column.name, role, kind, missing, distinct, classes, why)

    if not named and not column.name.isprintable():
        return seen("left out", why="a name that no line can hold")
    if distinct <= 1 and not missing and not named:
        return seen("left out", why="the same in every row")
    try:
        columns.made_of(column, "input", marks)
        return seen("input", classes=column.categorical)
    except DataError as refusal:
        error = refusal
    if _words_alone(column, marks):
        if distinct <= min(FEW_CLASSES, rows // 3) and not missing:
            return seen("input", classes=True)
        if not named and not missing:
            return seen("left out", why=f"text, {distinct:,} different in {rows:,} rows")
    if named:
        raise error
    why = f"missing in {missing:,} of {rows:,} rows" if missing else error.what
    return seen("left out", why=why)


def _described(column: Column, marks: Marks) -> tuple[str, int, int]:
    """The kind of a column's values in words, how many are missing, and how many differ."""
    values = column.values
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        floating = pa.types.is_floating(values.type)
        gone = int(pc.sum(pc.is_null(values, nan_is_null=floating)).as_py() or 0)
        distinct = 0 if pa.types.is_nested(values.type) else pc.count_distinct(values).as_py()
        return str(values.type), gone, distinct
    texts = numerals.analysed(values.cast(pa.large_string()), marks)
    distinct = pc.count_distinct(values.filter(pa.array(~texts.missing))).as_py()
    missing = int(texts.missing.sum())
    words = ~texts.number & ~texts.missing
    if not words.any() and texts.number.any():
        numbers = numerals.parsed(texts, marks)[texts.number]
        whole = bool((numbers == np.floor(numbers)).all())
        return "whole numbers" if whole else "numbers", missing, distinct
    if texts.number.any():
        return "numbers and text", missing, distinct
    if columns.is_true(column) is not None:
        return "truth values", missing, distinct
    return "text", int(sum(one in (None, "") for one in values.to_pylist())), distinct


def _words_alone(column: Column, marks: Marks) -> bool:
    """Whether a column is text without numbers, dates and numbers by other marks."""
    values = column.values
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return False
    texts = numerals.analysed(values.cast(pa.large_string()), marks)
    return not texts.number.any() and numerals.first_by_other_marks(texts, marks) is None


def _is_classes(column: Column, marks: Marks) -> bool:
    """Whether a target is read as classes; of one that is refused, no."""
    try:
        return bool(columns.made_of(column, "target", marks).classes)
    except DataError:
        return False

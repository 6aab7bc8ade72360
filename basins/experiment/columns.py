"""Decides whether a column holds numbers or classes.

    by default      numbers (decimals and, in a CSV file, text that is all numbers) are numbers; truth values are
                    classes as a target, 0 and 1 as an input; text is classes as a target and refused as an input;
                    anything else is refused
    `categorical`   a column that is listed there holds classes, as target or input: text, truth values, any numbers

A class becomes a column that is 1 for samples of that class and 0 otherwise. Classes are ordered by their text, by code
points: "10" before "2", "B" before "a". Three things are refused, because they are mistakes or classes that should be
declared: text that reads as numbers with other marks than the file's, numbers stored as text where numbers could be
stored, and numbers mixed with words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from basins.arrays import of_arrow_column
from basins.errors import DataError
from basins.experiment import numerals
from basins.experiment.numerals import Marks, Texts

Array = NDArray[np.float64]
Role = Literal["input", "target"]

SAY = "list it in categorical if these are classes"


class Column(NamedTuple):
    """A column as stored. place: its file and name, for error messages; text: whether it is from a CSV file;
    categorical: whether it is declared to be classes; tagged: whether the file itself declares that."""

    name: str
    values: pa.ChunkedArray
    place: str
    text: bool = False
    categorical: bool = False
    tagged: bool = False


class Made(NamedTuple):
    """The result for a column: columns (n, k) of X or Y, their names, the classes (empty for numbers), notes, and how
    it was read if that is unusual."""

    matrix: Array
    names: list[str]
    classes: list[str]
    notes: list[str]
    reading: list[str]


def made_of(column: Column, role: Role, marks: Marks) -> Made:
    """The numbers, or one column per class. Raises DataError with the value, its row and the remedy."""
    values, dtype = column.values, column.values.type
    if pa.types.is_dictionary(dtype):
        values, dtype = values.cast(dtype.value_type), dtype.value_type
        column = column._replace(values=values)
    if column.categorical or (column.tagged and role == "target"):
        return _one_hot(column, _labels(column))
    if pa.types.is_boolean(dtype):
        return _truths(column, role)
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return _single(column, of_arrow_column(values, column.place, DataError))
    if not _is_text(dtype):
        raise _of_another_type(column, dtype)
    return _of_text(column._replace(values=values.cast(pa.large_string())), role, marks)


def is_true(column: Column) -> NDArray[np.bool_] | None:
    """Where a column of truth values is true (n,); None for any other column, and for one declared to be classes."""
    if column.categorical or column.values.null_count or not len(column.values):
        return None
    if pa.types.is_boolean(column.values.type):
        return np.asarray(column.values.to_numpy(), dtype=bool)
    if column.text:
        found = set(column.values.unique().to_pylist())
        if found <= {*numerals.TRUE, *numerals.FALSE}:
            return np.array([one in numerals.TRUE for one in column.values.to_pylist()])
    return None


# --- numbers ------------------------------------------------------------------------------------------------------


def _single(column: Column, values: Array) -> Made:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        row = int(bad[0])
        kind = "missing or NaN" if np.isnan(values[row]) else f"{values[row]}"
        more = f" ({len(bad)} such)" if len(bad) > 1 else ""
        raise DataError(f"row {row + 1} is {kind}{more}", where=column.place, remedy="fill or drop it")
    return Made(values[:, None], [shown(column.name)], [], [], [])


def _truths(column: Column, role: Role) -> Made:
    if role == "target":
        return _one_hot(column, _labels(column))
    made = _single(column, of_arrow_column(column.values, column.place, DataError))
    return made._replace(reading=[f"truth values of column {column.name!r} read as 0 and 1"])


def _of_text(column: Column, role: Role, marks: Marks) -> Made:
    texts = numerals.analysed(column.values, marks)
    words = np.flatnonzero(~texts.number & ~texts.missing)
    if column.text and texts.number.any() and not len(words):
        return _single(column, numerals.parsed(texts, marks))
    if column.text and len(words):
        made = _truth_words(column, texts, words, role)
        if made is not None:
            return made
    slip = numerals.first_by_other_marks(texts, marks)
    if slip is not None:
        row, other = slip
        raise DataError(
            f"{_value(column, row)} in row {row + 1} reads as {other.by}",
            where=column.place,
            remedy=f"{_unmarked(column, other)}, or {SAY}",
        )
    if not column.text and texts.number.any() and not len(words):
        row = int(np.flatnonzero(texts.number)[0])
        what = f"{_value(column, row)} in row {row + 1} is a number kept as text"
        raise DataError(what, where=column.place, remedy=f"store the column as numbers, or {SAY}")
    if role == "input":
        raise _no_input(column, texts, words)
    if texts.number.any() and len(words):
        row = int(words[0])
        raise DataError(
            f"mixes numbers and text: {_value(column, row)} in row {row + 1}",
            where=column.place,
            remedy=f"give only numbers, or {SAY}",
        )
    return _one_hot(column, _labels(column))


def _truth_words(column: Column, texts: Texts, words: NDArray[np.int64], role: Role) -> Made | None:
    """A CSV file's column of True and False, as pandas reads them; None if it contains other words."""
    found = set(column.values.take(pa.array(words)).unique().to_pylist())
    if texts.number.any() or not found <= {*numerals.TRUE, *numerals.FALSE}:
        return None
    missing = texts.missing.tolist()
    truths = [
        None if gone else one in numerals.TRUE for one, gone in zip(column.values.to_pylist(), missing, strict=True)
    ]
    return _truths(column._replace(values=pa.chunked_array([pa.array(truths)]), text=False), role)


def _no_input(column: Column, texts: Texts, words: NDArray[np.int64]) -> DataError:
    if not len(words):
        row = int(np.flatnonzero(texts.missing)[0])
        return DataError(f"row {row + 1} is missing or NaN", where=column.place, remedy="fill or drop it")
    row = int(words[0])
    what = f"{_value(column, row)} in row {row + 1} is not a number"
    remedy = f"encode it as numbers, {SAY}, or leave the column out of inputs"
    return DataError(what, where=column.place, remedy=remedy)


def _unmarked(column: Column, other: numerals.Other) -> str:
    if not column.text:
        return "store the column as numbers"
    return f"set {other.keys}" if other.keys else "write plain numbers"


# --- classes ------------------------------------------------------------------------------------------------------


def _labels(column: Column) -> list[str]:
    """The class of every sample, as text. Raises DataError for a missing class, and for two texts of one number."""
    values = column.values
    dtype = values.type
    plain = pa.types.is_boolean(dtype) or pa.types.is_integer(dtype) or pa.types.is_floating(dtype)
    if not (plain or pa.types.is_decimal(dtype) or _is_text(dtype)):
        raise _of_another_type(column, dtype)
    found = values.to_pylist()
    for row, one in enumerate(found):
        if one is None or one != one or (column.text and one == ""):
            raise DataError(f"row {row + 1} has no class", where=column.place, remedy="fill or drop it")
    labels = [str(one) for one in found]
    texts = numerals.analysed(pa.chunked_array([pa.array(sorted(set(labels)), type=pa.large_string())]), Marks())
    by_number: dict[float, str] = {}
    for label, number, is_one in zip(
        texts.values.to_pylist(), numerals.parsed(texts, Marks()), texts.number, strict=True
    ):
        if is_one and by_number.setdefault(float(number), label) != label:
            what = f"classes {by_number[float(number)]!r} and {label!r} are the same number"
            raise DataError(what, where=column.place, remedy="write each class in one way")
    return labels


def _one_hot(column: Column, labels: Sequence[str]) -> Made:
    classes = sorted(set(labels))
    number = {label: k for k, label in enumerate(classes)}
    codes = np.array([number[label] for label in labels], dtype=np.intp)
    matrix = (codes[:, None] == np.arange(len(classes))).astype(np.float64)
    names = [f"{shown(column.name)} = {shown(label)}" for label in classes]
    return Made(matrix, names, classes, _doubts(column, classes), [])


def _doubts(column: Column, classes: Sequence[str]) -> list[str]:
    """Notes on classes: one that often means a missing value, two that look alike."""
    notes = []
    for label in classes:
        if label in numerals.MISSING:
            missing = "an empty field" if column.text else "a null"
            notes.append(f"column {column.name!r}: {label!r} is read as a class; a missing one is {missing}")
    alike: dict[str, str] = {}
    for label in classes:
        bare = "".join(ch for ch in unicodedata.normalize("NFKC", label) if ch.isprintable() and not ch.isspace())
        if alike.setdefault(bare, label) != label:
            what = f"classes {alike[bare]!r} and {label!r} differ by what is not seen alone, and are kept apart"
            notes.append(f"column {column.name!r}: {what}")
    return notes


# --- words --------------------------------------------------------------------------------------------------------


def _is_text(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype))


def _of_another_type(column: Column, dtype: pa.DataType) -> DataError:
    values = column.values
    there = [row for row in range(len(values)) if values[row].is_valid]
    if not there:
        return DataError("row 1 is missing or NaN", where=column.place, remedy="fill or drop it")
    if pa.types.is_nested(dtype):
        remedy = "give one number or text per column"
    elif pa.types.is_temporal(dtype):
        remedy = "give numbers, such as days since a first one, or text for classes"
    else:
        remedy = "give numbers, or text for classes"
    what = f"{_short(str(values[there[0]]))} in row {there[0] + 1} is of type {dtype}, neither number nor text"
    return DataError(what, where=column.place, remedy=remedy)


def _value(column: Column, row: int) -> str:
    return _short(repr(column.values[row].as_py()))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."


def shown(text: str) -> str:
    """A name or class on one line."""
    return text if text.isprintable() else repr(text)

"""Reads the data of an experiment's table [data]: X (n_samples, d_x), Y (n_samples, d_y), and a description of them.

Sources: a file (files.py; docs/data.md explains how values are read), `gaussian` (random X and Y from their own seed)
and `sklearn:NAME` (scikit-learn's bundled data sets, extra `data`; nothing is downloaded). Nothing is silently filled
in, dropped or scaled: a value that is missing, not finite or not a number is refused with its row (counted from 1
without the header) and column, and what was inferred about the file is reported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from basins.errors import DataError, nearest
from basins.experiment import columns, numerals
from basins.experiment.attached import refuse_other
from basins.experiment.columns import Column, Made, shown
from basins.experiment.files import CSV, Table, located, refuse_absent, suffix_of, table_of
from basins.experiment.numerals import Marks
from basins.extras import importing
from basins.random.normals import normals
from basins.random.philox import centred_uniforms

Array = NDArray[np.float64]
SKLEARN = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
GAUSSIAN_STREAM = int.from_bytes(hashlib.sha256(b"basins: gaussian data").digest()[:8], "big")
"""The Philox word of random data; it equals a case's stream key only with probability 2^-64."""

CSV_ONLY = ("separator", "decimal", "thousands", "encoding")
"""Keys of [data] that describe how a CSV file is written."""


class Data(NamedTuple):
    """X (n_samples, d_x), Y (n_samples, d_y), a one-line description, and lines on how they were read."""

    X: Array
    Y: Array
    description: str
    reading: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How to read the file, as [data] says; None: taken or inferred from the file.

    index: columns to leave out; False: none.
    """

    categorical: Sequence[str] = ()
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    index: str | Sequence[str] | Literal[False] | None = None


def load(table: Mapping[str, Any], base: Path) -> Data:
    """The data of a validated [data] table; a relative path is relative to `base`. Raises DataError.

    Keys: path, sha256, inputs, targets, drop_class and `Reading`'s | source = "gaussian", samples, d_x, d_y, seed |
    source = "sklearn:NAME", drop_class.
    """
    if "path" in table:
        reading = Reading(**{key: table[key] for key in (one.name for one in fields(Reading)) if key in table})
        text = str(table["path"])
        path = located(base, text)
        if "sha256" in table:
            _refuse_other(path, table["sha256"])
        data = read(path, table.get("inputs"), table.get("targets"), table.get("drop_class"), reading)
        home = (f"{text} is {path}",) if text.startswith("~") else ()
        return data._replace(reading=(*home, *data.reading))
    source = str(table["source"])
    if source == "gaussian":
        return gaussian(table["samples"], table["d_x"], table["d_y"], table["seed"])
    return sklearn_data(source.partition(":")[2], table.get("drop_class"))


def read(
    path: Path,
    inputs: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    drop_class: str | None = None,
    reading: Reading | None = None,
) -> Data:
    """X and Y from a file's columns. inputs: None: every column that is neither target nor index. For an NPZ file the
    names are those of arrays, by default X and Y.

    drop_class: a class that gets no column.
    """
    reading = reading or Reading()
    refuse_absent(path)
    where, npz = str(path), suffix_of(path) == ".npz"
    _refuse_keys(reading, suffix_of(path))
    if npz:
        inputs, targets = inputs or ["X"], targets or ["Y"]
    index = [reading.index] if isinstance(reading.index, str) else reading.index
    index = [] if index is False else index
    listed = {"inputs": inputs, "targets": targets, "categorical": reading.categorical, "index": index}
    for key, names in listed.items():
        _refuse_twice(names or (), key)
    if not targets:
        raise DataError("no target column named", where=where, remedy="set targets to one or more columns")
    named = [*(inputs or ()), *targets]
    asked = named if npz else [*named, *reading.categorical, *(index or ())]
    table = table_of(path, asked, reading.separator, reading.encoding)
    if inputs is not None:
        inputs = [part for name in inputs for part in table.groups.get(name, [name])]
    targets = [part for name in targets for part in table.groups.get(name, [name])]
    categorical = [part for name in reading.categorical for part in table.groups.get(name, [name])]
    for name in (*(inputs or ()), *targets, *categorical, *(index or ())):
        if name not in table.columns:
            raise DataError(f"no column {name!r}", where=where, remedy=_known(name, table))
    without = left_out(table, index, [*(inputs or ()), *targets, *categorical], where)
    chosen = [one for one in table.columns if one not in (*targets, *without)] if inputs is None else inputs
    _refuse_roles(chosen, targets, categorical, where)
    if table.rows == 0:
        raise DataError("no rows", where=where, remedy="give at least two samples")

    def column(name: str) -> Column:
        tagged = name in table.categories
        return Column(name, table.columns[name], f"{where}, column {name!r}", table.text, name in categorical, tagged)

    marks = marks_of(table, [column(name) for name in (*chosen, *targets)], reading)
    made = [columns.made_of(column(name), "input", marks) for name in chosen]
    X, Y = _joined(made), _targets([column(name) for name in targets], drop_class, marks, where)
    index_names = ", ".join(repr(name) if name else "the first column, which has no name," for name in without)
    left = [f"{index_names} left out as an index"] if without else []
    what = f"{path.name}: {_count(X.matrix)}, {_list('inputs', X.names)}, {_list('targets', Y.names)}"
    how = f"read with {', '.join(table.said)}" if table.text else "read with the file's own types"
    return Data(
        X.matrix,
        Y.matrix,
        "; ".join((what, *table.unusual, *left, *X.notes, *Y.notes)),
        (how, *table.reading, *X.reading, *Y.reading),
    )


def gaussian(samples: int, d_x: int, d_y: int, seed: int) -> Data:
    """Independent standard normal X (samples, d_x) and Y (samples, d_y): the same bits on any machine."""
    z = normals(centred_uniforms(seed, GAUSSIAN_STREAM, 0, samples * (d_x + d_y)))
    X, Y = z[: samples * d_x].reshape(samples, d_x), z[samples * d_x :].reshape(samples, d_y)
    return Data(X, Y, f"random normal data of seed {seed}: {_count(X)}, {d_x} inputs, {d_y} targets")


def sklearn_data(name: str, drop_class: str | None = None) -> Data:
    """One of scikit-learn's bundled data sets, as measured: `diabetes` is unscaled, classes are one-hot by name."""
    where = f"sklearn:{name}"
    if name not in SKLEARN:
        raise DataError(f"unknown data set {name!r}", where=where, remedy=nearest(name, SKLEARN))
    with importing("sklearn", where, where="source"):
        from sklearn import datasets
    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**options)
    X = np.asarray(bunch.data, dtype=np.float64)
    if "target_names" in bunch and np.ndim(bunch.target) == 1:
        classes = [str(one) for one in bunch.target_names]
        values = {"class": pa.array([classes[k] for k in bunch.target])}
    else:
        target = np.asarray(bunch.target, dtype=np.float64).reshape(len(X), -1)
        values = dict(zip(bunch.get("target_names", ["target"]), map(pa.array, target.T.copy()), strict=True))
    targets = [
        Column(name, pa.chunked_array([one]), f"{where}, column {name!r}", categorical=name == "class")
        for name, one in values.items()
    ]
    Y = _targets(targets, drop_class, Marks(), where)
    return Data(X, Y.matrix, f"{where}: {_count(X)}, {X.shape[1]} inputs, {_list('targets', Y.names)}")


def _refuse_other(path: Path, sha256: str) -> None:
    """Raises DataError unless it is the file of this SHA-256."""
    refuse_absent(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"not readable: {error.strerror}", where=str(path), remedy="check the file") from None
    refuse_other(content, sha256, str(path))


# --- the keys of [data] that describe a file ----------------------------------------------------------------------


def _refuse_keys(reading: Reading, suffix: str) -> None:
    """Raises DataError for a key that does not apply to this kind of file, and for marks that are equal."""
    for key in CSV_ONLY:
        if getattr(reading, key) is not None and suffix not in CSV:
            raise DataError(f"a key of CSV files, and this is {suffix}", where=key, remedy="take it out")
    if reading.index is not None and suffix == ".npz":
        raise DataError("arrays have no index", where="index", remedy="take it out, and name the arrays you want")
    if reading.thousands is not None and reading.thousands == (reading.decimal or "."):
        what = f"{reading.thousands!r} is the decimal mark too"
        raise DataError(what, where="thousands", remedy='set decimal as well, such as decimal = ","')


def _refuse_twice(names: Sequence[str], key: str) -> None:
    for name in names:
        if list(names).count(name) > 1:
            raise DataError(f"{name!r} is named twice", where=key, remedy="name it once")


def _known(name: str, table: Table) -> str:
    if table.text and len(table.columns) == 1:
        return f"its one column is {next(iter(table.columns))!r}: set separator"
    return nearest(name, [one for one in table.columns if one])


def left_out(table: Table, index: Sequence[str] | None, named: Sequence[str], where: str) -> list[str]:
    """The index columns: those that [data] gives, otherwise those that look like one and are not named."""
    found = [one for one in table.index if one not in named]
    if index is None:
        return found
    if not index:
        if "" in table.columns:
            remedy = "name it, or take index = false out"
            raise DataError("column 1 of the header has no name", where=where, remedy=remedy)
        return []
    both = [name for name in index if name in named]
    if both:
        raise DataError(f"column {both[0]!r} is index and more", where=where, remedy="name it in one place")
    return [*(one for one in found if one == ""), *index]


def _refuse_roles(inputs: Sequence[str], targets: Sequence[str], categorical: Sequence[str], where: str) -> None:
    both = [name for name in inputs if name in targets]
    if both:
        raise DataError(f"column {both[0]!r} is input and target", where=where, remedy="take it out of one")
    if not inputs:
        raise DataError("no column left to be input or target", where=where, remedy="name inputs and targets")
    for name in categorical:
        if name not in inputs and name not in targets:
            what = f"column {name!r} is in categorical, and neither input nor target"
            raise DataError(what, where=where, remedy="take it out, or name it in inputs or targets")


def marks_of(table: Table, used: Sequence[Column], reading: Reading) -> Marks:
    """How the file's numbers are written: as [data] says, or as found in the columns that are used; it is reported."""
    if not table.text:
        return Marks()
    marks, how = Marks(reading.decimal or ".", reading.thousands), "given" if reading.decimal else "assumed"
    if not reading.decimal and table.separator != "," and marks.thousands != ",":
        of_numbers = [numerals.analysed(one.values, marks) for one in used if not one.categorical]
        if numerals.decimal_comma(of_numbers):
            marks, how = marks._replace(decimal=","), "found"
    table.said.append(f"decimal mark {marks.decimal!r} ({how})")
    table.said.append(
        f"thousands mark {marks.thousands!r} (given)" if marks.thousands else "no thousands mark (assumed)"
    )
    if marks.decimal != ".":
        table.unusual.append(f"decimal mark {marks.decimal!r}")
    if marks.thousands:
        table.unusual.append(f"thousands mark {marks.thousands!r}")
    return marks


# --- targets ------------------------------------------------------------------------------------------------------


def _targets(targets: Sequence[Column], drop_class: str | None, marks: Marks, where: str) -> Made:
    """Y (n_samples, d_y): a class target gives one column per class, except for `drop_class`."""
    if drop_class is None:
        one_hot = _one_hot_already(targets)
        if one_hot is not None:
            return one_hot
    made = [columns.made_of(column, "target", marks) for column in targets]
    if drop_class is not None:
        classes = [label for one in made for label in one.classes]
        if drop_class not in classes:
            remedy = nearest(drop_class, classes) if classes else "no target is a class: leave drop_class out"
            raise DataError(f"no class {drop_class!r}", where=f"{where}, drop_class", remedy=remedy)
        made = [_without(one, drop_class) for one in made]
    joined = _joined(made)
    if not joined.names:
        raise DataError("no target left", where=f"{where}, drop_class", remedy="keep at least one class")
    return joined


def _without(made: Made, drop_class: str) -> Made:
    kept = [k for k in range(len(made.names)) if not made.classes or made.classes[k] != drop_class]
    classes = [made.classes[k] for k in kept] if made.classes else []
    return made._replace(matrix=made.matrix[:, kept], names=[made.names[k] for k in kept], classes=classes)


def _one_hot_already(targets: Sequence[Column]) -> Made | None:
    """If several columns of truth values have exactly one true value in every row, each is the column of one class.
    Read separately, each would be two classes, and together they could not be fitted."""
    truths = [columns.is_true(column) for column in targets] if len(targets) > 1 else [None]
    found = [one for one in truths if one is not None]
    if len(found) < len(truths) or not (np.sum(found, axis=0) == 1).all():
        return None
    note = f"{len(found)} targets of truth values read as the columns of one class each"
    return Made(np.column_stack(found).astype(np.float64), [shown(one.name) for one in targets], [], [note], [])


def _joined(made: Sequence[Made]) -> Made:
    matrix = np.column_stack([one.matrix for one in made])
    names, classes, notes, reading = ([text for one in made for text in one[k]] for k in range(1, 5))
    return Made(matrix, names, classes, notes, reading)


def _count(X: Array) -> str:
    return f"{len(X)} samples"


def _list(what: str, names: Sequence[str]) -> str:
    more = f", ... {len(names) - 6} more" if len(names) > 6 else ""
    return f"{len(names)} {what} ({', '.join(names[:6])}{more})"

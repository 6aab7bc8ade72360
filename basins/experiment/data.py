"""Data in: a table of an experiment's [data] -> X (n_samples, d_x), Y (n_samples, d_y), and what they are in
words.

Sources: a file (CSV, Parquet, NPZ, by its suffix), `gaussian` (random X and Y from a seed of its own) and
`sklearn:NAME` (scikit-learn's bundled data sets, extra `data`; nothing is downloaded). Nothing is filled in,
dropped or scaled in silence: a value that is missing, not finite or not a number is refused with its row
(counted from 1, the header not counted) and column.

A target that is a class (text, boolean or categorical) becomes one column a class, in sorted order, 1 where
the sample is of it; a target of numbers is a number. pandas and scikit-learn are imported where they are
needed.
"""

from __future__ import annotations

import csv
import hashlib
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from basins.errors import DataError, nearest
from basins.random.normals import centred_uniforms, normals

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
SUFFIXES = (".csv", ".parquet", ".npz")
SKLEARN = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
GAUSSIAN_STREAM = int.from_bytes(hashlib.sha256(b"basins: gaussian data").digest()[:8], "big")
"""The Philox word of random data: no case's stream key but by a 2^-64 accident."""


class Data(NamedTuple):
    """X (n_samples, d_x), Y (n_samples, d_y), and one line that says what they are."""

    X: Array
    Y: Array
    description: str


def load(table: Mapping[str, Any], base: Path) -> Data:
    """The data of a validated [data] table; a relative path is relative to `base`. Raises DataError.

    Keys: path, inputs, targets, drop_class | source = "gaussian", samples, d_x, d_y, seed | source =
    "sklearn:NAME", drop_class.
    """
    if "path" in table:
        return read(base / str(table["path"]), table.get("inputs"), table.get("targets"), table.get("drop_class"))
    source = str(table["source"])
    if source == "gaussian":
        return gaussian(table["samples"], table["d_x"], table["d_y"], table["seed"])
    return sklearn_data(source.partition(":")[2], table.get("drop_class"))


def read(
    path: Path,
    inputs: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    drop_class: str | None = None,
) -> Data:
    """X and Y of a file's columns; `inputs` None: every column that is no target. In an NPZ file the names
    are arrays', X and Y if not given.

    drop_class: a class that gets no column.
    """
    where = str(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"unknown format {path.suffix!r}", where=where, remedy=f"give one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        what = "a folder, not a file" if path.is_dir() else "no such file"
        raise DataError(what, where=where, remedy="a path is relative to the experiment's file")
    if path.suffix.lower() == ".npz":
        table, inputs, targets = _read_npz(path, inputs or ["X"], targets or ["Y"])
    else:
        table = _read_table(path)
    if targets is None:
        raise DataError("no target column named", where=where, remedy="set targets to one or more columns")
    table.columns = columns = [str(name) for name in table.columns]
    _refuse_twins(columns, where)
    for name in (*(inputs or ()), *targets):
        if name not in columns:
            raise DataError(f"no column {name!r}", where=where, remedy=nearest(name, columns))
    chosen = [name for name in columns if name not in targets] if inputs is None else list(inputs)
    both = [name for name in chosen if name in targets]
    if both:
        raise DataError(f"column {both[0]!r} is input and target", where=where, remedy="take it out of one")
    if not chosen or not targets:
        raise DataError("no column left to be input or target", where=where, remedy="name inputs and targets")
    if len(table) == 0:
        raise DataError("no rows", where=where, remedy="give at least two samples")
    X = np.column_stack([_numbers(table[name], name, where) for name in chosen])
    Y, names = _targets(table, targets, drop_class, where)
    return Data(X, Y, f"{path.name}: {_count(X)}, {_list('inputs', chosen)}, {_list('targets', names)}")


def gaussian(samples: int, d_x: int, d_y: int, seed: int) -> Data:
    """Independent standard normal X (samples, d_x) and Y (samples, d_y): the same bits on any machine."""
    z = normals(centred_uniforms(seed, GAUSSIAN_STREAM, 0, samples * (d_x + d_y)))
    X, Y = z[: samples * d_x].reshape(samples, d_x), z[samples * d_x :].reshape(samples, d_y)
    return Data(X, Y, f"random normal data of seed {seed}: {_count(X)}, {d_x} inputs, {d_y} targets")


def sklearn_data(name: str, drop_class: str | None = None) -> Data:
    """One of scikit-learn's bundled data sets, as measured: `diabetes` unscaled, classes one-hot by their
    names."""
    where = f"sklearn:{name}"
    if name not in SKLEARN:
        raise DataError(f"unknown data set {name!r}", where=where, remedy=nearest(name, SKLEARN))
    try:
        from sklearn import datasets
    except ImportError:
        raise DataError("scikit-learn is not installed", where=where, remedy="pip install 'ovf-basins[data]'") from None
    import pandas as pd

    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**options)
    X = np.asarray(bunch.data, dtype=np.float64)
    if "target_names" in bunch and np.ndim(bunch.target) == 1:
        classes = [str(one) for one in bunch.target_names]
        table = pd.DataFrame({"class": [classes[k] for k in bunch.target]})
    else:
        target = np.asarray(bunch.target, dtype=np.float64).reshape(len(X), -1)
        table = pd.DataFrame(target, columns=list(bunch.get("target_names", ["target"])))
    Y, names = _targets(table, list(table.columns), drop_class, where)
    return Data(X, Y, f"{where}: {_count(X)}, {X.shape[1]} inputs, {_list('targets', names)}")


# --- files
# -----------------------------------------------------------------------------------------------------------


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    # Before 3.1 a decimal is read to its nearest double only if asked for; from then on asking is deprecated.
    before = tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)
    exact: dict[str, Any] = {"float_precision": "round_trip"} if before else {}
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        with warnings.catch_warnings():
            # Without this a row with too many fields is cut short, and only a warning says so.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            with path.open(newline="", encoding="utf-8-sig") as lines:
                _refuse_twins(next(csv.reader(lines), []), str(path))  # pandas would rename the second in silence
            table: pd.DataFrame = pd.read_csv(path, index_col=False, low_memory=False, **exact)
            return table
    except pd.errors.EmptyDataError:
        raise DataError("an empty file", where=str(path), remedy="give a table with a header") from None
    except DataError:
        raise
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error, OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _read_npz(path: Path, inputs: Sequence[str], targets: Sequence[str]) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The named arrays as columns, and the names of these: array X is column X, or X[0], X[1], ... if it is a
    matrix."""
    import pandas as pd

    columns: dict[str, Any] = {}
    named: dict[str, list[str]] = {}
    lengths: dict[str, int] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in (*inputs, *targets):
                if name not in file.files:
                    raise DataError(f"no array {name!r}", where=str(path), remedy=nearest(name, file.files))
                array = file[name]
                if array.ndim not in (1, 2):
                    raise DataError(f"array {name!r} has shape {array.shape}", where=str(path), remedy="give a matrix")
                lengths[name] = len(array)
                parts = {name: array}
                if array.ndim == 2:
                    parts = {f"{name}[{k}]": array[:, k] for k in range(array.shape[1])}
                columns.update(parts)
                named[name] = list(parts)
    except (AttributeError, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise _unreadable(path, error) from None
    if len(set(lengths.values())) > 1:
        raise DataError(f"arrays of different lengths: {lengths}", where=str(path), remedy="give one row a sample")
    inputs, targets = ([part for name in names for part in named[name]] for names in (inputs, targets))
    return pd.DataFrame(columns), inputs, targets


def _refuse_twins(columns: Sequence[str], where: str) -> None:
    for name in columns:
        if columns.count(name) > 1:
            raise DataError(f"two columns are called {name!r}", where=where, remedy="rename one")


def _unreadable(path: Path, error: Exception) -> DataError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return DataError(f"not readable as {path.suffix[1:]}: {lines[-1]}", where=str(path), remedy="check the file")


# --- columns
# ---------------------------------------------------------------------------------------------------------


def _numbers(column: pd.Series[Any], name: str, where: str) -> Array:
    """A column as float64. Raises DataError for the first value that is text, missing or not finite."""
    import pandas as pd

    if _kind(column, f"{where}, column {name!r}") == "number" or pd.api.types.is_bool_dtype(column.dtype):
        values: Array = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values = np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
        text = np.flatnonzero(np.isnan(values) & column.notna().to_numpy())
        if len(text):
            row = int(text[0])
            raise DataError(
                f"{str(column.iloc[row])!r} in row {row + 1} is not a number",
                where=f"{where}, column {name!r}",
                remedy="encode it as numbers, or leave the column out of inputs",
            )
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        row = int(bad[0])
        kind = "missing or NaN" if np.isnan(values[row]) else f"{values[row]}"
        raise DataError(
            f"row {row + 1} is {kind} ({len(bad)} such)" if len(bad) > 1 else f"row {row + 1} is {kind}",
            where=f"{where}, column {name!r}",
            remedy="fill or drop it",
        )
    return values


def _targets(
    table: pd.DataFrame, targets: Sequence[str], drop_class: str | None, where: str
) -> tuple[Array, list[str]]:
    """Y (n_samples, d_y) and its columns' names: a class target is one column a class, but for
    `drop_class`."""
    columns: list[Array] = []
    names: list[str] = []
    dropped = drop_class is None
    for name in targets:
        if _kind(table[name], f"{where}, column {name!r}") == "number":
            columns.append(_numbers(table[name], name, where))
            names.append(name)
            continue
        missing = np.flatnonzero(table[name].isna().to_numpy())
        if len(missing):
            raise DataError(
                f"row {int(missing[0]) + 1} has no class",
                where=f"{where}, column {name!r}",
                remedy="fill or drop it",
            )
        labels = np.array([str(value) for value in table[name]])
        _refuse_mixed(labels, f"{where}, column {name!r}")
        for one in sorted(set(labels)):
            if one == drop_class:
                dropped = True
                continue
            columns.append((labels == one).astype(np.float64))
            names.append(f"{name} = {one}")
    if not dropped:
        classes = [name.partition(" = ")[2] for name in names if " = " in name]
        remedy = nearest(str(drop_class), classes) if classes else "no target is a class: leave drop_class out"
        raise DataError(f"no class {drop_class!r}", where=f"{where}, drop_class", remedy=remedy)
    if not columns:
        raise DataError("no target left", where=f"{where}, drop_class", remedy="keep at least one class")
    return np.column_stack(columns), names


def _refuse_mixed(labels: NDArray[np.str_], where: str) -> None:
    """A column of numbers with one slip of text must not pass for a column of classes."""
    import pandas as pd

    text = np.isnan(np.asarray(pd.to_numeric(pd.Series(labels), errors="coerce"), dtype=np.float64))
    if text.any() and not text.all():
        row = int(np.flatnonzero(text)[0])
        raise DataError(
            f"mixes numbers and text: {str(labels[row])!r} in row {row + 1}",
            where=where,
            remedy="give numbers alone, or classes of which none reads as a number",
        )


def _kind(column: pd.Series[Any], where: str) -> Literal["number", "class"]:
    """Whether a column holds numbers or classes (text, boolean, categorical). Raises DataError for any other type."""
    import pandas as pd

    types, kind = pd.api.types, column.dtype
    if types.is_numeric_dtype(kind) and not types.is_bool_dtype(kind) and not types.is_complex_dtype(kind):
        return "number"
    if types.is_bool_dtype(kind) or types.is_string_dtype(kind) or types.is_object_dtype(kind):
        return "class"
    if isinstance(kind, pd.CategoricalDtype):
        return "class"
    raise DataError(f"values of type {kind}", where=where, remedy="give numbers, or text for classes")


def _count(X: Array) -> str:
    return f"{len(X)} samples"


def _list(what: str, names: Sequence[str]) -> str:
    more = f", ... {len(names) - 6} more" if len(names) > 6 else ""
    return f"{len(names)} {what} ({', '.join(names[:6])}{more})"

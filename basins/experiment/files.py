"""A data file as a table of columns. The name gives the format (CSV, Parquet or NPZ), and the first bytes must agree.

A path is on this machine: relative to the experiment's folder, absolute, or under the home folder (`~`).
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from basins.errors import DataError, nearest
from basins.experiment import csv_file
from basins.home import with_home

CSV = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
SUFFIXES = (*CSV, ".parquet", ".npz")

MAGIC: tuple[tuple[bytes, str, tuple[str, ...]], ...] = (
    (b"PAR1", "Parquet", (".parquet",)),
    (b"PK\x03\x04", "a zip archive (NPZ, XLSX, ZIP)", (".npz",)),
    (b"\x93NUMPY", "a single array (NPY)", ()),
    (b"\x1f\x8b", "gzip", (".csv.gz", ".tsv.gz")),
    (b"BZh", "bzip2", ()),
    (b"\xfd7zXZ", "xz", ()),
    (b"\x28\xb5\x2f\xfd", "Zstandard", ()),
    (b"\x89HDF", "HDF5", ()),
    (b"ARROW1", "Arrow (Feather)", ()),
    (b"SQLite format 3", "an SQLite database", ()),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", ()),
    (b"[{", "JSON", ()),
    (b'{"', "JSON", ()),
    (b"%PDF", "PDF", ()),
    (b"version https://git-lfs", "a pointer of Git LFS", ()),
    (b"<!DOCTYPE", "HTML", ()),
    (b"<!doctype", "HTML", ()),
    (b"<html", "HTML", ()),
)
"""First bytes, the format that they show, and the suffixes under which it is read."""

REMEDIES = {
    "a single array (NPY)": "save X and Y with numpy.savez",
    "gzip": "call it .csv.gz if it is a CSV file, or unpack it",
    "Parquet": "call it .parquet",
    "a pointer of Git LFS": "fetch the file itself: git lfs pull",
    "HTML": "download the file itself, not the page about it",
}


@dataclass
class Table:
    """Columns by name, as stored. text: whether they are fields of a CSV file, whose numbers are text too; index:
    columns that the file itself marks as an index; categories: columns that the file itself marks as categorical;
    groups: for an NPZ file, the columns of each array; said, unusual: how the file was read (csv_file.py); reading:
    further remarks on that.
    """

    columns: dict[str, pa.ChunkedArray]
    text: bool = False
    separator: str = ","
    index: list[str] = field(default_factory=list)
    categories: frozenset[str] = frozenset()
    groups: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    unusual: list[str] = field(default_factory=list)
    reading: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return max((len(column) for column in self.columns.values()), default=0)


def suffix_of(path: Path) -> str:
    """The suffix that selects how a file is read: one of SUFFIXES, or its own."""
    name = path.name.lower()
    return max((suffix for suffix in SUFFIXES if name.endswith(suffix)), key=len, default=path.suffix.lower())


def located(base: Path, text: str) -> Path:
    """The file that `path = text` refers to in an experiment in the folder `base`. Raises DataError for an address."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        remedy = "copy the file to this machine and give its path; workers need no copy"
        raise DataError("data are read from a file, not from an address", where=text, remedy=remedy)
    path = with_home(text)
    if text.startswith("~") and path == text:
        raise DataError("no home folder is known for ~", where=text, remedy="give the whole path")
    return base / path


def refuse_absent(path: Path) -> None:
    """Raises DataError unless the path is a file whose name shows its format."""
    if suffix_of(path) not in SUFFIXES:
        remedy = f"give one of {', '.join(SUFFIXES)}"
        raise DataError(f"unknown format {path.suffix!r}", where=str(path), remedy=remedy)
    try:
        os.stat(path)
        if not path.is_file():
            what = "a folder, not a file" if path.is_dir() else "not a file"
            raise DataError(what, where=str(path), remedy="give the path of a file")
    except FileNotFoundError:
        raise DataError(
            "no such file",
            where=str(path),
            remedy="a path is relative to the experiment's file, in Python to the working folder",
        ) from None
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise DataError(f"no such file ({what})", where=str(path), remedy="check the path") from None


def refuse_mislabelled(path: Path) -> None:
    """Raises DataError for a file whose first bytes show another format than its name."""
    suffix = suffix_of(path)
    with path.open("rb") as file:
        head = file.read(32)
    for magic, what, suffixes in MAGIC:
        if head.startswith(magic) and suffix not in suffixes:
            remedy = REMEDIES.get(what, f"give one of {', '.join(SUFFIXES)}")
            raise DataError(f"{what} under the name {suffix}", where=str(path), remedy=remedy)
    own = [magic for magic, _, suffixes in MAGIC if suffix in suffixes]
    if own and not head.startswith(own[0]):
        raise DataError(
            f"not readable as {suffix[1:]}: its first bytes are not those of one",
            where=str(path),
            remedy="check the file",
        )


def table_of(path: Path, names: Sequence[str], separator: str | None = None, encoding: str | None = None) -> Table:
    """The table of an existing file. names: the columns or arrays that are requested by name."""
    try:
        refuse_mislabelled(path)
        suffix = suffix_of(path)
        if suffix == ".parquet":
            return _parquet(path)
        if suffix == ".npz":
            return _npz(path, names)
        fields = csv_file.fields_of(path, separator, encoding, names)
        return Table(
            fields.columns,
            text=True,
            separator=fields.separator,
            index=fields.index,
            said=fields.said,
            unusual=fields.unusual,
        )
    except DataError:
        raise
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile, pa.ArrowException) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        what = f"not readable as {suffix_of(path)[1:]}: {lines[-1]}"
        raise DataError(what, where=str(path), remedy="check the file") from None


def _parquet(path: Path) -> Table:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise DataError(f"two columns are called {name!r}", where=str(path), remedy="rename one")
    table = file.read()
    about = schema.pandas_metadata or {}
    index = [one for one in about.get("index_columns", []) if isinstance(one, str) and one in schema.names]
    levels = [name for name in schema.names if re.fullmatch(r"__index_level_\d+__", name)]
    index += [name for name in (*csv_file.unnamed(schema.names), *levels) if name not in index]
    kinds = {one.get("field_name"): one.get("pandas_type") for one in about.get("columns", [])}
    return Table(
        {name: table.column(name) for name in schema.names},
        index=index,
        categories=frozenset(name for name, kind in kinds.items() if kind == "categorical"),
    )


def _npz(path: Path, names: Sequence[str]) -> Table:
    """The named arrays as columns: array X is column X, or X[0], X[1], ... if it is a matrix."""
    found = Table({})
    lengths: dict[str, int] = {}
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        for name in names:
            if file.files.count(name) > 1:
                raise DataError(f"two arrays are called {name!r}", where=str(path), remedy="rename one")
            if name not in file.files:
                raise DataError(f"no array {name!r}", where=str(path), remedy=nearest(name, file.files))
            array = file[name]
            if array.ndim not in (1, 2):
                raise DataError(f"array {name!r} has shape {array.shape}", where=str(path), remedy="give a matrix")
            lengths[name] = len(array)
            parts = {name: array}
            if array.ndim == 2:
                parts = {f"{name}[{k}]": array[:, k] for k in range(array.shape[1])}
                if array.dtype == np.bool_:
                    # A matrix of truth values is already one of zeros and ones: none of its columns is two classes.
                    parts = {part: column.astype(np.uint8) for part, column in parts.items()}
                    found.reading.append(f"truth values of array {name!r} read as 0 and 1")
            found.groups[name] = list(parts)
            found.columns.update({part: _arrow(column, path, part) for part, column in parts.items()})
    if len(set(lengths.values())) > 1:
        raise DataError(f"arrays of different lengths: {lengths}", where=str(path), remedy="give one row per sample")
    return found


def _arrow(array: np.ndarray[Any, Any], path: Path, name: str) -> pa.ChunkedArray:
    """A vector of an NPZ file. Raises DataError for values that are neither numbers, truth values nor text."""
    kind = array.dtype.kind
    if kind in "iuf":
        values = array if array.dtype.itemsize <= 8 and array.dtype != np.float16 else array.astype(np.float64)
        return pa.chunked_array([pa.array(values.astype(values.dtype.newbyteorder("=")))])
    if kind == "b":
        return pa.chunked_array([pa.array(array)])
    if kind == "U":
        return pa.chunked_array([pa.array([str(one) for one in array], type=pa.large_string())])
    first = f"{str(array[0])[:60]} in row 1 is" if len(array) else "values are"
    remedy = "give numbers, or text for classes"
    raise DataError(f"{first} of type {array.dtype}", where=f"{path}, column {name!r}", remedy=remedy)

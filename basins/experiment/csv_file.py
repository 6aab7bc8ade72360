"""A CSV file as columns of text. Encoding, separator and index columns are given by keys of [data] or inferred.

What is not given is inferred by rules that use the file alone, so they give the same result everywhere:
- encoding: from the file's byte order mark, otherwise UTF-8. Nothing else is guessed.
- separator: the one of , ; tab | with which each of the first 200 rows has as many fields as the header, and at least
  two. If several qualify, the one whose header has the columns that [data] names; if several still qualify, none is
  guessed.
- decimal mark: the point; the comma if it is not the separator and the numbers leave no doubt (numerals.py).
- index: first columns without a name, which is how pandas writes an index, or `Unnamed: 0`, the name that pandas gives
  such a column when it reads it.

Rows count from 1, without the header and blank lines. An empty field is a missing value.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice, takewhile
from pathlib import Path

import pyarrow as pa

from basins.errors import DataError

SEPARATORS = (",", ";", "\t", "|")
SNIFFED = 200
"""The number of rows that are used to find the separator."""

CHUNK = 1 << 15
"""The number of rows held as Python strings at a time."""

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)*")


@dataclass
class Fields:
    """Columns of text by name. index: those that look like a pandas index; said: a description of how the file was
    read; unusual: the part of it that differs from plain comma-separated UTF-8."""

    columns: dict[str, pa.ChunkedArray]
    separator: str
    index: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    unusual: list[str] = field(default_factory=list)


def fields_of(
    path: Path,
    separator: str | None = None,
    encoding: str | None = None,
    named: Sequence[str] = (),
) -> Fields:
    """The columns of a CSV file. separator, encoding: inferred if None; named: the columns that [data] names. Raises
    DataError with the row.
    """
    where = str(path)
    data, zipped = _unzipped(path)
    text, coded = _decoded(data, encoding, where)
    if re.match(r"sep=.[\r\n]", text):
        what = "begins with a line that is Excel's own (sep=)"
        raise DataError(what, where=where, remedy="remove that line, and set separator")
    by, how = (separator, "given") if separator else _found_separator(text, path, named)
    header, columns = _columns(text, by, where)
    names = _names(header, columns, where)
    found = Fields(dict(zip(names, columns, strict=True)), by)
    if len(names) < len(header):
        found.unusual.append(f"{len(header) - len(names)} empty column(s) at the end left out")
    found.said.append(f"separator {by!r} ({how})")
    found.said.append(f"encoding {coded} ({'given' if encoding else 'found'})")
    if by != ",":
        found.unusual.append(f"separator {by!r}")
    if coded != "utf-8":
        found.unusual.append(f"encoding {coded}")
    if zipped:
        found.said.append("gzip")
    found.index = unnamed(names)
    if "" in names[1:]:
        what = f"column {names.index('', 1) + 1} of the header has no name"
        raise DataError(what, where=where, remedy="name it, or take it out")
    return found


def unnamed(names: Sequence[str]) -> list[str]:
    """The first columns that have no name, or the name that pandas gives such a column."""
    return list(takewhile(lambda name: name == "" or UNNAMED.fullmatch(name), names))


# --- bytes to text ------------------------------------------------------------------------------------------------


def _unzipped(path: Path) -> tuple[bytes, bool]:
    data = path.read_bytes()
    if path.suffix.lower() != ".gz":
        return data, False
    try:
        return gzip.decompress(data), True
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"not readable as gzip: {error}", where=str(path), remedy="check the file") from None


def _decoded(data: bytes, encoding: str | None, where: str) -> tuple[str, str]:
    """The text, and the name of its encoding."""
    mark = next((codec for bom, codec in BYTE_ORDER_MARKS if data.startswith(bom)), None)
    if encoding is not None:
        name = _codec(encoding)
        if mark is not None and name.split("-")[:2] != mark.split("-")[:2]:
            what = f"begins with the byte order mark of {mark.removesuffix('-sig')}, and encoding = {encoding!r}"
            raise DataError(what, where=where, remedy="take encoding out")
        codec = "utf-8-sig" if name == "utf-8" else name
    else:
        codec = mark or "utf-8"
        if mark is None and data[:4096].count(0) > len(data[:4096]) / 5:
            what, remedy = "holds bytes of zero as UTF-16 does, without its mark", 'set encoding, such as "utf-16-le"'
            raise DataError(what, where=where, remedy=remedy)
    try:
        text = data.decode(codec).removeprefix("\ufeff")
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        line = data[:at].count(b"\n") + 1
        place = "the header" if line == 1 else f"row {line - 1} (line {line})"
        said = codec.removesuffix("-sig")
        what = f"byte 0x{data[at : at + 1].hex()} in {place} is not {said}"
        remedy = (
            'set another encoding, such as "latin-1"' if encoding else 'set encoding, such as "cp1252" or "latin-1"'
        )
        raise DataError(what, where=where, remedy=remedy) from None
    return text, codec.removesuffix("-sig")


def _codec(encoding: str) -> str:
    """Python's name of an encoding. Raises DataError if it is not a text encoding."""
    try:
        name = codecs.lookup(encoding).name
        with suppress(UnicodeError):
            b"text".decode(encoding)
    except (LookupError, ValueError):
        remedy = 'give one that Python knows, such as "utf-8", "cp1252", "latin-1" or "utf-16"'
        raise DataError(f"unknown encoding {encoding!r}", where="encoding", remedy=remedy) from None
    return name


# --- text to fields -----------------------------------------------------------------------------------------------


def _records(text: str, separator: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """The line at which each record ends, and its fields; blank lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    row = 0
    try:
        for record in reader:
            if record and not (len(record) == 1 and not record[0].strip()):
                yield reader.line_num, record
                row += 1
    except csv.Error as error:
        place = f"row {row} (line {reader.line_num})" if row else "the header"
        said = "a quote that is not closed" if "end of data" in str(error) else str(error)
        what, remedy = f"not readable as csv: {said}, in {place}", "correct the quotes there, or set separator"
        raise DataError(what, where=where, remedy=remedy) from None


def _found_separator(text: str, path: Path, named: Sequence[str]) -> tuple[str, str]:
    """The separator according to this module's rules, and how it was found."""
    where = str(path)
    if path.name.lower().endswith((".tsv", ".tsv.gz")):
        return "\t", "by the file's name"
    headers: dict[str, list[str]] = {}
    fitting = []
    for separator in SEPARATORS:
        try:
            records = [record for _, record in islice(_records(text, separator, where), SNIFFED + 1)]
        except DataError:
            continue
        if records and len(records[0]) > 1:
            headers[separator] = records[0]
            if {len(record) for record in records} == {len(records[0])}:
                fitting.append(separator)
    candidates = fitting or list(headers)
    with_names = [one for one in candidates if set(named) <= set(headers[one])]
    if len(with_names) > 1 and fitting:
        what = f"fields may be separated by {' or '.join(map(repr, with_names))}"
        raise DataError(what, where=where, remedy="set separator to one of them")
    if with_names or candidates:
        return (with_names or candidates)[0], "found"
    return ",", "assumed"


def _columns(text: str, separator: str, where: str) -> tuple[list[str], list[pa.ChunkedArray]]:
    """The header, and a column of text for each of its names."""
    records = _records(text, separator, where)
    _, header = next(records, (0, []))
    if not header:
        raise DataError("an empty file", where=where, remedy="give a table with a header")
    parts: list[list[pa.Array]] = [[] for _ in header]
    row = 0
    while chunk := list(islice(records, CHUNK)):
        for line, record in chunk:
            row += 1
            if len(record) != len(header):
                what = (
                    f"not readable as csv: row {row} (line {line}) has {len(record)} fields and the header "
                    f"{len(header)}, separated by {separator!r}"
                )
                raise DataError(
                    what, where=where, remedy="correct that row, quote fields with a separator, or set separator"
                )
        for part, values in zip(parts, zip(*(record for _, record in chunk), strict=True), strict=True):
            part.append(pa.array(values, type=pa.large_string()))
    return header, [pa.chunked_array(part, type=pa.large_string()) for part in parts]


def _names(header: list[str], columns: list[pa.ChunkedArray], where: str) -> list[str]:
    """The header. Raises DataError for a name that occurs twice; empty names at its end, over empty columns, are
    cut."""
    header = list(header)
    while len(header) > 1 and header[-1] == "" and columns[-1].unique().to_pylist() in ([], [""]):
        del header[-1], columns[-1]
    for name in header:
        if header.count(name) > 1:
            called = f"are called {name!r}" if name else "have no name"
            raise DataError(f"two columns {called}", where=where, remedy="rename one")
    return header

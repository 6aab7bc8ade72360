"""A table <-> the bytes of a Parquet file. Built in memory, put once: a file is never written piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from basins.errors import RunError
from basins.store.files import Files

AGAIN = "move it away and run again: what is missing is computed again, to the same bytes"
"""The remedy for a damaged shard."""


class Damaged(RunError):
    """A file that is there and cannot be what was written."""


class Footer(NamedTuple):
    """What a file's end says of it: rows, and the key-values that basins wrote, without their prefix."""

    rows: int
    keys: dict[str, str]


def encode(table: pa.Table, keys: Mapping[str, str]) -> pa.Buffer:
    """The table as Parquet: zstd, page checksums, statistics; `keys` go to the footer as basins.NAME.

    The same table gives the same bytes in any process (tests/store/test_store.py); another pyarrow may give others.
    """
    schema = table.schema
    flat = [field for field in schema if not pa.types.is_nested(field.type)]
    floats = [field.name for field in flat if pa.types.is_floating(field.type)]
    # Counts and ids are stored as differences, floats byte by byte (exponents compress), the rest as dictionaries.
    counts = [field.name for field in flat if field.type in (pa.int64(), pa.int32(), pa.uint32())]
    encodings = dict.fromkeys(floats, "BYTE_STREAM_SPLIT") | dict.fromkeys(counts, "DELTA_BINARY_PACKED")
    metadata = {f"basins.{name}": value for name, value in keys.items()}
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(metadata),
        sink,
        row_group_size=1 << 20,
        compression="zstd",
        use_dictionary=[field.name for field in schema if field.name not in encodings],
        column_encoding=encodings,
        write_statistics=True,
        write_page_checksum=True,
    )
    return sink.getvalue()


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column of text as one array with one dictionary."""
    column = column.unify_dictionaries()
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def occurring(table: pa.Table) -> pa.Table:
    """The table with the dictionary of each text column cut down to the words that occur, in the vocabulary's order.

    So a word that is added to a vocabulary later changes no byte of a file in which it does not occur.
    """
    for position, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = one_array(table[position])
            codes = np.asarray(column.indices.fill_null(-1))
            used = np.unique(codes[codes >= 0])
            new = np.full(len(column.dictionary) + 1, -1, dtype=np.int8)  # its last entry is for null, code -1
            new[used] = np.arange(len(used))
            indices = pa.array(new[codes], field.type.index_type, mask=codes < 0)
            words = column.dictionary.take(pa.array(used, pa.int64()))
            table = table.set_column(position, field, pa.DictionaryArray.from_arrays(indices, words))
    return table


def with_words(table: pa.Table, words: Mapping[str, tuple[str, ...]]) -> pa.Table:
    """The table with the whole vocabulary as the dictionary of each text column: `words`, by column.

    Raises ValueError for a word that is not in it.
    """
    for position, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and field.name in words:
            column, whole = one_array(table[position]), words[field.name]
            there = column.dictionary.to_pylist()
            unknown = [word for word in there if word not in whole]
            if unknown:
                raise ValueError(f"{field.name} = {unknown[0]!r}, a word that this version does not know")
            codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            new = np.array([*(whole.index(word) for word in there), -1], dtype=np.int8)[codes]
            indices = pa.array(new, field.type.index_type, mask=new < 0)
            table = table.set_column(
                position, field, pa.DictionaryArray.from_arrays(indices, pa.array(whole, pa.string()))
            )
    return table


def read(files: Files, path: str, columns: list[str] | None = None, where: Any = None) -> pa.Table:
    """The table of a file, page checksums verified; `where` is a pyarrow filter expression. Raises Damaged,
    FileNotFoundError, RunError for a place that does not give it."""
    with files.open(path) as source:
        try:
            return pq.read_table(source, columns=columns, filters=where, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise damaged(files, path, error) from error


def footer(files: Files, path: str) -> Footer:
    """The footer alone: what a resume can afford to look at. Raises as `read` does."""
    with files.open(path) as source:
        try:
            metadata = pq.read_metadata(source)
        except (pa.ArrowException, OSError) as error:
            raise damaged(files, path, error) from error
    return Footer(metadata.num_rows, own_keys(metadata))


def own_keys(metadata: pq.FileMetaData) -> dict[str, str]:
    """The key-values that basins wrote into a footer, without their prefix."""
    return {
        name.decode().removeprefix("basins."): value.decode()
        for name, value in (metadata.metadata or {}).items()
        if name.startswith(b"basins.")
    }


def damaged(files: Files, path: str, why: object) -> RunError:
    """The refusal of one damaged file, or of a place that does not give it."""
    reason = " ".join(str(why).split())
    if isinstance(why, OSError) and why.errno is not None:  # pyarrow's own, of what it cannot parse, has no number
        return RunError(
            f"cannot read {path}: {why.strerror or reason}", where=files.uri, remedy="see that the place is well"
        )
    return Damaged(f"{path} is damaged ({reason})", where=files.uri, remedy=AGAIN)

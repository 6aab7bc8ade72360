"""Conversion between tables and the bytes of Parquet files. A file is built in memory and put as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from basins.errors import RunError
from basins.store.files import Files

RECOMPUTE = "move it away and run again: missing shards are computed again, to the same bytes"
"""The remedy for a damaged shard."""


class Damaged(RunError):
    """A file exists but is not what basins wrote."""


class Footer(NamedTuple):
    """The footer of a file: its number of rows, and the key-values that basins wrote, without their prefix."""

    rows: int
    keys: dict[str, str]


def encode(table: pa.Table, keys: Mapping[str, str]) -> pa.Buffer:
    """The table as Parquet, with zstd, page checksums and statistics. `keys` are stored in the footer as basins.NAME.

    The same table gives the same bytes in any process (tests/store/test_store.py); another pyarrow version may give
    others.
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


def with_words_in_use(table: pa.Table) -> pa.Table:
    """The table with the dictionary of each text column reduced to the words that occur, in the vocabulary's order.

    So a word that is added to a vocabulary later changes no byte of a file in which it does not occur.
    """
    for position, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = one_array(table[position])
            codes = np.asarray(column.indices.fill_null(-1))
            used = np.unique(codes[codes >= 0])
            new = np.full(len(column.dictionary) + 1, -1, dtype=np.int8)  # the last entry is for null, code -1
            new[used] = np.arange(len(used))
            indices = pa.array(new[codes], field.type.index_type, mask=codes < 0)
            words = column.dictionary.take(pa.array(used, pa.int64()))
            table = table.set_column(position, field, pa.DictionaryArray.from_arrays(indices, words))
    return table


def with_whole_vocabulary(table: pa.Table, words: Mapping[str, tuple[str, ...]]) -> pa.Table:
    """The table with the whole vocabulary as the dictionary of each text column. words: the vocabulary by column.

    Raises ValueError for a word that is not in the vocabulary.
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
    """Read the table of a file and verify its page checksums. where: a pyarrow filter expression.

    Raises Damaged, FileNotFoundError, and RunError if the place does not give the file.
    """
    with files.open(path) as source:
        try:
            return pq.read_table(source, columns=columns, filters=where, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise damaged(files, path, error) from error


def read_whole(files: Files, path: str) -> tuple[pa.Table, dict[str, str]]:
    """The table of a file and the key-values of its footer, of one read: a file may be replaced between two. Raises as
    `read` does."""
    data = files.get(path)
    try:
        opened = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        return opened.read(use_threads=False), own_keys(opened.metadata)
    except (pa.ArrowException, OSError) as error:
        raise damaged(files, path, error) from error


def footer(files: Files, path: str) -> Footer:
    """Read the footer alone, which is cheap enough for every resume. Raises as `read` does."""
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
    """The error for a damaged file, or for a place that does not give it."""
    reason = " ".join(str(why).split())
    # pyarrow's own errors about unparsable content have no errno.
    if isinstance(why, OSError) and why.errno is not None:
        return RunError(
            f"cannot read {path}: {why.strerror or reason}", where=files.uri, remedy="check the disk or the store"
        )
    return Damaged(f"{path} is damaged ({reason})", where=files.uri, remedy=RECOMPUTE)

"""The arrays of an experiment that was built in Python: data.npz, which its run keeps beside experiment.toml.

A table [data] with path = "data.npz" and the file's sha256 has its file in the experiment and so in the run. What has
another content is refused wherever the file is read. Each pair (X, Y) has a file of its own, data-2.npz for the second,
so that a pair which is added changes nothing that is said of the others.
"""

from __future__ import annotations

import hashlib
import io
import re
import tomllib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from basins.errors import DataError

_NAME = re.compile(r"data(-\d+)?\.npz")


def name_of(number: int) -> str:
    """The file of the number-th pair, from 1."""
    return "data.npz" if number == 1 else f"data-{number}.npz"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def npz(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Arrays as an NPZ file, the same bytes for the same arrays: not compressed, without a clock."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def is_attached(table: Mapping[str, Any]) -> bool:
    """Whether the file of this [data] table is kept with the experiment."""
    return _NAME.fullmatch(table.get("path", "")) is not None and table.get("sha256") is not None


def named_in(text: str) -> dict[str, str]:
    """The files that a canonical text says its run keeps, with the SHA-256 of each."""
    tables = [case.get("data", {}) for case in tomllib.loads(text).get("case", [])]
    return {table["path"]: table["sha256"] for table in tables if is_attached(table)}


def refuse_other(content: bytes, wanted: str, where: str) -> None:
    """Raises DataError for content that is not that of the SHA-256 `wanted`."""
    there = sha256(content)
    if there != wanted:
        what = f"has changed: its SHA-256 is {there}, and the experiment's data have {wanted}"
        raise DataError(what, where=where, remedy="put back the file that the experiment names")

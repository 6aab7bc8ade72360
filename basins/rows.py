"""What objects of many rows share: one row, some rows, a table of words, a table in a notebook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10
"""Rows of a table that a notebook shows."""


class Row:
    """One row of an object of many: its values by the same names."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name not in values:
            raise AttributeError(f"a {type(self).__name__} has no {name!r}: it has {', '.join(values)}")
        return values[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._values})


def word(code: int, vocabulary: Sequence[str]) -> str:
    """The word of a code, "" for -1."""
    return vocabulary[code] if 0 <= code < len(vocabulary) else "" if code < 0 else f"code {code}"


def chosen(rows: Any, count: int) -> NDArray[np.int64] | int:
    """The rows that are meant, of `count`: an int for one, else positions (k,) for a slice, a boolean mask (count,) or
    positions. Raises ArgumentError for a mask of another size and for what is no choice, IndexError for a row that is
    not there, so that a loop over rows ends."""
    if isinstance(rows, int | np.integer) and not isinstance(rows, bool | np.bool_):
        if not -count <= rows < count:
            raise IndexError(f"row {rows} of {count}")
        return int(rows) % count
    if isinstance(rows, slice):
        return np.arange(count)[rows]
    said = f"give a row, a slice, a mask of {count} or a list of rows"
    try:
        array = np.asarray(rows)
    except ValueError:
        array = np.empty((0, 0))
    if array.ndim == 1 and array.dtype == bool:
        if len(array) != count:
            raise ArgumentError(f"a mask of {len(array)} for {count} rows", where="rows", remedy=said)
        return np.flatnonzero(array)
    if array.ndim == 1 and not array.size:
        return np.empty(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ArgumentError(f"{type(rows).__name__} chooses no rows", where="rows", remedy=said)
    positions = array.astype(np.int64)
    outside = (positions < -count) | (positions >= count)
    if outside.any():
        raise IndexError(f"row {positions[outside][0]} of {count}")
    return positions % count if count else positions


def words(codes: NDArray[Any], vocabulary: Sequence[str]) -> pd.Categorical:
    """Codes as a categorical of all words; -1, and a code that has no word, is missing."""
    import pandas as pd

    known = np.where((codes >= 0) & (codes < len(vocabulary)), codes, -1)
    found: pd.Categorical = pd.Categorical.from_codes(known.tolist(), list(vocabulary))  # type: ignore[call-overload]
    return found


def or_missing(values: NDArray[Any], known: NDArray[np.bool_], dtype: str) -> Any:
    """Whole numbers (k,) as a pandas array of this nullable type, missing where they are not known."""
    import pandas as pd

    numbers = [int(value) if there else None for value, there in zip(values, known, strict=True)]
    return pd.array(numbers, dtype=dtype)  # type: ignore[call-overload]


def counted_words(codes: Iterable[int], vocabulary: Sequence[str]) -> str:
    """How many rows have which word, in the vocabulary's order: "3 minimum, 1 censored"."""
    found = Counter(int(code) for code in codes)
    return ", ".join(f"{found[code]:,} {word}" for code, word in enumerate(vocabulary) if found[code])


def html(title: str, frame: pd.DataFrame | None, said: Sequence[str] = ()) -> str:
    """A title, sentences and a table as HTML, for a notebook; of a long table its ends. Everything is escaped."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in said)
    table = "" if frame is None else frame.to_html(max_rows=SHOWN, notebook=True, border=0, index_names=False)
    return f"<p><b>{escape(title)}</b></p>{lines}{table}"

"""Array arguments of the public API: anything that holds plain real numbers becomes float64; everything else is
refused.

numpy would silently accept more: it drops masks and imaginary parts, counts dates as days, reads text as numbers, and
makes one object of a sparse matrix. All public functions that take an array convert it by `floats`.

Accepted: numbers, nested lists, numpy arrays of integers, floats and booleans (0 and 1), object arrays of such numbers
(also decimals and fractions), pandas, polars and Arrow tables and columns of numbers, and objects with `__array__`, the
Arrow PyCapsule interface (`__arrow_c_stream__`, `__arrow_c_array__`) or `__dataframe__`. The columns of a table are
read in order; names and a pandas index are ignored, as in scikit-learn.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError, BasinsError

Array = NDArray[np.float64]

_KINDS = {
    "c": ("complex numbers", "give real numbers: the real part, or real and imaginary parts as two columns"),
    "M": ("dates", "give numbers, such as days since a first day"),
    "m": ("time spans", "divide by a unit first, such as numpy.timedelta64(1, 's')"),
    "U": ("text", "encode text as numbers first"),
    "T": ("text", "encode text as numbers first"),
    "S": ("bytes", "encode text as numbers first"),
    "V": ("records", "give a plain array, a column a field"),
}


def floats(
    value: Any, where: str, *, kind: type[BasinsError] = ArgumentError, remedy: str = "give an array of numbers"
) -> Array:
    """`value` as a float64 array of its own shape, without a copy if it is one already. Raises `kind` for anything but
    plain real numbers. Non-finite values are accepted; the caller decides about them.
    """
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value
    try:
        return _floats(value, where, kind, remedy)
    except BasinsError:
        raise
    except (TypeError, ValueError, OverflowError, AttributeError, RuntimeError, NotImplementedError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise kind(f"not an array of numbers ({said})", where=where, remedy=remedy) from None


def number(value: Any, where: str) -> float:
    """`value` as a float. Raises ArgumentError for anything but a plain real number, such as text, a boolean, a
    list."""
    if isinstance(value, np.ndarray) and value.ndim == 0 and not isinstance(value, np.ma.MaskedArray):
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise ArgumentError(f"{_short(value)} is not a number", where=where, remedy="give one number")
    return float(value)


def whole(value: Any, where: str, least: int = 0, below: int | None = None) -> int:
    """`value` as an int of at least `least`, and less than `below`. Raises ArgumentError for anything else."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(
            f"{where} = {_short(value)}", where=where, remedy=f"give a whole number of at least {least}"
        )
    if below is not None and value >= below:
        raise ArgumentError(f"{where} = {_short(value)}", where=where, remedy=f"give a whole number below {below:g}")
    return int(value)


def switch(value: Any, where: str) -> bool:
    """`value` as True or False. Raises ArgumentError for anything else, although Python would interpret it."""
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError(f"{_short(value)} is not a boolean", where=where, remedy="give True or False")
    return bool(value)


def _floats(value: Any, where: str, kind: type[BasinsError], remedy: str) -> Array:
    _refuse_masks(value, where, kind)
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise kind("a sparse matrix", where=where, remedy="give value.toarray(), if that fits in memory")
    package = type(value).__module__.partition(".")[0]
    if package == "pandas" and hasattr(value, "dtypes"):
        return _of_pandas(value, where, kind)
    if hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__"):
        return _of_arrow(value, where, kind)
    if hasattr(value, "__dataframe__") and not hasattr(value, "__array__"):
        from pyarrow.interchange import from_dataframe

        return _of_arrow(from_dataframe(value), where, kind)
    return _of_numpy(np.asarray(value), where, kind, remedy)


def _refuse_masks(value: Any, where: str, kind: type[BasinsError]) -> None:
    """Raises `kind` for a masked value: in a masked array, or in one inside lists, whose mask numpy would drop."""
    if isinstance(value, np.ma.MaskedArray):
        masked = np.argwhere(np.ma.getmaskarray(value))
        if len(masked):
            at = ", ".join(map(str, masked[0].tolist()))
            first = f", the first at [{at}]" if at else ""
            what = f"{len(masked)} masked value(s){first}"
            raise kind(what, where=where, remedy="fill or drop them: masks are ignored")
    elif isinstance(value, list | tuple):
        for inner in value:
            if isinstance(inner, list | tuple | np.ma.MaskedArray):
                _refuse_masks(inner, where, kind)


def _of_numpy(array: NDArray[Any], where: str, kind: type[BasinsError], remedy: str) -> Array:
    letter = array.dtype.kind
    if letter in "biuf":
        with np.errstate(over="ignore"):  # a long double beyond float64 becomes inf, and is refused as not finite
            return array.astype(np.float64, copy=False)
    if letter == "O" and array.ndim:
        for at, one in np.ndenumerate(array):
            if not isinstance(one, bool | int | float | np.bool_ | np.integer | np.floating | Decimal | Fraction):
                place = ", ".join(map(str, at))
                raise kind(f"not an array of numbers: {_short(one)} at [{place}]", where=where, remedy=remedy)
        return array.astype(np.float64)
    if letter in _KINDS:
        what, remedy = _KINDS[letter]
        raise kind(f"not an array of numbers but of {what} ({array.dtype})", where=where, remedy=remedy)
    raise kind(f"not an array of numbers but {type(array.item()).__name__}", where=where, remedy=remedy)


def _of_pandas(value: Any, where: str, kind: type[BasinsError]) -> Array:
    """A pandas frame or series of numbers; missing values become NaN, which every caller refuses by its place."""
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        columns = [_of_pandas(value.iloc[:, k], where, kind) for k in range(value.shape[1])]
        return np.column_stack(columns) if columns else np.empty(value.shape)
    types, dtype = pd.api.types, value.dtype
    sort = getattr(dtype, "kind", "O")
    if types.is_bool_dtype(dtype) or (types.is_numeric_dtype(dtype) and sort in "biuf"):
        array: Array = value.to_numpy(dtype=np.float64, na_value=np.nan)
        return array
    place = f"{where}, column {value.name!r}" if isinstance(value, pd.Series) and value.name is not None else where
    if types.is_object_dtype(dtype):
        return _of_numpy(value.to_numpy(), place, kind, "give a column of numbers")
    raise kind(f"values of type {dtype}", where=place, remedy="give numbers: encode or drop the column")


def _of_arrow(value: Any, where: str, kind: type[BasinsError]) -> Array:
    """An object with Arrow data: a table as its columns, a column as a vector."""
    import pyarrow as pa

    if isinstance(value, pa.Table | pa.RecordBatch | pa.Array | pa.ChunkedArray):
        found = value
    elif hasattr(value, "__arrow_c_stream__"):
        found = pa.chunked_array(value)  # a stream of structs is a table
    else:
        found = pa.array(value)
    if isinstance(found, pa.Array | pa.ChunkedArray) and not pa.types.is_struct(found.type):
        return of_arrow_column(found, where, kind)
    if isinstance(found, pa.ChunkedArray):
        found = pa.Table.from_struct_array(found)
    elif isinstance(found, pa.Array):
        found = pa.RecordBatch.from_struct_array(found)
    columns = [
        of_arrow_column(found.column(k), f"{where}, column {name!r}", kind) for k, name in enumerate(found.schema.names)
    ]
    return np.column_stack(columns) if columns else np.empty((found.num_rows, 0))


def of_arrow_column(column: Any, where: str, kind: type[BasinsError]) -> Array:
    """An Arrow array of integers, floats, decimals or booleans as float64 (n,); a missing value is NaN."""
    import pyarrow as pa

    dtype = column.type
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
        if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
            column = column.cast(dtype)  # values of other types, which cannot all be cast, are refused below
    if pa.types.is_decimal(dtype):
        # Arrow's own cast may be off in the last bit; Python's, via text, gives the nearest double.
        return np.array([np.nan if one is None else float(one) for one in column.to_pylist()], dtype=np.float64)
    if pa.types.is_boolean(dtype):
        column = column.cast(pa.uint8())
    elif not (pa.types.is_integer(dtype) or pa.types.is_floating(dtype)):
        raise kind(f"values of type {dtype}", where=where, remedy="give numbers: encode or drop the column")
    array = column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    floats: Array = array.astype(np.float64)
    return floats


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."

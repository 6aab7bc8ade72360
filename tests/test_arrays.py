"""Every public function that takes an array accepts plain real numbers in any container, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

import basins
from basins import Problem
from basins.arrays import floats
from basins.errors import ArgumentError, BasinsError
from basins.landscapes.deep_linear import exact

A = np.array([[1.0, 2.5], [0.0, -3.0], [4.0, 1.0]])


class Stream:
    """A frame of another package, polars say, of which only the Arrow PyCapsule interface is known."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.of.__arrow_c_stream__(requested_schema)


class Interchange:
    """A frame of which only the dataframe interchange protocol is known."""

    def __init__(self, of: pa.Table) -> None:
        self.of = of

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> object:
        return self.of.__dataframe__(nan_as_null, allow_copy)


class Foreign:
    """An array of another package, a tensor say."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        if isinstance(self.array, Exception):
            raise self.array
        return self.array


TABLE = pa.table({"a": A[:, 0], "b": A[:, 1]})
FRAME = pd.DataFrame(A, columns=["a", "b"], index=[7, 8, 9])
TAKEN: dict[str, Any] = {
    "lists": A.tolist(),
    "tuples of rows": tuple(A),
    "float32": A.astype(np.float32),
    "long double": A.astype(np.longdouble),
    "no value masked": np.ma.masked_array(A),
    "objects": A.astype(object),
    "decimals and fractions": [[Decimal(1), Fraction(5, 2)], [0, -3], [4.0, np.int8(1)]],
    "pandas": FRAME,
    "pandas, nullable": FRAME.astype("Float64"),
    "pandas, Arrow's": FRAME.astype("float64[pyarrow]"),
    "pandas, ints and objects": pd.DataFrame({"a": [1, 0, 4], "b": pd.Series([2.5, -3, 1], dtype=object)}),
    "Arrow table": TABLE,
    "Arrow batch": TABLE.to_batches()[0],
    "Arrow decimals": pa.table({"a": A[:, 0], "b": pa.array([Decimal("2.5"), Decimal(-3), Decimal(1)])}),
    "Arrow dictionary": TABLE.set_column(0, "a", pa.array([1, 0, 4]).dictionary_encode()),
    "PyCapsule": Stream(TABLE),
    "interchange": Interchange(TABLE),
    "__array__": Foreign(A),
}


@pytest.mark.parametrize("name", TAKEN)
def test_containers_of_numbers_are_accepted(name: str) -> None:
    found = floats(TAKEN[name], "X")
    assert found.dtype == np.float64
    assert found.tolist() == A.tolist()


def test_columns_are_vectors_and_booleans_are_0_and_1() -> None:
    for column in (FRAME["a"], TABLE["a"], TABLE["a"].combine_chunks(), Stream(TABLE["a"]), pd.array([1, 0, 4])):
        assert floats(column, "y").tolist() == [1, 0, 4]
    flags = [True, False, True]
    for column in (flags, np.array(flags), pd.Series(flags), pa.array(flags), np.array(flags, dtype=object)):
        assert floats(column, "y").tolist() == [1, 0, 1]
    assert floats(A, "X") is A


def test_decimals_become_the_nearest_double() -> None:
    texts = [f"0.{k:019d}" for k in np.random.default_rng(0).integers(0, 10**18, 500)]
    column = pa.array([Decimal(text) for text in texts])
    assert floats(column, "y").tolist() == [float(text) for text in texts]


def test_a_missing_value_is_refused_with_its_position() -> None:
    for gap in (pa.table({"a": [1, None, 3], "b": A[:, 1]}), pd.DataFrame({"a": [1, None, 3], "b": A[:, 1]})):
        with pytest.raises(BasinsError, match=r"X: 1 value\(s\) not finite, the first at row 1, column 0: nan"):
            Problem.from_data(gap, A[:, :1], hidden=(2,))


MASK = np.array([[False, False], [False, True], [False, False]])
REFUSED: dict[str, tuple[Any, str]] = {
    "a mask": (np.ma.masked_array(A, MASK), r"1 masked value\(s\), the first at \[1, 1\]; fill or drop"),
    "a mask inside a list": (list(np.ma.masked_array(A, MASK)), r"1 masked value\(s\), the first at \[1\]"),
    "a masked element": ([[1.0, np.ma.masked]] * 3, r"1 masked value\(s\)"),
    "complex": (A + 0j, "complex numbers"),
    "a complex element": ([[1, 2j]] * 3, "complex numbers"),
    "complex objects": (np.array([[1, 2j]] * 3, dtype=object), r"2j at \[0, 1\]"),
    "dates": (A.astype(np.int64).astype("datetime64[D]"), "of dates"),
    "time spans": (A.astype(np.int64).astype("timedelta64[s]"), "of time spans"),
    "text": (A.astype(str), "of text"),
    "text in lists": ([["1", "2"]] * 3, "of text"),
    "text among objects": (np.array([[1, "2"]] * 3, dtype=object), r"'2' at \[0, 1\]"),
    "bytes": (A.astype("S3"), "of bytes"),
    "None": ([[1, None]] * 3, r"None at \[0, 1\]"),
    "records": (np.zeros(3, dtype=[("a", float), ("b", float)]), "of records"),
    "ragged": ([[1, 2], [3]], "not an array of numbers"),
    "a number too large": ([[10**400, 1]] * 3, "not an array of numbers"),
    "a dict": ({"a": [1, 2]}, "but dict"),
    "an iterator": (iter([1, 2]), "iterator"),
    "sparse": (scipy.sparse.csr_array(A), r"a sparse matrix; give value.toarray\(\)"),
    "a sparse matrix": (scipy.sparse.coo_matrix(A), "a sparse matrix"),
    "pandas text": (FRAME.assign(c=["1", "2", "3"]), "column 'c': values of type str"),
    "pandas dates": (FRAME.assign(c=pd.date_range("2000", periods=3)), "column 'c': values of type datetime64"),
    "pandas categories": (FRAME.astype({"a": "category"}), "column 'a': values of type category"),
    "pandas complex": (FRAME.assign(c=1j), "column 'c': values of type complex128"),
    "Arrow text": (TABLE.append_column("c", pa.array(["1", "2", "3"])), "column 'c': values of type string"),
    "Arrow dictionary of text": (
        TABLE.append_column("c", pa.DictionaryArray.from_arrays([0, 0, 0], pa.array(["1"], pa.string_view()))),
        "column 'c': values of type string_view",
    ),
    "Arrow lists": (Stream(TABLE.append_column("c", pa.array([[1], [2], [3]]))), "column 'c': values of type list"),
    "an array that is complex": (Foreign(A + 0j), "complex numbers"),
    "an array that refuses": (Foreign(RuntimeError("needs grad\nand more")), r"not an array of numbers \(needs grad\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_every_public_function_refuses_other_values(name: str) -> None:
    value, says = REFUSED[name]
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,))
    doors = [
        lambda: Problem.from_data(value, A[:, :1], hidden=(2,)),
        lambda: Problem.from_data(A, value, hidden=(2,)),
        lambda: Problem.from_spectrum(value, d_x=2, hidden=(2,)),
        lambda: problem.loss(value),
        lambda: problem.hessian_product(np.zeros(problem.n), value),
        lambda: problem.pack([value, value]),
        lambda: basins.integrate(problem, value),
        lambda: basins.certify(problem, value),
        lambda: exact.balanced(problem, value, 1.0),
        lambda: exact.balanced(problem, [1.0, 1.0], value),
    ]
    for door in doors:
        with pytest.raises(BasinsError, match=says) as refusal:
            door()
        assert refusal.value.remedy
        assert "\n" not in str(refusal.value)


def test_a_frame_gives_the_problem_that_its_numbers_give() -> None:
    X, Y = np.random.default_rng(1).normal(size=(2, 9, 2))
    plain = Problem.from_data(X, Y, hidden=(2,))
    frame = Problem.from_data(
        pd.DataFrame(X, columns=["a", "b"]), Stream(pa.table({"c": Y[:, 0], "d": Y[:, 1]})), hidden=(2,)
    )
    assert frame.digest == plain.digest
    W = np.random.default_rng(2).normal(size=(3, plain.n))
    assert plain.loss(pd.DataFrame(W)).tolist() == plain.loss(W).tolist()


def test_invalid_widths_are_refused() -> None:
    for options, says in (
        ({"hidden": 4}, r"hidden: 4 is no list; give a list of widths: \(4,\)"),
        ({"hidden": (10**30,)}, r"hidden: a state of more than 2\^30 numbers"),
        ({"d_x": 10**30}, r"d_x: a state of more than 2\^30 numbers"),
        ({"d_x": 2**29}, r"d_x: a state of more than 2\^30 numbers"),
    ):
        with pytest.raises(ArgumentError, match=says):
            Problem.from_spectrum(**{"sigma": [2.0, 1.0], "d_x": 3, "hidden": (2,), **options})


@pytest.mark.parametrize("value", ["5", 1j, None, True, [1.0], np.datetime64("2000-01-01"), np.ma.masked])
def test_an_argument_that_is_not_a_number_is_refused(value: Any) -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,))
    W = np.ones((1, problem.n))
    for name in ("rtol", "atol", "t_end", "delta"):
        with pytest.raises(ArgumentError, match=f"^{name}: .* is not a number; give one number"):
            basins.integrate(problem, W, **{name: value})
    with pytest.raises(ArgumentError, match=r"^delta: .* is not a number"):
        basins.certify(problem, W, delta=value)
    assert basins.integrate(problem, W, t_end=np.array(5.0), rtol=np.float64(1e-8)).time[0] <= 5


def test_an_argument_that_is_not_a_boolean_is_refused() -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,))
    W = np.ones((1, problem.n))
    for name in ("certify", "at_start", "compress"):
        with pytest.raises(ArgumentError, match=f"^{name}: 'no' is not a boolean; give True or False"):
            basins.integrate(problem, W, **{name: "no"})
    for name in ("standardise", "intercept"):
        with pytest.raises(ArgumentError, match=f"^{name}: 1 is not a boolean"):
            Problem.from_data(A, A[:, :1], hidden=(2,), **{name: 1})


def test_an_invalid_mode_is_refused() -> None:
    strata = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,)).strata()
    assert strata.of(np.array([0])).modes == strata.of(np.int64(1)).modes == strata.of([0]).modes == (0,)
    for modes in (["0"], [0.5], [True], [None], 0.5, True, None):
        with pytest.raises(ArgumentError, match=r"modes: mode .* is no position"):
            strata.of(modes)

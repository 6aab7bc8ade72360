"""Columns of numbers and of classes; anything else is refused with its value, place and remedy."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from basins.errors import DataError
from basins.experiment.data import Data, Reading, read

Read = Callable[..., Data]
EYE = np.eye(3).tolist()


def table(column: Any) -> pa.Table:
    """x, and y as given, three rows."""
    return pa.table({"x": [1.0, 2.0, 3.0], "y": column})


@pytest.fixture
def of(tmp_path: Path) -> Read:
    """Y of a file made of text (CSV), a table or frame (Parquet) or arrays (NPZ)."""

    def made(content: Any, targets: Any = None, inputs: Any = None, drop_class: str | None = None, **keys: Any) -> Data:
        if isinstance(content, str):
            path = tmp_path / "t.csv"
            path.write_text(content)
        elif isinstance(content, dict):
            path = tmp_path / "t.npz"
            np.savez(path, **content)
        else:
            path = tmp_path / "t.parquet"
            content.to_parquet(path) if isinstance(content, pd.DataFrame) else pq.write_table(content, path)
        if targets is None and not isinstance(content, dict):
            targets = ["y"]
        return read(path, inputs, targets, drop_class, Reading(**keys))

    return made


X = np.array([[1.0], [2.0], [3.0]])
DECIMALS = [Decimal("0.0"), Decimal("0.5"), Decimal("1.0")]
AS_TARGET: dict[str, tuple[Any, list[list[float]]]] = {
    "integers": (table([0, 1, 2]), [[0], [1], [2]]),
    "unsigned": (table(pa.array([0, 1, 2], pa.uint64())), [[0], [1], [2]]),
    "half precision": (table(pa.array(np.array([0, 0.5, 1], np.float16))), [[0], [0.5], [1]]),
    "decimal128": (table(pa.array(DECIMALS, pa.decimal128(5, 1))), [[0], [0.5], [1]]),
    "decimal256": (table(pa.array(DECIMALS, pa.decimal256(50, 1))), [[0], [0.5], [1]]),
    "dictionary of numbers": (table(pa.array([5, 1, 5]).dictionary_encode()), [[5], [1], [5]]),
    "truth values": (table([True, False, True]), [[0, 1], [1, 0], [0, 1]]),
    "text": (table(["b", "a", "b"]), [[0, 1], [1, 0], [0, 1]]),
    "large text": (table(pa.array(["b", "a", "b"], pa.large_string())), [[0, 1], [1, 0], [0, 1]]),
    "dictionary of text": (table(pa.array(["b", "a", "b"]).dictionary_encode()), [[0, 1], [1, 0], [0, 1]]),
    "views": (table(pa.array(["b", "a", "b"], pa.string_view())), [[0, 1], [1, 0], [0, 1]]),
    "pandas' categories": (pd.DataFrame({"x": [1, 2, 3.0], "y": pd.Categorical([10, 2, 1])}), [EYE[1], EYE[2], EYE[0]]),
    "CSV integers": ("x,y\n1,0\n2,1\n3,2\n", [[0], [1], [2]]),
    "CSV truth values": ("x,y\n1,true\n2,false\n3,TRUE\n", [[0, 1], [1, 0], [0, 1]]),
    "CSV text": ("x,y\n1,b\n2,a\n3,b\n", [[0, 1], [1, 0], [0, 1]]),
    "a class called NA": ("x,y\n1,NA\n2,EU\n3,NA\n", [[0, 1], [1, 0], [0, 1]]),
    "a class called None": ("x,y\n1,Some\n2,None\n3,None\n", [[0, 1], [1, 0], [1, 0]]),
    "a class called nan": ("x,y\n1,nan\n2,pa\n3,nan\n", [[1, 0], [0, 1], [1, 0]]),
    "a zero byte at the end": (table(["a", "a\0", "a"]), [[1, 0], [0, 1], [1, 0]]),
    "a zero byte in a CSV": ("x,y\n1,a\n2,a\0\n3,a\n", [[1, 0], [0, 1], [1, 0]]),
    "a space at the end": ("x,y\n1,a\n2,a \n3,a\n", [[1, 0], [0, 1], [1, 0]]),
    "NPZ, numbers": ({"X": X, "Y": np.array([0, 1, 2])}, [[0], [1], [2]]),
    "NPZ, big-endian": ({"X": X, "Y": np.array([0, 1.5, 2], ">f4")}, [[0], [1.5], [2]]),
    "NPZ, text": ({"X": X, "Y": np.array(["b", "a", "b"])}, [[0, 1], [1, 0], [0, 1]]),
    "NPZ, truth values": ({"X": X, "Y": np.array([True, False, True])}, [[0, 1], [1, 0], [0, 1]]),
    "NPZ, one-hot": ({"X": X, "Y": np.eye(3) > 0}, EYE),
    "NPZ, a matrix of one": ({"X": X, "Y": np.array([[True], [False], [True]])}, [[1], [0], [1]]),
}


@pytest.mark.parametrize("name", AS_TARGET)
def test_by_default_the_type_decides_what_a_target_is(of: Read, name: str) -> None:
    content, Y = AS_TARGET[name]
    assert of(content).Y.tolist() == Y


SAID: dict[str, tuple[Any, list[str]]] = {
    "integers": (table([10, 2, 1]), ["1", "10", "2"]),
    "CSV integers": ("x,y\n1,10\n2,2\n3,1\n", ["1", "10", "2"]),
    "leading zeros": ("x,y\n1,10\n2,02\n3,01\n", ["01", "02", "10"]),
    "floats": (table([0.5, 2.0, 1e300]), ["0.5", "1e+300", "2.0"]),
    "decimals": (table(pa.array(DECIMALS, pa.decimal128(5, 2))), ["0.00", "0.50", "1.00"]),
    "numbers as text": (table(["1.5", "2", "3"]), ["1.5", "2", "3"]),
    "other marks": ('x,y\n1,"0,5"\n2,5%\n3,$5\n', ["$5", "0,5", "5%"]),
    "numbers and words": ("x,y\n1,1\n2,2\n3,many\n", ["1", "2", "many"]),
    "dates as text": ("x,y\n1,2020-01-02\n2,2020-01-01\n3,2021-01-01\n", ["2020-01-01", "2020-01-02", "2021-01-01"]),
    "NPZ integers": ({"X": X, "Y": np.array([10, 2, 1])}, ["1", "10", "2"]),
}


@pytest.mark.parametrize("name", SAID)
def test_categorical_makes_a_column_classes_in_the_order_of_their_text(of: Read, name: str) -> None:
    content, classes = SAID[name]
    target = "Y" if isinstance(content, dict) else "y"
    data = of(content, categorical=[target])
    assert f"3 targets ({', '.join(f'{target} = {one}' for one in classes)})" in data.description
    assert sorted(data.Y.tolist()) == sorted(EYE)
    numbers = [classes[int(np.argmax(row))] for row in data.Y]
    assert sorted(numbers) == classes


def test_a_class_input_is_one_hot_in_its_place(of: Read) -> None:
    text = "w,kind,x,y\n5,b,1,0\n6,a,2,1\n7,b,3,5\n"
    data = of(text, categorical=["kind"])
    assert data.X.tolist() == [[5, 0, 1, 1], [6, 1, 0, 2], [7, 0, 1, 3]]
    assert "4 inputs (w, kind = a, kind = b, x)" in data.description
    with pytest.raises(
        DataError, match=r"column 'kind': 'b' in row 1 is not a number; encode it as numbers, list it in cat"
    ):
        of(text)
    both = of({"X": np.array([[1.0, 7], [2, 8], [3, 7]]), "Y": np.array([0, 1, 2])}, categorical=["X[1]", "Y"])
    assert both.X.tolist() == [[1, 1, 0], [2, 0, 1], [3, 1, 0]]
    assert both.Y.tolist() == EYE


def test_truth_values_as_inputs_are_0_and_1_and_this_is_reported(of: Read) -> None:
    for content in ("b,y\nTrue,1\nFalse,2\n", pa.table({"b": [True, False], "y": [1, 2]})):
        data = of(content)
        assert data.X.tolist() == [[1], [0]]
        assert "truth values of column 'b' read as 0 and 1" in data.reading
    assert of("b,y\nTrue,1\nFalse,2\n", categorical=["b"]).X.tolist() == [[0, 1], [1, 0]]


def test_one_hot_columns_of_truth_values_are_one_class_each(of: Read) -> None:
    """The columns of pandas.get_dummies do not become twice as many targets."""
    frame = pd.get_dummies(pd.DataFrame({"x": [1.0, 2.0, 3.0], "k": ["a", "b", "c"]}), columns=["k"])
    for content in (frame, frame.to_csv(index=False)):
        data = of(content, targets=["k_a", "k_b", "k_c"])
        assert data.Y.tolist() == EYE
        assert "3 targets of truth values read as the columns of one class each" in data.description
        dropped = of(content, targets=["k_a", "k_b", "k_c"], drop_class="False")
        assert dropped.Y.tolist() == EYE
    loose = of("x,a,b\n1,True,True\n2,False,True\n", targets=["a", "b"])
    assert loose.Y.tolist() == [[0, 1, 1], [1, 0, 1]]


def test_classes_that_look_alike_or_missing_are_reported(of: Read) -> None:
    assert (
        "column 'y': classes 'a' and 'a ' differ by what is not seen alone, and are kept apart"
        in of("x,y\n1,a\n2,a \n").description
    )
    assert r"classes 'a' and 'a\x00' differ" in of(table(["a", "a\0", "a"])).description
    assert "column 'y': 'NA' is read as a class; a missing one is an empty field" in of("x,y\n1,NA\n2,b\n").description


REFUSED: dict[str, tuple[Any, str]] = {
    "lists": (
        table([[1], [2], [3]]),
        "column 'y': [1] in row 1 is of type list<element: int64>, neither number nor text; give",
    ),
    "structs": (table([{"a": 1}] * 3), "in row 1 is of type struct<a: int64>"),
    "maps": (table(pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64()))), "in row 1 is of type map<"),
    "timestamps": (table(pd.date_range("2000", periods=3)), "2000-01-01 00:00:00 in row 1 is of type timestamp"),
    "dates": (table(pa.array([1, 2, 3], pa.date32())), "1970-01-02 in row 1 is of type date32[day]"),
    "durations": (table(pa.array([1, 2, 3], pa.duration("s"))), "0:00:01 in row 1 is of type duration[s]"),
    "bytes": (table([b"a", b"b", b"a"]), "b'a' in row 1 is of type binary"),
    "after nulls": (table([None, [2], [3]]), "[2] in row 2 is of type list"),
    "nulls alone": (table(pa.nulls(3)), "row 1 is missing or NaN; fill or drop it"),
    "a null number": (table([0, None, 2]), "row 2 is missing or NaN"),
    "a null class": (table(["a", None, "b"]), "row 2 has no class"),
    "a null truth": (table([True, None, False]), "row 2 has no class"),
    "numbers as text": (
        table(["1.5", "2", "3"]),
        "'1.5' in row 1 is a number kept as text; store the column as numbers, or list it",
    ),
    "commas as text": (
        table(["0,5", "2,5", "3"]),
        "'0,5' in row 1 reads as a number with the decimal mark ','; store the column",
    ),
    "NPZ, numbers as text": (
        {"X": X, "Y": np.array(["1", "2", "1"])},
        "column 'Y': '1' in row 1 is a number kept as text",
    ),
    "NPZ, bytes": (
        {"X": X, "Y": np.array([b"a", b"b", b"a"])},
        "column 'Y': b'a' in row 1 is of type |S1; give numbers, or text",
    ),
    "NPZ, dates": (
        {"X": X, "Y": np.array([1, 2, 3], "M8[D]")},
        "column 'Y': 1970-01-02 in row 1 is of type datetime64[D]",
    ),
    "a decimal comma": (
        'x,y\n1,"0,5"\n2,"1,5"\n',
        "'0,5' in row 1 reads as a number with the decimal mark ','; set decimal = \",\", or",
    ),
    "with whole numbers": (
        'x,y\n1,3\n2,"1,5"\n',
        "'1,5' in row 2 reads as a number with the decimal mark ','; set decimal",
    ),
    "a doubtful comma": (
        'x,y\n1,"2,101"\n',
        "'2,101' in row 1 reads as a number with the decimal or thousands mark ','; set decimal = ",
    ),
    "thousands": (
        'x,y\n1,"1,234,567"\n',
        "with the thousands mark ','; set thousands = \",\", or list it in categorical",
    ),
    "both marks": ("x;y\n1;1.234,5\n", 'with the thousands mark \'.\'; set decimal = "," and thousands = "."'),
    "spaces": ("x,y\n1,1 234\n", "with the thousands mark ' '; set thousands = \" \""),
    "percent": (
        "x,y\n1,5%\n2,7.5 %\n",
        "'5%' in row 1 reads as a number with a percent sign; write plain numbers, or list it",
    ),
    "dollars": ("x,y\n1,$5.50\n", "'$5.50' in row 1 reads as a number with a currency sign; write plain numbers"),
    "minus dollars": ("x,y\n1,-$5.50\n", "'-$5.50' in row 1 reads as a number with a currency sign"),
    "euros": ('x,y\n1,"5,50 €"\n', "'5,50 €' in row 1 reads as a number with a currency sign behind"),
    "brackets": ("x,y\n1,(5.50)\n", "'(5.50)' in row 1 reads as a number with brackets for a minus"),
    "a true minus": ("x,y\n1,−5\n", "'−5' in row 1 reads as a number with another minus sign"),
    "Fortran": ("x,y\n1,1.5D+03\n", "'1.5D+03' in row 1 reads as a number with an exponent after D"),
    "other digits": ("x,y\n1,٣\n", "'٣' in row 1 reads as a number in another script's digits"),
    "hexadecimal": ("x,y\n1,0x1F\n", "'0x1F' in row 1 reads as a hexadecimal number"),
    "a date as text": ("x,y\n1,2020-01-31\n", "'2020-01-31' in row 1 reads as a date; write plain numbers"),
    "a time as text": ("x,y\n1,2020-01-31T10:00:00Z\n", "reads as a date"),
    "a slip among numbers": (
        "x,y\n1,2\n2,two\n",
        "mixes numbers and text: 'two' in row 2; give only numbers, or list it in cat",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused_with_value_place_and_remedy(of: Read, name: str) -> None:
    content, said = REFUSED[name]
    with pytest.raises(DataError) as refusal:
        of(content)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.remedy
    if isinstance(content, str) and "," in content.partition("\n")[0]:  # the same as an input
        with pytest.raises(DataError):
            of(content, targets=["x"])


def test_a_small_share_of_numbers_does_not_make_a_column_numeric(of: Read) -> None:
    rows = "".join(f"{k},w{k % 3}\n" for k in range(30))
    assert of(f"x,y\n{rows}1,5%\n").Y.shape == (31, 4)
    with pytest.raises(DataError, match="'5%' in row 31"):
        of(f"x,y\n{rows}" + "1,5%\n" * 4)


def test_two_texts_of_one_number_are_not_two_classes(of: Read) -> None:
    with pytest.raises(DataError, match="classes '01' and '1' are the same number; write each class in one way"):
        of("x,y\n1,01\n2,1\n", categorical=["y"])


def test_the_index_of_pandas_is_left_out_and_this_is_reported(of: Read) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [3.0, 4.0, 5.0]})
    numbers = [7, 9, 8]  # no range: pandas writes none of those
    for index in (pd.Index(numbers), pd.Index(numbers, name="id")):
        data = of(frame.set_index(index))
        assert data.X.tolist() == [[1], [2], [3]]
        assert data.description.endswith(f"; {index.name or '__index_level_0__'!r} left out as an index")
    named = frame.set_index(pd.Index(numbers, name="id"))
    assert of(named, targets=["id"]).Y.tolist() == [[7], [9], [8]]
    assert of(named, index=False).X.tolist() == [[1, 7], [2, 9], [3, 8]]
    assert of(frame).description.endswith("1 inputs (x), 1 targets (y)")
    frame.insert(0, "Unnamed: 0", numbers)
    assert of(frame).description.endswith("; 'Unnamed: 0' left out as an index")
    bare = pa.table({"x": [1.0, 2.0], "y": [3.0, 4.0], "__index_level_0__": [0, 1]})  # without pandas' metadata
    assert of(bare).X.tolist() == [[1], [2]]


def test_two_equal_columns_of_parquet_are_refused(of: Read) -> None:
    with pytest.raises(DataError, match=r"t.parquet: two columns are called 'x'; rename one"):
        of(pa.table([[1.0], [2.0], [3.0]], names=["x", "x", "y"]))


def test_keys_for_other_kinds_of_files_are_refused(of: Read) -> None:
    for key in ("separator", "decimal", "encoding"):
        with pytest.raises(DataError, match=rf"{key}: a key of CSV files, and this is \.parquet; take it out"):
            of(table([1, 2, 3]), **{key: ","})
    with pytest.raises(DataError, match="index: arrays have no index"):
        of({"X": X, "Y": X}, index="X")

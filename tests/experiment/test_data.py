"""Data is read completely and exactly, or refused with file, column and row."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from basins.errors import DataError, MissingExtraError
from basins.experiment.data import SKLEARN, gaussian, load, read, sklearn_data

EXAMPLES = Path(__file__).parents[2] / "examples"
TABLE = """length,width,kind,price
1.5,2,b,10
2.5,3,a,20
3.5,5,b,30
4.5,7,c,40
"""


@pytest.fixture
def csv(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(text)
        return path

    return write


# --- files ----------------------------------------------------------------------------------------------------


def test_csv_columns_become_inputs_and_one_hot_targets(csv: Callable[[str], Path]) -> None:
    X, Y, description, _ = read(csv(TABLE), ["length", "width"], ["kind"])
    assert X.tolist() == [[1.5, 2], [2.5, 3], [3.5, 5], [4.5, 7]]
    assert Y.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]  # a, b, c: sorted
    assert X.dtype == Y.dtype == np.float64
    assert description == ("table.csv: 4 samples, 2 inputs (length, width), 3 targets (kind = a, kind = b, kind = c)")


def test_inputs_left_out_are_all_other_columns_in_order(csv: Callable[[str], Path]) -> None:
    X, Y, *_ = read(csv(TABLE), None, ["kind", "price"])
    assert X[1].tolist() == [2.5, 3]
    assert Y[1].tolist() == [1, 0, 0, 20]
    assert np.array_equal(read(csv(TABLE), ["width", "length"], ["price"]).X, X[:, ::-1])


def test_drop_class_drops_one_class(csv: Callable[[str], Path]) -> None:
    assert read(csv(TABLE), ["length"], ["kind"], "b").Y.tolist() == [[0, 0], [1, 0], [0, 0], [0, 1]]


def test_columns_named_by_numbers_are_named_by_their_text(tmp_path: Path) -> None:
    pd.DataFrame({0: [1.0, 2.0], 1: [3.0, 4.0]}).to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", ["0"], ["1"]).Y.tolist() == [[3], [4]]


def test_true_and_false_are_classes(csv: Callable[[str], Path]) -> None:
    Y = read(csv("x,ok\n1,True\n2,False\n3,True\n"), None, ["ok"]).Y
    assert Y.tolist() == [[0, 1], [1, 0], [0, 1]]


def test_decimals_are_read_to_the_nearest_double(csv: Callable[[str], Path]) -> None:
    values = np.random.default_rng(1).standard_normal(5000) * np.logspace(-300, 300, 5000)
    lines = "\n".join(f"{x!r},{x:.25e}" for x in values.tolist())
    X, Y, *_ = read(csv(f"x,y\n{lines}\n"), None, ["y"])
    assert np.array_equal(X[:, 0], values)
    assert np.array_equal(Y[:, 0], values)


def test_parquet_and_npz_give_the_same_data_as_csv(csv: Callable[[str], Path], tmp_path: Path) -> None:
    X, Y, *_ = read(csv(TABLE), ["length", "width"], ["kind"])
    table = pd.read_csv(tmp_path / "table.csv")
    table.astype({"kind": "category"}).to_parquet(tmp_path / "table.parquet")
    np.savez(tmp_path / "table.npz", X=X, Y=table["kind"].to_numpy(str), inputs=X[:, 1], Z=Y)
    parquet = read(tmp_path / "table.parquet", ["length", "width"], ["kind"])
    npz = read(tmp_path / "table.npz")
    for other in (parquet, npz):
        assert np.array_equal(other.X, X)
        assert np.array_equal(other.Y, Y)
    named = read(tmp_path / "table.npz", ["inputs", "X"], ["Z"])
    assert np.array_equal(named.X, X[:, [1, 0, 1]])
    assert np.array_equal(named.Y, Y)


def test_the_example_files_equal_the_data_sets_of_scikit_learn() -> None:
    for name, target in (("iris", "species"), ("wine", "cultivar"), ("diabetes", "progression")):
        ours = load({"path": f"{name}.csv", "targets": [target]}, EXAMPLES)
        theirs = sklearn_data(name)
        assert np.array_equal(ours.X, theirs.X), name
        assert np.array_equal(ours.Y, theirs.Y), name


@pytest.mark.parametrize(
    ("text", "inputs", "targets", "said"),
    [
        ("", None, ["y"], "table.csv: an empty file; give a table with a header"),
        ("x,y\n", None, ["y"], "table.csv: no rows"),
        (TABLE, None, None, "no target column named; set targets"),
        (TABLE, ["lenght"], ["price"], "no column 'lenght'; did you mean 'length'?"),
        (TABLE, ["length"], ["q"], "no column 'q'; choose one of length, width, kind, price"),
        (TABLE, ["length", "price"], ["price"], "column 'price' is input and target"),
        ("y\n1\n2\n", None, ["y"], "no column left"),
        (TABLE, None, ["price"], "column 'kind': 'b' in row 1 is not a number"),
        ("x,y\n1,2\n3,4\nabc,6\n", None, ["y"], "column 'x': 'abc' in row 3 is not a number"),
        ("x,y\n1,2\n3,4\n5,abc\n", None, ["y"], "column 'y': mixes numbers and text: 'abc' in row 3"),
        ("x,y\n1,2\n,4\n5,6\n", None, ["y"], "column 'x': row 2 is missing or NaN"),
        ("x,y\n1,2\n3,nan\nnan,nan\n", ["x"], ["y"], "column 'x': row 3 is missing or NaN"),
        ("x,y\n1,2\n3,nan\n5,nan\n", ["x"], ["y"], r"column 'y': row 2 is missing or NaN \(2 such\)"),
        ("x,y\n1,2\n3,4\n-inf,6\n", None, ["y"], "column 'x': row 3 is -inf"),
        ("x,y\n1,a\n3,\n5,b\n", None, ["y"], "column 'y': row 2 has no class"),
        ("x,x,y\n1,2,3\n4,5,6\n", None, ["y"], "table.csv: two columns are called 'x'; rename one"),
        ("x,y\n1,2\n3,4,5\n", None, ["y"], "table.csv: not readable as csv"),
        ("x,y\n1,2,3\n3,4,5\n", None, ["y"], "table.csv: not readable as csv"),
    ],
)
def test_bad_tables_are_refused(
    csv: Callable[[str], Path], text: str, inputs: list[str] | None, targets: list[str] | None, said: str
) -> None:
    with pytest.raises(DataError, match=said) as refused:
        read(csv(text), inputs, targets)
    assert "\n" not in str(refused.value)


def test_bad_classes_are_refused(csv: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match="no class 'd'; choose one of a, b, c"):
        read(csv(TABLE), ["length"], ["kind"], "d")
    with pytest.raises(DataError, match="no class 'a'; no target is a class: leave drop_class out"):
        read(csv(TABLE), ["length"], ["price"], "a")
    with pytest.raises(DataError, match="no target left"):
        read(csv("x,kind\n1,a\n2,a\n"), None, ["kind"], "a")


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nope.csv: no such file"):
        read(tmp_path / "nope.csv", None, ["y"])
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="a folder, not a file"):
        read(tmp_path / "folder.csv", None, ["y"])
    with pytest.raises(
        DataError, match=r"unknown format '.xlsx'; give one of .csv, .csv.gz, .tsv, .tsv.gz, .parquet, .npz"
    ):
        read(tmp_path / "table.xlsx", None, ["y"])
    for name, magic in (("broken.parquet", b"PAR1"), ("broken.npz", b"PK\x03\x04")):
        (tmp_path / name).write_bytes(magic + b" and then nothing of the kind")
        with pytest.raises(DataError, match=f"{name}: not readable as {name[7:]}"):
            read(tmp_path / name, ["X"], ["Y"])
    (tmp_path / "latin.csv").write_bytes("größe,y\n1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin.csv: byte 0xf6 in the header is not utf-8; set encoding"):
        read(tmp_path / "latin.csv", None, ["y"])


def test_dates_are_neither_numbers_nor_classes(tmp_path: Path) -> None:
    path = tmp_path / "dates.parquet"
    pd.DataFrame({"day": pd.date_range("2000", periods=3), "y": [1, 2, 3]}).to_parquet(path)
    for inputs, targets in ((["day"], ["y"]), (["y"], ["day"])):
        with pytest.raises(
            DataError,
            match=r"column 'day': 2000-01-01 00:00:00 in row 1 is of type timestamp.*; give numbers, such as days",
        ):
            read(path, inputs, targets)


def test_bad_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"x": np.eye(2), "Y": np.eye(2)}, "no array 'X'"),
        ({"X": np.eye(2), "Y": np.eye(3)}, "arrays of different lengths: {'X': 2, 'Y': 3}"),
        ({"X": np.ones((2, 2, 2)), "Y": np.eye(2)}, r"array 'X' has shape \(2, 2, 2\)"),
        ({"X": np.array([[1.0, np.nan], [1, 2]]), "Y": np.eye(2)}, r"column 'X\[1\]': row 1 is missing or NaN"),
        ({"X": np.array([{}, {}]), "Y": np.eye(2)}, "not readable as npz"),
        ({"X": np.array([1j, 2.0]), "Y": np.eye(2)}, "column 'X': 1j in row 1 is of type complex128; give numbers"),
    ]
    for arrays, said in cases:
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=said):
            read(path)


# --- other sources --------------------------------------------------------------------------------------------


def test_gaussian_data_is_determined_by_its_seed() -> None:
    X, Y, description, _ = gaussian(500, 3, 2, seed=1)
    assert X.shape == (500, 3)
    assert Y.shape == (500, 2)
    assert "seed 1: 500 samples, 3 inputs, 2 targets" in description
    assert np.abs(np.corrcoef(np.column_stack([X, Y]).T) - np.eye(5)).max() < 0.2
    assert np.array_equal(gaussian(500, 3, 2, seed=1).X, X)
    assert not np.isin(gaussian(500, 3, 2, seed=2).X, X).any()
    table = {"source": "gaussian", "samples": 500, "d_x": 3, "d_y": 2, "seed": 1}
    assert np.array_equal(load(table, EXAMPLES).Y, Y)
    assert X[0, 0].hex() == "0x1.1c4801158c8e7p+0"


@pytest.mark.parametrize("name", SKLEARN)
def test_data_sets_of_scikit_learn(name: str) -> None:
    X, Y, description, _ = load({"source": f"sklearn:{name}"}, EXAMPLES)
    assert description.startswith(f"sklearn:{name}: {len(X)} samples")
    assert len(X) == len(Y)
    classes = {"breast_cancer": 2, "digits": 10, "iris": 3, "wine": 3}.get(name)
    if classes:
        assert Y.shape[1] == classes
        assert (Y.sum(axis=1) == 1).all()
        assert sklearn_data(name, _first_class(description)).Y.shape[1] == classes - 1


def _first_class(description: str) -> str:
    return description.split("class = ")[1].split(",")[0]


def test_an_unknown_set_and_a_missing_extra_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="unknown data set 'digit'; did you mean 'digits'"):
        sklearn_data("digit")
    with pytest.raises(DataError, match="choose one of breast_cancer, diabetes, digits, iris, linnerud, wine"):
        sklearn_data("mnist")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    said = "source: sklearn:digits needs scikit-learn, which is not installed (extra 'data'); "
    with pytest.raises(MissingExtraError, match=re.escape(f'{said}pip install "ovf-basins[data]"')):
        sklearn_data("digits")

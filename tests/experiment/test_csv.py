"""CSV files as other programs write them: read exactly, with a report of how, or refused with the row and the key."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from basins.errors import DataError
from basins.experiment.data import Data, Reading, read

Reader = Callable[..., Data]


@pytest.fixture
def reading(tmp_path: Path) -> Reader:
    def write_and_read(content: str | bytes, name: str = "t.csv", **keys: Any) -> Data:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        columns = {key: keys.pop(key) for key in ("inputs", "drop_class") if key in keys}
        targets = keys.pop("targets", ["y"])
        data = read(tmp_path / name, columns.get("inputs"), targets, columns.get("drop_class"), Reading(**keys))
        assert "\n" not in data.description
        return data

    return write_and_read


PLAIN = "x,z,y\n1.5,2,10\n-3,0.25,20\n"
X, Y = [[1.5, 2], [-3, 0.25]], [[10], [20]]

READ: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "plain": (PLAIN, {}, ""),
    "semicolons": (PLAIN.replace(",", ";"), {}, "; separator ';'"),
    "tabs": (PLAIN.replace(",", "\t"), {}, r"; separator '\t'"),
    "bars": (PLAIN.replace(",", "|"), {}, "; separator '|'"),
    "a tab file by its name": (PLAIN.replace(",", "\t"), {"name": "t.tsv"}, r"; separator '\t'"),
    "spaces, said": (PLAIN.replace(",", " "), {"separator": " "}, "; separator ' '"),
    "decimal commas": ("x;z;y\n1,5;2;10\n-3;0,25;20\n", {}, "; separator ';'; decimal mark ','"),
    "decimal commas in quotes, said": ('x,z,y\n"1,5",2,10\n-3,"0,25",20\n', {"decimal": ","}, "; decimal mark ','"),
    "decimal commas, tabs": ("x\tz\ty\n1,5\t2\t10\n-3\t0,25\t20\n", {}, r"; separator '\t'; decimal mark ','"),
    "UTF-8 with its mark": (b"\xef\xbb\xbf" + PLAIN.encode(), {}, ""),
    "UTF-16": (PLAIN.encode("utf-16"), {}, "; encoding utf-16"),
    "UTF-16, the other way round": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), {}, "; encoding utf-16"),
    "UTF-16 without its mark, said": (PLAIN.encode("utf-16-le"), {"encoding": "utf-16-le"}, "; encoding utf-16-le"),
    "UTF-32": (PLAIN.encode("utf-32"), {}, "; encoding utf-32"),
    "cp1252, said": (PLAIN.encode(), {"encoding": "cp1252"}, "; encoding cp1252"),
    "gzip": (gzip.compress(PLAIN.encode()), {"name": "t.csv.gz"}, ""),
    "gzip of UTF-16": (gzip.compress(PLAIN.encode("utf-16")), {"name": "T.CSV.GZ"}, "; encoding utf-16"),
    "quotes": ('"x","z","y"\n"1.5","2","10"\n"-3","0.25","20"\n', {}, ""),
    "Windows lines": (PLAIN.replace("\n", "\r\n"), {}, ""),
    "old Mac lines": (PLAIN.replace("\n", "\r"), {}, ""),
    "blank lines": (PLAIN.replace("\n", "\n\n") + "  \n", {}, ""),
    "spaces about numbers": ("x,z,y\n 1.5,2 ,10\n-3, .25 ,+20\n", {}, ""),
    "exponents": ("x,z,y\n15e-1,2.,1E1\n-3.0e+0,.25,20\n", {}, ""),
    "thousands, said": (PLAIN, {"thousands": "'"}, '; thousands mark "\'"'),
    "pandas' index": (
        ",x,z,y\n0,1.5,2,10\n1,-3,0.25,20\n",
        {},
        "; the first column, which has no name, left out as an",
    ),
    "pandas' index again": ("Unnamed: 0,x,z,y\n0,1.5,2,10\n1,-3,0.25,20\n", {}, "; 'Unnamed: 0' left out as an index"),
    "and again": (
        "Unnamed: 0.1,Unnamed: 0,x,z,y\n0,0,1.5,2,10\n1,1,-3,0.25,20\n",
        {},
        "; 'Unnamed: 0.1', 'Unnamed: 0' left out as an index",
    ),
    "an index, said": ("id,x,z,y\n7,1.5,2,10\n8,-3,0.25,20\n", {"index": "id"}, "; 'id' left out as an index"),
    "two, said": (
        "a,x,b,z,y\n7,1.5,0,2,10\n8,-3,0,0.25,20\n",
        {"index": ["a", "b"]},
        "; 'a', 'b' left out as an index",
    ),
    "separators at the ends": ("x,z,y,\n1.5,2,10,\n-3,0.25,20,\n", {}, "; 1 empty column(s) at the end left out"),
}


@pytest.mark.parametrize("name", READ)
def test_files_are_read_exactly_and_unusual_properties_are_reported(reading: Reader, name: str) -> None:
    content, keys, said = READ[name]
    data = reading(content, **keys)
    assert data.X.tolist() == X
    assert data.Y.tolist() == Y
    assert data.description.partition(", 2 inputs (x, z), 1 targets (y)")[2].startswith(said)
    if not said:
        assert data.description.endswith("1 targets (y)")


def test_found_given_and_assumed_properties_are_distinguished(reading: Reader) -> None:
    found = "separator ',' (found), encoding utf-8 (found), decimal mark '.' (assumed), no thousands mark (assumed)"
    assert reading(PLAIN).reading == (f"read with {found}",)
    given = reading(
        gzip.compress(PLAIN.encode()), "t.csv.gz", separator=",", encoding="utf8", decimal=".", thousands="'"
    )
    marks = "decimal mark '.' (given), thousands mark \"'\" (given)"
    assert given.reading == (f"read with separator ',' (given), encoding utf-8 (given), gzip, {marks}",)


def test_thousands_marks_separate_groups_of_three(reading: Reader) -> None:
    data = reading("x;y\n1.234,5;1.234.567\n12;-1.000\n", decimal=",", thousands=".")
    assert (data.X.tolist(), data.Y.tolist()) == ([[1234.5], [12]], [[1234567], [-1000]])
    for mark in (",", " ", "'", "’", "_", "\u00a0", "\u2009", "\u202f"):
        data = reading(f'x;y\n"1{mark}234.5";2\n3;12{mark}345{mark}678\n', separator=";", thousands=mark)
        assert (data.X.tolist(), data.Y.tolist()) == ([[1234.5], [3]], [[2], [12345678]])
    with pytest.raises(DataError, match="'12,34' in row 1 reads as a number with the decimal mark ','"):
        reading('x;y\n"12,34";2\n', thousands=",")


def test_an_index_may_be_kept_or_named(reading: Reader) -> None:
    content = "Unnamed: 0,x,y\n7,1,2\n8,3,4\n"
    assert reading(content, index=False).X.tolist() == [[7, 1], [8, 3]]
    assert reading(content, inputs=["Unnamed: 0"]).X.tolist() == [[7], [8]]
    assert reading(content, targets=["Unnamed: 0"]).Y.tolist() == [[7], [8]]
    frame = pd.DataFrame({"x": [1.0, 3.0], "y": [2, 4]}, index=[7, 8])
    assert reading(frame.to_csv()).X.tolist() == [[1], [3]]


def test_the_separator_is_the_one_that_fits(reading: Reader) -> None:
    """A header with another separator in its names, a column of lists, a comma in a quoted field."""
    named = {"inputs": ["mass, kg"]}
    assert reading("mass, kg;y\n1;2\n3;4\n", **named).X.tolist() == [[1], [3]]
    assert reading('"mass, kg",y\n1,2\n3,4\n', **named).X.tolist() == [[1], [3]]
    lists = reading("tags|more,x,y\na|b,1,2\nc|d,3,4\n", inputs=["x"])
    assert (lists.X.tolist(), lists.Y.tolist()) == ([[1], [3]], [[2], [4]])
    both = "a;b,x;y\n1;2,3;4\n5;6,7;8\n"
    assert reading(both, inputs=["a"]).X.tolist() == [[1], [5]]
    with pytest.raises(DataError, match=r"fields may be separated by ',' or ';'; set separator to one of them"):
        reading("y,a;y\n1,2;3\n")


REFUSED: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "cp1252": (
        "x,y\n1,a\n2,\u00e4\n".encode("cp1252"),
        {},
        't.csv: byte 0xe4 in row 2 (line 3) is not utf-8; set encoding, such as "cp1252"',
    ),
    "cp1252 that is none": (
        b"x,y\n1,\x81\n",
        {"encoding": "cp1252"},
        "byte 0x81 in row 1 (line 2) is not cp1252; set another",
    ),
    "UTF-16 without its mark": (
        PLAIN.encode("utf-16-le"),
        {},
        'as UTF-16 does, without its mark; set encoding, such as "utf',
    ),
    "a mark and another encoding": (
        PLAIN.encode("utf-16"),
        {"encoding": "utf-8"},
        "begins with the byte order mark of utf-16, and encoding = 'utf-8'; take encoding out",
    ),
    "a short row": (
        "x,y\n1,2\n3\n",
        {},
        "row 2 (line 3) has 1 fields and the header 2, separated by ','; correct that row",
    ),
    "a long row": (
        "x,y\n1,2\n\n3,4,5\n",
        {},
        "row 2 (line 4) has 3 fields and the header 2, separated by ','; correct that",
    ),
    "R's row names": ('x,y\n"1",1,2\n', {}, "row 1 (line 2) has 3 fields and the header 2"),
    "an open quote": (
        'x,y\n1,2\n3,"4\n',
        {},
        "a quote that is not closed, in row 2 (line 3); correct the quotes there",
    ),
    "a quote amid": ('x,y\n1,"a"b\n', {}, "',' expected after '\"', in row 1 (line 2); correct the quotes there"),
    "one column": ("x y\n1 2\n", {}, "no column 'y'; its one column is 'x y': set separator"),
    "another separator": (PLAIN, {"separator": ";"}, "no column 'y'; its one column is 'x,z,y': set separator"),
    "a nameless column": ("x,,y\n1,2,3\n", {}, "column 2 of the header has no name; name it, or take it out"),
    "a nameless index that is kept": (",x,y\n1,2,3\n", {"index": False}, "column 1 of the header has no name; name it"),
    "two equal headers": ("x,x,y\n1,2,3\n", {}, "two columns are called 'x'; rename one"),
    "a doubtful comma": (
        "x;y\n1,500;2\n3,250;4\n",
        {},
        "column 'x': '1,500' in row 1 reads as a number with the decimal or thousands mark ','; set decimal = \",\" or",
    ),
    "commas and points": (
        "x;y\n1,5;2\n3.5;4\n",
        {},
        "column 'x': '1,5' in row 1 reads as a number with the decimal mark ','",
    ),
    "points where commas are said": (
        "x;y\n1,5;2\n3.5;4\n",
        {"decimal": ","},
        "'3.5' in row 2 reads as a number with the decimal",
    ),
    "a missing number": ("x,y\n1,2\nNA,4\n", {}, "column 'x': row 2 is missing or NaN; fill or drop it"),
    "a missing target": ("x,y\n1,2\n3,None\n", {}, "column 'y': row 2 is missing or NaN; fill or drop it"),
    "a missing class": ("x,y\n1,a\n3,\n", {}, "column 'y': row 2 has no class; fill or drop it"),
    "a missing truth": ("x,y\n1,True\n3,NA\n4,False\n", {}, "column 'y': row 2 has no class; fill or drop it"),
    "a number too large": ("x,y\n1,2\n3,1e400\n", {}, "column 'y': row 2 is inf; fill or drop it"),
    "Excel's line": (
        "sep=;\nx;y\n1;2\n",
        {},
        "begins with a line that is Excel's own (sep=); remove that line, and set",
    ),
    "a quoted nothing": ('""', {}, "an empty file; give a table with a header"),
    "blank": ("\n \n", {}, "an empty file; give a table with a header"),
    "gzip cut short": (gzip.compress(PLAIN.encode())[:-9], {"name": "t.csv.gz"}, "t.csv.gz: not readable as gzip: "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_row_and_the_key(reading: Reader, name: str) -> None:
    content, keys, said = REFUSED[name]
    with pytest.raises(DataError) as refusal:
        reading(content, **keys)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_many_rows_are_read_completely_and_a_late_bad_row_is_named(reading: Reader) -> None:
    values = np.random.default_rng(0).normal(size=(70_000, 2))
    text = "x,y\n" + "".join(f"{x!r},{y!r}\n" for x, y in values.tolist())
    data = reading(text)
    assert np.array_equal(np.hstack([data.X, data.Y]), values)
    with pytest.raises(DataError, match=r"row 70001 \(line 70002\) has 1 fields"):
        reading(text + "1\n")
    with pytest.raises(DataError, match="column 'x': row 70001 is missing"):
        reading(text + ",1\n")


def test_plain_files_are_read_as_pandas_reads_them(reading: Reader) -> None:
    """Earlier runs read plain files with pandas, and their keys depend on every bit of the values."""
    rng = np.random.default_rng(0)
    kinds: list[Callable[[], str]] = [
        lambda: repr(float(rng.normal() * 10 ** rng.uniform(-300, 300))),
        lambda: str(int(rng.integers(-(2**62), 2**62))),
        lambda: f"{rng.normal():.{int(rng.integers(0, 30))}e}",
        lambda: f" {rng.normal():+.3f} ",
        lambda: f"{int(rng.integers(0, 9))}.",
        lambda: f".{int(rng.integers(0, 999))}E{int(rng.integers(-9, 9)):+d}",
    ]
    rows = [[kinds[k]() for k in range(len(kinds))] + [["True", "False"][int(rng.integers(2))]] for _ in range(400)]
    text = "a,b,c,d,e,f,g\n" + "".join(",".join(row) + "\n" for row in rows)
    data = reading(text, targets=["b", "g"])
    frame = pd.read_csv(io.StringIO(text))
    assert np.array_equal(data.X, frame[["a", "c", "d", "e", "f"]].to_numpy(dtype=np.float64))
    assert np.array_equal(data.Y[:, 0], frame["b"].to_numpy(dtype=np.float64))
    assert np.array_equal(data.Y[:, 2], frame["g"].to_numpy(dtype=np.float64))


PIECES = [
    "1",
    "2.5",
    "0,5",
    "a",
    "NA",
    "",
    '"',
    ",",
    ";",
    "\t",
    "\n",
    "\r\n",
    " ",
    "%",
    "€",
    "True",
    "x",
    "y",
    "\0",
    "-",
    "1e9",
    "é",
]


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(PIECES), max_size=25),
    st.sampled_from(["utf-8", "utf-16", "cp1252", "utf-16-le"]),
    st.data(),
)
def test_any_contents_of_a_file_are_read_or_refused_in_one_line(
    tmp_path: Path, pieces: list[str], encoding: str, draw: st.DataObject
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(("x,y\n" * draw.draw(st.booleans()) + "".join(pieces)).encode(encoding))
    keys = draw.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "separator": st.sampled_from([",", ";", " "]),
                "decimal": st.sampled_from([".", ","]),
                "thousands": st.sampled_from([".", ",", " "]),
                "encoding": st.sampled_from(["utf-8", "latin-1", "utf-16", "no-such"]),
                "index": st.sampled_from([False, "x"]),
                "categorical": st.sampled_from([["x"], ["y"]]),
            },
        )
    )
    refusal = None
    try:
        data = read(path, None, ["y"], None, Reading(**keys))
    except DataError as error:
        refusal = error
    if refusal is not None:
        assert len(str(refusal).splitlines()) == 1
        assert refusal.remedy
        return
    assert np.isfinite(data.X).all()
    assert np.isfinite(data.Y).all()
    assert len(data.description.splitlines()) == 1

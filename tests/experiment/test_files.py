"""A file must have the format of its name and be at its path, or it is refused with a remedy; old experiments stay
valid."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import shutil
import tomllib
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from kinds import CSV
from small_experiment import EXAMPLES, HEAD, experiment

import basins
from basins.cli import main
from basins.errors import DataError
from basins.experiment import load
from basins.experiment.data import load as load_data
from basins.experiment.data import read
from basins.experiment.document import FileData

PLAIN = b"x,y\n1,2\n3,4\n"


def npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.eye(2))


MISLABELLED = {
    "t.npz is an array": (npy, "t.npz: a single array (NPY) under the name .npz; save X and Y with numpy.savez"),
    "t.csv is Parquet": (
        lambda path: pq.write_table(pa.table({"x": [1]}), path),
        "t.csv: Parquet under the name .csv; call it .parquet",
    ),
    "t.csv is gzip": (
        lambda path: path.write_bytes(gzip.compress(PLAIN)),
        "t.csv: gzip under the name .csv; call it .csv.gz if it is a CSV file, or unpack it",
    ),
    "t.csv.gz is none": (
        lambda path: path.write_bytes(PLAIN),
        "t.csv.gz: not readable as csv.gz: its first bytes are not",
    ),
    "t.csv is bzip2": (
        lambda path: path.write_bytes(bz2.compress(PLAIN)),
        "t.csv: bzip2 under the name .csv; give one of",
    ),
    "t.csv is a workbook": (
        lambda path: path.write_bytes(b"PK\x03\x04 and so on"),
        "t.csv: a zip archive (NPZ, XLSX, ZIP) under the name .csv",
    ),
    "t.csv is a page": (
        lambda path: path.write_bytes(b"<!DOCTYPE html>"),
        "t.csv: HTML under the name .csv; download the",
    ),
    "t.csv is a pointer": (
        lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
        "t.csv: a pointer of Git LFS under the name .csv; fetch the file itself: git lfs pull",
    ),
    "t.parquet is CSV": (
        lambda path: path.write_bytes(PLAIN),
        "t.parquet: not readable as parquet: its first bytes are not",
    ),
    "t.npz is CSV": (lambda path: path.write_bytes(PLAIN), "t.npz: not readable as npz: its first bytes are not"),
    "t.npz is empty": (lambda path: path.write_bytes(b""), "t.npz: not readable as npz: its first bytes are not"),
}


@pytest.mark.parametrize("name", MISLABELLED)
def test_a_file_with_the_name_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    make, said = MISLABELLED[name]
    path = tmp_path / name.partition(" ")[0]
    make(path)
    with pytest.raises(DataError) as refusal:
        read(path, None, ["y"])
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("s3://bucket/data.csv", "s3://bucket/data.csv: data are read from a file, not from an address; copy the file"),
        ("https://example.org/data.csv", "not from an address"),
        ("file:///data.csv", "not from an address"),
        ("s3:/bucket/data.csv", "not from an address"),
        ("~no-such-user-here/data.csv", "no home folder is known for ~; give the whole path"),
        ("a" * 300 + ".csv", "no such file (File name too long); check the path"),
        ("/".join(["a" * 200] * 30) + ".csv", "no such file (File name too long); check the path"),
        ("a\0b.csv", "no such file (embedded null byte); check the path"),
        ("there.csv/more.csv", "no such file"),
        ("/dev/null.csv", "no such file"),
        ("folder.csv", "a folder, not a file"),
    ],
)
def test_a_path_without_a_file_is_refused_in_one_line(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "there.csv").write_bytes(PLAIN)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError) as refusal:
        load_data({"path": path, "targets": ["y"]}, tmp_path)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.remedy


def test_a_home_is_expanded_reported_and_kept_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(EXAMPLES / "iris.csv", tmp_path)
    text = (EXAMPLES / "iris.toml").read_text().replace('"iris.csv"', '"~/iris.csv"')
    made = experiment(text)
    assert made.cases[0].key == load(EXAMPLES / "iris.toml").cases[0].key
    assert made.cases[0].reading[0] == f"~/iris.csv is {tmp_path}/iris.csv"
    assert 'path = "~/iris.csv"' in made.text
    assert str(tmp_path) not in made.text + made.cases[0].source
    # A folder that is called ~ is reached by ./~
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "t.csv").write_bytes(PLAIN)
    assert load_data({"path": "./~/t.csv", "targets": ["y"]}, tmp_path).X.tolist() == [[1], [3]]


# --- experiments as they were -------------------------------------------------------------------------------------

DIGESTS = {
    "iris": "d293a9d2b3dc51940ec4b97a0bd453e5d9430978cf306ce65108e1c6d407d0d7",
    "wine": "f74b98701d6b3f911fbd73f2105f75bba59aee4d5eaf8cb7770fc53897918e2c",
    "diabetes": "0eb6ea9fb3ea8fae60d71dd3623d9c23a55f0ba01e211a4d8df7d161d703b4d1",
}
SOURCES = {
    "iris": "iris.csv: 150 samples, 4 inputs (sepal_length, sepal_width, petal_length, petal_width), 3 targets "
    "(species = setosa, species = versicolor, species = virginica)",
    "wine": "wine.csv: 178 samples, 13 inputs (alcohol, malic_acid, ash, alcalinity_of_ash, magnesium, total_phenols, "
    "... 7 more), 3 targets (cultivar = cultivar_1, cultivar = cultivar_2, cultivar = cultivar_3)",
    "diabetes": "diabetes.csv: 442 samples, 10 inputs (age, sex, bmi, bp, s1, s2, ... 4 more), 1 targets (progression)",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_the_examples_have_not_changed_by_a_bit(name: str) -> None:
    """Runs on disk depend on the problems' digests, which cover every bit of X and Y, and on their descriptions."""
    case = load(EXAMPLES / f"{name}.toml").cases[0]
    assert case.problem.digest == DIGESTS[name]
    assert case.source == SOURCES[name]
    assert "reading" not in case.to_dict()


def test_keys_that_are_not_given_are_not_in_the_text() -> None:
    data = tomllib.loads(load(EXAMPLES / "iris.toml").text)["case"][0]["data"]
    assert list(data) == ["standardise", "intercept", "path", "targets"]


def test_every_given_key_is_in_the_text_and_reads_back() -> None:
    keys = 'targets = ["species"]\nseparator = ","\ndecimal = "."\nthousands = "_"\nencoding = "utf-8"\nindex = false\n'
    keys += f'sha256 = "{hashlib.sha256((EXAMPLES / "iris.csv").read_bytes()).hexdigest()}"\n'
    text = HEAD + f'[data]\npath = "iris.csv"\n{keys}categorical = ["species"]\n'
    made = experiment(text + '[network]\nhidden = [3]\n[law]\nname = "he"\n')
    data = tomllib.loads(made.text)["case"][0]["data"]
    assert set(FileData.model_fields) - set(data) == {"inputs", "drop_class"}
    assert (data["index"], data["thousands"], data["categorical"]) == (False, "_", ["species"])
    again = experiment(made.text)
    assert (again.text, again.digest) == (made.text, made.digest)
    plain = load(EXAMPLES / "iris.toml").cases[0].problem
    assert np.array_equal(made.cases[0].problem.sigma, plain.sigma)


def test_describe_reports_how_the_file_was_read(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(
        "\n".join(f"{k},{line}" for k, line in enumerate(CSV.splitlines())).replace("0,w", ",w", 1)
    )
    text = HEAD + '[data]\npath = "data.csv"\ntargets = ["kind"]\n[network]\nhidden = [2]\n[law]\nname = "he"\n'
    (tmp_path / "e.toml").write_text(text)
    result = CliRunner().invoke(main, ["describe", str(tmp_path / "e.toml")])
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "the first column, which has no name, left out as an index" in words
    assert (
        "read with separator ',' (found), encoding utf-8 (found), decimal mark '.' (assumed), no thousands mark"
        in words
    )
    assert words.count("read with separator") == 1


def test_describe_reports_what_rounding_leaves(tmp_path: Path) -> None:
    rows = "".join(
        f"{a},{a + 1e-11 * b},{b * a + c}\n" for a, b, c in np.random.default_rng(0).normal(size=(20, 3)).tolist()
    )
    (tmp_path / "data.csv").write_text("u,v,y\n" + rows)
    text = HEAD + '[data]\npath = "data.csv"\ntargets = ["y"]\n[network]\nhidden = [2]\n[law]\nname = "he"\n'
    (tmp_path / "e.toml").write_text(text)
    result = CliRunner().invoke(main, ["describe", str(tmp_path / "e.toml")])
    words = " ".join(result.stdout.split())
    assert "of 16 digits rounding leaves at least" in words
    assert "drop inputs that are nearly combinations of others" in words


def test_a_home_is_expanded_in_paths_of_experiments_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Python no shell expands ~, and nobody means a folder called ~ in the working folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    text = HEAD + '[data]\nsource = "spectrum"\nsigma = [2, 1]\nd_x = 2\n[network]\nhidden = [2]\n[law]\nname = "he"\n'
    (tmp_path / "home" / "e.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    run = basins.run("~/e.toml", out="~/run", on="inline")
    assert (tmp_path / "home" / "run" / "manifest.json").is_file()
    assert len(basins.open_run("~/run").trajectories()) == len(run.trajectories()) == 10
    assert not (tmp_path / "~").exists()


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, of the second
        for _ in range(2):
            with file.open("X.npy", "w") as member:
                np.save(member, np.eye(2))
        with file.open("Y.npy", "w") as member:
            np.save(member, np.eye(2))
    with pytest.raises(DataError, match=r"t.npz: two arrays are called 'X'; rename one"):
        read(tmp_path / "t.npz")

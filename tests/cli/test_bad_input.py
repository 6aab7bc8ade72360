"""Bad input on the command line: one clear line (what, where, what to do), exit status 2, nothing written or lost, and
no traceback without --debug."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from kinds import CSV as DATA

from basins.cli import main

GOOD = """
name = "good"
seed = 1
trajectories = 4
blocks_per_shard = 1
[data]
path = "data.csv"
targets = ["kind"]
[network]
hidden = [3, 2]
[law]
name = "gaussian"
scale = 0.5
[engine]
name = "reference"
rtol = 1e-8
"""


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every path under a folder, with its contents."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A working folder with a good experiment and its data."""
    (tmp_path / "data.csv").write_text(DATA)
    (tmp_path / "good.toml").write_text(GOOD)
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def refused(result: Result, *phrases: str) -> None:
    """One line on standard error with these phrases, nothing on standard output, exit status 2."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.endswith("\n")
    assert result.stderr.count("\n") == 1, result.stderr
    for phrase in phrases:
        assert phrase in result.stderr
    assert "Traceback" not in result.output


def run(experiment: str = "bad.toml", *more: str) -> Result:
    return call("run", experiment, "--on", "inline", *more)


def test_the_valid_experiment_is_accepted(home: Path) -> None:
    """So each case below is refused only for what it changes."""
    result = run("good.toml")
    assert result.exit_code == 0, result.output
    assert (home / "runs" / "good" / "manifest.json").is_file()


# For each name: the text that is replaced in the experiment, its replacement, and phrases that the line must have.
EXPERIMENTS = {
    "missing data file": ('"data.csv"', '"dta.csv"', ["dta.csv", "no such file", "relative to the experiment"]),
    "wrong column": ('["kind"]', '["kindd"]', ["no column 'kindd'", "did you mean 'kind'?"]),
    "wrong input column": ("targets", 'inputs = ["widht"]\ntargets', ["no column 'widht'", "did you mean 'width'?"]),
    "zero width": ("[3, 2]", "[3, 0]", ["width 0", "network.hidden", "at least 1"]),
    "negative width": ("[3, 2]", "[-3, 2]", ["width -3", "network.hidden", "at least 1"]),
    "a width that is no number": ("[3, 2]", '[3, "2"]', ["network.hidden", "give"]),
    "no hidden layer": ("[3, 2]", "[]", ["no hidden layer", "give at least one"]),
    "width below d_y": ("[3, 2]", "[3, 1]", ["Assumption 1", "[1] below d_y = 2", "at least 2"]),
    "scale zero": ("scale = 0.5", "scale = 0.0", ["scale = 0.0", "law.scale", "above zero"]),
    "scale negative": ("scale = 0.5", "scale = -1", ["scale = -1", "above zero"]),
    "scales for other layers": ("scale = 0.5", "scale = [1.0, 2.0]", ["2 scale(s) for 3 layers"]),
    "unknown law": ('"gaussian"', '"gausian"', ["unknown law 'gausian'", "did you mean 'gaussian'?"]),
    "a law's unknown parameter": ("scale", "scael", ["'scael'", "did you mean 'scale'?"]),
    "negative tolerance": ("rtol = 1e-8", "rtol = -1e-8", ["rtol = -1e-08", "engine.rtol", "positive"]),
    "tolerance that is nan": ("rtol = 1e-8", "atol = nan", ["atol = nan", "positive"]),
    "tolerance below 100 eps": ("rtol = 1e-8", "rtol = 1e-14", ["1e-14 is below 100 eps", "raise rtol"]),
    "unknown engine": (
        '"reference"',
        '"referense"',
        ["unknown engine 'referense'", "did you mean 'reference'?"],
    ),
    "unknown method": ("rtol = 1e-8", 'method = "RK54"', ["engine.method", "'RK54'", "did you mean 'RK45'?"]),
    "no evaluations": ("rtol = 1e-8", "budget = 0", ["budget = 0", "at least 1"]),
    "unknown key": ("seed", "sed", ["unknown key", "did you mean 'seed'?"]),
    "unknown key in a table": ("hidden", "hiden", ["network", "unknown key", "did you mean 'hidden'?"]),
    "unknown table": ("[engine]", "[enginee]", ["unknown key", "did you mean 'engine'?"]),
    "no trajectories": ("trajectories = 4", "trajectories = 0", ["trajectories", "at least 1"]),
    "seed below zero": ("seed = 1", "seed = -1", ["seed", "from 0 to 2^64 - 1"]),
    "text for a number": ("seed = 1", 'seed = "one"', ["seed", "whole number"]),
    "not TOML": ("seed = 1", "seed = = 1", ["not TOML", "line 3"]),
    "planted in the raw flow": (
        '[law]\nname = "gaussian"',
        'flow = "raw"\n[law]\nname = "planted"\nmodes = [0]',
        ["a planted start escapes in the raw flow", 'set flow = "reduced"'],
    ),
    "a key in a table and in the sweep": (
        "[engine]",
        '[sweep]\n"law.scale" = [0.1, 0.2]\n[engine]',
        [
            "sweep.law.scale",
            "given twice: [law] has scale = 0.5",
            "take scale out of [law], or law.scale out of [sweep]",
        ],
    ),
    "a target named twice": ('["kind"]', '["kind", "kind"]', ["data.targets", "'kind' is named twice", "name it once"]),
    "an address for a file": (
        '"data.csv"',
        '"s3://bucket/data.csv"',
        ["s3://bucket/data.csv", "not from an address", "copy"],
    ),
    "a path too long": ('"data.csv"', f'"{"d" * 300}.csv"', ["d.csv", "File name too long", "check the path"]),
    "a key of another format": (
        '"data.csv"',
        '"data.csv"\nencoding = "klingon"',
        ["data.encoding", "unknown encoding 'klingon'"],
    ),
    "singular values too large": (
        'path = "data.csv"\ntargets = ["kind"]',
        'source = "spectrum"\nsigma = [1e200, 1e199]\nd_x = 2',
        ["data.sigma", "1e+200 to 1e+199", "double precision does not hold", "give them in other units"],
    ),
    "singular values that tie": (
        'path = "data.csv"\ntargets = ["kind"]',
        'source = "spectrum"\nsigma = [2.0, 2.0]\nd_x = 2',
        ["Assumption 3", "2.0 and 2.0", "tied to rounding", "perturb"],
    ),
}


@pytest.mark.parametrize("wrong", EXPERIMENTS)
def test_an_invalid_experiment_is_refused(home: Path, wrong: str) -> None:
    old, new, phrases = EXPERIMENTS[wrong]
    assert old in GOOD
    (home / "bad.toml").write_text(GOOD.replace(old, new, 1))
    before = snapshot(home)
    for result in (run(), call("run", "bad.toml", "--dry-run"), call("describe", "bad.toml")):
        refused(result, "bad.toml", *phrases)
    assert snapshot(home) == before


# For each name: the text that is replaced in the data, its replacement, and phrases that the line must have.
TABLES = {
    "NaN": ("2.0,1.0,b", "nan,1.0,b", ["row 2 is missing or NaN", "column 'width'", "fill or drop"]),
    "an empty field": ("2.0,1.0,b", ",1.0,b", ["row 2 is missing or NaN", "column 'width'"]),
    "inf": ("2.0,1.0,b", "2.0,inf,b", ["row 2 is inf", "column 'height'"]),
    "text in a number column": (
        "4.0,0.25",
        "4.0,tall",
        ["'tall' in row 4 is not a number", "column 'height'", "encode"],
    ),
    "one sample": (DATA[DATA.index("2.0,1.0") :], "", ["1 sample", "at least two"]),
    "no sample": (DATA[DATA.index("1.0,2.0") :], "", ["no rows", "at least two"]),
    "an empty file": (DATA, "", ["empty", "header"]),
    "a percent sign": (
        "4.0,0.25",
        "4.0,25%",
        ["'25%' in row 4 reads as a number with a percent sign", "column 'height'"],
    ),
    "a decimal comma": (
        "4.0,0.25",
        '4.0,"0,25"',
        ["'0,25' in row 4 reads as a number with the decimal", 'set decimal = ","'],
    ),
    "a row too short": ("2.0,1.0,b", "2.0,b", ["row 2 (line 3) has 2 fields and the header 3", "set separator"]),
    "an open quote": ("2.0,1.0,b", '2.0,1.0,"b', ["a quote that is not closed, in row 2", "correct the quotes"]),
    "a header twice": ("width,height", "width,width", ["two columns are called 'width'", "rename one"]),
    "a row too long": ("2.0,1.0,b", "2.0,1.0,b,9", ["not readable as csv"]),
}


@pytest.mark.parametrize("wrong", TABLES)
def test_invalid_data_is_refused(home: Path, wrong: str) -> None:
    old, new, phrases = TABLES[wrong]
    assert old in DATA
    (home / "data.csv").write_text(DATA.replace(old, new))
    before = snapshot(home)
    for result in (run("good.toml"), call("describe", "good.toml")):
        refused(result, "data.csv" if wrong != "one sample" else "good.toml", *phrases)
    assert snapshot(home) == before


def test_centred_inputs_cannot_fit_one_hot_targets(home: Path) -> None:
    """The line names both remedies, and each of them works."""
    bad = GOOD.replace("targets", "standardise = true\ntargets")
    (home / "bad.toml").write_text(bad)
    refused(run(), "Assumption 2", "one-hot targets sum to one", "intercept = true", "drop_class")
    for remedy in ("intercept = true", 'drop_class = "a"'):
        (home / "bad.toml").write_text(bad.replace("targets", f"{remedy}\ntargets"))
        assert run("bad.toml", "--dry-run").exit_code == 0


def test_tied_subset_sums_only_warn(home: Path) -> None:
    spectrum = 'source = "spectrum"\nsigma = [5.0, 4.0, 3.0]\nd_x = 3'
    text = GOOD.replace('path = "data.csv"\ntargets = ["kind"]', spectrum).replace("[3, 2]", "[3, 3]")
    (home / "tied.toml").write_text(text)
    result = call("run", "tied.toml", "--dry-run")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: Assumption 4 fails: ")
    assert result.stderr.count("\n") == 1


# --- missing files and unusable outputs ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["run", "--on", "inline"], ["describe"]])
def test_a_missing_experiment_is_refused(home: Path, command: list[str]) -> None:
    before = snapshot(home)
    refused(call(command[0], "nowhere.toml", *command[1:]), "nowhere.toml", "no such file")
    refused(call(command[0], ".", *command[1:]), "not readable")
    refused(call(command[0], "nowhere.toml/inside", *command[1:]), "nowhere.toml/inside")
    assert snapshot(home) == before


@pytest.mark.parametrize("command", [["estimate"], ["estimate", "--json"], ["show", "--id", "0"]])
def test_a_missing_run_is_refused(home: Path, command: list[str]) -> None:
    before = snapshot(home)
    refused(call(command[0], "nowhere", *command[1:]), "nowhere", "not a run", "basins run")
    refused(call(command[0], "good.toml", *command[1:]), "good.toml", "not a run")
    assert snapshot(home) == before


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (["run", "good.toml", "--workers", "0"], ["--workers", "0"]),
        (["run", "good.toml", "--workers", "two"], ["--workers", "two"]),
        (["run", "good.toml", "--on", "prosesses"], ["--on", "'processes'"]),
        (["run", "good.toml", "--on", "inline", "--address", "host:1"], ["--address", "--on ray"]),
        (["run"], ["EXPERIMENT"]),
        (["run", "good.toml", "--outt", "x"], ["--outt", "--out"]),
        (["show", "runs/good"], ["--id"]),
        (["esimate", "runs/good"], ["esimate", "estimate"]),
    ],
)
def test_invalid_arguments_are_refused(home: Path, arguments: list[str], phrases: list[str]) -> None:
    before = snapshot(home)
    refused(call(*arguments), *phrases)
    assert snapshot(home) == before


@pytest.mark.parametrize("out", ["good.toml", "good.toml/run", "/proc/self/run", "/dev/null/run"])
def test_an_output_that_cannot_be_written_is_refused(home: Path, out: str) -> None:
    """Permission bits do not stop root, so the cases are a file in the way and file systems without new folders."""
    if out.startswith("/proc") and not sys.platform.startswith("linux"):
        pytest.skip("no /proc")
    before = snapshot(home)
    refused(run("good.toml", "--out", out), out.removeprefix("/proc/self"), "; ")
    assert snapshot(home) == before


def test_an_output_folder_with_other_files_is_refused(home: Path) -> None:
    (home / "mine").mkdir()
    (home / "mine" / "thesis.tex").write_text("ten years")
    before = snapshot(home)
    refused(run("good.toml", "--out", "mine"), "thesis.tex", "not a run", "empty or a new folder")
    assert snapshot(home) == before


# --- damaged and different runs --------------------------------------------------------------------------------------


@pytest.fixture
def done(home: Path) -> Path:
    """The run of the good experiment."""
    assert run("good.toml").exit_code == 0
    return home / "runs" / "good"


def test_a_run_of_another_experiment_is_refused(home: Path, done: Path) -> None:
    """The line names what differs, in the experiment or in the data."""
    changes = {"scale = 0.5": ("scale = 0.25", "scale"), "seed = 1": ("seed = 2", "seed")}
    for old, (new, named) in changes.items():
        (home / "bad.toml").write_text(GOOD.replace(old, new))
        before = snapshot(home)
        refused(run("bad.toml", "--out", "runs/good"), "another experiment", named, "another --out")
        assert snapshot(home) == before
    (home / "data.csv").write_text(DATA.replace("0.25", "0.26"))
    before = snapshot(home)
    refused(run("good.toml"), "another experiment", "data", "another --out")
    assert snapshot(home) == before


@pytest.mark.parametrize("kind", ["trajectories", "blocks", "visits"])
@pytest.mark.parametrize("kept", [0, 100, -1])
def test_a_truncated_parquet_file_is_refused(home: Path, done: Path, kind: str, kept: int) -> None:
    (part,) = (done / kind).rglob("*.parquet")
    part.write_bytes(part.read_bytes()[:kept])
    before = snapshot(home)
    name = str(part.relative_to(done))
    for result in (call("estimate", "runs/good"), call("estimate", "runs/good", "--json"), run("good.toml")):
        refused(result, name, "damaged", "move it away and run again")
    if kind == "trajectories":
        refused(call("show", "runs/good", "--id", "0"), name, "damaged")
    assert snapshot(home) == before
    # The remedy works: the shard is computed again, to the same bytes.
    part.unlink()
    assert run("good.toml").exit_code == 0
    assert part.is_file()
    assert call("estimate", "runs/good").exit_code == 0


def test_a_bit_flip_in_the_data_is_refused(home: Path, done: Path) -> None:
    """Page checksums detect it: the footer is intact, a column is not."""
    (part,) = (done / "trajectories").rglob("*.parquet")
    data = bytearray(part.read_bytes())
    chunk = pq.ParquetFile(pa.BufferReader(bytes(data))).metadata.row_group(0).column(8)
    data[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 0x40
    part.write_bytes(bytes(data))
    refused(call("show", "runs/good", "--id", "0"), "damaged")


def test_a_truncated_manifest_is_refused(home: Path, done: Path) -> None:
    path = done / "manifest.json"
    path.write_bytes(path.read_bytes()[:-40])
    before = snapshot(home)
    for result in (run("good.toml"), call("estimate", "runs/good"), call("show", "runs/good", "--id", "0")):
        refused(result, "runs/good", "manifest.json")
    assert snapshot(home) == before


def test_a_truncated_experiment_in_a_run_is_refused(home: Path, done: Path) -> None:
    path = done / "experiment.toml"
    path.write_bytes(path.read_bytes()[:10])  # inside the first text
    before = snapshot(home)
    refused(run("good.toml"), "runs/good", "experiment.toml is damaged")
    assert snapshot(home) == before


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (["--id", "4"], ["id 4", "its ids are 0 to 3"]),
        (["--id", "-1"], ["id -1", "its ids are 0 to 3"]),
        (["--id", "0", "--case", "goood"], ["no case 'goood'", "did you mean 'good'?"]),
    ],
)
def test_a_row_that_does_not_exist_is_refused(home: Path, done: Path, arguments: list[str], phrases: list[str]) -> None:
    refused(call("show", "runs/good", *arguments), *phrases)


# --- in a new process ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["run", "nowhere.toml"], "no such file"),
        (["estimate", "nowhere"], "not a run"),
        (["run", "good.toml", "--on", "inline", "--out", "/dev/null/run"], "; "),
    ],
)
def test_a_new_process_refuses_bad_input(home: Path, arguments: list[str], phrase: str) -> None:
    before = snapshot(home)
    command = str(Path(sys.executable).parent / "basins")
    result = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert phrase in result.stderr
    assert snapshot(home) == before

"""`basins init`: what it read and assumed is said and true, what it writes is an experiment, and nothing is lost."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import basins
from basins.cli import main
from basins.drafting import draft
from basins.experiment import load

ROOT = Path(__file__).parents[1]
N = 60


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["init", *arguments])


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """A table with a column of each kind; people.csv, .parquet and a German people.csv are in the working folder."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "id": [f"p{k}" for k in range(N)],
            "age": rng.normal(50, 9, N).round(1),
            "sex": rng.choice(["f", "m"], N),
            "seen": [f"2020-01-{k % 28 + 1:02d}" for k in range(N)],
            "site": 7,
            "pressure": rng.normal(80, 5, N),
            "smokes": rng.random(N) > 0.5,
            "grade": rng.integers(0, 3, N),
            "kind": rng.choice(["a", "b", "c"], N),
            "cost": rng.normal(1000, 200, N),
        }
    )
    frame.loc[[3, 7], "pressure"] = np.nan
    monkeypatch.chdir(tmp_path)
    frame.to_csv("people.csv", index=False)
    frame.to_csv("german.csv", index=False, sep=";", decimal=",")
    frame.to_parquet("people.parquet")
    return frame


INPUTS = ["age", "sex", "smokes", "grade", "kind"]
WITHOUT = {
    "id": f"text, {N} different in {N} rows",
    "seen": "'2020-01-01' in row 1 reads as a date",
    "site": "the same in every row",
    "pressure": f"missing in 2 of {N} rows",
}


@pytest.mark.parametrize("file", ["people.csv", "german.csv", "people.parquet"])
def test_what_it_read_is_said_and_the_experiment_takes_it(people: pd.DataFrame, file: str) -> None:
    done = call(file, "--targets", "cost", "--out", "new.toml")
    assert done.exit_code == 0, done.output
    text = Path("new.toml").read_text()
    values = tomllib.loads(text)
    assert values["data"]["path"] == file
    assert values["data"]["inputs"] == INPUTS
    assert values["data"]["categorical"] == ["sex", "kind"]
    assert f"# Read: {N} rows, 10 columns; " in text
    printed = " ".join(done.stdout.split())
    for name, why in WITHOUT.items():
        (line,) = re.findall(rf"^#   {name} .*$", text, flags=re.MULTILINE)
        assert line.endswith(why)
        assert f"left out: {name}: {why}" in printed
    for name in people.columns:
        (line,) = re.findall(rf"^#   {name}  .*$", text, flags=re.MULTILINE)
        assert f" {people[name].nunique()} " in line or f" {people[name].nunique()}\n" in line, line
        assert f" {int(people[name].isna().sum())}" in line
    case = load("new.toml").cases[0]
    want = people.assign(smokes=people.smokes.astype(float))[INPUTS]
    X = pd.get_dummies(want, columns=["sex", "kind"], dtype=float)
    problem = basins.Problem.from_data(
        X, people[["cost"]], hidden=tuple(values["network"]["hidden"]), standardise=True, intercept=True
    )
    np.testing.assert_allclose(case.problem.sigma, problem.sigma, rtol=1e-9)


def test_what_it_assumed_is_beside_its_key(people: pd.DataFrame) -> None:
    call("people.csv", "--targets", "kind")
    lines = Path("people.toml").read_text().splitlines()
    for key in ("standardise", "intercept", "hidden", "flow", "scale", "blocks_per_shard", "visits_every"):
        (line,) = [line for line in lines if line.startswith(f"{key} =")]
        assert "# assumed: " in line
    assert "assumed; basins help experiment" in next(line for line in lines if line.startswith('name = "gaussian"'))


@pytest.mark.parametrize(
    ("target", "more", "d_y", "hidden"),
    [("kind", (), 3, [4, 4]), ("cost", (), 1, [2, 2, 2]), ("grade", ("--categorical", "grade"), 3, [4, 4])],
)
def test_widths_can_test_the_conjecture(
    people: pd.DataFrame, target: str, more: tuple[str, ...], d_y: int, hidden: list[int]
) -> None:
    """Classes are one-hot; two layers where two can test it, else three."""
    done = call("people.csv", "--targets", target, *more)
    assert done.exit_code == 0, done.output
    case, control = load("people.toml").cases
    assert (case.problem.d_y, list(case.problem.hidden)) == (d_y, hidden)
    assert "This shape can test the conjecture" in done.stdout
    assert control.law.null
    assert control.trajectories == 1024
    scale = case.law.parameters()["scale"]
    assert 0.9 < scale / (0.5 * case.problem.sigma[0] ** (1 / (len(hidden) + 1)) / hidden[0] ** 0.5) < 1.1


def test_two_targets_can_test_it_at_their_own_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 < 2 d_y - 1 = 3, where 3 would not do."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    np.savez("arrays.npz", X=rng.normal(size=(30, 4)), Y=rng.normal(size=(30, 2)))
    assert call("arrays.npz", "--targets", "Y").exit_code == 0
    assert list(load("arrays.toml").cases[0].problem.hidden) == [2, 2]


def test_whole_numbers_that_may_be_classes_are_said(people: pd.DataFrame) -> None:
    call("people.csv", "--targets", "grade")
    said = "# grade: few whole numbers, read as numbers. If they are classes: basins init --categorical grade"
    assert said in Path("people.toml").read_text().splitlines()
    assert load("people.toml").cases[0].problem.d_y == 1
    call("people.csv", "--targets", "grade", "--categorical", "grade", "--out", "classes.toml")
    assert "If they are classes" not in Path("classes.toml").read_text()
    assert load("classes.toml").cases[0].problem.d_y == 3
    call("people.csv", "--targets", "cost", "--out", "cost.toml")
    assert "If they are classes" not in Path("cost.toml").read_text()


def test_it_holds_what_describe_says(people: pd.DataFrame) -> None:
    call("people.csv", "--targets", "kind", "--trajectories", "64")
    text = Path("people.toml").read_text()
    comment = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("#")]
    told = CliRunner().invoke(main, ["describe", "people.toml"]).stdout
    timed = re.compile(r"costs|about|pilot|ms|evaluations \(mean")
    for line in told.splitlines():
        if line.strip() and not timed.search(line):
            assert line.rstrip() in comment, line


def test_what_it_writes_runs(people: pd.DataFrame) -> None:
    call("people.csv", "--targets", "kind", "--trajectories", "64")
    run = basins.run("people.toml", out="run", on="inline")
    found = run.estimate().to_dict()["cases"]
    assert [case["trajectories"] for case in found] == [64, 1024]
    assert found[1]["saddle"] == 1024


def test_the_data_are_named_as_seen_from_the_experiment(people: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    draft("people.csv", ["kind"], out="below/new.toml", trajectories=10)
    assert tomllib.loads(Path("below/new.toml").read_text())["data"]["path"] == str(tmp_path / "people.csv")
    draft(tmp_path / "people.csv", ["kind"], out="new.toml", trajectories=10)
    assert tomllib.loads(Path("new.toml").read_text())["data"]["path"] == "people.csv"
    assert load("new.toml").cases[0].key == load("below/new.toml").cases[0].key


def test_names_that_are_odd_stay_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes, a line break, a hash, a dot, an index without a name."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    names = ['a "b"', "c\nd", "# e", "f.g", "größe"]
    frame = pd.DataFrame(rng.normal(size=(20, 5)), columns=names).assign(y=rng.choice(["u", "v"], 20))
    frame["gone"] = np.nan
    frame.to_csv("odd name.csv")
    done = call("odd name.csv", "--targets", "y")
    assert done.exit_code == 0, done.output
    assert tomllib.loads(Path("odd name.toml").read_text())["data"]["inputs"] == [*names[:1], *names[2:]]
    assert "left out: 'c\\nd': a name that no line can hold" in done.stdout
    assert load("odd name.toml").name == "odd name"


REFUSED = [
    (("people.csv", "--targets", "cost", "--out", "there.toml"), "there.toml: is there already; give another file"),
    (("people.csv", "--targets", "cost", "--out", "."), ".: is there already; give another file with --out"),
    (("people.csv", "--targets", "cost", "--out", "new.txt"), "new.txt: not the name of a TOML file; end it in .toml"),
    (("people.csv",), "Missing option '--targets'"),
    (("people.csv", "--targets", "costs"), "people.csv: no column 'costs'; its columns are 'id', 'age'"),
    (("people.csv", "--targets", "pressure"), "column 'pressure': row 4 is missing or NaN (2 such); fill or drop it"),
    (("people.csv", "--targets", "site"), "people.csv: target 'site' is the same in every row; name a column"),
    (("people.csv", "--targets", "cost", "--inputs", "pressure"), "column 'pressure': row 4 is missing or NaN"),
    (("people.csv", "--targets", "cost", "--inputs", "cost"), "column 'cost' is input and target"),
    (("people.csv", "--targets", "cost", "--targets", "cost"), "'cost' is named twice"),
    (("people.csv", "--targets", "id"), f"people.csv: X, Y: Assumption 1: d_x = 8 input directions is below d_y = {N}"),
    (("people.csv", "--targets", "kind", "--hidden", "2"), "hidden width(s) [2] below d_y = 3"),
    (("people.csv", "--targets", "kind", "--hidden", "0"), "width 0; widths are whole numbers of at least 1"),
    (("people.csv", "--targets", "kind", "--trajectories", "0"), "Invalid value for '--trajectories'"),
    (("people.csv", "--targets", "kind", "--separator", ";"), "no column 'kind'"),
    (("people.parquet", "--targets", "kind", "--separator", ";"), "a key of CSV files, and this is .parquet"),
    (("nothing.csv", "--targets", "y"), "nothing.csv: no such file; give the path of a data file"),
    (("people.xlsx", "--targets", "y"), "people.xlsx: unknown format '.xlsx'"),
    (("ids.csv", "--targets", "y"), "ids.csv: no column can be an input (id: text, 30 different in 30 rows); name"),
    (("empty.csv", "--targets", "y"), "empty.csv: an empty file"),
    (("header.csv", "--targets", "y"), "header.csv"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED)
def test_refusals_are_one_line_and_write_nothing(people: pd.DataFrame, arguments: tuple[str, ...], said: str) -> None:
    Path("there.toml").write_text("mine")
    Path("people.xlsx").write_text("")
    Path("empty.csv").write_text("")
    Path("header.csv").write_text("x,y\n")
    pd.DataFrame({"id": [f"p{k}" for k in range(30)], "y": range(30)}).to_csv("ids.csv", index=False)
    before = sorted(Path().iterdir())
    done = call(*arguments)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(Path().iterdir()) == before
    assert Path("there.toml").read_text() == "mine"

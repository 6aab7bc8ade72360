"""A tail's folder is taken by status, estimate, report and plot, whole or in progress; its columns are explained."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.figure import Figure
from scalar_chain import chain, written

from basins import Problem
from basins.cli import main
from basins.experiment import load
from basins.output.figures.tail import BESIDE, TailLine, line_of
from basins.output.figures.tail import tail as drawn
from basins.rare import formatting
from basins.rare.approach_truth import nearer
from basins.rare.known import MOST, known
from basins.rare.status import status_of
from basins.rare.tail import CaseTail, read_tail, tail
from basins.rare.truth import survival
from basins.store import files_at

RUNS = Path(__file__).parents[1] / "runs" / "schema-2" / "all"
SMALL = {"target": 1e-3, "replicates": 4, "population": 60, "sweeps": 2, "on": "inline"}


@pytest.fixture(scope="module")
def tails(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of T and of G for the chain with two hidden layers, and of T for the one with one."""
    folder = tmp_path_factory.mktemp("tails")
    experiment = written(folder)
    tail(experiment, folder / "T", **SMALL)  # type: ignore[arg-type]
    tail(experiment, folder / "G", **SMALL, stratum=1)  # type: ignore[arg-type]
    tail(written(folder, H=1), folder / "H1", **SMALL)  # type: ignore[arg-type]
    return {name: folder / name for name in ("T", "G", "H1")}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def told(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def part(whole: Path, folder: Path, kept: int, levels: int) -> Path:
    """A copy in which replicates after `kept` are gone, but for the first levels of the next."""
    shutil.copytree(whole, folder)
    for path in folder.rglob("level-*.parquet"):
        replicate = int(path.parent.name.partition("=")[2])
        number = int(path.stem.partition("-")[2])
        if replicate > kept + 1 or (replicate == kept + 1 and number > levels):
            path.unlink()
    return folder


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_says_how_deep_each_replicate_is(tails: dict[str, Path], tmp_path: Path) -> None:
    status = status_of(files_at(tails["T"]))
    (case,) = status.cases
    assert status.finished
    assert (case.complete, len(case.replicates)) == (4, 4)
    (read,) = read_tail(tails["T"])
    assert case.of == case.pilot.levels == len(read.levels)
    assert np.mean([one.P for one in case.replicates]) == pytest.approx(read.levels[-1].P, rel=1e-12)
    assert sum(one.evaluations for one in case.replicates) == sum(level.evaluations for level in read.levels)
    printed = told("status", tails["T"])
    assert "replicate 4" in printed
    assert "chain: 4 replicates complete" in printed
    assert printed.count("over: all levels") == 4
    found = json.loads(told("status", tails["T"], "--json", "--watch"))  # it is over at once
    assert (found["tail"], found["finished"], found["cases"][0]["complete"]) == (True, True, 4)
    half = part(tails["T"], tmp_path / "half", 2, 1)
    (case,) = status_of(files_at(half)).cases
    assert not status_of(files_at(half)).finished
    assert ([one.levels for one in case.replicates], case.complete) == ([case.of, case.of, 1], 2)
    printed = told("status", half)
    assert re.search(rf"replicate 3 +1 of {case.of} .* under way, or stopped", printed)
    assert "chain: 2 replicates complete, 1 under way or stopped: an interval needs 4" in printed


def test_status_of_a_tail_that_has_just_begun(tails: dict[str, Path], tmp_path: Path) -> None:
    begun = part(tails["T"], tmp_path / "begun", -1, 1)
    printed = told("status", begun)
    assert re.search(r"pilot +1 +\S+ .* under way, or stopped", printed)
    found = json.loads(told("status", begun, "--json"))["cases"][0]
    assert (found["of"], found["replicates"], found["complete"]) == (None, [], 0)
    for path in begun.rglob("level-*.parquet"):
        path.unlink()
    assert re.search(r"pilot +0 +0 +0 +not begun", told("status", begun))
    assert json.loads(told("status", begun, "--json"))["cases"][0]["pilot"]["P"] is None


# --- estimate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["T", "G", "H1"])
def test_estimate_prints_what_the_tail_printed_and_explains_its_columns(tails: dict[str, Path], name: str) -> None:
    (read,) = read_tail(tails[name])
    printed = told("estimate", tails[name])
    flat = " ".join(printed.split())
    for said in formatting.sentences(read):
        assert said in flat
    explained = formatting.explanations(read.stratum)
    assert list(explained) == list(formatting.headings(read.stratum)[1:])
    for column, said in explained.items():
        assert f"{column} {said}" in flat
    found = json.loads(told("estimate", tails[name], "--json"))
    (case,) = found["cases"]
    assert found["tail"]
    assert case["upper"] == read.last.bound  # type: ignore[union-attr]
    assert [level["P"] for level in case["levels"]] == [level.P for level in read.levels]
    assert case["levels"][0]["exponent"] is None
    assert json.loads(told("estimate", tails[name], "--json", "--case", "chain")) == found


def test_estimate_counts_complete_replicates_alone(tails: dict[str, Path], tmp_path: Path) -> None:
    """Two give an estimate and no interval, so no bound; one is refused."""
    printed = told("estimate", part(tails["T"], tmp_path / "two", 2, 1))
    assert "without an interval it is no bound" in " ".join(printed.split())
    assert json.loads(told("estimate", tmp_path / "two", "--json"))["cases"][0]["upper"] is None
    done = call("estimate", part(tails["T"], tmp_path / "one", 1, 0))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "case 'chain' has 1 complete replicates; run `basins tail` again: it resumes" in done.stderr


# --- what is known, and the figure ------------------------------------------------------------------------------------


def test_the_truth_is_that_of_the_exact_laws(tails: dict[str, Path]) -> None:
    for name, H, exact in (("T", 2, survival), ("G", 2, nearer), ("H1", 1, survival)):
        (read,) = read_tail(tails[name])
        thresholds = [level.threshold for level in read.levels]
        found = known(read.case, read.stratum, thresholds)
        assert found is not None
        x, P = found
        assert set(x) <= set(thresholds)
        assert x[-1] == thresholds[-1]
        np.testing.assert_allclose(P, [exact(chain(H), 1.0, float(one)) for one in x], rtol=1e-12)
        at = {level.threshold: level.P for level in read.levels}
        np.testing.assert_allclose([at[one] for one in x], P, rtol=0.9)  # so few chains tell the order alone


def test_where_nothing_is_known_it_says_so(tmp_path: Path) -> None:
    """Another law, another shape; thresholds before every start is below are left out, and many are thinned."""
    case = load(written(tmp_path)).cases[0]
    assert known(case, None, []) is None
    assert known(case, None, [1e-6]) is None
    many = known(case, None, np.geomspace(3, 100, 40).tolist())
    assert many is not None
    assert len(many[0]) == MOST
    assert many[0][-1] == pytest.approx(100)
    uniform = load(written(tmp_path, law='{ name = "uniform", box = 1.0 }')).cases[0]
    assert known(uniform, None, [10.0]) is None
    text = written(tmp_path).read_text().replace("sigma = [1.0], d_x = 1", "sigma = [2.0, 1.0], d_x = 2")
    (tmp_path / "wide.toml").write_text(text.replace("[1, 1]", "[2, 2]"))
    assert known(load(tmp_path / "wide.toml").cases[0], None, [10.0]) is None


def words(figure: Figure) -> str:
    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(mpl.text.Text))


def lines_of(figure: Figure) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    (axes,) = figure.axes
    return {str(line.get_label()): tuple(map(np.asarray, line.get_data())) for line in axes.lines}  # type: ignore[misc]


def test_the_figure_draws_what_the_table_has(tails: dict[str, Path]) -> None:
    (read,) = read_tail(tails["T"])
    line = line_of(read)
    figure = drawn([line])
    found = lines_of(figure)
    x, P = found["chain (4 replicates of 60 chains)"]
    assert x.tolist() == [level.threshold for level in read.levels]
    assert P.tolist() == [level.P for level in read.levels]
    assert line.truth is not None
    assert found["exact, chain"][1].tolist() == line.truth[1].tolist()
    x, P = found["predicted slope, exponent 3 (heuristic)"]
    assert np.diff(np.log(P)) / np.diff(np.log(x)) == pytest.approx(-3.0)
    assert P[-1] == pytest.approx(BESIDE * read.levels[-1].P)
    (axes,) = figure.axes
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]  # type: ignore[index]
    for level in read.levels:
        assert np.isclose(heights, level.lower).any()
        assert np.isclose(heights, level.upper).any()
    assert "target 0.001" in words(figure)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_the_figure_of_an_approach_and_of_one_layer(tails: dict[str, Path]) -> None:
    (near,), (one,) = read_tail(tails["G"]), read_tail(tails["H1"])
    figure = drawn([line_of(near)])
    x, P = lines_of(figure)["predicted slope, exponent 1.5 (heuristic)"]
    assert np.diff(np.log(P)) / np.diff(np.log(x)) == pytest.approx(1.5)
    assert figure.axes[0].xaxis_inverted()
    assert "P(G < g)" in words(figure)
    figure = drawn([line_of(one)])
    assert figure.axes[0].get_xscale() == "linear"  # where the tail is exponential it is a line
    assert "predicted" not in words(figure)


def test_levels_that_are_not_resolved_are_hollow_and_no_levels_are_said(tails: dict[str, Path]) -> None:
    (read,) = read_tail(tails["T"])
    *sure, last = read.levels
    blurred = replace(read, levels=(*sure, replace(last, rounded=0.5)))
    found = lines_of(drawn([TailLine(blurred)]))
    assert found["not resolved in double precision"][0].tolist() == [last.threshold]
    assert "no replicate has reached a level yet" in words(drawn([TailLine(replace(read, levels=()))]))


def test_plot_writes_it_the_same_each_time(tails: dict[str, Path], tmp_path: Path) -> None:
    for file in ("a.png", "b.png", "a.svg"):
        assert told("plot", "tail", tails["G"], "-o", tmp_path / file) == f"{tmp_path / file}\n"
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


# --- the report -------------------------------------------------------------------------------------------------------


def test_the_report_has_the_bound_the_levels_and_what_the_columns_say(tails: dict[str, Path], tmp_path: Path) -> None:
    (read,) = read_tail(tails["T"])
    for file in ("a.html", "b.html"):
        told("report", tails["T"], "-o", tmp_path / file)
    page = (tmp_path / "a.html").read_text()
    assert page == (tmp_path / "b.html").read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    text = unescape(text)
    assert formatting.sentences(read)[0] in text
    for level in read.levels:
        assert " ".join(formatting.row(read, level)[:4]) in re.sub(r" +", " ", text)
    for said in formatting.explanations(None).values():
        assert said in text
    for said in read.warnings:
        assert said in text
    assert "basins tail on this text makes the same run again" in text
    assert page.count("<img ") == 1
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_a_report_without_an_interval_says_so_at_the_top(tails: dict[str, Path], tmp_path: Path) -> None:
    two = part(tails["T"], tmp_path / "two", 2, 0)
    told("report", two, "-o", tmp_path / "two.html")
    page = (tmp_path / "two.html").read_text()
    assert 'role="alert"' in page
    assert "an estimate without an interval bounds nothing" in page


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plot", "survival", "TAIL"), "the figure survival is of runs, and this is a tail; basins plot tail"),
        (("plot", "tail", RUNS), "the figure tail is of what `basins tail` wrote"),
        (("plot", "tail", "TAIL", "--id", "3"), "the figure trajectory needs --id, and no other figure takes it"),
        (("plot", "tail", "TAIL", "-o", "tail.gif"), "no figure format 'gif'"),
        (("plot", "tail", "TAIL", "--case", "chian"), "no case 'chian'; did you mean 'chain'?"),
        (("estimate", "TAIL", "--case", "other"), "no case 'other'; choose one of chain"),
        (("estimate", "TAIL", "--base"), "--base is of runs: a tail has no layers"),
        (("verify", "TAIL"), "a tail, not a run; a tail has `basins status`, `estimate`, `report` and `plot tail`"),
        (("show", "TAIL", "--id", "1"), "a tail, not a run"),
        (("extend", "TAIL", "--budget", "10"), "a tail, not a run"),
    ],
)
def test_refusals_are_one_line(
    tails: dict[str, Path], arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*(tails["T"] if one == "TAIL" else one for one in arguments))
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_tail_is_refused_in_one_line(tails: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tails["T"], broken)
    (broken / "tail.json").write_text("{")
    for command in (("status", broken), ("estimate", broken), ("report", broken), ("plot", "tail", broken)):
        done = call(*command, *(("-o", tmp_path / "out.png") if command[0] in ("report", "plot") else ()))
        assert done.exit_code == 2, command
        assert "tail.json is damaged" in done.stderr
        assert done.stderr.count("\n") == 1


def test_what_is_no_number_is_none_in_json(tails: dict[str, Path]) -> None:
    (read,) = read_tail(tails["T"])
    assert isinstance(read, CaseTail)
    json.dumps(read.to_dict(), allow_nan=False)
    assert isinstance(read.case.problem, Problem)

"""Figures: each states its number of trajectories, draws the values of the tables, and says why if it has nothing to
draw."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_runs import CONTROL, GAUSSIAN, Fates, experiment, made
from matplotlib.figure import Figure

import basins
from basins import Problem, cli
from basins.cli.figures import PLOTS
from basins.errors import ArgumentError
from basins.execution.run import run as run_experiment
from basins.experiment import Experiment
from basins.integrators.base import Settings
from basins.output.figures import encoded, format_of, of_run, svg
from basins.output.figures.certified import ARGUMENTS, certified
from basins.output.figures.occupancy import bounds, occupancy
from basins.output.figures.staircase import Flows, spread, staircase, strata_with_lines
from basins.output.figures.style import COLOURS, MARKERS, STYLES, legend_below, page, power_of_ten, shortened
from basins.output.figures.survival import Line, survival
from basins.output.figures.transitions import transitions
from basins.run_tables import Run, open_run
from basins.summary import reading, summarise, tabulated
from basins.summary.survival import survival as survival_of
from basins.summary.tails import tails
from basins.summary.transitions import transitions as transitions_of
from basins.trajectories import losses, steps

N = 2000


def words(figure: Figure) -> str:
    """All text of a figure, including legends, ticks and titles."""
    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(mpl.text.Text))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    rng = np.random.default_rng(1)
    visits = {id: [(0.1, 0, 0.02), (0.2, 1, 0.3), (0.4, 1, 0.01)] for id in range(0, N, 3)}
    t = 0.2 * rng.uniform(size=N) ** -0.5
    t[[7, 8]] = 100.0
    free = Fates(t, {5: 1}, (7, 8), visits, drift=1e-9, evaluations=rng.integers(50, 900, N))
    held = Fates(1.0, dict.fromkeys(range(N), 1))
    of = experiment(N, GAUSSIAN + CONTROL)
    return made(tmp_path_factory.mktemp("figures"), of, {"gaussian": free, "control": held})


def test_data_shared_by_figures_and_tables_is_read_once(run: Run) -> None:
    read = reading.Reading(run)
    with (
        patch.object(Run, "estimate", autospec=True, side_effect=Run.estimate) as estimated,
        patch.object(reading, "summarise", wraps=reading.summarise) as summarised,
        patch.object(reading, "transitions", wraps=reading.transitions) as passed,
    ):
        for name in ("occupancy", "survival", "drift", "cost"):
            of_run.FIGURES[name](read, None)
        of_run.FIGURES["occupancy"](read, "gaussian")
        of_run.FIGURES["visits"](read, "gaussian")
        assert len(tabulated.transitions(read)) > 0 < len(tabulated.visited(read))
    cases = len(run.manifest.cases)
    assert (estimated.call_count, summarised.call_count, passed.call_count) == (1, cases, cases)


def test_every_figure_states_its_number_of_trajectories(run: Run) -> None:
    for name, wanted in {
        "occupancy": "gaussian (2,000)",
        "survival": "gaussian (N = 2,000)",
        "drift": "gaussian (2,000)",
        "cost": "gaussian (2,000; mean",
        "certified": "10,000 draws",
    }.items():
        assert wanted in words(of_run.figure_of(run, name)), name
    for name, wanted in {
        "loss": "gaussian, scale 0.5 (12)",
        "occupancy": "where 2,000 trajectories end",
        "visits": "2,000 watched trajectories, 1,334 saddles passed",
        "survival": "gaussian (N = 2,000)",
    }.items():
        assert wanted in words(of_run.figure_of(run, name, "gaussian")), name


def test_the_command_line_knows_all_figures() -> None:
    assert (*of_run.FIGURES, "trajectory", "tail") == PLOTS
    with pytest.raises(ArgumentError, match="choose one of loss, occupancy"):
        of_run.figure_of(None, "pie")  # type: ignore[arg-type]


def test_line_styles_differ_without_colour() -> None:
    assert len(set(COLOURS)) == len(set(map(str, STYLES))) == len(set(MARKERS)) == 7


def test_the_same_figure_is_the_same_bytes(run: Run) -> None:
    first, second = (svg(of_run.figure_of(run, "survival", "gaussian")) for _ in range(2))
    assert first == second
    ElementTree.fromstring(first)
    assert encoded(of_run.figure_of(run, "drift"), "png").startswith(b"\x89PNG")
    assert encoded(of_run.figure_of(run, "drift"), "pdf").startswith(b"%PDF")
    with pytest.raises(ArgumentError, match="no figure format 'gif'"):
        format_of("some.gif")


def test_the_callers_settings_are_left_alone(run: Run) -> None:
    before = dict(mpl.rcParams)
    of_run.figure_of(run, "cost")
    assert dict(mpl.rcParams) == before


def test_the_drawn_values_are_the_counted_values(run: Run) -> None:
    case = run.estimate().cases[0]
    figure = occupancy(case)
    written = set(words(figure).split("\n"))
    assert written.issuperset({"1,997", "0", "1"})
    summary = summarise(run, "gaussian")
    curve = survival_of(summary)
    figure = survival([Line("gaussian", curve, tails(summary, samples=5))])
    said = words(figure)
    assert "(saddle + censored) / N = 3 / 2,000" in said
    assert "first censored stop" in said
    assert "predicted slope, exponent 3 (heuristic)" in said
    drawn = figure.axes[0].lines[0].get_xydata()
    at = np.searchsorted(curve.t, drawn[:, 0])
    assert np.allclose(drawn[:, 1], curve.S[at])


def test_a_graph_has_its_nodes_and_shares(run: Run) -> None:
    said = words(transitions(transitions_of(run, "gaussian")))
    for wanted in ("start", "censored", "I(1) {}", "I(3) {0}", "I(4) {0,1}", "33.4 %", "667 slow-downs"):
        assert wanted in said


def test_powers_of_ten_are_plain_text() -> None:
    named = {1e-12: "10⁻¹²", 0.1: "10⁻¹", 1.0: "1", 10.0: "10", 1e3: "10³", 2.0: "", 0.0: ""}
    assert {x: power_of_ten(x) for x in named} == named


def test_names_of_a_sweep_stay_distinct_and_fit_on_the_page() -> None:
    swept = [f"digits, network.hidden = {[10] * H}, law.scale = {s}" for H in (1, 4) for s in (0.1, 0.5, 1.0)]
    names = [shortened(name) for name in swept]
    assert names[0] == "digits, hidden [10], scale 0.1"
    assert len(set(names)) == len(swept)
    assert max(map(len, names)) <= 40
    figure, axes = page()
    for name in names:
        axes.plot([0, 1], label=f"{name} (N = 100,000,000)")
    legend_below(figure, axes)
    figure.canvas.draw()
    of_page, of_legend = figure.bbox, figure.legends[0].get_window_extent()
    assert of_legend.x0 >= of_page.x0
    assert of_legend.x1 <= of_page.x1
    assert axes.get_window_extent().height > 0.3 * of_page.height


def test_names_of_near_critical_values_do_not_overlap() -> None:
    places = spread([10.0, 9.9, 9.8, 1.0, 0.1, 0.0], gap=0.5, low=-0.4)
    assert all(a - b >= 0.5 - 1e-12 for a, b in pairwise(places))
    assert min(places) >= -0.4
    assert spread([3.0, 2.0], 0.5, 0.0) == [3.0, 2.0]


def test_with_many_strata_few_have_lines() -> None:
    wide = Problem.from_spectrum(2.0 ** np.arange(3.5, -0.5, -0.5), d_x=8, hidden=(8,))
    assert [stratum.modes for stratum in strata_with_lines(wide)] == [tuple(range(r)) for r in range(9)]
    flows = Flows("some", np.array([0.0, 1.0, 2.0]), np.array([[120.0, 60.0, 0.0]]))
    assert "S = {0,1,2}" in words(staircase(wide, [flows]))


def test_a_curve_is_the_flow(flow_to: object) -> None:
    """Losses along the flow, against the reference engine's state at the same times."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=3, hidden=(2,))
    starts = 0.5 * np.random.default_rng(2).normal(size=(3, problem.n))
    t = np.array([0.0, 0.3, 1.0, 2.0])
    found = losses(problem, starts, t, Settings())
    for k, time in enumerate(t[1:], 1):
        assert found[:, k] == pytest.approx(problem.loss(flow_to(problem, starts, time)), rel=2e-3)  # type: ignore[operator]
    assert (np.diff(found, axis=1) < 0).all()


def test_a_planted_start_stays_on_its_plateau() -> None:
    """LSODA would let it leave. With exact_zeros the second singular value is exactly zero at every point."""
    from basins.laws import Planted, starts

    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    start = starts(problem, Planted((0,), 0.5), 1, 0)[0]
    one = steps(problem, start, 200.0, Settings(), exact_zeros=True)
    assert one.complete
    assert one.loss[-1] == pytest.approx(0.5, abs=1e-9)
    assert (one.singular[:, 1] == 0).all()


def test_a_budget_ends_a_curve() -> None:
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2, 2))
    starts = 0.5 * np.random.default_rng(2).normal(size=(1, problem.n))
    found = losses(problem, starts, np.array([0.0, 0.01, 100.0]), Settings(budget=60))
    assert np.isnan(found[0, -1])
    assert np.isfinite(found[0, 0])


def test_the_raw_flow_is_drawn_in_the_targets_coordinates() -> None:
    """At the end the network's singular values are sigma, in the raw flow too."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(40, 3))
    problem = Problem.from_data(X, X @ rng.normal(size=(3, 2)), hidden=(2,), flow="raw")
    one = steps(problem, 0.3 * rng.normal(size=problem.n), 30.0, Settings())
    assert one.singular[-1] == pytest.approx(problem.sigma, rel=1e-4)
    assert one.fitted[-1] == pytest.approx([1, 1], rel=1e-3)


def test_certified_shares_have_lines_or_points() -> None:
    rows = [(shape, scale, 0.5, 0.3, 0.1, 0.2, 100) for shape in ("(2, 2)", "(3, 3)") for scale in (0.1, 1.0)]
    table = pd.DataFrame(rows, columns=["shape", "scale", *ARGUMENTS, "draws"])
    drawn = certified(table)
    assert "100 draws per point" in words(drawn)
    assert [axes.get_title(loc="left") for axes in drawn.axes] == list(ARGUMENTS.values())
    heights = [float(axes.lines[0].get_ydata()[0]) for axes in drawn.axes]
    assert heights == [0.5, 0.3, 0.1, 0.2]
    assert "no shape" in words(certified(table.head(0)))
    table["scale"] = [f"gaussian, scale {scale}, draw full" for scale in table["scale"]]  # words make points
    drawn = certified(table, left_out=3)
    assert "(100 draws, 95 %)" in words(drawn)
    assert "the first 4 of 7 cases" in words(drawn)
    for name in ARGUMENTS.values():
        assert name in words(drawn)


def test_a_sweep_over_scales_makes_lines_whatever_the_cases_are_called(tmp_path: Path) -> None:
    text = """
    name = "a name of an experiment that is too long for the legend of a figure"
    seed = 1
    trajectories = 8
    data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }
    law = { name = "gaussian" }
    sweep = { "network.hidden" = [[2], [3]], "law.scale" = [0.1, 0.5] }
    """
    run = basins.run(Experiment.from_toml(text, tmp_path), tmp_path / "run", on="inline")
    shares, left_out = of_run.certified_shares(run)
    assert left_out == 0
    assert shares["shape"].tolist() == ["2-2-2"] * 2 + ["2-3-2"] * 2
    assert shares["scale"].tolist() == [0.1, 0.5] * 2
    assert "10,000 draws per point" in words(certified(shares))


def test_a_figure_with_nothing_to_draw_says_why(tmp_path: Path) -> None:
    empty = made(tmp_path / "empty", experiment(N, GAUSSIAN + CONTROL, visits_every=0), {})
    for name in ("occupancy", "survival", "visits", "drift", "cost"):
        said = words(of_run.figure_of(empty, name, "gaussian"))
        assert "counted yet" in said or "No id is watched" in said, name
    assert "12" in words(of_run.figure_of(empty, "loss", "gaussian"))  # it needs no rows
    assert "no case whose law has a density" in words(bounds(empty.estimate().cases))
    assert "S(t) = 1" in words(
        of_run.figure_of(made(tmp_path / "c", experiment(N), {"gaussian": Fates(1.0, {}, range(N))}), "survival")
    )


# --- the command ----------------------------------------------------------------------------------------------------


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    from click.testing import CliRunner

    result = CliRunner().invoke(cli.main, arguments)
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


def test_a_budget_of_one_evaluation_and_no_drift_at_all_are_drawn(tmp_path: Path) -> None:
    """Every row stops where it starts: no curve has a second point, no invariant moves."""
    text = (
        'name = "still"\nseed = 1\ntrajectories = 30\n[data]\nsource = "spectrum"\nsigma = [1.0]\nd_x = 1\n'
        '[network]\nhidden = [1]\n[engine]\nname = "reference"\nbudget = 1\n[law]\nname = "gaussian"\nscale = 0.5\n'
    )
    still = run_experiment(Experiment.from_toml(text, tmp_path), tmp_path / "run", on="inline")
    assert "no curve gets beyond t = 0" in words(of_run.figure_of(still, "loss"))
    assert "rtol 1e-08" in words(of_run.figure_of(still, "drift"))


def test_plot_writes_a_file_and_prints_its_path(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "new" / "survival.svg"
    done = call("plot", "survival", run.path, "--case", "gaussian", "-o", str(target))
    assert (done.returncode, done.stdout.strip()) == (0, str(target))
    assert target.read_bytes().lstrip().startswith(b"<?xml")
    assert [path.name for path in target.parent.iterdir()] == ["survival.svg"]


def test_one_trajectory_is_integrated_again(run: Run, tmp_path: Path) -> None:
    done = call("plot", "trajectory", run.path, "--case", "control", "--id", "2", "-o", str(tmp_path / "one.png"))
    assert done.returncode == 0, done.stderr
    said = words(of_run.of_trajectory(run, 3, "gaussian"))
    assert "gaussian, id 3: minimum" in said
    assert "passes a saddle (2)" in said
    assert "slow-down (1)" in said
    assert "sigma[0] = 2" in said
    assert "gaussian, id 7: censored (evaluation budget)" in words(of_run.of_trajectory(run, 7, "gaussian"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["survival", "RUN", "-o", "x.gif"], "no figure format 'gif'"),
        (["survival", "RUN", "-o", "plain"], "no figure format ''"),
        (["trajectory", "RUN"], "the figure trajectory needs --id"),
        (["cost", "RUN", "--id", "3"], "the figure trajectory needs --id"),
        (["loss", "RUN"], "2 cases"),
        (["visits", "RUN", "--case", "gausian"], "did you mean 'gaussian'"),
        (["trajectory", "RUN", "--case", "gaussian", "--id", "2000"], "its ids are 0 to 1999"),
        (["pie", "RUN"], "'pie' is not one of"),
        (["cost", "/nowhere"], "not a run"),
    ],
)
def test_refusals_are_one_line(
    run: Run, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("plot", *(run.path if one == "RUN" else one for one in arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_counted_part_of_a_run_in_progress_is_drawn(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(5000), {"gaussian": Fates(1.0)}, shards=[0, 1, 3])
    assert "(N = 2,048)" in words(of_run.figure_of(open_run(run.path), "survival"))

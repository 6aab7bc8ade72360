"""The commands plot and report. The figures and the report themselves are in output/figures/ and output/report/."""

from __future__ import annotations

from pathlib import Path

import click

from basins.cli.common import RUNS, command
from basins.cli.tails import is_tail, refuse_figure_of_tails, tail_figure, tail_report
from basins.errors import ArgumentError


@command
@RUNS
@click.option("-o", "--out", metavar="FILE", default="report.html", show_default=True, help="File to write.")
def report(runs: tuple[str, ...], out: str) -> None:
    """Write a report on RUN as one HTML page.

    It has the question, the verdict with its bound, tables, figures, and what could be wrong. It needs no network.
    Several runs are put on one page side by side, and pooled where they are of one problem and law. RUN may also be the
    folder of a tail (basins tail).
    """
    from basins.extras import required
    from basins.run_tables import open_run

    target = _target(out)
    for package in ("matplotlib", "jinja2"):
        required(package, "a report")
    if is_tail(*runs):
        _put(target, tail_report(runs[0]).encode())
        return
    if len(runs) > 1:
        from basins.output.report import report_of_several

        _put(target, report_of_several(*runs).encode())
        return
    opened = open_run(runs[0])
    from basins.output.report import report as page

    _put(target, page(opened).encode())


PLOTS = ("loss", "occupancy", "survival", "visits", "certified", "drift", "cost", "trajectory", "tail")


@command
@click.argument("name", metavar="NAME", type=click.Choice(PLOTS))
@RUNS
@click.option("--case", metavar="KEY|PART", help="The case; by default all cases, in figures that can show several.")
@click.option("--id", "number", type=int, help="For the figure trajectory: the id of the trajectory.")
@click.option("-o", "--out", metavar="FILE", help="A .png, .svg or .pdf file; NAME.png by default.")
def plot(name: str, runs: tuple[str, ...], case: str | None, number: int | None, out: str | None) -> None:
    """Draw a figure of RUN.

    \b
    loss        loss against time of the first trajectories, with the critical values
    occupancy   where trajectories end, with intervals; for many cases, the bound of each
    survival    the share not certified by time t, with its tail and the predicted exponent
    visits      the saddles passed on the way, and the transitions between them
    certified   the share of starts whose limit is proved at t = 0
    drift       drift of the invariants against the tolerance
    cost        evaluations per trajectory
    trajectory  one trajectory, integrated again: loss, singular values, fitted modes; needs --id

    Several runs are drawn in one figure by survival, occupancy, drift and cost.
    tail        of what `basins tail` wrote: the probability from level to level, with intervals,
                what is predicted, and exact values where they are known
    """
    from basins.run_tables import open_run

    if (name == "trajectory") != (number is not None):
        raise click.UsageError("the figure trajectory needs --id, and no other figure takes it")
    target = _target(out or f"{name}.png")
    from basins.output.figures import encoded, format_of, of_run

    form = format_of(target.name)
    if is_tail(*runs):
        _put(target, encoded(tail_figure(runs[0], name, case), form))
        return
    refuse_figure_of_tails(runs[0], name)
    if len(runs) > 1:
        from basins.comparison.several import opened as all_opened
        from basins.output.figures.of_several import figure_of_several

        _put(target, encoded(figure_of_several(all_opened(runs), name, case), form))
        return
    opened = open_run(runs[0])
    figure = of_run.figure_of(opened, name, case) if number is None else of_run.of_trajectory(opened, number, case)
    _put(target, encoded(figure, form))


def _target(out: str) -> Path:
    """The file to write. Raises ArgumentError before any work if it is a folder."""
    if Path(out).is_dir():
        raise ArgumentError("it is a folder", where=out, remedy="give the name of a file")
    return Path(out)


def _put(target: Path, data: bytes) -> None:
    """Write a file atomically and print its path."""
    from basins.store.local import LocalFiles

    LocalFiles(str(target.parent)).put(target.name, data)
    click.echo(str(target))

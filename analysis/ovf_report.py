"""Everything a run shows of the overfitting conjecture (OVF): the page of `basins report`, and its tables and figures
as files.

python analysis/ovf_report.py runs/iris --out report
"""

from __future__ import annotations

from pathlib import Path

import click
from options import FIGURES, FORM, OUT, RUN, named, save, script

import basins
from basins import tabulated
from basins.figures.of_run import FIGURES as DRAWN
from basins.figures.of_run import figure_of
from basins.report import report
from basins.store.local import LocalFiles
from basins.summary import summaries

OF_ALL = ("occupancy", "survival", "certified", "drift", "cost")
"""Figures with all cases on them; the others are of one case each."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@RUN
@OUT
@FORM
@FIGURES
def main(run: str, out: str, form: str, figures: str) -> None:
    """Report on RUN, so far.

    Writes OUT/report.html, and as files what is on it: the tables saddle_measure, strata, survival, tails, exponents,
    transitions and visited, and the figures. RUN is a folder or a URI, finished or at work.
    """
    opened = basins.open_run(run)
    page = report(opened)
    estimate, read = opened.estimate(), summaries(opened)
    tables = {
        "saddle_measure": tabulated.measures(estimate),
        "strata": tabulated.strata(estimate),
        "survival": tabulated.survivals(read),
        "tails": tabulated.tail_fits(read),
        "exponents": tabulated.tail_exponents(read),
        "transitions": tabulated.transitions(opened),
        "visited": tabulated.visited(opened),
    }
    pictures = {name: figure_of(opened, name) for name in OF_ALL}
    for name in DRAWN.keys() - {*OF_ALL}:
        pictures |= {named(name, case.name): figure_of(opened, name, case.key) for case in opened.manifest.cases}
    LocalFiles(out).put("report.html", page.encode())
    click.echo(str(Path(out) / "report.html"))
    save(out, tables, form, pictures, figures)


if __name__ == "__main__":
    script(main)

"""Everything a run shows of the overfitting conjecture (OVF): the page of `basins report`, and its tables and figures
as files.

python analysis/ovf_report.py runs/iris --out report
"""

from __future__ import annotations

import click
from options import FIGURES, FORM, OUT, RUN, named, save, script

import basins
from basins.output.figures.of_run import FIGURES as DRAWN
from basins.output.report import page
from basins.summary import tabulated
from basins.summary.reading import Reading

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
    read = Reading(basins.open_run(run))
    written = page(read)
    tables = {
        "saddle_measure": tabulated.measures(read.estimate),
        "strata": tabulated.strata(read.estimate),
        "survival": tabulated.survivals(read.summaries()),
        "tails": tabulated.tail_fits(read.summaries()),
        "exponents": tabulated.tail_exponents(read.summaries()),
        "transitions": tabulated.transitions(read),
        "visited": tabulated.visited(read),
    }
    pictures = {name: DRAWN[name](read, None) for name in OF_ALL}
    for name in DRAWN.keys() - {*OF_ALL}:
        pictures |= {named(name, case.name): DRAWN[name](read, case.key) for case in read.cases()}
    save(out, tables, form, pictures, figures, {"report.html": written})


if __name__ == "__main__":
    script(main)

"""The measure of the saddle basins, as `basins estimate` has it: a row a case, a row a stratum, and figures.

python analysis/saddle_measure.py runs/iris --out saddle-measure
"""

from __future__ import annotations

import click
from options import FIGURES, FORM, OUT, RUN, named, save, script

import basins
from basins.output.figures.occupancy import bounds, occupancy
from basins.summary import tabulated


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@RUN
@OUT
@FORM
@FIGURES
def main(run: str, out: str, form: str, figures: str) -> None:
    """The measure of the saddle basins of RUN, so far.

    Writes OUT/saddle_measure (a row a case and one for the pool, with exact bounds), OUT/strata (where trajectories
    end), and figures of both. RUN is a folder or a URI, finished or at work.
    """
    estimate = basins.open_run(run).estimate()
    tables = {"saddle_measure": tabulated.measures(estimate), "strata": tabulated.strata(estimate)}
    pictures = {"saddle_measure": bounds(estimate.cases)}
    pictures |= {named("occupancy", case.name): occupancy(case) for case in estimate.cases}
    save(out, tables, form, pictures, figures)


if __name__ == "__main__":
    script(main)

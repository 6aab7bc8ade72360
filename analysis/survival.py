"""When starts are certified: S(t) = P(not certified by t), its tail, and what theory predicts of it.

python analysis/survival.py runs/iris --out survival
"""

from __future__ import annotations

import click
from options import FIGURES, FORM, OUT, RUN, named, save, script

import basins
from basins.output.figures.survival import Line
from basins.output.figures.survival import survival as draw
from basins.summary import summaries, tabulated
from basins.summary.survival import BANDS, survival
from basins.summary.tails import tails


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@RUN
@OUT
@FORM
@FIGURES
@click.option("--band", type=click.Choice(BANDS), default="binomial", show_default=True, help="Each t alone, or all.")
@click.option("--from", "start", type=float, help="Where the tail's range begins; by default where 1 % is left.")
@click.option("--to", "end", type=float, help="Where it ends; by default at the first censored stop.")
def main(run: str, out: str, form: str, figures: str, band: str, start: float | None, end: float | None) -> None:
    """Survival and tails of RUN, so far.

    Writes OUT/survival (S and its band at the edges of bins; censored rows count as not certified), OUT/tails
    (exponential and power law by maximum likelihood, with goodness of fit), OUT/exponents (the power law from ever
    later starts), and a figure of each case. RUN is a folder or a URI, finished or at work.
    """
    read = summaries(basins.open_run(run))
    tables = {
        "survival": tabulated.survivals(read, band),
        "tails": tabulated.tail_fits(read, start, end),
        "exponents": tabulated.tail_exponents(read),
    }
    lines = [Line(one.case.name, survival(one), tails(one, start, end) if one.minimum else None) for one in read]
    pictures = {"survival": draw(lines)}
    pictures |= {named("survival", line.name): draw([line]) for line in lines} if len(lines) > 1 else {}
    save(out, tables, form, pictures, figures)


if __name__ == "__main__":
    script(main)

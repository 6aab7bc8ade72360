"""The output of `basins tail`."""

from __future__ import annotations

from rich.console import Console

from basins.estimate import law_text
from basins.estimate.sentences import stratum_text, widths_text
from basins.output.console.screen import columns, heading, indented, paragraph
from basins.rare import formatting
from basins.rare.tail import CaseTail


def print_tail(out: Console, tail: CaseTail) -> None:
    """Print the splitting levels, the sentences and the warnings."""
    case = tail.case
    widths = widths_text(case.problem.widths)
    chains = f"{tail.replicates} replicates of {tail.plan.population:,} chains"
    of = () if tail.stratum is None else (stratum_text(tail.stratum.index, tail.stratum.modes),)
    heading(out, case.name, ", ".join((widths, law_text(case.law), *of, chains)))
    table = columns(*formatting.headings(tail.stratum), text=(), gap=2)
    for level in tail.levels:
        table.add_row(*formatting.row(tail, level), style="" if level.resolved else "dim")
    indented(out, table)
    for line in formatting.sentences(tail):
        paragraph(out, line, style="bold")
    for warning in tail.warnings:
        paragraph(out, f"warning: {warning}", style="yellow")
    out.print()

"""The output of `basins tail`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console

from basins.estimate import law_text
from basins.estimate.sentences import stratum_text, widths_text
from basins.output.console.screen import columns, counted, heading, indented, paragraph
from basins.rare import formatting
from basins.rare.combine import FEWEST
from basins.rare.status import TailStatus
from basins.rare.tail import CaseTail

ENDINGS = {
    "": "under way, or stopped",
    "target": "over: the target is reached",
    "resolution": "over: double precision resolves no more",
    "extinct": "over: no chain is left inside",
    "levels": "over: all levels",
}


def print_tails(out: Console, tails: Sequence[CaseTail]) -> None:
    """Every case, then what the columns say."""
    for tail in tails:
        print_tail(out, tail)
    if tails:
        print_columns(out, tails[0].stratum)


def print_columns(out: Console, stratum: object | None) -> None:
    """What each column of the table of splitting levels says."""
    heading(out, "columns", "each row is a splitting level, its number first")
    table = columns("", "", text=(0, 1), gap=2)
    table.show_header = False
    for name, said in formatting.explanations(stratum).items():
        table.add_row(name, said)
    indented(out, table)
    out.print()


def print_tail_status(out: Console, status: TailStatus) -> None:
    """The pilot and the replicates of each case: levels, how deep, and whether they are over."""
    out.print(f"{status.experiment}  {status.path}", style="bold cyan", soft_wrap=True)
    names = ("case", "", "levels", "P", "trajectories", "evaluations", "state")
    table = columns(*names, text=(0, 1, 6), gap=2)
    for case in status.cases:
        for one in (case.pilot, *case.replicates):
            of = "" if case.of is None or one.number == 0 else f" of {case.of}"
            table.add_row(
                case.name if one.number == 0 else "",
                "pilot" if one.number == 0 else f"replicate {one.number}",
                f"{one.levels}{of}",
                "" if math.isnan(one.P) else f"{one.P:.3g}",
                f"{one.trajectories:,}",
                f"{one.evaluations:,}",
                ENDINGS[one.ending] if one.levels else "not begun",
            )
    indented(out, table, by=0)
    for case in status.cases:
        under_way = len(case.replicates) - case.complete
        said = f"{counted(case.complete, 'replicate')} complete"
        said += f", {under_way} under way or stopped" if under_way else ""
        if case.complete < FEWEST:
            said += f": an interval needs {FEWEST}; the command that made it goes on"
        elif under_way:
            said += ": `basins estimate` counts the complete ones; the command that made it goes on"
        out.print(f"  {case.name}: {said}", soft_wrap=True)
    out.print(f"  target {status.target:g}; more replicates may be asked for at any time", soft_wrap=True)


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

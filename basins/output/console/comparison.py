"""What `basins compare` prints: a row a case of each run, then the tests."""

from __future__ import annotations

from rich.console import Console

from basins.comparison import Comparison
from basins.estimate.sentences import at_most
from basins.output.console.screen import columns, duration, heading, indented, paragraph


def print_comparison(out: Console, found: Comparison) -> None:
    """Rows, tests with their method, notes."""
    names = ("run", "case", "N", "minimum", "saddle", "censored", "bound", "proved", "evaluations", "core time")
    table = columns(*names, text=(0, 1), gap=2)
    for row in found.rows:
        table.add_row(
            row.run,
            row.case,
            f"{row.trajectories:,}",
            f"{row.minimum:,}",
            f"{row.saddle:,}",
            f"{row.censored:,}",
            "null law" if row.upper is None else at_most(row.upper),
            f"{row.proved:,}/{row.tried:,}" if row.tried else "",
            "" if row.evaluations is None else f"{row.evaluations:,.0f}",
            "" if row.core_seconds is None else duration(row.core_seconds),
            style="bold red" if row.saddle and row.upper is not None else "",
        )
    indented(out, table, by=0)
    out.print()
    if found.tests:
        heading(out, "differences", "corresponding cases, run by run")
        table = columns("case", "runs", "count", "counts", "p", "p, adjusted", text=(0, 1, 2, 3), gap=2)
        for test in found.tests:
            table.add_row(
                test.case,
                " / ".join(test.runs),
                test.what,
                " / ".join(f"{count:,} of {of:,}" for count, of in test.counts),
                "" if test.p is None else f"{test.p:.3g}",
                "" if test.p_holm is None else f"{test.p_holm:.3g}",
                style="bold" if test.p_holm is not None and test.p_holm < 0.05 else "",
            )
        indented(out, table)
        paragraph(out, found.method)
        for why in dict.fromkeys(test.skipped for test in found.tests if test.skipped):
            paragraph(out, f"Not tested: {why}.")
    for note in found.notes:
        paragraph(out, note)

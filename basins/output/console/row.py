"""The output of `basins show`: one row with the reasons for its verdict, its numbers and visits, and its
re-integration."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from basins.estimate import law_text
from basins.estimate.sentences import stratum_text, widths_text
from basins.experiment import Case
from basins.landscapes.base import NEAR
from basins.landscapes.deep_linear.strata import mask_to_modes
from basins.output.console.screen import columns, heading, indented, paragraph, shortened
from basins.show import Reintegration, Row, Shown, compared, proof_text, why


def print_row(out: Console, shown: Shown) -> None:
    """Print one row: the reasons for its verdict, all numbers, and its visits."""
    case, row = shown.case, shown.row
    heading(out, f"id {row['id']}", f"case {case.name}, {widths_text(case.problem.widths)}, {law_text(case.law)}")
    if not shown.kept:
        paragraph(out, 'This row was not kept (rows = "exceptions"), so the trajectory was integrated again just now.')
    if shown.layer:
        paragraph(
            out, f"From layer {shown.layer}: integrated again with a budget of {case.settings.budget:,} evaluations."
        )
    paragraph(out, why(case, row), style="bold")
    if shown.proof is not None:
        wrong = shown.proof["proved"] and row["verdict"] == "saddle"
        paragraph(out, proof_text(shown.proof) + " THE LABEL IS WRONG." * wrong, style="bold red" if wrong else "bold")
    out.print()
    table = Table.grid(padding=(0, 3, 0, 0))
    for name, value in row.items():
        if name != "id":
            table.add_row(Text(name, style="dim"), _value(name, value))
    indented(out, table)
    if shown.visits is None:
        paragraph(out, "no visits: this id was not watched (visits_every)")
    elif not shown.visits:
        paragraph(out, "no visits: its gradient norm had no local minimum on the way")
    else:
        out.print()
        paragraph(
            out,
            "visits: closest approaches, where the gradient norm has a local minimum. A visit passes a saddle if its "
            f"distance, relative to the weights about to grow, is at most {NEAR:g}; the others are slow-downs",
        )
        table = columns("number", "t", "loss", "gradient norm", "nearest stratum", "distance", "", text=(4, 6))
        for visit in shown.visits:
            table.add_row(
                str(visit["number"]),
                f"{visit['t']:.6g}",
                _value("loss", visit["loss"]),
                _value("gradient_norm", visit["gradient_norm"]),
                _nearest(case, visit),
                "" if visit["distance"] is None else f"{visit['distance']:.3g}",
                "passes it" if visit["passes"] else "slow-down",
            )
        indented(out, table)
    out.print()


def print_again(out: Console, shown: Shown, first: Reintegration, second: Reintegration | None) -> None:
    """Print the re-integrations beside the stored row, and their result."""
    table = columns(
        "", "stored" if shown.kept else "just now", "again", *(["tighter"] if second else []), text=(0, 1, 2, 3)
    )
    for name, value in shown.row.items():
        if name == "id":
            continue
        others = [again.row[name] for again in (first, second) if again is not None]
        table.add_row(
            name,
            *(_value(name, one) for one in (value, *others)),
            style="" if value == others[0] else "bold red",
        )
    indented(out, table)
    for said in compared(shown, first, second):
        paragraph(out, said, style="bold red" if "ANOTHER" in said else "bold")
    out.print()


def _value(name: str, value: object) -> str:
    if value is None:
        return "unknown" if name in ("modes", "rank", "rejected") else "none"
    if name == "modes":
        return shortened(mask_to_modes(int(str(value))))
    if isinstance(value, float):
        return f"{value:.10g}" if name in ("loss", "t") else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _nearest(case: Case, visit: Row) -> str:
    if visit["modes"] is None:
        return "unknown"
    stratum = case.problem.strata().of(int(visit["modes"]))
    return stratum_text(stratum.index, stratum.modes)

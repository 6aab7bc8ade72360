"""The output of `basins plan`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from basins.estimate.sentences import at_least
from basins.output.console.screen import columns, counted, duration, heading, indented, paragraph
from basins.planning import CaseCost, Needed, mean_seconds


def print_needed(out: Console, needed: Needed, costs: Sequence[CaseCost], workers: int) -> None:
    """Print the numbers that a bound requires, one line each, with their cost if an experiment was given."""
    expected = [f"{needed.saddles:,} saddles expected"] * (needed.saddles > 0)
    expected += [f"a share of {needed.censored_share:g} censored"] * (needed.censored_share > 0)
    heading(
        out,
        "plan",
        f"the saddle basins' measure below {needed.bound:g} at {100 * needed.confidence:g} %, "
        f"{' and '.join(expected) or 'no saddle and none censored'}",
    )
    each, check = mean_seconds(costs) if costs else (None, None)
    table = columns("required", "number", *["time"] * bool(costs), text=(0,))
    on = f" on {counted(workers, 'worker')}"
    lines = [
        ("trajectories, for the labels as computed", needed.trajectories, each, workers),
        ("or, with label error included: trajectories", needed.labelled, each, workers),
        ("    and minima whose label is checked, none wrong", needed.checked, check, 1),
    ]
    if needed.pairs is not None:
        what = f"random pairs, all clean, for a share of bad pairs below {needed.share:g}"
        lines.append((what, needed.pairs, None, 1))
    for what, count, seconds, by in lines:
        time = "" if seconds is None else f"{duration(seconds * count / by)}{on if by > 1 else ''}"
        table.add_row(what, f"{count:,}", *[time] * bool(costs))
    indented(out, table)
    if needed.pairs is not None and needed.eps is not None:
        paragraph(
            out,
            f"With the trajectories divided among {needed.pairs:,} pairs, a pair is bad if its saddle basins hold at "
            f'least {at_least(needed.eps)} of the law: [sweep] "data.seed" = {{ count = {needed.pairs} }}',
        )
    for cost in costs:
        checked = cost.check_seconds
        labels = "its labels cannot be checked" if checked is None else f"{duration(checked)} to check a label"
        sample = f"{cost.censored:,} of {cost.sampled:,} sampled are censored"
        paragraph(out, f"{cost.case.name}: {duration(cost.seconds)} a trajectory, {labels}; {sample}")
    out.print()

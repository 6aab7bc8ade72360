"""What the commands of a run do where RUN is the folder of a tail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from basins.cli.common import print_json
from basins.errors import ArgumentError


def is_tail(*runs: str) -> bool:
    """Whether there is a tail at this path or URI, rather than a run. Raises ArgumentError for a tail among several."""
    from basins.rare import record
    from basins.store import files_at

    tails = [run for run in runs if record.is_tail(files_at(run))]
    if tails and len(runs) > 1:
        what = "a tail among several runs"
        raise ArgumentError(what, where=tails[0], remedy="give tails one by one: they are not pooled or compared")
    return bool(tails)


def print_tail_estimate(run: str, case: str | None, as_json: bool) -> None:
    """`basins estimate` of a tail."""
    from basins.output.console.screen import console
    from basins.output.console.tail import print_tails
    from basins.rare.tail import read_tail

    tails = read_tail(run, case=case)
    if as_json:
        print_json({"tail": True, "cases": [one.to_dict() for one in tails]})
    else:
        print_tails(console(), tails)


def tail_status(run: str) -> tuple[Callable[[], tuple[Any, bool]], Callable[[Any, Any], None]]:
    """A function that looks at the tail, which gives its status and whether it is finished, and one that prints it."""
    from basins.output.console.tail import print_tail_status
    from basins.rare.status import status_of
    from basins.store import files_at

    files = files_at(run)

    def look() -> tuple[Any, bool]:
        found = status_of(files)
        return found, found.finished

    return look, print_tail_status


def tail_figure(run: str, name: str, case: str | None) -> Any:
    """The figure of a tail, of one case or of all. Raises ArgumentError for the name of a run's figure."""
    from basins.output.figures.tail import line_of, tail
    from basins.rare.tail import read_tail

    if name != "tail":
        raise ArgumentError(f"the figure {name} is of runs, and this is a tail", where=run, remedy="basins plot tail")
    return tail([line_of(one) for one in read_tail(run, case=case)])


def tail_report(run: str) -> str:
    """The page of a tail."""
    from basins.output.report.of_tail import report_of_tail

    return report_of_tail(run)


def refuse_figure_of_tails(run: str, name: str) -> None:
    """Raises an error for the figure `tail` of what is no tail."""
    if name == "tail":
        raise click.UsageError(f"the figure tail is of what `basins tail` wrote, and {run} is none")

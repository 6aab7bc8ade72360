"""The figures that draw several runs on one page, each line named by its run and case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from basins.errors import ArgumentError
from basins.estimate import CaseEstimate
from basins.output.figures.health import cost, drift
from basins.output.figures.occupancy import bounds
from basins.output.figures.survival import Line, survival
from basins.summary import CaseSummary
from basins.summary.reading import Reading
from basins.summary.survival import survival as survival_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from basins.run_tables import Run


class Readings:
    """Several runs as they are read, by what they are called; cases are named RUN: CASE, or by the run where it has
    one case alone."""

    def __init__(self, runs: Mapping[str, Run], case: str | None = None) -> None:
        self.readings = {name: Reading(run) for name, run in runs.items()}
        self.case = case

    def summaries(self) -> list[CaseSummary]:
        """Every case of every run, or the chosen one of each."""
        return [
            replace(one, case=one.case.changed(name=self._called(name, one.case.name)))
            for name, read in self.readings.items()
            for one in read.summaries(self.case)
        ]

    def estimates(self) -> list[CaseEstimate]:
        """The same, as they are estimated."""
        found = []
        for name, read in self.readings.items():
            keys = {case.key for case in read.cases(self.case)}
            of_run = [one for one in read.estimate.cases if one.case in keys]
            found += [replace(one, name=self._called(name, one.name)) for one in of_run]
        return found

    def _called(self, run: str, case: str) -> str:
        alone = self.case is not None or len(self.readings[run].cases()) == 1
        return run if alone else f"{run}: {case}"


FIGURES: dict[str, Callable[[Readings], Figure]] = {
    "survival": lambda read: survival([Line(one.case.name, survival_of(one)) for one in read.summaries()]),
    "occupancy": lambda read: bounds(read.estimates()),
    "drift": lambda read: drift(read.summaries()),
    "cost": lambda read: cost(read.summaries()),
}
"""What `basins plot NAME RUN RUN ...` draws."""


def figure_of_several(runs: Mapping[str, Run], name: str, case: str | None = None) -> Figure:
    """One of `FIGURES`. Raises ArgumentError for another name, and for a case that some run does not have."""
    if name not in FIGURES:
        remedy = f"give one run, or one of {', '.join(FIGURES)}"
        raise ArgumentError(f"the figure {name!r} is of one run", where="name", remedy=remedy)
    return FIGURES[name](Readings(runs, case))

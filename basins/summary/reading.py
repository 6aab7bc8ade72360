"""Reads what tables, figures and the report need of a run. Each part is read once, on first use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from basins.summary import CaseSummary, summarise
from basins.summary.transitions import Transitions, transitions

if TYPE_CHECKING:
    from basins.estimate import Estimate
    from basins.experiment import Case
    from basins.run_tables import Run


class Reading:
    """The parts of a run that have been read. A run in progress keeps the state of the first read. Raises RunError for
    a damaged run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._summaries: dict[str, CaseSummary] = {}
        self._transitions: dict[str, Transitions] = {}

    def cases(self, case: str | None = None) -> tuple[Case, ...]:
        """The case with this key or name, or all cases in the experiment's order."""
        return self.run.manifest.cases if case is None else (self.run.case(case),)

    @cached_property
    def estimate(self) -> Estimate:
        """The measures of all cases."""
        return self.run.estimate()

    def summaries(self, case: str | None = None) -> list[CaseSummary]:
        """The summary of the case with this key or name, or of all cases."""
        return [self._summary(one.key) for one in self.cases(case)]

    def transitions(self, case: str) -> Transitions:
        """The transition graph of a case, by key."""
        if case not in self._transitions:
            self._transitions[case] = transitions(self.run, case)
        return self._transitions[case]

    def _summary(self, key: str) -> CaseSummary:
        if key not in self._summaries:
            self._summaries[key] = summarise(self.run, key)
        return self._summaries[key]

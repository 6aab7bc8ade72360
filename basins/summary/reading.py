"""What tables, figures and the page read of a run: each thing once, when it is first asked for."""

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
    """A run as it is read; of one in progress, what was there at the first look. Raises RunError for a damaged run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._summaries: dict[str, CaseSummary] = {}
        self._transitions: dict[str, Transitions] = {}

    def cases(self, case: str | None = None) -> tuple[Case, ...]:
        """A case by key or name; without one, all, in the experiment's order."""
        return self.run.manifest.cases if case is None else (self.run.case(case),)

    @cached_property
    def estimate(self) -> Estimate:
        """The measures of all cases."""
        return self.run.estimate()

    def summaries(self, case: str | None = None) -> list[CaseSummary]:
        """Of a case by key or name; without one, of all."""
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

"""The rows of a case's table of critical sets, which the console and the report show."""

from __future__ import annotations

from basins.estimate import CaseEstimate
from basins.estimate.counts import StratumMeasure
from basins.estimate.sentences import at_least, at_most, number


def strata_headings(case: CaseEstimate) -> tuple[str, ...]:
    """The headings of `strata_cells`."""
    return ("j", "modes S" if case.conjecture else "set", "rank", "loss", "count", "measure", "95 % interval, jointly")


def strata_cells(case: CaseEstimate, stratum: StratumMeasure, name: str) -> tuple[str, ...]:
    """The cells of one critical set. name: the text that identifies it; `case` has trajectories."""
    return (
        "" if stratum.index is None else str(stratum.index),
        name,
        str(stratum.rank),
        f"{stratum.loss:.6g}",
        f"{stratum.count:,}",
        number(stratum.count / case.trajectories),
        f"[{at_least(stratum.lower)}, {at_most(stratum.upper)}]",
    )

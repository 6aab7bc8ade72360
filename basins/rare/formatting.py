"""What `basins tail` says of a case, in words and rows; pages/ lays them out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from basins.estimate.sentences import at_least, at_most, number, stratum_text
from basins.rare.combine import FEWEST, Estimated
from basins.rare.replicates import STEADY, Level
from basins.rare.tail import CaseTail
from basins.statistics.binomial import LEVEL

COLUMNS = ("95 % interval", "s", "within", "slope", "taken", "still", "from", "kept")
"""s, within: deviations of log P between replicates and as a run sees it; slope: |d log P / d log threshold| (of T,
H = 1: / dt); taken: moves; still: autocorrelation of the chains over their sweeps; from: how many first draws have
descendants; kept: of those inside, looked at otherwise (`Estimated`)."""


def headings(stratum: object | None) -> Sequence[str]:
    """Of a table of levels: of T, or of G where a stratum is approached."""
    return ("", *(("t", "P(T > t)") if stratum is None else ("g", "P(G < g)")), *COLUMNS)


def symbol(stratum: object | None) -> str:
    """The coordinate: T, or G where a stratum is approached."""
    return "T" if stratum is None else "G"


def event(stratum: object | None, threshold: float, digits: int = 4) -> str:
    """What has the probability: T > t, or G < g where a stratum is approached."""
    return f"{symbol(stratum)} {'>' if stratum is None else '<'} {threshold:.{digits}g}"


def slope(tail: CaseTail, level: Estimated) -> float:
    """-d log P / dt where the tail of T is exponential, |d log P / d log threshold| else."""
    return level.rate if tail.stratum is None and tail.case.problem.H == 1 else level.exponent


def row(tail: CaseTail, level: Estimated) -> Sequence[str]:
    """A level's row under `headings`."""
    exponent = slope(tail, level)
    return (
        str(level.level),
        f"{level.threshold:.4g}",
        f"{level.P:.3g}",
        f"[{level.lower:.3g}, {level.upper:.3g}]" if level.bounded else "none",
        f"{level.deviation:.2f}",
        f"{level.within:.2f}",
        "" if np.isnan(exponent) else f"{exponent:.2f}",
        f"{100 * level.acceptance:.0f} %",
        f"{level.autocorrelation:.2f}",
        f"{level.ancestors:g}",
        f"{100 * np.fmin(level.tighter, level.rounded):.0f} %",
    )


def sentences(tail: CaseTail) -> list[str]:
    """What the case shows: the bound, where it stopped and why, the exponent beside what theory expects."""
    last = tail.last
    if last is None:
        if not tail.levels:
            return ["Nothing to say: in some replicate nobody is inside at the first level. Raise the population."]
        return ["Nothing to say: no level is resolved."]
    beyond = f"P({event(tail.stratum, last.threshold, 5)})"
    whose = f"{_whose(tail)} is below {beyond} = {number(last.P)}"
    if last.bounded:
        said = [
            f"{whose}, 95 % interval [{at_least(last.lower)}, {at_most(last.upper)}]; below {at_most(last.bound)} at "
            f"{100 * LEVEL:g} %, one-sided ({tail.replicates} independent replicates)."
        ]
    else:
        why = " that are all equal" if tail.replicates >= FEWEST else f", fewer than {FEWEST}"
        said = [f"{whose}, an estimate from {tail.replicates} replicates{why}: it has no interval, and bounds nothing."]
    unresolved = next((level for level in tail.levels if not level.resolved), None)
    if unresolved is not None or tail.pilot.ending == "resolution":
        blurred = unresolved or tail.pilot
        said.append(
            f"At {event(tail.stratum, blurred.threshold, 5)} the computed {symbol(tail.stratum)} is no longer that "
            f"of the exact flow ({_kept(blurred)}): levels from there on say nothing, and the target "
            f"{tail.plan.target:g} was not reached. {_further(blurred)}"
        )
    elif tail.plan.target * 2 < last.P:
        said.append(f"The target {tail.plan.target:g} was not reached.")
    if tail.expected is not None and not np.isnan(last.exponent):
        over = [level.exponent for level in tail.levels[-4:] if not np.isnan(level.exponent)]
        source = "theory.md 5 expects" if tail.stratum is None else "basins/rare/exponents.py expects"
        said.append(
            f"Local exponent over the last levels {np.mean(over):.2f}; {source} {tail.expected:.4g} in the end "
            "(heuristic)."
        )
    return said


def _whose(tail: CaseTail) -> str:
    if tail.stratum is None:
        return "The saddle measure of this law"
    tied = tail.case.problem.strata().of_value(tail.stratum)
    names = " and ".join(stratum_text(one.index, one.modes) for one in tied)
    return (
        f"The measure of what converges to {names}, whose critical value is {tail.stratum.loss:.5g} (G: the gradient "
        "norm where the loss passes it),"
    )


def _further(level: Estimated | Level) -> str:
    if level.rounded < STEADY:
        return "That is as far as double precision tells starts apart."
    return "Tighter [engine] rtol and atol reach further, down to what double precision holds."


def _kept(level: Estimated | Level) -> str:
    shares = [f"{100 * level.rounded:.0f} % of its chains stay inside when weights are changed by their rounding"]
    if not np.isnan(level.tighter):
        shares.append(f"{100 * level.tighter:.0f} % at tighter tolerances")
    return ", ".join(shares)

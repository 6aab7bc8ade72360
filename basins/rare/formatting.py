"""The sentences and table rows that `basins tail` shows for a case; output/ lays them out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from basins.estimate.sentences import at_least, at_most, number, stratum_text
from basins.rare.combine import FEWEST, Estimated
from basins.rare.replicates import STEADY, SplittingLevel
from basins.rare.tail import CaseTail
from basins.statistics.binomial import CONFIDENCE

COLUMNS = ("95 % interval", "s", "within", "slope", "taken", "still", "from", "kept")
"""s, within: deviation of log P between replicates and within a run; slope: |d log P / d log threshold| (for T and
H = 1: / dt); taken: share of accepted moves; still: autocorrelation of the chains over their sweeps; from: how many
first draws have descendants; kept: share of starts that stay inside under perturbation (`Estimated`)."""


def explanations(stratum: object | None) -> dict[str, str]:
    """What each column of the table of splitting levels says, by its heading."""
    threshold, event_text = ("t", "T > t") if stratum is None else ("g", "G < g")
    told = {
        threshold: "threshold of the level: a start is inside if it is not certified by time t"
        if stratum is None
        else "threshold of the level: a start is inside if its gradient norm falls below g (docs/tail.md)",
        f"P({event_text})": "probability of being inside: the mean of the replicates' estimates",
        "95 % interval": "two-sided, from the replicates' spread alone; none where all are equal or fewer than 4",
        "s": "standard deviation of log P between replicates",
        "within": "the same as a replicate sees it from inside; if s is much larger, chains mix slowly",
        "slope": f"|d log P / d log {threshold}| from the level before",
        "taken": "share of proposed moves that are accepted",
        "still": "autocorrelation of the chains over a level's sweeps: near 1, they hardly move",
        "from": "first draws that have descendants, median of the replicates: where few are left, raise the population",
        "kept": f"share of the chains that stay inside with weights changed by their rounding error, and at tolerances "
        f"100 times tighter: below {100 * STEADY:.0f} % the level shows nothing",
    }
    if stratum is None:
        told["slope"] += "; with one hidden layer -d log P / dt, for there the tail is exponential"
    return told


def headings(stratum: object | None) -> Sequence[str]:
    """The headings of the table of splitting levels, for T, or for G if a stratum is given."""
    return ("", *(("t", "P(T > t)") if stratum is None else ("g", "P(G < g)")), *COLUMNS)


def symbol(stratum: object | None) -> str:
    """The symbol of the coordinate: T, or G if a stratum is given."""
    return "T" if stratum is None else "G"


def event(stratum: object | None, threshold: float, digits: int = 4) -> str:
    """The event whose probability is estimated: T > t, or G < g if a stratum is given."""
    return f"{symbol(stratum)} {'>' if stratum is None else '<'} {threshold:.{digits}g}"


def slope(tail: CaseTail, level: Estimated) -> float:
    """-d log P / dt if the tail of T is exponential, otherwise |d log P / d log threshold|."""
    return level.rate if tail.stratum is None and tail.case.problem.H == 1 else level.exponent


def row(tail: CaseTail, level: Estimated) -> Sequence[str]:
    """The row of a splitting level under `headings`."""
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
    """The result of a case: the bound, where and why it stopped, and the exponent beside its prediction."""
    last = tail.last
    if last is None:
        if not tail.levels:
            return ["No result: in some replicate no chain is inside at the first level. Raise the population."]
        return ["No result: no level is resolved."]
    beyond = f"P({event(tail.stratum, last.threshold, 5)})"
    whose = f"{_whose(tail)} is below {beyond} = {number(last.P)}"
    if last.bounded:
        lines = [
            f"{whose}, 95 % interval [{at_least(last.lower)}, {at_most(last.upper)}]; below {at_most(last.bound)} at "
            f"{100 * CONFIDENCE:g} %, one-sided ({tail.replicates} independent replicates)."
        ]
    else:
        why = " that are all equal" if tail.replicates >= FEWEST else f", fewer than {FEWEST}"
        lines = [f"{whose}, an estimate from {tail.replicates} replicates{why}: without an interval it is no bound."]
    unresolved = next((level for level in tail.levels if not level.resolved), None)
    if unresolved is not None or tail.pilot.ending == "resolution":
        blurred = unresolved or tail.pilot
        lines.append(
            f"At {event(tail.stratum, blurred.threshold, 5)} the computed {symbol(tail.stratum)} is no longer that "
            f"of the exact flow ({_kept(blurred)}): levels from there on show nothing, and the target "
            f"{tail.plan.target:g} was not reached. {_further(blurred)}"
        )
    elif tail.plan.target * 2 < last.P:
        lines.append(f"The target {tail.plan.target:g} was not reached.")
    if tail.expected is not None and not np.isnan(last.exponent):
        over = [level.exponent for level in tail.levels[-4:] if not np.isnan(level.exponent)]
        source = "theory.md 5 predicts" if tail.stratum is None else "basins/rare/exponents.py predicts"
        lines.append(
            f"Local exponent over the last levels {np.mean(over):.2f}; {source} {tail.expected:.4g} asymptotically "
            "(heuristic)."
        )
    return lines


def _whose(tail: CaseTail) -> str:
    if tail.stratum is None:
        return "The saddle measure of this law"
    tied = tail.case.problem.strata().of_value(tail.stratum)
    names = " and ".join(stratum_text(one.index, one.modes) for one in tied)
    return (
        f"The measure of starts that converge to {names}, whose critical value is {tail.stratum.loss:.5g} (G: the "
        "gradient norm where the loss passes it),"
    )


def _further(level: Estimated | SplittingLevel) -> str:
    if level.rounded < STEADY:
        return "Double precision cannot distinguish starts beyond this."
    return "Tighter [engine] rtol and atol reach further, down to the limit of double precision."


def _kept(level: Estimated | SplittingLevel) -> str:
    shares = [f"{100 * level.rounded:.0f} % of its chains stay inside when weights change by their rounding error"]
    if not np.isnan(level.tighter):
        shares.append(f"{100 * level.tighter:.0f} % at tighter tolerances")
    return ", ".join(shares)

"""What `basins tail` says of a case, in words and rows; tables.py lays them out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from basins.intervals import LEVEL
from basins.rare.combine import Estimated
from basins.rare.replicates import Level
from basins.rare.tail import CaseTail
from basins.sentences import at_least, at_most, number

HEADINGS = ("", "t", "P(T > t)", "95 % interval", "s", "within", "slope", "taken", "still", "from", "kept")
"""s, within: deviations of log P between replicates and as a run sees it; slope: -d log P / d log t (H = 1: / dt);
taken: moves; still: autocorrelation of the chains over their sweeps; from: how many first draws have descendants; kept:
of {T > t}, looked at otherwise (`Estimated`)."""


def row(level: Estimated, H: int) -> Sequence[str]:
    """A level's row under HEADINGS."""
    exponent = level.rate if H == 1 else level.exponent
    return (
        str(level.level),
        f"{level.t:.4g}",
        f"{level.P:.3g}",
        f"[{level.lower:.3g}, {level.upper:.3g}]",
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
        return ["Nothing to say: no level is resolved."]
    said = [
        f"The saddle measure of this law is below P(T > {last.t:.5g}) = {number(last.P)}, 95 % interval "
        f"[{at_least(last.lower)}, {at_most(last.upper)}]; below {at_most(last.bound)} at {100 * LEVEL:g} %, one-sided "
        f"({tail.replicates} independent replicates)."
    ]
    unresolved = next((level for level in tail.levels if not level.resolved), None)
    if unresolved is not None or tail.pilot.ending == "resolution":
        beyond = unresolved or tail.pilot
        said.append(
            f"At t = {beyond.t:.5g} the computed T is no longer that of the exact flow ({_kept(beyond)}): levels from "
            f"there on say nothing, and the target {tail.plan.target:g} was not reached. Tighter [engine] rtol and "
            "atol reach further, down to what double precision holds."
        )
    elif tail.plan.target * 2 < last.P:
        said.append(f"The target {tail.plan.target:g} was not reached.")
    if tail.kappa is not None and not np.isnan(last.exponent):
        over = [level.exponent for level in tail.levels[-4:] if not np.isnan(level.exponent)]
        said.append(
            f"Local exponent over the last levels {np.mean(over):.2f}; theory.md 5 expects {tail.kappa:g} in the end "
            "(heuristic)."
        )
    return said


def _kept(level: Estimated | Level) -> str:
    shares = [f"{100 * level.rounded:.0f} % of its chains stay in {{T > t}} when weights are changed by their rounding"]
    if not np.isnan(level.tighter):
        shares.append(f"{100 * level.tighter:.0f} % at tighter tolerances")
    return ", ".join(shares)

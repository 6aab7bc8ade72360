"""The label error that `basins verify` measured, and the bounds on the saddle basins with it counted in.

A label is right or wrong of the true flow; a count knows labels alone. Let m, s, c be the labels, and e_m the share
of true saddles among trajectories labelled m, e_s that of true minima among those labelled s. Then

    mu <= P(not m) + P(m) e_m,        mu >= P(s) (1 - e_s).

Of n_m labels m, drawn at random and integrated again 100 times tighter, k_m came out otherwise or undecided: the exact
upper bound E_m on e_m takes k = k_m, and E_s likewise. Each of the two facts that a bound rests on is held to half of
alpha, so that both hold with the bound's own level, whatever they have to do with each other:

    upper = u + (1 - u) E_m,  u of k_s + k_c in N,  u and E_m at 1 - alpha/2 each;
    lower = l (1 - E_s),      l of k_s in N,        l and E_s at 1 - alpha/2 each.

What comes out of the tighter re-integration is taken for the truth. A censored row counts against the bound as it
stands, so one that the re-integration decides is no error of the estimate; such rows are told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from basins.estimate.counts import Counts, Measure
from basins.statistics.binomial import LEVEL, one_sided_lower, one_sided_upper, trials

Outcomes = Mapping[tuple[str, str], int]
"""(verdict, what its re-integration found) -> rows: see basins.store.verified."""


@dataclass(frozen=True)
class Checked:
    """Labels of one verdict that were integrated again: how many; those that came out otherwise; those that came out
    censored, which agree with nothing.
    """

    checked: int = 0
    disagreed: int = 0
    undecided: int = 0

    def upper(self, level: float) -> float:
        """The exact upper bound on the share of wrong labels, an undecided one counted as wrong; 1 where none was
        checked.
        """
        return one_sided_upper(self.disagreed + self.undecided, self.checked, level) if self.checked else 1.0

    def to_dict(self, level: float) -> dict[str, Any]:
        return {
            "checked": self.checked,
            "disagreed": self.disagreed,
            "undecided": self.undecided,
            "upper": self.upper(level),
            "level": level,
        }


@dataclass(frozen=True)
class LabelError:
    """What was found of the labels, and what it makes of the bounds; see this module's docstring.

    censored: rows by what a re-integration made of them; level: of each share's bound, 1 - alpha/2; saddle_measure: the
    interval with label error counted in; needed: so many checked minima, none of them wrong, make the bound on their
    error as small as that of the labels as computed.
    """

    minimum: Checked
    saddle: Checked
    censored: Mapping[str, int]
    level: float
    saddle_measure: Measure
    needed: int

    def to_dict(self) -> dict[str, Any]:
        """The minima's error, on which the upper bound rests, then the rest."""
        return {
            **self.minimum.to_dict(self.level),
            "saddle": self.saddle.to_dict(self.level),
            "censored": dict(self.censored),
            "saddle_measure": self.saddle_measure.to_dict(),
            "needed": self.needed,
        }


def label_error(counts: Counts, outcomes: Outcomes, level: float = LEVEL) -> LabelError | None:
    """The label error of rows that were checked among those counted; None where none was, or nothing is counted."""
    N = counts.trajectories
    if N == 0 or not any(outcomes.values()):
        return None
    half = 1 - (1 - level) / 2
    minimum, saddle = checked(outcomes, "minimum"), checked(outcomes, "saddle")
    u = one_sided_upper(counts.saddle + counts.censored, N, half)
    headline = one_sided_upper(counts.saddle + counts.censored, N, level)
    return LabelError(
        minimum=minimum,
        saddle=saddle,
        censored={found: rows for (verdict, found), rows in sorted(outcomes.items()) if verdict == "censored"},
        level=half,
        saddle_measure=Measure(
            counts.saddle / N,
            one_sided_lower(counts.saddle, N, half) * (1 - saddle.upper(half)),
            u + (1 - u) * minimum.upper(half),
        ),
        needed=trials(headline, 0, half) if headline < 1 else 0,
    )


def checked(outcomes: Outcomes, verdict: str) -> Checked:
    """The rows of one verdict."""
    of = Counter({found: rows for (labelled, found), rows in outcomes.items() if labelled == verdict})
    return Checked(of.total(), of["disagreed"], of["undecided"])

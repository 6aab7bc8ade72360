"""The label error that `basins verify` measured, and the bounds on the saddle basins with it counted in.

A label is right or wrong of the true flow; a count knows labels alone. Of N trajectories, N_m are labelled minimum, N_s
saddle, N_c censored. If at most W_m of the minima and W_s of the saddles are wrong, then at most N_s + N_c + W_m of the
N truly end on a saddle, and at least N_s - W_s:

    upper = u(N_s + N_c + W_m of N),        lower = l(N_s - W_s of N).

W_m and W_s are exact for drawing without replacement (hypergeometric.py): of n labels, drawn at random and integrated
again 100 times tighter, k came out otherwise or undecided. A bound and its W are held to half of alpha each, so that
both hold with the bound's own level, whatever they have to do with each other. Where every label is checked, W = k is a
fact, and the count has all of alpha.

A sample is counted for what it was drawn from (`Frame`). A frame is labels of which each had the same chance to be
drawn: W is summed over frames, whose half of alpha is shared out evenly. Labels that no check could draw count as wrong
all of them. Over several cases the frames are those of the sampling again (pool.py), for cases drawn from alike are one
frame.

What comes out of the tighter re-integration is taken for the truth. A censored row counts against the bound as it
stands, so one that the re-integration decides is no error of the estimate; such rows are told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from basins.errors import ArgumentError
from basins.estimate.counts import Counts, Measure
from basins.statistics import hypergeometric
from basins.statistics.binomial import CONFIDENCE, one_sided_lower, one_sided_upper

Outcomes = Mapping[tuple[str, str], int]
"""(verdict, what its re-integration found) -> rows: see basins.store.verified."""


@dataclass(frozen=True)
class Frame:
    """Labels of which each had the same chance to be drawn: how many of each verdict, minimum and saddle; what was
    found of those that were drawn, each row once; drawn: False for labels that no check could draw.
    """

    rows: Mapping[str, int]
    outcomes: Outcomes = field(default_factory=dict)
    drawn: bool = True

    def __add__(self, other: Frame) -> Frame:
        return Frame(
            Counter(self.rows) + Counter(other.rows),
            Counter(self.outcomes) + Counter(other.outcomes),
            self.drawn and other.drawn,
        )


Frames = Mapping[Hashable, Frame]
"""The frames of a case; what has the same key in two cases was drawn from alike, and is one frame of both."""


def frames_of(case: str, counts: Counts, checks: Outcomes | Frames | None) -> Frames:
    """Frames as they are; outcomes as those of rows drawn from all of the case's, and from this case alone. Raises
    ArgumentError for more checks than labels.
    """
    if checks and all(isinstance(one, Frame) for one in checks.values()):
        return checks  # type: ignore[return-value]
    rows = {"minimum": counts.minimum, "saddle": counts.saddle}
    if not checks:
        return {None: Frame(rows, drawn=False)}
    outcomes: Outcomes = checks  # type: ignore[assignment]
    for verdict, there in rows.items():
        found = sum(many for (labelled, _), many in outcomes.items() if labelled == verdict)
        if found > there:
            what = f"{found} labels {verdict} were checked of {there}"
            raise ArgumentError(what, where="outcomes", remedy="count each row once, of those that are counted")
    return {case: Frame(rows, outcomes)}


def together(of_cases: Iterable[Frames]) -> dict[Hashable, Frame]:
    """The frames of several cases, those drawn from alike as one."""
    found: dict[Hashable, Frame] = {}
    for frames in of_cases:
        for key, frame in frames.items():
            found[key] = found[key] + frame if key in found else frame
    return found


def unchecked(frames: Frames) -> bool:
    """Whether there are labels, of which no check could draw any."""
    return any(sum(one.rows.values()) for one in frames.values()) and not any(
        one.drawn and sum(one.rows.values()) for one in frames.values()
    )


@dataclass(frozen=True)
class Checked:
    """Labels of one verdict that were integrated again.

    checked: how many; disagreed: those that came out otherwise; undecided: those that came out censored, which agree
    with nothing; rows: labels of this verdict in all; uncovered: of these, those of frames none of which was drawn;
    wrong: at most so many of the rows, an undecided one counted as wrong; surely: at least so many, of those that
    disagreed alone; each at this level, 1 where it is a fact.
    """

    checked: int
    disagreed: int
    undecided: int
    rows: int
    uncovered: int
    wrong: int
    surely: int
    level: float

    @property
    def lower(self) -> float:
        """The exact lower bound on the share of wrong labels; 0 where there is no label."""
        return self.surely / self.rows if self.rows else 0.0

    @property
    def upper(self) -> float:
        """The exact upper bound on the share of wrong labels; 1 where there is no label."""
        return self.wrong / self.rows if self.rows else 1.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "checked": self.checked,
            "disagreed": self.disagreed,
            "undecided": self.undecided,
            "rows": self.rows,
            "uncovered": self.uncovered,
            "wrong": self.wrong,
            "lower": self.lower,
            "upper": self.upper,
            "level": self.level,
        }


def checked(frames: Sequence[Frame], verdict: str, level: float) -> Checked:
    """The labels of one verdict over these frames; level: of the bound on the wrong ones, where it is one."""
    found: list[tuple[int, int, int, int]] = []  # of each frame: labels, those drawn, those of them that do not agree,
    of: Counter[str] = Counter()  # and those that disagree
    for frame in frames:
        outcomes = Counter({one: many for (labelled, one), many in frame.outcomes.items() if labelled == verdict})
        of += outcomes
        wrong = outcomes["disagreed"] + outcomes["undecided"]
        found.append((frame.rows.get(verdict, 0), outcomes.total(), wrong, outcomes["disagreed"]))
    inferred = sum(0 < n < N for N, n, _, _ in found)
    each = 1 - (1 - level) / max(inferred, 1)
    return Checked(
        checked=of.total(),
        disagreed=of["disagreed"],
        undecided=of["undecided"],
        rows=sum(N for N, _, _, _ in found),
        uncovered=sum(N for N, n, _, _ in found if not n),
        wrong=sum(hypergeometric.upper(k, n, N, each) if 0 < n < N else N - n + k for N, n, k, _ in found),
        surely=sum(hypergeometric.lower(k, n, N, each) for N, n, _, k in found),
        level=level if inferred else 1.0,
    )


@dataclass(frozen=True)
class LabelError:
    """What was found of the labels, and what it makes of the bounds; see this module's docstring.

    censored: rows by what a re-integration made of them; saddle_measure: the interval with label error counted in;
    needed: so many checked minima, none of them wrong, make the bound on the share of wrong ones as small as that of
    the labels as computed.
    """

    minimum: Checked
    saddle: Checked
    censored: Mapping[str, int]
    saddle_measure: Measure
    needed: int

    def to_dict(self) -> dict[str, Any]:
        """The minima's error, on which the upper bound rests, then the rest."""
        return {
            **self.minimum.to_dict(),
            "saddle": self.saddle.to_dict(),
            "censored": dict(self.censored),
            "saddle_measure": self.saddle_measure.to_dict(),
            "needed": self.needed,
        }


def label_error(counts: Counts, checks: Outcomes | Frames, level: float = CONFIDENCE) -> LabelError | None:
    """The label error of the trajectories counted, checks: outcomes of rows drawn from all of them, or frames that are
    all of them; None where none was checked, or nothing is counted. Raises ArgumentError for more checks than labels.
    """
    N = counts.trajectories
    frames = list(frames_of("", counts, checks).values()) if N else []
    outcomes = sum((Counter(one.outcomes) for one in frames), Counter[tuple[str, str]]())
    if not outcomes:
        return None
    half = 1 - (1 - level) / 2
    minimum, saddle = (checked(frames, verdict, half) for verdict in ("minimum", "saddle"))
    headline = one_sided_upper(counts.saddle + counts.censored, N, level)
    return LabelError(
        minimum=minimum,
        saddle=saddle,
        censored={found: rows for (verdict, found), rows in sorted(outcomes.items()) if verdict == "censored"},
        saddle_measure=Measure(
            counts.saddle / N,
            one_sided_lower(counts.saddle - saddle.wrong, N, half if saddle.level < 1 else level),
            one_sided_upper(counts.saddle + counts.censored + minimum.wrong, N, half if minimum.level < 1 else level),
        ),
        needed=hypergeometric.draws(int(headline * minimum.rows), minimum.rows, half),
    )

"""The label error that `basins verify` measured, and the bounds on the saddle basins that include it.

A label is right or wrong about the true flow, but a count contains only labels. Of N trajectories, N_m are labelled
minimum, N_s saddle and N_c censored. If at most W_m of the minima and W_s of the saddles are wrong, then at most
N_s + N_c + W_m of the N truly end on a saddle, and at least N_s - W_s:

    upper = u(N_s + N_c + W_m of N),        lower = l(N_s - W_s of N).

W_m and W_s are exact bounds for drawing without replacement (hypergeometric.py): of n labels, drawn at random and
integrated again at 100 times tighter tolerances, k gave another verdict or were undecided. A bound and its W get half
of alpha each, so both hold with the bound's own confidence, whatever their dependence. If every label is checked, W = k
is known exactly, and the count gets all of alpha.

A sample counts for what it was drawn from (`Frame`). In a frame each label had the same chance to be drawn. W is summed
over frames, which share their half of alpha evenly. Labels that no check could draw all count as wrong. Over several
cases the frames are again those of the sampling (pool.py): cases that were sampled together are one frame.

The result of the tighter re-integration is taken as the truth. A censored row counts against the bound anyway, so one
that the re-integration decides is no error of the estimate; such rows are reported separately.
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
"""(verdict, outcome of the re-integration) -> number of rows; see basins.store.verified."""


@dataclass(frozen=True)
class Frame:
    """Labels that each had the same chance to be drawn: their number by verdict (minimum and saddle), the outcomes of
    those that were drawn, each row once, and `drawn`, which is False for labels that no check could draw.
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
"""The frames of a case. Frames with the same key in two cases were sampled together and are one frame of both."""


def frames_of(case: str, counts: Counts, checks: Outcomes | Frames | None) -> Frames:
    """`checks` as frames. Outcomes are taken as those of rows drawn from all rows of this case and of no other. Raises
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
            what = f"{found} labels {verdict} were checked, but only {there} exist"
            raise ArgumentError(what, where="outcomes", remedy="count each row once, and only rows that are counted")
    return {case: Frame(rows, outcomes)}


def together(of_cases: Iterable[Frames]) -> dict[Hashable, Frame]:
    """The frames of several cases, with those that were sampled together merged."""
    found: dict[Hashable, Frame] = {}
    for frames in of_cases:
        for key, frame in frames.items():
            found[key] = found[key] + frame if key in found else frame
    return found


def unchecked(frames: Frames) -> bool:
    """Whether there are labels and no check could draw any of them."""
    return any(sum(one.rows.values()) for one in frames.values()) and not any(
        one.drawn and sum(one.rows.values()) for one in frames.values()
    )


@dataclass(frozen=True)
class Checked:
    """The checks of labels of one verdict.

    checked: number integrated again; disagreed: number with another verdict; undecided: number whose re-integration was
    censored; rows: number of labels of this verdict; uncovered: number of these in frames from which none was drawn;
    wrong: upper bound on the number of wrong rows, counting undecided ones as wrong; surely: lower bound, from those
    that disagreed alone; each at this confidence, 1 if it is known exactly.
    """

    checked: int
    disagreed: int
    undecided: int
    rows: int
    uncovered: int
    wrong: int
    surely: int
    confidence: float

    @property
    def lower(self) -> float:
        """The exact lower bound on the share of wrong labels; 0 if there is no label."""
        return self.surely / self.rows if self.rows else 0.0

    @property
    def upper(self) -> float:
        """The exact upper bound on the share of wrong labels; 1 if there is no label."""
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
            "level": self.confidence,
        }


def checked(frames: Sequence[Frame], verdict: str, confidence: float) -> Checked:
    """The checks of labels of one verdict over these frames. confidence: of the bounds on the wrong ones, unless
    they are known exactly."""
    found: list[tuple[int, int, int, int]] = []  # per frame: labels, drawn, not agreeing, disagreeing
    of: Counter[str] = Counter()
    for frame in frames:
        outcomes = Counter({one: many for (labelled, one), many in frame.outcomes.items() if labelled == verdict})
        of += outcomes
        wrong = outcomes["disagreed"] + outcomes["undecided"]
        found.append((frame.rows.get(verdict, 0), outcomes.total(), wrong, outcomes["disagreed"]))
    inferred = sum(0 < n < N for N, n, _, _ in found)
    each = 1 - (1 - confidence) / max(inferred, 1)
    return Checked(
        checked=of.total(),
        disagreed=of["disagreed"],
        undecided=of["undecided"],
        rows=sum(N for N, _, _, _ in found),
        uncovered=sum(N for N, n, _, _ in found if not n),
        wrong=sum(hypergeometric.upper(k, n, N, each) if 0 < n < N else N - n + k for N, n, k, _ in found),
        surely=sum(hypergeometric.lower(k, n, N, each) for N, n, _, k in found),
        confidence=confidence if inferred else 1.0,
    )


@dataclass(frozen=True)
class LabelError:
    """The label error, and the bounds that include it; see the module's docstring.

    censored: censored rows by outcome of the re-integration; saddle_measure: the interval that includes the label
    error; needed: the number of checked minima, none of them wrong, that makes the bound on the share of wrong ones as
    small as the bound of the labels as computed.
    """

    minimum: Checked
    saddle: Checked
    censored: Mapping[str, int]
    saddle_measure: Measure
    needed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON values: the error of the minima, on which the upper bound rests, then the others."""
        return {
            **self.minimum.to_dict(),
            "saddle": self.saddle.to_dict(),
            "censored": dict(self.censored),
            "saddle_measure": self.saddle_measure.to_dict(),
            "needed": self.needed,
        }


def label_error(counts: Counts, checks: Outcomes | Frames, confidence: float = CONFIDENCE) -> LabelError | None:
    """The label error of the counted trajectories, None if none was checked or nothing is counted. checks: outcomes of
    rows drawn from all of them, or frames that cover all of them. Raises ArgumentError for more checks than labels.
    """
    N = counts.trajectories
    frames = list(frames_of("", counts, checks).values()) if N else []
    outcomes = sum((Counter(one.outcomes) for one in frames), Counter[tuple[str, str]]())
    if not outcomes:
        return None
    half = 1 - (1 - confidence) / 2
    minimum, saddle = (checked(frames, verdict, half) for verdict in ("minimum", "saddle"))
    headline = one_sided_upper(counts.saddle + counts.censored, N, confidence)
    return LabelError(
        minimum=minimum,
        saddle=saddle,
        censored={found: rows for (verdict, found), rows in sorted(outcomes.items()) if verdict == "censored"},
        saddle_measure=Measure(
            counts.saddle / N,
            one_sided_lower(counts.saddle - saddle.wrong, N, half if saddle.confidence < 1 else confidence),
            one_sided_upper(
                counts.saddle + counts.censored + minimum.wrong, N, half if minimum.confidence < 1 else confidence
            ),
        ),
        needed=hypergeometric.draws(int(headline * minimum.rows), minimum.rows, half),
    )

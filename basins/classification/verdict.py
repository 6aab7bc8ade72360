"""An end state -> verdict, reason, stratum, rank, evidence. design.md, Limits, is the law here; docs/verdicts.md
explains it.

A `minimum` and an `invariant` saddle are certified: the computed state at the stop proves where the flow goes from
there. An `outlasted` saddle is evidence: settled beside a normally hyperbolic saddle for twice the time in which the
least positive double would have left it, at three tolerances (saddle_wait.py waits, and only where it is asked to: rows
of a law with a density are `censored` as they settle). Anything else is `censored`, with its reason. A slow passage is
not a saddle; nothing is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basins.integrators.base import Ends, Stop, Visits
from basins.landscapes.deep_linear.certificates import level, loss_rounding
from basins.landscapes.deep_linear.critical.settling import Settling
from basins.landscapes.deep_linear.planted import invariant_levels, invariant_modes
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]

PATIENCE = 2
"""A saddle must outlast this many times the escape of the least positive double along its slowest way out."""


class Verdict(IntEnum):
    """Where a trajectory goes: codes into VERDICTS."""

    minimum = 0
    saddle = 1
    censored = 2


class Reason(IntEnum):
    """Why a row is censored: codes into REASONS."""

    evaluation_budget = 0
    step_underflow = 1
    non_finite = 2
    settled = 3
    t_end = 4
    rounding = 5


class Certificate(IntEnum):
    """What a verdict rests on: codes into CERTIFICATES."""

    level = 0
    rate = 1
    rank = 2
    invariant = 3
    outlasted = 4


VERDICTS = tuple(verdict.name for verdict in Verdict)
REASONS = ("evaluation budget", "step underflow", "non-finite", "settled", "t_end", "rounding")
CERTIFICATES = tuple(certificate.name for certificate in Certificate)
NONE = -1
"""Code of a reason or certificate that a row does not have, and of a rank that is not known."""

_REASONS = {
    Stop.BUDGET: Reason.evaluation_budget,
    Stop.STEP_UNDERFLOW: Reason.step_underflow,
    Stop.NON_FINITE: Reason.non_finite,
    Stop.T_END: Reason.t_end,
    Stop.RESTING: Reason.settled,
    Stop.LEVEL: Reason.rounding,  # below the level, but by less than the loss's own rounding
}
_REASON_OF_STOP = np.array([_REASONS[stop] for stop in Stop], dtype=np.int8)


@dataclass(frozen=True)
class VisitTable:
    """Visits on the way: row (M,) in the batch, number (M,) from 0, t, loss, gradient_norm (M,), modes (M,), rank (M,).

    modes and rank are those of the nearest stratum by D_W: the modes fitted by more than a half.
    """

    row: NDArray[np.int64]
    number: NDArray[np.int64]
    t: Array
    loss: Array
    gradient_norm: Array
    modes: NDArray[np.uint64]
    rank: NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """The limits of N trajectories and what they rest on. All arrays have N rows; codes are of Verdict, Reason,
    Certificate.

    state (N, n) and time: at the stop; loss_start, loss, gradient_norm: units of L, re-evaluated at both ends;
    verdict; reason (-1 unless censored); certificate (-1 if censored); margin: of the certificate (nan where there
    is none): for `level` and `invariant` 1 - L / level with L at the upper end of its rounding, for `rate` the
    guaranteed rate of ||M||, for `rank` the excess of the least rank over d_y - 1, for `outlasted` the distance to
    the stratum over ||W||; modes (bitmask of S) and rank: of the limit, rank -1 (and modes 0) where unknown;
    rank_gap: sigma_{r+1}(R) / sigma_r(R) at the state of an outlasted saddle, else nan; steps, rejected (-1 where
    the engine cannot tell), evaluations; drift: largest change of an invariant C_j over ||W_{j+1}||^2 + ||W_j||^2 at
    the start; loss_increase: largest increase of L in one accepted step, units of L.
    """

    state: Array
    time: Array
    loss_start: Array
    loss: Array
    gradient_norm: Array
    verdict: NDArray[np.int8]
    reason: NDArray[np.int8]
    certificate: NDArray[np.int8]
    margin: Array
    modes: NDArray[np.uint64]
    rank: NDArray[np.int16]
    rank_gap: Array
    steps: NDArray[np.int64]
    rejected: NDArray[np.int64]
    evaluations: NDArray[np.int64]
    drift: Array
    loss_increase: Array
    visits: VisitTable

    def __len__(self) -> int:
        return len(self.verdict)


# --- the verdict -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """A batch after integration: what `judge` needs.

    starts (N, n); ends: of the N rows; rate, least_rank (N,): certificates at t = 0 that stopped a row there (0 where
    none was asked or found); settled: row -> the Settling it ended at; outlasted: rows whose saddle outlasted; drift
    (N,) as in `Limits`, and visits: read in the coordinates that were integrated (compression/ keeps both).
    """

    starts: Array
    ends: Ends
    rate: Array
    least_rank: NDArray[np.int64]
    settled: dict[int, Settling]
    outlasted: frozenset[int]
    drift: Array
    visits: VisitTable


class _Said:
    """What is said of N rows, by and by: first nothing, and every row is censored."""

    def __init__(self, N: int) -> None:
        self.verdict = np.full(N, Verdict.censored, dtype=np.int8)
        self.reason = np.full(N, NONE, dtype=np.int8)
        self.certificate = np.full(N, NONE, dtype=np.int8)
        self.margin, self.rank_gap = np.full(N, np.nan), np.full(N, np.nan)
        self.modes, self.rank = np.zeros(N, dtype=np.uint64), np.full(N, NONE, dtype=np.int16)

    def prove(self, rows: Any, verdict: Verdict, by: Certificate, margin: Any, modes: Any, rank: Any) -> None:
        """These rows end on the stratum of these modes, and by what that is known."""
        self.verdict[rows], self.certificate[rows], self.margin[rows] = verdict, by, margin
        self.modes[rows], self.rank[rows] = modes, rank


def judge(problem: Problem, course: Course, delta: float) -> Limits:
    """The verdict of every row, re-evaluated from its end state: never inferred from why the engine stopped."""
    from basins.landscapes.deep_linear.evaluation import evaluate, loss  # brings numba, which takes its time

    ends = course.ends
    at_start, at_end = loss(problem, course.starts), evaluate(problem, ends.state)
    with np.errstate(over="ignore", invalid="ignore"):  # a non-finite row has its reason; numpy need not warn
        size = np.prod(np.sqrt(at_end.squares), axis=-1)
        rounding = loss_rounding(problem, ends.state, at_end.loss, size)
        at_most = at_end.loss + rounding
    unfitted = invariant_modes(problem, course.starts)
    said = _Said(len(course.starts))
    _minima(said, problem, course, at_most, unfitted, delta)
    _saddles_by_invariance(said, problem, ends.state, at_end.mode_losses, rounding, unfitted, delta)
    _saddles_that_outlasted(said, course)
    censored = np.flatnonzero(said.verdict == Verdict.censored)
    said.reason[censored] = _REASON_OF_STOP[ends.stop[censored]]
    said.reason[[row for row in course.settled if said.verdict[row] == Verdict.censored]] = Reason.settled
    return Limits(
        ends.state, ends.t, at_start, at_end.loss, at_end.gradient_norm, said.verdict, said.reason, said.certificate,
        said.margin, said.modes, said.rank, said.rank_gap, ends.steps, ends.rejected, ends.evaluations, course.drift,
        ends.loss_increase, course.visits,
    )  # fmt: skip


def _minima(
    said: _Said, problem: Problem, course: Course, at_most: Array, unfitted: NDArray[np.bool_], delta: float
) -> None:
    """By the certificates at t = 0 and by the loss level, L at its upper bound; a planted row reaches no minimum."""
    d_y, free = problem.d_y, ~unfitted.any(axis=-1)
    by_rate = (course.rate > 0) & free
    by_rank = (course.least_rank >= d_y) & free & ~by_rate
    by_level = (at_most < level(problem, delta)) & free & ~by_rate & ~by_rank
    for rows, by, margins in (
        (by_rate, Certificate.rate, course.rate),
        (by_rank, Certificate.rank, course.least_rank - (d_y - 1.0)),
        (by_level, Certificate.level, 1 - at_most / (0.5 * problem.sigma_min**2)),
    ):
        said.prove(rows, Verdict.minimum, by, margins[rows], (1 << d_y) - 1, d_y)


def _saddles_by_invariance(
    said: _Said,
    problem: Problem,
    state: Array,
    mode_losses: Array,
    rounding: Array,
    unfitted: NDArray[np.bool_],
    delta: float,
) -> None:
    """Rows whose zeros stayed, S^c = unfitted (N, d_y), with a loss below the level of the problem on S."""
    at = np.flatnonzero(unfitted.any(axis=-1))
    if not len(at):
        return
    _, ceiling = invariant_levels(problem, unfitted[at], delta)
    # L - 1/2 sum_{S^c} sigma^2 without cancellation: rows of E on S alone
    above = np.where(unfitted[at], 0.0, mode_losses[at]).sum(axis=-1) + rounding[at]
    still = (invariant_modes(problem, state[at]) | ~unfitted[at]).all(axis=-1)
    proved = still & (above < ceiling)
    at, fitted = at[proved], ~unfitted[at[proved]]
    margin = 1 - above[proved] / (ceiling[proved] / (1 - delta))
    said.prove(at, Verdict.saddle, Certificate.invariant, margin, _masks(fitted), fitted.sum(axis=-1))


def _saddles_that_outlasted(said: _Said, course: Course) -> None:
    """Rows that settled and stayed past every escape, where nothing is proved."""
    for row, at in course.settled.items():
        if row in course.outlasted and said.verdict[row] == Verdict.censored:
            said.prove(row, Verdict.saddle, Certificate.outlasted, at.distance, at.modes, at.rank)
            said.rank_gap[row] = at.rank_gap


def visit_table(problem: Problem, visits: Visits) -> VisitTable:
    """Visits with their loss and nearest stratum, ordered by row and time."""
    from basins.landscapes.deep_linear.evaluation import evaluate

    order = np.lexsort((visits.t, visits.row))
    row, state = visits.row[order], visits.state[order]
    first = np.searchsorted(row, row)
    there = evaluate(problem, state)
    near = there.fitted > 0.5
    return VisitTable(
        row=row,
        number=np.arange(len(row)) - first,
        t=visits.t[order],
        loss=there.loss,
        gradient_norm=visits.gradient_norm[order],
        modes=_masks(near),
        rank=near.sum(axis=-1),
    )


def _masks(modes: NDArray[np.bool_]) -> NDArray[np.uint64]:
    bits = np.left_shift(np.uint64(1), np.arange(modes.shape[-1], dtype=np.uint64))
    masks: NDArray[np.uint64] = np.where(modes, bits, np.uint64(0)).sum(axis=-1, dtype=np.uint64)
    return masks

"""From an end state to verdict, reason, stratum, rank and evidence: defined in design.md, Limits, and explained in
docs/verdicts.md.

A `minimum` and an `invariant` saddle are certified: the computed state at the stop proves where the flow goes from
there. An `outlasted` saddle is evidence: settled beside a normally hyperbolic saddle for twice the time in which the
least positive double would have left it, at three tolerances (saddle_wait.py waits, and only where it is asked to: rows
of a law with a density are `censored` as they settle). Anything else is `censored`, with its reason. A slow passage is
not a saddle, and no row is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from basins.classification import limit_table
from basins.classification.limit_table import Limit
from basins.dynamics.base import Dynamics
from basins.dynamics.gradient_flow import FLOW
from basins.integrators.base import IntegrationResult, Stop, Visits
from basins.landscapes.base import NONE, PLAIN, Codes, Decided, Landscape, Settling, Verdict, Vocabulary
from basins.rows import html

if TYPE_CHECKING:
    import pandas as pd

    from basins.trajectories import Trajectory

Array = NDArray[np.float64]

PATIENCE = 2
"""A saddle must outlast this many times the escape of the least positive double along its slowest way out."""


class Reason(IntEnum):
    """Why a row is censored: codes into REASONS."""

    evaluation_budget = 0
    step_underflow = 1
    non_finite = 2
    settled = 3
    t_end = 4
    rounding = 5


REASONS = ("evaluation budget", "step underflow", "non-finite", "settled", "t_end", "rounding")

_REASONS = {
    Stop.BUDGET: Reason.evaluation_budget,
    Stop.STEP_UNDERFLOW: Reason.step_underflow,
    Stop.NON_FINITE: Reason.non_finite,
    Stop.T_END: Reason.t_end,
    Stop.RESTING: Reason.settled,
    Stop.LEVEL: Reason.rounding,  # below the level, but by less than the loss's own rounding
}
REASON_OF_STOP = np.array([_REASONS[stop] for stop in Stop], dtype=np.int8)


@dataclass(frozen=True)
class VisitTable:
    """Visits on the way: row (M,) in the batch, number (M,) from 0, t, loss, gradient_norm (M,), code (M,), rank (M,).

    code and rank are those of the nearest critical set; of a deep linear network the modes fitted by more than a half.
    """

    row: NDArray[np.int64]
    number: NDArray[np.int64]
    t: Array
    loss: Array
    gradient_norm: Array
    code: Codes
    rank: NDArray[np.int64]

    @property
    def modes(self) -> Codes:
        """The codes of a deep linear network: bitmasks of S."""
        return self.code


@dataclass(frozen=True, eq=False)
class Limits:
    """The limits of N trajectories and what they rest on. All arrays have N rows; codes are positions in the words of
    the landscape (`landscape.critical.vocabulary`; of a deep linear network those of Verdict and Certificate), reasons
    those of Reason.

    state (N, n) and time: at the stop; loss_start, loss, gradient_norm: units of L, re-evaluated at both ends;
    verdict; reason (-1 unless censored); certificate (-1 if censored); margin: of the certificate (nan where there
    is none): for `trap`, and `invariant` of gradient descent, 1 - eta Lam / 2 on its ball; for `level` and `invariant`
    of the flow 1 - L / level with L at the upper end of its rounding, for `rate` the guaranteed rate of ||M||, for
    `rank` the excess of the least rank over d_y - 1, for `outlasted` the distance to the critical set over ||W||; code
    (of a deep linear network `modes`, the bitmask of S) and rank: of the limit's
    critical set, rank -1 (and code 0) where unknown; evidence: name -> numbers of an outlasted saddle, else nan
    (rank_gap: sigma_{r+1}(R) / sigma_r(R)); steps, rejected (-1 where the engine cannot tell), evaluations; drift:
    largest change of an invariant C_j over ||W_{j+1}||^2 + ||W_j||^2 at the start; loss_increase: largest increase of
    L in one accepted step, units of L; vocabulary: the landscape's words; trajectory: the flow at the times t_eval,
    where `integrate` was given some.

    `limits[3]` is one row (`Limit`); `limits[mask]`, `limits[2:5]` and `limits[[7, 1]]` are Limits of those rows; a
    loop goes over rows.
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
    code: Codes
    rank: NDArray[np.int16]
    evidence: Mapping[str, Array]
    steps: NDArray[np.int64]
    rejected: NDArray[np.int64]
    evaluations: NDArray[np.int64]
    drift: Array
    loss_increase: Array
    visits: VisitTable
    vocabulary: Vocabulary = PLAIN
    trajectory: Trajectory | None = None

    def __len__(self) -> int:
        return len(self.verdict)

    @overload
    def __getitem__(self, rows: int) -> Limit: ...
    @overload
    def __getitem__(self, rows: Any) -> Limits: ...
    def __getitem__(self, rows: Any) -> Limit | Limits:
        return limit_table.at(self, rows, REASONS)

    def __iter__(self) -> Iterator[Limit]:
        return (self[row] for row in range(len(self)))

    def to_pandas(self) -> pd.DataFrame:
        """A line a row, without the states: verdict, reason and certificate as categories, the critical set's code
        (`modes`: the bitmask of S) and its rank, missing where not known, and the numbers of this docstring; `t` is
        `time`."""
        return limit_table.to_pandas(self, REASONS)

    def __repr__(self) -> str:
        return f"Limits({'; '.join(limit_table.said(self, REASONS))})"

    def _repr_html_(self) -> str:
        return html("Limits", self.to_pandas(), limit_table.said(self, REASONS))

    @property
    def modes(self) -> Codes:
        """The codes of a deep linear network: bitmasks of S."""
        return self.code

    @property
    def rank_gap(self) -> Array:
        """sigma_{r+1}(R) / sigma_r(R) at the state of an outlasted saddle of a deep linear network, else nan."""
        return self.evidence["rank_gap"]


# --- the verdict -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class IntegratedBatch:
    """A batch after integration: what `judge` needs.

    starts (N, n); ends: of the N rows; at_start: what was proved at t = 0, where a row then stopped; settled: row ->
    what it settled on; outlasted: rows whose saddle outlasted; drift (N,) as in `Limits`, and visits: read in the
    coordinates that were integrated (a reduction keeps both).
    """

    starts: Array
    ends: IntegrationResult
    at_start: Decided
    settled: Mapping[int, Settling]
    outlasted: frozenset[int]
    drift: Array
    visits: VisitTable


def judge(landscape: Landscape, batch: IntegratedBatch, delta: float, dynamics: Dynamics = FLOW) -> Limits:
    """The verdict of every row, re-evaluated from its end state: never inferred from why the engine stopped."""
    critical, ends = landscape.critical, batch.ends
    loss_start, there = critical.loss(batch.starts), critical.evaluate(ends.state)
    if dynamics.continuous:
        decided = critical.decide(batch.starts, batch.at_start, ends.state, there, delta)
    else:
        decided = critical.certify_state(batch.starts, ends.state, there, dynamics, delta)
    evidence = {name: np.full(len(batch.starts), np.nan) for name in critical.evidence}
    for row, at in batch.settled.items():
        if row in batch.outlasted and decided.verdict[row] == NONE:
            by = critical.vocabulary.certificates.index("outlasted")
            decided.say(row, Verdict.saddle, by, at.distance, at.code, at.rank)
            for name in critical.evidence:
                evidence[name][row] = at.evidence[name]
    reason = np.full(len(batch.starts), NONE, dtype=np.int8)
    censored = np.flatnonzero(decided.verdict == NONE)
    reason[censored] = REASON_OF_STOP[ends.stop[censored]]
    reason[[row for row in batch.settled if decided.verdict[row] == NONE]] = Reason.settled
    decided.verdict[censored] = Verdict.censored
    return Limits(
        ends.state, ends.t, loss_start, there.loss, there.gradient_norm, decided.verdict, reason, decided.certificate,
        decided.margin, decided.code, decided.rank, evidence, ends.steps, ends.rejected, ends.evaluations, batch.drift,
        ends.loss_increase, batch.visits, critical.vocabulary,
    )  # fmt: skip


def visit_table(landscape: Landscape, visits: Visits) -> VisitTable:
    """Visits with their loss and nearest critical set, ordered by row and time."""
    order = np.lexsort((visits.t, visits.row))
    row, state = visits.row[order], visits.state[order]
    first = np.searchsorted(row, row)
    there = landscape.critical.evaluate(state)
    return VisitTable(
        row=row,
        number=np.arange(len(row)) - first,
        t=visits.t[order],
        loss=there.loss,
        gradient_norm=visits.gradient_norm[order],
        code=there.code,
        rank=there.rank,
    )

"""Summarises a case in one pass: everything that figures, survival and tails need of its rows, in a few kilobytes
whatever their number.

`Run.stream` reads one shard after the other, and only the needed columns. A pass holds one shard at a time, works with
any store (a folder or an object store, page checksums verified), and covers, in a run in progress, the contiguous
prefix that an estimate counts. pyarrow.dataset would keep readahead of many files in memory and needs its own file
system; DuckDB would be one more dependency. Numbers are counted in bins of 1/16 octave (histogram.py).

With rows = "exceptions" the minima of most ids have no row. Their times are then counted by octave, from the blocks:
the block's histogram of all times minus that of the rows that are not minima, which are all kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from basins.errors import RunError
from basins.store.schemas import LOG2_T_HIGH, LOG2_T_LOW
from basins.summary.histogram import LogHistogram, log_edges

if TYPE_CHECKING:
    import pandas as pd

    from basins.experiment import Case
    from basins.run_tables import Run

Array = NDArray[np.float64]

PER_OCTAVE = 16
"""Bins per octave if every row is kept: edges 4.4 % apart."""

SMALLEST, LARGEST = -60, 20
"""Octaves of relative drifts: from 1e-18 to 1e6."""

ROWS = ["verdict", "t", "evaluations", "drift"]


@dataclass(frozen=True)
class CaseSummary:
    """Counts and histograms of a case's contiguous prefix of ids.

    trajectories, minimum, saddle, censored: counts; certified: histogram of the minima's t at the stop, when each was
    certified; at_start: number of minima certified at t = 0, None if rows are not kept; first_censored: the earliest
    stop of a censored row, inf without any; evaluations: histogram over `evaluations_of` ("a trajectory", or "a block's
    mean" if rows are not kept); total_evaluations; drift: histogram over `drift_of` ("a trajectory", or "a block's
    worst"); worst_drift: nan if unknown.
    """

    case: Case
    trajectories: int
    minimum: int
    saddle: int
    censored: int
    certified: LogHistogram
    at_start: int | None
    first_censored: float
    evaluations: LogHistogram
    evaluations_of: str
    total_evaluations: int
    drift: LogHistogram
    drift_of: str
    worst_drift: float


def summarise(run: Run, case: str) -> CaseSummary:
    """Summarise a case, given by key or name, in one pass over its shards. Raises RunError for a damaged run."""
    return _Pass(run, case).summary()


def summaries(run: Run) -> list[CaseSummary]:
    """The summaries of all cases of the run, in the experiment's order."""
    return [summarise(run, case.key) for case in run.manifest.cases]


class _Pass:
    """One pass over the shards of a case that exist when it begins. Shards committed later are ignored."""

    def __init__(self, run: Run, case: str) -> None:
        self.run, self.case = run, run.case(case)
        self.shards = range(run.contiguous_prefix(case))
        self.all_rows = run.manifest.rows == "all"
        octave = PER_OCTAVE if self.all_rows else 1
        self.certified = LogHistogram(log_edges(LOG2_T_LOW, LOG2_T_HIGH, octave))
        self.evaluations = LogHistogram(log_edges(0, 40, PER_OCTAVE))
        self.drift = LogHistogram(log_edges(SMALLEST, LARGEST, 4))
        self.verdicts = dict.fromkeys(("minimum", "saddle", "censored"), 0)
        self.trajectories = self.kept = self.at_start = self.total_evaluations = 0
        self.worst_drift, self.first_censored = np.nan, np.inf

    def summary(self) -> CaseSummary:
        columns = ["first_id", "count", "minimum", "saddle", "censored", "evaluations", "worst_drift"]
        for blocks in self.run.stream("blocks", self.case.key, [*columns, "log2_t"], shards=self.shards):
            self.blocks(blocks)
        if self.all_rows:
            for rows in self.run.stream("trajectories", self.case.key, ROWS, shards=self.shards):
                self.rows(rows)
        else:
            for rows in self.run.stream("trajectories", self.case.key, ["verdict", "t"], shards=self.shards):
                self.exceptions(rows)
        self.check()
        every = self.all_rows
        return CaseSummary(
            case=self.case,
            trajectories=self.trajectories,
            **self.verdicts,
            certified=self.certified,
            at_start=self.at_start if every else None,
            first_censored=self.first_censored,
            evaluations=self.evaluations,
            evaluations_of="a trajectory" if every else "a block's mean",
            total_evaluations=self.total_evaluations,
            drift=self.drift,
            drift_of="a trajectory" if every else "a block's worst",
            worst_drift=self.worst_drift,
        )

    def blocks(self, blocks: pd.DataFrame) -> None:
        starts = self.trajectories + np.cumsum([0, *blocks["count"]])
        if not np.array_equal(blocks["first_id"], starts[:-1]):
            raise self.damaged("ids are missing between blocks")
        self.trajectories = int(starts[-1])
        for verdict in self.verdicts:
            self.verdicts[verdict] += int(blocks[verdict].sum())
        self.total_evaluations += int(blocks["evaluations"].sum())
        self.worst_drift = float(np.fmax(self.worst_drift, _floats(blocks["worst_drift"]).max(initial=-np.inf)))
        if np.isneginf(self.worst_drift):
            self.worst_drift = np.nan
        if not self.all_rows:
            self.certified.counts += np.sum(blocks["log2_t"].to_list(), axis=0, dtype=np.int64)
            self.evaluations.add(blocks["evaluations"] / blocks["count"])
            self.drift.add(_floats(blocks["worst_drift"]))

    def rows(self, rows: pd.DataFrame) -> None:
        """Add a shard that has a row for every id."""
        t, verdict = rows["t"].to_numpy(), rows["verdict"]
        minimum = (verdict == "minimum").to_numpy()
        self.kept += len(rows)
        self.certified.add(t[minimum])
        self.at_start += int(np.count_nonzero(t[minimum] == 0))
        self.censored_at(t[(verdict == "censored").to_numpy()])
        self.evaluations.add(rows["evaluations"].to_numpy(dtype=np.float64))
        self.drift.add(_floats(rows["drift"]))

    def exceptions(self, rows: pd.DataFrame) -> None:
        """Add a shard that has a row for every id that is not a minimum: subtract these from the histogram of all
        times."""
        t, verdict = rows["t"].to_numpy(), rows["verdict"]
        no_minimum = (verdict != "minimum").to_numpy()
        out = LogHistogram(self.certified.edges)
        out.add(t[no_minimum])
        self.certified.counts -= out.counts
        self.censored_at(t[(verdict == "censored").to_numpy()])

    def censored_at(self, t: Array) -> None:
        self.first_censored = min(self.first_censored, float(t.min(initial=np.inf)))

    def check(self) -> None:
        """Check that the counts of blocks and rows agree. If not, a file was changed."""
        if self.certified.total != self.verdicts["minimum"] or (self.certified.counts < 0).any():
            raise self.damaged("rows and blocks disagree on the number of minima")
        if self.all_rows and self.kept != self.trajectories:
            raise self.damaged(f"only {self.kept:,} rows exist of {self.trajectories:,} trajectories")

    def damaged(self, what: str) -> RunError:
        return RunError(
            what, where=f"{self.run.path}, case {self.case.key}", remedy="move the case's shards away and run again"
        )


def _floats(column: Any) -> Array:
    """A column as floats, null as nan."""
    values: Array = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values

"""Transitions from saddle to saddle, from the visits: which saddles trajectories pass, how closely, for how long and in
which order.

A visit is a local minimum of the gradient norm. It passes the nearest saddle (by D_W) if its distance is at most NEAR
(passage.py). The other visits are slow-downs, which are counted and then ignored. Consecutive visits that pass the same
saddle are one stay. A transition leads from one stay to the next, and the last one leads to the limit: a minimum's
stratum, a saddle's, or "censored". A visit has no duration, so the dwell time of a stay is the time from its first
visit to the first visit of the next stay, or to the stop. A start near a saddle that the flow leaves at once is a visit
at t = 0.

A trajectory is stopped when its limit is proved, most often when its loss falls below 1/2 sigma_min^2. What it passes
later is not recorded: neither the slow end at the minimum itself, nor the approach to the saddles whose critical value
is that loss level (S all modes but the least), if it comes after the crossing.

Only watched ids (every `visits_every`-th) have visits, and shares refer to them. Among them
- one that passes no saddle has a single transition from "start" to its limit;
- one that is censored ends in the node "censored": its transitions so far count, what would have followed is unknown,
  and its last dwell time, cut off by the budget, is only a lower bound. Such stays are counted separately.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError, RunError
from basins.estimate.sentences import stratum_text
from basins.landscapes.base import NEAR
from basins.statistics.binomial import ALPHA, CONFIDENCE, one_sided_upper, two_sided
from basins.summary.histogram import LogHistogram, log_edges

if TYPE_CHECKING:
    import pandas as pd

    from basins.experiment import Case
    from basins.run_tables import Run

Node = int
"""A bitmask of fitted modes, or one of START, CENSORED, UNKNOWN."""
START, CENSORED, UNKNOWN = -1, -2, -3
WORDS = {START: "start", CENSORED: "censored", UNKNOWN: "not known"}

MODES = 62
"""The largest number of modes: with more, bitmasks and the other nodes do not fit in 64 bits."""


@dataclass
class Stays:
    """The stays of all watched trajectories at one stratum. trajectories: number with a stay here; stays: number of
    stays; cut: number that ended by censoring; dwell: dwell times of the others, units of time; distance: closest
    approach of each stay, relative (passage.py); closest: the least of them; least_norm: the least |grad L|, units of L
    over units of weights."""

    trajectories: int
    stays: int
    cut: int
    dwell: LogHistogram
    distance: LogHistogram
    closest: float
    least_norm: float

    @classmethod
    def none(cls) -> Stays:
        dwell, near = LogHistogram(log_edges(-20, 44, 16)), LogHistogram(log_edges(-140, 1, 4))
        return cls(0, 0, 0, dwell, near, np.inf, np.inf)


@dataclass(frozen=True)
class Transitions:
    """The transition graph of a case.

    case; visits_every; watched: number of watched trajectories; visits: number of their visits; slow_downs: number of
    visits that pass no saddle; without: watched trajectories that pass no saddle; censored: censored watched ones;
    counts: (from, to) -> count; rank_increments: rank(to) - rank(from) -> count, over transitions between strata;
    stays: bitmask -> Stays.
    """

    case: Case
    visits_every: int
    watched: int
    visits: int
    slow_downs: int
    without: int
    censored: int
    counts: Mapping[tuple[Node, Node], int]
    rank_increments: Mapping[int, int]
    stays: Mapping[int, Stays]

    @property
    def passed(self) -> int:
        """The number of saddles passed by all watched trajectories: stays that were left, as far as is known."""
        return sum(count for (source, target), count in self.counts.items() if source >= 0 and target != CENSORED)

    @property
    def never_met(self) -> tuple[int, ...]:
        """The saddle strata that no watched trajectory passed or ended on, by falling loss; for d_y <= 20."""
        strata = self.case.problem.strata()
        if not strata.listable or not self.watched:
            return ()
        met = {node for edge in self.counts for node in edge}
        return tuple(stratum.mask for stratum in strata[:-1] if stratum.mask not in met)

    @property
    def bound(self) -> float | None:
        """The upper bound, one-sided at 95 %, on the share of the law that passes a stratum that no trajectory
        passed."""
        return one_sided_upper(0, self.watched, CONFIDENCE) if self.watched else None

    def sentence(self) -> str:
        """A description of what was watched, and of what is unknown."""
        if not self.visits_every:
            return "No id is watched (visits_every = 0), so nothing is known of the saddles passed on the way."
        if not self.watched:
            return "No watched id is counted yet."
        text = f"{self.watched:,} trajectories watched (every {self.visits_every}-th id), "
        text += f"{self.passed:,} saddles passed at a relative distance of at most {NEAR:g}"
        text += f"; {self.without:,} passed none" if self.without else ""
        text += f"; {self.slow_downs:,} slow-downs near no saddle" if self.slow_downs else ""
        text += f"; {self.censored:,} censored, whose way on is not known" if self.censored else ""
        return f"{text}."

    def table(self) -> pd.DataFrame:
        """One row per edge, by falling count: source and target (names), count, share of those that leave the source,
        and its 95 % interval lower, upper, for each edge separately."""
        import pandas as pd

        left: Counter[Node] = Counter()
        for (source, _), count in self.counts.items():
            left[source] += count
        rows = [
            (self.name(source), self.name(target), count, count / left[source], *two_sided(count, left[source], ALPHA))
            for (source, target), count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        ]
        return pd.DataFrame(rows, columns=["source", "target", "count", "share", "lower", "upper"])

    def strata_table(self) -> pd.DataFrame:
        """One row per saddle stratum that was passed, by falling loss: stratum, rank, loss, trajectories, their share
        of those watched, stays, cut, three quantiles of the dwell times, closest approach (relative) and its median,
        and the least gradient norm."""
        import pandas as pd

        strata = self.case.problem.strata()
        rows = []
        for mask in sorted(self.stays, key=lambda mask: (-strata.loss(mask), mask)):
            there, of = self.stays[mask], strata.of(mask)
            rows.append(
                {
                    "stratum": self.name(mask),
                    "rank": of.rank,
                    "loss": of.loss,
                    "trajectories": there.trajectories,
                    "share": there.trajectories / self.watched,
                    "stays": there.stays,
                    "cut": there.cut,
                    **{f"dwell_{100 * q:g}": there.dwell.quantile(q) for q in (0.05, 0.5, 0.95)},
                    "closest": there.closest,
                    "closest_median": there.distance.quantile(0.5),
                    "least_norm": there.least_norm,
                }
            )
        names = [
            "stratum", "rank", "loss", "trajectories", "share", "stays", "cut", "dwell_5", "dwell_50", "dwell_95",
            "closest", "closest_median", "least_norm",
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=names)

    def name(self, node: Node) -> str:
        """The name of a node: I(3), S = {0,2}; start; censored."""
        if node in WORDS:
            return WORDS[node]
        stratum = self.case.problem.strata().of(node)
        return stratum_text(stratum.index, stratum.modes)


def transitions(run: Run, case: str) -> Transitions:
    """The transition graph of a case's contiguous prefix; the case is given by key or name. Holds one shard at a time.

    Raises RunError for a damaged run, ArgumentError if d_y > 62.
    """
    return _Graph(run, case).transitions()


class _Graph:
    """Builds the graph shard by shard."""

    def __init__(self, run: Run, case: str) -> None:
        self.run, self.case, self.every = run, run.case(case), run.manifest.visits_every
        if self.case.problem.d_y > MODES:
            raise ArgumentError(
                f"{self.case.problem.d_y} modes",
                where="transitions",
                remedy=f"transitions are available for d_y <= {MODES}",
            )
        self.watched = self.visits = self.slow_downs = self.without = self.censored = 0
        self.counts: Counter[tuple[Node, Node]] = Counter()
        self.stays: dict[int, Stays] = {}

    def transitions(self) -> Transitions:
        shards = range(self.run.contiguous_prefix(self.case.key)) if self.every else range(0)
        columns = ["id", "verdict", "modes", "t"]
        rows = self.run.stream("trajectories", self.case.key, columns, shards=shards)
        visits = self.run.stream("visits", self.case.key, shards=shards)
        for of_shard, its_visits in zip(rows, visits, strict=True):
            self.shard(of_shard[of_shard["id"] % self.every == 0], its_visits)
        ranks: Counter[int] = Counter()
        for (source, target), count in self.counts.items():
            if source >= 0 and target >= 0:
                ranks[target.bit_count() - source.bit_count()] += count
        return Transitions(
            self.case, self.every, self.watched, self.visits, self.slow_downs, self.without, self.censored,
            dict(self.counts), dict(sorted(ranks.items())), self.stays,
        )  # fmt: skip

    def shard(self, rows: pd.DataFrame, visits: pd.DataFrame) -> None:
        """Add the watched trajectories of a shard: each one's start, the saddles it passed in order of time, its
        limit."""
        ids, of_visit = rows["id"].to_numpy(), visits["id"].to_numpy()
        if not np.isin(of_visit, ids).all():
            raise RunError(
                f"there are visits of id {of_visit[~np.isin(of_visit, ids)][0]}, which has no row or was not watched",
                where=f"{self.run.path}, case {self.case.key}",
                remedy="move the shard's files away and run again",
            )
        censored = (rows["verdict"] == "censored").to_numpy()
        self.watched += len(ids)
        self.visits += len(visits)
        visits = visits[visits["passes"]]
        self.slow_downs += len(of_visit) - len(visits)
        of_visit = visits["id"].to_numpy()
        self.censored += int(np.count_nonzero(censored))

        limit = np.where(censored, CENSORED, _nodes(rows["modes"]))
        nothing, last = np.full(len(ids), np.nan), np.full(len(ids), np.iinfo(np.int64).max)
        way = {
            "id": np.concatenate([ids, of_visit, ids]),
            "order": np.concatenate([np.full(len(ids), -1), visits["number"].to_numpy(dtype=np.int64), last]),
            "node": np.concatenate([np.full(len(ids), START), _nodes(visits["modes"]), limit]),
            "t": np.concatenate([np.zeros(len(ids)), visits["t"].to_numpy(), rows["t"].to_numpy()]),
            "distance": np.concatenate([nothing, _floats(visits["distance"]), nothing]),
            "norm": np.concatenate([nothing, _floats(visits["gradient_norm"]), nothing]),
        }
        order = np.lexsort((way["order"], way["id"]))
        self.add({name: values[order] for name, values in way.items()})

    def add(self, way: Mapping[str, NDArray[np.float64]]) -> None:
        """Add steps, in the order of id and time. A step at the same node as the one before it is the same stay."""
        if not len(way["id"]):
            return
        id, node = way["id"], way["node"]
        same_id = id[1:] == id[:-1]
        first = np.append(True, ~(same_id & (node[1:] == node[:-1])))
        at = np.flatnonzero(first)  # the first step of each stay
        ends = np.append(at[1:], len(id))
        leaves = np.append(id[at][1:] == id[at][:-1], False)  # another stay of the same id follows
        source, target = node[at][leaves].astype(np.int64), node[at][np.flatnonzero(leaves) + 1].astype(np.int64)
        edges, counts = np.unique(np.column_stack([source, target]), axis=0, return_counts=True)
        for (a, b), count in zip(edges.tolist(), counts.tolist(), strict=True):
            self.counts[a, b] += count
        steps = np.unique(id[at][leaves], return_counts=True)[1]
        self.without += int(np.count_nonzero(steps == 1))

        distance, norm = (np.fmin.reduceat(way[name], at) for name in ("distance", "norm"))
        until = np.where(leaves, way["t"][np.append(at[1:], at[-1])], way["t"][ends - 1])
        cut = leaves & (np.append(node[at][1:], START) == CENSORED)
        for mask in np.unique(node[at][(node[at] >= 0) & ~np.isnan(distance)]):
            here = (node[at] == mask) & ~np.isnan(distance)
            there = self.stays.setdefault(int(mask), Stays.none())
            there.trajectories += len(np.unique(id[at][here]))
            there.stays += int(np.count_nonzero(here))
            there.cut += int(np.count_nonzero(here & cut))
            whole_stay = here & ~cut
            there.dwell.add(until[whole_stay] - way["t"][at][whole_stay])
            there.distance.add(distance[here])
            there.closest = min(there.closest, float(distance[here].min()))
            there.least_norm = min(there.least_norm, float(norm[here].min()))


def _nodes(modes: pd.Series[int]) -> NDArray[np.int64]:
    """Bitmasks, with UNKNOWN for null."""
    known = modes.notna().to_numpy()
    found: NDArray[np.int64] = np.full(len(modes), UNKNOWN, dtype=np.int64)
    found[known] = modes[modes.notna()].to_numpy(dtype=np.uint64).astype(np.int64)
    return found


def _floats(column: Any) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values

"""The sampling frames of checked labels: the populations over which a run's label error is bounded.

A sample of `basins verify` is drawn within each verdict from the shards that existed (store/verified.py). It counts for
the labels that these shards had, not for shards that came later or were computed again to different bytes, nor for rows
that a later layer decided. Shards from which the same samples were drawn form one frame: given their number, the rows
that any of these samples drew, each counted once, are a random draw from the frame.

Each frame takes a share of alpha, so using the samples of one population only may give a better bound. The rows of the
other samples then count only for themselves. So do rows of samples whose population is unknown, and rows drawn before a
layer from shards that were sampled again after it. Such rows are removed from the frame that they lie in and form one
frame that is checked completely. The choice of samples depends on how many rows were drawn from how many, never on the
outcomes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from basins.errors import RunError
from basins.estimate.labels import Frame, Frames
from basins.laws import BLOCK
from basins.statistics import hypergeometric
from basins.statistics.binomial import ALPHA

if TYPE_CHECKING:
    from basins.run_tables import Run
    from basins.store.verified import Outcome, Sample

Mask = NDArray[np.bool_]

ONE_BY_ONE = "one by one"
"""The key of the frame of rows that count only for themselves. The other keys are tuples of sample numbers, () for the
shards that no sample was drawn from."""


@dataclass(frozen=True)
class Tally:
    """The numbers of rows labelled minimum and saddle in each counted shard of a case, in order."""

    minimum: NDArray[np.int64]
    saddle: NDArray[np.int64]

    def rows(self, where: Mask) -> Counter[str]:
        return Counter(minimum=int(self.minimum[where].sum()), saddle=int(self.saddle[where].sum()))


def frames_of_run(run: Run, samples: Sequence[Sample], tallies: Mapping[str, Tally]) -> dict[str, Frames]:
    """The frames of each case, by key; empty if no sample was drawn from it. tallies: of the counted shards of each
    case. Raises RunError if a sample and the run's rows contradict each other.
    """
    if not samples:
        return {}
    cases = {key: _Case(run, key, samples, tally) for key, tally in tallies.items()}
    serving = _serving(samples, [case for key, case in cases.items() if not run.case(key).law.null])
    return {key: case.frames(serving) for key, case in cases.items()}


class _Case:
    """The counted shards of a case, and the samples that were drawn from them."""

    def __init__(self, run: Run, key: str, samples: Sequence[Sample], tally: Tally) -> None:
        self.run, self.key, self.samples, self.tally = run, key, samples, tally
        self.case = run.case(key)
        self.shards = len(tally.minimum)

    @cached_property
    def now(self) -> NDArray[np.int64]:
        """The number of layers over each shard."""
        over = self.run.view.over
        return np.array([len(over(self.case, shard)) for shard in range(self.shards)], dtype=np.int64)

    @cached_property
    def then(self) -> NDArray[np.int64]:
        """The number of layers over each shard when each sample was drawn, (samples, shards); -1 where the labels of
        that time no longer exist.

        Layers are added in order, so the layers of that time are the first ones of today.
        """
        found = np.full((len(self.samples), self.shards), -1, dtype=np.int64)
        for k, sample in enumerate(self.samples):
            # An earlier version wrote only the number of shards in all layers.
            if sample.drawn_from is None:
                if sample.layers == self.run.view.committed:
                    found[k] = self.now
                continue
            there = sample.drawn_from.get(self.key)
            if there is None:
                continue
            outgrown = there.outgrown(self.run.files, self.run.manifest, self.key)
            if outgrown is None:
                continue
            layers = {number: frozenset(over) for number, over in there.layers.items()}
            for shard in there.shards:
                if shard < self.shards and shard not in outgrown:
                    then = {number for number, over in layers.items() if shard in over}
                    if then <= {layer.number for layer in self.run.view.over(self.case, shard)}:
                        found[k, shard] = len(then)
        return found

    @cached_property
    def latest(self) -> NDArray[np.int64]:
        """The largest number of layers over each shard when any sample was drawn from it, -1 if none was."""
        known = [k for k, sample in enumerate(self.samples) if sample.drawn_from is not None]
        found: NDArray[np.int64] = np.max(self.then[known], axis=0, initial=-1)
        return found

    def cells(self, serving: Collection[int]) -> Iterator[tuple[tuple[int, ...], Mask]]:
        """Sets of shards that were last drawn from by the same samples: those samples, and the shards."""
        if not serving or not self.shards:
            yield (), np.ones(self.shards, dtype=bool)
            return
        drawn = (self.then[list(serving)] == self.latest) & (self.latest >= 0)
        patterns, of = np.unique(drawn, axis=1, return_inverse=True)
        for number, pattern in enumerate(patterns.T):
            yield tuple(k for k, one in zip(serving, pattern, strict=True) if one), of.ravel() == number

    def frames(self, serving: Collection[int]) -> Frames:
        found, alone = self._rows(serving)
        frames: dict[Hashable, Frame] = {}
        later: Counter[str] = Counter()
        for drawn_by, where in self.cells(serving):
            rows = self._labels(where) if drawn_by else self.tally.rows(where)
            later.update(self.tally.rows(where) - rows)
            inside = {id: outcome for id, outcome in found.items() if where[self._shard(id)]}
            rows.subtract(inside[id][0] for id in inside.keys() & alone if inside[id][0] in rows)
            outcomes = Counter(outcome for id, outcome in inside.items() if id not in alone)
            drawn = Counter(verdict for verdict, _ in outcomes.elements())
            if any(rows[verdict] < drawn[verdict] for verdict in rows):
                raise RunError(
                    f"the checked labels of case {self.case.name} are not those of its rows",
                    where=self.run.path,
                    remedy="move the files of RUN/verified away, and run `basins verify` again",
                )
            frames[drawn_by] = Frame(rows, outcomes, drawn=bool(drawn_by))
        if later:
            nothing = Frame(later, drawn=False)
            frames[()] = frames[()] + nothing if () in frames else nothing
        if alone:
            labels = Counter(found[id][0] for id in alone)
            rows = Counter({verdict: labels[verdict] for verdict in ("minimum", "saddle")})
            frames[ONE_BY_ONE] = Frame(rows, Counter(found[id] for id in alone))
        return frames

    def _rows(self, serving: Collection[int]) -> tuple[dict[int, Outcome], set[int]]:
        """The worst outcome of each checked row, and the ids of the rows that count only for themselves."""
        from basins.store.verified import worse

        found: dict[int, Outcome] = {}
        alone: set[int] = set()
        for k, sample in enumerate(self.samples):
            for id, outcome in sample.rows.get(self.key, {}).items():
                shard = self._shard(id)
                if shard >= self.shards or id >= self.case.trajectories or self.then[k, shard] < 0:
                    continue
                if outcome[0] == "censored" and self.then[k, shard] < self.now[shard]:
                    continue  # a layer may have decided the row since
                if self.then[k, shard] > self.latest[shard] >= 0:
                    continue  # from an earlier version, and perhaps decided after the others were drawn
                found[id] = worse(found.get(id, outcome), outcome)
                if k not in serving or self.then[k, shard] < self.latest[shard]:
                    alone.add(id)
        return found, alone

    def _shard(self, id: int) -> int:
        return id // (BLOCK * self.run.manifest.blocks_per_shard)

    def _labels(self, where: Mask) -> Counter[str]:
        """The labels of these shards when they were last drawn from."""
        from basins.store.layered_view import View

        same = where & (self.latest == self.now)
        rows = self.tally.rows(same)
        for shard in np.flatnonzero(where & ~same).tolist():
            layers = self.run.view.over(self.case, shard)[: self.latest[shard]]
            below = View(self.run.files, layers, self.run.manifest)
            blocks = below.part("blocks", self.case, shard, [*rows])
            rows.update({verdict: sum(blocks[verdict].to_pylist()) for verdict in rows})
        return rows


def _serving(samples: Sequence[Sample], cases: Sequence[_Case]) -> tuple[int, ...]:
    """The choice of samples that gives the least bound if no label is wrong: all of them, or those of one population.
    cases: those whose law has a density.
    """
    known = [k for k, sample in enumerate(samples) if sample.drawn_from is not None]
    populations: dict[str, list[int]] = {}
    for k in known:
        there = samples[k].drawn_from or {}
        populations.setdefault(str(sorted((key, one.sha256) for key, one in there.items())), []).append(k)
    drawn = [
        sum(verdict == "minimum" for case in cases for verdict, _ in sample.rows.get(case.key, {}).values())
        for sample in samples
    ]

    def wrong(serving: list[int]) -> int:
        sizes: Counter[tuple[int, ...]] = Counter()
        for case in cases:
            for drawn_by, where in case.cells(serving):
                sizes[drawn_by] += case.tally.rows(where)["minimum"]
        each = 1 - ALPHA / 2 / max(1, len(sizes))
        found = 0
        for drawn_by, N in sizes.items():
            n = sum(drawn[k] * N / max(1, samples[k].sizes.get("minimum", 0)) for k in drawn_by)
            found += hypergeometric.upper(0, min(N, round(n)), N, each)
        return found

    candidates: list[list[int]] = [known, *populations.values()] if len(populations) > 1 else [known]
    best: list[int] = min(candidates, key=wrong)
    return tuple(best)

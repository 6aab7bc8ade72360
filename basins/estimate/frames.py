"""What the labels of a run were drawn from when they were checked: the frames that its label error is bounded over.

A sample of `basins verify` is drawn within each verdict from the shards that were there (store/verified.py), and counts
for the labels that these had: not for shards that came later or were computed again to other bytes, nor for rows that a
later layer decided. Shards from which the same samples were drawn are one frame: the rows that any of these drew, each
counted once, are drawn from it at random, given how many they are.

More frames take more of alpha each, so the samples of one population may serve better alone. The rows of the others
then count for themselves, as do those of samples of which it is not known what they were drawn from, and those drawn
before a layer from shards that were drawn from after it: they are taken out of the frame that they lie in, and are one
that is checked all over. Which samples serve is decided by how many rows were drawn from how many, never by what was
found.
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
"""The key of the frame of rows that count for themselves. Those of samples are the numbers of these, () for none."""


@dataclass(frozen=True)
class Tally:
    """Labels of the counted shards of a case, in order: those labelled minimum, and those labelled saddle."""

    minimum: NDArray[np.int64]
    saddle: NDArray[np.int64]

    def rows(self, where: Mask) -> Counter[str]:
        return Counter(minimum=int(self.minimum[where].sum()), saddle=int(self.saddle[where].sum()))


def frames_of_run(run: Run, samples: Sequence[Sample], tallies: Mapping[str, Tally]) -> dict[str, Frames]:
    """The frames of each case, by key; empty where no sample was drawn. tallies: of the counted shards of each case.
    Raises RunError where a sample and the run's rows contradict each other.
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
        """How many layers lie over each shard."""
        over = self.run.view.over
        return np.array([len(over(self.case, shard)) for shard in range(self.shards)], dtype=np.int64)

    @cached_property
    def then(self) -> NDArray[np.int64]:
        """How many lay over each when each sample was drawn, (samples, shards); -1 where its labels are not kept.

        Layers are laid in order, so those of then are the first ones of now.
        """
        found = np.full((len(self.samples), self.shards), -1, dtype=np.int64)
        for k, sample in enumerate(self.samples):
            if sample.drawn_from is None:  # of an earlier version, which says how many shards all layers had
                if sample.layers == self.run.view.committed:
                    found[k] = self.now
                continue
            there = sample.drawn_from.get(self.key)
            if there is None or not there.still(self.run.files, self.key):
                continue
            layers = {number: frozenset(over) for number, over in there.layers.items()}
            for shard in there.shards:
                if shard < self.shards:
                    then = {number for number, over in layers.items() if shard in over}
                    if then <= {layer.number for layer in self.run.view.over(self.case, shard)}:
                        found[k, shard] = len(then)
        return found

    @cached_property
    def latest(self) -> NDArray[np.int64]:
        """The most layers under which any sample was drawn from each shard, -1 where none was."""
        known = [k for k, sample in enumerate(self.samples) if sample.drawn_from is not None]
        found: NDArray[np.int64] = np.max(self.then[known], axis=0, initial=-1)
        return found

    def cells(self, serving: Collection[int]) -> Iterator[tuple[tuple[int, ...], Mask]]:
        """The samples from which the same shards were drawn last, and those shards."""
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
                    f"the labels that were checked of case {self.case.name} are not those of its rows",
                    where=self.run.path,
                    remedy="move the files of RUN/verified away, and `basins verify` again",
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
        """What was found of each row that was checked, the worst of it, and the ids that count for themselves."""
        from basins.store.verified import worse

        found: dict[int, Outcome] = {}
        alone: set[int] = set()
        for k, sample in enumerate(self.samples):
            for id, outcome in sample.rows.get(self.key, {}).items():
                shard = self._shard(id)
                if shard >= self.shards or id >= self.case.trajectories or self.then[k, shard] < 0:
                    continue
                if outcome[0] == "censored" and self.then[k, shard] < self.now[shard]:
                    continue  # it may have been decided since
                if self.then[k, shard] > self.latest[shard] >= 0:
                    continue  # of an earlier version, and perhaps decided after the others were drawn
                found[id] = worse(found.get(id, outcome), outcome)
                if k not in serving or self.then[k, shard] < self.latest[shard]:
                    alone.add(id)
        return found, alone

    def _shard(self, id: int) -> int:
        return id // (BLOCK * self.run.manifest.blocks_per_shard)

    def _labels(self, where: Mask) -> Counter[str]:
        """Labels of these shards when they were drawn from last."""
        from basins.store.layered_view import View

        same = where & (self.latest == self.now)
        rows = self.tally.rows(same)
        for shard in np.flatnonzero(where & ~same).tolist():
            below = View(self.run.files, self.run.view.over(self.case, shard)[: self.latest[shard]])
            blocks = below.part("blocks", self.case, shard, [*rows])
            rows.update({verdict: sum(blocks[verdict].to_pylist()) for verdict in rows})
        return rows


def _serving(samples: Sequence[Sample], cases: Sequence[_Case]) -> tuple[int, ...]:
    """The samples over whose frames the bound is least if no label is wrong: all, or those of one population. cases:
    those whose law has a density.
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

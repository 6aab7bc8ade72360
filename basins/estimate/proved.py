"""The proved starts of a case (store/proved.py), and the bound on the saddle basins that rests on them alone.

A start is proved if every exact flow from it goes to a global minimum. The proof uses no label, tolerance or
integration. Of n starts drawn from the law, of which all but k are proved, at most k lie in a saddle's basin, so

    upper = u(k of n),

the exact one-sided bound (Clopper and Pearson), in which each start that is not proved counts as a saddle. The n starts
are chosen before their outcomes are known: the ids of `all` up to the first shard without proofs, and those of every
finished sample. A sample's ids are drawn independently of their outcomes, so its starts are themselves n independent
draws from the law: the sample bounds the law's measure with its own n, without an inference to the starts that were not
tried.

Cases are pooled only if every counted trajectory in each of them was tried. The pool then has the same weights as
without proofs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from basins.statistics.binomial import CONFIDENCE, one_sided_upper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from basins.experiment import Case
    from basins.run_tables import Run
    from basins.store.folder import Folder
    from basins.store.layered_view import View
    from basins.store.proved import Proving

CONTRADICTIONS = 3
"""The number of ids kept per case that are labelled saddle and proved to go to a minimum."""


@dataclass(frozen=True)
class Proved:
    """The proofs of a case or of a pool. tried, proved: numbers of starts; every: whether all counted trajectories were
    tried; saddles: number of proved starts that are labelled saddle, whose labels are therefore wrong; contradicted:
    the first few of them; confidence: of the bound."""

    tried: int
    proved: int
    every: bool
    saddles: int = 0
    contradicted: tuple[int, ...] = ()
    confidence: float = CONFIDENCE

    @property
    def upper(self) -> float:
        """The bound on the measure of the saddle basins."""
        return one_sided_upper(self.tried - self.proved, self.tried, self.confidence)

    def to_dict(self) -> dict[str, Any]:
        return {
            "tried": self.tried,
            "proved": self.proved,
            "every": self.every,
            "upper": self.upper,
            "level": self.confidence,
            "contradicted": {"saddles": self.saddles, "ids": list(self.contradicted)},
        }


def together_proved(of_cases: Sequence[Proved | None]) -> Proved | None:
    """The proofs of a pool, None if some case has trajectories that were not tried."""
    found = [one for one in of_cases if one is not None and one.every]
    if not found or len(found) < len(of_cases):
        return None
    return Proved(
        sum(one.tried for one in found),
        sum(one.proved for one in found),
        every=True,
        saddles=sum(one.saddles for one in found),
    )


def proved_of_run(run: Run, counted: Mapping[str, NDArray[np.int64]]) -> dict[str, Proved]:
    """The proofs of each case, by key, within its counted shards. counted: for each case, the number of rows labelled
    saddle in each of these shards. Raises RunError for a damaged file of proofs."""
    from basins.store.proved import folders, missing

    there = [
        (proving, folder)
        for proving, folder in folders(run.files, run.manifest)
        # In a sample in progress the fast shards are done first, so counting it would be biased.
        if proving.sample is None or not any(missing(folder, proving, case) for case in proving.cases)
    ]
    found = {key: _proved(run, run.case(key), saddles, there) for key, saddles in counted.items()} if there else {}
    return {key: one for key, one in found.items() if one is not None}


def _proved(run: Run, case: Case, saddles: NDArray[np.int64], there: Sequence[tuple[Proving, Folder]]) -> Proved | None:
    from basins.store import proved

    counted = len(saddles)
    tried = of_these = prefix = 0
    beyond, proved_beyond, contradicted = [np.empty(0, np.int64)], [np.empty(0, np.bool_)], set[int]()
    for proving, folder in there:
        if proving.sample is None:
            done = proved.there(folder, case.key)
            prefix = next((k for k, shard in enumerate(done) if shard != k), len(done))
            short = proved.short_there(folder, proving, case)  # since the run has grown
            prefix = min([prefix, counted, *(shard + 1 for shard in short)])
            for shard in range(prefix):
                rows, good = proved.counts(folder, proving, case, shard)
                tried, of_these = tried + rows, of_these + good
            shards: Sequence[int] = range(prefix)
        else:
            shards = [shard for shard in proving.of_case.get(case.key, ()) if shard < counted]
            for shard in shards:
                proved.counts(folder, proving, case, shard)
                if shard >= prefix:
                    table = proved.read(folder, case, shard, ["id", "proved"])
                    beyond.append(table["id"].to_numpy())
                    proved_beyond.append(table["proved"].to_numpy())
        for shard in shards:
            if saddles[shard]:
                contradicted.update(saddles_proved(run.view, case, folder, shard))
    ids, first = np.unique(np.concatenate(beyond), return_index=True)  # an id in two samples is one start
    tried += len(ids)
    of_these += int(np.concatenate(proved_beyond)[first].sum())
    if not tried:
        return None
    every = tried == sum(run.view.length(case, shard) for shard in range(counted))
    wrong = sorted(contradicted)
    return Proved(tried, of_these, every, len(wrong), tuple(wrong[:CONTRADICTIONS]))


def saddles_proved(view: View, case: Case, folder: Folder, shard: int) -> list[int]:
    """The ids of a shard that are labelled saddle (with layers applied) and proved to go to a minimum."""
    from basins.store import proved

    if not pc.sum(view.part("blocks", case, shard, ["saddle"])["saddle"]).as_py():
        return []
    labelled = view.part("trajectories", case, shard, ["id"], pc.field("verdict") == "saddle")["id"]
    rows = proved.read(folder, case, shard, ["id", "proved"], pc.field("proved"))
    found: list[int] = pc.filter(rows["id"], pc.is_in(rows["id"], value_set=labelled)).to_pylist()
    return found

"""What was proved of a case's starts (store/proved.py), and the bound on the saddle basins that rests on that alone.

A start is proved where every exact flow from it goes to a global minimum: no label, no tolerance and no integration
enters. Of n starts drawn from the law, of which all but k are proved, at most k lie in a saddle's basin, so

    upper = u(k of n),

the exact one-sided bound (Clopper and Pearson), in which each start that is not proved counts as a saddle. Which n
starts is decided before it is known what becomes of them: the ids of `all` up to the first shard without proofs, and
those of every sample that is finished. A sample's ids are drawn whatever becomes of them, so its starts are n
independent draws from the law themselves: it bounds the law's measure with its own n, and no inference to the starts
that were not tried comes in between.

Cases are pooled where in each of them every trajectory that is counted was tried: then the pool has the weights that it
has without proofs.
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
"""So many ids that are labelled saddle and proved a minimum are kept of each case."""


@dataclass(frozen=True)
class Proved:
    """What was tried of a case, or of a pool. tried, proved: starts; every: whether these are all the trajectories that
    are counted; saddles: of the starts tried, those labelled saddle that are proved, whose labels are wrong, and the
    first few of them; level: of the bound."""

    tried: int
    proved: int
    every: bool
    saddles: int = 0
    contradicted: tuple[int, ...] = ()
    level: float = CONFIDENCE

    @property
    def upper(self) -> float:
        """The bound on the measure of the saddle basins."""
        return one_sided_upper(self.tried - self.proved, self.tried, self.level)

    def to_dict(self) -> dict[str, Any]:
        return {
            "tried": self.tried,
            "proved": self.proved,
            "every": self.every,
            "upper": self.upper,
            "level": self.level,
            "contradicted": {"saddles": self.saddles, "ids": list(self.contradicted)},
        }


def together_proved(of_cases: Sequence[Proved | None]) -> Proved | None:
    """What was proved of a pool; None where some case has trajectories that were not tried."""
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
    """What was proved of each case, by key, as far as shards are counted; counted: of each case how many rows of each
    of these shards are labelled saddle. Raises RunError for a damaged file of proofs."""
    from basins.store.proved import folders, missing

    there = [
        (proving, folder)
        for proving, folder in folders(run.files, run.manifest)
        # Of a sample in progress the fast shards are done first: counted so far, it would be biased.
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
            prefix = min(prefix, counted)
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
    ids, first = np.unique(np.concatenate(beyond), return_index=True)  # an id of two samples is one start
    tried += len(ids)
    of_these += int(np.concatenate(proved_beyond)[first].sum())
    if not tried:
        return None
    every = tried == sum(len(run.manifest.ids(case, shard)) for shard in range(counted))
    wrong = sorted(contradicted)
    return Proved(tried, of_these, every, len(wrong), tuple(wrong[:CONTRADICTIONS]))


def saddles_proved(view: View, case: Case, folder: Folder, shard: int) -> list[int]:
    """The ids of a shard that the run, as its layers leave it, labels saddle, and that are proved a minimum."""
    from basins.store import proved

    if not pc.sum(view.part("blocks", case, shard, ["saddle"])["saddle"]).as_py():
        return []
    labelled = view.part("trajectories", case, shard, ["id"], pc.field("verdict") == "saddle")["id"]
    rows = proved.read(folder, case, shard, ["id", "proved"], pc.field("proved"))
    found: list[int] = pc.filter(rows["id"], pc.is_in(rows["id"], value_set=labelled)).to_pylist()
    return found

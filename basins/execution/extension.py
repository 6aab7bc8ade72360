"""Extending a run: integrate rows whose budget was spent again, from t = 0, with a larger budget, into a new layer.

Steps do not depend on the budget (integrators/base.py, 2), so a row passes through the state at which it stopped
before, and a run that is extended to a budget has the same rows as one that had this budget from the start
(docs/design.md, Layers). These rows are integrated again: those `censored` for their `evaluation budget`, and those of
a null law that rest beside a saddle (`settled`), because the budget limits how long the integrator waits for them. Rows
of a law with a density are never waited for, whatever the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, reduce
from operator import or_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from basins import laws
from basins.classification.classify_batch import integrate_batch
from basins.classification.verdict import REASONS, Reason
from basins.errors import ArgumentError, RunError
from basins.execution.shard import BATCH, MEMORY, Commit, ShardSummary, Task, Telemetry, open_manifest, timed
from basins.experiment import Case, watched
from basins.integrators.base import Array
from basins.laws import BLOCK
from basins.store import (
    Files,
    Kind,
    Manifest,
    ShardTables,
    commit_shard,
    committed_digests,
    files_at,
    is_committed,
    layout,
    missing_shards,
    parquet,
    rows,
)
from basins.store.block_recount import recounted
from basins.store.layered_view import View
from basins.store.layers import Layer, read_layer, read_layers
from basins.store.manifest import refuse_read_only
from basins.store.schemas import Tables

WORK = "basins.execution.extension:work"
"""The work of a runner for each shard of a layer; its run_path is `path_of`."""

SPENT = (REASONS[Reason.evaluation_budget], REASONS[Reason.settled])
"""Reasons that a larger budget may change; the second only for null laws, whose rows are waited for."""

MOST_BUDGET = 4 * 10**9
"""The evaluations of a row are stored in 32 bits."""

Ids = NDArray[np.int64]


# --- which rows ------------------------------------------------------------------------------------------------------


def create_or_resume(
    files: Files, manifest: Manifest, budget: int, on_message: Callable[[str], object] = str
) -> Layer | None:
    """The layer with this budget: an unfinished one, the last one if it already has this budget and nothing is left for
    it, or a new one.

    None if no row is left that a larger budget may change. on_message: called with a line of text before a slow step.
    Raises ArgumentError for a budget that is not larger, RunError for a run or a layer that is not finished.
    """
    if isinstance(budget, bool) or not isinstance(budget, int) or not 1 <= budget <= MOST_BUDGET:
        remedy = f"give evaluations, 1 to {MOST_BUDGET:,}"
        raise ArgumentError(f"budget = {budget!r}", where="budget", remedy=remedy)
    refuse_read_only(manifest, files.uri)
    missing = sum(len(missing_shards(files, manifest, case)) for case in manifest.cases)
    if missing:
        raise RunError(
            f"{missing:,} shards are not computed yet", where=files.uri, remedy="run it to its end, then extend it"
        )
    layers = read_layers(files, manifest)
    if layers:
        last = layers[-1]
        unfinished = any(missing_shards(last.files(files), last, case) for case in last.cases)
        if unfinished and last.budget != budget:
            raise RunError(
                f"layer {last.number}, with budget = {last.budget}, is not finished",
                where=files.uri,
                remedy=f"finish it first: --budget {last.budget}",
            )
        if last.budget == budget and (unfinished or not manifest.stages):
            return last
    # What a run has grown by since its last layer had the case's own budget.
    again = layers[-1:] if layers and layers[-1].budget == budget else []
    cases = [case for case in manifest.cases if spent_so_far(case, [] if again else layers) < budget]
    if not cases:
        least = min(spent_so_far(case, layers) for case in manifest.cases)
        raise ArgumentError(
            f"budget = {budget} is not above what the run had", where="budget", remedy=f"give more than {least}"
        )
    on_message("looking for the rows whose budget was spent ...")
    found = {case.key: dict(_spent(files, manifest, layers, case, budget)) for case in cases}
    found = {key: shards for key, shards in found.items() if shards}
    if not found:
        return again[0] if again else None
    layer = Layer(
        manifest=manifest,
        number=len(layers) + 1,
        budget=budget,
        trajectories={key: sum(shards.values()) for key, shards in found.items()},
        of_case={key: tuple(shards) for key, shards in found.items()},
    )
    files.put(layout.layer(layer.number) + layout.LAYER, layer.to_json())
    # Read it back: another driver may have begun another layer at the same moment.
    there = read_layer(files, manifest, layer.number)
    if there is None or there.budget != budget:
        raise RunError("another driver extends this run", where=files.uri, remedy="wait for it, then try again")
    return there


def spent_so_far(case: Case, layers: list[Layer]) -> int:
    """The largest budget that rows of the case have had."""
    return max([case.settings.budget, *(layer.budget for layer in layers)])


def _spent(files: Files, manifest: Manifest, layers: list[Layer], case: Case, budget: int) -> Iterator[tuple[int, int]]:
    """The shards of a case with rows that this budget may change, and the number in each of those that are integrated
    again: where there is one that has not had it, all that spent theirs."""
    view = View(files, layers, manifest)
    for shard in manifest.shards(case):
        if pc.sum(view.part("blocks", case, shard, ["censored"])["censored"]).as_py():
            ids = view.part("trajectories", case, shard, ["id"], spent(case))["id"]
            if any(not had for had in _had(files, view, case, shard, budget, ids)):
                yield shard, len(ids)


def _had(files: Files, view: View, case: Case, shard: int, budget: int, ids: pa.ChunkedArray) -> list[bool]:
    """Whether each of these rows has had this budget, or a larger one, in some layer."""
    had = [False] * len(ids)
    for layer in view.over(case, shard):
        if layer.budget >= budget:
            there = parquet.read(layer.files(files), layout.part("trajectories", case.key, shard), ["id"])["id"]
            had = [one or other for one, other in zip(had, pc.is_in(ids, value_set=there).to_pylist(), strict=True)]
    return had


def spent(case: Case) -> pc.Expression:
    """The rows of a case that a larger budget may change."""
    return _for_reasons(SPENT if case.law.null else SPENT[:1])


def spent_or_settled() -> pc.Expression:
    """The rows that earlier versions put into a layer, when rows of every law were waited for."""
    return _for_reasons(SPENT)


def _for_reasons(reasons: tuple[str, ...]) -> pc.Expression:
    return reduce(or_, (pc.field("reason") == pa.scalar(reason) for reason in reasons))


# --- one shard -------------------------------------------------------------------------------------------------------


def compute_shard(view: View, layer: Layer, case: Case, shard: int) -> ShardTables:
    """A layer's tables for one shard. view: the run as read through the layers below this one."""
    old = view.part("trajectories", case, shard, where=spent(case))
    new = compute_rows(layer, case, old["id"].to_numpy())
    return new._replace(blocks=recounted(Tables.of(case.landscape), view.part("blocks", case, shard), old, new.blocks))


def compute_rows(layer: Layer, case: Case, ids: Ids) -> ShardTables:
    """The tables of ascending ids, integrated with the layer's budget; the blocks count these rows alone."""
    manifest, settings = layer.manifest, replace(case.settings, budget=layer.budget)
    together = max(1, min(BATCH * BLOCK, MEMORY // (8 * case.landscape.n)))
    parts = []
    for first in range(0, len(ids), together):
        some = ids[first : first + together]
        watch = watched(some, manifest.visits_every)
        starts = starts_of(case, manifest.seed, some)
        limits = integrate_batch(case.landscape, starts, settings, watch, case.law.null, case.dynamics)
        parts.append(rows.tables_of_ids(Tables.of(case.landscape), some, limits))
    return rows.concatenated(parts)


def starts_of(case: Case, seed: int, ids: Ids) -> Array:
    """Starts of ascending ids, (N, n). Whole blocks are drawn and the ids are picked from them."""
    blocks = ids // BLOCK
    drawn = [
        laws.starts(case.landscape, case.law, seed, int(block))[ids[blocks == block] % BLOCK]
        for block in np.unique(blocks)
    ]
    return np.concatenate(drawn)


def path_of(files: Files, layer: Layer) -> str:
    """The path of the run that `work` gets: RUN#NUMBER."""
    return f"{files.uri}#{layer.number}"


def work(path: str, case: str, shard: int, attempt: int) -> Commit:
    """Integrate a shard of a layer, unless it is committed already. The returned function commits it, as with
    shard.work; its counts are of the rows that were integrated again."""
    telemetry = timed()
    run, _, number = path.rpartition("#")
    files = files_at(run, patient=True)
    manifest = open_manifest(files)
    layer, *below = _layers(files, manifest, int(number))
    folder, task, the_case = layer.files(files), Task(case, shard), manifest.case(case)
    if is_committed(folder, case, shard):
        done = parquet.read(folder, layout.part("trajectories", case, shard), ["verdict", "evaluations"])
        summary = _summary(task, the_case, done, committed_digests(folder, case, shard), telemetry(False))
        return lambda: summary
    tables = compute_shard(View(files, below, manifest), layer, the_case, shard)

    def commit() -> ShardSummary:
        digests = commit_shard(folder, layer, the_case, shard, tables)
        return _summary(task, the_case, tables.trajectories, digests, telemetry(True))

    return commit


def _summary(task: Task, case: Case, done: pa.Table, digests: Mapping[Kind, str], telemetry: Telemetry) -> ShardSummary:
    verdicts = done["verdict"].to_pylist()
    return ShardSummary(
        task=task,
        trajectories=len(done),
        counts={name: verdicts.count(name) for name in case.landscape.critical.vocabulary.verdicts},
        evaluations=int(pc.sum(done["evaluations"]).as_py() or 0),
        digests=digests,
        telemetry=telemetry,
    )


def _layers(files: Files, manifest: Manifest, number: int) -> list[Layer]:
    """This layer, then the layers below it from the lowest up. Raises RunError if one is missing."""
    try:
        data = [files.get(layout.layer(n) + layout.LAYER) for n in range(1, number + 1)]
    except FileNotFoundError as error:
        raise RunError(f"{error} is gone", where=files.uri, remedy="give the command that extends it again") from None
    layers = [_parsed(one, manifest, n, files.uri) for n, one in enumerate(data, start=1)]
    return [layers[-1], *layers[:-1]]


@lru_cache(maxsize=16)
def _parsed(data: bytes, manifest: Manifest, number: int, where: str) -> Layer:
    return Layer.from_json(data, manifest, number, where)  # cached, so parsed once per process

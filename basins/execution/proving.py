"""Starts of a run proved, on any runner: every id of the shards that are there, or a random sample of ids; or every id
of a shard by the worker that has just integrated it.

What is proved is a start alone, whatever label its row has: rows that were kept nowhere (rows = "exceptions") are drawn
again by their id like all others, and rows labelled saddle or censored are tried too. What comes out is kept in
RUN/proved (store/proved.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pyarrow as pa

from basins import laws
from basins.errors import ArgumentError, AssumptionError, RunError
from basins.execution.base import Runner
from basins.execution.driver import Tasks, refuse_if_missing, run_session, trajectories_done
from basins.execution.extension import starts_of
from basins.execution.shard import Commit, ShardSummary, Task, open_manifest, timed, warm
from basins.execution.shard import work as integrate
from basins.execution.telemetry import TelemetryLog
from basins.experiment import Case
from basins.laws import BLOCK
from basins.progress import Listener, RunStarted, ShardDone
from basins.store import Files, Manifest, files_at, layout, missing_shards, proved
from basins.store.digests import DigestBook
from basins.store.growth import forget_short_digests
from basins.store.proved import Ids, ProofDigests, Proving

WORK = "basins.execution.proving:work"
"""What a runner has done for each shard; its run_path is `path_of`."""

TOGETHER = "basins.execution.proving:work_together"
"""What a runner has done for each shard of `basins run --prove`."""

MOST_ROWS = 10**8
"""Starts of a sample, whose ids a worker holds in memory."""


# --- which starts ----------------------------------------------------------------------------------------------------


def unprovable(case: Case) -> str | None:
    """Why no start of a case can be proved to flow to a global minimum, None where one may be."""
    if case.law.null:
        return f"its law, {case.law.name}, is null: its starts fill no volume, and no bound rests on them"
    if not case.settings.certify:
        return "engine.certify = false: its rows have no labels that a proof could confirm"
    if np.isfinite(case.settings.t_end):
        return f"engine.t_end = {case.settings.t_end:g}: a proof follows the flow to its limit"
    if not case.dynamics.continuous:
        return f"its dynamics is {case.dynamics.text}, and proofs are of the gradient flow"
    if case.landscape.enclosure() is None:
        return f"its landscape, {case.landscape.size_text}, gives no enclosure, which a proof needs"
    from basins.proof import prove

    try:
        prove(case.landscape, np.empty((0, case.landscape.n)))
    except AssumptionError as error:
        return str(error)
    return None


def provable(cases: Sequence[Case], case: str | None, where: str) -> tuple[list[Case], dict[str, str]]:
    """The cases of a key or a name, or all, that can be proved, and why the others, by name, cannot. Raises
    ArgumentError where none can."""
    chosen = [one for one in cases if case is None or case in (one.key, one.name)]
    why = {one.name: unprovable(one) for one in chosen}
    refused = {name: reason for name, reason in why.items() if reason is not None}
    if not chosen or len(refused) == len(chosen):
        said = "; ".join(f"case {name!r}: {reason}" for name, reason in list(refused.items())[:3])
        remedy = "prove a case of a law with a density, with its certificates and without t_end"
        raise ArgumentError(f"nothing can be proved: {said or f'no case {case!r}'}", where=where, remedy=remedy)
    return [one for one in chosen if one.name not in refused], refused


def plan(files: Files, manifest: Manifest, rows: int | None, seed: int, cases: list[Case]) -> Proving:
    """What is to be proved: of these cases every id of the shards that are there (rows: None), or a sample of rows.

    The sample is drawn from the shards that are there without a gap from the first, and its sample.json is written.
    """
    planned = {case.key: manifest.shards(case) for case in cases}
    gaps = {case.key: frozenset(missing_shards(files, manifest, case)) for case in cases}
    if rows is None:
        of_case = {key: [shard for shard in shards if shard not in gaps[key]] for key, shards in planned.items()}
        proving = proved.every_id(manifest, {key: shards for key, shards in of_case.items() if shards})
    else:
        prefixes = {key: min(gaps[key], default=len(shards)) for key, shards in planned.items()}
        if not any(prefixes.values()):
            raise _nothing(files)
        proving = _begun(files, manifest, seed, rows, prefixes) or proved.sample_of(manifest, seed, rows, prefixes)
        proving.files(files).put(layout.SAMPLE, proving.sample)
    if not proving.of_case:
        raise _nothing(files)
    return proving


def _begun(files: Files, manifest: Manifest, seed: int, rows: int, prefixes: Mapping[str, int]) -> Proving | None:
    """The sample of these numbers that was drawn from fewer shards of the same cases, and is not finished."""
    for proving, folder in proved.folders(files, manifest):
        if proving.sample is not None and any(proved.missing(folder, proving, case) for case in proving.cases):
            shards = json.loads(proving.sample)["shards"]
            fewer = shards.keys() <= prefixes.keys() and all(shards[key] <= prefixes[key] for key in shards)
            if fewer and proving.sample == proved.sample_of(proving.manifest, seed, rows, shards).sample:
                return proving
    return None


def _nothing(files: Files) -> RunError:
    return RunError("no shard is there to be proved", where=files.uri, remedy="give the run's command first")


def check_numbers(rows: int | None, seed: int) -> None:
    """Raises ArgumentError for invalid numbers."""
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows <= MOST_ROWS):
        raise ArgumentError(f"prove = {rows!r}", where="prove", remedy=f"give rows, 1 to {MOST_ROWS:,}, or all")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 63:
        raise ArgumentError(f"seed = {seed!r}", where="seed", remedy="give a whole number of at least 0, below 2^63")


# --- one shard -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProofSummary(ShardSummary):
    """What a worker sends back of a shard. trajectories: starts that were tried; proved: of these; sha256: of the
    file. It counts what is proved and what is not, no verdicts."""

    proved: int = 0
    sha256: str = ""


def prove_ids(case: Case, seed: int, ids: Ids) -> pa.Table:
    """The rows of ascending ids, (N,); no store and no clock, and no row depends on the others."""
    from basins.proof import prove

    tables = []
    for first in range(0, len(ids), BLOCK):
        some = ids[first : first + BLOCK]
        tables.append(proved.table_of(some, prove(case.landscape, starts_of(case, seed, some))))
    return proved.joined(tables)


def path_of(files: Files, proving: Proving) -> str:
    """What `work` is told as the run's path: RUN#NAME."""
    return f"{files.uri}#{proving.name}"


def work(path: str, case: str, shard: int, attempt: int) -> Commit:
    """Prove the ids of a shard; where it is done already, do nothing. What is returned commits them, as shard.work's
    does."""
    telemetry = timed()
    run, _, name = path.rpartition("#")
    files = files_at(run, patient=True)
    manifest = open_manifest(files)
    the_case, task, proving = manifest.case(case), Task(case, shard), _proving_of(name, manifest, run)
    folder = proving.files(files)

    def summary(rows: int, of_these: int, sha: str, computed: bool) -> ProofSummary:
        counts = {"proved": of_these, "not proved": rows - of_these}
        return ProofSummary(task, rows, counts, 0, {}, telemetry(computed), of_these, sha)

    if folder.exists(layout.proofs(case, shard)) and shard not in proved.short_there(folder, proving, the_case):
        done = summary(
            *proved.counts(folder, proving, the_case, shard), proved.sha256_of(folder, case, shard), computed=False
        )
        return lambda: done
    if warm_proofs(the_case, manifest.seed):
        telemetry = timed()  # what is compiled once in a process is no shard's time
    table = prove_ids(the_case, manifest.seed, proving.ids(the_case, shard))

    def commit() -> ShardSummary:
        sha = proved.commit(folder, proving, the_case, shard, table)
        return summary(len(table), sum(table["proved"].to_pylist()), sha, computed=True)

    return commit


_WARM: set[str] = set()

MANY = 100_000
"""From so many trajectories on, some rows take tier D (6 of 400,000 on iris), so it is compiled before the first shard
too: the time left would otherwise be wrong by its compilation, half a minute."""


def warm_proofs(case: Case, seed: int) -> bool:
    """Compile what proofs of the case need, if this process has not yet; whether it had to."""
    if case.key in _WARM:
        return False
    _WARM.add(case.key)
    from basins.proof import prove, tiers_for

    start = laws.starts(case.landscape, case.law, seed, 0)[:1]
    prove(case.landscape, start, tiers=["B"])
    if case.trajectories >= MANY and "D" in tiers_for(case.landscape):
        prove(case.landscape, start, tiers=["D"])
    return True


@dataclass(frozen=True)
class ShardAndProofs(ShardSummary):
    """What a worker sends back of a shard that it integrated and whose starts it tried. proofs: None of a case that
    cannot be proved."""

    proofs: ProofSummary | None = None


def work_together(path: str, case: str, shard: int, attempt: int) -> Commit:
    """Integrate a shard and commit it, then prove its starts; what is there already is not done again. What is returned
    commits the proofs: a worker that dies while it proves has not lost the shard."""
    run = path.rpartition("#")[0]
    manifest = open_manifest(files_at(run, patient=True))
    if unprovable(manifest.case(case)) is not None:
        done = integrate(run, case, shard, attempt)()
        return lambda: ShardAndProofs(**vars(done))
    warm(manifest.case(case), manifest.seed)
    warm_proofs(manifest.case(case), manifest.seed)
    telemetry = timed()
    done = integrate(run, case, shard, attempt)()
    prove_too = work(path, case, shard, attempt)

    def commit() -> ShardSummary:
        proofs = prove_too()
        assert isinstance(proofs, ProofSummary)
        computed = done.telemetry.computed or proofs.telemetry.computed
        both = replace(done, counts={**done.counts, "proved": proofs.proved}, telemetry=telemetry(computed))
        return ShardAndProofs(**vars(both), proofs=proofs)

    return commit


@lru_cache(maxsize=4)
def _proving_of(name: str, manifest: Manifest, uri: str) -> Proving:
    return proved.named(files_at(uri, patient=True), manifest, name)  # once a process: a name has one content


# --- the driver ------------------------------------------------------------------------------------------------------


def run_proofs(
    files: Files,
    manifest: Manifest,
    proving: Proving,
    runner: Runner,
    workers: int | None,
    listeners: list[Listener],
) -> None:
    """Have proved what is missing. Raises RunError for a shard that fails, or is missing at the end whatever the
    runner believes, and for files that are damaged."""
    folder = proving.files(files)
    of_case = {case.key: proved.missing(folder, proving, case) for case in proving.cases}
    done = shards = 0
    for case in proving.cases:
        lacking = frozenset(of_case[case.key])
        for shard in proving.of_case[case.key]:
            shards += 1
            if shard not in lacking:
                done += proved.counts(folder, proving, case, shard)[0]
    digests = ProofDigests(folder, proving)

    def keep(event: ShardDone) -> None:
        assert isinstance(event.summary, ProofSummary)
        digests.add(event.summary.task.case, event.summary.task.shard, event.summary.sha256)

    def end() -> None:
        _refuse_unproved(files, proving)

    missing = sum(map(len, of_case.values()))
    started = RunStarted(folder.uri, runner.name, workers, proving.rows, done, shards, shards - missing, "starts")
    run_session(
        started, of_case, path_of(files, proving), runner, listeners, TelemetryLog(folder), keep, digests.close, end
    )


def shards_to_prove(files: Files, manifest: Manifest, cases: list[Case]) -> dict[str, list[int]]:
    """The shards that are not integrated yet, or, of these cases, not proved, by case key."""
    proving = proved.every_id(manifest, {case.key: manifest.shards(case) for case in cases})
    folder = proving.files(files)
    missing = {case.key: frozenset(missing_shards(files, manifest, case)) for case in manifest.cases}
    for case in cases:
        missing[case.key] |= frozenset(proved.missing(folder, proving, case))
    return {key: sorted(of_case) for key, of_case in missing.items()}


def run_and_prove(
    files: Files, manifest: Manifest, cases: list[Case], runner: Runner, workers: int | None, listeners: list[Listener]
) -> None:
    """Have integrated what is missing of the run, and every start of these cases proved, shard by shard. The runner is
    one of TOGETHER. Raises RunError for a shard that fails, or that has no rows or no proofs at the end."""
    proving = proved.every_id(manifest, {case.key: manifest.shards(case) for case in cases})
    folder = proving.files(files)
    tasks = Tasks(shards_to_prove(files, manifest, cases))
    trajectories, done = trajectories_done(files, manifest, tasks)
    shards = sum(len(manifest.shards(case)) for case in manifest.cases)
    book = DigestBook(files, manifest, forget_short_digests(files, manifest))
    digests = ProofDigests(folder, proving)

    def keep(event: ShardDone) -> None:
        summary = event.summary
        assert isinstance(summary, ShardAndProofs)
        book.add(summary.task.case, summary.task.shard, summary.digests)
        if summary.proofs is not None:
            digests.add(summary.task.case, summary.task.shard, summary.proofs.sha256)

    def close() -> None:
        book.close()
        digests.close()

    def end() -> None:
        refuse_if_missing(files, manifest)
        _refuse_unproved(files, proving)

    started = RunStarted(files.uri, runner.name, workers, trajectories, done, shards, shards - len(tasks))
    path = path_of(files, proving)
    run_session(started, tasks.shards, path, runner, listeners, TelemetryLog(files), keep, close, end)


def _refuse_unproved(files: Files, proving: Proving) -> None:
    """Raises RunError that names shards without proofs, whatever the runner believes."""
    folder = proving.files(files)
    left = {case.key: proved.missing(folder, proving, case) for case in proving.cases}
    gaps = [f"shard {shards[0]} of case {key}" for key, shards in left.items() if shards]
    if gaps:
        remedy = "give the command again: only what is missing is proved"
        raise RunError(f"ended with proofs missing: {'; '.join(gaps[:3])}", where=files.uri, remedy=remedy)

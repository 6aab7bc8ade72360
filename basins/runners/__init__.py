"""Who works: `run` carries out an experiment with one of the runners. Start at base.py, the contract."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from basins.errors import ArgumentError, RunError, nearest
from basins.experiment import Experiment, load
from basins.progress import Event, Listener, RunEnded, RunStarted, ShardDone
from basins.runners.base import Runner
from basins.runners.inline import Inline
from basins.runners.processes import Processes
from basins.runners.ray import Ray
from basins.runners.telemetry import TelemetryLog
from basins.shard import Task
from basins.store import Files, Manifest, Run, check_shards, create_or_resume, files_at, missing_shards
from basins.store.digests import DigestBook

RUNNERS: dict[str, Callable[[], Runner]] = {"inline": Inline, "processes": Processes, "ray": Ray}


def run(
    experiment: Experiment | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    on: str | Runner = "ray",
    workers: int | None = None,
    address: str | None = None,
    deadline: float | None = None,
    listeners: Iterable[Listener] = (),
) -> Run:
    """Carry out an experiment (or the TOML file of one) into the run at `out`: all of it, or what is missing there.

    on: "ray", "processes", "inline", or a Runner; workers: by default one a core, on a cluster as many as it has;
    address: HOST:PORT of a Ray cluster (default: RAY_ADDRESS, else an embedded Ray); deadline: seconds after which a
    shard is given up where it is and tried again (default: ten times the longest that a shard of its case took, a
    minute at least; inline has none); listeners: called with each event of progress.py.

    Everything is checked before `out` is touched. Raises ExperimentError, DataError, AssumptionError or ArgumentError
    for what is asked; RunError for a place that holds something else or cannot be written, a damaged run, a shard
    that fails or is missing at the end. KeyboardInterrupt stops it cleanly; the same call goes on from there.
    """
    if not isinstance(experiment, Experiment):
        experiment = load(os.fspath(experiment))
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ArgumentError(f"workers = {workers!r}", where="workers", remedy="give a whole number of at least 1")
    runner = runner_of(on, address, deadline) if isinstance(on, str) else on
    runner.check()
    files = files_at(out)
    manifest = create_or_resume(files, experiment)
    files.sweep()
    check_shards(files, manifest)
    _carry_out(files, manifest, runner, workers, list(listeners))
    return Run(files)


def runner_of(name: str, address: str | None = None, deadline: float | None = None) -> Runner:
    """The runner of a name. Raises ArgumentError for one that is unknown, or what it has no use for."""
    if name not in RUNNERS:
        raise ArgumentError(f"unknown runner {name!r}", where="on", remedy=nearest(name, RUNNERS))
    if address is not None and name != "ray":
        raise ArgumentError(f"runner {name!r} has no address", where="address", remedy="leave it out, or use --on ray")
    if deadline is None:
        return Ray(address) if name == "ray" else RUNNERS[name]()
    if not deadline > 0:
        raise ArgumentError(f"deadline = {deadline!r}", where="deadline", remedy="give seconds, more than 0")
    if name == "inline":
        raise ArgumentError(
            "runner 'inline' has no deadline", where="deadline", remedy="leave it out, or use --on processes"
        )
    return Ray(address, deadline=deadline) if name == "ray" else Processes(deadline=deadline)


def _carry_out(
    files: Files, manifest: Manifest, runner: Runner, workers: int | None, listeners: list[Listener]
) -> None:
    tasks = [Task(case.key, shard) for case in manifest.cases for shard in missing_shards(files, manifest, case)]
    trajectories = sum(case.trajectories for case in manifest.cases)
    shards = sum(manifest.plan(case).shards for case in manifest.cases)
    to_do = sum(len(manifest.ids(manifest.case(task.case), task.shard)) for task in tasks)
    book, log = DigestBook(files, manifest), TelemetryLog(files)

    def emit(event: Event) -> None:
        if isinstance(event, ShardDone):
            book.add(event.summary.task.case, event.summary.task.shard, event.summary.digests)
        log(event)
        for listener in listeners:
            listener(event)

    complete = False
    emit(RunStarted(files.uri, runner.name, workers, trajectories, trajectories - to_do, shards, shards - len(tasks)))
    try:
        try:
            runner.run(tasks, files.uri, workers, emit)
        except BaseException:
            # Keep the digests of what was done; what went wrong first is what is said.
            with suppress(RunError):
                book.close()
            raise
        book.close()
        _refuse_if_missing(files, manifest)
        complete = True
    finally:
        emit(RunEnded(complete))
        log.flush()


def _refuse_if_missing(files: Files, manifest: Manifest) -> None:
    """Raises RunError naming the shards that are not there, whatever the runner believes."""
    gaps = []
    for case in manifest.cases:
        missing = missing_shards(files, manifest, case)
        if missing:
            few = ", ".join(map(str, missing[:8])) + (f", ... ({len(missing)})" if len(missing) > 8 else "")
            gaps.append(f"shard {few} of case {case.name!r} ({case.key})")
    if gaps:
        raise RunError(
            f"ended with shards missing: {'; '.join(gaps)}",
            where=files.uri,
            remedy="run again: only what is missing is computed",
        )

"""`run` executes an experiment with one of the runners; `extend` gives some of its rows a larger budget; `prove_run`
proves where its starts flow. The contract of a runner is in base.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature

from basins.errors import ArgumentError, nearest
from basins.execution.auto import AUTO, Choice, by_address, by_work, seconds_of
from basins.execution.base import WORK, Runner, cores
from basins.execution.driver import run_missing
from basins.execution.extension import WORK as EXTEND
from basins.execution.extension import create_or_resume as create_or_resume_layer
from basins.execution.extension import path_of
from basins.execution.inline import Inline
from basins.execution.processes import Processes
from basins.execution.proving import TOGETHER, check_numbers, plan, provable, run_and_prove, run_proofs, shards_to_prove
from basins.execution.proving import WORK as PROVE
from basins.execution.ray import Ray
from basins.experiment import Experiment, load
from basins.progress import Listener, Message
from basins.run_tables import Run
from basins.store import (
    check_shards,
    create_or_resume,
    files_at,
    missing_shards,
    proved,
    read_manifest,
    refuse_other_versions,
)
from basins.store.manifest import refuse_read_only

RUNNERS: dict[str, Callable[..., Runner]] = {"inline": Inline, "processes": Processes, "ray": Ray}
"""The runners by name. Each is constructed with the work, and with the address and the deadline if it accepts them."""


def run(
    experiment: Experiment | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    on: str | Runner = AUTO,
    workers: int | None = None,
    address: str | None = None,
    deadline: float | None = None,
    listeners: Iterable[Listener] = (),
    prove: bool = False,
) -> Run:
    """Execute an experiment (or the TOML file of one) into the run at `out`: all of it, or the part that is missing. A
    run that is there with fewer trajectories, or fewer cases, grows in place (docs/design.md, Growing).

    on: "auto" (auto.py), "ray", "processes", "inline", or a Runner; workers: by default one per core, on a cluster as
    many as it has; address: HOST:PORT of a Ray cluster (default: RAY_ADDRESS, else an embedded Ray); deadline: seconds
    after which a shard is abandoned and tried again (default: ten times the longest that a shard of its case took, at
    least a minute; inline has none); listeners: called with each event of progress.py; prove: whether each shard's
    starts are also proved, as it lands, in the cases where that is possible (docs/proofs.md). No byte of the run
    depends on it.

    Everything is checked before `out` is touched. Raises ExperimentError, DataError, AssumptionError or ArgumentError
    for invalid input; RunError if `out` holds something else or cannot be written, if the run is damaged, and if a
    shard fails or is missing at the end. KeyboardInterrupt stops it cleanly; the same call resumes it.
    """
    if not isinstance(experiment, Experiment):
        experiment = load(os.fspath(experiment))
    if prove:
        provable(experiment.cases, None, experiment.name)
    work = TOGETHER if prove else WORK
    ready = _ready(on, workers, address, deadline, work)
    files = files_at(out)
    listening = list(listeners)
    manifest = create_or_resume(files, experiment, lambda text: _tell(listening, text))
    files.sweep()
    check_shards(files, manifest)
    missing = {case.key: missing_shards(files, manifest, case) for case in manifest.cases}

    def seconds() -> float | None:
        return seconds_of(files, experiment, manifest, missing)

    patient = files_at(out, patient=True)
    if prove:
        cases, _ = provable(manifest.cases, None, files.uri)
        missing = shards_to_prove(files, manifest, cases)
    runner = _chosen(ready, missing, seconds, workers, deadline, work, listening)
    if prove:
        run_and_prove(patient, manifest, cases, runner, _workers(runner, workers), listening)
    else:
        run_missing(patient, manifest, files.uri, runner, _workers(runner, workers), listening)
    return Run(files)


def extend(
    path: str | os.PathLike[str],
    budget: int,
    *,
    on: str | Runner = AUTO,
    workers: int | None = None,
    address: str | None = None,
    deadline: float | None = None,
    listeners: Iterable[Listener] = (),
    on_message: Callable[[str], object] = str,
) -> Run:
    """Integrate the rows of a finished run whose budget was spent again, with `budget` evaluations, into a new layer
    over the run, or complete such a layer (extension.py). Returns the run with this layer.

    on_message: called with a line of text before a slow step that has no events; the other arguments are as in `run`.
    Raises RunError if `path` is not a run, or if the run or another layer is not finished; ArgumentError for a budget
    that is not larger.
    """
    ready = _ready(on, workers, address, deadline, EXTEND)
    files, listening = files_at(path), list(listeners)
    manifest = read_manifest(files)
    refuse_other_versions(manifest, files.uri)
    layer = create_or_resume_layer(files, manifest, budget, on_message)
    if layer is not None:
        files.sweep()
        folder = layer.files(files)
        check_shards(folder, layer)
        missing = {case.key: missing_shards(folder, layer, case) for case in layer.cases}
        runner = _chosen(ready, missing, lambda: None, workers, deadline, EXTEND, listening)
        there = layer.files(files_at(path, patient=True))
        run_missing(there, layer, path_of(files, layer), runner, _workers(runner, workers), listening)
    return Run(files)


def prove_run(
    path: str | os.PathLike[str],
    rows: int | None = None,
    *,
    case: str | None = None,
    seed: int = 0,
    on: str | Runner = AUTO,
    workers: int | None = None,
    address: str | None = None,
    deadline: float | None = None,
    listeners: Iterable[Listener] = (),
    on_message: Callable[[str], object] = str,
) -> Run:
    """Prove for starts of a run that the exact flow goes to a global minimum, or record why not (docs/proofs.md).

    rows: the number of ids, drawn at random by `seed` from the shards without a gap from the first; None: all ids of
    the shards that exist. case: a key or a name; by default all cases that can be proved. on_message: called with a
    line of text for each case that cannot. Results are kept in RUN/proved, and existing proofs are not repeated. The
    other arguments are as in `run`. Raises ArgumentError if nothing can be proved (a null law, t_end, certify = false),
    RunError for a run of other versions.
    """
    ready = _ready(on, workers, address, deadline, PROVE)
    check_numbers(rows, seed)
    files = files_at(path)
    manifest = read_manifest(files)
    refuse_other_versions(manifest, files.uri)
    refuse_read_only(manifest, files.uri)
    opened = Run(files)
    cases, refused = provable(manifest.cases, None if case is None else opened.case(case).key, files.uri)
    for name, why in refused.items():
        on_message(f"case {name!r} is not proved: {why}")
    files.sweep()
    proving = plan(files, manifest, rows, seed, cases)
    listening, folder = list(listeners), proving.files(files)
    missing = {case.key: proved.missing(folder, proving, case) for case in proving.cases}
    runner = _chosen(ready, missing, lambda: None, workers, deadline, PROVE, listening)
    there = files_at(path, patient=True)
    run_proofs(there, manifest, proving, runner, _workers(runner, workers), listening)
    return opened


def _tell(listeners: list[Listener], text: str) -> None:
    for listener in listeners:
        listener(Message(text))


def _ready(
    on: str | Runner, workers: int | None, address: str | None, deadline: float | None, work: str
) -> tuple[Runner | None, Choice | None]:
    """The runner, after checking everything that can be checked beforehand; of "auto" none where it depends on what is
    missing, and why it is Ray where it is."""
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ArgumentError(f"workers = {workers!r}", where="workers", remedy="give a whole number of at least 1")
    choice = by_address(address) if on == AUTO else None
    if on == AUTO and choice is None:
        runner_of("processes", deadline=deadline)  # refuses a deadline without a meaning
        return None, None
    runner = runner_of(choice.name if choice else on, address, deadline, work) if isinstance(on, str) else on
    runner.check()
    return runner, choice


def _chosen(
    ready: tuple[Runner | None, Choice | None],
    missing: Mapping[str, Sequence[int]],
    seconds: Callable[[], float | None],
    workers: int | None,
    deadline: float | None,
    work: str,
    listeners: list[Listener],
) -> Runner:
    """The runner for these shards; where "auto" decides, the listeners are told what, and why. seconds: what they take
    on one core, asked for where it matters."""
    runner, choice = ready
    if runner is None:
        shards = sum(map(len, missing.values()))
        several = shards > 1 and deadline is None and (workers or cores()) > 1
        choice = by_work(shards, seconds() if several else None, workers, deadline)
        runner = runner_of(choice.name, None, deadline if choice.name == "processes" else None, work)
        runner.check()
    if choice is not None and any(missing.values()):
        _tell(listeners, choice.said())
    return runner


def _workers(runner: Runner, workers: int | None) -> int | None:
    """How many there will be, where that is known beforehand."""
    return cores() if workers is None and runner.name == "processes" else workers


def runner_of(name: str, address: str | None = None, deadline: float | None = None, work: str = WORK) -> Runner:
    """The runner with this name, for this work. Raises ArgumentError for an unknown name or an option it lacks."""
    if name not in RUNNERS:
        raise ArgumentError(f"unknown runner {name!r}", where="on", remedy=nearest(name, RUNNERS))
    given = {key: value for key, value in (("address", address), ("deadline", deadline)) if value is not None}
    for option in given:
        others = [other for other, kind in RUNNERS.items() if option in signature(kind).parameters]
        if name not in others:
            remedy = f"leave it out, or use --on {others[0]}"
            raise ArgumentError(f"runner {name!r} has no {option}", where=option, remedy=remedy)
    if deadline is not None and not deadline > 0:
        raise ArgumentError(f"deadline = {deadline!r}", where="deadline", remedy="give seconds, more than 0")
    return RUNNERS[name](work=work, **given)

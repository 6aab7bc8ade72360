"""Runs a tail of T, or of G, for the cases of an experiment, and reads the resulting bounds on the saddle measure."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from basins.called_late import Printed
from basins.errors import ArgumentError, RunError, nearest
from basins.execution.run import runner_of
from basins.execution.shard import Task
from basins.experiment import Case, Experiment, load
from basins.landscapes.deep_linear.strata import Stratum
from basins.progress import Event, Listener
from basins.rare.combine import FEWEST, Estimated, combine, warnings
from basins.rare.exponents import approach_power, kappa
from basins.rare.record import TailManifest, create_or_resume, read_levels, read_manifest
from basins.rare.replicates import PILOT, Plan, SplittingLevel
from basins.rare.whitening import Whitening
from basins.rare.work import WORK
from basins.store import Files, files_at

TARGET, REPLICATES, POPULATION, KEEP, SWEEPS = 1e-12, 8, 1000, 0.2, 10

POLL_INTERVAL = 2.0
"""Seconds between two queries of the store for newly committed levels."""

Reached = Callable[[str, int, SplittingLevel], None]
"""Called for each splitting level that a replicate reaches, with the case's name, the replicate and the level."""


@dataclass(frozen=True, repr=False)
class CaseTail(Printed):
    """The tail of a case. levels: with intervals; pilot: the pilot's last level; stratum: the one that is approached
    (G), None for T; expected: the exponent that theory predicts."""

    case: Case
    replicates: int
    plan: Plan
    levels: tuple[Estimated, ...]
    pilot: SplittingLevel
    warnings: tuple[str, ...]
    stratum: Stratum | None
    expected: float | None

    @property
    def last(self) -> Estimated | None:
        """The deepest splitting level that double precision resolves, among those with an interval if there are any;
        None if no level is resolved."""
        resolved = [row for row in self.levels if row.resolved]
        chosen = [row for row in resolved if row.bounded] or resolved
        return chosen[-1] if chosen else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what is not a number is None."""
        levels = [{**_finite(asdict(row)), "bounded": row.bounded, "resolved": row.resolved} for row in self.levels]
        last = self.last
        return {
            "case": self.case.key,
            "name": self.case.name,
            "stratum": None if self.stratum is None else self.stratum.index,
            "replicates": self.replicates,
            "plan": asdict(self.plan),
            "expected_exponent": self.expected,
            "last": None if last is None else last.level,
            "upper": None if last is None or not last.bounded else last.bound,
            "levels": levels,
            "warnings": list(self.warnings),
        }


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(one, float) and not np.isfinite(one) else one for name, one in values.items()}


def tail(
    experiment: Experiment | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    case: str | None = None,
    stratum: int | None = None,
    target: float = TARGET,
    replicates: int = REPLICATES,
    population: int = POPULATION,
    keep: float = KEEP,
    sweeps: int = SWEEPS,
    on: str = "processes",
    workers: int | None = None,
    address: str | None = None,
    listeners: Iterable[Listener] = (),
    reached: Reached | None = None,
) -> list[CaseTail]:
    """Estimate P(T > t) down to `target` by multilevel splitting, for every case or one, into the folder `out`.

    T: when the loss-level certificate holds (levels.py). stratum: J, to estimate P(G < g) instead, G the closest
    approach to the saddle stratum I(J) (approach.py). replicates: independent ones, whose spread gives the interval;
    population: chains in each; keep: the share that a level keeps; sweeps: moves of each chain a level.
    on, workers, address: as of basins.run. What is there already is not computed again; more replicates may be asked
    for later.

    Raises ArgumentError for a law without a density, a stratum that is not a saddle, fewer than 4 replicates, which
    give no interval, and values out of range; RunError if `out` holds something else.
    """
    if not isinstance(experiment, Experiment):
        if not isinstance(experiment, str | os.PathLike):
            what = f"{type(experiment).__name__} is no experiment"
            raise ArgumentError(what, where="experiment", remedy="give the path of its TOML file")
        experiment = load(os.fspath(experiment))
    plan = _plan(target, population, keep, sweeps, experiment.seed, stratum)
    _check_whole("replicates", replicates, FEWEST, ": fewer give no interval, and so no bound")
    cases = experiment.cases if case is None else (experiment.case(case),)
    for one in cases:
        _check_case(one, stratum, alone=case is not None or len(cases) == 1)
    runner = runner_of(on, address, work=WORK)
    runner.check()
    files = files_at(out)
    manifest = create_or_resume(files, experiment, TailManifest.of(experiment, tuple(cases), plan))
    files.sweep()
    listen = list(listeners)

    def emit(event: Event) -> None:
        for listener in listen:
            listener(event)

    for numbers in ([PILOT], range(1, replicates + 1)):
        tasks = [
            Task(one.key, number) for one in manifest.cases for number in numbers if not _ended(files, one, number)
        ]
        if tasks:
            with _watching(files, manifest, tasks, reached):
                runner.run(tasks, files.uri, workers, emit)
    return read_tail(out, replicates)


def read_tail(run: str | os.PathLike[str], replicates: int | None = None, case: str | None = None) -> list[CaseTail]:
    """The result of the tail at a path, from replicates 1 ... `replicates`, or from all complete ones. Two or three
    replicates give estimates without intervals, and a warning. case: only this one, by its key or name.

    Raises RunError if there is no tail or it has fewer than two complete replicates (or than `replicates`);
    ArgumentError for `replicates` below two, and a case that is not there.
    """
    if replicates is not None:
        _check_whole("replicates", replicates, 2)
    files = files_at(run)
    manifest = read_manifest(files)
    cases = [one for one in manifest.cases if case in (None, one.key, one.name)]
    if not cases:
        names = [name for one in manifest.cases for name in (one.name, one.key)]
        raise ArgumentError(f"no case {case!r}", where=files.uri, remedy=nearest(case, names))
    return [_case_tail(files, manifest, one, replicates) for one in cases]


def _case_tail(files: Files, manifest: TailManifest, case: Case, replicates: int | None) -> CaseTail:
    pilot = read_levels(files, case.key, PILOT)
    found = []
    number = 1
    while replicates is None or number <= replicates:
        levels = read_levels(files, case.key, number)
        if not levels or not levels[-1].ending:
            break
        found.append(levels)
        number += 1
    if len(found) < (2 if replicates is None else replicates):
        raise RunError(
            f"case {case.name!r} has {len(found)} complete replicates",
            where=files.uri,
            remedy="run `basins tail` again: it resumes",
        )
    rows, problem, J = combine(found), case.problem, manifest.plan.stratum
    stratum = None if J is None else problem.strata().saddle(J)
    return CaseTail(
        case,
        len(found),
        manifest.plan,
        tuple(rows),
        pilot[-1],
        tuple(warnings(rows, len(found)) if rows else ()),
        stratum,
        kappa(problem) if stratum is None else approach_power(problem, stratum),
    )


def _ended(files: Files, case: Case, number: int) -> bool:
    levels = read_levels(files, case.key, number)
    return bool(levels) and bool(levels[-1].ending)


@contextmanager
def _watching(files: Files, manifest: TailManifest, tasks: list[Task], reached: Reached | None) -> Iterator[None]:
    """Call `reached` for each newly committed level, by polling the store, so that it works with workers anywhere."""
    if reached is None:
        yield
        return
    reported = {task: len(read_levels(files, task.case, task.shard)) for task in tasks}

    def look() -> None:
        for task in tasks:
            levels = read_levels(files, task.case, task.shard)
            for level in levels[reported[task] :]:
                reached(manifest.case(task.case).name, task.shard, level)
            reported[task] = len(levels)

    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL_INTERVAL):
            look()

    watcher = threading.Thread(target=watch, name="basins tail's levels", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        look()


def _check_case(case: Case, stratum: int | None, alone: bool) -> None:
    try:
        Whitening(case.problem, case.law)
        if stratum is not None:
            case.problem.strata().saddle(stratum)
    except ArgumentError as error:
        others = "" if alone else "; or name another case with --case"
        raise ArgumentError(
            error.what, where=f"case {case.name!r}: {error.where}", remedy=f"{error.remedy}{others}"
        ) from None


def _plan(target: float, population: int, keep: float, sweeps: int, seed: int, stratum: int | None) -> Plan:
    for name, value in (("target", target), ("keep", keep)):
        if not (isinstance(value, (int, float)) and 0 < value < 1):
            raise ArgumentError(f"{name} = {value!r}", where=name, remedy="give a number between 0 and 1")
    _check_whole("population", population, 20)
    _check_whole("sweeps", sweeps, 1)
    if keep * population < 4:
        raise ArgumentError(
            f"a population of {population} of which a level keeps {keep:g}",
            where="population",
            remedy=f"give at least {int(np.ceil(4 / keep))}: a population needs at least 4 survivors",
        )
    return Plan(float(target), int(population), float(keep), int(sweeps), seed, stratum)


def _check_whole(name: str, value: int, least: int, why: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(f"{name} = {value!r}", where=name, remedy=f"give a whole number of at least {least}{why}")

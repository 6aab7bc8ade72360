"""The commands that take an experiment or a cluster, as functions that return what the command prints.

    describe, plan, codim      before a run: what it is, what it costs, how many directions leave a saddle
    migrate                    a run of an older schema, written again
    submit, follow, stop       an experiment as a job of a Ray cluster

run, extend and prove_run are in execution/run.py, tail in rare/tail.py, and what is asked of a run is a method of it
(run_actions.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from basins import description, planning
from basins.arrays import number, whole
from basins.description import Description
from basins.errors import ArgumentError
from basins.experiment import Case, Experiment
from basins.experiment.packed import opened
from basins.experiment.pilot import decided
from basins.landscapes.deep_linear.problem import Problem
from basins.planning import Plan
from basins.rare.codim import Codimension, codimension_of
from basins.run_tables import Run
from basins.statistics.binomial import CONFIDENCE
from basins.store import files_at
from basins.store.migration import migrate as write_again

Given = Experiment | str | os.PathLike[str]
"""An experiment, the path of its TOML file, or the folder of a run."""


def describe(experiment: Given, case: str | None = None) -> list[Description]:
    """What an experiment is before it is run (`basins describe`), a Description a case: sizes, assumptions, strata, the
    share certified at t = 0, what the shape can test, and the cost, measured on the case's first trajectories: seconds
    of this machine, and in `planned` of the whole case (what `basins run --dry-run` shows).

    case: a key or a name; by default all. Nothing is written. Raises ExperimentError, DataError and AssumptionError for
    an experiment that is not valid, ArgumentError for a case that is not there.
    """
    loaded = decided(_experiment(experiment))
    chosen = loaded.cases if case is None else (loaded.case(case),)
    return [description.describe(loaded, one) for one in chosen]


def plan(
    bound: float,
    experiment: Given | None = None,
    *,
    level: float = CONFIDENCE,
    saddles: int = 0,
    censored_share: float = 0.0,
    share: float | None = None,
) -> Plan:
    """How many trajectories, checked labels and random pairs (X, Y) a bound on the saddle basins' measure takes
    (`basins plan`); with an experiment also its cost, from rates that are measured now, in seconds of one worker.

    level: confidence; saddles, censored_share: expected; share: the bound on the share of bad pairs. Raises
    ArgumentError for numbers out of range, or a bound that no number of trajectories reaches.
    """
    for name, value in (("bound", bound), ("level", level), ("censored_share", censored_share)):
        number(value, name)
    if share is not None:
        number(share, "share")
    whole(saddles, "saddles")
    found = planning.needed(bound, level, saddles, censored_share, share)
    return Plan(found, () if experiment is None else planning.costs(_experiment(experiment)))


def codim(
    experiment: Given | Problem,
    stratum: int,
    *,
    case: str | None = None,
    samples: int = 4000,
    seed: int = 0,
    scale: float = 0.5,
) -> Codimension:
    """How many directions leave the saddles of I(stratum), counted: the codimension m_u of their stable manifold, and
    the sum of the unstable rates, with intervals (`basins codim`; basins/rare/codim.py).

    experiment: whose problem is meant, or a Problem; case: which, needed if the experiment has several. samples: points
    at each eps; scale: of the planted start. Raises ArgumentError for a stratum that is not there or is that of the
    minima, for the raw flow, for d_y > 20, and where double precision resolves too little.
    """
    whole(stratum, "stratum", least=1)
    whole(samples, "samples", least=1)
    whole(seed, "seed", below=1 << 32)
    if not 0 < number(scale, "scale") <= 1e3:
        raise ArgumentError(f"scale = {scale!r}", where="scale", remedy="give a number above 0, up to 1000")
    problem = experiment if isinstance(experiment, Problem) else _one_case(_experiment(experiment), case).problem
    return codimension_of(problem, stratum, seed=seed, samples=samples, scale=scale)


def migrate(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    step: Callable[[str, int, int], object] = lambda *_: None,
) -> Run:
    """Write a run of an older schema again at `out`, in the present one, row for row, and return it (`basins migrate`).

    Nothing is integrated and the old run is only read; after an interruption the same call goes on. step: called with
    what is done, how many shards are done, of how many. Raises RunError for a run that is in the present schema already
    or damaged, and for an `out` that holds something else.
    """
    new = files_at(out)
    write_again(files_at(run), new, step)
    return Run(new)


# --- a cluster --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A job of a Ray cluster. id: its name there; address: of the dashboard; warnings: what the user should know, a
    line each: a cluster that takes jobs from anyone, a path that every node must see."""

    id: str
    address: str
    warnings: tuple[str, ...] = ()

    def follow(self, say: Callable[[str], object]) -> int:
        """`basins.follow` of this job."""
        return follow(self.id, self.address, say)

    def stop(self) -> str:
        """`basins.stop` of this job."""
        return stop(self.id, self.address)


def submit(
    experiment: Given,
    out: str,
    address: str,
    *,
    options: Sequence[str] = (),
    environment: Sequence[str] = (),
) -> Job:
    """Run an experiment on a Ray cluster, as a job (`basins submit`): the experiment, its data and basins are sent.

    out: the run: a store's URI, or a path that every node can access; address: of the dashboard, http://HEAD:8265;
    options: of `basins run`, as the command line has them ("--workers", "8"); environment: names of variables that are
    sent with their values here. A job that is submitted again resumes the run. Raises RunError if the cluster does not
    answer or refuses, ArgumentError for an address that cannot be one and a variable that is not set.
    """
    from basins.job import submit as jobs

    loaded = _experiment(experiment)
    place, is_path = jobs.place(os.fspath(out))
    dashboard = _dashboard(address)
    warnings = []
    if dashboard.open:
        warnings.append(f"{address} accepts jobs from anyone: start Ray with RAY_AUTH_MODE=token and a token")
    if is_path:
        warnings.append(f"{place} is a path: every node of the cluster must see the same folder there")
    job = jobs.submit(loaded, place, dashboard, options=list(options), environment=list(environment))
    return Job(job, dashboard.address, tuple(warnings))


def follow(job: str | Job, address: str | None = None, say: Callable[[str], object] = lambda text: None) -> int:
    """Pass the log of a job to `say`, as it grows, until the job ends; return its exit status (`basins follow`).

    job: a Job, or its id with the dashboard's address. KeyboardInterrupt stops following; the job goes on. Raises
    RunError if there is no such job, or if the cluster is gone.
    """
    id, at = _job(job, address)
    found: int = _dashboard(at).follow(id, say)
    return found


def stop(job: str | Job, address: str | None = None) -> str:
    """Stop a job, as Ctrl-C would; finished shards are kept (`basins stop`). Returns its state: "STOPPED", or the one
    in which it had ended. job, address, and what is raised: as of `follow`."""
    id, at = _job(job, address)
    found: str = _dashboard(at).stop(id)
    return found


def _job(job: str | Job, address: str | None) -> tuple[str, str]:
    if isinstance(job, Job):
        return job.id, job.address if address is None else address
    if not isinstance(job, str) or not job:
        raise ArgumentError(f"{job!r} is no job", where="job", remedy="give what basins.submit returned, or its id")
    if address is None:
        raise ArgumentError("no address", where="address", remedy="give the dashboard's, http://HEAD:8265")
    return job, address


def _dashboard(address: Any) -> Any:
    from basins.job.dashboard import Dashboard

    if not isinstance(address, str):
        what = f"{address!r} is not the address of a Ray dashboard"
        raise ArgumentError(what, where="address", remedy="give a text, http://HEAD:8265")
    return Dashboard(address)


# --- what is given ----------------------------------------------------------------------------------------------------


def _experiment(experiment: Any) -> Experiment:
    if isinstance(experiment, Experiment):
        return experiment
    if not isinstance(experiment, str | os.PathLike):
        what = f"{type(experiment).__name__} is no experiment"
        raise ArgumentError(what, where="experiment", remedy="give the path of its TOML file, or a basins Experiment")
    return opened(Path(experiment))


def _one_case(experiment: Experiment, name: str | None) -> Case:
    if name is None and len(experiment.cases) > 1:
        names = ", ".join(repr(one.name) for one in experiment.cases)
        raise ArgumentError(f"{len(experiment.cases)} cases", where="case", remedy=f"give case=, one of {names}")
    return experiment.cases[0] if name is None else experiment.case(name)

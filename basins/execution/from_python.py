"""`basins.run`: an experiment from Python, run where it is told to, or in a temporary folder that the run owns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

from basins.arrays import number, switch
from basins.dynamics.base import Dynamics
from basins.errors import ArgumentError
from basins.execution.base import Runner
from basins.execution.notebook_progress import listener_of
from basins.execution.ray import EMBEDDED
from basins.execution.run import run as execute
from basins.experiment import Case, Experiment, Sweep
from basins.experiment.case import EngineSettings, refuse_unknown
from basins.experiment.checks import a_path
from basins.experiment.document import Rows, short
from basins.experiment.packed import opened
from basins.landscapes.deep_linear.problem import Problem
from basins.laws import Law
from basins.progress import Listener
from basins.run_tables import Run
from basins.store import files_at
from basins.store.temporary import TemporaryFolder

Place = str | os.PathLike[str]


def run(
    experiment: Experiment | Place | Problem | Sequence[Problem] | None = None,
    law: Law | Sequence[Law] | Place | None = None,
    n: int | None = None,
    *,
    seed: int | None = None,
    cases: Sequence[Case] | Sweep | None = None,
    out: Place | None = None,
    name: str | None = None,
    data: Mapping[str, Any] | tuple[Any, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    landscape: Mapping[str, Any] | None = None,
    dynamics: Dynamics | None = None,
    visits_every: int | None = None,
    rows: Rows | None = None,
    blocks_per_shard: int | Literal["auto"] | None = None,
    on: str | Runner | None = None,
    workers: int | None = None,
    address: str | None = None,
    deadline: float | None = None,
    prove: bool = False,
    progress: bool | Literal["auto"] | None = "auto",
    listeners: Iterable[Listener] = (),
    **settings: Unpack[EngineSettings],
) -> Run:
    """Run an experiment: all of it, or the part of it that is missing in `out`.

        basins.run("examples/iris.toml", out="runs/iris")
        basins.run(problem, basins.Gaussian(0.5), n=100_000, seed=1)
        basins.run(problem, basins.Gaussian(0.5), n=1000, cases=basins.Sweep({"law.scale": [0.1, 0.5]}))
        basins.run(cases=[basins.Case(problem, law, n=1000) for law in laws], out="runs/laws")

    experiment: a TOML file, the folder of a run, a `basins.Experiment`, or a problem, or a list of these; with a
    problem, law, n, seed (0 if it is not given), cases, name, data, network, landscape, dynamics, visits_every,
    rows, blocks_per_shard and settings are those of `basins.Experiment`.

    out: a folder, or an s3:// URI; a run that is there is resumed. None: a temporary folder that the run owns. It is
    removed when the run is closed, when nothing refers to it any more, and when Python ends, also where this call is
    interrupted; `Run.save` keeps it. As before, `run(experiment, out)` may be said by position.

    on: "auto", "ray", "processes", "inline", or a Runner, by default that of `basins run`; workers: one per core, on
    a cluster as many as it has; address: HOST:PORT of a Ray cluster (default: RAY_ADDRESS, else an embedded Ray);
    deadline: seconds after which a shard is abandoned and tried again (default: ten times the longest that a shard of
    its case took, at least a minute; inline has none); prove: prove each shard's starts too, as it lands, in the cases
    where that is possible (docs/proofs.md).

    progress: "auto": a bar in a notebook or on a terminal, nothing elsewhere; True: lines elsewhere; False or None:
    nothing; listeners: called with each event of progress.py.

    Everything is checked before `out` is touched. Raises ExperimentError, DataError, AssumptionError or ArgumentError
    for invalid input; RunError if `out` holds something else or cannot be written, if the run is damaged, and if a
    shard fails or is missing at the end. KeyboardInterrupt stops it cleanly; with `out` the same call resumes it.
    """
    refuse_unknown(settings, run.__kwdefaults__ or ())
    if isinstance(experiment, str | os.PathLike | Experiment) and isinstance(law, str | os.PathLike):
        if out is not None:
            raise ArgumentError(f"given twice: {short(law)} and {short(out)}", where="out", remedy="give out=... once")
        law, out = None, law
    said: dict[str, Any] = {
        "law": law,
        "n": n,
        "seed": seed,
        "cases": cases,
        "name": name,
        "data": data,
        "network": network,
        "landscape": landscape,
        "dynamics": dynamics,
        "visits_every": visits_every,
        "rows": rows,
        "blocks_per_shard": blocks_per_shard,
        **settings,
    }
    asked = _experiment(experiment, {key: value for key, value in said.items() if value is not None})
    listening = [*_listeners(listeners), *filter(None, [listener_of(progress)])]
    _check_runners_options(address, deadline)
    options: dict[str, Any] = {} if on is None else {"on": _runner(on)}
    options |= {"workers": workers, "address": address, "deadline": deadline, "listeners": listening}
    options |= {"prove": switch(prove, "prove")}
    if out is not None:
        return execute(asked, a_path("out", out), **options)
    _refuse_cluster(on, address)
    folder = TemporaryFolder()
    try:
        execute(asked, folder.path, **options)
    except BaseException:
        folder.remove()
        raise
    return Run(files_at(folder.path), temporary=folder)


def _experiment(experiment: Any, said: dict[str, Any]) -> Experiment:
    """The experiment that is there, or that is made of a problem and what is said of it."""
    if not isinstance(experiment, str | os.PathLike | Experiment):
        return Experiment(experiment, said.pop("law", None), said.pop("n", None), **said)
    if said:
        there = "an Experiment" if isinstance(experiment, Experiment) else f"the experiment {short(str(experiment))}"
        remedy = "leave them out: an experiment says these itself; or give a problem"
        raise ArgumentError(f"{', '.join(said)} given with {there}", where="run", remedy=remedy)
    if isinstance(experiment, Experiment):
        return experiment
    if isinstance(experiment, str) and "\n" in experiment:
        what, remedy = "a text, not a path", "give basins.Experiment.from_toml(text)"
        raise ArgumentError(what, where="experiment", remedy=remedy)
    return opened(Path(experiment))


def _runner(on: Any) -> str | Runner:
    if not isinstance(on, str) and not all(hasattr(on, one) for one in ("name", "check", "run")):
        raise ArgumentError(short(on), where="on", remedy='give "ray", "processes" or "inline", or a Runner')
    found: str | Runner = on
    return found


def _listeners(listeners: Any) -> list[Listener]:
    found = list(listeners) if isinstance(listeners, Iterable) else [listeners]
    if not isinstance(listeners, Iterable) or not all(map(callable, found)):
        remedy = "give a list of functions, each of an event (basins.progress)"
        raise ArgumentError(short(listeners), where="listeners", remedy=remedy)
    return found


def _check_runners_options(address: Any, deadline: Any) -> None:
    if address is not None and not isinstance(address, str):
        raise ArgumentError(short(address), where="address", remedy="give HOST:PORT of a Ray cluster as text")
    if deadline is not None:
        number(deadline, "deadline")


def _refuse_cluster(on: Any, address: str | None) -> None:
    """Raises ArgumentError for a run on a cluster, whose other machines see no temporary folder of this one."""
    if on in (None, "auto", "ray"):
        there = address or os.environ.get("RAY_ADDRESS")
    else:
        there = getattr(on, "address", None)
    if there and there != EMBEDDED:
        what = f"missing, and the run is on the cluster {there}, which sees no temporary folder of this machine"
        raise ArgumentError(what, where="out", remedy="give a folder that all its nodes see, or an s3:// URI")

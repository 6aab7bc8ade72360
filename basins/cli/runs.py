"""The commands of a run: run, extend, estimate, show, status, describe."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from basins.cli.common import (
    ADDRESS,
    DEADLINE,
    EXPERIMENT,
    INTERRUPTED,
    ON,
    ONE_CASE,
    RUN,
    RUNS,
    UNEXPECTED,
    WORKERS,
    command,
    line,
    print_json,
)
from basins.cli.proving import refuse_inapplicable
from basins.cli.tails import is_tail, print_tail_estimate, tail_status


@command
@EXPERIMENT
@click.option("--out", metavar="RUN", help="Folder of the run; runs/NAME by default. An existing run is resumed.")
@ON
@WORKERS
@ADDRESS
@DEADLINE
@click.option("--dry-run", is_flag=True, help="Show the plan and what it would cost; write nothing.")
@click.option("--prove", is_flag=True, help="Also prove where every start flows, shard by shard.")
def run(
    experiment: Path,
    out: str | None,
    on: str,
    workers: int | None,
    address: str | None,
    deadline: float | None,
    dry_run: bool,
    prove: bool,
) -> int:
    """Run EXPERIMENT, or the part of it that is missing.

    EXPERIMENT is a TOML file, or the folder of a run, whose experiment is then used with the numbers stored there. At
    the end the estimate is printed, as by `basins estimate`.
    """
    from basins.experiment.packed import opened
    from basins.output.console.description import print_plan
    from basins.output.console.estimate import print_estimate
    from basins.output.console.screen import console
    from basins.progress import progress

    refuse_inapplicable(on, address, deadline)
    loaded = opened(experiment)
    if prove:
        if dry_run:
            raise click.UsageError("--dry-run writes nothing, so there is nothing to prove")
        from basins.execution.proving import provable

        for name, why in provable(loaded.cases, None, str(experiment))[1].items():
            line(f"case {name!r} is not proved: {why}")
    out = str(Path("runs") / _folder(loaded.name)) if out is None else out
    screen = console()
    if dry_run:
        from basins.description import plan
        from basins.execution.base import cores
        from basins.experiment.pilot import decided

        loaded = decided(loaded)
        print_plan(screen, loaded, plan(loaded), 1 if on == "inline" else workers or cores(), out)
        return 0
    from basins.execution.run import run as run_experiment

    try:
        done = run_experiment(
            loaded,
            out,
            on=on,
            workers=workers,
            address=address,
            deadline=deadline,
            listeners=[progress()],
            prove=prove,
        )
    except KeyboardInterrupt:
        line(f"interrupted: finished shards are kept in {out}; the same command resumes the run")
        sys.exit(INTERRUPTED)
    found = done.estimate()
    print_estimate(screen, found)
    screen.print(f"complete: {done.path}", soft_wrap=True)
    wrong = [case for case in found.cases if case.proved is not None and case.proved.saddles]
    if prove and wrong and wrong[0].proved is not None:
        ids = ", ".join(map(str, wrong[0].proved.contradicted))
        line(f"error: case {wrong[0].name} has rows labelled saddle whose starts are proved to be minima: id {ids}")
        return UNEXPECTED
    return 0


def _folder(name: str) -> str:
    """The folder name for an experiment's name."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"


@command
@RUN
@click.option(
    "--budget", type=int, required=True, help="Gradient evaluations that each trajectory may use, from t = 0."
)
@ON
@WORKERS
@ADDRESS
@DEADLINE
def extend(run: str, budget: int, on: str, workers: int | None, address: str | None, deadline: float | None) -> None:
    """Integrate again, with a larger budget, the trajectories that used up theirs.

    Trajectories of a finished RUN that are censored for their evaluation budget, or as settled beside a saddle, are
    integrated again into a new layer over the run. Existing files do not change. After an interruption the same command
    resumes the layer.
    """
    from basins.execution.run import extend as extend_run
    from basins.output.console.estimate import print_estimate, print_undecided
    from basins.output.console.screen import console
    from basins.progress import progress

    refuse_inapplicable(on, address, deadline)
    try:
        done = extend_run(
            run,
            budget,
            on=on,
            workers=workers,
            address=address,
            deadline=deadline,
            listeners=[progress()],
            on_message=line,
        )
    except KeyboardInterrupt:
        line(f"interrupted: finished shards are kept in {run}; the same command resumes the layer")
        sys.exit(INTERRUPTED)
    found = done.estimate()
    screen = console()
    print_estimate(screen, found)
    print_undecided(screen, found, budget)


BASE = click.option("--base", is_flag=True, help="Read the run as it was before `basins extend`.")


@command
@RUNS
@click.option("--json", "as_json", is_flag=True, help="Print JSON with all digits.")
@click.option("--case", metavar="KEY|PART", help="Only this case, by its key or a part of its name.")
@BASE
def estimate(runs: tuple[str, ...], as_json: bool, case: str | None, base: bool) -> None:
    """Estimate the measure of the saddle basins, with exact intervals.

    For a run in progress, the shards up to the first missing one are counted. Several runs are pooled: cases of the
    same problem and law, of different seeds, are counted as one. RUN may also be the folder of a tail (basins tail):
    then the levels of its complete replicates are shown, with intervals from their spread.
    """
    from basins.output.console.estimate import print_case, print_estimate
    from basins.output.console.screen import console
    from basins.run_tables import open_run

    if is_tail(*runs):
        if base:
            raise click.UsageError("--base is of runs: a tail has no layers")
        print_tail_estimate(runs[0], case, as_json)
        return
    opened = [open_run(run, 0 if base else None) for run in runs]
    key = None if case is None else opened[0].case(case).key
    if len(opened) > 1:
        from basins.comparison import pool

        found = pool(*opened)
    else:
        found = opened[0].estimate()
    one = next((of_case for of_case in found.cases if of_case.case == key), None)
    if as_json:
        said = (found if one is None else one).to_dict()
        print_json(said)
    elif one is None:
        print_estimate(console(), found)
    else:
        print_case(console(), one)


@command
@RUN
@click.option("--id", "number", type=int, required=True, help="The trajectory's id.")
@ONE_CASE
@click.option(
    "--reintegrate",
    is_flag=True,
    help="Integrate it again, also at tolerances 100 times tighter, and compare.",
)
@BASE
def show(run: str, number: int, case: str | None, reintegrate: bool, base: bool) -> None:
    """Show one trajectory and explain its verdict."""
    from basins import show as rows
    from basins.output.console.row import print_again, print_row
    from basins.output.console.screen import console
    from basins.run_tables import open_run

    opened = open_run(run, 0 if base else None)
    shown = rows.show(opened, number, case)
    screen = console()
    print_row(screen, shown)
    if reintegrate:
        print_again(screen, shown, *rows.reintegrate(opened, shown))


@command
@RUN
@click.option("--watch", is_flag=True, help="Repeat until the run is complete or Ctrl-C is pressed.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds between two updates of --watch.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line for each update.")
def status(run: str, watch: bool, every: float, as_json: bool) -> None:
    """Show the progress of a run.

    It shows finished shards, verdicts, rate, time left, losses and layers; of a tail (basins tail), its replicates and
    how deep they are. It reads only the run's files, so it works from any machine that can access them.
    """
    import time

    from basins.output.console.screen import console

    screen = console()
    look, show = tail_status(run) if is_tail(run) else run_status(run)
    with suppress(KeyboardInterrupt):
        while True:
            found, over = look()
            if as_json:
                print_json(found.to_dict(), indent=None)
            else:
                if watch and sys.stdout.isatty():
                    click.clear()
                show(screen, found)
            if not watch or over:
                return
            time.sleep(every)


def run_status(run: str) -> tuple[Callable[[], tuple[Any, bool]], Callable[[Any, Any], None]]:
    """A function that looks at the run, which gives its status and whether it is complete, and one that prints it."""
    from basins.output.console.status import print_status
    from basins.status import Watcher
    from basins.store import files_at

    watcher = Watcher(files_at(run))

    def look() -> tuple[Any, bool]:
        found = watcher.look()
        return found, found.activity.state == "complete"

    return look, print_status


@command
@EXPERIMENT
@click.option("--case", metavar="KEY|PART", help="Only this case, by its key or a part of its name.")
@WORKERS
def describe(experiment: Path, case: str | None, workers: int | None) -> None:
    """Describe an experiment before it is run.

    It shows sizes, the paper's assumptions, strata, the share certified at t = 0, the cost, and whether the shape can
    test the conjecture. Of many cases it shows a table, and each with --case.
    """
    from basins import description as described
    from basins.execution.base import cores
    from basins.experiment import load
    from basins.experiment.pilot import decided
    from basins.output.console.description import print_cases, print_description
    from basins.output.console.estimate import FEW
    from basins.output.console.screen import console

    loaded = decided(load(experiment))
    if case is None and len(loaded.cases) > FEW:
        print_cases(console(), loaded)
        return
    chosen = loaded.cases if case is None else (loaded.case(case),)
    print_description(console(), loaded, [described.describe(loaded, one) for one in chosen], workers or cores())

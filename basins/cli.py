"""The command line: listen, refuse, parse. What it does is elsewhere; what it prints is in tables.py.

Exit status: 0 done; 1 an error of basins' own; 2 refused, one line on standard error that says what, where and what to
do; 130 interrupted.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

import basins
from basins.errors import AssumptionWarning, BasinsError

RUNNERS = ("ray", "processes", "inline")
REFUSED, UNEXPECTED, INTERRUPTED = 2, 1, 130


class Commands(click.Group):
    """The commands; whatever they raise ends as one line and an exit status."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        with refusing(debug="--debug" in arguments):
            status = super().main(arguments, *rest, **options)
            sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def refusing(debug: bool = False) -> Iterator[None]:
    """What is raised or warned of inside ends as one line, and an exit status. Scripts use it as the commands do."""
    with _as_lines(), _exit(debug):
        yield


@contextmanager
def _exit(debug: bool) -> Iterator[None]:
    """Turn what is raised inside into a line on standard error and an exit status."""
    try:
        yield
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(REFUSED)
    except click.ClickException as error:
        line(f"error: {error.format_message().rstrip('.')}{_see_help(error)}")
        sys.exit(REFUSED)
    except (KeyboardInterrupt, click.Abort):
        line("interrupted")
        sys.exit(INTERRUPTED)
    except BasinsError as error:
        if debug:
            traceback.print_exc()
        line(f"error: {error}")
        sys.exit(REFUSED)
    except Exception as error:
        if debug:
            traceback.print_exc()
        line(f"unexpected: {type(error).__name__}: {error}{'' if debug else '; run again with --debug'}")
        sys.exit(UNEXPECTED)


@contextmanager
def _as_lines() -> Iterator[None]:
    """Warnings as lines too."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", AssumptionWarning)

        def show(message: Warning | str, *_: Any, **__: Any) -> None:
            line(f"warning: {message}")

        warnings.showwarning = show
        yield


def line(text: str) -> None:
    click.echo(" ".join(text.split()), err=True)


def _see_help(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"; see {context.command_path} --help" if context is not None else ""


def command(function: Callable[..., Any]) -> click.Command:
    """A command of the group, which takes --debug like every other."""
    debug = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
    return main.command()(debug(function))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(basins.__version__, prog_name="basins")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def main() -> None:
    """How much of weight space flows into a saddle? A Monte Carlo estimator for deep linear networks."""


EXPERIMENT = click.argument("experiment", type=click.Path(path_type=Path))
RUN = click.argument("run", metavar="RUN")
WORKERS = click.option("--workers", type=click.IntRange(min=1), help="Processes at work; by default one a core.")
ON = click.option(
    "--on",
    type=click.Choice(RUNNERS),
    default="ray",
    show_default=True,
    help="Who works: Ray, processes of this machine, or this process alone.",
)
ADDRESS = click.option(
    "--address", help="The Ray cluster's address; by default RAY_ADDRESS, else a Ray of this machine's own."
)
DEADLINE = click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="A shard that takes longer is tried again elsewhere; by default ten times the longest so far, or a minute.",
)


@command
@EXPERIMENT
@click.option("--out", metavar="RUN", help="The run's folder; by default runs/NAME. One that is there is resumed.")
@ON
@WORKERS
@ADDRESS
@DEADLINE
@click.option("--dry-run", is_flag=True, help="Show the plan and what it would cost; write nothing.")
def run(
    experiment: Path,
    out: str | None,
    on: str,
    workers: int | None,
    address: str | None,
    deadline: float | None,
    dry_run: bool,
) -> None:
    """Run EXPERIMENT, or what is missing of it.

    EXPERIMENT is a TOML file, or a run's folder: that run's experiment, with its numbers. At the end comes what the
    run shows, as `basins estimate` prints it.
    """
    from basins import tables
    from basins.packed import opened
    from basins.progress import progress

    _refuse_senseless(on, address, deadline)
    loaded = opened(experiment)
    out = str(Path("runs") / _folder(loaded.name)) if out is None else out
    screen = tables.console()
    if dry_run:
        from basins.describe import plan
        from basins.pilot import decided
        from basins.runners.base import cores

        loaded = decided(loaded)
        tables.print_plan(screen, loaded, plan(loaded), 1 if on == "inline" else workers or cores(), out)
        return
    from basins.runners import run as run_experiment

    try:
        done = run_experiment(
            loaded, out, on=on, workers=workers, address=address, deadline=deadline, listeners=[progress()]
        )
    except KeyboardInterrupt:
        line(f"interrupted: the shards that are done are kept in {out}, and the same command goes on from there")
        sys.exit(INTERRUPTED)
    tables.print_estimate(screen, done.estimate())
    screen.print(f"complete: {done.path}", soft_wrap=True)


def _refuse_senseless(on: str, address: str | None, deadline: float | None) -> None:
    if address is not None and on != "ray":
        raise click.UsageError(f"--address is of --on ray, not of --on {on}")
    if deadline is not None and on == "inline":
        raise click.UsageError("--on inline has no --deadline")


def _folder(name: str) -> str:
    """An experiment's name as one folder's."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"


@command
@RUN
@click.option("--budget", type=int, required=True, help="Evaluations of the gradient that each may spend, from t = 0.")
@ON
@WORKERS
@ADDRESS
@DEADLINE
def extend(run: str, budget: int, on: str, workers: int | None, address: str | None, deadline: float | None) -> None:
    """Integrate again, with a larger budget, what ended at its budget.

    Trajectories of a finished RUN that are censored for their evaluation budget, or as settled beside a saddle, are
    integrated again into a new layer over the run: nothing of it is overwritten. The same command goes on with a layer
    that was interrupted.
    """
    from basins import tables
    from basins.progress import progress
    from basins.runners import extend as extend_run

    _refuse_senseless(on, address, deadline)
    try:
        done = extend_run(
            run,
            budget,
            on=on,
            workers=workers,
            address=address,
            deadline=deadline,
            listeners=[progress()],
            told=line,
        )
    except KeyboardInterrupt:
        line(f"interrupted: what is done is kept in {run}, and the same command goes on from there")
        sys.exit(INTERRUPTED)
    found = done.estimate()
    screen = tables.console()
    tables.print_estimate(screen, found)
    tables.print_left(screen, found, budget)


ONE_CASE = click.option("--case", metavar="KEY|NAME", help="The case; needed where there are several.")
BASE = click.option("--base", is_flag=True, help="The run as it was before `basins extend`.")


@command
@RUN
@click.option("--json", "as_json", is_flag=True, help="As JSON, every number in full.")
@click.option("--case", metavar="KEY|NAME", help="This case alone, by its key or name.")
@BASE
def estimate(run: str, as_json: bool, case: str | None, base: bool) -> None:
    """The measure of the saddle basins, so far.

    With exact intervals. Of a run in progress the shards that are there, up to the first that is missing, are counted.
    """
    from basins import tables
    from basins.store.run import open_run

    opened = open_run(run, 0 if base else None)
    key = None if case is None else opened.case(case).key
    found = opened.estimate()
    one = next((of_case for of_case in found.cases if of_case.case == key), None)
    if as_json:
        said = (found if one is None else one).to_dict()
        click.echo(json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False))
    elif one is None:
        tables.print_estimate(tables.console(), found)
    else:
        tables.print_case(tables.console(), one)


@command
@RUN
@click.option("--id", "number", type=int, required=True, help="The trajectory's id.")
@ONE_CASE
@click.option(
    "--reintegrate",
    is_flag=True,
    help="Integrate it again, and once more at tolerances 100 times tighter, and compare.",
)
@BASE
def show(run: str, number: int, case: str | None, reintegrate: bool, base: bool) -> None:
    """One trajectory, and why it got its verdict."""
    from basins import show as rows
    from basins import tables
    from basins.store.run import open_run

    opened = open_run(run, 0 if base else None)
    shown = rows.show(opened, number, case)
    screen = tables.console()
    tables.print_row(screen, shown)
    if reintegrate:
        tables.print_again(screen, shown, *rows.reintegrate(opened, shown))


@command
@RUN
@click.option("--watch", is_flag=True, help="Look again and again, until it is complete or Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks of --watch.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, a line for each look.")
def status(run: str, watch: bool, every: float, as_json: bool) -> None:
    """How far a run is.

    Shards done, verdicts, rate, time left, losses and layers, read from its files alone, wherever it is worked on.
    """
    import time

    from basins import tables
    from basins.status import Watcher
    from basins.status_table import print_status
    from basins.store import files_at

    watcher, screen = Watcher(files_at(run)), tables.console()
    with suppress(KeyboardInterrupt):
        while True:
            found = watcher.look()
            if as_json:
                click.echo(json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False))
            else:
                if watch and sys.stdout.isatty():
                    click.clear()
                print_status(screen, found)
            if not watch or found.activity.state == "complete":
                return
            time.sleep(every)


@command
@EXPERIMENT
@click.option("--case", metavar="KEY|NAME", help="This case alone, by its key or name.")
@WORKERS
def describe(experiment: Path, case: str | None, workers: int | None) -> None:
    """What an experiment is, before it is run.

    Sizes, the paper's assumptions, strata, the share certified at t = 0, cost, and whether it can test the conjecture.
    """
    from basins import describe as described
    from basins import tables
    from basins.experiment import load
    from basins.pilot import decided
    from basins.runners.base import cores

    loaded = decided(load(experiment))
    chosen = loaded.cases if case is None else (loaded.case(case),)
    tables.print_description(
        tables.console(), loaded, [described.describe(loaded, one) for one in chosen], workers or cores()
    )


from basins import cli_checks, cli_codim, cli_figures, cli_jobs, cli_tail  # noqa: E402, F401, I001 - need those above


if __name__ == "__main__":
    sys.modules["basins.cli"].main()  # imported beside this copy of it under `python -m`

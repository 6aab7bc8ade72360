"""Commands for a Ray cluster: submit, follow, stop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from basins.cli.common import EXPERIMENT, INTERRUPTED, command, line
from basins.cli.runs import run

HEAD = click.option(
    "--address",
    metavar="URL",
    required=True,
    envvar="RAY_API_SERVER_ADDRESS",
    show_envvar=True,
    help="Address of the Ray dashboard, http://HEAD:8265.",
)
JOB = click.argument("job", metavar="JOB")
OF_THE_CLIENT = ("experiment", "out", "address", "dry_run", "debug", "help")
"""Parameters of `run` that are not passed on to the job; all others are."""


PASSED_ON = [option for option in run.params if option.name not in OF_THE_CLIENT]


def passing_on(command: click.Command) -> click.Command:
    """Add the passed-on options of `run` to a command."""
    command.params.extend(PASSED_ON)
    return command


@passing_on
@command
@EXPERIMENT
@click.option(
    "--out", metavar="URI", required=True, help="The run: a store's URI, or a path that all nodes can access."
)
@HEAD
@click.option("--follow", "following", is_flag=True, help="Show the job's log, and end with its exit status.")
@click.option(
    "--env",
    "environment",
    metavar="NAME",
    multiple=True,
    help="An environment variable to pass to the job; may be repeated.",
)
@click.pass_context
def submit(
    context: click.Context,
    /,
    experiment: Path,
    out: str,
    address: str,
    following: bool,
    environment: tuple[str, ...],
    **passed_on: Any,
) -> None:
    """Run EXPERIMENT on a Ray cluster, as a job.

    The experiment, its data and basins are sent with the job; the packages that basins depends on must be installed on
    the cluster. A job that is submitted again resumes the run.
    """
    from basins.experiment.packed import opened
    from basins.job import submit as jobs
    from basins.job.dashboard import Dashboard

    loaded = opened(experiment)
    place, is_path = jobs.place(out)
    dashboard = Dashboard(address)
    if dashboard.open:
        line(f"warning: {address} accepts jobs from anyone: start Ray with RAY_AUTH_MODE=token and a token")
    if is_path:
        line(f"warning: {place} is a path: it must be the same folder on every node of the cluster")
    options = _as_arguments(context, passed_on)
    job = jobs.submit(loaded, place, dashboard, options=options, environment=environment)
    line(f"submitted: job {job}")
    if following:
        sys.exit(_follow(dashboard, job))
    line(_how_to_come_back(dashboard.address, job))


def _as_arguments(context: click.Context, values: dict[str, Any]) -> list[str]:
    """The given options in command-line form."""
    options = {option.name: option for option in context.command.params}
    given = [name for name, value in values.items() if value not in (None, False) and value != options[name].default]
    return [part for name in given for part in _as_argument(options[name].opts[0], values[name])]


def _as_argument(option: str, value: Any) -> list[str]:
    return [option] if value is True else [option, str(value)]


def _follow(dashboard: Any, job: str) -> int:
    """Follow the job and return its exit status. Ctrl-C stops following; the job continues."""
    try:
        status: int = dashboard.follow(job, lambda text: click.echo(text, nl=False))
    except KeyboardInterrupt:
        line(f"detached: job {job} continues; {_how_to_come_back(dashboard.address, job)}")
        return INTERRUPTED
    return status


def _how_to_come_back(address: str, job: str) -> str:
    rest = f"{job} --address {address}"
    return f"to watch it: basins follow {rest}; to stop it: basins stop {rest}"


@command
@JOB
@HEAD
def follow(job: str, address: str) -> None:
    """Show the log of a submitted job until it ends.

    The exit status is that of the job. Ctrl-C stops following; the job continues.
    """
    from basins.job.dashboard import Dashboard

    sys.exit(_follow(Dashboard(address), job))


@command
@JOB
@HEAD
def stop(job: str, address: str) -> None:
    """Stop a submitted job.

    Finished shards are kept. Submit the same experiment again to resume.
    """
    from basins.job.dashboard import Dashboard

    became = Dashboard(address).stop(job)
    click.echo(f"job {job}: {became.lower()}")

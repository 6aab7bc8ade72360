"""What `verify --prove` and `run --prove` share."""

from __future__ import annotations

import sys

import click

from basins.cli.common import INTERRUPTED, RUNNERS, line

PROVE_ON = click.option(
    "--on",
    type=click.Choice(RUNNERS),
    help="Who proves: Ray (the default), processes of this machine, or this process alone.",
)


def refuse_senseless(on: str, address: str | None, deadline: float | None) -> None:
    """Raises UsageError for what a runner has no use for."""
    if address is not None and on != "ray":
        raise click.UsageError(f"--address is of --on ray, not of --on {on}")
    if deadline is not None and on == "inline":
        raise click.UsageError("--on inline has no --deadline")


def prove_starts(
    run: str,
    rows: int | str,
    case: str | None,
    seed: int,
    on: str,
    workers: int | None,
    address: str | None,
    deadline: float | None,
) -> None:
    """Prove so many starts of a run, or "all", with a progress bar; Ctrl-C ends the command."""
    from basins.execution.run import prove_run
    from basins.progress import progress

    refuse_senseless(on, address, deadline)
    try:
        prove_run(
            run,
            None if isinstance(rows, str) else rows,
            case=case,
            seed=seed,
            on=on,
            workers=workers,
            address=address,
            deadline=deadline,
            listeners=[progress()],
            on_message=line,
        )
    except KeyboardInterrupt:
        line(f"interrupted: what is proved is kept in {run}, and the same command goes on from there")
        sys.exit(INTERRUPTED)

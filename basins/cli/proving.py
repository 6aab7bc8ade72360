"""Proving from the command line."""

from __future__ import annotations

import sys

import click

from basins.cli.common import INTERRUPTED, RUNNERS, line

PROVE_ON = click.option(
    "--on",
    type=click.Choice(RUNNERS),
    help="Execution backend of --prove: Ray, processes on this machine, or this process alone; by default auto, as of "
    "basins run.",
)


def refuse_inapplicable(on: str, address: str | None, deadline: float | None) -> None:
    """Raises UsageError for an option that the runner does not use."""
    if address is not None and on not in ("auto", "ray"):
        raise click.UsageError(f"--address needs --on ray, not --on {on}")
    if deadline is not None and on == "inline":
        raise click.UsageError("--deadline needs --on ray or --on processes, not --on inline")


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
    """Prove `rows` random starts of a run, or "all", with a progress bar. Ctrl-C ends the command."""
    from basins.execution.run import prove_run
    from basins.progress import progress

    refuse_inapplicable(on, address, deadline)
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
        line(f"interrupted: finished proofs are kept in {run}; the same command resumes")
        sys.exit(INTERRUPTED)

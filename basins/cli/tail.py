"""The command tail: bounds far below 3/N."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import click

from basins.cli.common import ADDRESS, EXPERIMENT, INTERRUPTED, RUNNERS, WORKERS, command, line


@command
@EXPERIMENT
@click.option("--out", metavar="RUN", required=True, help="Folder of the tail. An existing one is resumed.")
@click.option("--case", metavar="KEY|PART", help="Only this case, by its key or a part of its name.")
@click.option(
    "--stratum",
    type=int,
    metavar="J",
    help="Split on the closest approach to the saddles of I(J), instead of on the time of the certificate.",
)
@click.option("--target", type=float, default=1e-12, show_default=True, help="The probability to reach.")
@click.option(
    "--replicates",
    type=int,
    default=8,
    show_default=True,
    help="Independent estimates, at least 4: their spread gives the interval, which is calibrated from 8 on.",
)
@click.option("--population", type=int, default=1000, show_default=True, help="Number of chains in a replicate.")
@click.option("--sweeps", type=int, default=10, show_default=True, help="Moves of each chain at each splitting level.")
@click.option(
    "--keep", type=float, default=0.2, show_default=True, help="Share of the chains kept at each splitting level."
)
@click.option("--on", type=click.Choice(RUNNERS), default="processes", show_default=True, help="Execution backend.")
@WORKERS
@ADDRESS
def tail(
    experiment: Path,
    out: str,
    case: str | None,
    stratum: int | None,
    target: float,
    replicates: int,
    population: int,
    sweeps: int,
    keep: float,
    on: str,
    workers: int | None,
    address: str | None,
) -> None:
    """Bound the measure of the saddle basins far below 3/N.

    The command estimates P(T > t) by multilevel splitting, where T is the time at which the loss proves a global
    minimum: every saddle basin lies inside {T > t}. With --stratum J it estimates P(G < g), where G is the gradient
    norm at the time when the loss passes the critical value of I(J): the basin of I(J) lies inside {G < g}. It prints a
    table of the splitting levels, with intervals from independent replicates.
    """
    from basins.output.console.screen import console
    from basins.output.console.tail import print_tails
    from basins.rare.formatting import event
    from basins.rare.replicates import PILOT, SplittingLevel
    from basins.rare.tail import tail as tail_of

    def reached(name: str, replicate: int, level: SplittingLevel) -> None:
        who = "pilot" if replicate == PILOT else f"replicate {replicate}"
        beyond = event(stratum, level.threshold)
        line(f"{name}: {who}, level {level.number}: P({beyond}) about {math.exp(level.log_P):.3g}")

    try:
        done = tail_of(
            experiment,
            out,
            case=case,
            stratum=stratum,
            target=target,
            replicates=replicates,
            population=population,
            sweeps=sweeps,
            keep=keep,
            on=on,
            workers=workers,
            address=address,
            reached=reached,
        )
    except KeyboardInterrupt:
        line(f"interrupted: finished levels are kept in {out}; the same command resumes the tail")
        sys.exit(INTERRUPTED)
    screen = console()
    print_tails(screen, done)
    screen.print(f"complete: {out}", soft_wrap=True)

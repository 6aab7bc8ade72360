"""The command init: an experiment on a data file of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from basins.cli.common import command

CSV = "how a CSV file is written; found unless given."


@command
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--targets", multiple=True, required=True, metavar="COLUMN", help="Column to be fitted; may be repeated.")
@click.option(
    "--inputs", multiple=True, metavar="COLUMN", help="Column to fit from; may be repeated. By default all that can be."
)
@click.option("--categorical", multiple=True, metavar="COLUMN", help="Column that is classes; may be repeated.")
@click.option("--hidden", multiple=True, type=int, metavar="WIDTH", help="Width of a hidden layer; may be repeated.")
@click.option(
    "--trajectories", type=click.IntRange(min=1), default=100_000, show_default=True, help="Number of starts to draw."
)
@click.option("--separator", help=f"Separator of fields: {CSV}")
@click.option("--decimal", type=click.Choice((".", ",")), help=f"Decimal mark: {CSV}")
@click.option("--thousands", help="Thousands mark: how a CSV file is written; never guessed.")
@click.option("--encoding", help=f"Encoding: {CSV}")
@click.option("--out", metavar="FILE", help="The experiment to write; by default NAME.toml here. Never overwritten.")
def init(
    data: Path,
    targets: tuple[str, ...],
    inputs: tuple[str, ...],
    categorical: tuple[str, ...],
    hidden: tuple[int, ...],
    trajectories: int,
    separator: str | None,
    decimal: str | None,
    thousands: str | None,
    encoding: str | None,
    out: str | None,
) -> None:
    """Look at DATA and write a commented experiment on it.

    DATA is a CSV, Parquet or NPZ file. The experiment says what was read (rows, columns, types, missing values), what
    was assumed (standardisation, widths, law and scale), and what `basins describe` says of it. Columns that cannot be
    inputs are left out, and named. Text that is a target is read as classes.
    """
    from basins.drafting import draft
    from basins.experiment.data import Reading
    from basins.output.console.screen import console, paragraph

    done = draft(
        data,
        targets,
        out=out,
        inputs=inputs,
        categorical=categorical,
        hidden=hidden,
        trajectories=trajectories,
        reading=Reading(separator=separator, decimal=decimal, thousands=thousands, encoding=encoding),
    )
    screen = console()
    for line in done.said:
        paragraph(screen, line)
    screen.print(f"written: {done.path}; to run it: basins run {done.path}", soft_wrap=True)

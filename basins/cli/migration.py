"""The command that writes a run of an older schema again: migrate."""

from __future__ import annotations

import click

from basins.cli.common import RUN, command


@command
@RUN
@click.option("--out", metavar="RUN", required=True, help="The new run's folder or URI; empty, or not there yet.")
def migrate(run: str, out: str) -> None:
    """Write RUN, of an older schema, again in the present one.

    The rows stay the same and nothing is integrated again. RUN is only read; a run of an older schema can be
    estimated, shown and verified as it is, but not resumed or extended. After an interruption the same command goes on.
    """
    from basins.progress import Steps
    from basins.store import files_at
    from basins.store.migration import migrate as write_again

    with Steps() as step:
        manifest = write_again(files_at(run), files_at(out), step)
    click.echo(f"{out} is a run of schema version {manifest.schema} with the rows of {run}")

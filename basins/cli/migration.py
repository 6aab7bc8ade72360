"""The command migrate, which rewrites a run of an older schema."""

from __future__ import annotations

import click

from basins.cli.common import RUN, command


@command
@RUN
@click.option("--out", metavar="RUN", required=True, help="Folder or URI of the new run; empty or not existing yet.")
def migrate(run: str, out: str) -> None:
    """Rewrite RUN, of an older schema, in the current schema.

    The rows stay the same and nothing is integrated again. RUN itself does not change; a run of an older schema can be
    estimated, shown and verified as it is, but not resumed or extended. After an interruption the same command resumes.
    """
    from basins.progress import Steps
    from basins.store import files_at
    from basins.store.migration import migrate as write_again

    with Steps() as step:
        manifest = write_again(files_at(run), files_at(out), step)
    click.echo(f"{out} is a run of schema version {manifest.schema} with the rows of {run}")

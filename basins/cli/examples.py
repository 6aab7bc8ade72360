"""The command examples: experiments that come along, with their data."""

from __future__ import annotations

import click

from basins.cli.common import command


@command
@click.argument("name", required=False)
@click.option("--to", metavar="FOLDER", help="Write it and its data into this folder.")
def examples(name: str | None, to: str | None) -> None:
    """List the examples, show one, or copy one with its data.

    \b
    basins examples               lists them
    basins examples iris          prints the experiment
    basins examples iris --to .   writes iris.toml and iris.csv here
    """
    from basins import examples as of_the_package
    from basins.output.console.screen import columns, console, indented, paragraph

    if name is None:
        if to is not None:
            raise click.UsageError("--to needs the name of an example")
        screen = console()
        table = columns("name", "files", "what it is", text=(0, 1, 2))
        for one in of_the_package.examples():
            table.add_row(one.name, " ".join(one.files), one.about)
        indented(screen, table)
        paragraph(screen, "`basins examples NAME --to FOLDER` copies one; `basins describe` says more of it.")
        where = of_the_package.FOLDER / of_the_package.ORIGINS
        paragraph(screen, f"Where the data are from, and their licences: {where}")
    elif to is None:
        click.echo(of_the_package.example(name).text, nl=False)
    else:
        for path in of_the_package.copy(name, to):
            click.echo(str(path))

"""The command compare: several runs side by side."""

from __future__ import annotations

import click

from basins.cli.common import command, print_json


@command
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True)
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV with all digits.")
@click.option("--json", "as_json", is_flag=True, help="Print rows and tests as JSON with all digits.")
def compare(runs: tuple[str, ...], as_csv: bool, as_json: bool) -> None:
    """Put runs side by side: counts, bounds, proofs and cost of each case, and exact tests of differences.

    `basins estimate`, `basins report` and `basins plot` take several runs too; what is of one problem and law, and of
    different seeds, is pooled there.
    """
    from basins.comparison import compare as compared
    from basins.output.console.comparison import print_comparison
    from basins.output.console.screen import console

    if as_csv and as_json:
        raise click.UsageError("--csv or --json, not both")
    found = compared(*runs)
    if as_csv:
        click.echo(found.to_csv(), nl=False)
    elif as_json:
        print_json(found.to_dict())
    else:
        print_comparison(console(), found)

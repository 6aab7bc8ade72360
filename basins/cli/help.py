"""The command help: the help of a command, and the reference of an experiment's keys."""

from __future__ import annotations

import click

from basins.cli.common import command, main, print_json
from basins.errors import ArgumentError, nearest

EXPERIMENT = "experiment"


@command
@click.argument("topic", metavar="[COMMAND|experiment]", required=False)
@click.option("--json-schema", is_flag=True, help="Of experiment: print the JSON Schema, for an editor.")
@click.pass_context
def help(context: click.Context, topic: str | None, json_schema: bool) -> None:
    """Show help on a command, or every key of an experiment.

    `basins help experiment` has of each key of the TOML file its type, default, unit, meaning and an example.
    """
    from basins.experiment import reference
    from basins.output.console.reference import print_reference
    from basins.output.console.screen import console

    if json_schema and topic != EXPERIMENT:
        raise click.UsageError("--json-schema is of `basins help experiment`")
    above = context.parent
    assert above is not None
    if topic is None:
        click.echo(main.get_help(above))
    elif topic == EXPERIMENT and json_schema:
        print_json(reference.schema())
    elif topic == EXPERIMENT:
        print_reference(console(), reference.sections())
    elif topic in main.commands:
        of = main.commands[topic]
        with click.Context(of, info_name=topic, parent=above) as inner:
            click.echo(of.get_help(inner))
    else:
        raise ArgumentError(f"no command {topic!r}", where="help", remedy=nearest(topic, [EXPERIMENT, *main.commands]))

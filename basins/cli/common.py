"""The parts that commands share: errors, exit statuses and common arguments.

Exit status: 0, done; 1, an internal error of basins; 2, refused, with one line on standard error that says what is
wrong, where, and what to do; 130, interrupted; 141, standard output or error is a closed pipe (standard_output.py).
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import basins
from basins.errors import AssumptionWarning, BasinsError
from basins.standard_output import guarded, takes_utf8

RUNNERS = ("auto", "ray", "processes", "inline")
REFUSED, UNEXPECTED, INTERRUPTED = 2, 1, 130


class Commands(click.Group):
    """The group of commands. Whatever a command raises becomes one line and an exit status."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        with refusing(debug="--debug" in arguments):
            status = super().main(arguments, *rest, **options)
            sys.stdout.flush()
            sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def refusing(debug: bool = False) -> Iterator[None]:
    """Turn errors and warnings raised inside into one line each and an exit status. The analysis scripts use it too."""
    with guarded(), _as_lines(), _exit(debug):
        yield
        sys.stdout.flush()  # inside `guarded`, so that a failed write is refused


@contextmanager
def _exit(debug: bool) -> Iterator[None]:
    """Turn an exception raised inside into a line on standard error and an exit status."""
    try:
        yield
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(REFUSED)
    except click.ClickException as error:
        line(f"error: {error.format_message().rstrip('.')}{_see_help(error)}")
        sys.exit(REFUSED)
    except (KeyboardInterrupt, click.Abort):
        line("interrupted")
        sys.exit(INTERRUPTED)
    except BasinsError as error:
        if debug:
            traceback.print_exc()
        line(f"error: {error}")
        sys.exit(REFUSED)
    except Exception as error:
        if debug:
            traceback.print_exc()
        line(f"unexpected: {type(error).__name__}: {error}{'' if debug else '; run again with --debug'}")
        sys.exit(UNEXPECTED)


@contextmanager
def _as_lines() -> Iterator[None]:
    """Print warnings as lines too."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", AssumptionWarning)

        def show(message: Warning | str, *_: Any, **__: Any) -> None:
            line(f"warning: {message}")

        warnings.showwarning = show
        yield


def line(text: str) -> None:
    click.echo(" ".join(text.split()), err=True)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print a value as JSON on standard output, in UTF-8, or in ASCII if standard output accepts nothing else."""
    click.echo(json.dumps(value, indent=indent, ensure_ascii=not takes_utf8(), allow_nan=False))


def _see_help(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"; see {context.command_path} --help" if context is not None else ""


def command(function: Callable[..., Any]) -> click.Command:
    """Add a command to the group, with the option --debug."""
    debug = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
    return main.command()(debug(function))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(basins.__version__, prog_name="basins")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def main() -> None:
    """How much of weight space flows into a saddle? A Monte Carlo estimator for deep linear networks."""


EXPERIMENT = click.argument("experiment", type=click.Path(path_type=Path))
RUN = click.argument("run", metavar="RUN")
RUNS = click.argument("runs", metavar="RUN...", nargs=-1, required=True)
WORKERS = click.option(
    "--workers", type=click.IntRange(min=1), help="Number of worker processes; one per core by default."
)
ON = click.option(
    "--on",
    type=click.Choice(RUNNERS),
    default="auto",
    show_default=True,
    help="Execution backend: Ray, processes on this machine, or this process alone; auto takes Ray where an address is "
    "given, else this process for little work and processes for more.",
)
ADDRESS = click.option(
    "--address", help="Address of the Ray cluster; by default RAY_ADDRESS, otherwise a Ray on this machine."
)
DEADLINE = click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Retry a shard elsewhere after this time; by default ten times the longest so far, at least a minute.",
)
ONE_CASE = click.option(
    "--case",
    metavar="KEY|PART",
    help="The case, by a part of its name; required if there are several.",
)

"""What a command prints, as a text: the repr of what its function returns."""

from __future__ import annotations

import io
from functools import singledispatch

from rich.console import Console

from basins.description import Description
from basins.execution.base import cores
from basins.output.console.codim import print_codimension
from basins.output.console.description import print_description
from basins.output.console.planning import print_needed
from basins.output.console.row import print_row
from basins.output.console.screen import console
from basins.output.console.status import print_status
from basins.output.console.tail import print_tail
from basins.output.console.verify import print_verification
from basins.planning import Plan
from basins.rare.codim import Codimension
from basins.rare.tail import CaseTail
from basins.show import Shown
from basins.status import Status
from basins.store import files_at, read_manifest
from basins.verify import Verification


def as_text(found: object) -> str:
    """As the command prints it, 100 columns wide, without colours."""
    stream = io.StringIO()
    print_any(found, console(stream))
    return stream.getvalue().rstrip("\n")


@singledispatch
def print_any(found: object, out: Console) -> None:
    raise NotImplementedError(type(found).__name__)


@print_any.register
def _(found: Description, out: Console) -> None:
    print_description(out, found.experiment, [found], cores())


@print_any.register
def _(found: Plan, out: Console) -> None:
    print_needed(out, found.needed, found.costs, cores())


@print_any.register
def _(found: Codimension, out: Console) -> None:
    print_codimension(out, "codimension", found)


@print_any.register
def _(found: CaseTail, out: Console) -> None:
    print_tail(out, found)


@print_any.register
def _(found: Shown, out: Console) -> None:
    print_row(out, found)


@print_any.register
def _(found: Status, out: Console) -> None:
    print_status(out, found)


@print_any.register
def _(found: Verification, out: Console) -> None:
    print_verification(out, read_manifest(files_at(found.run)), found)

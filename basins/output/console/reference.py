"""What `basins help experiment` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from basins.experiment.reference import Row, Section
from basins.output.console.screen import heading, paragraph


def print_reference(out: Console, sections: Sequence[Section]) -> None:
    """Each table with its keys; of a key its value's type, default and unit, what it says, and an example."""
    out.print("An experiment is a TOML file. Of each key: what it may be, what it is unless given, its unit.")
    for section in sections:
        out.print()
        heading(out, section.heading, "")
        paragraph(out, section.about)
        for row in section.rows:
            _print_row(out, row)


def _print_row(out: Console, row: Row) -> None:
    default = {"required": "required", "": "optional"}.get(row.default, f"{row.default} unless given")
    unit = f"; unit: {row.unit}" if row.unit else ""
    out.print()
    for by, text in ((2, f"{row.name}: {row.kind}; {default}{unit}"), (6, row.meaning), (6, row.example)):
        lines = textwrap.wrap(text, out.width - by, break_long_words=False, break_on_hyphens=False)
        out.print(Text("\n".join(" " * by + line for line in lines)), soft_wrap=True)

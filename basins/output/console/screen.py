"""The console for results, at most 100 columns wide, and the parts that all output is made of. A terminal that is too
narrow for a line or a table folds it; no number is truncated."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console, JustifyMethod, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from basins.estimate.sentences import modes_text

WIDTH, NARROWEST = 100, 40

MOST = 1000
"""The width from which a table's cells are cut, in columns."""

MODES_LISTED = 12
"""The largest number of modes of a stratum that a table lists."""


def console(stream: TextIO | None = None) -> Console:
    """The console for results on standard output: 100 columns wide, or the terminal's width if less, at least 40."""
    stream = stream or sys.stdout
    found = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
    return Console(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        width=min(max(found.width, NARROWEST), WIDTH) if stream.isatty() else WIDTH,
    )


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best: 8.1 ms, 32 s, 5.3 min, 2.1 h, 3.4 days."""
    for limit, unit, name in ((0.9995, 1e-3, "ms"), (99.5, 1, "s"), (5970, 60, "min"), (172_000, 3600, "h")):
        if seconds < limit:
            return f"{_two(seconds / unit)} {name}"
    return f"{_two(seconds / 86400)} days"


def size(value: float) -> str:
    """Bytes in the unit that reads best, in powers of 1,000."""
    for limit, unit, name in ((999_500, 1e3, "kB"), (999_500_000, 1e6, "MB"), (999_500_000_000, 1e9, "GB")):
        if value < limit:
            return f"{_two(value / unit)} {name}"
    return f"{_two(value / 1e12)} TB"


def _two(value: float) -> str:
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.2g}"


def counted(count: int, what: str, plural: str = "") -> str:
    """A number of things as text: 1 case, 2,000 cases."""
    return f"{count:,} {what if count == 1 else plural or f'{what}s'}"


def heading(out: Console, name: str, rest: str) -> None:
    """Print the heading of the lines below it."""
    # Folded here and not by rich, so that continuation lines are indented and no line ends in blanks.
    first, *more = textwrap.wrap(f"{name}  {rest}", out.width, subsequent_indent="  ", break_on_hyphens=False)
    out.print(Text.assemble((name, "bold cyan"), "\n".join([first.removeprefix(name), *more])), soft_wrap=True)


def paragraph(out: Console, text: str, style: str = "") -> None:
    """Print a text, indented."""
    # Lines break only at spaces, so that commands and paths are not broken.
    lines = textwrap.wrap(text, out.width - 2, break_long_words=False, break_on_hyphens=False)
    out.print(Text("\n".join(f"  {line}" for line in lines), style=style), soft_wrap=True)


def indented(out: Console, renderable: RenderableType, by: int = 2) -> None:
    """Print indented by `by` columns, without the trailing blanks of a table's lines."""
    wide = out.options.update(max_width=MOST)
    if isinstance(renderable, Table):
        for column in renderable.columns:
            if column.no_wrap:  # rich would truncate it if the table is too wide
                cells = [column.header, *column.cells]
                column.min_width = max(Measurement.get(out, wide, cell).maximum for cell in cells)
    padded = Padding(renderable, (0, 0, 0, by), expand=False)
    needed = Measurement.get(out, wide, padded).minimum
    for segments in out.render_lines(padded, out.options.update(width=max(out.width, needed)), pad=False):
        line = Text.assemble(*((segment.text, segment.style or "") for segment in segments))
        line.rstrip()
        out.print(line, soft_wrap=True)


def columns(*names: str, text: Sequence[int] = (1,), hide: bool = False, gap: int = 3) -> Table:
    """A table without lines. Columns in `text` are left-aligned and may fold. hide: leave out the last two columns."""
    table = Table(box=None, padding=(0, gap, 0, 0), header_style="dim", pad_edge=False)
    for position, name in enumerate(names[:-2] if hide else names):
        justify: JustifyMethod = "left" if position in text else "right"
        table.add_column(name, justify=justify, no_wrap=position not in text, overflow="fold")
    return table


def shortened(modes: Sequence[int]) -> str:
    """S as text; a long one is abbreviated to {0,1,...} (15), with its number of modes."""
    if len(modes) <= MODES_LISTED:
        return modes_text(modes)
    return modes_text(modes[:MODES_LISTED])[:-1] + f",...}} ({len(modes)})"

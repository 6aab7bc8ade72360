"""What the scripts of this folder share: their options, what they write, and refusals in one line as `basins` has
them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from basins.cli import refusing
from basins.output.figures import encoded
from basins.output.figures.style import FORMS
from basins.store.local import LocalFiles
from basins.summary.tabulated import FORMS as TABLES
from basins.summary.tabulated import write

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

RUN = click.argument("run", metavar="RUN")
OUT = click.option("--out", metavar="FOLDER", required=True, help="Where the files go; made if it is not there.")
FORM = click.option("--format", "form", type=click.Choice(TABLES), default="csv", show_default=True, help="Of tables.")
FIGURES = click.option("--figures", type=click.Choice(FORMS), default="png", show_default=True, help="Of figures.")


def named(figure: str, case: str) -> str:
    """A figure of one case, as a file's name."""
    plain = re.sub(r"[^\w.-]+", "-", case).strip("-.") or "case"
    return f"{figure}-{plain}"


def save(
    out: str,
    tables: Mapping[str, pd.DataFrame],
    form: str,
    figures: Mapping[str, Figure],
    picture: str,
    pages: Mapping[str, str] | None = None,
) -> None:
    """Write pages (text by file name), tables and figures into a folder, each file whole, and say which."""
    written = []
    for name, text in (pages or {}).items():
        LocalFiles(out).put(name, text.encode())
        written.append(str(Path(out) / name))
    written += write(tables, out, form)
    for name, figure in sorted(figures.items()):
        LocalFiles(out).put(f"{name}.{picture}", encoded(figure, picture))
        written.append(str(Path(out) / f"{name}.{picture}"))
    for path in written:  # after all are there: whoever reads this may be gone
        click.echo(path)


def script(main: click.Command) -> None:
    """Run a command as a script; what it refuses ends as one line and status 2."""
    with refusing():
        main.main(standalone_mode=False)

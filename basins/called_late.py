"""Functions that stand above their callers, by name: what an object of a lower floor offers and an upper one does.

To its caller `run.plot("survival")` belongs to the run. Figures are made of runs, though, and imports run downward
only. So the method names the function, as the public door (`basins/__init__.py`) names what is behind it, and the
function is imported at the call. tests/test_imports.py looks up each of these names.
"""

from __future__ import annotations

from html import escape
from importlib import import_module
from typing import Any

from basins.errors import BasinsError


def called_late(name: str) -> Any:
    """The object of a name "module:object"."""
    module, _, of_module = name.partition(":")
    return getattr(import_module(module), of_module)


class Printed:
    """What prints as the command line shows it: as its repr, by print, and in a notebook."""

    def __repr__(self) -> str:
        try:
            return str(called_late("basins.output.console.as_text:as_text")(self))
        except BasinsError as error:  # the run is not there any more
            return f"<{type(self).__name__}: {error}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"

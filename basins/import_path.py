"""Classes by their import path, "module:Class", so that a worker finds one that is outside the package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from basins.errors import ArgumentError


def class_at(path: object, members: Sequence[str], what: str) -> Any:
    """The class at an import path, which has these members; what: "landscape" or the like, for messages.

    Raises ArgumentError, `where` = "kind", for a text that is no path, a module that cannot be imported, or a class
    that is not there or lacks a member.
    """
    remedy = f'give the import path of a {what}\'s class, "module:Class", that every worker can import'
    module, found, name = path.partition(":") if isinstance(path, str) else ("", "", "")
    if not found or not module or not name:
        raise ArgumentError(f"kind = {path!r}", where="kind", remedy=remedy)
    try:
        home = import_module(module)
    except ImportError as error:
        raise ArgumentError(f"{module} cannot be imported ({error})", where="kind", remedy=remedy) from None
    there = getattr(home, name, None)
    lacks = [one for one in members if not hasattr(there, one)]
    if there is None or lacks:
        wrong = f"{module} has no {name}" if there is None else f"{name} has no {', '.join(lacks)}"
        raise ArgumentError(wrong, where="kind", remedy=remedy)
    return there

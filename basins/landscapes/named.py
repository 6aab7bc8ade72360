"""Landscapes by their import path, "module:Class", so that a worker finds one that is outside the package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from basins.errors import ArgumentError
from basins.landscapes.base import Landscape

REMEDY = 'give the import path of a landscape\'s class, "module:Class", that every worker can import'


class LandscapeClass(Protocol):
    """What a landscape's class provides besides `Landscape`, so that it can be named in an experiment."""

    def from_table(self, values: Mapping[str, Any]) -> Landscape:
        """The landscape of the keys of [landscape], without `kind`. Raises ArgumentError for values without meaning,
        its `where` the key."""
        ...

    def from_dict(self, numbers: Mapping[str, Any]) -> Landscape:
        """The landscape that `to_dict` wrote."""
        ...


def landscape_class(kind: str) -> LandscapeClass:
    """The class of an import path. Raises ArgumentError for one that is not there, or is no landscape's."""
    module, found, name = kind.partition(":") if isinstance(kind, str) else ("", "", "")
    if not found or not module or not name:
        raise ArgumentError(f"kind = {kind!r}", where="kind", remedy=REMEDY)
    try:
        home = import_module(module)
    except ImportError as error:
        raise ArgumentError(f"{module} cannot be imported ({error})", where="kind", remedy=REMEDY) from None
    there: LandscapeClass | None = getattr(home, name, None)
    lacks = [one for one in ("from_table", "from_dict", "critical", "gradient_code") if not hasattr(there, one)]
    if there is None or lacks:
        what = f"{module} has no {name}" if there is None else f"{name} has no {', '.join(lacks)}"
        raise ArgumentError(what, where="kind", remedy=REMEDY)
    return there

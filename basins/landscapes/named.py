"""Landscapes by their import path, "module:Class", so that a worker finds one that is outside the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from basins.import_path import class_at
from basins.landscapes.base import Landscape


class LandscapeClass(Protocol):
    """What a landscape's class provides besides `Landscape`, so that it can be named in an experiment."""

    def from_table(self, values: Mapping[str, Any]) -> Landscape:
        """The landscape of the keys of [landscape], without `kind`. Raises ArgumentError for values without meaning,
        its `where` the key."""
        ...

    def from_dict(self, numbers: Mapping[str, Any]) -> Landscape:
        """The landscape that `to_dict` wrote."""
        ...


def landscape_class(kind: object) -> LandscapeClass:
    """The class of an import path. Raises ArgumentError for one that is not there, or is no landscape's."""
    found: LandscapeClass = class_at(kind, ("from_table", "from_dict", "critical", "gradient_code"), "landscape")
    return found

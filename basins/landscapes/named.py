"""Landscapes by their import path, "module:Class", so that a worker finds one that is outside the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from basins.errors import ArgumentError
from basins.import_path import class_at
from basins.landscapes.base import Landscape
from basins.landscapes.codes import check_code_bits


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


def landscape_from_table(kind: str, values: Mapping[str, Any]) -> Landscape:
    """The landscape of [landscape]: its class's import path, and the other keys.

    Raises ArgumentError for a class that is not there, for values without meaning, for critical sets whose codes do not
    fit a row, and for a set column called "modes", which is read as one bit a mode of a deep linear network.
    """
    landscape = landscape_class(kind).from_table(values)
    critical = landscape.critical
    check_code_bits(critical.code_bits)
    if critical.vocabulary.set_column == "modes":
        raise ArgumentError(
            f"the column of its critical sets is called {critical.vocabulary.set_column!r}",
            where="kind",
            remedy="that is the column of deep linear networks: give it another name",
        )
    return landscape

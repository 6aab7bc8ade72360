"""A sweep from Python: keys of an experiment's tables, each with the values that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from basins.errors import ArgumentError, nearest
from basins.experiment.checks import plain
from basins.experiment.document import KINDS, short

EXAMPLE = 'such as basins.Sweep({"law.scale": [0.1, 0.5]})'


class Sweep:
    """One case for each combination of values.

        basins.Sweep({"network.hidden": [[4], [4, 4]], "law.scale": [0.1, 0.5]})          # four cases
        basins.Sweep({"data.seed": range(50)})                                           # random pairs (X, Y)

    Keys are those of an experiment's tables, with a dot: data, network, landscape, law, engine. A value of the sweep
    takes the place of the one that the problem or the law has.
    """

    def __init__(self, values: Mapping[str, Iterable[Any]]) -> None:
        """Raises ArgumentError for a key that is none of a table, and for what is no list of values."""
        if not isinstance(values, Mapping) or not values:
            raise ArgumentError(short(values), where="Sweep", remedy=f"give keys with lists of values, {EXAMPLE}")
        self.values: dict[str, list[Any]] = {}
        for key, listed in values.items():
            where = f"Sweep, {key!r}"
            table, dot, name = key.partition(".") if isinstance(key, str) else ("", "", "")
            if not dot or not name:
                raise ArgumentError("no key of a table", where=where, remedy=f"give one with its table, {EXAMPLE}")
            if table not in KINDS:
                raise ArgumentError(f"no table {table!r} to sweep", where=where, remedy=nearest(table, KINDS))
            found = plain(listed)
            if not isinstance(found, list) or not found:
                remedy = f"give a list of values, {EXAMPLE}"
                raise ArgumentError(short(listed), where=where, remedy=remedy)
            self.values[key] = found

    def __len__(self) -> int:
        """How many combinations there are."""
        count = 1
        for listed in self.values.values():
            count *= len(listed)
        return count

    def __repr__(self) -> str:
        return f"Sweep({self.values!r})"

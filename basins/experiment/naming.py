"""A case by its key, its name, or any part of either that no other case has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from basins.errors import ArgumentError, nearest

if TYPE_CHECKING:
    from basins.experiment.case import Case

LISTED = 8
"""Matches that a refusal names."""


def case_called(cases: Sequence[Case], part: str, where: str) -> Case:
    """The one case of this name or key; else the one that has the part between commas in its name; else the one whose
    name or key has it anywhere, upper and lower case alike.

    Raises ArgumentError where there is none, where there are several, which it lists, and for what is no text.
    """
    if not isinstance(part, str):
        raise ArgumentError(f"no case {part!r}", where=where, remedy="give a name or a key as a text")
    wanted = part.strip().casefold()
    ways: list[Callable[[Case], bool]] = [
        lambda case: part in (case.name, case.key),
        lambda case: wanted in _between_commas(case.name),
        lambda case: bool(wanted) and (wanted in case.name.casefold() or case.key.startswith(wanted)),
    ]
    for way in ways:
        found = [case for case in cases if way(case)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(repr(case.name) for case in found[:LISTED])
            more = f" and {len(found) - LISTED:,} more" if len(found) > LISTED else ""
            raise ArgumentError(
                f"{len(found):,} cases match {part!r}: {listed}{more}", where=where, remedy="give more of the name"
            )
    names = [*(case.name for case in cases), *(case.key for case in cases)]
    raise ArgumentError(f"no case {part!r}", where=where, remedy=nearest(part, names))


def _between_commas(name: str) -> list[str]:
    return [part.strip().casefold() for part in name.split(",")]

"""Engines carry states along the flow; base.py is their contract, drive.py turns starts into limits."""

from __future__ import annotations

from difflib import get_close_matches

from basins.engines.base import Engine
from basins.engines.reference import Reference
from basins.errors import ArgumentError

ENGINES: dict[str, Engine] = {"reference": Reference()}


def engine_of(name: str) -> Engine:
    """The engine of this name. Raises ArgumentError naming the nearest one."""
    if name not in ENGINES:
        near = get_close_matches(name, ENGINES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(ENGINES)}"
        raise ArgumentError(f"unknown engine {name!r}", where="engine", remedy=hint)
    return ENGINES[name]

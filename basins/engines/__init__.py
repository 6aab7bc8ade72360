"""Engines carry states along the flow; base.py is their contract, drive.py turns starts into limits."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from basins.engines.base import Engine
from basins.engines.reference import Reference
from basins.errors import ArgumentError

ENGINES: dict[str, Engine] = {"reference": Reference()}


def engine_of(name: str) -> Engine:
    """The engine of this name. Raises ArgumentError naming the nearest one."""
    return ENGINES[_known("engine", name, ENGINES)]


def method_of(engine: Engine, name: str) -> str:
    """The engine's method of this name. Raises ArgumentError naming the nearest one."""
    return _known("method", name, engine.methods)


def _known(what: str, name: str, names: Iterable[str]) -> str:
    names = list(names)
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names)}"
        raise ArgumentError(f"unknown {what} {name!r}", where=what, remedy=hint)
    return name

"""Engines carry states along the flow; base.py is their contract, classify_batch.py turns starts into limits."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from basins.dynamics.base import STEP, Dynamics
from basins.dynamics.gradient_flow import FLOW
from basins.errors import ArgumentError, nearest
from basins.integrators.base import Engine

_HOME = {
    "lanes": ("basins.integrators.simd.integrator", "Lanes"),
    "reference": ("basins.integrators.scipy", "Reference"),
}
# By name, so that whoever wants scipy's solvers does not wait for numba.

ENGINES = tuple(_HOME)


def engine_of(name: str) -> Engine:
    """The engine of this name. Raises ArgumentError naming the nearest one."""
    if name not in ENGINES:
        raise ArgumentError(f"unknown engine {name!r}", where="engine", remedy=nearest(name, ENGINES))
    return _made(name)


@cache
def _made(name: str) -> Engine:
    module, kind = _HOME[name]
    engine: Engine = getattr(import_module(module), kind)()
    return engine


def method_of(engine: Engine, name: str | None, dynamics: Dynamics = FLOW) -> str:
    """The engine's method of this name, its first for None; of a discrete dynamics always the dynamics' own step.

    Raises ArgumentError naming the engine that has the method, or the nearest name.
    """
    methods = engine.methods if dynamics.continuous else (STEP,)
    if name is None:
        return methods[0]
    if name not in methods:
        if not dynamics.continuous:
            what = f"{dynamics.text} has no method {name!r}"
            raise ArgumentError(what, where="method", remedy="take it out: such a dynamics takes steps of its own")
        others = [other for other in ENGINES if name in engine_of(other).methods]
        remedy = f"engine {others[0]!r} has it" if others else nearest(name, methods)
        raise ArgumentError(f"engine {engine.name!r} has no method {name!r}", where="method", remedy=remedy)
    return name

"""The compiled step of one landscape for one number of lanes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from basins.codegen.jit import load
from basins.integrators.simd.step_code import source
from basins.landscapes.base import GradientCode

FUNCTIONS = ("attempt", "first", "trial", "stage")


@dataclass(frozen=True)
class Kernel:
    """Compiled code of one landscape: addresses of its functions, valid as long as this object lives."""

    code: GradientCode
    lanes: int
    attempt: int
    first: int
    trial: int
    stage: int
    engine: Any


def compiled(code: GradientCode, lanes: int, cpu: str | None = None, features: str | None = None) -> Kernel:
    """The kernel of a landscape's code, compiled for this CPU or for a named one that it can run."""
    engine, (attempt, first, trial, stage) = load(source(code, lanes), FUNCTIONS, cpu, features)
    return Kernel(code, lanes, attempt, first, trial, stage, engine)


@lru_cache(maxsize=64)
def kernel(code: GradientCode, lanes: int) -> Kernel:
    """`compiled` for this CPU, once a process."""
    return compiled(code, lanes)

"""The contract of a reaction coordinate: nested sets of starts, each of which holds the basins that are asked about.

A coordinate has a threshold x that goes from `first` towards what no start of positive measure is beyond, if the
conjecture holds. `starts(W, x)` says who is inside the set at x, to the integration's accuracy; sets shrink as x goes
on. What cannot be decided is inside, which can only raise a probability. `next` finds an x that a share of a population
is inside of; it may be rough, for no count rests on it. Tenants: levels.Dwell (T > t), approach.Approach (G < g).
Every one passes tests/rare/test_coordinates.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from basins.integrators import engine_of
from basins.integrators.base import SMALLEST_TOLERANCE, Array, Ends, Leg, Settings
from basins.landscapes.deep_linear.compression import compression
from basins.landscapes.deep_linear.problem import Problem

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Flight:
    """What became of N rows: inside (N,): of the set; value (N,), the coordinate as far as it was told; undecided (N,):
    neither seen to leave the set nor to stay (budget, step underflow, not finite), and counted as inside; evaluations
    of the field, in all.
    """

    inside: Flags
    value: Array
    undecided: Flags
    evaluations: int


class Next(NamedTuple):
    """A threshold, and what finding it took."""

    threshold: float
    trajectories: int
    evaluations: int


class Carrier:
    """Starts carried by a case's engine, compressed where that pays. settings: whose engine, tolerances and budget are
    used; no end, no certificate but the level that is asked for."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        self.original, self.settings = problem, replace(settings, t_end=np.inf, certify=True)
        self.small = compression(problem) if settings.compress else None
        self.problem = problem if self.small is None else self.small.problem
        self.engine = engine_of(settings.engine)

    def begin(self, W: Array) -> Array:
        """The states (N, n') that are integrated for starts W (N, n)."""
        states = W if self.small is None else self.small.compress(np.ascontiguousarray(W))
        return np.ascontiguousarray(states)

    def carry(self, state: Array, t_from: Array, t: Array, level: float) -> Ends:
        """Carry states (N, n') from t_from (N,) to t (N,), or until the loss is below a level."""
        N = len(state)
        never = np.full(N, np.inf)
        leg = Leg(
            starts=np.ascontiguousarray(state),
            t_start=np.array(t_from),
            level=np.full(N, level),
            rest_after=never,
            budget=np.full(N, self.settings.budget),
            t_end=np.array(t),
            max_step=never,
            watch=np.zeros(N, dtype=bool),
        )
        return self.engine.integrate(self.problem, leg, self.settings)

    def tighter(self, factor: float) -> Settings | None:
        """Tolerances so many times tighter, or as tight as double precision holds; None: no more than these."""
        room = self.settings.rtol / SMALLEST_TOLERANCE * (1 - 1e-12)
        return self.settings.tighter(min(factor, room)) if room > 1 else None


class Coordinate(Protocol):
    """Whose sets splitting goes down. See this module's docstring."""

    carrier: Carrier
    first: float
    """What `next` is asked from at the beginning."""

    def starts(self, W: Array, threshold: float) -> Flight:
        """Which of the starts W (N, n) are inside the set at a threshold."""
        ...

    def next(self, W: Array, threshold: float, share: float) -> Next:
        """A later threshold, whose set holds about this share of the starts W (N, n), inside at `threshold`."""
        ...

    def tighter(self, factor: float) -> Coordinate | None:
        """The same at tolerances so many times tighter, or as tight as double precision holds; None where that is no
        more than these."""
        ...

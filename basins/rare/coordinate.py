"""The contract of a reaction coordinate: nested sets of starts, each of which contains the basins in question.

A coordinate has a threshold x. It begins at `first` and moves towards a limit at which the set has measure zero if the
conjecture holds. `starts(W, x)` decides, to the accuracy of the integration, which starts are inside the set at x; the
sets shrink as x moves. Undecided starts count as inside, which can only raise a probability. `next` finds an x whose
set contains a given share of a population; it may be rough, since no count depends on it.

Implementations: certification_time.CertificationTime (T > t) and approach.Approach (G < g). Each passes
tests/rare/test_coordinates.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from basins.integrators import engine_of
from basins.integrators.base import SMALLEST_TOLERANCE, Array, IntegrationRequest, IntegrationResult, Settings
from basins.landscapes.deep_linear.compression import compression
from basins.landscapes.deep_linear.problem import Problem

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class SetMembership:
    """Which of N starts are in the set. inside (N,): membership; value (N,): the coordinate, as far as it was computed;
    undecided (N,): starts that were seen neither to leave the set nor to stay in it (budget, step underflow, not
    finite) and count as inside; evaluations: total evaluations of the field.
    """

    inside: Flags
    value: Array
    undecided: Flags
    evaluations: int


class Next(NamedTuple):
    """A threshold and the cost of finding it."""

    threshold: float
    trajectories: int
    evaluations: int


class Carrier:
    """Integrates starts with a case's engine, in compressed coordinates where that pays. settings: engine, tolerances
    and budget. Only the loss level and the end time that are passed to `carry` stop an integration."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        self.original, self.settings = problem, replace(settings, t_end=np.inf, certify=True)
        self.small = compression(problem) if settings.compress else None
        self.problem = problem if self.small is None else self.small.problem
        self.engine = engine_of(settings.engine)

    def begin(self, W: Array) -> Array:
        """The states (N, n') to integrate for starts W (N, n)."""
        states = W if self.small is None else self.small.compress(np.ascontiguousarray(W))
        return np.ascontiguousarray(states)

    def carry(self, state: Array, t_from: Array, t: Array, loss_level: float) -> IntegrationResult:
        """Integrate states (N, n') from t_from (N,) to t (N,), or until the loss is below the loss level."""
        leg = IntegrationRequest.of(state, self.settings.budget, t_start=t_from, level=loss_level, t_end=t)
        return self.engine.integrate(self.problem, leg, self.settings)

    def tighter(self, factor: float) -> Settings | None:
        """Settings with tolerances tighter by this factor, or as tight as double precision allows; None if the current
        ones are that tight already."""
        room = self.settings.rtol / SMALLEST_TOLERANCE * (1 - 1e-12)
        return self.settings.tighter(min(factor, room)) if room > 1 else None


class Coordinate(Protocol):
    """A reaction coordinate for splitting. See this module's docstring."""

    carrier: Carrier
    first: float
    """The threshold before the first call of `next`."""

    def starts(self, W: Array, threshold: float) -> SetMembership:
        """Which of the starts W (N, n) are inside the set at a threshold."""
        ...

    def next(self, W: Array, threshold: float, share: float) -> Next:
        """A later threshold whose set contains about this share of the starts W (N, n), which are inside at
        `threshold`."""
        ...

    def tighter(self, factor: float) -> Coordinate | None:
        """The same coordinate with tolerances tighter by this factor, or as tight as double precision allows; None if
        the current ones are that tight already."""
        ...

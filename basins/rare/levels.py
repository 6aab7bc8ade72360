"""T, the time at which the loss-level certificate holds, and who is still waiting for it at a time t.

T(W_0) = inf {t >= 0: L(W(t)) < (1 - delta) 1/2 sigma_min^2} (theory.md 3a). A start in a saddle's basin has T = inf, so
the measure of all saddle basins is at most P(T > t), whatever t.

Whether T > t is exact to the integration's accuracy: the engine tests the level after each step and its last step ends
at t exactly. When T falls between two steps the engine stops at the later one, so T itself is told by one Newton step
back from there, L' = -|grad L|^2: good enough to place levels, and no count rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from basins.certificates import level
from basins.engines import engine_of
from basins.engines.base import SMALLEST_TOLERANCE, Array, Leg, Settings, Stop
from basins.engines.drive import compression_in
from basins.errors import ArgumentError
from basins.problem import Problem

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Flight:
    """N rows carried to a time: waiting (N,): T is later than that; state (N, n') at the stop, compressed; T (N,), inf
    where waiting; undecided (N,): neither certified nor carried to the time (budget, step underflow, not finite), and
    counted as waiting, which can only raise P(T > t); evaluations of the field, in all.
    """

    waiting: Flags
    state: Array
    T: Array
    undecided: Flags
    evaluations: int


class Dwell:
    """Who dwells at a loss that certifies nothing. settings: whose engine, tolerances, budget and delta are used."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        self.original, self.settings = problem, replace(settings, t_end=np.inf, certify=True)
        self.small = compression_in(problem, settings)
        self.problem = problem if self.small is None else self.small.problem
        self.engine = engine_of(settings.engine)
        self.level = level(problem, settings.delta)

    def tighter(self, factor: float) -> Dwell | None:
        """The same at tolerances so many times tighter, or as tight as double precision holds; None where that is no
        more than these."""
        room = self.settings.rtol / SMALLEST_TOLERANCE * (1 - 1e-12)
        sharper = self.settings.tighter(min(factor, room)) if room > 1 else None
        return None if sharper is None else Dwell(self.original, sharper)

    def begin(self, W: Array) -> Array:
        """The states (N, n') that are integrated for starts W (N, n): compressed where that pays."""
        states = W if self.small is None else self.small.compress(np.ascontiguousarray(W))
        return np.ascontiguousarray(states)

    def starts(self, W: Array, t: float) -> Flight:
        """Carry starts W (N, n) from time 0 to t >= 0."""
        return self.carry(self.begin(W), 0.0, t)

    def carry(self, state: Array, t_from: float | Array, t: float | Array) -> Flight:
        """Carry states (N, n') from t_from, () or (N,), to t, or to the certificate if that comes first."""
        N = len(state)
        begin, end = np.broadcast_to(np.asarray(t_from, float), (N,)), np.broadcast_to(np.asarray(t, float), (N,))
        if not (end >= begin).all():
            raise ArgumentError("a time before the states'", where="carry: t", remedy="give t >= t_from")
        never = np.full(N, np.inf)
        leg = Leg(
            starts=np.ascontiguousarray(state),
            t_start=np.array(begin),
            level=np.full(N, self.level),
            rest_after=never,
            budget=np.full(N, self.settings.budget),
            t_end=np.array(end),
            max_step=never,
            watch=np.zeros(N, dtype=bool),
        )
        ends = self.engine.integrate(self.problem, leg, self.settings)
        certified, carried = ends.stop == Stop.LEVEL, ends.stop == Stop.T_END
        T = np.full(N, np.inf)
        rows = np.flatnonzero(certified)
        if len(rows):
            T[rows] = self._crossing(ends.state[rows], ends.t[rows], begin[rows])
        return Flight(~certified, ends.state, T, ~(certified | carried), int(ends.evaluations.sum()))

    def _crossing(self, state: Array, t: Array, earliest: Array) -> Array:
        """When L was the level, by Newton from the stop (t, state); a start already below has T = its start."""
        L, gradient = self.problem.loss_and_gradient(state)
        square = np.einsum("ni,ni->n", gradient, gradient)
        back = np.divide(self.level - L, square, out=np.zeros_like(L), where=square > 0)
        crossing: Array = np.maximum(t - np.maximum(back, 0.0), earliest)
        return crossing

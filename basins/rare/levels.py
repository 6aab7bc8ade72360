"""T, the time at which the loss-level certificate holds, and who is still waiting for it at a time t.

T(W_0) = inf {t >= 0: L(W(t)) < (1 - delta) 1/2 sigma_min^2} (theory.md 3a). A start in a saddle's basin has T = inf, so
the measure of all saddle basins is at most P(T > t), whatever t.

Whether T > t is exact to the integration's accuracy: the engine tests the level after each step and its last step ends
at t exactly. When T falls between two steps the engine stops at the later one, so T itself is told by one Newton step
back from there, L' = -|grad L|^2: good enough to place levels, and no count rests on it.
"""

from __future__ import annotations

import numpy as np

from basins.errors import ArgumentError
from basins.integrators.base import Array, Settings, Stop
from basins.landscapes.deep_linear.certificates import level
from basins.landscapes.deep_linear.problem import Problem
from basins.rare.coordinate import Carrier, Flight, Next

CAP = 2.0
"""T is told up to so many times the time before, again and again, until few enough wait."""


class Dwell:
    """Who dwells at a loss that certifies nothing: {T > t}, t from 0."""

    first = 0.0

    def __init__(self, problem: Problem, settings: Settings) -> None:
        self.carrier = Carrier(problem, settings)
        self.problem = self.carrier.problem
        self.level = level(problem, settings.delta)

    def tighter(self, factor: float) -> Dwell | None:
        sharper = self.carrier.tighter(factor)
        return None if sharper is None else Dwell(self.carrier.original, sharper)

    def starts(self, W: Array, threshold: float) -> Flight:
        """Carry starts W (N, n) from time 0 to t >= 0."""
        return self.carry(self.carrier.begin(W), 0.0, threshold)[0]

    def carry(self, state: Array, t_from: float | Array, t: float | Array) -> tuple[Flight, Array]:
        """Carry states (N, n') from t_from, () or (N,), to t, or to the certificate if that comes first; and where they
        are then."""
        N = len(state)
        begin, end = np.broadcast_to(np.asarray(t_from, float), (N,)), np.broadcast_to(np.asarray(t, float), (N,))
        if not (end >= begin).all():
            raise ArgumentError("a time before the states'", where="carry: t", remedy="give t >= t_from")
        ends = self.carrier.carry(state, begin, end, self.level)
        certified, carried = ends.stop == Stop.LEVEL, ends.stop == Stop.T_END
        T = np.full(N, np.inf)
        rows = np.flatnonzero(certified)
        if len(rows):
            T[rows] = self._crossing(ends.state[rows], ends.t[rows], begin[rows])
        return Flight(~certified, T, ~(certified | carried), int(ends.evaluations.sum())), ends.state

    def _crossing(self, state: Array, t: Array, earliest: Array) -> Array:
        """When L was the level, by Newton from the stop (t, state); a start already below has T = its start."""
        L, gradient = self.problem.loss_and_gradient(state)
        square = np.einsum("ni,ni->n", gradient, gradient)
        back = np.divide(self.level - L, square, out=np.zeros_like(L), where=square > 0)
        crossing: Array = np.maximum(t - np.maximum(back, 0.0), earliest)
        return crossing

    def next(self, W: Array, threshold: float, share: float) -> Next:
        """A time that about this share of starts that wait at `threshold` outlasts; T is told leg by leg."""
        N = len(W)
        wanted = max(1, int(share * N))  # of those that wait longest
        T = np.full(N, np.inf)
        rows, now, evaluations = np.arange(N), 0.0, 0
        state, cap = self.carrier.begin(W), threshold
        step = 1.0 / self.carrier.original.sigma_min
        while True:
            cap = max(CAP * cap, cap + step)
            flight, there = self.carry(state, now, cap)
            evaluations += flight.evaluations
            T[rows] = flight.value
            rows, state, now = rows[flight.inside], there[flight.inside], cap
            if len(rows) < wanted or (flight.undecided.any() and flight.undecided.sum() >= wanted):
                break
        falling = np.sort(T)[::-1]
        t_next = float(falling[min(wanted, N - 1)])
        later = float(np.nextafter(threshold, np.inf))
        return Next(max(t_next if np.isfinite(t_next) else cap, later), N, evaluations)

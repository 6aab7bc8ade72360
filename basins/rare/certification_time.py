"""T, the time at which the loss-level certificate first holds, and the starts that are still uncertified at a time t.

T(W_0) = inf {t >= 0: L(W(t)) < (1 - delta) 1/2 sigma_min^2} (theory.md 3a). A start in a saddle's basin has T = inf, so
the measure of all saddle basins is at most P(T > t), whatever t.

Whether T > t is decided to the accuracy of the integration: the engine tests the loss level after each step, and its
last step ends exactly at t. If T lies between two steps, the engine stops at the later one, and one Newton step back
from there with L' = -|grad L|^2 gives T. This is accurate enough to choose thresholds; no count depends on it.
"""

from __future__ import annotations

import numpy as np

from basins.errors import ArgumentError
from basins.integrators.base import Array, Settings, Stop
from basins.landscapes.deep_linear.certificates import level as loss_level_of
from basins.landscapes.deep_linear.problem import Problem
from basins.rare.coordinate import Carrier, Next, SetMembership

CAP = 2.0
"""`next` extends the time by this factor at each pass, until few enough starts are uncertified."""


class CertificationTime:
    """The reaction coordinate T: the set at threshold t is {T > t}, with t from 0."""

    first = 0.0

    def __init__(self, problem: Problem, settings: Settings) -> None:
        self.carrier = Carrier(problem, settings)
        self.problem = self.carrier.problem
        self.loss_level = loss_level_of(problem, settings.delta)

    def tighter(self, factor: float) -> CertificationTime | None:
        sharper = self.carrier.tighter(factor)
        return None if sharper is None else CertificationTime(self.carrier.original, sharper)

    def starts(self, W: Array, threshold: float) -> SetMembership:
        """Carry starts W (N, n) from time 0 to t >= 0."""
        return self.carry(self.carrier.begin(W), 0.0, threshold)[0]

    def carry(self, state: Array, t_from: float | Array, t: float | Array) -> tuple[SetMembership, Array]:
        """Integrate states (N, n') from t_from, () or (N,), to t, or to the certificate if that comes first. Returns
        the membership and the final states."""
        N = len(state)
        begin, end = np.broadcast_to(np.asarray(t_from, float), (N,)), np.broadcast_to(np.asarray(t, float), (N,))
        if not (end >= begin).all():
            raise ArgumentError("t is before t_from", where="carry: t", remedy="give t >= t_from")
        ends = self.carrier.carry(state, begin, end, self.loss_level)
        certified, carried = ends.stop == Stop.LEVEL, ends.stop == Stop.T_END
        T = np.full(N, np.inf)
        rows = np.flatnonzero(certified)
        if len(rows):
            T[rows] = self._crossing(ends.state[rows], ends.t[rows], begin[rows])
        return SetMembership(~certified, T, ~(certified | carried), int(ends.evaluations.sum())), ends.state

    def _crossing(self, state: Array, t: Array, earliest: Array) -> Array:
        """The time when L equalled the loss level, by a Newton step from the stop (t, state); if a row starts below the
        loss level, its start time."""
        L, gradient = self.problem.loss_and_gradient(state)
        square = np.einsum("ni,ni->n", gradient, gradient)
        back = np.divide(self.loss_level - L, square, out=np.zeros_like(L), where=square > 0)
        crossing: Array = np.maximum(t - np.maximum(back, 0.0), earliest)
        return crossing

    def next(self, W: Array, threshold: float, share: float) -> Next:
        """A time after which about this share of starts, all uncertified at `threshold`, is still uncertified. The time
        is extended step by step."""
        N = len(W)
        wanted = max(1, int(share * N))  # the starts with the largest T
        T = np.full(N, np.inf)
        rows, now, evaluations = np.arange(N), 0.0, 0
        state, cap = self.carrier.begin(W), threshold
        step = 1.0 / self.carrier.original.sigma_min
        while True:
            cap = max(CAP * cap, cap + step)
            membership, there = self.carry(state, now, cap)
            evaluations += membership.evaluations
            T[rows] = membership.value
            rows, state, now = rows[membership.inside], there[membership.inside], cap
            if len(rows) < wanted or (membership.undecided.any() and membership.undecided.sum() >= wanted):
                break
        falling = np.sort(T)[::-1]
        t_next = float(falling[min(wanted, N - 1)])
        later = float(np.nextafter(threshold, np.inf))
        return Next(max(t_next if np.isfinite(t_next) else cap, later), N, evaluations)

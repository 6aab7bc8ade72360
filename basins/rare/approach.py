"""G, the closest approach to a stratum, and the starts whose trajectories come nearer to it than g.

G(W_0) is the gradient norm at the moment when the loss passes the stratum's critical value L_J. The loss falls
strictly, so it passes L_J at most once. A start below L_J never comes near the stratum (G = inf). A start in the basin
of I(J) has a loss that tends to L_J from above and never passes it, and a gradient that tends to zero (G = 0). So the
measure of that basin is at most P(G < g), whatever g. Strata with the same critical value are counted together.

Beside a saddle, let s be the coordinates that decay and u those that grow. Then
L - L_J = 1/2 (sum mu s^2 - sum lambda u^2) is zero where they balance. There |grad L| is smallest up to a constant, and
it can be computed with any step size, unlike the smallest gradient norm among a trajectory's steps (a visit). For
scalar chains G is known exactly: if the product of the weights is negative, the smallest weight passes zero first, and
there G = prod over the others of sqrt(w_i^2 - min w^2).

The engine stops after the step that passes L_J. Following the flow backwards from there would amplify the components
that it damped, by e^(mu h) over a step h. So the start is integrated again to a time before the crossing, and from
there forwards to the crossing, by Newton's method on L' = -|grad L|^2 within a bracket.
"""

from __future__ import annotations

import numpy as np

from basins.integrators.base import Array, Settings, Stop
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import Stratum
from basins.rare.coordinate import Carrier, Next, SetMembership
from basins.rounding import EPS

BEFORE = 4.0
"""A start is integrated again to this many Newton steps before the stop, then to the square of that, ..."""

NEAR = 1e-9
"""The time of the crossing is found to within this over the fastest rate, ||Sigma_Y||; so is G, relatively."""

LANDED = 4 * EPS
"""Relative to L_J: a loss nearer than this cannot be distinguished from L_J."""

MOST = 100
"""The most steps to the crossing; Newton's method takes 5 to 10."""


class Approach:
    """The reaction coordinate G: the set at threshold g is {G < g}, with g from infinity."""

    first = np.inf

    def __init__(self, problem: Problem, settings: Settings, stratum: Stratum) -> None:
        self.carrier = Carrier(problem, settings)
        self.problem = self.carrier.problem
        self.stratum = stratum

    def tighter(self, factor: float) -> Approach | None:
        sharper = self.carrier.tighter(factor)
        return None if sharper is None else Approach(self.carrier.original, sharper, self.stratum)

    def starts(self, W: Array, threshold: float) -> SetMembership:
        """Carry starts W (N, n) until their loss has passed the stratum's; their G, 0 where it was not seen to pass."""
        N = len(W)
        state = self.carrier.begin(W)
        G, undecided, evaluations = np.full(N, np.inf), np.zeros(N, dtype=bool), 0
        rows = np.flatnonzero(~(self.problem.loss(state) < self.stratum.loss))
        if len(rows):
            begin = state[rows]
            ends = self.carrier.carry(begin, np.zeros(len(rows)), np.full(len(rows), np.inf), self.stratum.loss)
            evaluations = int(ends.evaluations.sum())
            passed = ends.stop == Stop.LEVEL
            undecided[rows] = ~passed
            if passed.any():
                G[rows[passed]], more = self._crossing(begin[passed], ends.state[passed], ends.t[passed])
                evaluations += more
        undecided |= np.isnan(G)
        G[undecided] = 0.0
        return SetMembership(threshold > G, G, undecided, evaluations)

    def _crossing(self, begin: Array, stop: Array, t: Array) -> tuple[Array, int]:
        """|grad L| where the loss of rows (M, n') passed L_J, between their start and their stop at t (M,); nan where
        that is not found. Also the number of evaluations."""
        low, low_state, high, spent = self._bracket(begin, stop, t)
        M = len(begin)
        G = np.full(M, np.nan)
        at = low.copy()
        over, square = self._over(low_state)
        fastest = float(np.linalg.norm(self.problem.sigma))
        rows = np.arange(M)
        for _ in range(MOST):
            enough = np.maximum(NEAR / fastest * square[rows], LANDED * self.stratum.loss)
            done = np.abs(over[rows]) <= enough
            G[rows[done]] = np.sqrt(square[rows[done]])
            rows = rows[~done]
            if not len(rows):
                break
            with np.errstate(divide="ignore", invalid="ignore"):
                aim = at[rows] + over[rows] / square[rows]
            within = (aim > low[rows]) & (aim < high[rows])
            aim = np.where(within, aim, 0.5 * (low[rows] + high[rows]))
            found, evaluations = self._at(low_state[rows], low[rows], aim)
            spent += evaluations
            at[rows], (over[rows], square[rows]) = aim, self._over(found)
            before = over[rows] >= 0
            low[rows[before]], low_state[rows[before]] = aim[before], found[before]
            high[rows[~before]] = aim[~before]
        return G, spent

    def _bracket(self, begin: Array, stop: Array, t: Array) -> tuple[Array, Array, Array, int]:
        """Times before and after the crossings of rows (M, n'), the states at the earlier times, and the
        evaluations."""
        M = len(begin)
        over, square = self._over(stop)
        low, low_state, high = np.zeros(M), begin.copy(), t.copy()  # the start lies before the crossing
        spent, steps = 0, BEFORE
        rows = np.arange(M)
        while len(rows):
            at = np.maximum(t[rows] + steps * over[rows] / square[rows], 0.0)
            rows, at = rows[at > 0], at[at > 0]
            if not len(rows):
                break
            found, evaluations = self._at(begin[rows], np.zeros(len(rows)), at)
            spent += evaluations
            before = self._over(found)[0] >= 0
            low[rows[before]], low_state[rows[before]] = at[before], found[before]
            high[rows[~before]] = at[~before]
            rows, steps = rows[~before], steps**2
        return low, low_state, high, spent

    def _over(self, state: Array) -> tuple[Array, Array]:
        """L - L_J and |grad L|^2 of states (M, n'), (M,) each."""
        L, gradient = self.problem.loss_and_gradient(state)
        return L - self.stratum.loss, np.einsum("ni,ni->n", gradient, gradient)

    def _at(self, state: Array, t_from: Array, t: Array) -> tuple[Array, int]:
        """States (M, n') integrated to the times t (M,), and the evaluations."""
        ends = self.carrier.carry(state, t_from, t, -np.inf)
        return ends.state, int(ends.evaluations.sum())

    def next(self, W: Array, threshold: float, share: float) -> Next:
        """A gradient norm g such that about this share of the starts has G < g."""
        membership = self.starts(W, threshold)
        wanted = max(1, int(share * len(W)))
        nearer = float(np.sort(membership.value)[min(wanted, len(W) - 1)])
        return Next(min(nearer, float(np.nextafter(threshold, 0.0))), len(W), membership.evaluations)

"""G, the closest approach to a stratum, and whose trajectories come nearer to it than g.

G(W_0) is the gradient norm where the loss passes the stratum's critical value L_J. The loss falls strictly, so it
passes once; a start below L_J never comes near (G = inf), one in the basin of I(J), whose loss tends to L_J
from above, never passes it, and its gradient tends to zero (G = 0). So the measure of that basin is at most P(G < g),
whatever g. Strata of the same critical value are counted together.

Beside a saddle, with s the coordinates that decay and u those that grow, L - L_J = 1/2 (sum mu s^2 - sum lambda u^2) is
zero where they balance: there |grad L| is smallest up to a constant, and it is seen at any step size, unlike the
smallest gradient norm among a trajectory's steps (a visit). For scalar chains G is known exactly: where the product of
the weights is negative, the smallest passes zero first, and there G = prod over the others of sqrt(w_i^2 - min w^2).

The engine stops after the step that passes L_J; crossing.py follows the flow back to where it did, to about 1e-9 of G.
"""

from __future__ import annotations

import numpy as np

from basins.engines.base import Array, Settings, Stop
from basins.problem import Problem
from basins.rare.coordinate import Carrier, Flight, Next
from basins.rare.crossing import gradient_norm_at
from basins.strata import Stratum


class Approach:
    """Who comes nearer to a stratum than a gradient norm g: {G < g}, g from infinity."""

    first = np.inf

    def __init__(self, problem: Problem, settings: Settings, stratum: Stratum) -> None:
        self.carrier = Carrier(problem, settings)
        self.problem = self.carrier.problem
        self.stratum = stratum

    def tighter(self, factor: float) -> Approach | None:
        sharper = self.carrier.tighter(factor)
        return None if sharper is None else Approach(self.carrier.original, sharper, self.stratum)

    def starts(self, W: Array, threshold: float) -> Flight:
        """Carry starts W (N, n) until their loss has passed the stratum's; their G, 0 where it was not seen to pass."""
        N = len(W)
        state = self.carrier.begin(W).copy()
        G, undecided, evaluations = np.full(N, np.inf), np.zeros(N, dtype=bool), 0
        rows = np.flatnonzero(~(self.problem.loss(state) < self.stratum.loss))
        if len(rows):
            still, ever = np.zeros(len(rows)), np.full(len(rows), np.inf)
            ends = self.carrier.carry(state[rows], still, ever, self.stratum.loss)
            passed = ends.stop == Stop.LEVEL
            state[rows] = ends.state
            G[rows[passed]] = gradient_norm_at(self.problem, ends.state[passed], self.stratum.loss)
            undecided[rows] = ~passed | np.isnan(G[rows])
            evaluations = int(ends.evaluations.sum())
        G[undecided] = 0.0
        return Flight(threshold > G, state, G, undecided, evaluations)

    def next(self, W: Array, threshold: float, share: float) -> Next:
        """A gradient norm that about this share of starts comes nearer than."""
        flight = self.starts(W, threshold)
        wanted = max(1, int(share * len(W)))
        nearer = float(np.sort(flight.value)[min(wanted, len(W) - 1)])
        return Next(min(nearer, float(np.nextafter(threshold, 0.0))), len(W), flight.evaluations)

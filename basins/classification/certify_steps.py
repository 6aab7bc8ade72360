"""Integrate rows of a discrete dynamics until they are classified: what a state proves is asked at growing times.

No loss level proves where a discrete dynamics goes, because a step that is too long raises the loss. A row is stopped
when it falls below the level of the flow, where a proof can begin to succeed, and its state is tried
(`CriticalSets.certify_state`). A row whose state proves nothing yet goes on, and is tried again when it has taken a
quarter more steps. A row that comes to rest is tried too: if it rests on a saddle it has settled, otherwise it goes on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from basins.classification.saddle_wait import Followed, add, joined, onward
from basins.dynamics.base import Dynamics
from basins.integrators import engine_of
from basins.integrators.base import Array, IntegrationRequest, IntegrationResult, Settings, Stop
from basins.landscapes.base import NONE, Landscape
from basins.landscapes.lengths import length

GROWTH, LEAST = 0.25, 16
"""A state is tried again when a row has taken GROWTH more steps than so far, and LEAST at least: a proof costs about as
much as fifty steps."""

Rows = NDArray[np.int64]


def follow_steps(
    landscape: Landscape, dynamics: Dynamics, starts: Array, leg: IntegrationRequest, settings: Settings
) -> Followed:
    """Integrate every row until it is certified, has settled, or its budget or its steps are spent.

    starts (N, n): initial weights; leg.starts: the dynamics' states of them; leg.level: where proofs begin to be tried.
    """
    engine = engine_of(settings.engine)
    ends = engine.iterate(landscape, dynamics, leg, settings)
    followed, visits = Followed(ends), [(np.arange(len(starts)), ends.visits)]
    going = _stopped(ends, np.arange(len(starts)), leg)
    while len(going):
        going = going[~_proved(landscape, dynamics, starts, ends, going, settings)]
        for row in going[ends.stop[going] == Stop.RESTING].tolist():
            weights = ends.state[row, : landscape.n]
            at = landscape.critical.settle(weights, length(starts[row]))
            still = at is not None and at.rests
            if still or not landscape.loss_and_gradient(weights)[1].any():
                going = going[going != row]
            if at is not None and at.rests:
                followed.settled[row] = at
        if not len(going):
            break
        again = engine.iterate(landscape, dynamics, _further(leg, ends, going), settings)
        add(ends, going, again)
        visits.append((going, again.visits))
        going = _stopped(ends, going, leg)
    followed.ends = replace(ends, visits=joined(visits))
    return followed


def _stopped(ends: IntegrationResult, rows: Rows, leg: IntegrationRequest) -> Rows:
    """Those of the rows whose states are to be tried: below the level, at rest, or as far as they were to go."""
    short = (ends.stop[rows] == Stop.T_END) & (ends.t[rows] < leg.t_end[rows])
    found: Rows = rows[short | np.isin(ends.stop[rows], (Stop.LEVEL, Stop.RESTING))]
    return found


def _proved(
    landscape: Landscape, dynamics: Dynamics, starts: Array, ends: IntegrationResult, rows: Rows, settings: Settings
) -> NDArray[np.bool_]:
    """Whether the states of these rows prove where they go, (len(rows),); those that do have stopped at LEVEL.

    With twice the margin of the verdict, which so cannot differ by rounding.
    """
    if not settings.certify:
        return np.zeros(len(rows), dtype=bool)
    critical, W = landscape.critical, np.ascontiguousarray(ends.state[rows, : landscape.n])
    decided = critical.certify_state(starts[rows], W, critical.evaluate(W), dynamics, 2 * settings.delta)
    proved: NDArray[np.bool_] = decided.verdict != NONE
    ends.stop[rows[proved]] = Stop.LEVEL
    return proved


def _further(leg: IntegrationRequest, ends: IntegrationResult, rows: Rows) -> IntegrationRequest:
    """The leg on which these rows go on, until they are tried again."""
    t = ends.t[rows]
    more = onward(leg, ends, rows)
    rested = ends.stop[rows] == Stop.RESTING
    return replace(
        more,
        level=np.full(len(rows), -np.inf),
        rest_after=np.where(rested, more.rest_after, np.maximum(leg.rest_after[rows], 0.0)),
        t_end=np.minimum(leg.t_end[rows], np.maximum(np.where(rested, 2 * t, np.ceil((1 + GROWTH) * t)), t + LEAST)),
    )

"""The contract of an engine: it integrates states and reports where and why each stopped. It classifies nothing.

An engine provides `integrate(landscape, leg, settings)` and may assume that its arguments were validated.
1. It integrates dW/dt = -grad L of `landscape` from each row of `leg.starts`, each row with its own time, step and
   error control: a row's numbers never depend on the other rows, their order or their number.
2. After every accepted step it tests, in this order: state or loss not finite (NON_FINITE); loss below `leg.level`
   (LEVEL); t = t_end (T_END); from `leg.rest_after` on, a gradient at rest (`at_rest`: RESTING); evaluations spent,
   or too few left for the next step (BUDGET). Its steps do not depend on the budget: with a larger budget a row
   passes through the state at which it stopped with a smaller one. Level and rest are tested at the start too: a
   start below its level never moves. The last step ends at t_end exactly.
3. Every row comes back: one stop each, with the state at the stop. A step too small for the time's last digit is
   STEP_UNDERFLOW. No exception is raised for a row, no row is dropped, and no call runs forever.
4. It counts evaluations of the vector field, accepted steps, rejected steps (-1 where it cannot tell), and the
   largest increase of the loss between accepted steps.
5. For rows in `leg.watch` it reports visits: accepted steps at which the gradient norm has a local minimum.
6. It knows no law, no store, no Ray; it prints nothing and reads no clock. The same leg gives the same bytes.
7. `iterate` carries out a discrete dynamics instead (dynamics/base.py). Points 1 to 6 hold for it too, with these
   words: a leg's starts are states of the dynamics, and so are the states at the stops and at visits; time counts
   steps; there are no tolerances, no rejected steps and no STEP_UNDERFLOW; t_end is a whole number, or inf.
Every engine passes tests/integrators/test_contract.py, and tests/dynamics/test_dynamics_contract.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import number, switch
from basins.dynamics.base import STEP, Dynamics
from basins.errors import ArgumentError
from basins.landscapes.base import Landscape, RestScale
from basins.rounding import EPS

Array = NDArray[np.float64]

SMALLEST_TOLERANCE = 100 * EPS
"""Below this a step's error estimate is rounding. scipy would raise the tolerance silently; basins refuses it."""

REST = 1e-6
"""A gradient at rest: at most REST times the size its factors would give it (see `at_rest`)."""


class Stop(IntEnum):
    """Why an engine stopped a row."""

    LEVEL = 0
    RESTING = 1
    T_END = 2
    BUDGET = 3
    STEP_UNDERFLOW = 4
    NON_FINITE = 5


@dataclass(frozen=True)
class Settings:
    """How to integrate: part of a case, and of its key.

    engine, method: the solver; rtol, atol: a step's error in component i is held to atol + rtol |W_i| in the rms
    over components; t_end: where the flow is read if nothing stops it before; certify: stop where the loss level
    proves the limit; at_start: also try the certificates of theory.md 3b to 3d at t = 0; budget: evaluations of the
    vector field a trajectory may spend; delta: the loss level's relative margin; compress: integrate compressed states
    where that pays (compression/): exact, but other numbers are rounded and a step's error is taken over fewer
    components, so other bytes.
    """

    engine: str = "lanes"
    method: str = "DOP853-RKC"
    rtol: float = 1e-8
    atol: float = 1e-10
    t_end: float = np.inf
    certify: bool = True
    at_start: bool = False
    budget: int = 1_000_000
    delta: float = 1e-6
    compress: bool = True

    def __post_init__(self) -> None:
        for name in ("rtol", "atol", "t_end", "delta"):
            number(getattr(self, name), name)
        for name in ("certify", "at_start", "compress"):
            switch(getattr(self, name), name)
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            if not value > 0 or not np.isfinite(value):
                raise ArgumentError(f"{name} = {value!r}", where=name, remedy="tolerances are positive and finite")
        if self.rtol < SMALLEST_TOLERANCE:
            raise ArgumentError(
                f"rtol = {self.rtol!r} is below 100 eps = {SMALLEST_TOLERANCE:.3g}",
                where="rtol",
                remedy="double precision cannot hold it: raise rtol",
            )
        if not self.t_end > 0:
            raise ArgumentError(f"t_end = {self.t_end!r}", where="t_end", remedy="give a time above zero, or inf")
        if not self.certify and np.isinf(self.t_end):
            raise ArgumentError("certify = false without t_end never stops", where="t_end", remedy="give t_end")
        if self.at_start and not self.certify:
            raise ArgumentError("at_start = true needs certify = true", where="at_start", remedy="set one of the two")
        if isinstance(self.budget, bool) or not isinstance(self.budget, int) or self.budget < 1:
            raise ArgumentError(f"budget = {self.budget!r}", where="budget", remedy="give evaluations, at least 1")
        if not 0 < self.delta < 1:
            raise ArgumentError(f"delta = {self.delta!r}", where="delta", remedy="give a margin between 0 and 1")

    def tighter(self, factor: float) -> Settings | None:
        """The same with tolerances `factor` times tighter, or None where double precision cannot hold them."""
        if self.rtol / factor < SMALLEST_TOLERANCE:
            return None
        return replace(self, rtol=self.rtol / factor, atol=self.atol / factor)


@dataclass(frozen=True)
class IntegrationRequest:
    """What an engine is asked: to integrate N rows, from a state and a time to the first of several stops.

    starts (N, n); t_start (N,); level (N,): stop once L < level (-inf: never); rest_after (N,): look for rest from
    this time on (inf: never); budget (N,): evaluations a row may still spend; t_end (N,); max_step (N,) (inf: free);
    watch (N,): report visits.
    """

    starts: Array
    t_start: Array
    level: Array
    rest_after: Array
    budget: NDArray[np.int64]
    t_end: Array
    max_step: Array
    watch: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        starts: Array,
        budget: ArrayLike,
        *,
        t_start: ArrayLike = 0.0,
        level: ArrayLike = -np.inf,
        rest_after: ArrayLike = np.inf,
        t_end: ArrayLike = np.inf,
        max_step: ArrayLike = np.inf,
        watch: ArrayLike = False,
    ) -> IntegrationRequest:
        """The request of starts (N, n). Each other value is one for all rows or one per row (N,); what is left out
        stops no row."""

        def each(value: ArrayLike, kind: type = np.float64) -> NDArray[Any]:
            return np.array(np.broadcast_to(np.asarray(value, dtype=kind), (len(starts),)))

        return cls(
            np.ascontiguousarray(starts), each(t_start), each(level), each(rest_after), each(budget, np.int64),
            each(t_end), each(max_step), each(watch, np.bool_),
        )  # fmt: skip


@dataclass(frozen=True)
class Visits:
    """Local minima of the gradient norm along watched rows: row (M,), t (M,), gradient_norm (M,), state (M, n)."""

    row: NDArray[np.int64]
    t: Array
    gradient_norm: Array
    state: Array


@dataclass(frozen=True)
class IntegrationResult:
    """What an engine returns: where N rows stopped. state (N, n), t (N,), stop (N,) of `Stop`, counts (N,),
    loss_increase (N,) in units of L.
    """

    state: Array
    t: Array
    stop: NDArray[np.int8]
    steps: NDArray[np.int64]
    rejected: NDArray[np.int64]
    evaluations: NDArray[np.int64]
    loss_increase: Array
    visits: Visits


class Engine(Protocol):
    """An integrator. See this module's docstring."""

    name: str
    methods: tuple[str, ...]

    def integrate(self, landscape: Landscape, leg: IntegrationRequest, settings: Settings) -> IntegrationResult:
        """Carry every row of the leg to its stop."""
        ...

    def iterate(
        self, landscape: Landscape, dynamics: Dynamics, leg: IntegrationRequest, settings: Settings
    ) -> IntegrationResult:
        """Carry every row of the leg to its stop by steps of a discrete dynamics."""
        ...

    def notes(self, landscape: Landscape) -> tuple[str, ...]:
        """What a user should know about integrating this landscape with this engine, a line each."""
        ...


def refuse_settings(settings: Settings, dynamics: Dynamics) -> None:
    """Raises ArgumentError for a setting that has no meaning for a discrete dynamics, its `where` the setting."""
    if dynamics.continuous:
        return
    default = Settings()
    for name in ("rtol", "atol"):
        if getattr(settings, name) != getattr(default, name):
            what = f"{name} = {getattr(settings, name)!r}, and {dynamics.text} has no error to control"
            raise ArgumentError(what, where=name, remedy=f"take {name} out")
    if settings.method != STEP:
        what = f"method = {settings.method!r}, and {dynamics.text} takes steps of its own"
        raise ArgumentError(what, where="method", remedy=f"take method out, or say {STEP!r}")
    if np.isfinite(settings.t_end) and settings.t_end != int(settings.t_end):
        what = f"t_end = {settings.t_end!r}, and {dynamics.text} counts steps"
        raise ArgumentError(what, where="t_end", remedy="give a whole number of steps")
    if settings.at_start and not dynamics.conserves:
        what = f"at_start = true, and what those certificates rest on is not conserved by {dynamics.text}"
        raise ArgumentError(what, where="at_start", remedy="take at_start out")


def at_rest(rest: RestScale, gradient_norm: float, loss: float, norm: float) -> bool:
    """Whether a gradient is at rest: |grad| <= REST sqrt(2 L) scale (norm / sqrt(degree + 1))^degree.

    norm: the larger of ||W|| and its value at the leg's start. The right side is REST times the size that the
    gradient's factors have together (of a deep linear network E G^T and H layers), so a start of any small scale is not
    at rest, and one that decays to W = 0 is. This opens the question whether a state has settled; classification/
    answers it.
    """
    size: float = np.sqrt(2 * loss) * rest.scale * (norm / np.sqrt(rest.degree + 1)) ** rest.degree
    return gradient_norm <= REST * size

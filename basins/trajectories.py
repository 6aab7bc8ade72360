"""Trajectories on their way, to be looked at: at given times (`trajectory`), and one step by step (`steps`).

A run keeps only where a trajectory ends; what comes before is integrated for who looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import floats
from basins.called_late import called_late
from basins.classification.verdict import REASON_OF_STOP, REASONS
from basins.errors import ArgumentError
from basins.integrators import engine_of, method_of
from basins.integrators.at_times import at_times
from basins.integrators.base import Array, IntegrationRequest, Settings, Stop
from basins.integrators.scipy import Recorded, Reference
from basins.landscapes.base import NONE, Codes
from basins.landscapes.deep_linear import gradient
from basins.landscapes.deep_linear.observed import Observed, observe
from basins.landscapes.deep_linear.problem import Problem, the_problem
from basins.rows import chosen, counted_words, html, or_missing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MOST = 1 << 30
"""Numbers that the states of a trajectory may be: 8 GiB."""

POINTS = 4
"""Points of a step that are kept: its end, and three before."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The flow at given times, t (T,), from one start (n,) or from N, (N, n). Arrays begin with the shape of the
    starts, () or (N,), written ... here.

    state (..., T, n); reached (...): the time that the integration came to, at most the last; reason (...): why not to
    the last time, a code of `Reason`, -1 where it came there. A time that a row did not come to has nan in every number
    of that row, and the repr says how many rows that concerns. evaluations (...): of the vector field. What the states
    are is in loss, gradient_norm, singular_values, fitted, nearest, rank, distance and weights.
    """

    problem: Problem
    t: Array
    state: Array
    reached: Array
    reason: NDArray[np.int8]
    evaluations: NDArray[np.int64]
    observed: Observed

    @property
    def loss(self) -> Array:
        """L, (..., T)."""
        return self.observed.loss

    @property
    def gradient_norm(self) -> Array:
        """||grad L||, (..., T)."""
        return self.observed.gradient_norm

    @property
    def singular_values(self) -> Array:
        """Of the network W_{H+1} ... W_1, falling, (..., T, d_y), in the coordinates in which the target's are sigma
        (in the raw flow the network times the Gram root)."""
        return self.observed.singular

    @property
    def fitted(self) -> Array:
        """Diagonal of D_W, (..., T, d_y): how far each mode is fitted, 1 where it is."""
        return self.observed.fitted

    @property
    def nearest(self) -> Codes:
        """The nearest stratum, (..., T): the bitmask of the modes fitted by more than a half; 0 where `rank` is -1."""
        return self.observed.code

    @property
    def rank(self) -> NDArray[np.int16]:
        """Rank of the nearest stratum, (..., T); -1 at times that a row did not come to."""
        return self.observed.rank

    @property
    def distance(self) -> Array:
        """From the nearest stratum, relative to the weights about to be grown, (..., T): as in `Run.visits`, at most
        0.1 where a saddle is passed. Near the global minima ||E|| / (sqrt(H + 1) sigma_min)."""
        return self.observed.distance

    @property
    def weights(self) -> tuple[Array, ...]:
        """(W_1, ..., W_{H+1}), each (..., T, d_j, d_{j-1})."""
        layers = self.problem.unpack(self.state.reshape(-1, self.problem.n))
        return tuple(W_j.reshape(*self.state.shape[:-1], *W_j.shape[-2:]) for W_j in layers)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Whether a row came to the last time, (...)."""
        there: NDArray[np.bool_] = np.asarray(self.reason == NONE)
        return there

    # --- rows -------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Rows: N, or 1 for a single start."""
        return len(self.state) if self.state.ndim == 3 else 1

    def __getitem__(self, rows: Any) -> Trajectory:
        """One row, as of a single start, or some: a slice, a mask (N,) or positions."""
        batch = self if self.state.ndim == 3 else self._as_batch()
        at: Any = chosen(rows, len(batch))
        observed = {name: array[at] for name, array in vars(batch.observed).items()}
        return replace(
            batch,
            state=batch.state[at],
            reached=batch.reached[at],
            reason=np.asarray(batch.reason[at]),
            evaluations=np.asarray(batch.evaluations[at]),
            observed=Observed(**observed),
        )

    def __iter__(self) -> Iterator[Trajectory]:
        return (self[row] for row in range(len(self)))

    def _as_batch(self) -> Trajectory:
        observed = Observed(**{name: array[None] for name, array in vars(self.observed).items()})
        return replace(
            self,
            state=self.state[None],
            reached=np.asarray(self.reached)[None],
            reason=self.reason[None],
            evaluations=self.evaluations[None],
            observed=observed,
        )

    def to_pandas(self) -> pd.DataFrame:
        """One line a row and time: `row` (where there are several starts), t, loss, gradient_norm, distance, the
        nearest stratum's bitmask and rank (missing where not known), singular_0, ...: the weights are in `state`."""
        import pandas as pd

        known = self.rank.ravel() != NONE
        columns: dict[str, Any] = {}
        if self.state.ndim == 3:
            columns["row"] = np.repeat(np.arange(len(self)), len(self.t))
        columns["t"] = np.tile(self.t, len(self))
        for name in ("loss", "gradient_norm", "distance"):
            columns[name] = getattr(self, name).ravel()
        columns[self.problem.critical.vocabulary.set_column] = or_missing(self.nearest.ravel(), known, "UInt64")
        columns["rank"] = or_missing(self.rank.ravel(), known, "Int16")
        values = self.singular_values.reshape(-1, self.singular_values.shape[-1])
        columns |= {f"singular_{k}": values[:, k] for k in range(values.shape[-1])}
        return pd.DataFrame(columns)

    def plot(self) -> Figure:
        """A figure: of one start loss and singular values against time, of several their losses; between the critical
        values. Needs the extra `report`. Raises ArgumentError where no two times after 0 are asked for."""
        figure: Figure = called_late("basins.output.figures.of_trajectory:of_trajectory")(self)
        return figure

    def __repr__(self) -> str:
        return f"Trajectory({'; '.join(self._said())})"

    def _repr_html_(self) -> str:
        return html("Trajectory", self.to_pandas(), self._said())

    def _said(self) -> list[str]:
        """What there is, and which rows end before the last time."""
        starts = f"{len(self):,} starts" if self.state.ndim == 3 else "one start"
        many = len(self.t)
        times = f"{many:,} times, t = {self.t[0]:.6g} to {self.t[-1]:.6g}" if many > 1 else f"t = {self.t[0]:.6g}"
        said = [f"{starts} of {self.problem.size_text}, at {times}"]
        if self.state.ndim == 2:
            said.append(f"loss {self.loss[0]:.6g} to {self.loss[-1]:.6g}")
        if not self.complete.all():
            ended = np.atleast_1d(self.reason)
            rows = f"{int((ended != NONE).sum()):,} of {len(self):,} rows end" if self.state.ndim == 3 else "it ends"
            first = float(np.min(np.atleast_1d(self.reached)[ended != NONE]))
            why = counted_words(ended[ended != NONE], REASONS) if self.state.ndim == 3 else REASONS[int(self.reason)]
            said.append(f"{rows} before the last time, from t = {first:.6g} on (nan there): {why}")
        return said


def trajectory(
    problem: Problem,
    W0: ArrayLike,
    t_eval: ArrayLike,
    *,
    engine: str = Settings.engine,
    method: str | None = None,
    rtol: float = Settings.rtol,
    atol: float = Settings.atol,
    budget: int = Settings.budget,
    compress: bool = Settings.compress,
) -> Trajectory:
    """The flow dW/dt = -grad L from W0, (n,) or (N, n), at the times t_eval (T,): rising, finite, at least 0.

    States are as accurate as the solver's own steps: engine "reference" (scipy) reads them off its steps (the implicit
    methods' dense output, a shorter step of the explicit ones), so that the state at a time does not depend on the
    others (of the implicit methods on the last); "lanes" ends a step at each time.
    No certificate stops a row. engine, method, rtol, atol, budget, compress: as of `integrate`; a row that spends its
    budget, or whose step underflows, has nan from there on (`Trajectory.reason`). Raises ArgumentError for values that
    have no meaning.
    """
    chosen_engine = engine_of(engine)
    settings = Settings(
        engine=engine, method=method_of(chosen_engine, method), rtol=rtol, atol=atol, budget=budget, compress=compress
    )
    starts = finite_starts(the_problem(problem), W0)
    return along(problem, starts, times_of(t_eval), settings)


def along(problem: Problem, starts: Array, times: Array, settings: Settings) -> Trajectory:
    """The flow from starts (n,) or (N, n) at `times` (T,), all validated."""
    N = 1 if starts.ndim == 1 else len(starts)
    if N * len(times) * problem.n > MOST:
        raise ArgumentError(
            f"{N:,} starts at {len(times):,} times are {N * len(times) * problem.n:,} numbers",
            where="t_eval",
            remedy=f"ask for fewer times or starts at once: at most {MOST:,}",
        )
    batch = np.ascontiguousarray(np.atleast_2d(starts))
    small = problem.reduce() if settings.compress else None
    there, begin = (problem, batch) if small is None else (small.landscape, small.compress(batch))
    found = at_times(there, begin, times, settings)
    state = found.state
    if small is not None:
        known = np.isfinite(state).all(axis=-1) & (times > 0)
        row, _ = np.nonzero(known)
        full = np.full((N, len(times), problem.n), np.nan)
        full[known] = small.expand(state[known], batch[row])
        full[:, times == 0] = batch[:, None]
        state = full
    reason = np.where(found.stop == Stop.T_END, NONE, REASON_OF_STOP[found.stop]).astype(np.int8)
    of_batch = Trajectory(problem, times, state, found.reached, reason, found.evaluations, observe(problem, state))
    return of_batch if starts.ndim == 2 else of_batch[0]


def finite_starts(problem: Problem, W0: ArrayLike) -> Array:
    """W0 as float64 (n,) or (N, n). Raises ArgumentError for another shape, no numbers, or a start not finite."""
    starts = problem.state(W0)
    finite = np.isfinite(np.atleast_2d(starts)).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise ArgumentError("a start that is not finite", where=f"W0, row {row}", remedy="give finite states")
    return starts


def times_of(t_eval: ArrayLike, t_end: float = np.inf) -> Array:
    """t_eval as float64 (T,). Raises ArgumentError unless it is a list of times, finite, rising, from 0 to t_end."""
    times = floats(t_eval, "t_eval", remedy="give a list of times")
    if times.ndim != 1 or not len(times):
        what = "no time" if times.ndim == 1 else f"times of shape {times.shape}"
        raise ArgumentError(what, where="t_eval", remedy="give a list of times, (T,)")
    if not np.isfinite(times).all():
        at = int(np.flatnonzero(~np.isfinite(times))[0])
        raise ArgumentError(f"time {at} is {times[at]}", where="t_eval", remedy="give finite times")
    if times[0] < 0:
        raise ArgumentError(f"t = {times[0]:g} is before the start", where="t_eval", remedy="the flow starts at t = 0")
    if (np.diff(times) <= 0).any():
        at = int(np.flatnonzero(np.diff(times) <= 0)[0])
        what = f"time {at + 1} ({times[at + 1]:g}) is not after time {at} ({times[at]:g})"
        raise ArgumentError(what, where="t_eval", remedy="give times that rise, such as numpy.linspace(0, 10, 101)")
    if times[-1] > t_end:
        raise ArgumentError(
            f"t = {times[-1]:g} is after t_end = {t_end:g}", where="t_eval", remedy="ask up to t_end, or raise t_end"
        )
    return times.copy()


# --- step by step ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Steps:
    """One integration: its accepted steps, and between them the solver's own interpolation.

    steps: accepted ones; t (T,); loss (T,); singular (T, d_y): of the network, in the coordinates in which the
    target has sigma; fitted (T, d_y): the diagonal of D_W, 1 where a mode is fitted; complete: whether t_end was
    reached on the budget.
    """

    steps: int
    t: Array
    loss: Array
    singular: Array
    fitted: Array
    complete: bool


def steps(problem: Problem, start: Array, t_end: float, settings: Settings, exact_zeros: bool = False) -> Steps:
    """The flow from `start` (n,) to t_end, at the tolerances and on the budget of `settings`.

    By LSODA, which passes plateaus in few steps; exact_zeros: by DOP853, which keeps the zeros of a planted start.
    """
    path = _flow(problem, start, t_end, settings, "DOP853" if exact_zeros else "LSODA")
    network = gradient.network(problem.unpack(path.state))
    if problem.flow == "raw":
        assert problem.gram_root is not None
        network = network @ problem.gram_root
    return Steps(
        steps=path.steps,
        t=path.t,
        loss=problem.loss(path.state),
        singular=np.asarray(np.linalg.svd(network, compute_uv=False), dtype=np.float64),
        fitted=problem.fitted(path.state),
        complete=path.stop == Stop.T_END,
    )


def losses(problem: Problem, starts: Array, t: Array, settings: Settings, exact_zeros: bool = False) -> Array:
    """The loss along the flow from starts (N, n) at times t (T,), (N, T); nan from where a budget was spent on."""
    found = np.full((len(starts), len(t)), np.nan)
    for row, start in enumerate(starts):
        one = steps(problem, start, float(t[-1]), settings, exact_zeros)
        reached = t <= one.t[-1]
        found[row, reached] = np.interp(t[reached], one.t, one.loss)
    return found


def _flow(problem: Problem, start: Array, t_end: float, settings: Settings, method: str) -> Recorded:
    """The steps of the reference integrator, which nothing stops before t_end but the budget."""
    leg = IntegrationRequest.of(np.array(start, dtype=np.float64)[None], settings.budget, t_end=t_end)
    (path,) = Reference().record(problem, leg, replace(settings, method=method), POINTS)
    return path

"""Proved labels: whether the exact flow from the exact start goes to a global minimum (docs/proofs.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import floats, number
from basins.codegen.vectors import zeros
from basins.errors import ArgumentError, nearest
from basins.landscapes.base import Landscape, MatrixChain
from basins.landscapes.deep_linear.problem import the_problem
from basins.proof import steps as _steps
from basins.proof.carry import carry
from basins.proof.carry_lanes import STATE, carry_lanes
from basins.proof.constants import constants_of
from basins.proof.memory import Ended, Knots, ended_for, work_for, work_in_lanes
from basins.proof.shape import Array, Constants, Shape, shape_of
from basins.proof.steps import Tier
from basins.rows import Row, chosen, counted_words, html, word, words

if TYPE_CHECKING:
    import pandas as pd

NO_CODE = -1
"""Code of a reason, or of a tier, that a row does not have."""


class Unproved(IntEnum):
    """Why a row is not proved: codes into UNPROVED."""

    error = _steps.ERROR
    steps = _steps.STEPS
    step_size = _steps.STEP_SIZE
    size = _steps.SIZE
    non_finite = _steps.NON_FINITE


UNPROVED = (
    "the enclosure grew too wide",
    "too many steps",
    "no step short enough",
    "norms too large",
    "non-finite",
)

TIERS = ("B", "C", "D", "E")
"""Ways to prove a row, cheapest first; each is tried on what those before it left. B: double precision, order 12,
logarithmic norm by norms of blocks; C: order 16; D: the logarithmic norm by Cholesky; E: like D, in double-double."""

CHOLESKY_N = 300
"""D and E are for states of at most this size: Cholesky takes n^3 / 3 operations at every knot."""


@dataclass(frozen=True, eq=False)
class Proof:
    """What is proved of N starts; all arrays have N rows.

    proved: every exact flow from within radius (N,) of the start goes to a global minimum. reason: why not, codes of
    Unproved, -1 where proved. tier: the last one tried, an index into TIERS. At the last knot of its path: t; error:
    the radius about the computed state that holds the exact one, units of W; margin: the radius at which the last test
    would have failed, 0 where the computed residual is above the level, so error < margin where proved; growth: the
    bound of int max(0, lambda_max(-Hess L)) dt, whose exponential multiplies errors; steps (N,).
    """

    proved: NDArray[np.bool_]
    reason: NDArray[np.int8]
    t: Array
    error: Array
    margin: Array
    growth: Array
    steps: NDArray[np.int64]
    tier: NDArray[np.int8]
    radius: Array

    def __len__(self) -> int:
        return len(self.proved)

    def __getitem__(self, rows: Any) -> Any:
        """One row (`proof[3]`, with reason_text and tier_text), or the Proof of some: a slice, a mask (N,) or
        positions."""
        at = chosen(rows, len(self))
        values: dict[str, Any] = {name: array[at] for name, array in vars(self).items()}
        if not isinstance(at, int):
            return Proof(**values)
        values["reason_text"] = word(int(self.reason[at]), UNPROVED)
        values["tier_text"] = word(int(self.tier[at]), TIERS)
        return ProofOfRow(values)

    def __iter__(self) -> Iterator[ProofOfRow]:
        return (self[row] for row in range(len(self)))

    def to_pandas(self) -> pd.DataFrame:
        """A line a row: proved, reason and tier as categories (missing where there is none), and the numbers."""
        import pandas as pd

        columns: dict[str, Any] = {**vars(self)}
        columns |= {"reason": words(self.reason, UNPROVED), "tier": words(self.tier, TIERS)}
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        return f"Proof({'; '.join(self._said())})"

    def _repr_html_(self) -> str:
        return html("Proof", self.to_pandas(), self._said())

    def _said(self) -> list[str]:
        many = len(self)
        balls = " (balls)" if (self.radius > 0).any() else ""
        said = [f"{int(self.proved.sum()):,} of {many:,} starts{balls} proved to flow to a global minimum"]
        why = counted_words(self.reason[self.reason >= 0], UNPROVED)
        return said + ([f"not proved: {why}"] if why else [])


class ProofOfRow(Row):
    """What is proved of one start: the values of `Proof` by the same names, and reason_text and tier_text."""

    def __repr__(self) -> str:
        said = "proved" if self.proved else f"not proved: {self.reason_text}" if self.reason_text else "not proved"
        return f"ProofOfRow({said}, at t = {self.t:.6g}, tier {self.tier_text}, {self.steps:,} steps)"


@dataclass(frozen=True, eq=False)
class Enclosures:
    """Every knot of one row's path: the exact flow from within the first radius of the start is, at the sum of h up to
    knot k, within error[k] of W[k] + W_low[k]. h (K,), h[0] = 0; W, W_low (K, n); error (K,). proof: of that row."""

    h: Array
    W: Array
    W_low: Array
    error: Array
    proof: Proof


def tier_of(name: str, n: int) -> Tier:
    """The tier's settings for states of size n. A step of D or E costs about n^3: the fewer are allowed."""
    most = int(min(10_000, max(200, 20_000_000 // n**2)))
    return {
        "B": Tier(12, 1e-9, 0.3, False, False, 1000),
        "C": Tier(16, 1e-16, 0.3, False, False, 2000),
        "D": Tier(16, 1e-16, 0.1, True, False, most),
        "E": Tier(28, 1e-30, 0.1, True, True, most),
    }[name]


def tiers_for(problem: Landscape) -> tuple[str, ...]:
    """The tiers this problem's rows go through."""
    return TIERS if problem.n <= CHOLESKY_N else TIERS[:2]


def prove(problem: Landscape, W0: ArrayLike, radius: ArrayLike = 0.0, *, tiers: Sequence[str] | None = None) -> Proof:
    """Prove that the exact flow from W0, (n,) or (N, n), goes to a global minimum, for each row or say why not.

    problem: a `Problem`, or another landscape that gives an enclosure (landscapes/base.py).
    radius, a number or (N,), units of W: every start within it (Euclidean distance) is to be proved with the row.
    tiers: which of TIERS to try, cheapest first; all that the problem's size allows if None. The result's bytes depend
    on neither the CPU nor the other rows. A start that is not finite is not proved. Raises ArgumentError for values
    that have no meaning and for a landscape without an enclosure, AssumptionError where the stored problem's own level
    cannot be shown.
    """
    starts = _starts(problem, W0)
    radii = _radii(radius, len(starts))
    names, chain = _tiers(problem, tiers), _chain(problem)
    shape, constants, N = shape_of(chain), constants_of(chain), len(starts)
    ended, tier = ended_for(N), np.full(N, NO_CODE, dtype=np.int8)
    left = np.arange(N)
    for name in names:
        _try(shape, constants, tier_of(name, problem.n), starts, radii, left, ended)
        tier[left] = TIERS.index(name)
        left = np.flatnonzero((ended.code != _steps.PROVED) & np.isfinite(starts).all(axis=1))
    return _proof(ended, tier, radii)


def _try(
    shape: Shape, constants: Constants, tier: Tier, starts: Array, radii: Array, rows: NDArray[np.int64], ended: Ended
) -> None:
    if not len(rows):
        return
    if tier.cholesky:
        n = starts.shape[1]
        none = Knots(np.empty(0), np.empty((0, n)), np.empty((0, n)), np.empty(0))
        carry(shape, constants, tier, *work_for(shape, tier), starts, radii, rows, ended, none, tier.pairs or None)
    else:
        memory = (*work_in_lanes(shape, tier), zeros(3 * shape.m + 1), zeros(STATE))
        carry_lanes(shape, constants, tier, *memory, starts, radii, rows, ended)


def enclosures(problem: Landscape, W0: ArrayLike, radius: float = 0.0, *, tier: str = "B") -> Enclosures:
    """The knots of one start's path (n,) in one tier, for a check by other means (docs/proofs.md)."""
    start = _starts(problem, W0)
    (name,), chain = _tiers(problem, [tier]), _chain(problem)
    settings, shape = tier_of(name, problem.n), shape_of(chain)
    rows, n = settings.most_steps + 1, problem.n
    knots = Knots(np.full(rows, np.nan), np.zeros((rows, n)), np.zeros((rows, n)), np.zeros(rows))
    ended, radii = ended_for(1), _radii(radius, 1)
    memory = work_for(shape, settings)
    carry(
        shape, constants_of(chain), settings, *memory, np.ascontiguousarray(start), radii, np.arange(1), ended, knots,
        settings.pairs or None,
    )  # fmt: skip
    proof = _proof(ended, np.array([TIERS.index(name)], dtype=np.int8), radii)
    h, W, W_low, error = (array[: int(ended.steps[0]) + 1] for array in knots)
    return Enclosures(h, W, W_low, error, proof)


def largest_ball(problem: Landscape, W0: ArrayLike, *, accuracy: float = 0.05) -> Array:
    """The largest radius, (N,), at which `prove` proves the ball about each start of W0 (n,) or (N, n), by bisection.

    It is a proved radius, at most the relative `accuracy` below one that is not proved; 0 where the start itself is
    not proved, or none above 2^-60 of its norm is. A larger ball may still hold minima alone: the method only cannot
    show it.
    """
    if not 0 < number(accuracy, "accuracy") < 1:
        raise ArgumentError(f"accuracy {accuracy}", where="largest_ball", remedy="give a number between 0 and 1")
    starts = _starts(problem, W0)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.add.reduce(np.square(starts), axis=1))
    found = np.zeros(len(starts))
    left = np.flatnonzero(prove(problem, starts).proved)
    low, high = norms * 2.0**-61, 2.0 * norms  # a proved ball never reaches 0, which is a critical point
    while len(left):
        middle = np.sqrt(low[left]) * np.sqrt(high[left])
        proved = prove(problem, starts[left], middle).proved
        low[left[proved]] = found[left[proved]] = middle[proved]
        high[left[~proved]] = middle[~proved]
        left = left[low[left] < (1.0 - accuracy) * high[left]]
    return found


def _proof(ended: Ended, tier: NDArray[np.int8], radii: Array) -> Proof:
    code, t, error, margin, growth, steps = ended
    proved = code == _steps.PROVED
    reason = np.where(proved, NO_CODE, code).astype(np.int8)
    return Proof(proved, reason, t, error, margin, growth, steps, tier, radii)


def _starts(problem: Landscape, W0: ArrayLike) -> Array:
    """W0 as (N, n). Raises ArgumentError for what is no landscape, and for what are no states of it."""
    if not hasattr(problem, "enclosure"):
        the_problem(problem)  # raises
    state = getattr(problem, "state", None)
    starts = state(W0) if state is not None else floats(W0, "W0", remedy="give float64 states")
    starts = np.ascontiguousarray(np.atleast_2d(starts))
    if starts.ndim != 2 or starts.shape[1] != problem.n:
        what = f"starts of shape {starts.shape}"
        raise ArgumentError(what, where="W0", remedy=f"a state has {problem.n} numbers: give ({problem.n},) or (N, n)")
    return starts


def _chain(problem: Landscape) -> MatrixChain:
    """What a proof needs of a landscape. Raises ArgumentError for one that does not give it."""
    chain = problem.enclosure()
    if chain is None:
        what = f"{problem.size_text} gives no enclosure, so none of its labels can be proved"
        raise ArgumentError(what, where="problem", remedy="prove labels of deep linear networks")
    return chain


def _radii(radius: ArrayLike, N: int) -> Array:
    try:
        radii = np.array(np.broadcast_to(np.asarray(radius, dtype=np.float64), (N,)))
    except (TypeError, ValueError):
        raise ArgumentError(
            "neither a number nor one for each start", where="radius", remedy=f"give a number or ({N},)"
        ) from None
    if not (np.isfinite(radii) & (radii >= 0)).all():
        raise ArgumentError("a radius that is negative or not finite", where="radius", remedy="give numbers from 0 on")
    return radii


def _tiers(problem: Landscape, tiers: Sequence[str] | None) -> tuple[str, ...]:
    possible = tiers_for(problem)
    if tiers is None:
        return possible
    if not isinstance(tiers, Sequence):
        raise ArgumentError(
            f"{tiers!r} is no list", where="tiers", remedy=f"give a list of tiers, of {', '.join(TIERS)}"
        )
    for name in tiers:
        if name not in TIERS:
            raise ArgumentError(f"unknown tier {name!r}", where="tiers", remedy=nearest(name, TIERS))
        if name not in possible:
            raise ArgumentError(
                f"tier {name} for states of size {problem.n}",
                where="tiers",
                remedy=f"it is for sizes up to {CHOLESKY_N}: choose of {', '.join(possible)}",
            )
    return tuple(name for name in TIERS if name in tiers)

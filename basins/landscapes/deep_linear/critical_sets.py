"""The critical strata of a deep linear network behind the contract of a landscape (landscapes/base.py, CriticalSets).

The arguments are in certificates/ (the loss level, the invariants at t = 0), invariant_zeros.py (zeros that the flow
keeps) and critical/settling.py (what a state at rest rests on). Here they become verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.base import (
    Array,
    Codes,
    CriticalSet,
    Decided,
    Evaluation,
    Motion,
    Verdict,
    Vocabulary,
)
from basins.landscapes.codes import CodeLayout
from basins.landscapes.deep_linear.certificates import descent
from basins.landscapes.deep_linear.certificates.loss_level import level, loss_rounding
from basins.landscapes.deep_linear.certificates.start_certificates import at_start
from basins.landscapes.deep_linear.critical.classify import classify
from basins.landscapes.deep_linear.critical.decimal_flow import stays
from basins.landscapes.deep_linear.critical.ranks import typical_size
from basins.landscapes.deep_linear.critical.settling import Settling, settle
from basins.landscapes.deep_linear.invariant_zeros import invariant_levels, invariant_modes
from basins.landscapes.deep_linear.passage import distance
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import Stratum
from basins.rounding import U


class Certificate(IntEnum):
    """The certificate of a verdict: codes into `Vocabulary.certificates`."""

    level = 0
    rate = 1
    rank = 2
    invariant = 3
    outlasted = 4
    trap = 5


VOCABULARY = Vocabulary(
    verdicts=tuple(verdict.name for verdict in Verdict),
    certificates=tuple(certificate.name for certificate in Certificate),
    set_column="modes",
)


VERDICTS, CERTIFICATES = VOCABULARY.verdicts, VOCABULARY.certificates


class DeepLinearSets:
    """The strata of one problem. A code is the bitmask of the fitted modes S."""

    vocabulary = VOCABULARY
    evidence = ("rank_gap",)

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.codes = CodeLayout(problem.d_y)

    @property
    def code_bits(self) -> int:
        return self.codes.code_bits

    @property
    def fingerprint(self) -> bytes:
        return self.problem.sigma.tobytes()

    @property
    def global_minimum(self) -> int:
        return (1 << self.problem.d_y) - 1

    @property
    def typical_size(self) -> float:
        """The size of each weight of a scalar chain that fits the largest mode."""
        return typical_size(self.problem)

    # --- the sets -----------------------------------------------------------------------------------------------------

    def describe(self, code: int) -> CriticalSet:
        return self._set(self.problem.strata().of(code))

    def listed(self) -> Sequence[CriticalSet] | None:
        strata = self.problem.strata()
        return [self._set(stratum) for stratum in strata] if strata.listable else None

    def count(self) -> int:
        return len(self.problem.strata())

    def _set(self, stratum: Stratum) -> CriticalSet:
        name = "{" + ",".join(map(str, stratum.modes)) + "}"
        if stratum.rank == self.problem.d_y:
            kind = "global minimum"
        elif self.problem.H == 1 or stratum.modes != tuple(range(stratum.rank)):
            kind = "strict saddle"
        else:
            kind = "saddle"  # with H >= 2 and S = {1..r}: strict at some points, non-strict at others (theory.md 5)
        return CriticalSet(stratum.mask, name, stratum.loss, stratum.rank, kind, stratum.index)

    # --- certificates -------------------------------------------------------------------------------------------------

    def levels(self, starts: Array, delta: float) -> Array:
        problem = self.problem
        levels = np.full(len(starts), level(problem, 2 * delta))
        unfitted = invariant_modes(problem, starts)
        rows = np.flatnonzero(unfitted.any(axis=-1))
        if len(rows):
            floor, above = invariant_levels(problem, unfitted[rows], 2 * delta)
            resolved = delta * above > 100 * U * floor
            levels[rows] = np.where(resolved, floor + above, -np.inf)
        return levels

    def at_start(self, starts: Array) -> Decided:
        """The global minima that the rate or the ranks prove. A row with invariant zeros reaches none."""
        problem, decided = self.problem, Decided.nothing(len(starts))
        found = at_start(problem, starts)
        free = ~invariant_modes(problem, starts).any(axis=-1)
        by_rate = found.global_minimum & free & (found.rate > 0)
        by_rank = found.global_minimum & free & (found.least_rank >= problem.d_y) & ~by_rate
        self._minima(decided, by_rate, Certificate.rate, found.rate)
        excess: Array = np.asarray(found.least_rank - (problem.d_y - 1.0), dtype=np.float64)
        self._minima(decided, by_rank, Certificate.rank, excess)
        return decided

    def decide(self, starts: Array, at_start: Decided, W: Array, there: Evaluation, delta: float) -> Decided:
        problem, decided = self.problem, at_start
        unfitted = invariant_modes(problem, starts)
        below = (there.loss_at_most < level(problem, delta)) & ~unfitted.any(axis=-1) & (decided.verdict < 0)
        margin: Array = 1 - there.loss_at_most / (0.5 * problem.sigma_min**2)
        self._minima(decided, below, Certificate.level, margin)
        self._invariant_saddles(decided, W, there, unfitted, delta)
        return decided

    def certificates(self, dynamics: Motion) -> tuple[str, ...]:
        if dynamics.potential == "loss":
            words = [Certificate.level, Certificate.invariant, Certificate.outlasted]
            words[1:1] = [Certificate.rate, Certificate.rank] if dynamics.conserves else []
        else:
            words = [] if dynamics.descent_rate is None else [Certificate.trap, Certificate.invariant]
        return tuple(word.name for word in words)

    def certify_state(self, starts: Array, W: Array, there: Evaluation, dynamics: Motion, delta: float) -> Decided:
        """Of gradient descent alone, by `certificates.descent`: a ball that its iterates do not leave, around a state
        near the global minima, or near those of the problem on S where the zeros of a planted start are still there."""
        decided, rate = Decided.nothing(len(W)), dynamics.descent_rate
        if rate is None:
            return decided
        unfitted = invariant_modes(self.problem, starts)
        above = _above(there, unfitted, slice(None))
        margin = descent.margins(self.problem, W, above, unfitted, rate, delta)
        at_once = unfitted.all(axis=-1) & (there.gradient_norm == 0)  # nothing to fit: the state never moves
        margin[at_once] = 1.0
        planted = unfitted.any(axis=-1)
        self._minima(decided, (margin > 0) & ~planted, Certificate.trap, margin)
        still = (invariant_modes(self.problem, W) | ~unfitted).all(axis=-1)
        at = np.flatnonzero((margin > 0) & planted & still)
        fitted = ~unfitted[at]
        decided.say(
            at,
            Verdict.saddle,
            Certificate.invariant,
            margin[at],
            self.codes.pack(fitted),
            fitted.sum(axis=-1).astype(np.int16),
        )
        return decided

    def _minima(self, decided: Decided, rows: NDArray[np.bool_], by: Certificate, margin: Array) -> None:
        d_y = self.problem.d_y
        decided.say(rows, Verdict.minimum, by, margin[rows], (1 << d_y) - 1, d_y)

    def _invariant_saddles(
        self, decided: Decided, W: Array, there: Evaluation, unfitted: NDArray[np.bool_], delta: float
    ) -> None:
        """Decides the rows whose zeros stayed, S^c = unfitted (N, d_y), and whose loss is below the level of the
        problem on S."""
        at = np.flatnonzero(unfitted.any(axis=-1))
        if not len(at):
            return
        _, ceiling = invariant_levels(self.problem, unfitted[at], delta)
        above = _above(there, unfitted, at)
        still = (invariant_modes(self.problem, W[at]) | ~unfitted[at]).all(axis=-1)
        proved = still & (above < ceiling)
        at, fitted = at[proved], ~unfitted[at[proved]]
        margin = 1 - above[proved] / (ceiling[proved] / (1 - delta))
        decided.say(at, Verdict.saddle, Certificate.invariant, margin, self.codes.pack(fitted), fitted.sum(axis=-1))

    # --- states -------------------------------------------------------------------------------------------------------

    def evaluate(self, W: Array) -> Evaluation:
        from basins.landscapes.deep_linear.evaluation import evaluate  # numba is slow to import

        values = evaluate(self.problem, W)
        with np.errstate(over="ignore", invalid="ignore"):  # a non-finite row has its reason; numpy need not warn
            size = np.prod(np.sqrt(values.squares), axis=-1)
            rounding = loss_rounding(self.problem, W, values.loss, size)
            at_most = values.loss + rounding
        near = values.fitted > 0.5
        details = _Details(values.mode_losses, rounding)
        return Evaluation(values.loss, at_most, values.gradient_norm, self.codes.pack(near), near.sum(axis=-1), details)

    def loss(self, W: Array) -> Array:
        from basins.landscapes.deep_linear.evaluation import loss

        return loss(self.problem, W)

    def drift(self, before: Array, after: Array, t: Array) -> Array:
        """max_j ||C_j(after) - C_j(before)|| over ||W_{j+1}||^2 + ||W_j||^2 before (Lemma 2.3)."""
        from basins.landscapes.deep_linear.evaluation import drift

        return drift(self.problem, before, after)

    # --- rest ---------------------------------------------------------------------------------------------------------

    def settle(self, W: Array, size: float) -> Settling | None:
        return settle(self.problem, W, size)

    def normally_hyperbolic(self, W: Array) -> bool:
        return classify(self.problem, W).normally_hyperbolic

    def stays(self, start: Array, code: int, until: float, fastest: float) -> bool:
        return stays(self.problem, start, self.problem.strata().loss(code), until, fastest)

    def visit_distance(self, codes: Codes, loss: Array, gradient_norm: Array) -> Array:
        return distance(self.problem, codes, loss, gradient_norm)

    # --- rows read back -----------------------------------------------------------------------------------------------

    def contradictions(
        self,
        verdict: NDArray[np.int8],
        certificate: NDArray[np.int8],
        code: Codes,
        known: NDArray[np.bool_],
        rank: NDArray[Any],
        loss: Array,
        delta: float,
    ) -> dict[str, NDArray[np.bool_]]:
        """The levels are those of docs/verdicts.md."""
        sigma, full = self.problem.sigma, np.uint64((1 << self.problem.d_y) - 1)
        minimum, saddle = verdict == Verdict.minimum, verdict == Verdict.saddle
        by_saddle = (certificate == Certificate.invariant) | (certificate == Certificate.outlasted)
        level = 0.5 * self.problem.sigma_min**2
        fitted = self.codes.unpack(code).astype(bool)
        floor = 0.5 * np.where(fitted, 0.0, sigma**2).sum(axis=-1)
        next_level = floor + 0.5 * np.where(fitted, sigma**2, np.inf).min(axis=-1)
        by_level, invariant = certificate == Certificate.level, certificate == Certificate.invariant
        return {
            "a minimum that another certificate than a minimum's proves": minimum & (by_saddle | (certificate < 0)),
            "a minimum whose modes are not all": minimum & ~(known & (code == full)),
            "a minimum by level whose loss is not below the level": minimum & by_level & ~(loss < (1 - delta) * level),
            "a saddle without a saddle's certificate": saddle & ~by_saddle,
            "a saddle of no stratum, or of the last": saddle & ~(known & (code < full)),
            "an invariant saddle whose loss is above its level": saddle & invariant & ~(loss < next_level),
            "a rank that is not the number of its modes": known & (fitted.sum(axis=-1) != rank),
        }


def _above(there: Evaluation, unfitted: NDArray[np.bool_], rows: Any) -> Array:
    """L - 1/2 sum_{S^c} sigma^2 of these rows, at its upper end and without cancellation: rows of E on S alone.
    unfitted (N, d_y): S^c."""
    alone = np.where(unfitted[rows], 0.0, there.details.mode_losses[rows]).sum(axis=-1)
    above: Array = alone + there.details.rounding[rows]
    return above


class _Details:
    """mode_losses (N, d_y): 1/2 ||row i of E||^2; rounding (N,): how far the loss may be off."""

    def __init__(self, mode_losses: Array, rounding: Array) -> None:
        self.mode_losses, self.rounding = mode_losses, rounding

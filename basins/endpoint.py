"""Where a training ended: the nearest stratum, how far it is, what it is to second order, and where the flow from here
goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from basins.arrays import switch
from basins.classification.classify_batch import integrate
from basins.classification.limit_table import Limit
from basins.errors import ArgumentError, nearest
from basins.landscapes.base import CriticalSet, Verdict
from basins.landscapes.deep_linear.certificates import ARGUMENTS, Certified, certify
from basins.landscapes.deep_linear.critical import CriticalPoint, Kind, classify
from basins.landscapes.deep_linear.critical.classify import REACH
from basins.landscapes.deep_linear.critical.inertia import hessian_size
from basins.landscapes.deep_linear.observed import observe
from basins.landscapes.deep_linear.problem import Array, Problem, the_problem
from basins.landscapes.lengths import length

PRECISIONS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Half the spacing of the numbers of a type at 1: the relative rounding u."""

ROUNDING, MOST_ROUNDING = 256, 0.05
"""A state is at a critical point to rounding within ROUNDING u of its size (as in critical/kind.py), but never farther
than the second number."""

FAR = 0.5
"""How far, relative to the size, an exact critical point is looked for where none is near."""


@dataclass(frozen=True, eq=False)
class Endpoint:
    """Where a state W is, and where the flow from it goes (`basins.where`).

    loss, gradient_norm: at W. precision, rounding: the type whose rounding is the scale of what follows, and a length:
    within it a distance is rounding; gradient_rounding: the gradient norm that so small a distance may leave.
    nearest: the stratum whose modes W fits by more than a half. kind, point: what the nearest exact critical point of
    it is to second order (`critical.classify`: ranks, inertia, why). distance: of W from that point, units of W in the
    paper's coordinates, nan where none is found within half of the size; size: what it is relative to. passage: that of
    `Trajectory.distance`, which needs no critical point.
    certified: what is proved at W without integration. limit: the flow from W integrated until its verdict. proof: of
    the exact flow from W as given (`basins.prove`), None where it was not needed or not asked for.
    goes: "certified", "proved" (both theorems: the flow from W goes to a global minimum), "computed" (the computed flow
    does), "saddle" (it ends on one) or "unknown". whatever_rounding: whether every state within W's own rounding, u
    times its length, is proved to go to a global minimum.
    """

    problem: Problem
    state: Array
    precision: str
    rounding: float
    loss: float
    gradient_norm: float
    gradient_rounding: float
    nearest: CriticalSet
    kind: Kind
    point: CriticalPoint
    distance: float
    size: float
    passage: float
    certified: Certified
    limit: Limit
    proof: Any
    goes: str
    whatever_rounding: bool

    @property
    def at_rest(self) -> bool:
        """Whether the gradient is what rounding leaves of one."""
        return self.gradient_norm <= self.gradient_rounding

    @property
    def at_critical_point(self) -> bool:
        """Whether W is at a critical point, to its rounding."""
        return bool(self.distance <= self.rounding)

    @property
    def sentence(self) -> str:
        """Where W is, and where the flow from it goes."""
        return f"{self._place()} {self._way()}"

    def _place(self) -> str:
        at = self.nearest
        minima = at.kind == "global minimum"
        index = "" if at.index is None else f"I({at.index}), "
        losses = f"loss {self.loss:.6g}, that of the stratum {at.value:.6g}"
        if np.isnan(self.distance):
            which = "the global minima" if minima else f"the stratum of saddles {index}S = {at.name}"
            far = f"nearest is {which}, at about {self.passage:.2g} of the weights' size"
            return f"At no critical point: {far} ({losses}; gradient norm {self.gradient_norm:.3g})."
        open_kind = self.kind in (Kind.UNDECIDED, Kind.NOT_CRITICAL)
        what = "a critical point" if open_kind else f"a {self.kind.value}"
        if not minima:
            what += f" of {index}S = {at.name}"
        signs = self.point.inertia
        if self.kind is Kind.STRICT and signs is not None and signs.negative is not None:
            what += f", with {signs.negative} unstable direction{'s' * (signs.negative != 1)}"
        if self.at_critical_point:
            where = f"At {what}, to {self.precision} rounding ({self.distance:.2g} away; {losses})"
        else:
            share = 100 * self.distance / self.size
            where = f"Near {what}: {self.distance:.2g} away, {share:.2g} % of the weights' size ({losses})"
        return f"{where}." if self.point.undecided is None else f"{where}; its kind is open: {self.point.undecided}."

    def _way(self) -> str:
        if self.goes == "certified":
            by = ARGUMENTS[int(self.certified.argument[0])]
            said = f"The flow from here is certified to go to a global minimum, by {by}"
        elif self.goes == "proved":
            said = f"The flow from the weights as given is proved to go to a global minimum (at t = {self.time})"
        elif self.goes == "computed":
            said = f"The computed flow from here goes to a global minimum (at t = {self.time}); that is not proved"
        elif self.goes == "saddle":
            said = f"The flow from here ends on a saddle, by the certificate {self.limit.certificate_text!r}"
        else:
            said = f"Where the flow from here goes is not known: {self.limit.reason_text}, at t = {self.time}"
        if self.whatever_rounding and self.precision != "float64":
            said += f"; the same is proved of every state within {self.precision} rounding"
        return f"{said}."

    @property
    def time(self) -> str:
        return f"{self.limit.time if self.proof is None or not self.proof.proved else self.proof.t:.4g}"

    def to_dict(self) -> dict[str, Any]:
        """The numbers and words, for JSON; the nearest stratum by its modes."""
        signs = self.point.inertia
        return {
            "sentence": self.sentence,
            "precision": self.precision,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "at_rest": self.at_rest,
            "nearest": {"index": self.nearest.index, "name": self.nearest.name, "loss": self.nearest.value},
            "kind": self.kind.value,
            "distance": None if np.isnan(self.distance) else self.distance,
            "at_critical_point": self.at_critical_point,
            "rounding": self.rounding,
            "negative_eigenvalues": None if signs is None else signs.negative,
            "goes": self.goes,
            "t": float(self.limit.time),
        }

    def __repr__(self) -> str:
        return f"Endpoint: {self.sentence}"


def where(problem: Problem, W: ArrayLike, *, precision: str | None = None, prove: bool = True) -> Endpoint:
    """Where the state W (n,) is, and where the flow from it goes: the end of a training, say.

    precision: the type whose rounding is the scale of distances and gradients, "float64", "float32", "float16" or
    "bfloat16". By default that of the array; of float64 numbers that all are float32 numbers (and not all as short as
    float16), as `from_torch` gives, float32. Within 256 u of its size (1.5e-5 for float32) W counts as at the critical
    point. prove: whether to follow the exact flow in rigorous arithmetic (`basins.prove`) where no certificate decides;
    beside a saddle that takes up to some ten seconds.

    Raises ArgumentError for a batch, for a state that is not finite, and for an unknown precision.
    """
    named = _precision(W, precision)
    prove = switch(prove, "prove")
    state = the_problem(problem).state(W)
    if state.ndim != 1 or not np.isfinite(state).all():
        what = "not one finite state" if state.ndim == 1 else f"a batch of shape {state.shape}"
        raise ArgumentError(what, where="where: W", remedy=f"give one finite state, ({problem.n},)")
    seen = observe(problem, state)
    if not (np.isfinite(seen.loss) and np.isfinite(seen.gradient_norm)):
        what = f"weights as large as {np.abs(state).max():.3g}: the loss there is no finite number"
        raise ArgumentError(what, where="where: W", remedy="the training diverged: give an earlier state")
    u = PRECISIONS[named]
    share = min(ROUNDING * u, MOST_ROUNDING)
    point = classify(problem, state, reach=max(REACH, 2 * share))
    if point.kind is Kind.NOT_CRITICAL:
        point = classify(problem, state, reach=FAR)
    rounding = share * point.scale
    certified, limit = certify(problem, state), integrate(problem, state)[0]
    proof, goes = None, "certified"
    if not certified.global_minimum[0]:
        goes, proof = _way(problem, state, limit, prove)
    return Endpoint(
        problem=problem,
        state=state,
        precision=named,
        rounding=rounding,
        loss=float(seen.loss),
        gradient_norm=float(seen.gradient_norm),
        gradient_rounding=hessian_size(problem, state, rounding) * rounding,
        nearest=problem.critical.describe(int(seen.code)),
        kind=point.kind,
        point=point,
        distance=float(point.moved),
        size=point.scale,
        passage=float(seen.distance),
        certified=certified,
        limit=limit,
        proof=proof,
        goes=goes,
        whatever_rounding=goes in ("certified", "proved") and prove and _whatever(problem, state, u * length(state)),
    )


def _way(problem: Problem, state: Array, limit: Limit, prove: bool) -> tuple[str, Any]:
    """Where the flow from a state goes that no certificate decides, and the proof if one was tried."""
    if limit.verdict == Verdict.saddle:  # by zeros that the flow keeps: no proof can say otherwise
        return "saddle", None
    proof = None
    if prove:
        from basins import proof as proofs  # its kernels are slow to import

        proof = proofs.prove(problem, state)[0]
    if proof is not None and proof.proved:
        return "proved", proof
    return ("computed" if limit.verdict == Verdict.minimum else "unknown"), proof


def _whatever(problem: Problem, state: Array, radius: float) -> bool:
    """Whether every flow from within the radius is proved to go to a global minimum, by the quick tiers alone: a ball
    that reaches a saddle's stable manifold is not to be proved, however long one tries."""
    from basins.proof import prove

    return bool(prove(problem, state, radius, tiers="BC").proved[0])


def _precision(W: Any, given: str | None) -> str:
    if given is not None:
        if given not in PRECISIONS:
            raise ArgumentError(f"unknown precision {given!r}", where="precision", remedy=nearest(given, PRECISIONS))
        return given
    named = str(getattr(W, "dtype", "")).rpartition(".")[2]
    if named in PRECISIONS and named != "float64":
        return named
    try:
        values = np.asarray(W, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        return "float64"  # `Problem.state` says what is wrong with it
    with np.errstate(over="ignore", invalid="ignore"):
        single = bool((values == values.astype(np.float32)).all())
        short = bool((values == values.astype(np.float16)).all())
    return "float32" if single and not short else "float64"

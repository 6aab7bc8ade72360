"""A landscape outside the package: a double well in n dimensions, L = 1/4 (w_1^2 - 1)^2 + 1/2 sum_{i > 1} w_i^2.

Two global minima, at w_1 = -1 and w_1 = 1, and a strict saddle at 0, on whose stable manifold w_1 is 0. Of any law that
is symmetric in w_1 each basin has measure one half. One file: no line of basins knows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.codegen.llvm_ir import Function, Pointer
from basins.codegen.vector_sums import sum_of_squares
from basins.errors import ArgumentError
from basins.landscapes.base import (
    Array,
    Codes,
    CriticalSet,
    Decided,
    Evaluation,
    Motion,
    RestScale,
    Verdict,
    Vocabulary,
)

SADDLE, LEFT, RIGHT = 0, 1, 2
LEVEL, INVARIANT, OUTLASTED, TRAP = 0, 1, 2, 3
VALUE = 0.25
"""L at the saddle: below it every limit is a global minimum, the one on w_1's side."""


@dataclass(frozen=True)
class DoubleWellCode:
    """The gradient as vector code; residuals (w_1^2 - 1) / sqrt 2, w_2, ..., w_n."""

    n: int
    parameters: int = 0

    @property
    def scratch(self) -> int:
        return self.n

    @property
    def residuals(self) -> int:
        return self.n

    def emit(self, lanes: int) -> Function:
        f = Function("velocity", ("W", "slope", "scratch", "shared"), lanes, internal=True)
        w = f.load(f["W"])
        square = f.fma(w, w, f.constant(-1.0))
        f.store(f.negate(f.mul(square, w)), f["slope"])
        f.store(f.mul(square, f.constant(float(np.sqrt(0.5)))), f["scratch"])
        for i in range(1, self.n):
            w = f.load(f["W"] + i)
            f.store(f.negate(w), f["slope"] + i)
            f.store(w, f["scratch"] + i)
        return f

    def emit_loss(self, f: Function, scratch: Pointer) -> str:
        return f.mul(f.constant(0.5), sum_of_squares(f, scratch, self.n))


@dataclass(frozen=True)
class AtTheSaddle:
    """A state at rest beside the saddle: rates 1 out along w_1, 1 in along the others."""

    distance: float
    code: int = SADDLE
    rank: int = 0
    hyperbolic: bool = True
    slowest_out: float = 1.0
    fastest_out: float = 1.0
    slowest_in: float = 1.0
    fastest: float = 1.0
    evidence: Mapping[str, float] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        return self.distance <= 1e-12

    @property
    def rests(self) -> bool:
        return self.settled


class DoubleWellSets:
    """The three critical points."""

    vocabulary = Vocabulary(("minimum", "saddle", "censored"), ("level", "invariant", "outlasted", "trap"), "well")
    evidence: tuple[str, ...] = ()
    typical_size = 1.0
    code_bits = 2
    global_minimum = None

    def __init__(self, landscape: DoubleWell) -> None:
        self.landscape = landscape

    @property
    def fingerprint(self) -> Hashable:
        return "double well"

    def describe(self, code: int) -> CriticalSet:
        return {one.code: one for one in self.listed()}[code]

    def listed(self) -> Sequence[CriticalSet]:
        return [
            CriticalSet(SADDLE, "saddle at 0", VALUE, 0, "strict saddle", 1),
            CriticalSet(LEFT, "minimum at -1", 0.0, 1, "global minimum", 2),
            CriticalSet(RIGHT, "minimum at +1", 0.0, 1, "global minimum", 3),
        ]

    def count(self) -> int:
        return 3

    def levels(self, starts: Array, delta: float) -> Array:
        return np.where(starts[:, 0] == 0, -np.inf, (1 - 2 * delta) * VALUE)

    def at_start(self, starts: Array) -> Decided:
        return Decided.nothing(len(starts))

    def loss(self, W: Array) -> Array:
        return self.landscape.loss_and_gradient(W)[0]

    def evaluate(self, W: Array) -> Evaluation:
        loss, gradient = self.landscape.loss_and_gradient(W)
        with np.errstate(over="ignore", invalid="ignore"):
            norm = np.sqrt((gradient * gradient).sum(axis=-1))
            side = np.where(W[:, 0] < 0, LEFT, RIGHT)
            code = np.where(np.abs(W[:, 0]) < 0.5, SADDLE, side).astype(np.uint64)
        return Evaluation(loss, loss * (1 + 1e-14), norm, code, (code > 0).astype(np.int64))

    def decide(self, starts: Array, at_start: Decided, W: Array, there: Evaluation, delta: float) -> Decided:
        """Below the saddle's value the sign of w_1 is kept for ever; w_1 = 0 is kept for ever too."""
        decided = at_start
        for sign, code in ((-1, LEFT), (1, RIGHT)):
            rows = (there.loss_at_most < (1 - delta) * VALUE) & (np.sign(W[:, 0]) == sign)
            decided.say(rows, Verdict.minimum, LEVEL, 1 - there.loss_at_most[rows] / VALUE, code, 1)
        planted = (starts[:, 0] == 0) & (W[:, 0] == 0)
        decided.say(planted, Verdict.saddle, INVARIANT, 1.0, SADDLE, 0)
        return decided

    def certificates(self, dynamics: Motion) -> tuple[str, ...]:
        if dynamics.potential == "loss":
            return ("level", "invariant", "outlasted")
        return ("trap", "invariant") if 0 < (dynamics.descent_rate or 0) <= 0.5 else ()

    def certify_state(self, starts: Array, W: Array, there: Evaluation, dynamics: Motion, delta: float) -> Decided:
        """Of gradient descent of rate eta <= 1/2: w -> w + eta (w - w^3) rises on [0, b], b^2 = (1 + eta) / (3 eta), so
        b >= 1; it has the fixed points 0 and 1 there, and moves what is between them up: each w_1 of (0, b] goes to 1.
        """
        decided, rate = Decided.nothing(len(W)), dynamics.descent_rate
        if rate is None or not 0 < rate <= 0.5:
            return decided
        size = np.abs(W[:, 0]) / np.sqrt((1 + rate) / (3 * rate))
        for sign, code in ((-1, LEFT), (1, RIGHT)):
            rows = (size < 1 - delta) & (np.sign(W[:, 0]) == sign)
            decided.say(rows, Verdict.minimum, TRAP, 1 - size[rows], code, 1)
        planted = (starts[:, 0] == 0) & (W[:, 0] == 0)
        decided.say(planted, Verdict.saddle, INVARIANT, 1.0, SADDLE, 0)
        return decided

    def drift(self, before: Array, after: Array, t: Array) -> Array:
        return np.full(len(before), np.nan)  # nothing is conserved

    def settle(self, W: Array, size: float) -> AtTheSaddle | None:
        norm = float(np.linalg.norm(W))
        return AtTheSaddle(norm / max(size, norm)) if norm < 0.1 * max(size, norm) else None

    def normally_hyperbolic(self, W: Array) -> bool:
        return True

    def stays(self, start: Array, code: int, until: float, fastest: float) -> bool:
        return bool(start[0] == 0)

    def visit_distance(self, codes: Codes, loss: Array, gradient_norm: Array) -> Array:
        return np.where(codes == SADDLE, gradient_norm, np.nan)

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
        return {
            "a minimum in no well": (verdict == Verdict.minimum) & ~(known & (code != SADDLE)),
            "a minimum whose loss is not below the saddle's": (verdict == Verdict.minimum) & ~(loss < VALUE),
            "a saddle elsewhere": (verdict == Verdict.saddle) & ~(known & (code == SADDLE)),
        }


@dataclass(frozen=True)
class DoubleWell:
    """A `Landscape` (basins/landscapes/base.py)."""

    n: int
    kind: str = "double_well"

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"double well {self.n}".encode()).hexdigest()

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        return ((1, self.n),)

    @property
    def critical(self) -> DoubleWellSets:
        return DoubleWellSets(self)

    @property
    def parameters(self) -> Array:
        return np.empty(0)

    @property
    def rest(self) -> RestScale:
        return RestScale(0)

    @property
    def size_text(self) -> str:
        return f"double well, n = {self.n}"

    def gradient_code(self) -> DoubleWellCode:
        return DoubleWellCode(self.n)

    def reduce(self) -> None:
        return None

    def enclosure(self) -> None:
        return None

    def question(self) -> tuple[bool, str]:
        return False, "Both basins have measure one half, and the saddle's none."

    def loss_and_gradient(self, W: ArrayLike) -> tuple[Array, Array]:
        state = np.asarray(W, dtype=np.float64)
        w, others = state[..., 0], state[..., 1:]
        with np.errstate(over="ignore", invalid="ignore"):
            loss = 0.25 * (w * w - 1) ** 2 + 0.5 * (others * others).sum(axis=-1)
            gradient = np.concatenate([((w * w - 1) * w)[..., None], others], axis=-1)
        return loss, gradient

    def hessian(self, W: ArrayLike) -> Array:
        state = np.atleast_2d(np.asarray(W, dtype=np.float64))
        found = np.tile(np.eye(self.n), (len(state), 1, 1))
        found[:, 0, 0] = 3 * state[:, 0] ** 2 - 1
        return found if np.ndim(W) == 2 else found[0]

    def case_columns(self) -> dict[str, Any]:
        return {"dimensions": self.n}

    def to_dict(self) -> dict[str, Any]:
        return {"dimensions": self.n}

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> DoubleWell:
        return cls(numbers["dimensions"])

    @classmethod
    def from_table(cls, values: Mapping[str, Any]) -> DoubleWell:
        n = dict(values).pop("dimensions", None)
        if set(values) != {"dimensions"} or not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ArgumentError(f"{dict(values)}", where="dimensions", remedy="give a whole number of at least 1")
        return cls(n)

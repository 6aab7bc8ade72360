"""A landscape outside the package whose codes have two bits a mode: L = 1/4 sum_i (w_i^2 - 1)^2.

Each coordinate rests at 0, -1 or +1, so there are 3^n critical points: 2^n global minima, and saddles whose value is
1/4 for each coordinate at 0. Of a law that is symmetric in each coordinate every minimum's basin has measure 2^-n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.landscapes.base import Array, Codes, CriticalSet, Decided, Evaluation, RestScale, Verdict, Vocabulary
from basins.landscapes.codes import CodeLayout
from basins.landscapes.defaults import CriticalSetsDefaults, LandscapeDefaults

ZERO, LEFT, RIGHT = 0, 1, 2
VALUE = 0.25
"""What a coordinate at 0 adds to the loss."""


class ManyWellsSets(CriticalSetsDefaults):
    """A code has two bits a coordinate: ZERO, LEFT or RIGHT."""

    vocabulary = Vocabulary(("minimum", "saddle", "censored"), ("level", "invariant"), "wells")

    def __init__(self, landscape: ManyWells) -> None:
        super().__init__(landscape)
        self.codes = CodeLayout(landscape.n, 2)

    @property
    def code_bits(self) -> int:
        return self.codes.code_bits

    @property
    def global_minimum(self) -> None:
        return None

    def count(self) -> int:
        return int(3**self.landscape.n)

    def describe(self, code: int) -> CriticalSet:
        at = self.codes.unpack(code)
        zeros = int(np.count_nonzero(at == ZERO))
        kind = "strict saddle" if zeros else "global minimum"
        return CriticalSet(code, "".join("0-+"[one] for one in at), VALUE * zeros, len(at) - zeros, kind)

    def listed(self) -> Sequence[CriticalSet] | None:
        if self.count() > 1000:
            return None
        every = self.codes.pack(list(product((ZERO, LEFT, RIGHT), repeat=self.landscape.n)))
        return sorted((self.describe(int(code)) for code in every), key=lambda one: (-one.value, one.code))

    def nearest(self, W: Array) -> NDArray[np.uint64]:
        return self.codes.pack(np.where(np.abs(W) < 0.5, ZERO, np.where(W < 0, LEFT, RIGHT)))

    def minimum_of(self, W: Array) -> NDArray[np.uint64]:
        """The sign of each coordinate is kept for ever."""
        return self.codes.pack(np.where(W < 0, LEFT, RIGHT))

    def loss_at_most(self, W: Array, loss: Array) -> Array:
        return loss + 1e-14 * self.landscape.n

    def level(self, delta: float) -> float:
        return (1 - delta) * VALUE

    def levels(self, starts: Array, delta: float) -> Array:
        """Coordinates that are 0 stay 0: the level lies above what they add to the loss."""
        return VALUE * (starts == 0).sum(axis=-1) + self.level(2 * delta)

    def decide(self, starts: Array, at_start: Decided, W: Array, there: Evaluation, delta: float) -> Decided:
        zeros = (starts == 0) & (W == 0)
        above = there.loss_at_most - VALUE * zeros.sum(axis=-1)
        code = self.codes.pack(np.where(zeros, ZERO, np.where(W < 0, LEFT, RIGHT)))
        for verdict, rows in ((Verdict.minimum, ~zeros.any(axis=-1)), (Verdict.saddle, zeros.any(axis=-1))):
            proved = rows & (above < self.level(delta))
            rank = (~zeros[proved]).sum(axis=-1)
            at_start.say(proved, verdict, int(verdict), 1 - above[proved] / VALUE, code[proved], rank)
        return at_start

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
        zeros = (self.codes.unpack(code) == ZERO).sum(axis=-1)
        return {
            "a minimum with a coordinate at 0": (verdict == Verdict.minimum) & ~(known & (zeros == 0)),
            "a saddle with none": (verdict == Verdict.saddle) & ~(known & (zeros > 0)),
            "above the level of its set": (verdict < Verdict.censored) & ~(loss < VALUE * zeros + self.level(delta)),
        }


@dataclass(frozen=True)
class ManyWells(LandscapeDefaults):
    """A `Landscape` (basins/landscapes/base.py); refused for n > 32, whose codes need more than 64 bits."""

    n: int
    rest: ClassVar[RestScale] = RestScale(1)

    @property
    def critical(self) -> ManyWellsSets:
        return ManyWellsSets(self)

    def loss_and_gradient(self, W: ArrayLike) -> tuple[Array, Array]:
        w = np.asarray(W, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            square = w * w - 1
            return 0.25 * (square * square).sum(axis=-1), square * w

    def hessian(self, W: ArrayLike) -> Array:
        w = np.asarray(W, dtype=np.float64)
        return (3 * w * w - 1)[..., None] * np.eye(self.n)

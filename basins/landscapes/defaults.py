"""What a landscape need not say: members of the contract (base.py) with answers that claim the least.

A landscape that derives from these two classes states its loss, gradient and Hessian, its critical sets, and which
minimum a state below the level goes to. It is integrated by scipy, and a row that comes to rest beside a saddle is
carried on until its budget is spent, then censored. Whoever knows more overrides a member: generated code for speed,
`settle` for what rests, `drift` for what is conserved.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.dataclass_tables import field_types, from_table
from basins.landscapes.base import (
    Array,
    Codes,
    CriticalSet,
    CriticalSets,
    Decided,
    Evaluation,
    GradientCode,
    MatrixChain,
    Motion,
    Reduction,
    RestScale,
    Settling,
    Verdict,
    Vocabulary,
)


class CriticalSetsDefaults(ABC):
    """Critical sets of a landscape whose minima are told apart below every other critical value.

    A subclass states `listed`, `nearest`, `minimum_of` and `loss_at_most`. What they promise: every critical set is
    listed; and from a state below the least value of a set that is no global minimum, the flow goes to the global
    minimum that `minimum_of` names. The certificate is called "level"; no saddle is ever claimed.
    """

    vocabulary = Vocabulary(tuple(verdict.name for verdict in Verdict), ("level",))
    evidence: tuple[str, ...] = ()
    typical_size = 1.0

    def __init__(self, landscape: LandscapeDefaults) -> None:
        self.landscape = landscape

    # --- to be stated ---------------------------------------------------------------------------------------------

    @abstractmethod
    def listed(self) -> Sequence[CriticalSet] | None:
        """Every critical set, by falling value. A subclass with too many to list returns None, and overrides what is
        built from the list: `code_bits`, `global_minimum`, `describe`, `count`, `level`, `contradictions`."""

    @abstractmethod
    def nearest(self, W: Array) -> NDArray[Any]:
        """The code of the set nearest to each state (N, n), (N,)."""

    @abstractmethod
    def minimum_of(self, W: Array) -> NDArray[Any]:
        """The code of the global minimum that the flow from each state (N, n) below the level goes to, (N,)."""

    @abstractmethod
    def loss_at_most(self, W: Array, loss: Array) -> Array:
        """The loss (N,) at states (N, n) at the upper end of its rounding error, (N,)."""

    def _all(self) -> Sequence[CriticalSet]:
        listed = self.listed()
        assert listed is not None, "a landscape whose sets are not listed overrides what is built from the list"
        return listed

    # --- which there are ------------------------------------------------------------------------------------------

    @property
    def code_bits(self) -> int:
        return max(1, *(one.code.bit_length() for one in self._all()))

    @property
    def fingerprint(self) -> Hashable:
        return self.landscape.digest

    @property
    def global_minimum(self) -> int | None:
        codes = [one.code for one in self._all() if one.kind == "global minimum"]
        return codes[0] if len(codes) == 1 else None

    def describe(self, code: int) -> CriticalSet:
        return next(one for one in self._all() if one.code == code)

    def count(self) -> int:
        return len(self._all())

    # --- certificates ---------------------------------------------------------------------------------------------

    def level(self, delta: float) -> float:
        """The loss below which a state goes to a global minimum: the least value of any other set, less the share delta
        of its height above the minima."""
        listed = self._all()
        others = [one.value for one in listed if one.kind != "global minimum"]
        floor = listed[-1].value
        return floor + (1 - delta) * (min(others, default=np.inf) - floor)

    def levels(self, starts: Array, delta: float) -> Array:
        return np.full(len(starts), self.level(2 * delta))

    def at_start(self, starts: Array) -> Decided:
        return Decided.nothing(len(starts))

    def decide(self, starts: Array, at_start: Decided, W: Array, there: Evaluation, delta: float) -> Decided:
        decided = at_start
        rows = (there.loss_at_most < self.level(delta)) & (decided.verdict < 0)
        margin = 1 - there.loss_at_most[rows] / self.level(0.0)
        decided.say(rows, Verdict.minimum, 0, margin, self.minimum_of(W[rows]), 0)
        return decided

    # --- states ---------------------------------------------------------------------------------------------------

    def loss(self, W: Array) -> Array:
        return self.landscape.loss_and_gradient(W)[0]

    def evaluate(self, W: Array) -> Evaluation:
        loss, gradient = self.landscape.loss_and_gradient(W)
        with np.errstate(over="ignore", invalid="ignore"):  # a state that is not finite has its reason
            norm = np.sqrt((gradient * gradient).sum(axis=-1))
            at_most, code = self.loss_at_most(W, loss), self.nearest(W).astype(np.uint64)
        return Evaluation(loss, at_most, norm, code, np.zeros(len(W), dtype=np.int64))

    def certificates(self, dynamics: Motion) -> tuple[str, ...]:
        """The level, where the loss falls along every trajectory; nothing of a discrete dynamics."""
        return ("level",) if dynamics.potential == "loss" else ()

    def certify_state(self, starts: Array, W: Array, there: Evaluation, dynamics: Motion, delta: float) -> Decided:
        """Nothing is proved of a discrete dynamics."""
        return Decided.nothing(len(W))

    def drift(self, before: Array, after: Array, t: Array) -> Array:
        return np.full(len(before), np.nan)

    def settle(self, W: Array, size: float) -> Settling | None:
        return None

    def normally_hyperbolic(self, W: Array) -> bool:
        return False

    def stays(self, start: Array, code: int, until: float, fastest: float) -> bool:
        return False

    def visit_distance(self, codes: Codes, loss: Array, gradient_norm: Array) -> Array:
        return np.full(len(codes), np.nan)

    # --- rows read back -------------------------------------------------------------------------------------------

    def contradictions(
        self,
        verdict: NDArray[np.int8],
        certificate: NDArray[np.int8],
        code: Codes,
        known: NDArray[np.bool_],
        rank: NDArray[Any],
        loss: Array,
        delta: float,
    ) -> Mapping[str, NDArray[np.bool_]]:
        minima = np.array([one.code for one in self._all() if one.kind == "global minimum"], dtype=np.uint64)
        minimum = verdict == Verdict.minimum
        return {
            "a minimum of no global minimum's set": minimum & ~(known & np.isin(code, minima)),
            "a minimum whose loss is not below the level": minimum & ~(loss < self.level(delta)),
            "a saddle, of which none is claimed": verdict == Verdict.saddle,
        }


class LandscapeDefaults(ABC):
    """A landscape that is a frozen dataclass: its fields are the keys of [landscape] and its numbers in the manifest.

    A subclass states `n`, `rest`, `critical`, `loss_and_gradient` and `hessian`.
    """

    n: int

    @property
    @abstractmethod
    def rest(self) -> RestScale: ...

    @property
    @abstractmethod
    def critical(self) -> CriticalSets: ...

    @abstractmethod
    def loss_and_gradient(self, W: ArrayLike) -> tuple[Array, Array]: ...

    @abstractmethod
    def hessian(self, W: ArrayLike) -> Array: ...

    @property
    def kind(self) -> str:
        return type(self).__name__

    @property
    def digest(self) -> str:
        said = json.dumps([self.kind, self.to_dict()], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(said.encode()).hexdigest()

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        return ((1, self.n),)

    @property
    def parameters(self) -> Array:
        return np.empty(0)

    @property
    def size_text(self) -> str:
        return f"{self.kind}, n = {self.n}"

    def gradient_code(self) -> GradientCode | None:
        return None

    def reduce(self) -> Reduction | None:
        return None

    def enclosure(self) -> MatrixChain | None:
        return None

    def question(self) -> tuple[bool, str]:
        return True, ""

    def case_columns(self) -> dict[str, Any]:
        return self.to_dict()

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in field_types(type(self))}

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> Self:
        return cls(**numbers)

    @classmethod
    def from_table(cls, values: Mapping[str, Any]) -> Self:
        """The landscape of these keys. Raises as `dataclass_tables.from_table` does."""
        return from_table(cls, values)

"""The contract of a landscape: what is descended. It knows no dynamics, no law, no store.

A landscape is a loss L on R^n with what is known of it. Everything outside landscapes/ reaches it through the members
listed here and in the protocols below, so a new landscape is one file.
tests/landscapes/test_landscape_contract.py holds every landscape to this page.

1. L >= 0 is twice differentiable, and the gradient flow dW/dt = -grad L exists for all time.
2. `loss_and_gradient` and `hessian` are plain NumPy, readable beside the formula, for one state or a batch.
3. `gradient_code` states the same gradient as vector code (`GradientCode`), or is None: then only the scipy integrator
   can integrate it. Both are tested to agree to rounding.
4. `rest` says what size a gradient has when nothing is special about the state (`RestScale`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.codegen.llvm_ir import Function, Pointer
from basins.errors import ArgumentError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RestScale:
    """The size of a typical gradient: sqrt(2 L) scale (||W|| / sqrt(degree + 1))^degree.

    degree: the power of the weights in the gradient beside the residual, H for a network of H hidden layers; scale: the
    norm of its constant factors.
    """

    degree: int
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class MatrixChain:
    """A landscape as a proof of labels needs it (proof/): L = 1/2 ||T - W_m ... W_1 G||_F^2 of a chain of matrices.

    For this family of fields proof/ has the Taylor model, the bound on the logarithmic norm and the test that a state
    is below the level. widths (d_0, ..., d_m); target T (d_m, d_0); gram_root G (d_0, d_0), None for the identity;
    gram_norm: ||G||_2, about; sigma: the singular values of T, falling: every limit of a residual below the least is a
    global minimum, which proof/ shows of the stored numbers.
    """

    widths: tuple[int, ...]
    target: Array
    gram_root: Array | None
    gram_norm: float
    sigma: Array

    @property
    def layers(self) -> int:
        """m."""
        return len(self.widths) - 1

    @property
    def sigma_min(self) -> float:
        return float(self.sigma[-1])


class GradientCode(Protocol):
    """The gradient as vector code, for `lanes` trajectories side by side. Hashable: it is compiled once for each value.

    n: size of a state; parameters: how many numbers the code shares between lanes, those of `Landscape.parameters`;
    scratch: vectors that one evaluation needs; residuals: the number of vectors r_i at the start of the scratch, after
    an evaluation, with L = 1/2 sum r_i^2, or None where the loss is no sum of squares: then rows on plateaus stay with
    DOP853, because RKC reads the loss from the residuals.
    """

    @property
    def n(self) -> int: ...

    @property
    def parameters(self) -> int: ...

    @property
    def scratch(self) -> int: ...

    @property
    def residuals(self) -> int | None: ...

    def emit(self, lanes: int) -> Function:
        """The function velocity(W, slope, scratch, shared): slope = -grad L at W.

        shared: two numbers that belong to the integrator, then the landscape's parameters.
        """
        ...

    def emit_loss(self, f: Function, scratch: Pointer) -> str:
        """The loss, from what `velocity` has left in its scratch."""
        ...

    def __hash__(self) -> int: ...


class Landscape(Protocol):
    """A loss and what is known of it.

    kind: its name in manifests; digest: SHA-256 of what it is made of, which names it in case keys and random streams;
    n: size of a state; layers: the shapes (rows, columns) that a state is made of, one after the other, for laws that
    scale with them; parameters: the numbers that the generated code shares between lanes; size_text: how large it is,
    in a few words, for notes to the user; critical: its critical sets.
    """

    @property
    def kind(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def layers(self) -> tuple[tuple[int, int], ...]: ...

    @property
    def critical(self) -> CriticalSets: ...

    @property
    def n(self) -> int: ...

    @property
    def parameters(self) -> Array: ...

    @property
    def rest(self) -> RestScale: ...

    @property
    def size_text(self) -> str: ...

    def gradient_code(self) -> GradientCode | None: ...

    def reduce(self) -> Reduction | None:
        """Smaller coordinates where they are exact and pay; None without."""
        ...

    def enclosure(self) -> MatrixChain | None:
        """The numbers that a proof of its labels needs; None for a landscape whose labels cannot be proved."""
        ...

    def question(self) -> tuple[bool, str]:
        """Whether a run can tell something about its saddles that is not proved yet, and why, as a sentence; True and
        "" where nothing is known beforehand."""
        ...

    def case_columns(self) -> dict[str, Any]:
        """What a table of cases says of it: name -> a text, a number or a list of numbers."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Its numbers for a manifest, exact through JSON; the class reads them back with `from_dict`."""
        ...

    def loss_and_gradient(self, W: ArrayLike) -> tuple[Array, Array]:
        """L, shape () or (N,), and its gradient, shape of W, of a state (n,) or a batch (N, n)."""
        ...

    def hessian(self, W: ArrayLike) -> Array:
        """The Hessian of L, (n, n) or (N, n, n), symmetric to rounding."""
        ...


# --- critical sets --------------------------------------------------------------------------------------------------

CODE_BITS = 64
"""Bits of a critical set's code in a row."""

Codes = NDArray[np.uint64]
"""Codes of critical sets: opaque to all but their landscape, which may use several bits a mode (`codes.CodeLayout`)."""

NEAR = 0.1
"""A visit passes a saddle where its scale-free distance is at most this."""

NONE = -1
"""Code of a verdict, certificate or reason that a row does not have, and of a rank that is not known."""


class Verdict(IntEnum):
    """Where a trajectory goes: codes into `Vocabulary.verdicts`. A landscape may add to these, after them."""

    minimum = 0
    saddle = 1
    censored = 2


@dataclass(frozen=True)
class Vocabulary:
    """The words of a landscape's rows; a code is a position.

    verdicts: minimum, saddle, censored, and what the landscape adds; certificates: what a verdict may rest on,
    "outlasted" among them where saddles can be waited for; set_column: the column that names the critical set.
    """

    verdicts: tuple[str, ...]
    certificates: tuple[str, ...]
    set_column: str = "set"


PLAIN = Vocabulary(tuple(verdict.name for verdict in Verdict), ())
"""The words that every landscape has."""


@dataclass(frozen=True)
class CriticalSet:
    """One critical set: code (0 to 2^64 - 1), name, value of the loss on it, rank (0 where the word means nothing, at
    most 255), kind: "global minimum", "local minimum", "strict saddle", "non-strict saddle" or "saddle" where that is
    not known; index: from 1 by falling value, None where the sets are too many to be put in order.

    Raises ArgumentError for a code or a rank that a row cannot keep.
    """

    code: int
    name: str
    value: float
    rank: int
    kind: str
    index: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.code < 1 << CODE_BITS:
            raise ArgumentError(f"code {self.code}", where=self.name, remedy=f"a row keeps {CODE_BITS} bits of it")
        if not 0 <= self.rank < 256:
            raise ArgumentError(f"rank {self.rank}", where=self.name, remedy="a row keeps ranks from 0 to 255")


@dataclass(frozen=True)
class Evaluation:
    """N states, evaluated with the same bits on any CPU.

    loss (N,); loss_at_most (N,): its upper end, rounding counted; gradient_norm (N,); code (N,), rank (N,): of the
    nearest critical set; details: what else the landscape's `decide` asks of them.
    """

    loss: Array
    loss_at_most: Array
    gradient_norm: Array
    code: Codes
    rank: NDArray[np.int64]
    details: Any = None


@dataclass(frozen=True)
class Decided:
    """What is proved of N rows: verdict (N,), NONE where nothing is; certificate (N,), margin (N,) of it, nan without;
    code (N,) and rank (N,) of the limit's critical set, 0 and NONE without."""

    verdict: NDArray[np.int8]
    certificate: NDArray[np.int8]
    margin: Array
    code: Codes
    rank: NDArray[np.int16]

    @classmethod
    def nothing(cls, N: int) -> Decided:
        """Nothing is proved of any row, yet: `say` adds to it."""
        return cls(
            np.full(N, NONE, dtype=np.int8), np.full(N, NONE, dtype=np.int8), np.full(N, np.nan),
            np.zeros(N, dtype=np.uint64), np.full(N, NONE, dtype=np.int16),
        )  # fmt: skip

    def say(self, rows: Any, verdict: int, certificate: int, margin: Any, code: Any, rank: Any) -> None:
        """These rows end on this critical set, and by what that is known."""
        self.verdict[rows], self.certificate[rows], self.margin[rows] = verdict, certificate, margin
        self.code[rows], self.rank[rows] = code, rank


class Settling(Protocol):
    """A state at rest beside a saddle.

    code, rank: of the saddle's set; distance: from it over the trajectory's size; settled: the distance is rounding;
    rests: nothing is read that would carry the state away; hyperbolic: the set is normally hyperbolic there, so that it
    can be waited beside; slowest_out, fastest_out, slowest_in, fastest: rates, in units of 1 / time; evidence: what the
    row of an outlasted saddle keeps besides, by the names of `CriticalSets.evidence`.
    """

    @property
    def code(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def distance(self) -> float: ...
    @property
    def settled(self) -> bool: ...
    @property
    def rests(self) -> bool: ...
    @property
    def hyperbolic(self) -> bool: ...
    @property
    def slowest_out(self) -> float: ...
    @property
    def fastest_out(self) -> float: ...
    @property
    def slowest_in(self) -> float: ...
    @property
    def fastest(self) -> float: ...
    @property
    def evidence(self) -> Mapping[str, float]: ...


class Motion(Protocol):
    """What a landscape reads of a dynamics (dynamics/base.py), to say what a state proves under it."""

    @property
    def continuous(self) -> bool: ...
    @property
    def conserves(self) -> bool: ...
    @property
    def potential(self) -> str | None: ...
    @property
    def descent_rate(self) -> float | None: ...


class CriticalSets(Protocol):
    """What is known of where trajectories end. Arrays have a row a state; starts and states are (N, n).

    evidence: names of numbers that a row keeps of an outlasted saddle.
    """

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def evidence(self) -> tuple[str, ...]: ...

    @property
    def fingerprint(self) -> Hashable:
        """Equal for landscapes with the same sets, of the same values: their counts can be added."""
        ...

    @property
    def code_bits(self) -> int:
        """Bits that the largest code needs. More than 64 do not fit a row, and the landscape is refused."""
        ...

    @property
    def global_minimum(self) -> int | None:
        """The code of the global minimum, None where it has several components with codes of their own."""
        ...

    @property
    def typical_size(self) -> float:
        """||W|| of a state far from every saddle, to within a small factor."""
        ...

    def describe(self, code: int) -> CriticalSet:
        """The set of a code."""
        ...

    def listed(self) -> Sequence[CriticalSet] | None:
        """Every set by falling value, None where they are too many to be listed."""
        ...

    def count(self) -> int:
        """How many there are: joint intervals are divided between them."""
        ...

    def levels(self, starts: Array, delta: float) -> Array:
        """The loss below which a row may stop, (N,): -inf where it must not. delta: the relative margin. It leaves room
        for one more delta above it, so that the verdict of a stopped row cannot differ by rounding."""
        ...

    def at_start(self, starts: Array) -> Decided:
        """What is proved at t = 0 without the loss level; asked only with the setting `at_start`."""
        ...

    def evaluate(self, W: Array) -> Evaluation:
        """The states as rows tell of them."""
        ...

    def loss(self, W: Array) -> Array:
        """The loss alone, (N,), with the bytes of `evaluate`."""
        ...

    def decide(self, starts: Array, at_start: Decided, W: Array, there: Evaluation, delta: float) -> Decided:
        """What is proved of rows that began at `starts` and stopped at W: minima and invariant saddles."""
        ...

    def certificates(self, dynamics: Motion) -> tuple[str, ...]:
        """The words of `vocabulary.certificates` that can hold under this dynamics; none where nothing is proved of it,
        and an experiment with it is refused. A potential is what a loss level rests on; a discrete dynamics has none,
        because a step that is too long raises the loss."""
        ...

    def certify_state(self, starts: Array, W: Array, there: Evaluation, dynamics: Motion, delta: float) -> Decided:
        """What a state proves of where a discrete dynamics goes from it: for rows that began at `starts` and are at W,
        `there` its evaluation. It is asked below the level of `levels`, at times that grow geometrically, and where a
        row has come to rest; delta: the relative margin."""
        ...

    def drift(self, before: Array, after: Array, t: Array) -> Array:
        """The largest relative error of what the flow conserves, (N,), of states `after` that began at `before` and
        moved for the times t (N,): what is conserved may be known as a function of t. nan where nothing is."""
        ...

    def settle(self, W: Array, size: float) -> Settling | None:
        """The saddle beside W (n,), None where there is none; size: ||W|| at the trajectory's start."""
        ...

    def normally_hyperbolic(self, W: Array) -> bool:
        """Whether the critical point at W (n,) is a strict saddle whose Hessian's nullity is its set's dimension."""
        ...

    def stays(self, start: Array, code: int, until: float, fastest: float) -> bool:
        """Whether the trajectory from `start` (n,) is still at the set of this code at time `until`, integrated in many
        more digits than a double has: in double precision ties that rounding makes, and components that underflow,
        never leave. fastest: the largest rate there, in units of 1 / time."""
        ...

    def visit_distance(self, codes: Codes, loss: Array, gradient_norm: Array) -> Array:
        """How near visits (M,) are to the sets of these codes, scale-free; nan where that is not known. A visit passes
        its saddle where this is at most NEAR."""
        ...

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
        """What is wrong -> which rows (N,), of rows whose columns cannot belong together; known: whether a row names a
        set. For `basins verify`, which says "id 7 is ..."."""
        ...


class Reduction(Protocol):
    """Exact smaller coordinates: the dynamics of the compressed start is the compressed dynamics."""

    @property
    def landscape(self) -> Landscape: ...

    def compress(self, starts: Array) -> Array: ...

    def expand(self, states: Array, starts: Array) -> Array:
        """The states (N, n) whose compressed states these are, of trajectories from `starts`."""
        ...

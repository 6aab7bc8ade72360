"""The problem: widths, singular values of the target, and which flow. Loss, gradient, Hessian and invariants of states
are its methods.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import floats
from basins.errors import ArgumentError, AssumptionWarning
from basins.landscapes.base import CriticalSets, MatrixChain, Reduction, RestScale
from basins.landscapes.deep_linear import gradient as gradient_flow
from basins.landscapes.deep_linear.gradient_code import DeepLinearCode
from basins.landscapes.deep_linear.problem_checks import (
    Flow,
    check_flow,
    check_gram,
    check_spectrum,
    check_widths,
    given_spectrum,
)
from basins.landscapes.deep_linear.problem_table import ProblemTable
from basins.landscapes.deep_linear.reduction import Reduction as Reduced
from basins.landscapes.deep_linear.reduction import reduce
from basins.landscapes.deep_linear.samples import Samples
from basins.landscapes.deep_linear.strata import Strata

Array = NDArray[np.float64]


PARTS: dict[str, Callable[..., Any]] = {}
"""Name -> function of a problem: critical sets, reduction, and what the shape proves. They import this file, so
`__init__.py` of this folder registers them here."""


@dataclass(frozen=True)
class Assumption:
    """One of the paper's assumptions on a problem: its number, what it says, whether it holds (None: not checked), and
    the numbers that show it."""

    number: int
    statement: str
    holds: bool | None
    evidence: str


@dataclass(frozen=True, eq=False)
class Problem(ProblemTable):
    """A deep linear network and its target.

    widths: (d_x, d_1, ..., d_H, d_y); sigma: (d_y,) falling; flow: "reduced" (the paper's GDD: target Sigma_Y) or "raw"
    (target Ybar, Gram root U_X S_X); target: T (d_y, d_x); gram_root: G (d_x, d_x) or None for the identity; U_Y, V_Y:
    Ybar's singular vectors, None in the reduced flow, where the coordinates are already aligned; gram_norm: ||G||, 1
    there; samples: the data, None where it was made of a spectrum or read from a manifest.

    Use `Problem.from_data` or `Problem.from_spectrum`. A state is one flat float64 vector of size `n`: W_1, ...,
    W_{H+1} one after the other, each row-major; a batch of states is (N, n). Methods take either.
    """

    widths: tuple[int, ...]
    sigma: Array
    flow: Flow
    target: Array
    gram_root: Array | None
    U_Y: Array | None
    V_Y: Array | None
    digest: str
    notes: tuple[str, ...] = ()
    condition: float | None = None
    least_squares_loss: float | None = None
    gram_norm: float = 1.0
    samples: Samples | None = None
    shapes: tuple[tuple[int, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        d = self.widths
        object.__setattr__(self, "shapes", tuple((d[j + 1], d[j]) for j in range(len(d) - 1)))

    # --- making one ---------------------------------------------------------------------------------------------

    @classmethod
    def from_data(
        cls,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        hidden: Sequence[int],
        flow: Flow = "reduced",
        standardise: bool = False,
        intercept: bool = False,
    ) -> Problem:
        """The problem of fitting Y (n_samples, d_y) from X (n_samples, d_x), in scikit-learn's orientation.

        X, Y: anything that holds plain real numbers (arrays.py). hidden: (d_1, ..., d_H). A rank-deficient X is reduced
        (Remark 1). `notes` says so, and how many digits rounding costs.

        Raises ArgumentError for hidden, flow and options without meaning, DataError for data that are none, and
        AssumptionError where Assumption 1, 2 or 3 fails. Warns AssumptionWarning for tied subset sums (Assumption 4).
        """
        problem = cls.of_reduction(reduce(X, Y, standardise=standardise, intercept=intercept), hidden, flow)
        problem.warn_tied_sums()
        return problem

    @classmethod
    def of_reduction(cls, reduction: Reduced, hidden: Sequence[int], flow: Flow) -> Problem:
        """The problem of data that are reduced already (reduction.py)."""
        d_y, d_x = reduction.target.shape
        widths = check_widths(d_x, hidden, d_y)
        check_spectrum(reduction.sigma, "Ybar")
        raw = check_flow(flow) == "raw"
        if raw:
            check_gram(reduction.gram_norm, reduction.condition)
        return cls(
            widths=widths,
            sigma=reduction.sigma,
            flow=flow,
            target=reduction.target if raw else _sigma_matrix(reduction.sigma, d_x),
            gram_root=reduction.gram_root if raw else None,
            U_Y=reduction.U_Y if raw else None,
            V_Y=reduction.V_Y if raw else None,
            digest=digest_of(flow, widths, reduction.digest),
            notes=reduction.notes,
            condition=reduction.condition,
            least_squares_loss=reduction.least_squares_loss,
            gram_norm=reduction.gram_norm if raw else 1.0,
            samples=reduction.samples,
        )

    @classmethod
    def from_spectrum(cls, sigma: ArrayLike, *, d_x: int, hidden: Sequence[int]) -> Problem:
        """The reduced problem with target [diag(sigma) 0], sigma (d_y,) positive and strictly falling, d_x >= d_y.

        Raises ArgumentError and AssumptionError (1, 3); warns AssumptionWarning for tied subset sums.
        """
        values = given_spectrum(sigma)
        widths = check_widths(d_x, hidden, len(values))
        spectrum = hashlib.sha256(values.tobytes()).hexdigest()
        problem = cls(
            widths=widths,
            sigma=values,
            flow="reduced",
            target=_sigma_matrix(values, d_x),
            gram_root=None,
            U_Y=None,
            V_Y=None,
            digest=digest_of("reduced", widths, spectrum),
        )
        problem.warn_tied_sums()
        return problem

    def to_dict(self) -> dict[str, Any]:
        """The problem's numbers for a manifest, exact: Python's float repr survives JSON unchanged."""
        numbers: dict[str, Any] = {
            "widths": list(self.widths),
            "sigma": self.sigma.tolist(),
            "flow": self.flow,
            "digest": self.digest,
            "notes": list(self.notes),
            "condition": self.condition,
            "least_squares_loss": self.least_squares_loss,
            "gram_norm": self.gram_norm,
        }
        if self.flow == "raw":
            for name in ("target", "gram_root", "U_Y", "V_Y"):
                numbers[name] = getattr(self, name).tolist()
        return numbers

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> Problem:
        """The problem that `to_dict` wrote. No matrix is decomposed again."""
        raw = numbers["flow"] == "raw"
        sigma = np.array(numbers["sigma"])

        def matrix(name: str) -> Array | None:
            return np.array(numbers[name]) if raw else None

        target = matrix("target")
        return cls(
            widths=tuple(numbers["widths"]),
            sigma=sigma,
            flow=numbers["flow"],
            target=_sigma_matrix(sigma, numbers["widths"][0]) if target is None else target,
            gram_root=matrix("gram_root"),
            U_Y=matrix("U_Y"),
            V_Y=matrix("V_Y"),
            digest=numbers["digest"],
            notes=tuple(numbers["notes"]),
            condition=numbers["condition"],
            least_squares_loss=numbers["least_squares_loss"],
            gram_norm=numbers["gram_norm"],
        )

    # --- sizes --------------------------------------------------------------------------------------------------

    @property
    def d_x(self) -> int:
        return self.widths[0]

    @property
    def d_y(self) -> int:
        return self.widths[-1]

    @property
    def hidden(self) -> tuple[int, ...]:
        return self.widths[1:-1]

    @property
    def H(self) -> int:
        """Number of hidden layers."""
        return len(self.widths) - 2

    @cached_property
    def n(self) -> int:
        """Size of a state: sum of d_j d_{j-1}."""
        return sum(rows * columns for rows, columns in self.shapes)

    def __repr__(self) -> str:
        sigma = ", ".join(f"{s:.6g}" for s in self.sigma[:6]) + (", ..." if self.d_y > 6 else "")
        return f"Problem(widths={self.widths}, flow={self.flow!r}, sigma=[{sigma}])"

    # --- the contract of a landscape (landscapes/base.py) ----------------------------------------------------------

    kind: ClassVar[str] = "deep_linear"

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """The shapes of W_1, ..., W_{H+1}."""
        return self.shapes

    @cached_property
    def critical(self) -> CriticalSets:
        """The critical strata behind the contract of a landscape."""
        found: CriticalSets = PARTS["critical"](self)
        return found

    def question(self) -> tuple[bool, str]:
        """Whether this shape can test the conjecture (certificates/shape.py)."""
        shape = PARTS["shape"](self.widths)
        return shape.can_test, shape.sentence

    def enclosure(self) -> MatrixChain:
        """Its numbers for a proof of labels (proof/)."""
        return MatrixChain(self.widths, self.target, self.gram_root, self.gram_norm, self.sigma)

    def reduce(self) -> Reduction | None:
        """The compression (compression/), or None where none pays."""
        found: Reduction | None = PARTS["reduction"](self)
        return found

    def case_columns(self) -> dict[str, Any]:
        """The columns that a table of cases has of it."""
        return {"flow": self.flow, "widths": list(self.widths), "sigma": self.sigma.tolist()}

    @property
    def size_text(self) -> str:
        """Its size, in a few words."""
        return f"widths {self.widths}"

    @cached_property
    def rest(self) -> RestScale:
        """The gradient's factors: E, G^T and H layers."""
        return RestScale(self.H, self.gram_norm)

    @cached_property
    def parameters(self) -> Array:
        """What the generated code shares between lanes: the target, then the Gram root."""
        root = () if self.gram_root is None else self.gram_root.ravel()
        return np.concatenate([self.target.ravel(), root])

    def gradient_code(self) -> DeepLinearCode:
        """The gradient as vector code."""
        return DeepLinearCode(self.widths, raw=self.gram_root is not None)

    # --- states -------------------------------------------------------------------------------------------------

    def unpack(self, W: ArrayLike) -> tuple[Array, ...]:
        """Layers (W_1, ..., W_{H+1}), each (..., d_j, d_{j-1}), as views of a state (n,) or a batch (N, n)."""
        state = self.state(W)
        return self._split(state)

    def _split(self, state: Array) -> tuple[Array, ...]:
        layers, at = [], 0
        for rows, columns in self.shapes:
            layers.append(state[..., at : at + rows * columns].reshape(*state.shape[:-1], rows, columns))
            at += rows * columns
        return tuple(layers)

    def pack(self, layers: Sequence[ArrayLike]) -> Array:
        """The flat state (..., n) of layers (W_1, ..., W_{H+1}). Raises ArgumentError for a layer of another shape."""
        arrays = [floats(W_j, f"pack, layer {j}", remedy="give float64 layers") for j, W_j in enumerate(layers, 1)]
        shapes = tuple(W_j.shape[-2:] for W_j in arrays)
        if shapes != self.shapes:
            raise ArgumentError(f"layers of shapes {shapes}", where="pack", remedy=f"this problem has {self.shapes}")
        return np.concatenate([W_j.reshape(*W_j.shape[:-2], -1) for W_j in arrays], axis=-1)

    def state(self, W: ArrayLike) -> Array:
        """W as float64 of shape (n,) or (N, n). Raises ArgumentError for another shape, and for values that are no
        numbers."""
        state = floats(W, "W", remedy="give a float64 state")
        if state.ndim not in (1, 2) or state.shape[-1] != self.n:
            raise ArgumentError(
                f"a state of shape {state.shape}", where="W", remedy=f"this problem's is ({self.n},) or (N, {self.n})"
            )
        return state

    # --- the flow, of one state (n,) or a batch (N, n) ------------------------------------------------------------

    def loss(self, W: ArrayLike) -> Array:
        """The effective loss L (eq. (3)), shape () or (N,)."""
        return gradient_flow.loss(self.target, self.gram_root, self.unpack(W))

    def gradient(self, W: ArrayLike) -> Array:
        """The gradient of L, shape of W; the flow is dW/dt = -gradient (eq. (6))."""
        return self.loss_and_gradient(W)[1]

    def loss_and_gradient(self, W: ArrayLike) -> tuple[Array, Array]:
        """L, shape () or (N,), and its gradient, shape of W, for the cost of the gradient alone."""
        L, layers = gradient_flow.loss_and_gradient(self.target, self.gram_root, self.unpack(W))
        return L, np.concatenate([g.reshape(*g.shape[:-2], -1) for g in layers], axis=-1)

    def invariants(self, W: ArrayLike) -> list[Array]:
        """[C_1, ..., C_H], each (..., d_j, d_j), constant along the flow (Lemma 2.3)."""
        return gradient_flow.invariants(self.unpack(W))

    def hessian(self, W: ArrayLike) -> Array:
        """The Hessian of L, (n, n) or (N, n, n), symmetric to rounding."""
        state = self.state(W)
        if state.ndim == 2:
            return np.array([self.hessian(one) for one in state]).reshape(len(state), self.n, self.n)
        directions = self._split(np.eye(self.n))
        layers = gradient_flow.hessian_product(self.target, self.gram_root, self._split(state), directions)
        matrix = np.concatenate([g.reshape(self.n, -1) for g in layers], axis=-1)
        symmetric: Array = 0.5 * (matrix + matrix.T)
        return symmetric

    def hessian_product(self, W: ArrayLike, w: ArrayLike) -> Array:
        """The Hessian at W (n,) applied to w, (n,) or (k, n); shape of w."""
        layers = gradient_flow.hessian_product(self.target, self.gram_root, self.unpack(W), self.unpack(w))
        return np.concatenate([g.reshape(*g.shape[:-2], -1) for g in layers], axis=-1)

    def fitted(self, W: ArrayLike) -> Array:
        """Diagonal of D_W = S_Y^{-1} R W_{1,1} (Lemma 3.2), shape (..., d_y): 1 for a fitted mode, 0 for one that is
        not.

        Meaningful at a critical point, where D_W is diagonal with zeros and ones even if subset sums tie.
        """
        P = gradient_flow.network(self.unpack(W))
        if self.flow == "raw":
            assert self.gram_root is not None and self.U_Y is not None and self.V_Y is not None
            P = self.U_Y.T @ P @ self.gram_root @ self.V_Y
        diagonal: Array = np.diagonal(P, axis1=-2, axis2=-1)
        return diagonal / self.sigma

    # --- what is known before any integration ---------------------------------------------------------------------

    @property
    def sigma_min(self) -> float:
        return float(self.sigma[-1])

    @property
    def gram_floor(self) -> float:
        """lam_min(X X^T) in the raw flow, 1 in the reduced one: the factor on certificate rates (theory.md 1.1)."""
        return 1.0 if self.gram_root is None or self.condition is None else (self.gram_norm / self.condition) ** 2

    @cached_property
    def _strata(self) -> Strata:
        return Strata(self.sigma, self.widths)

    def strata(self) -> Strata:
        """The critical strata I(1), I(2), ... by falling loss; see basins.landscapes.deep_linear.strata.Strata."""
        return self._strata

    def assumptions(self) -> tuple[Assumption, ...]:
        """The paper's four assumptions: whether each holds here, and the numbers that show it."""
        gap = f"smallest gap {np.min(-np.diff(self.sigma)):.4g}" if self.d_y > 1 else "only one"
        condition = "spectrum given" if self.condition is None else f"cond(X) = {self.condition:.4g}"
        ties = self._strata.tied_values() if self._strata.listable else None
        if ties is None:
            tied = "2^d_y subset sums are too many to compare"
        elif ties:
            tied = f"tied: {' and '.join(str(set(S) or '{}') for S in ties[0])}; the conjecture does not need it"
        else:
            tied = "no two subset sums of sigma^2 are equal to rounding"
        return (
            Assumption(1, "d_x >= d_y and every hidden width >= d_y", True, f"widths {self.widths}"),
            Assumption(2, "X and Ybar of full row rank", True, f"sigma_min = {self.sigma_min:.4g}, {condition}"),
            Assumption(3, "distinct singular values of Ybar", True, gap),
            Assumption(4, "distinct critical values", None if ties is None else not ties, tied),
        )

    def warn_tied_sums(self) -> None:
        """Warn AssumptionWarning where subset sums tie (Assumption 4), at the caller's caller."""
        fourth = self.assumptions()[3]
        if fourth.holds is False:
            warnings.warn(f"Assumption 4 fails: {fourth.evidence}", AssumptionWarning, stacklevel=3)


def the_problem(value: Any) -> Problem:
    """`value`, which is to be a Problem. Raises ArgumentError for anything else."""
    if not isinstance(value, Problem):
        what = f"{type(value).__name__} is no problem"
        raise ArgumentError(
            what, where="problem", remedy="give a basins.Problem, as of Problem.from_data(X, Y, hidden=...)"
        )
    return value


def _sigma_matrix(sigma: Array, d_x: int) -> Array:
    """Sigma_Y = [diag(sigma) 0], shape (d_y, d_x)."""
    try:
        matrix = np.zeros((len(sigma), d_x))
    except MemoryError:
        what = f"a target of {len(sigma)} x {d_x} numbers does not fit in this machine's memory"
        raise ArgumentError(what, where="d_x", remedy="give smaller widths") from None
    np.fill_diagonal(matrix, sigma)
    return matrix


def digest_of(flow: str, widths: tuple[int, ...], source: str) -> str:
    """SHA-256 of what the problem was made from. An SVD's numbers may differ in the last bit between CPUs, so they do
    not enter."""
    return hashlib.sha256(f"{flow} {widths} {source}".encode()).hexdigest()

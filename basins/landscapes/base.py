"""The contract of a landscape: what is descended. It knows no dynamics, no law, no store.

A landscape is a loss L on R^n with what is known of it. Everything outside landscapes/ reaches it through the members
listed here and in the protocols below, so a new landscape is one file. tests/landscapes/test_contract.py holds every
landscape to this page.

1. L >= 0 is twice differentiable, and the gradient flow dW/dt = -grad L exists for all time.
2. `loss_and_gradient` and `hessian` are plain NumPy, readable beside the formula, for one state or a batch.
3. `gradient_code` states the same gradient as vector code (`GradientCode`), or is None: then only the scipy integrator
   can integrate it. Both are tested to agree to rounding.
4. `rest` says what size a gradient has when nothing is special about the state (`RestScale`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.codegen.llvm_ir import Function, Pointer

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RestScale:
    """The size of a typical gradient: sqrt(2 L) scale (||W|| / sqrt(degree + 1))^degree.

    degree: the power of the weights in the gradient beside the residual, H for a network of H hidden layers; scale: the
    norm of its constant factors.
    """

    degree: int
    scale: float = 1.0


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
    """What integrators need of a landscape.

    n: size of a state; parameters: the numbers that the generated code shares between lanes; size_text: how large it
    is, in a few words, for notes to the user.
    """

    @property
    def n(self) -> int: ...

    @property
    def parameters(self) -> Array: ...

    @property
    def rest(self) -> RestScale: ...

    @property
    def size_text(self) -> str: ...

    def gradient_code(self) -> GradientCode | None: ...

    def loss_and_gradient(self, W: ArrayLike) -> tuple[Array, Array]:
        """L, shape () or (N,), and its gradient, shape of W, of a state (n,) or a batch (N, n)."""
        ...

    def hessian(self, W: ArrayLike) -> Array:
        """The Hessian of L, (n, n) or (N, n, n), symmetric to rounding."""
        ...

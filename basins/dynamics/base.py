"""The contract of a dynamics: how a state moves down a landscape. It knows no law, no store, and no landscape by name.

The package has one dynamics, the gradient flow (gradient_flow.py), which integrators/ follow with methods of their own.
Every other dynamics is discrete: a map from one state to the next, such as gradient descent. It is one file, named in
an experiment by its import path, and tests/dynamics/test_dynamics_contract.py holds it to this page.

1. A state of the dynamics has `state_size(n)` numbers, of which the first n are the weights W. `begin` makes it from
   the initial weights; a velocity or a moment starts at zero.
2. `step` is plain NumPy, readable beside the formula. `step_code` states the same map as vector code, or is None: then
   only the reference integrator can carry it out. Both are tested to agree to rounding.
3. One step takes one evaluation of the gradient. Time counts steps.
4. No state depends on another one, on a clock or on a random number: the same start gives the same bytes.
5. What a state proves is not for the dynamics to say. A landscape is asked for it
   (`landscapes.base.CriticalSets.certificates` and `certify_state`), and reads `descent_rate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.codegen.llvm_ir import Function
from basins.landscapes.base import GradientCode, Landscape, Motion

Array = NDArray[np.float64]

STEP = "step"
"""The method of an engine that carries out a discrete dynamics: the dynamics' own step."""


class StepCode(Protocol):
    """One step as vector code, for `lanes` trajectories side by side. Hashable: it is compiled once for each value."""

    def emit(self, code: GradientCode, lanes: int, velocity: Function) -> Function:
        """The function step(old, slope, new, new_slope, h, scratch, shared, out).

        old, new: the states before and after, state_size(n) vectors each; slope, new_slope: -grad L at their weights, n
        vectors each (`velocity` writes -grad L of the weights that it is given); h: 1 in a lane that has a trajectory,
        0 in one that has none; scratch: `code.scratch` vectors; shared: two numbers that are not used, then the
        landscape's parameters; out: L, ||grad L|| and ||W|| after the step, which
        `basins.integrators.simd.fixed_step.emit_norms` writes. `old` and `slope` are not written.
        """
        ...

    def __hash__(self) -> int: ...


class Dynamics(Motion, Protocol):
    """How a state moves.

    kind: its name; text: what it is, in a few words, with its parameters; time: what its time counts, for the axis of a
    figure.
    continuous: the gradient flow, which integrators approximate; otherwise a map, which they carry out.
    conserves: the differences C_j of a deep linear network are constant along it, and so the arguments that hold at
    t = 0 because of them.
    potential: "loss" where L falls along every trajectory, whatever the state, so that a loss level proves the limit;
    None where that is not so (a step that is too long raises L).
    descent_rate: eta where the map is W - eta grad L, None otherwise: what a landscape's proof for gradient descent
    needs.
    equivariant: it commutes with orthogonal changes of coordinates, so that states may be compressed.
    recheck: "" where a label can be checked by an integration at tighter tolerances; otherwise why it cannot.
    """

    @property
    def kind(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def time(self) -> str: ...

    @property
    def equivariant(self) -> bool: ...

    @property
    def recheck(self) -> str: ...

    def state_size(self, n: int) -> int:
        """How many numbers a state of the dynamics has, for weights of n numbers."""
        ...

    def begin(self, W: Array) -> Array:
        """The states (N, state_size(n)) of initial weights W (N, n)."""
        ...

    def step(self, landscape: Landscape, state: ArrayLike) -> Array:
        """The state after one step, shape of `state`: (state_size(n),) or (N, state_size(n))."""
        ...

    def step_code(self) -> StepCode | None:
        """The same step as vector code."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Its parameters, as they are spelt in [dynamics] without `kind`, exact through JSON and TOML."""
        ...


class DynamicsClass(Protocol):
    """What the class of a dynamics provides besides `Dynamics`, so that it can be named in an experiment."""

    def from_table(self, values: Mapping[str, Any]) -> Dynamics:
        """The dynamics of the keys of [dynamics], without `kind`; what `to_dict` wrote is read back so too. Raises
        ArgumentError for values without meaning, its `where` the key."""
        ...

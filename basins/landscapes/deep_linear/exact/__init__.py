"""Exactly solvable cases of the reduced flow (theory.md 6), for tests, benchmarks and notebooks.

    scalar_chain(problem, W0, t)       all widths 1, any depth (6.1); scalar_chain_time: when its product is p
    blow_up_time(sigma, v)             how long a chain takes to leave 0 (6.2)
    balanced(problem, s0, t)           balanced layers aligned with the target (6.3)
    width_chain(problem, W0, t)        H = 1, one input, one output (6.4, 6.5)
    matrix_riccati(problem, W0, t)     H = 1 and C_1 = lambda I: the Gram matrix of a state (6.6)
    diagonal_start, tied_chain_start   starts on a stable manifold (6.8, 6.9)

Each function of t takes a problem, a start W0 in the package's flat layout, and times t >= 0. It returns the state at
those times, so that an integrator's error is `integrated - exact`: t () gives (n,), t (T,) gives (T, n). Where only a
function of the state has a closed form (`matrix_riccati`), that is returned, and its docstring says what to compare
with. Closed forms are written so that nothing overflows and nothing cancels for large t. Quadratures have a relative
tolerance of 1e-12. All raise ArgumentError in the raw flow, for a problem outside their case, for a batch of starts,
and for a time below 0 or not finite.
"""

from basins.landscapes.deep_linear.exact.aligned import balanced
from basins.landscapes.deep_linear.exact.one_hidden import diagonal_start, gram, matrix_riccati, width_chain
from basins.landscapes.deep_linear.exact.scalar import blow_up_time, scalar_chain, scalar_chain_time, tied_chain_start

__all__ = [
    "balanced",
    "blow_up_time",
    "diagonal_start",
    "gram",
    "matrix_riccati",
    "scalar_chain",
    "scalar_chain_time",
    "tied_chain_start",
    "width_chain",
]

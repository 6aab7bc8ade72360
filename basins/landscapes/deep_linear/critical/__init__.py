"""Critical points to second order: what a state is, and exact critical points of every kind.

    classify(problem, W)                    minimum, strict or non-strict saddle, undecided, or not critical
    construct(problem, S, kind, seed=...)   a random exact critical point of the kind asked for
    on_stable_manifold(problem, S, ...)     a start that flows into a saddle, or a stated distance off one
    inertia(problem, W)                     signs of the Hessian's eigenvalues
    indices(problem, S)                     H = 1: dimensions of unstable, centre and stable directions
    unstable_rates(problem, W)              H = 1: rates at which a saddle is left

ranks.py has the theory (partial products, segments), polish.py the step to the nearest critical point, kind.py the
second-order test and what it cannot decide, and settling.py the saddle beside a state at rest.
"""

from basins.landscapes.deep_linear.critical.classify import CriticalPoint, classify
from basins.landscapes.deep_linear.critical.construct import construct
from basins.landscapes.deep_linear.critical.inertia import Indices, Inertia, indices, inertia, unstable_rates
from basins.landscapes.deep_linear.critical.kind import Kind, LayerPair
from basins.landscapes.deep_linear.critical.ranks import PartialProduct, Path, Segments
from basins.landscapes.deep_linear.critical.stable_manifold import on_stable_manifold

__all__ = [
    "CriticalPoint",
    "Indices",
    "Inertia",
    "Kind",
    "LayerPair",
    "PartialProduct",
    "Path",
    "Segments",
    "classify",
    "construct",
    "indices",
    "inertia",
    "on_stable_manifold",
    "unstable_rates",
]

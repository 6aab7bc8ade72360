"""Certificates: what the invariants and the loss level prove of the limit before it is reached (theory.md 3).

    level(problem), level_margin(problem, W)   the loss level: below it every limit is a global minimum (3a)
    at_start(problem, W)                       what the invariants C_j prove at t = 0 (3b to 3e)
    certify(problem, W)                        both together: which strata no limit is on, and by which argument
    can_test(widths)                           whether runs of this shape can show something that is not proved

A certificate is a theorem about the state it is given. Rounding can only withhold one. An eigenvalue that may be zero
counts with the sign that excludes less, lower bounds are lowered by what rounding may have added, and the loss is taken
at the upper end of its rounding error.

Notation: C_j = W_{j+1}^T W_{j+1} - W_j W_j^T, lam_k the k-th LARGEST eigenvalue, n+ and n- the numbers of positive
and negative ones, e = d_x - d_y, A_j = W_{H+1}...W_{j+1}, B_j = W_{j-1}...W_1. In the raw flow W_1 is the raw one;
ranks are the same in both flows, rates are multiplied by lam_min(X X^T) (theory.md 1.1).
"""

from basins.landscapes.deep_linear.certificates.certified import ARGUMENTS, NO_ARGUMENT, Argument, Certified, certify
from basins.landscapes.deep_linear.certificates.loss_level import (
    DELTA,
    level,
    level_margin,
    level_rate,
    loss_rounding,
    reachable,
)
from basins.landscapes.deep_linear.certificates.shape import ShapeVerdict, can_test
from basins.landscapes.deep_linear.certificates.start_certificates import StartCertificates, at_start, paper_rate

__all__ = [
    "ARGUMENTS",
    "DELTA",
    "NO_ARGUMENT",
    "Argument",
    "Certified",
    "ShapeVerdict",
    "StartCertificates",
    "at_start",
    "can_test",
    "certify",
    "level",
    "level_margin",
    "level_rate",
    "loss_rounding",
    "paper_rate",
    "reachable",
]

"""Proved labels: rigorous enclosures of the exact flow, until its label is proved (docs/proofs.md).

    prove(problem, W0, radius=0.0)     which starts, or balls of starts, are proved to flow to a global minimum
    largest_ball(problem, W0)          how large a ball about each start is
    enclosures(problem, w0)            every knot of one path: what an independent check needs

A start is carried along a computed path of Taylor polynomials. What the path is off by, rounding included, is bounded;
so is how fast two flows can part (the logarithmic norm, lambda_max(-Hess L)); Gronwall makes of both the radius of a
ball about the computed state that holds the exact one. Where all of a ball lies below the loss level, the label is a
theorem about the start as stored: "label error: none".

    labels.py         the public functions, and the tiers
    carry.py          one start, step after step; carry_lanes.py: a start in each lane, to the same bits
    steps.py          one step, and what is asked at its knots; memory.py: what it works in
    taylor.py         Taylor coefficients in double precision; double_double.py: in pairs of doubles
    models.py         the algebra l1(h): tails and rounding of matrix series
    log_norm.py       the logarithmic norm by norms of blocks; cholesky.py: by Cholesky after Rump
    bounds.py         upper bounds in round-to-nearest arithmetic
    constants.py      the stored problem's own numbers; shape.py: where everything lies
"""

from basins.proof.labels import (
    CHOLESKY_N,
    NO_CODE,
    TIERS,
    UNPROVED,
    Enclosures,
    Proof,
    Unproved,
    enclosures,
    largest_ball,
    prove,
    tiers_for,
)

__all__ = [
    "CHOLESKY_N",
    "NO_CODE",
    "TIERS",
    "UNPROVED",
    "Enclosures",
    "Proof",
    "Unproved",
    "enclosures",
    "largest_ball",
    "prove",
    "tiers_for",
]

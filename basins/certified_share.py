"""The share of a law's starts that is certified at t = 0: one definition, wherever it is said (theory.md 3a to 3e).

A start is certified where the loss level or what the invariants prove, at t = 0, makes its limit a global minimum.
Three arguments do: the rate of the residual (3b), the ranks that the invariants force (3c for H = 1, 3d), and the loss
level (3a). They are counted apart, each whatever the others say, so that their counts may add up to more than the
whole. `basins describe`, `plot certified`, the report and docs/certified.md take their numbers from here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from basins.landscapes.deep_linear.certificates.certified import certify
from basins.landscapes.deep_linear.certificates.loss_level import DELTA
from basins.landscapes.deep_linear.certificates.start_certificates import paper_rate
from basins.landscapes.deep_linear.problem import Problem
from basins.laws import BLOCK, Law, starts

STARTS, LARGE, OF_LARGE = 10_000, 2_000, 1_000
"""Starts that are looked at; fewer for states of more than LARGE numbers, whose eigenvalues take long."""


@dataclass(frozen=True)
class CertifiedShare:
    """Of `starts` starts: certified, by any argument; rate (3b), rank (3c, 3d), level (3a): by each, whatever the
    others say; invariants: by rate or rank; paper: by the product of Proposition 2 alone, which the rate contains;
    testing: those that are left a rank at which a saddle without negative curvature may attract them (3a to 3e)."""

    starts: int
    certified: int
    rate: int
    rank: int
    level: int
    invariants: int
    paper: int
    testing: int

    @property
    def share(self) -> float:
        """certified / starts."""
        return self.certified / self.starts


def certified_share(
    problem: Problem, law: Law, seed: int, count: int | None = None, *, delta: float = DELTA
) -> CertifiedShare:
    """What is certified of the first `count` starts of a law, those with ids 0, 1, ...: as many as `looked_at` says
    unless given. delta: of the loss level. Costs an eigenvalue decomposition for each C_j and start."""
    count = looked_at(problem) if count is None else count
    found = dict.fromkeys((field.name for field in fields(CertifiedShare)), 0)
    for block in range(-(-count // BLOCK)):
        W = starts(problem, law, seed, block)[: count - block * BLOCK]
        proved = certify(problem, W, delta=delta)
        for name, rows in (
            ("certified", proved.global_minimum),
            ("rate", proved.start.by_rate),
            ("rank", proved.start.by_rank),
            ("level", proved.by_level),
            ("invariants", proved.start.global_minimum),
            ("paper", paper_rate(problem, W) > 0),
            ("testing", proved.nonstrict_ranks.any(axis=-1)),
        ):
            found[name] += int(rows.sum())
        found["starts"] += len(W)
    return CertifiedShare(**found)


def looked_at(problem: Problem) -> int:
    """How many starts `certified_share` looks at."""
    return STARTS if problem.n <= LARGE else OF_LARGE

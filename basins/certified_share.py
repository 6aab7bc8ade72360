"""The share of a law's starts that is certified at t = 0 (theory.md 3a to 3e).

A start is certified if its loss or its invariants prove at t = 0 that its limit is a global minimum. There are three
arguments: the rate of the residual (3b), the ranks that the invariants force (3c for H = 1, 3d), and the loss level
(3a). Each is counted separately, so their counts may add up to more than the total. `basins describe`, `plot
certified`, the report and docs/certified.md all take their numbers from this module.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from basins.landscapes.deep_linear.certificates.certified import certify
from basins.landscapes.deep_linear.certificates.loss_level import DELTA
from basins.landscapes.deep_linear.certificates.start_certificates import paper_rate
from basins.landscapes.deep_linear.problem import Problem
from basins.laws import BLOCK, Law, starts

STARTS, LARGE, OF_LARGE = 10_000, 2_000, 1_000
"""The default number of starts; fewer for states of more than LARGE numbers, whose eigenvalues take long."""


@dataclass(frozen=True)
class CertifiedShare:
    """Numbers of certified starts among `starts`. certified: by any argument; rate (3b), rank (3c, 3d), level (the loss
    level, 3a): by each argument separately; invariants: by rate or rank; paper: by the product of Proposition 2 alone,
    which the rate includes; testing: starts that a saddle without negative curvature may still attract (3a to 3e)."""

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
    """The certified share of the first `count` starts of a law, those with ids 0, 1, ...; by default `default_count`.
    delta: of the loss level. Costs an eigenvalue decomposition for each C_j and start."""
    count = default_count(problem) if count is None else count
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


def default_count(problem: Problem) -> int:
    """The default number of starts of `certified_share`."""
    return STARTS if problem.n <= LARGE else OF_LARGE

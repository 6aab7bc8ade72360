"""What a problem was made from, so that an experiment can say how to make it again."""

from __future__ import annotations

import hashlib
from typing import Any

from basins.errors import ArgumentError
from basins.landscapes.deep_linear.problem import Problem, digest_of
from basins.landscapes.deep_linear.samples import Samples


def shape_text(problem: Problem) -> str:
    """Its widths, as "4-4-3"."""
    return "-".join(map(str, problem.widths))


def origin(problem: Problem) -> Samples | dict[str, Any]:
    """The data that the problem was made from, or, where it was made of its singular values alone, the table [data]
    that says so.

    Raises ArgumentError for a problem that has neither: one that was read from a run's manifest, or put together by
    hand.
    """
    samples = problem.samples
    if samples is not None and problem.digest == digest_of(problem.flow, problem.widths, samples.digest):
        return samples
    spectrum = hashlib.sha256(problem.sigma.tobytes()).hexdigest()
    if problem.flow == "reduced" and problem.digest == digest_of("reduced", problem.widths, spectrum):
        return {"source": "spectrum", "sigma": problem.sigma.tolist(), "d_x": problem.d_x}
    raise ArgumentError(
        "its data are not with it, as of a problem that was read from a run",
        where="problem",
        remedy="make it of the data again: basins.Problem.from_data(X, Y, hidden=...)",
    )

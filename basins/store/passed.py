"""The visits of a run with what is read off them: how near each is to its stratum, and whether it passes a saddle.

Neither is on disk: both come from the row and the problem (passage.py), so that runs of any age say the same.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from basins.landscapes.deep_linear.passage import distance, passes
from basins.landscapes.deep_linear.problem import Problem

COLUMNS = ("distance", "passes")
"""What is added: distance (null where it is not known), and passes, a boolean."""


def with_passages(problem: Problem, visits: pa.Table) -> pa.Table:
    """The rows of visits with the columns of COLUMNS after theirs."""
    known = pc.is_valid(visits["modes"]).to_numpy()
    modes = pc.fill_null(visits["modes"], 0).to_numpy()
    loss, gradient_norm = (visits[name].to_numpy() for name in ("loss", "gradient_norm"))
    far = distance(problem, modes, loss, gradient_norm)
    far[~known] = float("nan")
    added = (pa.array(far, pa.float64(), from_pandas=True), pa.array(passes(far), pa.bool_()))
    for name, column in zip(COLUMNS, added, strict=True):
        visits = visits.append_column(name, column)
    return visits

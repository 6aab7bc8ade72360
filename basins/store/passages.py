"""Adds to the visits of a run the distance of each to its stratum, and whether it passes a saddle.

Neither is on disk: both are computed from the row and the landscape, so that runs of any age give the same values.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from basins.landscapes.base import NEAR, Landscape
from basins.store.schemas import Tables

COLUMNS = ("distance", "passes")
"""The columns that are added: distance (null if it is not known) and passes (a boolean)."""


def with_passages(landscape: Landscape, visits: pa.Table) -> pa.Table:
    """The visit rows with the columns of COLUMNS appended."""
    column = visits[Tables.of(landscape).set_column]
    known, codes = pc.is_valid(column).to_numpy(), pc.fill_null(column, 0).to_numpy()
    loss, gradient_norm = (visits[name].to_numpy() for name in ("loss", "gradient_norm"))
    far = landscape.critical.visit_distance(codes, loss, gradient_norm)
    far[~known] = float("nan")
    added = (pa.array(far, pa.float64(), from_pandas=True), pa.array(far <= NEAR, pa.bool_()))
    for name, column in zip(COLUMNS, added, strict=True):
        visits = visits.append_column(name, column)
    return visits

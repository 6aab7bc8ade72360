"""Several runs: put side by side (side_by_side.py), and pooled where problem and law are the same (pooled.py)."""

from basins.comparison.pooled import pool
from basins.comparison.side_by_side import Comparison, Row, Test, compare

__all__ = ["Comparison", "Row", "Test", "compare", "pool"]

"""Figures, one per file: each takes a run's tables and returns a matplotlib Figure. Needs the extra `report`.

`style.py` has their common line_style: colours, line styles and markers are distinguishable in grey and with colour
blindness. Each figure states its number of trajectories. `of_run.py` draws them for `basins plot` and the report.
"""

from basins.output.figures.style import encoded, format_of, svg

__all__ = ["encoded", "format_of", "svg"]

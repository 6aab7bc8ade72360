"""Figures, one a file: a run's tables in, a matplotlib Figure out. Needs the extra `report`.

`style.py` says how all of them look: colours, line styles and markers are told apart in grey and by the colour-blind,
and each says how many trajectories it is of. `of_run.py` draws them of a run, as `basins plot` and the report do.
"""

from basins.output.figures.style import encoded, form_of, svg

__all__ = ["encoded", "form_of", "svg"]

"""A problem as a table of its strata, in a notebook, and beside another problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from basins.rows import html, or_missing

if TYPE_CHECKING:
    import pandas as pd

    from basins.landscapes.deep_linear.problem import Problem

NUMBERS = ("sigma", "target", "gram_root", "U_Y", "V_Y")

FEW = 10
"""Up to this d_y a notebook shows the strata; beyond they are more than a thousand."""


class ProblemTable:
    """What `Problem` is to look at and to compare."""

    def __eq__(self, other: object) -> bool:
        """By content: the same data, widths and flow, and the same numbers, bit for bit. Notes are not looked at."""
        if not isinstance(other, type(self)):
            return NotImplemented
        one, two = cast("Problem", self), cast("Problem", other)
        if (one.digest, one.widths, one.flow) != (two.digest, two.widths, two.flow):
            return False
        pairs = [(getattr(one, name), getattr(two, name)) for name in NUMBERS]
        return all(a is b or (a is not None and b is not None and np.array_equal(a, b)) for a, b in pairs)

    def __hash__(self) -> int:
        return hash(cast("Problem", self).digest)

    def to_pandas(self) -> pd.DataFrame:
        """The strata, a line each, by falling loss: index, S (a tuple), modes (its bitmask), rank, loss, kind, and for
        H = 1 dimension and unstable_index. Raises ArgumentError for d_y > 20."""
        import pandas as pd

        problem = cast("Problem", self)
        strata = list(problem.strata())
        kinds = [problem.critical.describe(stratum.mask).kind for stratum in strata]
        codes = np.array([stratum.mask for stratum in strata], dtype=np.uint64)
        columns: dict[str, Any] = {
            "index": [stratum.index for stratum in strata],
            "S": [stratum.modes for stratum in strata],
            "modes": or_missing(codes, np.ones(len(codes), dtype=bool), "UInt64"),
            "rank": [stratum.rank for stratum in strata],
            "loss": [stratum.loss for stratum in strata],
            "kind": pd.Categorical(kinds, categories=list(dict.fromkeys(kinds))),
        }
        if problem.H == 1:
            columns["dimension"] = [stratum.dimension for stratum in strata]
            columns["unstable_index"] = [stratum.unstable_index for stratum in strata]
        return pd.DataFrame(columns)

    def _repr_html_(self) -> str:
        problem = cast("Problem", self)
        said = [f"n = {problem.n} weights", *(f"note: {note}" for note in problem.notes)]
        return html(repr(problem), self.to_pandas() if problem.d_y <= FEW else None, said)

"""An estimate as rows, as a table and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from basins.errors import ArgumentError, nearest
from basins.estimate.sentences import sentence
from basins.rows import html

if TYPE_CHECKING:
    import pandas as pd

    from basins.estimate.case import CaseEstimate
    from basins.estimate.measured import Measured
    from basins.estimate.pool import PooledEstimate


class CaseTable:
    """What the estimate of a case is to look at."""

    strata: Any

    def to_pandas(self) -> pd.DataFrame:
        """The strata, a line each, by falling loss: index, S (a tuple; of another landscape the set's name), rank,
        loss, kind, count, lower and upper (the interval of its basin's measure; all hold jointly at 95 %)."""
        import pandas as pd

        kinds = list(dict.fromkeys(one.of.kind for one in self.strata))
        columns: dict[str, Any] = {"index": [one.index for one in self.strata]}
        columns["S"] = [getattr(one, one.column, one.of.name) for one in self.strata]
        for name in ("rank", "loss"):
            columns[name] = [getattr(one, name) for one in self.strata]
        columns["kind"] = pd.Categorical([one.of.kind for one in self.strata], categories=kinds)
        for name in ("count", "lower", "upper"):
            columns[name] = [getattr(one, name) for one in self.strata]
        return pd.DataFrame(columns)


def said_of(case: CaseEstimate) -> str:
    """A case in a line: its name, and the sentence of `basins estimate`."""
    return f"{case.name}, {case.law}, {case.trajectories:,} of {case.planned:,} trajectories: {sentence(case)}"


class EstimateTable:
    """What the estimate of a run is to look at. A loop goes over its cases; `estimate["gaussian"]`, by name or key, and
    `estimate[0]` are one."""

    experiment: str
    cases: tuple[CaseEstimate, ...]
    pooled: PooledEstimate

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[CaseEstimate]:
        return iter(self.cases)

    def __getitem__(self, case: int | str) -> CaseEstimate:
        """A case by its place, its name or its key. Raises ArgumentError for a name that is not there, IndexError for a
        place."""
        if isinstance(case, int) and not isinstance(case, bool):
            return self.cases[case]
        by_name = {one.name: one for one in self.cases} | {one.case: one for one in self.cases}
        if not isinstance(case, str) or case not in by_name:
            names = [one.name for one in self.cases]
            raise ArgumentError(f"no case {case!r}", where="estimate", remedy=nearest(case, names))
        return by_name[case]

    def to_pandas(self) -> pd.DataFrame:
        """A line a case: case (its key), name, law, null, planned, counts by verdict, and of the saddle-basin measure
        estimate, lower and upper (one-sided, at `level`); upper_with_label_error and upper_proved where labels were
        checked and starts proved, else nan. The last line, where several cases have a density, is the pool's, with
        case missing."""
        import pandas as pd

        lines = [
            {
                "case": one.case,
                "name": one.name,
                "law": one.law,
                "null": one.null,
                "planned": one.planned,
                **_counts(one),
            }
            for one in self.cases
        ]
        if len(self.pooled.cases) > 1:
            lines.append({"case": None, "name": "pooled", "law": None, "null": False, **_counts(self.pooled)})
        return pd.DataFrame(lines).astype({"planned": "Int64"})

    def __repr__(self) -> str:
        said = self._said()
        return "\n  ".join([f"Estimate of {self.experiment!r}, {len(self)} case(s)", *said])

    def _repr_html_(self) -> str:
        return html(f"Estimate of {self.experiment}", self.to_pandas(), self._said())

    def _said(self) -> Sequence[str]:
        said = [said_of(case) for case in self.cases[:FEW]]
        return said + ([f"and {len(self) - FEW:,} more"] if len(self) > FEW else [])


FEW = 10
"""Cases whose sentence the repr has."""


def _counts(of: Measured) -> dict[str, Any]:
    measure, errors, proved = of.saddle_measure, of.label_error, of.proved
    return {
        "trajectories": of.trajectories,
        "minimum": of.minimum,
        "saddle": of.saddle,
        "censored": of.censored,
        "estimate": float("nan") if measure.estimate is None else measure.estimate,
        "lower": measure.lower,
        "upper": measure.upper,
        "level": of.confidence,
        "upper_with_label_error": float("nan") if errors is None else errors.saddle_measure.upper,
        "upper_proved": float("nan") if proved is None else proved.upper,
    }

"""The results of a run as tables, which the scripts of analysis/ write beside figures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basins.errors import ArgumentError
from basins.estimate import CaseEstimate, Estimate, PooledEstimate
from basins.estimate.sentences import modes_text, pooled_sentence, sentence, size_of
from basins.store.local import LocalFiles
from basins.summary import CaseSummary
from basins.summary.reading import Reading
from basins.summary.survival import Band, survival
from basins.summary.tails import SAMPLES, exponents, tails

if TYPE_CHECKING:
    import pandas as pd

FORMS = ("csv", "parquet")
POOLED = "pooled"
"""The name of the pool's row, which follows those of the cases."""


def measures(estimate: Estimate) -> pd.DataFrame:
    """One row per case, and one for the pool: counts, the saddle-basin measure with its bounds, the bounds that include
    the label error (null if it was not measured or, for the pool, is unknown), and the sentence."""
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {
            "case": case.case,
            "name": case.name,
            "widths": size_of(case),
            "law": case.law,
            "null": case.null,
            "can_test": case.can_test,
            "planned": case.planned,
            **_measured(case),
            "sentence": sentence(case),
        }
        for case in estimate.cases
    ]
    pooled = estimate.pooled
    planned = sum(case.planned for case in estimate.cases if case.case in pooled.cases)
    rows.append({"case": POOLED, "planned": planned, **_measured(pooled), "sentence": pooled_sentence(pooled)})
    return pd.DataFrame(rows)


def _measured(one: CaseEstimate | PooledEstimate) -> dict[str, Any]:
    with_error = None if one.label_error is None else one.label_error.saddle_measure
    return {
        "trajectories": one.trajectories,
        "minimum": one.minimum,
        "saddle": one.saddle,
        "censored": one.censored,
        "estimate": one.saddle_measure.estimate,
        "lower": one.saddle_measure.lower,
        "upper": one.saddle_measure.upper,
        "level": one.confidence,
        "lower_with_label_error": None if with_error is None else with_error.lower,
        "upper_with_label_error": None if with_error is None else with_error.upper,
        "proved": None if one.proved is None else one.proved.proved,
        "tried": None if one.proved is None else one.proved.tried,
        "upper_by_proofs": None if one.proved is None else one.proved.upper,
    }


def strata(estimate: Estimate) -> pd.DataFrame:
    """One row per case and stratum: index, modes, rank, loss, count, measure and its interval (jointly at 95 %)."""
    import pandas as pd

    columns = ["case", "name", "index", "modes", "rank", "loss", "count", "measure", "lower", "upper"]
    rows = [
        {
            **asdict(stratum),
            "case": case.case,
            "name": case.name,
            "modes": modes_text(stratum.modes),
            "measure": stratum.count / case.trajectories if case.trajectories else None,
        }
        for case in estimate.cases
        for stratum in case.strata
    ]
    return pd.DataFrame(rows, columns=columns).astype({"index": "Int64"})


def survivals(read: Sequence[CaseSummary], band: Band = "binomial") -> pd.DataFrame:
    """S(t) of each case with its band: case, name, t, not_certified, S, lower, upper."""
    return _stacked((one, survival(one).table(band)) for one in read)


def tail_fits(
    read: Sequence[CaseSummary], start: float | None = None, end: float | None = None, samples: int = SAMPLES
) -> pd.DataFrame:
    """One row per case and law of the tail: range, counts, rate with its interval, goodness of fit, the better law, the
    prediction."""
    import pandas as pd

    rows = []
    for one in (one for one in read if one.minimum):
        found = tails(one, start, end, samples)
        for fitted in found.fits:
            rows.append(
                {
                    "case": one.case.key,
                    "name": one.case.name,
                    "start": found.tail.edges[0],
                    "end": found.tail.edges[-1],
                    "share": found.tail.share,
                    "certified": found.tail.certified,
                    "later": found.tail.later,
                    **asdict(fitted),
                    "better": found.better,
                    "vuong": found.vuong,
                    "predicted": found.prediction.kind,
                    "predicted_exponent": found.prediction.exponent,
                }
            )
    names = [
        "case", "name", "start", "end", "share", "certified", "later", "kind", "rate", "lower", "upper", "distance",
        "p_value", "p_at_floor", "log_likelihood", "better", "vuong", "predicted", "predicted_exponent",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def tail_exponents(read: Sequence[CaseSummary], samples: int = SAMPLES) -> pd.DataFrame:
    """The power law's exponent in each case, fitted to ranges with later and later starts."""
    return _stacked((one, exponents(one, samples=samples)) for one in read if one.minimum)


def transitions(read: Reading) -> pd.DataFrame:
    """The transitions of each case: source, target, count, share, lower, upper."""
    return _stacked((case, read.transitions(case.key).table()) for case in read.cases())


def visited(read: Reading) -> pd.DataFrame:
    """The saddles passed in each case: trajectories, stays, dwell times, closest approaches (passage.py)."""
    return _stacked((case, read.transitions(case.key).strata_table()) for case in read.cases())


def _stacked(tables: Any) -> pd.DataFrame:
    """The tables of all cases, concatenated, with the columns case and name in front. Empty tables contribute only
    their columns."""
    import pandas as pd

    parts = []
    for of, table in tables:
        case = of.case if isinstance(of, CaseSummary) else of
        table.insert(0, "case", case.key)
        table.insert(1, "name", case.name)
        parts.append(table)
    if not parts:
        return pd.DataFrame({"case": [], "name": []})
    stacked: pd.DataFrame = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return stacked


def write(tables: Mapping[str, pd.DataFrame], out: str | Path, form: str) -> list[str]:
    """Write each table to OUT/NAME.csv or .parquet, atomically. Returns the paths. Raises ArgumentError for another
    form, RunError if OUT cannot be written."""
    if form not in FORMS:
        raise ArgumentError(f"no table format {form!r}", where="form", remedy=f"choose one of {', '.join(FORMS)}")
    place = LocalFiles(str(out))
    written = []
    for name, table in tables.items():
        if form == "csv":
            data = table.to_csv(index=False).encode()
        else:
            buffer = io.BytesIO()
            table.to_parquet(buffer, index=False)
            data = buffer.getvalue()
        place.put(f"{name}.{form}", data)
        written.append(str(Path(out) / f"{name}.{form}"))
    return written

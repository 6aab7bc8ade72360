"""Limits as rows, as a table and in words: what `Limits` is to look at."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.base import NONE, Verdict, Vocabulary
from basins.rows import Row, chosen, counted_words, or_missing, word, words

if TYPE_CHECKING:
    import pandas as pd

    from basins.classification.verdict import Limits, VisitTable

APART = ("evidence", "visits", "vocabulary", "trajectory")
"""Fields of Limits that are no array of N rows."""


class Limit(Row):
    """One row of Limits: its values by the same names (`limits[3].loss`), and its codes in words: verdict_text,
    reason_text, certificate_text, "" where there is none. verdict is a `Verdict`, unless it is the landscape's own."""

    def __repr__(self) -> str:
        why = self.reason_text if self.reason_text else f"by {self.certificate_text}" if self.certificate_text else ""
        said = f"{self.verdict_text}{f' ({why})' if why else ''}"
        return f"Limit({said}, t = {self.time:.6g}, loss {self.loss:.6g}, {self.evaluations:,} evaluations)"


def at(limits: Limits, rows: Any, reasons: tuple[str, ...]) -> Limit | Limits:
    """The row that is meant, or Limits of the rows that are (rows.chosen)."""
    found = chosen(rows, len(limits))
    return _one(limits, found, reasons) if isinstance(found, int) else _some(limits, found)


def _one(limits: Limits, row: int, reasons: tuple[str, ...]) -> Limit:
    values = {one.name: getattr(limits, one.name)[row] for one in fields(limits) if one.name not in APART}
    verdict = int(values["verdict"])
    if verdict in list(Verdict):
        values["verdict"] = Verdict(verdict)
    values[limits.vocabulary.set_column] = values["code"]
    values["evidence"] = {name: float(numbers[row]) for name, numbers in limits.evidence.items()}
    values["visits"] = _visits(limits.visits, np.array([row]))
    values["trajectory"] = None if limits.trajectory is None else limits.trajectory[row]
    vocabulary = limits.vocabulary
    values["verdict_text"] = word(verdict, vocabulary.verdicts)
    values["reason_text"] = word(int(values["reason"]), reasons)
    values["certificate_text"] = word(int(values["certificate"]), vocabulary.certificates)
    return Limit(values)


def _some(limits: Limits, rows: NDArray[np.int64]) -> Limits:
    arrays = {one.name: getattr(limits, one.name)[rows] for one in fields(limits) if one.name not in APART}
    return replace(
        limits,
        **arrays,
        evidence={name: numbers[rows] for name, numbers in limits.evidence.items()},
        visits=_visits(limits.visits, rows),
        trajectory=None if limits.trajectory is None else limits.trajectory[rows],
    )


def _visits(visits: VisitTable, rows: NDArray[np.int64]) -> VisitTable:
    """The visits of these rows, which are numbered anew; a row that is chosen twice has its visits twice."""
    low, high = np.searchsorted(visits.row, rows, "left"), np.searchsorted(visits.row, rows, "right")
    many = high - low
    new = np.repeat(np.arange(len(rows)), many)
    old = np.repeat(low - (np.cumsum(many) - many), many) + np.arange(int(many.sum()))
    columns = {one.name: getattr(visits, one.name)[old] for one in fields(visits) if one.name != "row"}
    return replace(visits, row=new, **columns)


def to_pandas(limits: Limits, reasons: tuple[str, ...]) -> pd.DataFrame:
    """A line a row; verdict, reason and certificate as categories of all the words there are, missing where there is
    none; the critical set and its rank missing where they are not known."""
    import pandas as pd

    vocabulary: Vocabulary = limits.vocabulary
    known = limits.rank != NONE
    columns: dict[str, Any] = {
        "verdict": words(limits.verdict, vocabulary.verdicts),
        "reason": words(limits.reason, reasons),
        "certificate": words(limits.certificate, vocabulary.certificates),
        "margin": limits.margin,
        vocabulary.set_column: or_missing(limits.code, known, "UInt64"),
        "rank": or_missing(limits.rank, known, "Int16"),
        "t": limits.time,
        "loss_start": limits.loss_start,
        "loss": limits.loss,
        "gradient_norm": limits.gradient_norm,
        **limits.evidence,
        "steps": limits.steps,
        "rejected": or_missing(limits.rejected, limits.rejected >= 0, "Int64"),
        "evaluations": limits.evaluations,
        "drift": limits.drift,
        "loss_increase": limits.loss_increase,
    }
    return pd.DataFrame(columns)


def said(limits: Limits, reasons: tuple[str, ...]) -> list[str]:
    """How many rows there are of each verdict, and why rows are censored."""
    many = len(limits)
    lines = [f"{many:,} {'trajectory' if many == 1 else 'trajectories'}"]
    if many:
        lines[0] += f": {counted_words(limits.verdict, limits.vocabulary.verdicts)}"
    why = counted_words(limits.reason[limits.reason >= 0], reasons)
    if why:
        lines.append(f"censored: {why}")
    if limits.trajectory is not None:
        lines.append(repr(limits.trajectory))
    return lines

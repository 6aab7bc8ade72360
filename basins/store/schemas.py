"""The tables of a run, column by column. Built explicitly, so that nothing a library adds can change the bytes.

Text columns are dictionaries of int8 codes. In memory the dictionary is the whole vocabulary; a file has only the words
that occur in it, in the vocabulary's order, so a word that is added later changes no file that does not use it. Null
means that a value is unknown or does not exist; NaN is stored as null. `case` is not a column of these files, but the
name of their partition, case=KEY.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from basins.classification.verdict import REASONS
from basins.landscapes.base import Landscape, Vocabulary
from basins.store.layout import Kind

VERSION = 2
"""The version of these tables and of the layout that is written."""

READABLE = (1, 2)
"""The versions that can be read. A run of an older one is read-only; `basins migrate` rewrites it in the current one.

1: footers name the digest of the experiment, and every file has its whole vocabularies.
2: footers name what the rows depend on (`Manifest.footer`), and a file has only the words that occur in it.
"""


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


LOG2_T_LOW, LOG2_T_HIGH = -20, 44
"""The histogram of log t counts octaves, whose edges are exact in floating point: entry 0 counts t < 2^-20 (including
a stop at t = 0), entry k = 1..64 counts 2^(k-21) <= t < 2^(k-20), entry 65 counts t >= 2^44."""
LOG2_T_BINS = LOG2_T_HIGH - LOG2_T_LOW + 2

WORD = pa.dictionary(pa.int8(), pa.string())


@dataclass(frozen=True)
class Tables:
    """The three tables of a case: the common columns, and those of its landscape.

    The landscape defines the words of its verdicts and certificates, the name of the column of critical sets, and the
    numbers that a row keeps as evidence of an outlasted saddle.
    """

    vocabulary: Vocabulary
    evidence: tuple[str, ...]

    @classmethod
    def of(cls, landscape: Landscape) -> Tables:
        return cls(landscape.critical.vocabulary, landscape.critical.evidence)

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """The vocabulary of each text column of trajectories."""
        return {
            "verdict": self.vocabulary.verdicts,
            "certificate": self.vocabulary.certificates,
            "reason": REASONS,
        }

    @property
    def set_column(self) -> str:
        return self.vocabulary.set_column

    def schema(self, kind: Kind) -> pa.Schema:
        return {"trajectories": self.trajectories, "visits": self.visits, "blocks": self.blocks}[kind]

    def _set(self) -> list[pa.Field]:
        """The critical set and its rank, null if unknown. For a deep linear network they are `modes`, the bitmask of S
        (bit i for sigma[i]), and |S|."""
        return [pa.field(self.set_column, pa.uint64()), pa.field("rank", pa.uint8())]

    @cached_property
    def trajectories(self) -> pa.Schema:
        """One row per trajectory, sorted by id; with rows = "exceptions", only the rows that are kept."""
        return pa.schema(
            [
                _required("id", pa.int64()),
                _required("verdict", WORD),
                pa.field("certificate", WORD),  # null where censored
                pa.field("reason", WORD),  # null unless censored
                *self._set(),  # of the limit
                pa.field("margin", pa.float32()),  # the certificate's
                pa.field("loss_start", pa.float32()),
                pa.field("loss", pa.float64()),  # at the stop, re-evaluated
                pa.field("gradient_norm", pa.float32()),
                *(pa.field(name, pa.float32()) for name in self.evidence),  # null unless an outlasted saddle
                _required("t", pa.float64()),  # at the stop, units of time of the flow
                _required("steps", pa.uint32()),
                pa.field("rejected", pa.uint32()),  # null where the engine cannot tell
                _required("evaluations", pa.uint32()),
                pa.field("drift", pa.float32()),  # largest, relative
                pa.field("loss_increase", pa.float32()),  # largest in one accepted step, units of L
            ]
        )

    @cached_property
    def visits(self) -> pa.Schema:
        """One row per visit, sorted by id and number. Only every `visits_every`-th id is watched."""
        return pa.schema(
            [
                _required("id", pa.int64()),
                _required("number", pa.uint32()),  # from 0, in order of time
                _required("t", pa.float64()),
                pa.field("loss", pa.float64()),
                pa.field("gradient_norm", pa.float32()),
                *self._set(),  # the nearest
            ]
        )

    @cached_property
    def blocks(self) -> pa.Schema:
        """One row per block, sorted by block."""
        of_set = [pa.field(self.set_column, pa.uint64()), _required("verdict", pa.string())]
        return pa.schema(
            [
                _required("block", pa.int64()),
                _required("first_id", pa.int64()),
                _required("count", pa.int32()),  # trajectories; the sum of the verdicts'
                *(_required(verdict, pa.int32()) for verdict in self.vocabulary.verdicts),
                # Counts, sorted by verdict then set; the set is null where the limit is not known.
                _required("strata", pa.list_(pa.struct([*of_set, _required("count", pa.int64())]))),
                _required("evaluations", pa.int64()),
                _required("steps", pa.int64()),
                pa.field("worst_drift", pa.float64()),  # of the rows where it is a number
                pa.field("worst_loss_increase", pa.float64()),
                _required("log2_t", pa.list_(pa.int32(), LOG2_T_BINS)),  # of t at the stop, all rows; see LOG2_T_LOW
            ]
        )


CASES = pa.schema(
    [
        _required("case", pa.string()),  # the key
        _required("name", pa.string()),
        _required("problem", pa.string()),  # the problem's digest
        _required("law", pa.string()),
        _required("law_parameters", pa.string()),  # JSON
        _required("null_law", pa.bool_()),
        _required("trajectories", pa.int64()),
        _required("blocks", pa.int64()),
        _required("shards", pa.int64()),
        _required("engine", pa.string()),
        _required("method", pa.string()),
        _required("rtol", pa.float64()),
        _required("atol", pa.float64()),
        _required("t_end", pa.float64()),
        _required("certify", pa.bool_()),
        _required("at_start", pa.bool_()),
        _required("budget", pa.int64()),
        _required("delta", pa.float64()),
        _required("compress", pa.bool_()),
    ]
)
"""One row per case, in the experiment's order. The columns that the landscapes add come after `name`."""


def octave(t: np.ndarray) -> np.ndarray:
    """The entry of the histogram of log t that each t (N,) >= 0 falls in, (N,)."""
    exponent = np.frexp(t)[1] - 1  # t = m 2^e with 1/2 <= m < 1, so floor(log2 t) = e - 1
    entry = np.clip(exponent - LOG2_T_LOW + 1, 0, LOG2_T_BINS - 1)
    return np.where(t > 0, entry, 0)

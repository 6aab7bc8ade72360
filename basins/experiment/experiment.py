"""The experiment: a TOML file, validated, as cases with keys, and the shard plan.

    name, seed, trajectories, blocks_per_shard, visits_every, rows
    [data] [network] [law] [engine]     the tables of a case; [landscape] instead of [data] and [network]
    [dynamics]                          how a state moves, if not by the gradient flow
    [[case]]                            if given, exactly these are the cases; if not, the tables above are the only one
    [sweep]                             dotted keys to lists: the product, for every case

A case's own table is merged over the document's table key by key. If it names another law, engine or source of data, it
replaces that table completely. The sweep does not apply to tables that a case replaced, or to keys that it sets. A
swept key may not also be set in the document's table, and at least one case must use it.

`Experiment.text` is the experiment as validated: every case in full, every default explicit, in a fixed order. It reads
back as the same experiment. A case's key is computed from its content (problem, law, engine settings), not from its
name, position or number of trajectories, so adding a case renumbers nothing.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from basins.errors import ArgumentError, ExperimentError, nearest
from basins.experiment.case import Case
from basins.experiment.document import Document, Rows, expanded, validated
from basins.experiment.workshop import Workshop
from basins.home import with_home
from basins.laws import BLOCK

ALL_ROWS = 10**7
"""By default every row is kept if no case has more trajectories than this, about 300 MB."""


@dataclass(frozen=True)
class Plan:
    """How trajectories are divided into blocks of 1,024 ids and shards of blocks; the last of each may be short."""

    trajectories: int
    blocks_per_shard: int

    @property
    def blocks(self) -> int:
        return -(-self.trajectories // BLOCK)

    @property
    def shards(self) -> int:
        return -(-self.blocks // self.blocks_per_shard)

    def shard(self, index: int) -> range:
        """The blocks of shard 0, 1, ..., shards - 1."""
        if not 0 <= index < self.shards:
            raise ArgumentError(f"shard {index} of {self.shards}", where="shard", remedy="shards count from 0")
        start = index * self.blocks_per_shard
        return range(start, min(start + self.blocks_per_shard, self.blocks))

    def ids(self, blocks: range) -> range:
        """The ids of consecutive blocks."""
        return range(blocks.start * BLOCK, min(blocks.stop * BLOCK, self.trajectories))


@dataclass(frozen=True, eq=False)
class Experiment:
    """A validated experiment. text: canonical TOML; digest: SHA-256 of the text and the cases' keys.

    blocks_per_shard: None if it is "auto" and no pilot has decided it yet (pilot.py).
    rows: which rows of trajectories are kept; by default "all", or "exceptions" if a case has more than ALL_ROWS.
    files: the data that its run keeps, by name (attached.py).
    """

    name: str
    seed: int
    cases: tuple[Case, ...]
    blocks_per_shard: int | None
    visits_every: int
    rows: Rows
    text: str
    files: Mapping[str, bytes] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        content = "\n".join([self.text, *(case.key for case in self.cases)])
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def auto(self) -> bool:
        """Whether a pilot decides the shard plan of a new run."""
        return tomllib.loads(self.text).get("blocks_per_shard") == "auto"

    def case(self, key: str) -> Case:
        """The case with this key or name."""
        for case in self.cases:
            if key in (case.key, case.name):
                return case
        names = [one for case in self.cases for one in (case.name, case.key)]
        raise ArgumentError(f"no case {key!r}", where="case", remedy=nearest(key, names))

    def plan(self, case: Case) -> Plan:
        """How the case is divided into blocks and shards. Raises ArgumentError if that is not decided yet."""
        if self.blocks_per_shard is None:
            raise ArgumentError(
                "not decided yet", where="blocks_per_shard", remedy="ask basins.experiment.pilot.decided"
            )
        return Plan(case.trajectories, self.blocks_per_shard)

    @classmethod
    def from_toml(cls, text: str, base: Path, source: str = "experiment") -> Experiment:
        """The experiment in a TOML text. Paths are relative to `base`; error messages call the text `source`.

        Raises ExperimentError, DataError and AssumptionError; warns AssumptionWarning for tied subset sums.
        """
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ExperimentError(f"not TOML: {error}", where=source, remedy="mend that line") from None
        document = validated(Document, values, source)
        workshop = Workshop(base)
        cases: list[Case] = []
        tables: list[dict[str, Any]] = []
        for one in expanded(document, source):
            case, table = workshop.case(one)
            _refuse_twins(cases, case, source)
            cases.append(case)
            tables.append(table)
        head = {key: getattr(document, key) for key in ("name", "seed", "blocks_per_shard", "visits_every")}
        most = max(case.trajectories for case in cases)
        head["rows"] = document.rows or ("all" if most <= ALL_ROWS else "exceptions")
        later = {name: value for name, value in document.spelt_out().items() if name in Document.later_keys()}
        text = tomli_w.dumps({**head, **later, "case": tables})
        if document.blocks_per_shard == "auto":
            head["blocks_per_shard"] = None
        return cls(cases=tuple(cases), text=text, files=workshop.files, **head)


def watched(ids: NDArray[np.int64], visits_every: int) -> NDArray[np.bool_]:
    """Whether the visits of each id are kept, (N,): those of ids divisible by visits_every (0: none)."""
    return ids % visits_every == 0 if visits_every else np.zeros(len(ids), dtype=bool)


def load(path: str | Path) -> Experiment:
    """The experiment in a TOML file (~ is the home folder). Paths in it are relative to its folder. Raises as
    `Experiment.from_toml` does.
    """
    path = Path(with_home(path))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ExperimentError("no such file", where=str(path), remedy="give the path of a TOML file") from None
    except UnicodeDecodeError:
        raise ExperimentError("not UTF-8 text", where=str(path), remedy="save it as UTF-8") from None
    except OSError as error:
        what = f"not readable: {error.strerror}"
        raise ExperimentError(what, where=str(path), remedy="give the path of a TOML file") from None
    return Experiment.from_toml(text, path.parent, source=str(path))


def _refuse_twins(cases: list[Case], case: Case, source: str) -> None:
    for other in cases:
        if other.key == case.key:
            what = f"cases {other.name!r} and {case.name!r} have the same problem, law and engine settings"
            raise ExperimentError(what, where=source, remedy="take one out")
        if other.name == case.name:
            raise ExperimentError(f"two cases are called {case.name!r}", where=source, remedy="rename one")

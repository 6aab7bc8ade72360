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
import itertools
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import tomli_w
from numpy.typing import NDArray

from basins.dynamics.base import Dynamics
from basins.dynamics.gradient_flow import FLOW
from basins.errors import ArgumentError, ExperimentError
from basins.experiment import from_python
from basins.experiment.case import Case, EngineSettings, refuse_unknown
from basins.experiment.case_builder import CaseBuilder
from basins.experiment.checks import a_path, plain
from basins.experiment.document import Document, Expanded, Rows, expanded, short, validated
from basins.experiment.made import Made
from basins.experiment.naming import case_called
from basins.experiment.sweep import Sweep
from basins.home import with_home
from basins.landscapes.deep_linear.problem import Problem
from basins.laws import BLOCK, Law, law_text

LISTED = 12
"""Cases that a repr lists."""

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


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Experiment(Made):
    """A validated experiment: cases, a seed, and how the run is laid out.

        basins.Experiment(problem, basins.Gaussian(0.5), n=100_000, seed=1)
        basins.Experiment(cases=[basins.Case(problem, law, n=1000) for law in laws])
        basins.Experiment(problem, basins.Gaussian(0.5), n=1000, cases=basins.Sweep({"law.scale": [0.1, 0.5]}))
        basins.Experiment.from_toml("examples/iris.toml")

    cases: the validated cases; text: canonical TOML; digest: SHA-256 of the text and the cases' keys; blocks_per_shard:
    None if it is "auto" and no pilot has decided it yet (pilot.py); rows: which rows of trajectories are kept, by
    default "all", or "exceptions" if a case has more than ALL_ROWS; rows_given: whether it was asked for; files: the
    data that its run keeps, by name (attached.py).
    """

    name: str
    seed: int
    cases: tuple[Case, ...]
    blocks_per_shard: int | None
    visits_every: int
    rows: Rows
    text: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    rows_given: bool = True

    def __init__(
        self,
        problem: Problem | Sequence[Problem] | None = None,
        law: Law | Sequence[Law] | None = None,
        n: int | None = None,
        *,
        seed: int = 0,
        cases: Sequence[Case] | Sweep | None = None,
        name: str = from_python.NAME,
        data: Mapping[str, Any] | tuple[Any, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        landscape: Mapping[str, Any] | None = None,
        dynamics: Dynamics = FLOW,
        visits_every: int = 0,
        rows: Rows | None = None,
        blocks_per_shard: int | Literal["auto"] = 1,
        **settings: Unpack[EngineSettings],
    ) -> None:
        """problem, law: one, or a list: one case for each pair; n: trajectories of each; cases: a list of `Case`
        instead of these three, or a `Sweep` that multiplies them. data: (X, Y), or, like network and landscape, the
        keys of that table in TOML, instead of a problem; a path in it is relative to the working folder. dynamics:
        another one than the gradient flow (dynamics/base.py), whose class workers can import. visits_every:
        keep the visits of every so many trajectories, 0: of none; rows: "all" or "exceptions", by default "all" up to
        10^7 trajectories; blocks_per_shard: of 1,024 trajectories, or "auto"; settings: those of `basins.integrate`.

        What a TOML file with the same values gives is the same experiment: keys, shards and their bytes. Raises
        ArgumentError, ExperimentError, DataError and AssumptionError; warns AssumptionWarning for tied subset sums.
        """
        refuse_unknown(settings, type(self).__init__.__kwdefaults__ or ())
        arrays = from_python.Arrays()
        tables = {"data": data, "network": network, "landscape": landscape}
        asked = from_python.asked_of(arrays, problem, law, n, cases, tables, settings, dynamics)
        head = {"name": name, "seed": seed, "visits_every": visits_every, "blocks_per_shard": blocks_per_shard}
        head = {key: plain(value) for key, value in head.items()} | ({} if rows is None else {"rows": rows})
        document = validated(Document, head, from_python.WHERE)
        made = from_python.documents(arrays, asked, from_python.named(asked, name), cases, head)
        with from_python.case_builder(arrays) as builder:
            each = (expanded(validated(Document, values, where), where) for values, where in made)
            self._fill(**_assembled(document, itertools.chain.from_iterable(each), builder, from_python.WHERE))

    def __repr__(self) -> str:
        count = f"{len(self.cases):,} case{'s' * (len(self.cases) != 1)}"
        lines = [f"Experiment({self.name!r}, seed {self.seed}, {count})"]
        for case in self.cases[:LISTED]:
            law = law_text(case.law) + ", null" * case.law.null
            lines.append(f"  {case.name}: {case.size_text}, {law}, {case.trajectories:,} trajectories")
        more = len(self.cases) - LISTED
        return "\n".join(lines + [f"  ... {more:,} more"] * (more > 0))

    @cached_property
    def digest(self) -> str:
        content = "\n".join([self.text, *(case.key for case in self.cases)])
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def auto(self) -> bool:
        """Whether a pilot decides the shard plan of a new run."""
        return tomllib.loads(self.text).get("blocks_per_shard") == "auto"

    def case(self, key: str) -> Case:
        """The case with this key or name, or an unambiguous part of it (naming.py)."""
        return case_called(self.cases, key, "case")

    def keeping(self, rows: Rows) -> Experiment:
        """The same experiment with these rows kept."""
        text = tomli_w.dumps(tomllib.loads(self.text) | {"rows": rows})
        return self.changed(rows=rows, text=text)

    def plan(self, case: Case) -> Plan:
        """How the case is divided into blocks and shards. Raises ArgumentError if that is not decided yet."""
        if self.blocks_per_shard is None:
            raise ArgumentError(
                "not decided yet", where="blocks_per_shard", remedy="call basins.experiment.pilot.decided"
            )
        return Plan(case.trajectories, self.blocks_per_shard)

    @classmethod
    def from_toml(
        cls, toml: str | os.PathLike[str], base: str | os.PathLike[str] | None = None, source: str = "experiment"
    ) -> Experiment:
        """The experiment in a TOML file, or in a text of several lines.

        base: the folder that the paths in a text are relative to, by default the working folder; a file's paths are
        relative to its own. Error messages call a text `source`. Raises ExperimentError, DataError and AssumptionError;
        warns AssumptionWarning for tied subset sums.
        """
        if not isinstance(toml, str) or (base is None and "\n" not in toml):
            if not isinstance(toml, str | os.PathLike) or base is not None:
                what = short(toml) if base is None else "a file, and a base for a text"
                raise ArgumentError(what, where="toml", remedy="give the path of a TOML file, or its text")
            return load(toml)
        try:
            values = tomllib.loads(toml)
        except tomllib.TOMLDecodeError as error:
            raise ExperimentError(f"not TOML: {error}", where=source, remedy="correct that line") from None
        document = validated(Document, values, source)
        builder = CaseBuilder(Path() if base is None else Path(base))
        return cls.made(**_assembled(document, expanded(document, source), builder, source))

    def to_toml(self, path: str | os.PathLike[str] | None = None) -> str:
        """The experiment as canonical TOML: every case in full, every default said.

        path: a file to write it to, with data.npz beside it where the experiment is made of arrays. Raises
        ExperimentError for a data.npz of other content, and where nothing can be written.
        """
        if path is not None:
            to = Path(with_home(a_path("path", path)))
            try:
                for name, content in self.files.items():
                    beside = to.parent / name
                    if beside.exists() and beside.read_bytes() != content:
                        what = "there already, of other content"
                        raise ExperimentError(what, where=str(beside), remedy="give a path in another folder")
                    beside.write_bytes(content)
                to.write_text(self.text, encoding="utf-8")
            except OSError as error:
                what = f"cannot be written: {error.strerror}"
                raise ExperimentError(what, where=str(to), remedy="give a path in a folder that is there") from None
        return self.text


def _assembled(head: Document, each: Iterable[Expanded], builder: CaseBuilder, source: str) -> dict[str, Any]:
    """The fields of an experiment of these cases. head: name, seed and layout. Raises as `Experiment.from_toml`."""
    cases: list[Case] = []
    tables: list[dict[str, Any]] = []
    for one in each:
        case, table = builder.case(one)
        _refuse_twins(cases, case, source)
        cases.append(case)
        tables.append(table)
    said: dict[str, Any] = {key: getattr(head, key) for key in ("name", "seed", "blocks_per_shard", "visits_every")}
    said["rows"] = head.rows or default_rows(cases)
    later = {name: value for name, value in head.spelt_out().items() if name in Document.later_keys()}
    text = tomli_w.dumps({**said, **later, "case": tables})
    if head.blocks_per_shard == "auto":
        said["blocks_per_shard"] = None
    return {**said, "cases": tuple(cases), "text": text, "files": builder.files, "rows_given": head.rows is not None}


def default_rows(cases: Sequence[Case]) -> Rows:
    """Which rows are kept where the experiment does not say."""
    return "all" if max(case.trajectories for case in cases) <= ALL_ROWS else "exceptions"


def watched(ids: NDArray[np.int64], visits_every: int) -> NDArray[np.bool_]:
    """Whether the visits of each id are kept, (N,): those of ids divisible by visits_every (0: none)."""
    return ids % visits_every == 0 if visits_every else np.zeros(len(ids), dtype=bool)


def load(path: str | os.PathLike[str]) -> Experiment:
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

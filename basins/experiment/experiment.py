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
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from basins.classification.classify_batch import refuse_unproved
from basins.dynamics.base import Dynamics
from basins.dynamics.gradient_flow import FLOW
from basins.dynamics.named import dynamics_of
from basins.errors import ArgumentError, BasinsError, ExperimentError, nearest
from basins.experiment import data
from basins.experiment.document import (
    Document,
    Engine,
    Expanded,
    FileData,
    GaussianData,
    Matrix,
    Network,
    Rows,
    SklearnData,
    SpectrumData,
    expanded,
    short,
    validated,
)
from basins.home import with_home
from basins.integrators import engine_of, method_of
from basins.integrators.base import Settings, refuse_settings
from basins.landscapes.base import Landscape
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.named import landscape_class
from basins.later import defaults_of_later_fields, without_defaults
from basins.laws import BLOCK, Law, law_of

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
class Case:
    """A landscape, a law and engine settings, and how many trajectories; source: what the landscape is of, in words.

    kind: the import path of the landscape's class, "" for a deep linear network; dynamics: how a state moves;
    dynamics_kind: the import path of its class, "" for the gradient flow; reading: how its data were read, a line each,
    where they were read here and now; not kept with a run.
    """

    name: str
    landscape: Landscape
    law: Law
    settings: Settings
    trajectories: int
    source: str = ""
    reading: tuple[str, ...] = ()
    kind: str = ""
    dynamics: Dynamics = FLOW
    dynamics_kind: str = ""

    @property
    def of_the_paper(self) -> bool:
        """Whether it is the gradient flow of a deep linear network: what the conjecture is about."""
        return not self.kind and not self.dynamics_kind

    @property
    def size_text(self) -> str:
        """How large the landscape is, and its dynamics where it is not the gradient flow."""
        return f"{self.landscape.size_text}, {self.dynamics.text}" if self.dynamics_kind else self.landscape.size_text

    def question(self) -> tuple[bool, str]:
        """Whether a run can tell something about its saddles that is not proved yet, and why (Landscape.question). Of
        a discrete dynamics nothing is taken to be known beforehand."""
        return (True, "") if self.dynamics_kind else self.landscape.question()

    @property
    def problem(self) -> Problem:
        """The landscape where it is a deep linear network that moves by its gradient flow. Raises ArgumentError for
        another landscape or dynamics."""
        if self.dynamics_kind:
            what = f"the dynamics of case {self.name!r} is {self.dynamics.text}"
            raise ArgumentError(what, where="case", remedy="this is known of the gradient flow alone")
        if not isinstance(self.landscape, Problem):
            what = f"the landscape of case {self.name!r} is {self.landscape.kind}"
            raise ArgumentError(what, where="case", remedy="this is known of deep linear networks alone")
        return self.landscape

    def columns(self) -> dict[str, Any]:
        """What a table of cases says of its landscape, and of its dynamics where it is not the gradient flow."""
        moved = {"dynamics": self.dynamics.text} if self.dynamics_kind else {}
        return {**self.landscape.case_columns(), **moved}

    @property
    def dynamics_table(self) -> dict[str, Any]:
        """[dynamics], as it is spelt out."""
        return {"kind": self.dynamics_kind, **self.dynamics.to_dict()}

    @cached_property
    def key(self) -> str:
        """A letter and 15 hex digits of SHA-256 over what a limit depends on besides seed and id: problem, law,
        settings, and the dynamics where it is not the gradient flow.

        The letter is for readers of `case=KEY` folders, which would take digits alone for a number.
        """
        content = {
            "problem": self.landscape.digest,
            "law": self.law.canonical(self.landscape),
            "settings": _settings_to_dict(self.settings),
            **({"dynamics": self.dynamics_table} if self.dynamics_kind else {}),
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return "c" + hashlib.sha256(canonical.encode()).hexdigest()[:15]

    def to_dict(self) -> dict[str, Any]:
        """The case's numbers for the manifest, exact through JSON (an infinite t_end is the text "inf")."""
        return {
            "key": self.key,
            "name": self.name,
            "trajectories": self.trajectories,
            "source": self.source,
            "problem": self.landscape.to_dict(),
            "law": {"name": self.law.name, **self.law.parameters()},
            "settings": _settings_to_dict(self.settings),
            **({"landscape": self.kind} if self.kind else {}),
            **({"dynamics": self.dynamics_table} if self.dynamics_kind else {}),
        }

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> Case:
        """The case that `to_dict` wrote, without reading data or decomposing it again."""
        settings = dict(numbers["settings"])
        settings["t_end"] = float(settings["t_end"])
        kind, moves = numbers.get("landscape", ""), dict(numbers.get("dynamics", {}))
        dynamics_kind = moves.pop("kind", "")
        return cls(
            name=numbers["name"],
            landscape=(landscape_class(kind) if kind else Problem).from_dict(numbers["problem"]),
            law=law_of(**numbers["law"]),
            settings=Settings(**settings),
            trajectories=numbers["trajectories"],
            source=numbers["source"],
            kind=kind,
            dynamics=dynamics_of(dynamics_kind, moves),
            dynamics_kind=dynamics_kind,
        )


@dataclass(frozen=True, eq=False)
class Experiment:
    """A validated experiment. text: canonical TOML; digest: SHA-256 of the text and the cases' keys.

    blocks_per_shard: None if it is "auto" and no pilot has decided it yet (pilot.py).
    rows: which rows of trajectories are kept; by default "all", or "exceptions" if a case has more than ALL_ROWS.
    """

    name: str
    seed: int
    cases: tuple[Case, ...]
    blocks_per_shard: int | None
    visits_every: int
    rows: Rows
    text: str

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
        workshop = _Workshop(base)
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
        return cls(cases=tuple(cases), text=text, **head)


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


def spelt_out(settings: Settings) -> dict[str, Any]:
    """Every setting, except those that were declared `LATER` and have their default (later.py)."""
    return without_defaults(asdict(settings), defaults_of_later_fields(settings))


def _settings_to_dict(settings: Settings) -> dict[str, Any]:
    values = spelt_out(settings)
    values["t_end"] = "inf" if np.isinf(settings.t_end) else settings.t_end  # JSON has no infinity
    return values


def _refuse_twins(cases: list[Case], case: Case, source: str) -> None:
    for other in cases:
        if other.key == case.key:
            what = f"cases {other.name!r} and {case.name!r} have the same problem, law and engine settings"
            raise ExperimentError(what, where=source, remedy="take one out")
        if other.name == case.name:
            raise ExperimentError(f"two cases are called {case.name!r}", where=source, remedy="rename one")


# --- making a case --------------------------------------------------------------------------------------------


class _Workshop:
    """Makes cases from tables. Data is read and decomposed once for all cases that share it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.data: dict[str, data.Data] = {}
        self.problems: dict[tuple[str, str], tuple[Problem, str, tuple[str, ...]]] = {}

    def case(self, one: Expanded) -> tuple[Case, dict[str, Any]]:
        """The case and its canonical table."""
        where, tables = one.where, one.tables
        named = bool(tables["landscape"])
        for name in ("law",) if named else ("data", "network", "law"):
            if not tables[name]:
                raise ExperimentError(f"no table [{name}]", where=where, remedy=f"add [{name}]")
        dynamics, dynamics_kind = _dynamics(tables["dynamics"], where)
        settings = _settings(validated(Engine, tables["engine"], where, "engine"), dynamics, where)
        law = _law(tables["law"], where)
        kind, reading = "", tuple[str, ...]()
        if named:
            landscape, made_of = _named_landscape(tables, where)
            kind, source = tables["landscape"]["kind"], landscape.size_text
        else:
            network = validated(Network, tables["network"], where, "network")
            given = _data_table(tables["data"], where)
            landscape, source, reading = self.problem(given, network, where)
            made_of = {"data": given.spelt_out(), "network": network.spelt_out()}
        try:
            law.check(landscape)
        except ArgumentError as error:
            raise _placed(error, where, "law") from None
        try:
            refuse_unproved(landscape, dynamics, settings.certify)
        except ArgumentError as error:
            raise ExperimentError(error.what, where=f"{where}: dynamics", remedy=error.remedy) from None
        engine = spelt_out(settings)
        table = {
            "name": one.name,
            "trajectories": one.trajectories,
            **made_of,
            **({"dynamics": {"kind": dynamics_kind, **dynamics.to_dict()}} if dynamics_kind else {}),
            "law": {"name": law.name, **law.parameters()},
            "engine": {"name": engine.pop("engine"), **engine},
        }
        case = Case(
            one.name, landscape, law, settings, one.trajectories, source, reading, kind, dynamics, dynamics_kind
        )
        return case, table

    def problem(
        self, given: Matrix | SpectrumData, network: Network, where: str
    ) -> tuple[Problem, str, tuple[str, ...]]:
        """The problem, a description of its data, and how the data were read."""
        made_of = given.model_dump_json(), network.model_dump_json()
        if made_of not in self.problems:
            try:
                self.problems[made_of] = self.make(given, network)
            except BasinsError as error:
                table = "network" if error.where in Network.model_fields else "data"
                raise _placed(error, where, table) from None
            except MemoryError:
                what = "the problem does not fit in this machine's memory"
                raise ExperimentError(what, where=where, remedy="make data or network smaller") from None
        return self.problems[made_of]

    def make(self, given: Matrix | SpectrumData, network: Network) -> tuple[Problem, str, tuple[str, ...]]:
        hidden, flow = network.hidden, network.flow
        if isinstance(given, SpectrumData):
            if flow == "raw":
                raise ArgumentError("the raw flow needs X and Y", where="flow", remedy='set flow = "reduced"')
            problem = Problem.from_spectrum(given.sigma, d_x=given.d_x, hidden=hidden)
            return problem, f"singular values {', '.join(f'{s:.6g}' for s in problem.sigma)}", ()
        table = given.model_dump_json()
        if table not in self.data:
            self.data[table] = data.load(given.model_dump(exclude_none=True), self.base)
        X, Y, source, reading = self.data[table]
        options = {"standardise": given.standardise, "intercept": given.intercept}
        problem = Problem.from_data(X, Y, hidden=hidden, flow=flow, **options)
        said = [source, *(name for name, on in options.items() if on), *problem.notes]
        return problem, "; ".join(said), reading


def _named_landscape(tables: dict[str, dict[str, Any]], where: str) -> tuple[Landscape, dict[str, Any]]:
    """The landscape of [landscape], whose class its `kind` names, and its table."""
    for name in ("data", "network"):
        if tables[name]:
            what = f"both [landscape] and [{name}]"
            raise ExperimentError(what, where=where, remedy=f"take [{name}] out: a landscape says all there is")
    values = dict(tables["landscape"])
    try:
        landscape = landscape_class(values.pop("kind", "")).from_table(values)
    except ArgumentError as error:
        raise _placed(error, where, "landscape") from None
    return landscape, {"landscape": dict(tables["landscape"])}


def _data_table(values: dict[str, Any], where: str) -> Matrix | SpectrumData:
    source = values.get("source")
    if source is None:
        return validated(FileData, values, where, "data")
    if "path" in values:
        raise ExperimentError("both path and source", where=f"{where}: data", remedy="take one out")
    if source == "gaussian":
        return validated(GaussianData, values, where, "data")
    if source == "spectrum":
        return validated(SpectrumData, values, where, "data")
    bundled = [f"sklearn:{name}" for name in data.SKLEARN]
    if source not in bundled:
        remedy = nearest(str(source), ["gaussian", "spectrum", *bundled])
        raise ExperimentError(f"unknown source {short(source)}", where=f"{where}: data.source", remedy=remedy)
    return validated(SklearnData, values, where, "data")


def _dynamics(table: Mapping[str, Any], where: str) -> tuple[Dynamics, str]:
    """The dynamics of [dynamics], and the import path of its class; the gradient flow where there is no such table."""
    if not table:
        return FLOW, ""
    values = dict(table)
    kind = values.pop("kind", None)
    if not kind:
        what = "missing" if kind is None else f"kind = {kind!r}"
        remedy = 'give the import path of a dynamics\' class, such as kind = "module:Class"'
        raise ExperimentError(what, where=f"{where}: dynamics.kind", remedy=remedy)
    try:
        return dynamics_of(kind, values), kind
    except ArgumentError as error:
        raise _placed(error, where, "dynamics") from None


def _settings(table: Engine, dynamics: Dynamics, where: str) -> Settings:
    try:
        engine = engine_of(table.name)
        method = method_of(engine, table.method, dynamics)
    except ArgumentError as error:
        key = "name" if error.where == "engine" else error.where
        raise ExperimentError(error.what, where=f"{where}: engine.{key}", remedy=error.remedy) from None
    values: dict[str, Any] = {field.name: getattr(table, field.name, None) for field in fields(Settings)}
    try:
        settings = Settings(**{**values, "engine": engine.name, "method": method})
        refuse_settings(settings, dynamics)
        return settings
    except ArgumentError as error:
        raise _placed(error, where, "engine") from None


def _law(values: dict[str, Any], where: str) -> Law:
    parameters = dict(values)
    name = parameters.pop("name", None)
    if name is None:
        remedy = 'give a law, such as name = "gaussian"'
        raise ExperimentError("missing", where=f"{where}: law.name", remedy=remedy)
    try:
        return law_of(name, **parameters)
    except ArgumentError as error:
        raise _placed(error, where, "law") from None


def _placed(error: BasinsError, where: str, table: str) -> BasinsError:
    """The refusal of a value from this table; DataError and AssumptionError keep their types."""
    place = f"{table}.{error.where}" if error.where.isidentifier() else ": ".join(filter(None, (table, error.where)))
    kind = ExperimentError if isinstance(error, ArgumentError) else type(error)
    return kind(error.what, where=f"{where}: {place}", remedy=error.remedy)

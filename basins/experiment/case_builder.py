"""Cases made from the tables of an experiment: data read, problem decomposed, law and settings checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from basins.classification.classify_batch import refuse_unproved
from basins.dynamics.base import Dynamics
from basins.dynamics.gradient_flow import FLOW
from basins.dynamics.named import dynamics_of
from basins.errors import ArgumentError, BasinsError, ExperimentError, nearest
from basins.experiment import data
from basins.experiment.attached import is_attached
from basins.experiment.case import Case, placed, settings_of, spelt_out
from basins.experiment.document import (
    Expanded,
    FileData,
    GaussianData,
    Matrix,
    Network,
    SklearnData,
    SpectrumData,
    short,
    validated,
)
from basins.landscapes.base import Landscape
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.named import landscape_from_table
from basins.laws import Law, law_of


class CaseBuilder:
    """Makes cases from tables. Data is read and decomposed once for all cases that share it.

    base: the folder that paths are relative to; known: problems that are there already, by the tables that they would
    be made of; files: what the experiment keeps of its data (attached.py), by name.
    """

    def __init__(self, base: Path, known: Mapping[tuple[str, str], Problem] | None = None) -> None:
        self.base, self.known = base, known or {}
        self.files: dict[str, bytes] = {}
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
        settings = settings_of(tables["engine"], where, dynamics)
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
            raise placed(error, where, "law") from None
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
        case = Case.made(
            name=one.name,
            landscape=landscape,
            law=law,
            settings=settings,
            trajectories=one.trajectories,
            source=source,
            reading=reading,
            kind=kind,
            table=made_of.get("landscape", {}),
            dynamics=dynamics,
            dynamics_kind=dynamics_kind,
        )
        return case, table

    def problem(
        self, given: Matrix | SpectrumData, network: Network, where: str
    ) -> tuple[Problem, str, tuple[str, ...]]:
        """The problem, a description of its data, and how the data were read."""
        made_of = tables_key(given, network)
        if made_of not in self.problems:
            try:
                self.problems[made_of] = self.make(given, network)
            except BasinsError as error:
                table = "network" if error.where in Network.model_fields else "data"
                raise placed(error, where, table) from None
            except MemoryError:
                what = "the problem does not fit in this machine's memory"
                raise ExperimentError(what, where=where, remedy="make data or network smaller") from None
        return self.problems[made_of]

    def make(self, given: Matrix | SpectrumData, network: Network) -> tuple[Problem, str, tuple[str, ...]]:
        hidden, flow = network.hidden, network.flow
        there = self.known.get(tables_key(given, network))
        if isinstance(given, SpectrumData):
            if flow == "raw":
                raise ArgumentError("the raw flow needs X and Y", where="flow", remedy='set flow = "reduced"')
            problem = there if there is not None else Problem.from_spectrum(given.sigma, d_x=given.d_x, hidden=hidden)
            return problem, f"singular values {', '.join(f'{s:.6g}' for s in problem.sigma)}", ()
        table = given.model_dump_json()
        if table not in self.data:
            values = given.model_dump(exclude_none=True)
            self.data[table] = data.load(values, self.base)
            if is_attached(values):
                self.files[values["path"]] = (self.base / values["path"]).read_bytes()
        X, Y, source, reading = self.data[table]
        options = {"standardise": given.standardise, "intercept": given.intercept}
        problem = there if there is not None else Problem.from_data(X, Y, hidden=hidden, flow=flow, **options)
        said = [source, *(name for name, on in options.items() if on), *problem.notes]
        return problem, "; ".join(said), reading


def tables_key(given: Matrix | SpectrumData, network: Network) -> tuple[str, str]:
    """What tells problems apart before they are made: the tables that they are made of."""
    return given.model_dump_json(), network.model_dump_json()


def _named_landscape(tables: dict[str, dict[str, Any]], where: str) -> tuple[Landscape, dict[str, Any]]:
    """The landscape of [landscape], whose class its `kind` names, and its table."""
    for name in ("data", "network"):
        if tables[name]:
            what = f"both [landscape] and [{name}]"
            raise ExperimentError(what, where=where, remedy=f"take [{name}] out: [landscape] replaces it")
    values = dict(tables["landscape"])
    try:
        landscape = landscape_from_table(values.pop("kind", ""), values)
    except ArgumentError as error:
        raise placed(error, where, "landscape") from None
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
        raise placed(error, where, "dynamics") from None


def _law(values: dict[str, Any], where: str) -> Law:
    parameters = dict(values)
    name = parameters.pop("name", None)
    if name is None:
        remedy = 'give a law, such as name = "gaussian"'
        raise ExperimentError("missing", where=f"{where}: law.name", remedy=remedy)
    try:
        return law_of(name, **parameters)
    except ArgumentError as error:
        raise placed(error, where, "law") from None

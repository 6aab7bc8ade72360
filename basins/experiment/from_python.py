"""An experiment as it is built in Python, as the documents that its TOML would hold.

A problem becomes the tables [data] and [network], a law the table [law], and so on, so that everything after that is
the same: validation, cases, keys, text, and every byte of the run. Data that a problem was made from become data.npz
(attached.py).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from basins.dynamics.base import Dynamics
from basins.dynamics.gradient_flow import FLOW
from basins.dynamics.named import import_path
from basins.errors import ArgumentError
from basins.experiment.attached import name_of, npz, sha256
from basins.experiment.case import Case, engine_table
from basins.experiment.case_builder import CaseBuilder, tables_key
from basins.experiment.checks import a_dynamics, a_law, a_problem, plain, whole
from basins.experiment.document import FileData, Network, SpectrumData, short
from basins.experiment.sweep import Sweep
from basins.integrators.base import Settings
from basins.landscapes.deep_linear.origin import origin, shape_text
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.reduction import samples_of
from basins.landscapes.deep_linear.samples import Samples
from basins.laws import Law, law_text

WHERE = "Experiment"
NAME = "experiment"
"""What an experiment is called that was given no name."""

EXAMPLES = {
    "data": '{"path": "iris.csv", "targets": ["species"]}',
    "network": '{"hidden": [4, 4]}',
    "landscape": '{"kind": "module:Class"}',
}

Tables = dict[str, Any]


@dataclass
class Arrays:
    """The data of an experiment: each pair (X, Y) once, in a file; and which problems were made of them.

    names: of the files, by SHA-256 of the pair; files: their contents; made: the tables of each problem.
    """

    names: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    made: list[tuple[Tables, Problem]] = field(default_factory=list)

    def data_table(self, samples: Samples) -> Tables:
        """The table [data] of these samples."""
        pair = hashlib.sha256()
        for array in (samples.X, samples.Y):
            pair.update(repr(array.shape).encode() + array.tobytes())
        name = self.names.setdefault(pair.hexdigest(), name_of(len(self.names) + 1))
        if name not in self.files:
            self.files[name] = npz({"X": samples.X, "Y": samples.Y})
        options = {"standardise": samples.standardise, "intercept": samples.intercept}
        return {"path": name, "sha256": sha256(self.files[name]), **options}

    def tables_of(self, problem: Problem) -> Tables:
        """The tables [data] and [network] of a problem. Raises ArgumentError where its data are not with it."""
        found = origin(problem)
        data = self.data_table(found) if isinstance(found, Samples) else found
        tables = {"data": data, "network": {"hidden": list(problem.hidden), "flow": problem.flow}}
        self.made.append((tables, problem))
        return tables


@dataclass(frozen=True)
class Asked:
    """One case, or a sweep over one: what its tables are, before it has a name."""

    name: str
    shape: str
    law: Law
    n: int
    tables: Tables


def asked_of(
    arrays: Arrays,
    problem: Any,
    law: Any,
    n: Any,
    cases: Any,
    tables: Mapping[str, Any],
    settings: Mapping[str, Any],
    dynamics: Dynamics = FLOW,
) -> list[Asked]:
    """What is asked for, one by one. tables: data, network, landscape; None where they are not given.

    Raises ArgumentError for what is missing, given twice, or of another type than it should be.
    """
    given = {"problem": problem, "law": law, "n": n, **tables}
    given = {name: value for name, value in given.items() if value is not None} | dict(settings)
    moved = _dynamics_table(a_dynamics(dynamics))
    given |= {"dynamics": moved} if moved else {}
    if cases is not None and not isinstance(cases, Sweep):
        return _listed(arrays, cases, given)
    if isinstance(problem, Case) or (_is_list(problem) and any(isinstance(one, Case) for one in problem)):
        raise ArgumentError("a case is no problem", where="problem", remedy="give cases=[...]")
    if not given.keys() & {"problem", "data", "network", "landscape"}:
        remedy = "give a problem, a law and n, or cases=[basins.Case(...), ...]"
        raise ArgumentError("no problem", where="problem", remedy=remedy)
    problems = [] if problem is None else _one_or_more("problem", problem, "problems", a_problem)
    if law is None:
        raise ArgumentError("no law", where="law", remedy="give one, such as basins.Gaussian(0.5)")
    laws = _one_or_more("law", law, "laws", a_law)
    if n is None:
        raise ArgumentError("missing", where="n", remedy="give how many trajectories, such as n=10_000")
    engine = engine_table(settings)
    found = []
    for shape, made_of in _problems(arrays, problems, tables):
        for one in laws:
            said = {**made_of, "law": _law_table(one), "engine": dict(engine), **({"dynamics": moved} if moved else {})}
            found.append(Asked("", shape, one, whole("n", n), said))
    return found


def _listed(arrays: Arrays, cases: Any, given: Mapping[str, Any]) -> list[Asked]:
    if not _is_list(cases) or not len(cases) or not all(isinstance(one, Case) for one in cases):
        other = next((one for one in cases if not isinstance(one, Case)), cases) if _is_list(cases) else cases
        remedy = "give a list of basins.Case(problem, law, n, ...), or a basins.Sweep"
        raise ArgumentError(short(other), where="cases", remedy=remedy)
    if given:
        what = f"a list of cases and {', '.join(given)} at once"
        raise ArgumentError(what, where="cases", remedy="give these to each basins.Case")
    found = []
    for case in cases:
        if isinstance(case.landscape, Problem):
            made_of, shape = arrays.tables_of(case.landscape), shape_text(case.landscape)
        elif case.table:
            made_of, shape = {"landscape": dict(case.table)}, case.landscape.size_text
        else:
            what = f"the table of its {case.landscape.kind} is not with it, as of a case that was read from a run"
            raise ArgumentError(what, where=f"case {case.name!r}", remedy="give landscape={...}, a law and n")
        settings = {one: getattr(case.settings, one) for one in case.settings.__dataclass_fields__}
        said = {**made_of, "law": _law_table(case.law), "engine": engine_table(settings)}
        if case.dynamics_kind:
            said["dynamics"] = case.dynamics_table
        found.append(Asked(case.name, shape, case.law, case.trajectories, said))
    return found


def _problems(arrays: Arrays, problems: Sequence[Problem], tables: Mapping[str, Any]) -> list[tuple[str, Tables]]:
    """Shape and tables of each problem, or of what the tables say."""
    given = {name: value for name, value in tables.items() if value is not None}
    if problems:
        if given:
            what = f"a problem and {', '.join(given)} at once"
            raise ArgumentError(what, where="problem", remedy="leave one out: a problem has its data and its network")
        return [(shape_text(one), arrays.tables_of(one)) for one in problems]
    if "landscape" not in given and len(given) < 2:
        lacking, example = ("network", EXAMPLES["network"]) if "data" in given else ("data", "(X, Y)")
        raise ArgumentError("missing", where=lacking, remedy=f"give {lacking}={example}")
    said = {name: _table(name, value) for name, value in given.items() if name != "data"}
    if "data" in given:
        said["data"] = _data_table(arrays, given["data"])
    return [("", said)]


def _one_or_more(name: str, value: Any, several: str, check: Any) -> list[Any]:
    if not _is_list(value):
        return [check(value)]
    if not len(value):
        raise ArgumentError("an empty list", where=name, remedy=f"give {several}")
    return [check(one) for one in value]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _dynamics_table(dynamics: Dynamics) -> Tables:
    kind = import_path(dynamics)
    return {"kind": kind, **dynamics.to_dict()} if kind else {}


def _law_table(law: Law) -> Tables:
    return {"name": law.name, **law.parameters()}


def _table(name: str, value: Any) -> Tables:
    if not isinstance(value, Mapping):
        remedy = f"give its keys, such as {EXAMPLES[name]}"
        raise ArgumentError(f"{short(value)} is no table", where=name, remedy=remedy)
    return dict(plain(value))


def _data_table(arrays: Arrays, value: Any) -> Tables:
    """The table [data] of X and Y, or the keys that name a file or another source."""
    if isinstance(value, tuple | list) and len(value) == 2:
        value = {"X": value[0], "Y": value[1]}
    if not isinstance(value, Mapping) or not {"X", "Y"} & set(value):
        return _table("data", value)
    rest = {key: inner for key, inner in value.items() if key not in ("X", "Y", "standardise", "intercept")}
    if rest:
        what = f"arrays and a {next(iter(rest))} at once"
        raise ArgumentError(what, where="data", remedy="give X and Y, or the keys of a file or another source")
    for key in ("X", "Y"):
        if key not in value:
            raise ArgumentError("missing", where=f"data, {key}", remedy="give both X and Y, a row a sample")
    options = {key: value[key] for key in ("standardise", "intercept") if key in value}
    return arrays.data_table(samples_of(value["X"], value["Y"], **options))


# --- names ----------------------------------------------------------------------------------------------------


def named(asked: Sequence[Asked], name: str) -> list[str]:
    """The name of each case: its own, or what tells it from the others; the experiment's, where it is alone."""
    if len(asked) == 1:
        return [asked[0].name or name]
    usual = engine_table(asdict(Settings()))
    engines = [{key: value for key, value in one.tables["engine"].items() if value != usual.get(key)} for one in asked]
    varied = [key for key in sorted(set().union(*engines)) if len({repr(one.get(key)) for one in engines}) > 1]
    settings = [", ".join(f"{key} {one[key]}" for key in varied if key in one) for one in engines]
    parts = [(one.shape, law_text(one.law), said) for one, said in zip(asked, settings, strict=True)]
    differ = [len({part[k] for part in parts}) > 1 for k in range(3)]
    made = [", ".join(part[k] for k in range(3) if differ[k] and part[k]) or part[0] or name for part in parts]
    found = [one.name or alternative for one, alternative in zip(asked, made, strict=True)]
    times, seen = Counter(found), Counter[str]()
    for k, one in enumerate(found):
        if times[one] > 1 and not asked[k].name:
            seen[one] += 1
            found[k] = f"{one} ({seen[one]})"
    return found


# --- documents ------------------------------------------------------------------------------------------------


OF_ARRAYS = ("data.standardise", "data.intercept")
"""The keys of [data] that say something of arrays."""


def documents(
    arrays: Arrays, asked: Sequence[Asked], names: Sequence[str], cases: Any, head: Tables
) -> list[tuple[Tables, str]]:
    """The document of each, with its place for error messages. cases: the Sweep that multiplies each, if any."""
    sweep = cases.values if isinstance(cases, Sweep) else {}
    found = []
    for one, name in zip(asked, names, strict=True):
        if one.tables.get("data", {}).get("path") in arrays.files:
            for key in sweep:
                if key.startswith("data.") and key not in OF_ARRAYS:
                    remedy = f"of arrays sweep {' or '.join(OF_ARRAYS)}, or give a list of problems"
                    raise ArgumentError("the data are arrays", where=f"Sweep, {key!r}", remedy=remedy)
        tables = {
            table: {key: value for key, value in keys.items() if f"{table}.{key}" not in sweep}
            for table, keys in one.tables.items()
        }
        place = WHERE if len(asked) == 1 else f"{WHERE}: case {name!r}"
        found.append(({**head, **tables, "name": name, "trajectories": one.n, "sweep": dict(sweep)}, place))
    return found


@contextmanager
def case_builder(arrays: Arrays) -> Iterator[CaseBuilder]:
    """The case builder of an experiment. While it is open, data.npz is in a temporary folder, as later in the run."""
    with ExitStack() as stack:
        base = Path(stack.enter_context(TemporaryDirectory(prefix="basins-"))) if arrays.files else Path()
        for name, content in arrays.files.items():
            (base / name).write_bytes(content)
        yield CaseBuilder(base, {_key(tables): problem for tables, problem in arrays.made})


def _key(tables: Tables) -> tuple[str, str]:
    kind = SpectrumData if "source" in tables["data"] else FileData
    return tables_key(kind(**tables["data"]), Network(**tables["network"]))

"""A case: a landscape, a law and engine settings, with the key that names it by its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, TypedDict, Unpack

import numpy as np

from basins.classification.classify_batch import refuse_unproved
from basins.dynamics.base import Dynamics
from basins.dynamics.gradient_flow import FLOW
from basins.dynamics.named import dynamics_of, import_path
from basins.errors import ArgumentError, BasinsError, ExperimentError, nearest
from basins.experiment.checks import a_dynamics, a_law, a_name, a_problem, plain, whole
from basins.experiment.document import Engine, validated
from basins.experiment.made import Made
from basins.integrators import engine_of, method_of
from basins.integrators.base import Settings, refuse_settings
from basins.landscapes.base import Landscape
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.named import landscape_class
from basins.later import defaults_of_later_fields, without_defaults
from basins.laws import Law, law_of


class EngineSettings(TypedDict, total=False):
    """The keys of [engine], by the names that `basins.integrate` has for them."""

    engine: str
    method: str | None
    rtol: float
    atol: float
    t_end: float
    certify: bool
    at_start: bool
    budget: int
    delta: float
    compress: bool


@dataclass(frozen=True, eq=False, init=False)
class Case(Made):
    """A problem, a law and engine settings, and how many trajectories.

        basins.Case(problem, basins.Gaussian(0.5), n=100_000, name="gaussian", rtol=1e-6)

    trajectories: how many; source: what the problem is of, in words; reading: how its data were read, a line each,
    where they were read here and now; kind: the import path of another landscape's class, "" for a deep linear network;
    table: the table [landscape] of that; dynamics: how a state moves; dynamics_kind: the import path of its class, ""
    for the gradient flow.
    """

    name: str
    landscape: Landscape
    law: Law
    settings: Settings
    trajectories: int
    source: str = ""
    reading: tuple[str, ...] = ()
    kind: str = ""
    table: Mapping[str, Any] = field(default_factory=dict)
    dynamics: Dynamics = FLOW
    dynamics_kind: str = ""

    def __init__(
        self,
        problem: Problem,
        law: Law,
        n: int,
        *,
        name: str = "",
        dynamics: Dynamics = FLOW,
        **settings: Unpack[EngineSettings],
    ) -> None:
        """problem: `Problem.from_data` or `Problem.from_spectrum` makes one; law: such as `basins.Gaussian(0.5)`; n:
        how many trajectories; name: by default what tells it from the other cases of its experiment; dynamics: another
        one than the gradient flow (dynamics/base.py), whose class workers can import; settings: those of
        `basins.integrate`.

        Raises ArgumentError for what is no such thing, ExperimentError for settings without a meaning.
        """
        where = f"case {name!r}" if name else "case"
        self._fill(
            name=a_name(name) if name != "" else "",
            landscape=a_problem(problem),
            law=a_law(law),
            settings=settings_of(engine_table(settings), where, a_dynamics(dynamics)),
            trajectories=whole("n", n),
            dynamics=dynamics,
            dynamics_kind=import_path(dynamics),
        )
        refuse_unproved(self.landscape, dynamics, self.settings.certify)
        self.law.check(self.landscape)

    def __repr__(self) -> str:
        said = {name: value for name, value in spelt_out(self.settings).items() if value != getattr(Settings, name)}
        if self.dynamics_kind:
            said["dynamics"] = self.dynamics
        words = [f"{name}={value!r}" for name, value in ({"name": self.name} | said).items()]
        return f"Case({self.landscape!r}, {self.law!r}, n={self.trajectories}, {', '.join(words)})"

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
            raise ArgumentError(what, where="case", remedy="this is available only for the gradient flow")
        if not isinstance(self.landscape, Problem):
            what = f"the landscape of case {self.name!r} is {self.landscape.kind}"
            raise ArgumentError(what, where="case", remedy="this is available only for deep linear networks")
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
        return cls.made(
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


# --- settings -------------------------------------------------------------------------------------------------


def refuse_unknown(settings: Mapping[str, Any], others: Iterable[str] = ()) -> None:
    """Raises ArgumentError for a name that is none of `EngineSettings`. others: what the caller takes besides."""
    known = [*EngineSettings.__annotations__, *others]
    for name in settings:
        if name not in EngineSettings.__annotations__:
            raise ArgumentError(f"no setting {name!r}", where=name, remedy=nearest(name, known))


def engine_table(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names of `EngineSettings` as the table [engine]. Raises ArgumentError for an unknown name."""
    refuse_unknown(settings)
    table = {name: plain(value) for name, value in settings.items() if (name, value) != ("method", None)}
    return {"name" if name == "engine" else name: value for name, value in table.items()}


def settings_of(values: Mapping[str, Any], where: str, dynamics: Dynamics = FLOW) -> Settings:
    """The settings of a table [engine], for this dynamics. Raises ExperimentError."""
    table = validated(Engine, values, where, "engine")
    try:
        engine = engine_of(table.name)
        method = method_of(engine, table.method, dynamics)
    except ArgumentError as error:
        key = "name" if error.where == "engine" else error.where
        raise ExperimentError(error.what, where=f"{where}: engine.{key}", remedy=error.remedy) from None
    numbers: dict[str, Any] = {one.name: getattr(table, one.name, None) for one in fields(Settings)}
    try:
        settings = Settings(**{**numbers, "engine": engine.name, "method": method})
        refuse_settings(settings, dynamics)
        return settings
    except ArgumentError as error:
        raise placed(error, where, "engine") from None


def spelt_out(settings: Settings) -> dict[str, Any]:
    """Every setting, except those that were declared `LATER` and have their default (later.py)."""
    return without_defaults(asdict(settings), defaults_of_later_fields(settings))


def _settings_to_dict(settings: Settings) -> dict[str, Any]:
    values = spelt_out(settings)
    values["t_end"] = "inf" if np.isinf(settings.t_end) else settings.t_end  # JSON has no infinity
    return values


def placed(error: BasinsError, where: str, table: str) -> BasinsError:
    """The refusal of a value from this table; DataError and AssumptionError keep their types."""
    place = f"{table}.{error.where}" if error.where.isidentifier() else ": ".join(filter(None, (table, error.where)))
    kind = ExperimentError if isinstance(error, ArgumentError) else type(error)
    return kind(error.what, where=f"{where}: {place}", remedy=error.remedy)

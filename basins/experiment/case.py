"""A case: a landscape, a law and engine settings, with the key that names it by its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from basins.dynamics.base import Dynamics
from basins.dynamics.gradient_flow import FLOW
from basins.dynamics.named import dynamics_of
from basins.errors import ArgumentError
from basins.integrators.base import Settings
from basins.landscapes.base import Landscape
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.named import landscape_class
from basins.later import defaults_of_later_fields, without_defaults
from basins.laws import Law, law_of


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


def spelt_out(settings: Settings) -> dict[str, Any]:
    """Every setting, except those that were declared `LATER` and have their default (later.py)."""
    return without_defaults(asdict(settings), defaults_of_later_fields(settings))


def _settings_to_dict(settings: Settings) -> dict[str, Any]:
    values = spelt_out(settings)
    values["t_end"] = "inf" if np.isinf(settings.t_end) else settings.t_end  # JSON has no infinity
    return values

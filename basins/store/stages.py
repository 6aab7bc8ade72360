"""The earlier stages of a run that has grown: what it was before each growth, as its manifest keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StagedCase:
    """A case as it was in a stage. last: SHA-256 of the rows of its last shard, where that was short and committed."""

    key: str
    name: str
    trajectories: int
    last: str | None = None

    def to_dict(self) -> dict[str, Any]:
        last = {} if self.last is None else {"last": self.last}
        return {"key": self.key, "name": self.name, "trajectories": self.trajectories, **last}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StagedCase:
        return cls(content["key"], content["name"], content["trajectories"], content.get("last"))


@dataclass(frozen=True)
class Stage:
    """One stage. digest: of the experiment that it was run with; cases: in the order that they had."""

    digest: str
    cases: tuple[StagedCase, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"digest": self.digest, "cases": [case.to_dict() for case in self.cases]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Stage:
        return cls(content["digest"], tuple(map(StagedCase.from_dict, content["cases"])))

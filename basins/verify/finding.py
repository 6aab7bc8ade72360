"""One problem with one file of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Trouble(Enum):
    """The kind of damage, which decides what a repair does."""

    manifest = "what the run is"  # a person must correct it before anything else can be checked
    shard = "bytes of a shard"  # set aside, computed again, compared with the digests
    content = "rows of a shard"  # wrong when written: set aside with its digests, computed again
    digests = "digests"  # set aside, written again from the shards
    proofs = "proofs of starts"  # set aside: the command that proved them proves them again
    data = "data of the experiment"  # a person puts back a copy: nothing else in the run has all of it
    cases = "table of cases"  # set aside, written again from the manifest
    stray = "no file of this run"  # set aside
    computed = "computed otherwise"  # a person must look: the same run must give the same bytes


@dataclass(frozen=True)
class Finding:
    """A file, the problem with it, and the shard it belongs to. case: its key; case and shard are None for a file that
    belongs to no shard; layer: 0 for the base."""

    path: str
    what: str
    trouble: Trouble
    case: str | None = None
    shard: int | None = None
    layer: int = 0

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "what": self.what,
            "trouble": self.trouble.value,
            "case": self.case,
            "shard": self.shard,
            "layer": self.layer,
        }

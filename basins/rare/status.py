"""The progress of a tail, read from its files alone: which splitting levels are committed, and how deep they are."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from basins.rare.combine import FEWEST
from basins.rare.record import LEVELS_OF, TailManifest, read_levels, read_manifest
from basins.rare.replicates import PILOT
from basins.store import Files


@dataclass(frozen=True)
class ReplicateStatus:
    """A replicate, or the pilot (number 0). levels: committed ones; threshold, P: of the last (nan: none), P of this
    replicate alone; ending: why it is over, "" while it is not."""

    number: int
    levels: int
    threshold: float
    P: float
    ending: str
    trajectories: int
    evaluations: int

    @property
    def ended(self) -> bool:
        return bool(self.ending)


@dataclass(frozen=True)
class CaseStatus:
    """A case. of: the levels that each replicate goes through, known once the pilot is over, else None."""

    case: str
    name: str
    of: int | None
    pilot: ReplicateStatus
    replicates: tuple[ReplicateStatus, ...]

    @property
    def complete(self) -> int:
        """The replicates that are over, counted from the first without a gap: those that an estimate uses."""
        return next((k for k, one in enumerate(self.replicates) if not one.ended), len(self.replicates))


@dataclass(frozen=True)
class TailStatus:
    """The state of a tail. finished: no replicate that was begun is unfinished, and there are enough for an interval.
    How many were asked for is not kept: more may be asked for at any time."""

    path: str
    experiment: str
    target: float
    stratum: int | None
    cases: tuple[CaseStatus, ...]

    @property
    def finished(self) -> bool:
        return all(
            one.pilot.ended and len(one.replicates) >= FEWEST and one.complete == len(one.replicates)
            for one in self.cases
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a threshold that is not there yet is None."""
        found = asdict(self) | {"tail": True, "finished": self.finished}
        for case, status in zip(found["cases"], self.cases, strict=True):
            case["complete"] = status.complete
            for one in (case["pilot"], *case["replicates"]):
                one |= {name: None for name in ("threshold", "P") if math.isnan(one[name])}
        return found


def status_of(files: Files) -> TailStatus:
    """The current status of the tail in these files. Raises RunError if there is none or it is damaged."""
    manifest = read_manifest(files)
    cases = tuple(_case(files, manifest, one.key, one.name) for one in manifest.cases)
    return TailStatus(files.uri, manifest.name, manifest.plan.target, manifest.plan.stratum, cases)


def _case(files: Files, manifest: TailManifest, key: str, name: str) -> CaseStatus:
    pilot = _replicate(files, key, PILOT)
    begun = sorted({int(found[1]) for path in files.paths(f"levels/case={key}/") if (found := LEVELS_OF.match(path))})
    replicates = tuple(_replicate(files, key, number) for number in range(1, max(begun, default=0) + 1))
    of = sum(one.result.p > 0 for one in read_levels(files, key, PILOT)) if pilot.ended else None
    return CaseStatus(key, name, of, pilot, replicates)


def _replicate(files: Files, key: str, number: int) -> ReplicateStatus:
    levels = read_levels(files, key, number)
    last = levels[-1] if levels else None
    return ReplicateStatus(
        number=number,
        levels=len(levels),
        threshold=math.nan if last is None else last.threshold,
        P=math.nan if last is None else math.exp(last.log_P),
        ending="" if last is None else last.ending,
        trajectories=sum(one.result.trajectories for one in levels),
        evaluations=sum(one.result.evaluations for one in levels),
    )

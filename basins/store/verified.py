"""RUN/verified: rows whose labels were checked by a tighter re-integration, and the outcomes, kept for `estimate`.

Each file holds one sample of rows. It is named by the sample's seed and a digest of the sampled ids: the same command
on the same run writes the same file, another seed writes another one, and no check overwrites the outcome of another.
These files are outside the promise about bytes, because they depend on the versions that did the check.

The outcome for a row labelled `minimum` or `saddle` is `agreed` (the same verdict, for a saddle the same stratum),
`disagreed`, or `undecided` (the re-integration was censored). For a `censored` row it is `minimum`, `saddle` or
`undecided`.

A sample says what it was drawn from, so that it counts for those rows only: the shards of each case, the layers over
them, and a SHA-256 over the digests of all of these. Rows that came later, were decided by a later layer or were
computed again to different bytes could not have been drawn. Files of earlier versions do not say it, so what their
samples were drawn from is unknown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from basins.errors import RunError
from basins.laws import BLOCK
from basins.store import layout
from basins.store.digests import trajectory_digests
from basins.store.files import Files
from basins.store.folder import Folder
from basins.store.layers import numbers, ranges
from basins.store.manifest import Manifest, canonical_json

OUTCOMES = {
    "minimum": ("agreed", "undecided", "disagreed"),
    "saddle": ("agreed", "undecided", "disagreed"),
    "censored": ("undecided", "minimum", "saddle"),
}
"""The possible outcomes by verdict. Where files differ about a row, the outcome listed last here is taken, and a row
that was censored in one of them (and extended since) counts by its later verdict."""

Outcome = tuple[str, str]
"""A row's verdict, and the outcome of its check."""

Rows = Mapping[str, Mapping[int, Outcome]]
"""Case key -> id -> outcome."""


@dataclass(frozen=True)
class DrawnFrom:
    """The population of a sample in one case. shards: ascending; layers: the number of each layer over some of them ->
    the shards it covers; sha256: over the digests of their rows, base first.
    """

    shards: tuple[int, ...]
    layers: Mapping[int, tuple[int, ...]]
    sha256: str

    @classmethod
    def of(cls, shards: Sequence[int], layers: Mapping[int, Sequence[int]], digests: Iterable[str]) -> DrawnFrom:
        """digests: SHA-256 of the trajectory files of the base, then of each layer, in order."""
        over = {number: tuple(layers[number]) for number in sorted(layers) if layers[number]}
        return cls(tuple(shards), over, hashlib.sha256("\n".join(digests).encode()).hexdigest())

    def still(self, files: Files, case: str) -> bool:
        """Whether the run still has the bytes that the sample was drawn from."""
        return self == self.moved(files, case)

    def outgrown(self, files: Files, manifest: Manifest, case: str) -> frozenset[int] | None:
        """Of a sample whose bytes are there, but for a short last shard that a longer one has replaced: that shard,
        none where all are there. None where others differ. The manifest has the SHA-256 of the shard as it was."""
        digests = trajectory_digests(files, case, self.shards)
        over = [
            digest
            for number, shards in self.layers.items()
            for digest in trajectory_digests(Folder(files, layout.layer(number)), case, shards)
        ]
        if self == DrawnFrom.of(self.shards, self.layers, [*digests, *over]):
            return frozenset()
        for stage in manifest.stages:
            for one in stage.cases:
                shard = one.trajectories // (BLOCK * manifest.blocks_per_shard)
                if one.key == case and one.last is not None and shard in self.shards:
                    as_they_were = [*digests]
                    as_they_were[self.shards.index(shard)] = one.last
                    if self == DrawnFrom.of(self.shards, self.layers, [*as_they_were, *over]):
                        return frozenset([shard])
        return None

    def moved(self, files: Files, case: str) -> DrawnFrom:
        """The same shards and layers in a run that has the same rows in other bytes (migration.py)."""
        digests = trajectory_digests(files, case, self.shards)
        for number, shards in self.layers.items():
            digests += trajectory_digests(Folder(files, layout.layer(number)), case, shards)
        return DrawnFrom.of(self.shards, self.layers, digests)

    def where(self) -> dict[str, Any]:
        """Shards and layers in the form stored as JSON."""
        layers = {str(number): ranges(shards) for number, shards in self.layers.items()}
        return {"shards": ranges(self.shards), "layers": layers}

    def to_dict(self) -> dict[str, Any]:
        return self.where() | {"sha256": self.sha256}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> DrawnFrom:
        layers = {int(number): tuple(numbers(shards)) for number, shards in content["layers"].items()}
        return cls(tuple(numbers(content["shards"])), layers, str(content["sha256"]))


@dataclass(frozen=True)
class Sample:
    """The content of one file. layers: number of shards in all of the run's layers at the time; drawn_from: by case
    key, None if the file does not say; sizes: number of rows of each verdict that the sample was drawn from, over the
    laws with a density.
    """

    path: str
    layers: int
    rows: Rows
    drawn_from: Mapping[str, DrawnFrom] | None
    sizes: Mapping[str, int]


def write_checks(
    files: Files,
    manifest: Manifest,
    seed: int,
    rows: Rows,
    details: Mapping[str, Any],
    drawn_from: Mapping[str, DrawnFrom] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> str:
    """Write the outcomes of a sample. Returns the file's path. details: what else the file keeps, as JSON values; it
    must have "layers"."""
    cases: dict[str, dict[str, dict[str, list[int]]]] = {}
    for case, found in rows.items():
        for id, (verdict, outcome) in sorted(found.items()):
            cases.setdefault(case, {}).setdefault(verdict, {}).setdefault(outcome, []).append(id)
    ids = canonical_json({case: sorted(found) for case, found in rows.items()})
    path = layout.verified(seed, hashlib.sha256(ids).hexdigest()[:12])
    content = {**details, "experiment": manifest.digest, "seed": seed, "cases": cases}
    if drawn_from is not None:
        content["drawn_from"] = {case: one.to_dict() for case, one in drawn_from.items()}
        content["sizes"] = dict(sizes or {})
    files.put(path, canonical_json(content))
    return path


def read_checks(files: Files, manifest: Manifest, paths: Iterable[str] | None = None) -> list[Sample]:
    """All samples checked of this run, or those in `paths`. Raises RunError for a damaged file."""
    found = []
    for path in filter(layout.is_record, files.paths(layout.VERIFIED)) if paths is None else paths:
        try:
            found.append(_read(path, json.loads(files.get(path)), manifest))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"{path} is damaged ({error})",
                where=files.uri,
                remedy="move it away; `basins verify` writes it again",
            ) from None
    return found


def _read(path: str, content: Any, manifest: Manifest) -> Sample:
    if "drawn_from" not in content and content["experiment"] not in manifest.digests():
        raise ValueError("it is of another experiment")  # a later file names the bytes that it was drawn from
    rows: dict[str, dict[int, Outcome]] = {}
    for case, by_verdict in content["cases"].items():
        for verdict, by_outcome in by_verdict.items():
            for outcome, ids in by_outcome.items():
                OUTCOMES[verdict].index(outcome)  # raises ValueError for an unknown word
                rows.setdefault(case, {}).update(dict.fromkeys(map(int, ids), (verdict, outcome)))
    drawn_from = None
    if "drawn_from" in content:
        drawn_from = {case: DrawnFrom.from_dict(one) for case, one in content["drawn_from"].items()}
    sizes = {verdict: int(rows) for verdict, rows in content.get("sizes", {}).items()}
    return Sample(path, int(content["layers"]), rows, drawn_from, sizes)


def worse(one: Outcome, other: Outcome) -> Outcome:
    """The outcome that counts for a row that was checked twice."""
    return max(one, other, key=_weight)


def _weight(found: Outcome) -> tuple[bool, int]:
    verdict, outcome = found
    return verdict != "censored", OUTCOMES[verdict].index(outcome)

"""Compares a run with an undisturbed run of the same plan: every byte, every id exactly once, no debris."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from basins.run_tables import open_run
from basins.store import Files, layout

Contents = dict[str, bytes]


def contents(files: Files) -> Contents:
    """Every file whose bytes are reproducible: all but telemetry."""
    return {path: files.get(path) for path in files.paths("") if not path.startswith("telemetry/")}


@dataclass(frozen=True)
class Comparison:
    """The differences, by file name, and the numbers of rows that are lost or doubled."""

    files: int
    absent: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    debris: list[str] = field(default_factory=list)
    undigested: list[str] = field(default_factory=list)
    rows: int = 0
    lost: int = 0
    doubled: int = 0

    def wrong(self) -> list[str]:
        """A line for every kind of difference; empty if the runs are equal."""
        kinds = ("absent", "foreign", "different", "debris", "undigested")
        named = {kind: getattr(self, kind) for kind in kinds}
        lines = [f"{len(names)} files {kind}: {', '.join(names[:3])}" for kind, names in named.items() if names]
        return lines + [f"{count} rows {kind}" for kind in ("lost", "doubled") if (count := getattr(self, kind))]


def compare(files: Files, undisturbed: Contents) -> Comparison:
    """Compare the run in `files`, after a start that had nothing to do, with the bytes of an undisturbed run.

    Ids are counted in the rows as a reader sees them, independently of the bytes; digests are checked on the bytes.
    """
    found = contents(files)
    rows = lost = doubled = 0
    if layout.MANIFEST in found:
        run = open_run(files.uri)
        for case in run.manifest.cases:
            times = np.bincount(run.trajectories(case.key, ["id"])["id"].to_numpy(), minlength=case.trajectories)
            rows += int(times.sum())
            lost += int((times[: case.trajectories] == 0).sum())
            doubled += int((times - 1).clip(0).sum()) + int(times[case.trajectories :].clip(0, 1).sum())
    both = sorted(found.keys() & undisturbed.keys())
    return Comparison(
        files=len(found),
        absent=sorted(undisturbed.keys() - found.keys()),
        foreign=sorted(found.keys() - undisturbed.keys()),
        different=[path for path in both if found[path] != undisturbed[path]],
        debris=files.sweep(),
        undigested=_undigested(found),
        rows=rows,
        lost=lost,
        doubled=doubled,
    )


def _undigested(found: Contents) -> list[str]:
    """Files of shards whose SHA-256 differs from the one in RUN/digests."""
    recorded: dict[str, str] = {}
    for path, content in found.items():
        if path.startswith("digests/"):
            for line in content.decode().splitlines():
                sha, name = line.split("  ")
                recorded[name] = sha
    parts = [path for path in found if path.startswith(layout.COMMIT_ORDER)]
    return sorted(path for path in parts if recorded.get(path) != hashlib.sha256(found[path]).hexdigest())

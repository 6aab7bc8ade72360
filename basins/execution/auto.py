"""`--on auto`: which runner does what is missing, and why. No byte depends on it.

Ray, where an address is given: that is where the workers are. Otherwise worker processes, or this process alone where
workers would not help: where one shard is missing, or where all of it takes about as long as workers take to start.
How long it takes is known from the run's telemetry, or the first trajectories are timed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from basins.execution.base import cores
from basins.experiment import Case, Experiment
from basins.experiment.pilot import seconds_a_trajectory
from basins.store import Files, layout
from basins.store.manifest import Manifest

AUTO = "auto"

START = 4.0
"""Seconds that worker processes take to start and compile, beyond what this process takes to compile. Measured on two
busy cores: 2.7 s until the first one was ready, 3.2 s more until it had compiled; 1.5 s here."""

LOOK = 1.0
"""Seconds that the timing of first trajectories may take, besides what is compiled once."""


@dataclass(frozen=True)
class Choice:
    """A runner by name, and why, in words."""

    name: str
    why: str

    def said(self) -> str:
        return f"--on auto: {self.name}, for {self.why}"


def by_address(address: str | None) -> Choice | None:
    """Ray, where its address is given, or this process is connected to one."""
    if address:
        return Choice("ray", f"the cluster at {address} is named")
    if os.environ.get("RAY_ADDRESS"):
        return Choice("ray", f"RAY_ADDRESS is {os.environ['RAY_ADDRESS']}")
    ray = sys.modules.get("ray")
    if ray is not None and getattr(ray, "is_initialized", lambda: False)():
        return Choice("ray", "this process is connected to a Ray")
    return None


def by_work(shards: int, seconds: float | None, workers: int | None, deadline: float | None) -> Choice:
    """A runner on this machine for so many missing shards. seconds: what they take on one core, None where it is not
    known."""
    many = workers or cores()
    if not shards:
        return Choice("inline", "nothing is missing")
    if deadline is not None:
        return Choice("processes", "a deadline can be kept by worker processes alone")
    if shards == 1:
        return Choice("inline", "one shard is missing, which one worker does")
    if many == 1:
        return Choice("inline", "there is one core")
    if seconds is None:
        return Choice("processes", f"{shards:,} shards are missing")
    apart = START + seconds / min(many, shards)
    took = f"what is missing takes about {_seconds(seconds)} on one core"
    if seconds <= apart:
        return Choice("inline", f"{took}, no longer than with workers, which take {START:g} s to start")
    return Choice("processes", f"{took}")


def _seconds(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 60
        else f"{seconds / 60:,.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:,.0f} h"
    )


def seconds_of(
    files: Files, experiment: Experiment, manifest: Manifest, missing: Mapping[str, Sequence[int]]
) -> float | None:
    """About how long the missing shards take on one core; None where a look at the largest case is enough to see that
    it is long."""
    rates = rates_of(files)
    total = 0.0
    for case in sorted(manifest.cases, key=lambda case: -_rows(manifest, case, missing)):
        rows = _rows(manifest, case, missing)
        if not rows:
            continue
        rate = rates.get(case.key)
        if rate is None:
            rate = seconds_a_trajectory(experiment, case, LOOK)
        total += rows * rate
        if total > 100 * START:
            break  # long enough, whatever the others take
    return total


def _rows(manifest: Manifest, case: Case, missing: Mapping[str, Sequence[int]]) -> int:
    return sum(len(manifest.ids(case, shard)) for shard in missing.get(case.key, ()))


def rates_of(files: Files) -> dict[str, float]:
    """Seconds a trajectory by case key, as far as the run's telemetry says."""
    import json

    seconds: dict[str, float] = {}
    rows: dict[str, int] = {}
    for path in filter(layout.is_telemetry, files.paths("telemetry/")):
        for text in files.get(path).decode(errors="replace").splitlines():
            try:
                line = json.loads(text)
                if line["event"] == "ShardDone" and line["computed"]:
                    case = line["case"]
                    took, many = float(line["seconds"]), int(line["trajectories"])
                    seconds[case], rows[case] = seconds.get(case, 0.0) + took, rows.get(case, 0) + many
            except (ValueError, KeyError, TypeError):
                continue  # status says what is damaged; nothing depends on it here
    return {case: seconds[case] / rows[case] for case in seconds if rows[case]}

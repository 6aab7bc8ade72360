"""The progress of a run, read from its store alone, without a connection to its driver or workers.

Shards that are done are those that are committed: one listing per case. Counts, rates and losses come from the drivers'
telemetry, which has a line per shard. Shards without a line (their driver was killed before it wrote) are read from
their blocks, at most BLOCKS of them, so that the status of a run of 10^5 shards stays quick. Bounds do not use these
counts: `estimate` reads the run itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from basins.called_late import Printed
from basins.errors import RunError
from basins.store import Files, layout, parquet, read_manifest
from basins.store.committed import shards_there, short_shards
from basins.store.layers import Layer, read_layers
from basins.store.manifest import Manifest

BLOCKS = 200
"""The most shards without a line of telemetry whose blocks are read for one status."""

RECENT = 600.0
"""Seconds over which the rate is averaged, or fewer if the driver started later."""

SILENCE, SHARDS_OF_SILENCE = 60.0, 3.0
"""A driver counts as stalled if it is silent for longer than SILENCE plus SHARDS_OF_SILENCE times its longest shard."""

LOSSES = 3
"""The number of losses that are shown."""

Line = dict[str, Any]
VERDICTS = ("minimum", "saddle", "censored")


@dataclass(frozen=True)
class Part:
    """A case of the base or of a layer. trajectories: in all its shards; done: in committed shards, as far as known
    (`counted` shards); the counts by verdict cover the latter."""

    case: str
    name: str
    shards: int
    shards_done: int
    trajectories: int
    counted: int = 0
    done: int = 0
    minimum: int = 0
    saddle: int = 0
    censored: int = 0
    evaluations: int = 0


@dataclass(frozen=True)
class Activity:
    """What drivers report about the base, or about the top layer. state: "complete", "running", "stalled", "stopped" or
    "not begun"; rate: trajectories/s; seconds_left: at that rate; silent: seconds since a driver's last line."""

    state: str
    rate: float = 0.0
    seconds_left: float | None = None
    silent: float | None = None
    losses: int = 0
    last_losses: tuple[Line, ...] = ()


@dataclass(frozen=True)
class LayerStatus:
    """The base (number 0, budget None) or a layer."""

    number: int
    budget: int | None
    parts: tuple[Part, ...]

    @property
    def complete(self) -> bool:
        return all(part.shards_done == part.shards for part in self.parts)


@dataclass(frozen=True, repr=False)
class Status(Printed):
    """The state of a run: its base and its layers, the lowest first; the activity is that of the top one. sizes: its
    trajectories in each stage, of a run that has grown more than one."""

    path: str
    experiment: str
    levels: tuple[LayerStatus, ...]
    activity: Activity = field(default_factory=lambda: Activity("not begun"))
    sizes: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def counts(self) -> dict[str, int]:
        """Counts by verdict so far. The rows of a layer, which were censored before, replace those below."""
        base, *layers = self.levels
        found = {name: sum(getattr(part, name) for part in base.parts) for name in VERDICTS}
        for layer in layers:
            for part in layer.parts:
                found["censored"] -= part.done
                for name in VERDICTS:
                    found[name] += getattr(part, name)
        return found


class Watcher:
    """Reads the status of a run repeatedly; full telemetry files are read only once."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.look_at_manifest()
        self.full: dict[str, list[Line]] = {}

    def look_at_manifest(self) -> None:
        """Read the manifest, which changes where the run grows."""
        self.manifest = read_manifest(self.files)

    def look(self, now: float | None = None) -> Status:
        """The current status. now: seconds since 1970. Raises RunError for a damaged run."""
        now = time.time() if now is None else now
        self.look_at_manifest()
        layers = read_layers(self.files, self.manifest)
        levels = [self._level(self.files, self.manifest, 0, None, log := self.log())]
        for layer in layers:
            log = self.log(layout.layer(layer.number))
            levels.append(self._level(layer.files(self.files), layer, layer.number, layer.budget, log))
        top = levels[-1]
        stages = [sum(case.trajectories for case in stage.cases) for stage in self.manifest.stages]
        sizes = (*stages, sum(case.trajectories for case in self.manifest.cases))
        return Status(self.files.uri, self.manifest.name, tuple(levels), _activity(log, top, now), sizes)

    def _level(
        self, files: Files, contents: Manifest | Layer, number: int, budget: int | None, log: list[Line]
    ) -> LayerStatus:
        reported: dict[str, dict[int, Line]] = {}
        for line in log:
            if line["event"] == "ShardDone":
                reported.setdefault(line["case"], {})[line["shard"]] = line
        parts = []
        for case in contents.cases:
            there = shards_there(files, "trajectories", case.key)
            short = short_shards(files, contents, case)
            lines = reported.get(case.key, {})
            for shard in contents.growing(case):  # a line may be of the shard as it was before the run grew
                length = short.get(shard, contents.lengths(case, shard)[0])
                if shard in lines and lines[shard]["trajectories"] != length:
                    del lines[shard]
            known = [lines[shard] for shard in there if shard in lines]
            unreported = [shard for shard in there if shard not in lines]
            known += [_from_blocks(files, case.key, shard) for shard in unreported[:BLOCKS]] if number == 0 else []
            total = case.trajectories if isinstance(contents, Manifest) else contents.trajectories[case.key]
            sums = {name: sum(line[name] for line in known) for name in (*VERDICTS, "evaluations")}
            done = sum(line["trajectories"] for line in known)
            parts.append(
                Part(
                    case.key,
                    case.name,
                    len(contents.shards(case)),
                    len(there) - len(short),
                    total,
                    len(known),
                    done,
                    **sums,
                )
            )
        return LayerStatus(number, budget, tuple(parts))

    def log(self, folder: str = "") -> list[Line]:
        """The lines of all drivers of the base or of one layer, by time, each with its driver."""
        lines: list[Line] = []
        for path in filter(layout.is_telemetry, self.files.paths(f"{folder}telemetry/")):
            found = self.full.get(path) or self._read(path)
            lines.extend(found)
        return sorted(lines, key=lambda line: float(line["time"]))

    def _read(self, path: str) -> list[Line]:
        driver = path.rpartition("/")[2].rpartition("-")[0]
        try:
            found = [{**json.loads(text), "driver": driver} for text in self.files.get(path).decode().splitlines()]
            assert all("time" in line and "event" in line for line in found)
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, AssertionError) as error:
            raise RunError(f"{path} is damaged ({error})", where=self.files.uri, remedy="move it away") from None
        if len(found) >= layout.TELEMETRY_LINES:
            self.full[path] = found
        return found


def seconds_spent(files: Files) -> dict[str, float]:
    """Seconds that workers took for the shards of each case, by key, as far as telemetry says."""
    spent: dict[str, float] = {}
    for line in Watcher(files).log():
        if line["event"] == "ShardDone" and line["computed"]:
            spent[line["case"]] = spent.get(line["case"], 0.0) + float(line["seconds"])
    return spent


def _from_blocks(files: Files, case: str, shard: int) -> Line:
    """A shard's line of telemetry, as far as it can be made from its blocks."""
    table = parquet.read(files, layout.part("blocks", case, shard), ["count", *VERDICTS, "evaluations"])
    sums = {name: sum(table[name].to_pylist()) for name in table.column_names}
    return {**sums, "trajectories": sums["count"]}


def _activity(log: list[Line], level: LayerStatus, now: float) -> Activity:
    """The drivers' activity, from the ends of their logs."""
    lost = [line for line in log if line["event"] == "AttemptLost"]
    last_losses = tuple(
        {name: line[name] for name in ("time", "case", "shard", "attempt", "cause")} for line in lost[-LOSSES:]
    )
    silent = max(0.0, now - float(log[-1]["time"])) if log else None
    rate, longest, working = _pace(log, now)
    if level.complete:
        state = "complete"
    elif not log or silent is None:
        state = "not begun"
    elif not working:
        state = "stopped"
    else:
        # Before the first shard is done, the duration of a shard is unknown.
        allowed = SILENCE + SHARDS_OF_SILENCE * longest if longest else float("inf")
        state = "running" if silent <= allowed else "stalled"
    left = sum(part.trajectories - part.done for part in level.parts)
    seconds = left / rate if state == "running" and rate > 0 else None
    return Activity(state, rate if state == "running" else 0.0, seconds, silent, len(lost), last_losses)


def _pace(log: list[Line], now: float) -> tuple[float, float, bool]:
    """The recent rate in trajectories/s; the seconds of the longest shard; whether a driver has started and not
    ended."""
    started = {line["driver"]: float(line["time"]) for line in log if line["event"] == "RunStarted"}
    for line in log:
        if line["event"] == "RunEnded":
            started.pop(line["driver"], None)
    done = [line for line in log if line["event"] == "ShardDone" and line["driver"] in started]
    if not done:
        return 0.0, 0.0, bool(started)
    longest = max(float(line["seconds"]) for line in done)
    # The rate starts with the first shard, when workers had started.
    since = max(now - RECENT, min(float(line["started"]) for line in done))
    recent = _trajectories(line for line in done if float(line["time"]) >= since)
    return recent / max(now - since, 1e-9), longest, True


def _trajectories(lines: Iterable[Line]) -> int:
    return sum(int(line["trajectories"]) for line in lines if line["computed"])

"""How a run stands, read from its store alone: no connection to whoever works.

What is done is what is committed: one listing a case. Counts, rates and losses are what drivers noted in telemetry, a
line a shard; shards that no line tells of (their driver was killed before it wrote) are read from their blocks, BLOCKS
of them at most, so that a look at a run of 10^5 shards stays a look. Bounds are not made of these counts: `estimate`
reads the run itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from basins.errors import RunError
from basins.store import Files, layout, parquet, read_manifest
from basins.store.committed import shards_there
from basins.store.layers import Layer, read_layers
from basins.store.manifest import Manifest

BLOCKS = 200
"""Shards without a line of telemetry whose blocks are read at one look."""

RECENT = 600.0
"""Seconds over which the rate is taken, or since the driver started."""

SILENCE, SHARDS_OF_SILENCE = 60.0, 3.0
"""A driver that has said nothing for so many seconds, and so many times its longest shard, is taken to have stalled."""

LOSSES = 3
"""Losses that are shown."""

Line = dict[str, Any]
VERDICTS = ("minimum", "saddle", "censored")


@dataclass(frozen=True)
class Part:
    """A case of the base or of a layer. trajectories: of all its shards; done: of those that are committed, as far as
    it is known (`counted` shards); the verdicts are of these."""

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
    """What drivers say of the base, or of the top layer. state: "complete", "running", "stalled", "stopped" or "not
    begun"; rate: trajectories/s; seconds_left: at that rate; silent: seconds since the last word of a driver."""

    state: str
    rate: float = 0.0
    seconds_left: float | None = None
    silent: float | None = None
    losses: int = 0
    last_losses: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Level:
    """The base (number 0, budget None) or a layer."""

    number: int
    budget: int | None
    parts: tuple[Part, ...]

    @property
    def complete(self) -> bool:
        return all(part.shards_done == part.shards for part in self.parts)


@dataclass(frozen=True)
class Status:
    """A run at a moment: its base and its layers, the lowest first; the activity is of the top one."""

    path: str
    experiment: str
    levels: tuple[Level, ...]
    activity: Activity = field(default_factory=lambda: Activity("not begun"))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def counts(self) -> dict[str, int]:
        """Verdicts so far, a layer's rows, which were censored, in place of those below."""
        base, *layers = self.levels
        found = {name: sum(getattr(part, name) for part in base.parts) for name in VERDICTS}
        for layer in layers:
            for part in layer.parts:
                found["censored"] -= part.done
                for name in VERDICTS:
                    found[name] += getattr(part, name)
        return found


class Watcher:
    """Looks at a run again and again; telemetry files that are full are read once."""

    def __init__(self, files: Files) -> None:
        self.files, self.manifest = files, read_manifest(files)
        self.full: dict[str, list[Line]] = {}

    def look(self, now: float | None = None) -> Status:
        """The run as it stands. now: seconds since 1970. Raises RunError for a damaged run."""
        now = time.time() if now is None else now
        layers = read_layers(self.files, self.manifest)
        levels = [self._level(self.files, self.manifest, 0, None, log := self._log(""))]
        for layer in layers:
            log = self._log(layout.layer(layer.number))
            levels.append(self._level(layer.files(self.files), layer, layer.number, layer.budget, log))
        top = levels[-1]
        return Status(self.files.uri, self.manifest.name, tuple(levels), _activity(log, top, now))

    def _level(
        self, files: Files, contents: Manifest | Layer, number: int, budget: int | None, log: list[Line]
    ) -> Level:
        told: dict[str, dict[int, Line]] = {}
        for line in log:
            if line["event"] == "ShardDone":
                told.setdefault(line["case"], {})[line["shard"]] = line
        parts = []
        for case in contents.cases:
            there = shards_there(files, "trajectories", case.key)
            lines = told.get(case.key, {})
            known = [lines[shard] for shard in there if shard in lines]
            untold = [shard for shard in there if shard not in lines]
            known += [_from_blocks(files, case.key, shard) for shard in untold[:BLOCKS]] if number == 0 else []
            total = case.trajectories if isinstance(contents, Manifest) else contents.trajectories[case.key]
            sums = {name: sum(line[name] for line in known) for name in (*VERDICTS, "evaluations")}
            done = sum(line["trajectories"] for line in known)
            parts.append(
                Part(case.key, case.name, len(contents.shards(case)), len(there), total, len(known), done, **sums)
            )
        return Level(number, budget, tuple(parts))

    def _log(self, folder: str) -> list[Line]:
        """The lines of all drivers of one level, by time, each with its driver."""
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


def _from_blocks(files: Files, case: str, shard: int) -> Line:
    """What a line of telemetry would say of a shard, from its blocks."""
    table = parquet.read(files, layout.part("blocks", case, shard), ["count", *VERDICTS, "evaluations"])
    sums = {name: sum(table[name].to_pylist()) for name in table.column_names}
    return {**sums, "trajectories": sums["count"]}


def _activity(log: list[Line], level: Level, now: float) -> Activity:
    """What drivers do, by their last words."""
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
        # Before the first shard is back nobody knows how long one takes.
        allowed = SILENCE + SHARDS_OF_SILENCE * longest if longest else float("inf")
        state = "running" if silent <= allowed else "stalled"
    left = sum(part.trajectories - part.done for part in level.parts)
    seconds = left / rate if state == "running" and rate > 0 else None
    return Activity(state, rate if state == "running" else 0.0, seconds, silent, len(lost), last_losses)


def _pace(log: list[Line], now: float) -> tuple[float, float, bool]:
    """Trajectories/s lately; the longest shard's seconds; whether a driver has begun that has not ended."""
    started = {line["driver"]: float(line["time"]) for line in log if line["event"] == "RunStarted"}
    for line in log:
        if line["event"] == "RunEnded":
            started.pop(line["driver"], None)
    done = [line for line in log if line["event"] == "ShardDone" and line["driver"] in started]
    if not done:
        return 0.0, 0.0, bool(started)
    longest = max(float(line["seconds"]) for line in done)
    # Workers have started by the time that the first shard was begun.
    since = max(now - RECENT, min(float(line["started"]) for line in done))
    recent = _trajectories(line for line in done if float(line["time"]) >= since)
    return recent / max(now - since, 1e-9), longest, True


def _trajectories(lines: Iterable[Line]) -> int:
    return sum(int(line["trajectories"]) for line in lines if line["computed"])

"""The probes' log of an episode: which process holds which shard, in which phase, and since when."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Entry = dict[str, Any]
Shard = tuple[str, int]

COMPUTING = "computing"

_PART = re.compile(r"(\w+)/case=([^/]+)/part-(\d+)\.parquet$")


@dataclass(frozen=True)
class Held:
    """A shard that a process had begun and not ended at its last entry. session: the driver it works for."""

    case: str
    shard: int
    attempt: int
    phase: str
    pid: int
    parent: int
    session: str
    begun: float

    @property
    def key(self) -> Shard:
        return self.case, self.shard

    def __str__(self) -> str:
        return f"shard {self.shard} of {self.case[:6]}, attempt {self.attempt}, {self.phase}"


class Journal:
    """The entries in a folder about the shards of one run, read as the files grow."""

    def __init__(self, folder: Path, run: str) -> None:
        self.folder, self.run = folder, run
        self.read = {path: path.stat().st_size for path in folder.glob("*.jsonl")}  # entries about earlier runs
        self.begun: set[tuple[int, str, int]] = set()
        self.entries: list[Entry] = []
        """All entries, in order within each process."""

    def look(self) -> Journal:
        """Read new entries. A line that is still being written is read next time."""
        for path in self.folder.glob("*.jsonl"):
            with path.open("rb") as file:
                file.seek(self.read.get(path, 0))
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self.read[path] = self.read.get(path, 0) + len(whole)
            self.entries.extend(entry for line in whole.splitlines() if self._is_of_run(entry := json.loads(line)))
        return self

    def _is_of_run(self, entry: Entry) -> bool:
        key = entry["pid"], *shard_of(entry)
        if entry["event"] == "begin" and entry["run"] == self.run:
            self.begun.add(key)
        return key in self.begun

    def held(self, at: float = float("inf"), pids: Iterable[int] | None = None) -> list[Held]:
        """The shards that were begun and not ended by then, according to their processes; a dead process never ends its
        shard."""
        wanted = None if pids is None else set(pids)
        found: dict[tuple[int, str, int], Held] = {}
        for entry in self.entries:
            if entry["t"] > at or (wanted is not None and entry["pid"] not in wanted):
                continue
            key = entry["pid"], *shard_of(entry)
            if entry["event"] == "begin":
                found[key] = _held(entry)
            elif entry["event"] in ("end", "raised"):
                found.pop(key, None)
            elif key in found:
                found[key] = _moved(found[key], entry)
        return list(found.values())

    def of(self, shard: Shard, event: str) -> Iterator[Entry]:
        """The entries about a shard, by time."""
        entries = [entry for entry in self.entries if entry["event"] == event and shard_of(entry) == shard]
        yield from sorted(entries, key=lambda entry: entry["t"])


def shard_of(entry: Entry) -> Shard:
    """Case and shard of an entry that names them or one of their files; ("", -1) for a file that belongs to no
    shard."""
    if "case" in entry:
        return entry["case"], entry["shard"]
    part = _PART.search(entry["path"])
    return (part[2], int(part[3])) if part else ("", -1)


def session_of(entry: Entry) -> str:
    """The driver that a process works for: Ray's name of the job, otherwise the parent process."""
    return entry["job"] or str(entry["parent"])


def _held(entry: Entry) -> Held:
    return Held(
        case=entry["case"],
        shard=entry["shard"],
        attempt=entry["attempt"],
        phase=COMPUTING,
        pid=entry["pid"],
        parent=entry["parent"],
        session=session_of(entry),
        begun=entry["t"],
    )


def _moved(held: Held, entry: Entry) -> Held:
    kind = entry["path"].partition("/")[0]
    phase = {"put": f"putting {kind}", "put ended": f"{kind} put", "put raised": f"{kind} not put"}[entry["event"]]
    return Held(**{**held.__dict__, "phase": phase})

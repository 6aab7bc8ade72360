"""RUN/telemetry: what happened when, where and how fast, as JSON lines. No promise about bytes covers these files."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict
from typing import Any

from basins.progress import AttemptLost, Event, Message, RunEnded, RunStarted, ShardDone, WorkerReady
from basins.store import Files, layout

SECONDS = 10.0
"""Lines that are not on disk yet are at most this old."""


class TelemetryLog:
    """A listener that writes the log of one driver, to its own files."""

    def __init__(self, files: Files) -> None:
        self.files = files
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.driver = f"{now}-{socket.gethostname()}-{os.getpid()}"
        self.number, self.lines, self.written = 0, list[str](), 0
        self.last = time.monotonic()

    def __call__(self, event: Event) -> None:
        if isinstance(event, WorkerReady):
            return
        self.lines.append(json.dumps({"time": time.time(), **_record(event)}))
        if len(self.lines) >= layout.TELEMETRY_LINES or time.monotonic() - self.last >= SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the current file; if it is full, begin the next."""
        if len(self.lines) > self.written:
            self.files.put(layout.telemetry(self.driver, self.number), ("\n".join(self.lines) + "\n").encode())
        self.written, self.last = len(self.lines), time.monotonic()
        if len(self.lines) >= layout.TELEMETRY_LINES:
            self.number, self.lines, self.written = self.number + 1, [], 0


def _record(event: Event) -> dict[str, Any]:
    if isinstance(event, ShardDone):
        summary = event.summary
        came_about = asdict(summary.telemetry)
        came_about["notes"] = [text for _, text in came_about["notes"]]
        return {
            "event": "ShardDone",
            **asdict(summary.task),
            "attempt": event.attempt,
            "trajectories": summary.trajectories,
            **summary.counts,
            "evaluations": summary.evaluations,
            **{name: value for name, value in came_about.items() if name != "notes" or value},
        }
    if isinstance(event, AttemptLost):
        return {"event": "AttemptLost", **asdict(event.task), "attempt": event.attempt, "cause": event.cause}
    if isinstance(event, RunStarted):
        record = asdict(event)
        del record["path"]
        return {"event": "RunStarted", **record}
    assert isinstance(event, (Message, RunEnded))
    return {"event": type(event).__name__, **asdict(event)}

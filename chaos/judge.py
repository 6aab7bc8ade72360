"""Determines what a fault hit, from the logs of the probes and the drivers. A fault that hit nothing does not count.

A shard was hit if a process had begun it and not ended it when the process was killed, stopped, refused or cut off. If
a worker was lost, the driver must have noticed it too (AttemptLost in its telemetry), unless the driver was killed
before it could write that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chaos.driver import Driver
from chaos.faults import Injected
from chaos.journal import Held, Journal, Shard, shard_of

HEAD_LIMIT = 90.0
"""Seconds within which a driver must have ended after the death of its head."""

LATE = 5.0
"""Seconds that a driver may take to notice a loss."""


@dataclass
class Outcome:
    """The shards that one fault interrupted, by phase, and how they were recovered; empty if it hit nothing."""

    phases: list[str] = field(default_factory=list)
    shards: list[str] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def hit(self) -> bool:
        return bool(self.phases)

    def add(self, held: Held, recovered: str, seen: str = "", phase: str = "") -> None:
        self.phases.append(phase or held.phase)
        self.shards.append(str(held))
        self.recovered.append(recovered)
        if seen:
            self.seen.append(seen)


@dataclass
class Evidence:
    """All logs of an episode. telemetry: the events of its drivers, by time."""

    journal: Journal
    telemetry: list[dict[str, Any]]
    drivers: list[Driver]

    def lost(self, shard: Shard, attempt: int, after: float, before: float = float("inf")) -> dict[str, Any] | None:
        """The first AttemptLost of an attempt in this interval of time."""
        for event in self.telemetry:
            if event["event"] != "AttemptLost" or not after <= event["time"] <= before:
                continue
            if (event["case"], event["shard"], event["attempt"]) == (*shard, attempt):
                return event
        return None

    def recovery(self, held: Held, at: float) -> str:
        """How an interrupted shard was completed: by the same driver (retry, or deadline), by another one, or not at
        all."""
        for end in self.journal.of(held.key, "end"):
            if end["t"] > at and end["pid"] != held.pid:
                if self.session(end) == held.session:
                    loss = self.lost(held.key, held.attempt, at)
                    return "deadline" if loss and "deadline" in loss["cause"] else "retry"
                began = min(entry["t"] for entry in self.journal.entries if self.session(entry) == self.session(end))
                return "other driver" if began < at else "resume"
        return "was committed"

    def session(self, entry: dict[str, Any]) -> str:
        return entry["job"] or str(entry["parent"])

    def sessions(self) -> dict[str, Driver]:
        """The drivers by the names that their workers use: their pids, or Ray's jobs in order."""
        named = {str(driver.pid): driver for driver in self.drivers}
        jobs = sorted({entry["job"] for entry in self.journal.entries if entry["job"]}, key=_job_number)
        first = {job: min(entry["t"] for entry in self.journal.entries if entry["job"] == job) for job in jobs}
        waiting = sorted(self.drivers, key=lambda driver: driver.started)
        for job in jobs:
            started = [driver for driver in waiting if driver.started < first[job]]
            if started:
                named[job] = started[0]
                waiting.remove(started[0])
        return named


def _job_number(name: str) -> int:
    return int.from_bytes(bytes.fromhex(name), "little")


Judge = Callable[[Injected, Evidence], Outcome]


def judge(injected: Injected, evidence: Evidence) -> Outcome:
    """Determine what this fault hit."""
    return JUDGES[injected.kind](injected, evidence)


# --- workers and nodes ----------------------------------------------------------------------------------------------


def _killed(injected: Injected, evidence: Evidence) -> Outcome:
    """Shards held by processes that the fault killed: begun and never ended."""
    found = Outcome()
    victims = {one.pid for one in injected.held if one.pid in injected.pids or one.parent in injected.pids}
    for held in evidence.journal.held(pids=victims):
        if held.begun <= injected.at + LATE:
            _count(found, held, injected, evidence)
    return found


def _killed_in_put(injected: Injected, evidence: Evidence) -> Outcome:
    """The same; in addition one of the shards was being put at its last entry, while another was being integrated."""
    found = _killed(injected, evidence)
    return found if any(phase.startswith("putting") for phase in found.phases) else Outcome()


def _count(found: Outcome, held: Held, injected: Injected, evidence: Evidence, phase: str = "") -> None:
    """It is a hit if the driver noticed it, or was killed before it could log that."""
    loss = evidence.lost(held.key, held.attempt, injected.at - 1)
    driver = evidence.sessions().get(held.session)
    if loss is not None:
        found.add(held, evidence.recovery(held, injected.at), loss["cause"], phase)
    elif driver is not None and driver.killed is not None and driver.killed > injected.at:
        found.add(held, evidence.recovery(held, injected.at), "its driver was killed too", phase)


def _stopped(injected: Injected, evidence: Evidence) -> Outcome:
    """Shards of stopped processes that were given up, or done by another process, before these resumed."""
    found = Outcome()
    for held in evidence.journal.held(at=injected.at, pids=injected.pids):
        loss = evidence.lost(held.key, held.attempt, injected.at, injected.undone + LATE)
        begun = [entry for entry in evidence.journal.of(held.key, "begin") if injected.at < entry["t"]]
        elsewhere = [entry for entry in begun if entry["pid"] != held.pid and entry["t"] < injected.undone]
        if loss is not None:
            found.add(held, evidence.recovery(held, injected.at), loss["cause"])
        elif elsewhere:
            found.add(held, evidence.recovery(held, injected.at), "done by another while it stood")
    return found


def _raylet_stopped(injected: Injected, evidence: Evidence) -> Outcome:
    """Shards that were given up while their node was stopped: those that its workers, which keep running, held by then,
    and those that were given to it and never begun."""
    found = Outcome()
    for event in evidence.telemetry:
        if event["event"] != "AttemptLost" or not injected.at < event["time"] < injected.undone + LATE:
            continue
        shard, attempt = (event["case"], event["shard"]), event["attempt"]
        entries = evidence.journal.of(shard, "begin")
        begun = [entry for entry in entries if entry["attempt"] == attempt and entry["t"] < event["time"]]
        there = [entry for entry in begun if entry["parent"] in injected.pids]
        if there:
            held = _begun(there[-1], evidence.journal)
            assert held is not None
            found.add(held, evidence.recovery(held, injected.at), event["cause"], "at a stopped node")
        elif not begun:
            stuck = Held(*shard, attempt, "", 0, injected.pids[0], there_session(injected), event["time"])
            found.add(stuck, evidence.recovery(stuck, event["time"]), event["cause"], "given to the node, not begun")
    return found


def there_session(injected: Injected) -> str:
    return injected.held[0].session if injected.held else ""


# --- drivers and the head ---------------------------------------------------------------------------------------------


def _driver_killed(injected: Injected, evidence: Evidence) -> Outcome:
    """The shards that the killed driver had in flight."""
    found = Outcome()
    sessions = evidence.sessions()
    if injected.driver is not None and injected.driver.status == -9:
        alive = {one.pid for one in injected.held}
        for held in evidence.journal.held(at=injected.at, pids=alive):
            if sessions.get(held.session) is injected.driver:
                found.add(held, evidence.recovery(held, injected.at), "the driver died")
    return found


def _head_killed(injected: Injected, evidence: Evidence) -> Outcome:
    """The same, if the driver ended in time, with a line that says what to do."""
    found = Outcome()
    driver = injected.driver
    assert driver is not None
    took = driver.ended - injected.at
    if driver.status == 0:
        return found  # it was done before it had to notice
    if driver.status != 2 or not driver.error():
        found.wrong.append(f"the driver whose head died ended with status {driver.status}, not with a line and 2")
    if took > HEAD_LIMIT:
        found.wrong.append(f"the driver whose head died took {took:.0f} s to end")
    for held in evidence.journal.held(at=injected.at):
        if held.pid in {one.pid for one in injected.held}:
            found.add(held, evidence.recovery(held, injected.at), f"after {took:.0f} s: {driver.error()}")
    return found


def _second_driver(injected: Injected, evidence: Evidence) -> Outcome:
    """Shards that both drivers computed."""
    found = Outcome()
    ends: dict[Shard, list[dict[str, Any]]] = {}
    for entry in evidence.journal.entries:
        if entry["event"] == "end" and entry["computed"]:
            ends.setdefault(shard_of(entry), []).append(entry)
    sessions = evidence.sessions()
    for key, entries in ends.items():
        by = {id(sessions.get(evidence.session(entry))): entry for entry in entries}
        if len(by) > 1 and id(injected.driver) in by:
            entry = by[id(injected.driver)]
            held = Held(*key, entry["attempt"], "", entry["pid"], 0, evidence.session(entry), entry["t"])
            found.add(held, "not needed", "", "computed by both")
    return found


# --- stores -----------------------------------------------------------------------------------------------------------


def _refused(injected: Injected, evidence: Evidence) -> Outcome:
    """Puts of shards that raised while the store refused, if a driver ended with a line about it."""
    found = Outcome()
    words = {"store full": "No space left on device", "store refuses": "Permission denied"}[injected.kind]
    reported = [driver for driver in evidence.drivers if words in driver.error() and driver.ended > injected.at]
    for entry in evidence.journal.entries:
        if entry["event"] == "put raised" and injected.at <= entry["t"] <= injected.undone and words in entry["error"]:
            held = _begun(entry, evidence.journal)
            if held is not None and reported:
                found.add(held, evidence.recovery(held, entry["t"]), reported[0].error(), f"putting {_kind(entry)}")
    return found


def _delayed(injected: Injected, evidence: Evidence) -> Outcome:
    """Shards that were given up at their deadline while they were being put."""
    found = Outcome()
    for held in evidence.journal.held():
        loss = evidence.lost(held.key, held.attempt, injected.at)
        put = [entry for entry in evidence.journal.of(held.key, "put") if entry["pid"] == held.pid]
        if not loss or "deadline" not in loss["cause"] or not held.phase.startswith("putting"):
            continue
        if injected.at - 60 <= put[-1]["t"] <= injected.undone + 1:
            found.add(held, evidence.recovery(held, put[-1]["t"]), loss["cause"])
    return found


def _harmed(injected: Injected, evidence: Evidence) -> Outcome:
    """Puts of shards that were damaged on their way."""
    found = Outcome()
    assert injected.harm is not None
    for at, path in injected.harm.struck_paths:
        puts = [
            e for e in evidence.journal.entries if e["event"] == "put" and path.endswith(e["path"]) and e["t"] <= at
        ]
        if not puts:
            continue
        put = max(puts, key=lambda entry: entry["t"])
        held = _begun(put, evidence.journal)
        after = [
            entry
            for entry in evidence.journal.entries
            if entry["pid"] == put["pid"] and entry.get("path") == put["path"] and entry["t"] > at
        ]
        if held is not None:
            ended = bool(after) and min(after, key=lambda entry: entry["t"])["event"] == "put ended"
            found.add(held, "put again" if ended else evidence.recovery(held, at), "", f"putting {_kind(put)}")
    return found


def _begun(entry: dict[str, Any], journal: Journal) -> Held | None:
    """The shard that a process held when it wrote this entry."""
    held = [one for one in journal.held(at=entry["t"], pids=[entry["pid"]]) if one.key == shard_of(entry)]
    return held[0] if held else None


def _kind(entry: dict[str, Any]) -> str:
    return str(re.split("[/]", entry["path"])[0])


JUDGES: dict[str, Judge] = {
    "worker killed": _killed,
    "worker killed in a put": _killed_in_put,
    "worker stopped": _stopped,
    "raylet killed": _killed,
    "raylet stopped": _raylet_stopped,
    "head killed": _head_killed,
    "driver killed": _driver_killed,
    "second driver": _second_driver,
    "store full": _refused,
    "store refuses": _refused,
    "store delays": _delayed,
    "upload cut": _harmed,
    "upload damaged": _harmed,
    "answer lost": _harmed,
    "request refused": _harmed,
    "request unanswered": _harmed,
}


def wrong_endings(drivers: list[Driver], faults: list[Injected]) -> Iterator[str]:
    """Drivers that neither completed, nor were killed by a fault, nor ended with one line after a fault."""
    for driver in drivers:
        if "Traceback (most recent call last)" in "\n".join(driver.said()):
            yield f"driver {driver.pid} ended with a traceback; see {driver.log}"
        if driver.status == 0 or (driver.status == -9 and driver.killed is not None):
            continue
        disturbed = any(fault.at < driver.ended and fault.undone > driver.started for fault in faults)
        if driver.status != 2 or not driver.error() or not disturbed:
            said = driver.error() or "no line"
            yield f"driver {driver.pid} ended with status {driver.status} ({said}); see {driver.log}"

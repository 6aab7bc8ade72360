"""An episode: one run, from its creation until it is complete, by repeating one command while faults are injected."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from basins.errors import BasinsError
from basins.execution.run import run as run_experiment
from basins.experiment import Experiment
from basins.store import files_at
from chaos.cluster import RayCluster
from chaos.compare import Comparison, Contents, compare
from chaos.driver import Driver
from chaos.faults import KINDS, NEVER, Injected
from chaos.journal import Held, Journal
from chaos.judge import Evidence, Outcome, judge, wrong_endings
from chaos.places import Folder
from chaos.processes import alive, environment

LIMIT = 300.0
"""Seconds within which every driver must have ended, whatever was done to it."""

STARTS = 40
"""The number of starts of the command after which a run must be complete."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What all episodes share. deadline: seconds for a shard, the --deadline of the drivers."""

    experiment: Experiment
    toml: Path
    undisturbed: Contents
    folder: Path
    journal: Path
    deadline: float
    pause: tuple[float, float] = (0.3, 2.5)

    @property
    def shards(self) -> int:
        return sum(self.experiment.plan(case).shards for case in self.experiment.cases)


@dataclass
class Played:
    """The result of an episode: its faults with what they hit, the violations, and the faults that are left over."""

    faults: list[tuple[Injected, Outcome]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    starts: int = 0
    comparison: Comparison | None = None


class Episode:
    """Executes an episode. Faults may use: chance, journal, place, cluster, deadline, start, running, in_flight."""

    def __init__(
        self,
        plan: Plan,
        number: int,
        place: Folder,
        kinds: list[str],
        chance: random.Random,
        say: Say,
        cluster: RayCluster | None = None,
        *,
        plain: bool = False,
    ) -> None:
        self.plan, self.number, self.place, self.chance, self.cluster = plan, number, place, chance, cluster
        self.say, self.plain = say, plain
        self.todo = deque(kinds)
        self.deadline = plan.deadline
        self.drivers: list[Driver] = []
        self.faults: list[Injected] = []
        self.hung: list[str] = []
        self.heal_at = NEVER
        self.next_at = 0.0

    # --- what faults may use ------------------------------------------------------------------------------------------

    def start(self) -> Driver:
        """Start the command again; it is always the same."""
        plan = self.plan
        if self.cluster is None:
            who = ["--on", "processes", "--workers", "2"]
        else:
            # Use two of the three cores, since a run keeps its cores and a second driver needs one.
            who = ["--on", "ray", "--address", self.cluster.address, "--workers", "2"]
        arguments = [str(plan.toml), "--out", self.place.uri, *who, "--deadline", f"{plan.deadline:g}"]
        log = plan.folder / f"episode-{self.number}-driver-{len(self.drivers)}.log"
        driver = Driver(arguments, environment(plan.journal) | self.place.environment, log, plain=self.plain)
        self.drivers.append(driver)
        return driver

    def running(self) -> list[Driver]:
        return [driver for driver in self.drivers if driver.status is None]

    def in_flight(self) -> list[Held]:
        """Shards held by processes that are alive and were not stopped by a fault."""
        stopped = {pid for fault in self.faults if fault.undone == NEVER for pid in fault.pids}
        held = self.journal.look().held()
        return [one for one in held if not {one.pid, one.parent} & stopped and alive(one.pid)]

    def missing(self) -> int:
        """Shards that no process has completed yet."""
        done = {(entry["case"], entry["shard"]) for entry in self.journal.look().entries if entry["event"] == "end"}
        return self.plan.shards - len(done)

    def new_cluster(self) -> None:
        assert self.cluster is not None
        self.cluster.stop()
        self.cluster.start()
        self.heal_at = NEVER

    # --- the episode -------------------------------------------------------------------------------------------------

    def play(self) -> Played:
        """Run until complete, then determine what was hit and whether the run is as it should be."""
        self.place.open()
        self.journal = Journal(self.plan.journal, self.place.uri)
        if self.cluster is not None:
            self.cluster.heal()  # a raylet that resumed after it was marked dead has ended by now
        try:
            while len(self.drivers) < STARTS:
                self.start()
                self._disturb()
                self._undo_what_lasts()
                if any(driver.status == 0 for driver in self.drivers):
                    break
            return self._judged()
        finally:
            for driver in self.running():
                driver.kill()
            self._undo_what_lasts()
            self.place.close()
            shutil.rmtree(self.place.path, ignore_errors=True)

    def _disturb(self) -> None:
        """Inject faults while the drivers run, until they have ended."""
        self.next_at = time.time() + self.chance.uniform(*self.plan.pause)
        while self.running():
            self._undo_what_is_due()
            if (
                self.cluster is not None and time.time() >= self.heal_at and not self._alone()
            ):  # otherwise its head is dead
                self.heal_at = NEVER
                self.cluster.heal()
            if self.todo and time.time() >= self.next_at and not self._alone():
                self._inject()
            for driver in self.running():
                if time.time() - driver.started > LIMIT:
                    self.hung.append(f"driver {driver.pid} has not ended in {LIMIT:.0f} s; see {driver.log}")
                    driver.kill()
            time.sleep(0.05)

    def _alone(self) -> bool:
        return any(fault.alone and fault.undone == NEVER for fault in self.faults)

    def _inject(self) -> None:
        fault = KINDS[self.todo[0]](self)
        if fault is None:
            self.todo.rotate(-1)
            self.next_at = time.time() + 0.1
            return
        self.todo.popleft()
        if fault.undo is None:
            fault.undone = time.time()
        self.faults.append(fault)
        self.say(f"  {fault.words}")
        self.next_at = time.time() + self.chance.uniform(*self.plan.pause)

    def _undo_what_is_due(self) -> None:
        for fault in self.faults:
            if fault.undone == NEVER and time.time() >= fault.undo_at:
                self._undo(fault)

    def _undo_what_lasts(self) -> None:
        """After the drivers have ended: give disk space back, start a new cluster if needed, resume stopped
        processes."""
        for fault in self.faults:
            if fault.undone == NEVER:
                self._undo(fault)
        if self.cluster is not None and self.heal_at != NEVER:
            self.heal_at = NEVER
            self.cluster.heal()

    def _undo(self, fault: Injected) -> None:
        assert fault.undo is not None
        fault.undo()
        fault.undone = time.time()

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def _judged(self) -> Played:
        played = Played(left=list(self.todo), starts=len(self.drivers), wrong=self.hung)
        if not any(driver.status == 0 for driver in self.drivers):
            played.wrong.append(f"the run was not complete after {len(self.drivers)} starts of the command")
        evidence = Evidence(self.journal.look(), self._telemetry(), self.drivers)
        played.faults = [(fault, judge(fault, evidence)) for fault in self.faults]
        played.wrong += [line for _, outcome in played.faults for line in outcome.wrong]
        played.wrong += list(wrong_endings(self.drivers, self.faults))
        try:
            # A start that has nothing to do sweeps the debris of killed processes; none may be left after it.
            run_experiment(self.plan.experiment, self.place.uri, on="inline")
        except BasinsError as error:
            played.wrong.append(f"the complete run is refused: {error}")
        played.comparison = compare(self.place.files(), self.plan.undisturbed)
        played.wrong += played.comparison.wrong()
        return played

    def _telemetry(self) -> list[dict[str, Any]]:
        files = files_at(self.place.uri)
        events: list[dict[str, Any]] = []
        for path in files.paths("telemetry/"):
            with suppress(FileNotFoundError):
                events += [json.loads(line) for line in files.get(path).splitlines()]
        return sorted(events, key=lambda event: event["time"])
